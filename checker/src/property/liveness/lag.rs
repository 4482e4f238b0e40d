//! How long after the others a node applied what they had applied, while it was calm.

use std::ops::Range;

use proto::trace::{Event, Record};

/// A step by which something was applied: when, up to which index, and its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied<'a> {
    time: u64,
    index: u64,
    line: &'a Record,
}

/// How far a node was behind.
#[derive(Clone, Debug)]
pub(super) struct Lag<'a> {
    /// How long it had not applied what others had, within the span.
    pub(super) length: u64,
    /// The first step of the cluster to the index that the node lacked.
    pub(super) others: Applied<'a>,
    /// The node's last step before.
    pub(super) mine: Option<Applied<'a>>,
    /// When the node lacked it no more.
    pub(super) until: Option<u64>,
}

impl Applied<'_> {
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    pub(super) fn line(&self) -> &Record {
        self.line
    }
}

/// How far each node had applied the log, and how far the first of all.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    /// Of each node, n1 first, in order of time. A start takes it back to 0.
    nodes: Vec<Vec<Applied<'a>>>,
    /// The steps that took the cluster farther than any before.
    cluster: Vec<Applied<'a>>,
    /// The whole trace of each node, n1 first.
    traces: Vec<&'a [Record]>,
}

impl<'a> Progress<'a> {
    /// From the traces of nodes; `started` is the wall clock at time 0.
    pub(super) fn of(traces: &'a [Vec<Record>], nodes: usize, started: u64) -> Self {
        let mut of_nodes = vec![Vec::new(); nodes];
        let mut whole: Vec<&[Record]> = vec![&[]; nodes];
        for trace in traces {
            let Some(first) = trace.first() else { continue };
            let id = usize::try_from(first.node).ok().and_then(|id| id.checked_sub(1));
            let Some(id) = id.filter(|id| *id < nodes) else { continue };
            whole[id] = trace;
            let steps = &mut of_nodes[id];
            for line in trace {
                let index = match &line.event {
                    Event::Applied { last, .. } => last.index,
                    Event::Started { .. } => 0,
                    _ => continue,
                };
                steps.push(Applied { time: line.time.saturating_sub(started), index, line });
            }
        }
        let mut cluster: Vec<Applied<'a>> = of_nodes.iter().flatten().copied().collect();
        cluster.sort_by_key(|step| (step.time, step.index));
        let mut most = 0;
        cluster.retain(|step| {
            let farther = step.index > most;
            most = most.max(step.index);
            farther
        });
        Self { nodes: of_nodes, cluster, traces: whole }
    }

    /// The trace of a node.
    pub(super) fn trace(&self, node: usize) -> &'a [Record] {
        self.traces.get(node).copied().unwrap_or_default()
    }

    /// Whether any trace says that this node applied something, or started.
    pub(super) fn knows(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|steps| !steps.is_empty())
    }

    /// The longest time within a span for which a node had not applied what the cluster had.
    pub(super) fn longest_lag(&self, node: usize, span: &Range<u64>) -> Option<Lag<'a>> {
        let steps = self.nodes.get(node)?;
        let mut longest: Option<Lag<'a>> = None;
        // What was applied before the span is owed from its beginning on: only the last counts.
        let first = self.cluster.partition_point(|step| step.time <= span.start).saturating_sub(1);
        // Where the node stands at the time that is looked at.
        let mut at = steps.partition_point(|step| step.time <= span.start);
        for others in &self.cluster[first..] {
            let since = others.time.max(span.start);
            if since >= span.end {
                break;
            }
            while steps.get(at).is_some_and(|step| step.time <= since) {
                at += 1;
            }
            let mine = at.checked_sub(1).map(|at| steps[at]);
            if mine.is_some_and(|mine| mine.index >= others.index) {
                continue;
            }
            let reached = steps[at..].iter().find(|step| step.index >= others.index);
            let until = reached.map(|step| step.time).filter(|time| *time < span.end);
            let length = until.unwrap_or(span.end) - since;
            if longest.as_ref().is_none_or(|longest| length > longest.length) {
                longest = Some(Lag { length, others: *others, mine, until });
            }
        }
        longest
    }
}
