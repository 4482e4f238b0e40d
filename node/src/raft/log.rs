//! The log in memory.

use super::{Entry, Index, Position, Term};

/// All entries from index 1 on.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
}

impl Log {
    /// The log that a disk held.
    pub(super) fn recovered(entries: Vec<Entry>) -> Self {
        let mut prev = Position::default();
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
        Self { entries }
    }

    /// The last entry; all zero when there is none.
    pub(super) fn last(&self) -> Position {
        self.entries.last().map_or(Position::default(), Entry::position)
    }

    /// The place of the entry at `index`; all zero for index 0, none behind the last entry.
    pub(super) fn position(&self, index: Index) -> Option<Position> {
        if index == 0 { Some(Position::default()) } else { self.get(index).map(Entry::position) }
    }

    /// The term of the entry at `index`; 0 for index 0, none behind the last entry.
    pub(super) fn term(&self, index: Index) -> Option<Term> {
        self.position(index).map(|position| position.term)
    }

    /// The entry at `index`.
    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }

    /// The entries from `from` to the end.
    pub(super) fn tail(&self, from: Index) -> &[Entry] {
        assert!(from > 0 && from <= self.last().index + 1, "no entries from {from} on to read");
        &self.entries[from as usize - 1..]
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

    /// The first index of the run of entries with the term of the entry at `index`.
    pub(super) fn first_of_term(&self, index: Index) -> Index {
        let term = self.term(index).unwrap_or_default();
        self.entries[..index as usize].partition_point(|entry| entry.term < term) as Index + 1
    }

    /// The last index of an entry whose term is at most `term`; 0 when there is none.
    pub(super) fn last_of_term(&self, term: Term) -> Index {
        self.entries.partition_point(|entry| entry.term <= term) as Index
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

    /// Removes all entries behind `last`, none of which may be committed.
    pub(super) fn truncate(&mut self, last: Index, commit: Index) {
        assert!(last >= commit, "a committed entry, {commit}, must not be removed (cut to {last})");
        self.entries.truncate(last as usize);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn log(terms: &[Term]) -> Log {
        let mut log = Log::default();
        for &term in terms {
            log.append(Entry::after(log.last(), term, Bytes::from_static(b"12345")));
        }
        log
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
