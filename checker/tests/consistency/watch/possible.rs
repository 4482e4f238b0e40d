//! Whether there is an order in which all can have happened, found by trying each.

use std::collections::HashSet;

use super::brute_force::{Change, Fate, Response, Turn, Watch, Write};

/// What a process comes to next: to ask for something, or to be told.
#[derive(Clone, Copy)]
enum Step<'a> {
    Ask(usize),
    Answer(usize),
    Watched(&'a Watch),
}

/// How far it came: the steps that were taken, the writes that have a revision, and the last
/// revision.
type State = (u64, u64, i64);

struct Search<'a> {
    writes: &'a [Write],
    /// Each with its time, in order of turns.
    steps: Vec<(u64, Turn, Step<'a>)>,
    /// What was told.
    told: Vec<Change>,
    last: i64,
    tried: HashSet<State>,
}

/// Whether puts of one key each can have made all revisions that were told or acknowledged, one
/// after another, each after its write was asked for, and before that was acknowledged and before
/// any watch was over that had come as far. Revisions that nobody told may be of writes that nobody
/// knows, and writes that were acknowledged without a revision may have made none.
pub(super) fn possible(watches: &[Watch], writes: &[Write]) -> bool {
    let mut steps = Vec::new();
    for (at, write) in writes.iter().enumerate() {
        steps.push((write.call, write.turn, Step::Ask(at)));
        if write.fate == Fate::Acknowledged {
            steps.push((write.ret, write.turn, Step::Answer(at)));
        }
    }
    steps.extend(watches.iter().map(|watch| (watch.end, watch.turn, Step::Watched(watch))));
    steps.sort_by_key(|(time, turn, _)| (*time, turn.place));
    let mut told: Vec<Change> = Vec::new();
    for response in watches.iter().flat_map(|watch| &watch.responses) {
        if let Response::Batch(changes) = response {
            told.extend(changes);
        }
    }
    let revisions = writes.iter().filter_map(|write| write.revision);
    let last = told.iter().map(|change| change.0).chain(revisions).max().unwrap_or(1);
    Search { writes, steps, told, last, tried: HashSet::new() }.goes_on((0, 0, 1))
}

impl Search<'_> {
    fn goes_on(&mut self, state: State) -> bool {
        let (taken, used, revision) = state;
        let open = |at: &usize| taken & 1 << at == 0;
        let Some(next) = (0..self.steps.len()).find(open) else {
            return revision == self.last || self.make(state);
        };
        if !self.tried.insert(state) {
            return false;
        }
        let moment = self.steps[next].0;
        let now = (next..self.steps.len()).filter(open).filter(|at| self.steps[*at].0 == moment);
        let mut turns = HashSet::new();
        for at in now.collect::<Vec<_>>() {
            let (_, turn, step) = self.steps[at];
            let may = match step {
                Step::Ask(_) => true,
                Step::Answer(write) => {
                    self.writes[write].revision.is_none() || used & 1 << write != 0
                }
                Step::Watched(watch) => watch.horizon().is_none_or(|horizon| horizon <= revision),
            };
            if turns.insert(turn.process) && may && self.goes_on((taken | 1 << at, used, revision))
            {
                return true;
            }
        }
        self.make(state)
    }

    /// Makes the next revision.
    fn make(&mut self, (taken, used, last): State) -> bool {
        let revision = last + 1;
        if revision > self.last {
            return false;
        }
        let told = self.told.iter().filter(|change| change.0 == revision);
        let parts: Vec<_> = told.map(|&(_, key, value)| (key, value)).collect();
        let owned = self.writes.iter().any(|write| write.revision == Some(revision));
        let fits = |at: &usize| {
            let write = &self.writes[*at];
            write.fate != Fate::Failed
                && used & 1 << at == 0
                && self.is_open(*at, taken)
                && write.revision.is_none_or(|own| own == revision)
                && (!owned || write.revision.is_some())
                && parts.iter().all(|part| write.parts.contains(part))
        };
        let makers: Vec<usize> = (0..self.writes.len()).filter(fits).collect();
        let unknown = parts.is_empty() && !owned;
        (unknown && self.goes_on((taken, used, revision)))
            || makers.into_iter().any(|at| self.goes_on((taken, used | 1 << at, revision)))
    }

    /// Whether a write was asked for and not answered.
    fn is_open(&self, write: usize, taken: u64) -> bool {
        let mut open = false;
        for (at, (_, _, step)) in self.steps.iter().enumerate() {
            match *step {
                Step::Ask(asked) if asked == write => open |= taken & 1 << at != 0,
                Step::Answer(told) if told == write => open &= taken & 1 << at == 0,
                _ => {}
            }
        }
        open
    }
}
