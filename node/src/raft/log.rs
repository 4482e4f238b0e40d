//! The log in memory.

use super::{Entry, Index, Position, Term};

/// The entries after a base. What is before was compacted into a snapshot.
///
/// - Indexes follow each other from the base on, and terms never fall.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The last entry that was compacted; all zero if none was.
    base: Position,
    entries: Vec<Entry>,
}

/// Why a log has no entry at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It was compacted into a snapshot. It is committed, and equal on all nodes.
    Compacted,
    /// The log does not reach so far.
    PastEnd,
}

impl Log {
    /// The log that a disk held.
    pub(super) fn recovered(base: Position, entries: Vec<Entry>) -> Self {
        let mut prev = base;
        for entry in &entries {
            assert!(
                entry.index == prev.index + 1 && entry.term >= prev.term && entry.term > 0,
                "the recovered log is not consecutive: entry {} of term {} follows entry {} of term {}",
                entry.index,
                entry.term,
                prev.index,
                prev.term,
            );
            prev = entry.position();
        }
        Self { base, entries }
    }

    /// The last entry that was compacted; all zero if none was.
    pub(super) fn base(&self) -> Position {
        self.base
    }

    /// The last entry, which may be compacted; all zero if there is none.
    pub(super) fn last(&self) -> Position {
        self.entries.last().map_or(self.base, Entry::position)
    }

    /// Index of the last entry; 0 if there is none.
    pub(super) fn last_index(&self) -> Index {
        self.base.index + self.entries.len() as Index
    }

    /// The place of the entry at `index`; all zero for index 0. The base is still known.
    pub(super) fn position(&self, index: Index) -> Result<Position, Missing> {
        if index == self.base.index { Ok(self.base) } else { self.get(index).map(Entry::position) }
    }

    /// The term of the entry at `index`; 0 for index 0. That of the base is still known.
    pub(super) fn term(&self, index: Index) -> Result<Term, Missing> {
        self.position(index).map(|position| position.term)
    }

    /// Whether the entry at `index` is of `term`, as that of any correct node is if it is
    /// compacted.
    pub(super) fn agrees(&self, index: Index, term: Term) -> bool {
        match self.term(index) {
            Ok(own) => own == term,
            Err(Missing::Compacted) => true,
            Err(Missing::PastEnd) => false,
        }
    }

    /// The entry at `index`.
    pub(super) fn get(&self, index: Index) -> Result<&Entry, Missing> {
        let Some(after_base) = index.checked_sub(self.base.index + 1) else {
            return Err(Missing::Compacted);
        };
        let place = usize::try_from(after_base).map_err(|_| Missing::PastEnd)?;
        self.entries.get(place).ok_or(Missing::PastEnd)
    }

    /// The entries from `from`, which must not be compacted, to the end.
    pub(super) fn tail(&self, from: Index) -> &[Entry] {
        assert!(
            from > self.base.index && from <= self.last_index() + 1,
            "no entries from {from} on to read: the log is what follows {} up to {}",
            self.base.index,
            self.last().index
        );
        &self.entries[(from - self.base.index - 1) as usize..]
    }

    /// The entries from `from` on, at least one and further ones up to `bytes` of payload.
    pub(super) fn batch(&self, from: Index, bytes: usize) -> &[Entry] {
        let tail = self.tail(from);
        let mut sum = 0;
        let count = tail
            .iter()
            .take_while(|entry| {
                sum += entry.payload.len();
                sum <= bytes
            })
            .count();
        &tail[..count.max(1).min(tail.len())]
    }

    /// The first index of the run of entries with the term of the entry at `index`, as far as they
    /// are not compacted.
    pub(super) fn first_of_term(&self, index: Index) -> Index {
        let term = self.term(index).unwrap_or_default();
        self.after_terms(|entry| entry < term) + 1
    }

    /// The last index of an entry whose term is at most `term`; the base if that is compacted, or
    /// if there is none.
    pub(super) fn last_of_term(&self, term: Term) -> Index {
        self.after_terms(|entry| entry <= term)
    }

