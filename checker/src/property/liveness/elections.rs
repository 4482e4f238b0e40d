//! Elections that nothing calls for: a node becomes a candidate although it has been calm for long,
//! or although a leader that it follows, or would have to, has been calm with it for longer than it
//! waits for one.

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

/// Since when a node has led, and in which term, at moments of its life.
#[derive(Debug, Default)]
pub(super) struct Reigns(Vec<(Range<u64>, u64)>);

impl Reigns {
    /// Of a node, by its trace. A reign ends with the next line that says of something else.
    pub(super) fn of(trace: &[Record], started: u64) -> Self {
        let mut reigns: Vec<(Range<u64>, u64)> = Vec::new();
        let mut leads = false;
        for line in trace {
            let time = line.time.saturating_sub(started);
            let reign = match &line.event {
                Event::Role { role: Role::Leader, term, .. } => Some(*term),
                Event::Role { .. } | Event::Term { .. } | Event::Started { .. } => None,
                _ => continue,
            };
            if let Some((open, _)) = reigns.last_mut().filter(|_| leads) {
                open.end = time;
            }
            leads = reign.is_some();
            reigns.extend(reign.map(|term| (time..u64::MAX, term)));
        }
        Self(reigns)
    }

    /// The times in which it led while it was calm.
    pub(super) fn during(&self, calm: &[Range<u64>]) -> impl Iterator<Item = Range<u64>> {
        let both = |reign: &Range<u64>, calm: &Range<u64>| {
            reign.start.max(calm.start)..reign.end.min(calm.end)
        };
        self.0.iter().flat_map(move |(reign, _)| calm.iter().map(move |it| both(reign, it)))
    }

    /// The term in which it led all through a time.
    fn all_through(&self, time: &Range<u64>) -> Option<u64> {
        let reign = self.0.iter().find(|(it, _)| it.start <= time.start && time.end < it.end);
        reign.map(|(_, term)| *term)
    }
}

/// The elections that a node began within a span although another had led all through the time
/// `wait` before, calm as well, in the node's own term or a later one.
pub(super) fn under_a_leader<'a>(
    trace: &'a [Record],
    started: u64,
    span: &Range<u64>,
    wait: u64,
    others: &[(&Reigns, &[Range<u64>])],
) -> Vec<Election<'a>> {
    let mut found = Vec::new();
    let mut term = 0;
    for line in trace {
        let time = line.time.saturating_sub(started);
        let before = term;
        match &line.event {
            // A candidate's new term is told just before its role.
            Event::Started { term: now, .. } => term = *now,
            Event::Role { role: Role::Candidate, term: now, .. } => {
                let waited = time.saturating_sub(wait)..time;
                let in_span = span.start <= waited.start && time < span.end && time >= wait;
                let led = others.iter().any(|(reigns, calm)| {
                    calm.iter().any(|it| it.start <= waited.start && waited.end <= it.end)
                        && reigns.all_through(&waited).is_some_and(|of| of >= before)
                });
                if in_span && led {
                    found.push(Election { time, line });
                }
                term = *now;
            }
            Event::Role { term: now, .. } => term = *now,
            _ => {}
        }
    }
    found
}
