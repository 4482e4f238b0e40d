//! A node's log, rebuilt from its trace: a prefix hash per entry, and the terms as runs.

use proto::trace::{Hash, Position};

/// Entries of one term that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Index of the first one.
    pub(super) first: u64,
    /// Their term.
    pub(super) term: u64,
}

/// Consecutive entries, the first of which has index `after + 1`. Eight bytes an entry: terms
/// change rarely, so they are kept as runs.
#[derive(Clone, Debug, Default)]
struct Segment {
    after: u64,
    hashes: Vec<Hash>,
    runs: Vec<Run>,
}

impl Segment {
    fn last_index(&self) -> u64 {
        self.after + self.hashes.len() as u64
    }

    fn get(&self, index: u64) -> Option<Position> {
        let at = index.checked_sub(self.after + 1)?;
        let hash = *self.hashes.get(usize::try_from(at).ok()?)?;
        Some(Position { index, term: term_at(&self.runs, index)?, hash })
    }

    fn push(&mut self, term: u64, hash: Hash) {
        if self.runs.last().is_none_or(|run| run.term != term) {
            self.runs.push(Run { first: self.last_index() + 1, term });
        }
        self.hashes.push(hash);
    }

    /// Cuts everything behind `index` off.
    fn split_off(&mut self, index: u64) -> Segment {
        let keep = usize::try_from(index - self.after).unwrap_or(usize::MAX);
        let hashes = self.hashes.split_off(keep);
        let whole = self.runs.partition_point(|run| run.first <= index);
        let mut runs = self.runs.split_off(whole);
        if let Some(run) = self.runs.last()
            && !hashes.is_empty()
            && runs.first().is_none_or(|next| next.first > index + 1)
        {
            runs.insert(0, Run { first: index + 1, term: run.term });
        }
        Segment { after: index, hashes, runs }
    }

    fn append(&mut self, tail: Segment) {
        for run in tail.runs {
            if self.runs.last().is_none_or(|last| last.term != run.term) {
                self.runs.push(run);
            }
        }
        self.hashes.extend(tail.hashes);
    }
}

/// The term at `index`, which must not lie behind the last run's end.
pub(super) fn term_at(runs: &[Run], index: u64) -> Option<u64> {
    match runs.last() {
        Some(run) if run.first <= index => Some(run.term),
        _ => {
            let before = runs.partition_point(|run| run.first <= index);
            Some(runs.get(before.checked_sub(1)?)?.term)
        }
    }
}

/// A node's log in memory, and the removed tails that its disk may still hold.
///
/// A log on disk is a sequence of writes, of which a crash may lose those that were not yet
/// durable. So a node may come back with any state that its log had since the last durable write:
/// a prefix of the present log, or a removed tail whose replacement was never durable.
#[derive(Debug, Default)]
pub(super) struct Log {
    present: Segment,
    /// Oldest first.
    removed: Vec<Segment>,
}

impl Log {
    /// Index of the last entry; 0 when empty.
    pub(super) fn last_index(&self) -> u64 {
        self.present.last_index()
    }

    /// The last entry.
    pub(super) fn last(&self) -> Position {
        self.get(self.last_index()).unwrap_or_default()
    }

    /// The entry at `index`; the empty position at index 0.
    pub(super) fn get(&self, index: u64) -> Option<Position> {
        if index == 0 { Some(Position::default()) } else { self.present.get(index) }
    }

    /// Whether the log, up to `position`, is the one that `position` names.
    pub(super) fn contains(&self, position: Position) -> bool {
        self.get(position.index) == Some(position)
    }

    /// Prefix hashes of the entries behind `index`.
    pub(super) fn hashes_after(&self, index: u64) -> &[Hash] {
        usize::try_from(index).ok().and_then(|from| self.present.hashes.get(from..)).unwrap_or(&[])
    }

    /// The runs of terms that reach beyond `index`.
    pub(super) fn runs_after(&self, index: u64) -> &[Run] {
        let next = index.saturating_add(1);
        let before = self.present.runs.partition_point(|run| run.first <= next);
        &self.present.runs[before.saturating_sub(1)..]
    }

    /// Adds an entry at the end.
    pub(super) fn push(&mut self, term: u64, hash: Hash) {
        self.present.push(term, hash);
    }

    /// Removes all behind `index`; the disk may still hold it.
    pub(super) fn truncate(&mut self, index: u64) {
        if index < self.last_index() {
            let tail = self.present.split_off(index);
            self.removed.push(tail);
        }
    }

    /// Entries up to `index` are durable: a tail removed before that cannot come back.
    pub(super) fn durable(&mut self, index: u64) {
        if let Some(newest) = self.removed.iter().rposition(|tail| tail.after < index) {
            self.removed.drain(..=newest);
        }
    }

    /// Whether a restart may recover a log that ends in `last`.
    pub(super) fn may_recover(&self, last: Position) -> bool {
        self.contains(last) || self.removed.iter().any(|tail| tail.get(last.index) == Some(last))
    }

    /// Makes `last` the end of the log, as a restart recovered it, and no other can come back.
    /// Where the log was never in such a state, the nearest one that ends in `last`.
    pub(super) fn recover(&mut self, last: Position) {
        while !self.contains(last) {
            let Some(tail) = self.removed.pop() else { break };
            if tail.after <= self.last_index() {
                self.present.split_off(tail.after);
                self.present.append(tail);
            }
        }
        if last.index < self.last_index() {
            self.present.split_off(last.index);
        }
        if let Some(before) = last.index.checked_sub(1)
            && before <= self.last_index()
            && !self.contains(last)
        {
            self.present.split_off(before);
            self.present.push(last.term, last.hash);
        }
        self.removed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for (i, &term) in terms.iter().enumerate() {
            log.push(term, Hash(term * 100 + i as u64 + 1));
        }
        log
    }

    fn at(index: u64, term: u64) -> Position {
        Position { index, term, hash: Hash(term * 100 + index) }
    }

    #[test]
    fn terms_are_found_by_index() {
        let log = log(&[1, 1, 2, 5, 5]);
        let terms: Vec<_> = (0..=6).map(|i| log.get(i).map(|p| p.term)).collect();
        assert_eq!(terms, [Some(0), Some(1), Some(1), Some(2), Some(5), Some(5), None]);
        assert!(log.contains(at(3, 2)));
        assert_eq!(log.runs_after(3), [Run { first: 4, term: 5 }]);
        assert_eq!(log.runs_after(4), [Run { first: 4, term: 5 }]);
        assert_eq!(log.runs_after(1).len(), 3);
    }

    #[test]
    fn a_removed_tail_may_come_back_until_its_replacement_is_durable() {
        let mut log = log(&[1, 1, 1]);
        log.truncate(1);
        log.push(2, Hash(202));
        assert!(
            log.may_recover(at(3, 1)) && log.may_recover(at(2, 2)) && log.may_recover(at(1, 1))
        );
        log.durable(1);
        assert!(log.may_recover(at(3, 1)));
        log.durable(2);
        assert!(!log.may_recover(at(3, 1)));
    }

    #[test]
    fn recovery_restores_the_removed_tail_within_a_run_of_equal_terms() {
        let mut log = log(&[1, 1, 1, 3]);
        log.truncate(2);
        log.push(4, Hash(403));
        log.truncate(1);
        log.recover(at(4, 3));
        let terms: Vec<_> = (1..=5).map(|i| log.get(i)).collect();
        assert_eq!(terms, [Some(at(1, 1)), Some(at(2, 1)), Some(at(3, 1)), Some(at(4, 3)), None]);
    }
}
