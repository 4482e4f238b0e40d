//! Merges the traces of several nodes into one order in which a cause comes before its effect.

use proto::trace::Record;

/// Yields the lines of all traces by Lamport clock, the lines of one trace in their own order.
/// Lines of equal clock did not cause each other; the smaller node id goes first.
pub(super) struct Merge<'a> {
    rest: Vec<&'a [Record]>,
}

impl<'a> Merge<'a> {
    /// Merges traces, each of which has ascending clocks.
    pub(super) fn new(traces: impl IntoIterator<Item = &'a [Record]>) -> Self {
        Self { rest: traces.into_iter().collect() }
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = &'a Record;

    fn next(&mut self) -> Option<&'a Record> {
        // A cluster has at most nine nodes: looking at every head is faster than a heap.
        let trace = self
            .rest
            .iter_mut()
            .filter(|trace| !trace.is_empty())
            .min_by_key(|trace| trace.first().map(|record| (record.clock, record.node)))?;
        let (head, rest) = trace.split_first()?;
        *trace = rest;
        Some(head)
    }
}
