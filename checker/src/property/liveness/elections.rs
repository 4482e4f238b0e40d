//! Elections that nothing calls for: a node becomes a candidate although it has been calm for long.

use std::ops::Range;

use proto::trace::{Event, Record, Role};

/// An election that nothing called for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Election<'a> {
    /// When the node became a candidate.
    pub(super) time: u64,
    /// The line that says so.
    pub(super) line: &'a Record,
}

/// The elections that a node began within a span, once the span had lasted for `settled`.
pub(super) fn without_cause<'a>(
    trace: &'a [Record],
    started: u64,
    span: &Range<u64>,
    settled: u64,
) -> impl Iterator<Item = Election<'a>> {
    let quiet = span.start.saturating_add(settled)..span.end;
    trace.iter().filter_map(move |line| {
        let time = line.time.saturating_sub(started);
        let begun = matches!(line.event, Event::Role { role: Role::Candidate, .. });
        (begun && quiet.contains(&time)).then_some(Election { time, line })
    })
}
