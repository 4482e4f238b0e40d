//! How long a node was asked and answered nothing, while it was calm.

use std::{collections::BTreeMap, ops::Range};

use crate::history::{Events, Kind, Request};

/// What was asked of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// In order of their beginning.
    pub(super) requests: Vec<Asking>,
    /// When the node answered, ascending.
    answers: Vec<u64>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    /// Its index in the history.
    pub(super) index: u64,
    /// From when to when it was open.
    pub(super) span: Range<u64>,
    /// Whether it was answered then.
    pub(super) answered: bool,
    /// Whether it was refused, and not for a limit of the node.
    pub(super) refused: bool,
}

/// A time in which a node answered nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    /// From its answer before, or the begin of the calm, to its next answer, or the end.
    pub(super) span: Range<u64>,
    /// Indices of the requests that were open in that time.
    pub(super) requests: Vec<u64>,
}

impl Silence {
    pub(super) fn length(&self) -> u64 {
        self.span.end - self.span.start
    }
}

/// What was asked of each node, n1 first. A request that was sent on to another node says only when
/// that one answered: since when it was asked, nobody knows.
pub(super) fn asked(history: &Events, operations: &[impl Request], nodes: usize) -> Vec<Asked> {
    let mut asked = vec![Asked::default(); nodes];
    let ends = ends(history);
    for operation in operations {
        let id = operation.node().and_then(|name| name.strip_prefix('n')?.parse::<usize>().ok());
        let Some(asked) = id.and_then(|id| asked.get_mut(id.checked_sub(1)?)) else { continue };
        let index = operation.index();
        let never = End { time: u64::MAX, elsewhere: false, refused: false };
        let end = ends.get(&index).copied().unwrap_or(never);
        let answer = operation.answered();
        asked.answers.extend(answer);
        if !end.elsewhere {
            let span = operation.call()..end.time;
            let (answered, refused) = (answer.is_some(), end.refused);
            asked.requests.push(Asking { index, span, answered, refused });
        }
    }
    for asked in &mut asked {
        asked.answers.sort_unstable();
    }
    asked
}

/// How an operation was over.
#[derive(Clone, Copy, Debug)]
struct End {
    time: u64,
    /// With another node than the one where it began.
    elsewhere: bool,
    /// By an error that a node gave, for another reason than that it has too much to do.
    refused: bool,
}

/// The gRPC codes by which a node refuses without such a reason.
const REFUSALS: [&str; 6] = [
    "ABORTED: ",
    "DATA_LOSS: ",
    "FAILED_PRECONDITION: ",
    "INTERNAL: ",
    "UNAVAILABLE: ",
    "UNKNOWN: ",
];

/// How the operation that an event began was over, by the index of that event. One that never was
/// is not there.
fn ends(history: &Events) -> BTreeMap<u64, End> {
    let (mut calls, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for ((event, node), error) in history.places().zip(history.nodes()).zip(history.errors()) {
        if event.kind == Kind::Invoke {
            calls.insert(event.process, (event.index, node));
        } else if let Some((call, first)) = calls.remove(&event.process) {
            let elsewhere = node.is_some() && first.is_some() && node != first;
            let refused =
                error.is_some_and(|error| REFUSALS.iter().any(|code| error.starts_with(code)));
            ends.insert(call, End { time: event.time, elsewhere, refused });
        }
    }
    ends
}

impl Asked {
    /// The answers within a span.
    pub(super) fn answers_in(&self, span: &Range<u64>) -> &[u64] {
        let from = self.answers.partition_point(|time| *time < span.start);
        let to = self.answers.partition_point(|time| *time < span.end);
        &self.answers[from..to]
    }

    /// The longest time within a span in which the node answered nothing, though it was being asked
    /// for at least half of that time. A node that refuses at once is asked again `patience` later
    /// at most: for so long a request counts, even if it is over. Shorter times are not looked at.
    pub(super) fn longest_silence(&self, span: &Range<u64>, patience: u64) -> Silence {
        let mut longest = Silence { span: span.start..span.start, requests: Vec::new() };
        let mut from = span.start;
        for &to in self.answers_in(span).iter().chain([&span.end]) {
            if to.saturating_sub(from) > longest.length().max(patience) {
                let requests = self.waited(&(from..to), patience);
                if let Some(requests) = requests {
                    longest = Silence { span: from..to, requests };
                }
            }
            from = to;
        }
        longest
    }

    /// The requests that were open in a time, if they were for at least half of it.
    fn waited(&self, time: &Range<u64>, patience: u64) -> Option<Vec<u64>> {
        let (mut open, mut until) = (0, time.start);
        let mut requests = Vec::new();
        // In order of their beginning.
        let begun = self.requests.partition_point(|it| it.span.start < time.end);
        for Asking { index, span: request, .. } in &self.requests[..begun] {
            let end = request.end.max(request.start.saturating_add(patience)).min(time.end);
            if request.end <= time.start {
                continue;
            }
            requests.push(*index);
            open += end.saturating_sub(request.start.max(until));
            until = until.max(end);
        }
        (open >= (time.end - time.start).div_ceil(2)).then_some(requests)
    }
}