    /// The last index of an entry with such a term, given that those come first.
    fn after_terms(&self, such: impl Fn(Term) -> bool) -> Index {
        self.base.index + self.entries.partition_point(|entry| such(entry.term)) as Index
    }

    /// Adds an entry at the end.
    pub(super) fn append(&mut self, entry: Entry) {
        let last = self.last();
        assert!(
            entry.index == last.index + 1 && entry.term >= last.term,
            "entry {} of term {} cannot follow entry {} of term {}",
            entry.index,
            entry.term,
            last.index,
            last.term,
        );
        self.entries.push(entry);
    }

    /// Removes all entries after `last`, none of which may be committed.
    pub(super) fn truncate(&mut self, last: Index, commit: Index) {
        assert!(last >= commit, "a committed entry, {commit}, must not be removed (cut to {last})");
        self.entries.truncate((last - self.base.index) as usize);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::{EntryKind, Hash};

    fn log_after(base: Position, terms: &[Term]) -> Log {
        let mut log = Log::recovered(base, Vec::new());
        for &term in terms {
            let payload = Bytes::from_static(b"12345");
            log.append(Entry::after(log.last(), term, EntryKind::Normal, payload));
        }
        log
    }

    fn log(terms: &[Term]) -> Log {
        log_after(Position::default(), terms)
    }

    #[test]
    fn runs_of_a_term_are_found() {
        let log = log(&[1, 1, 1, 4, 4, 5, 6, 6]);
        assert_eq!(log.first_of_term(3), 1);
        assert_eq!(log.first_of_term(5), 4);
        assert_eq!(log.first_of_term(8), 7);
        assert_eq!(log.last_of_term(0), 0);
        assert_eq!(log.last_of_term(3), 3);
        assert_eq!(log.last_of_term(4), 5);
        assert_eq!(log.last_of_term(9), 8);
    }

    #[test]
    fn what_is_compacted_and_what_is_past_the_end_are_different_answers() {
        let base = Position { index: 10, term: 4, hash: Hash(7) };
        let log = log_after(base, &[4, 6]);
        assert_eq!((log.base(), log.last().index), (base, 12));
        let terms = [0, 9, 10, 11, 12, 13].map(|index| log.term(index));
        use Missing::{Compacted, PastEnd};
        assert_eq!(terms, [Err(Compacted), Err(Compacted), Ok(4), Ok(4), Ok(6), Err(PastEnd)]);
        assert_eq!(log.get(10).unwrap_err(), Compacted, "only its position is known");
        assert_eq!(log.get(11).unwrap().index, 11);
        assert_eq!(log.position(10), Ok(base));
        assert!(log.agrees(9, 1) && log.agrees(12, 6) && !log.agrees(12, 5) && !log.agrees(13, 6));
        assert_eq!(log.batch(11, 0)[0].index, 11);
        assert_eq!(log.first_of_term(11), 11, "the base is not looked at");
        assert_eq!((log.last_of_term(4), log.last_of_term(1)), (11, 10));
        assert_eq!(Log::recovered(base, Vec::new()).last(), base);
    }

    #[test]
    fn entries_after_a_base_can_be_replaced() {
        let mut log = log_after(Position { index: 10, term: 4, hash: Hash(7) }, &[4, 6]);
        log.truncate(10, 10);
        assert_eq!(log.last().index, 10);
        let entry = Entry::after(log.last(), 8, EntryKind::NoOp, Bytes::new());
        log.append(entry);
        assert_eq!(log.term(11), Ok(8));
    }

    #[test]
    fn a_batch_has_at_least_one_entry() {
        let log = log(&[1, 1, 1, 1]);
        assert_eq!(log.batch(2, 0).len(), 1);
        assert_eq!(log.batch(2, 10).len(), 2);
        assert_eq!(log.batch(2, 1000).len(), 3);
        assert_eq!(log.batch(5, 1000).len(), 0);
    }

    #[test]
    #[should_panic(expected = "a committed entry")]
    fn a_committed_entry_is_never_removed() {
        log(&[1, 1, 1]).truncate(1, 2);
    }
}
