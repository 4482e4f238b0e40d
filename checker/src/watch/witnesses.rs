//! The watches that say by when a change had taken place.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

use super::history::{Watch, Write};

/// Of the watches that told something, those that were over first: all of one moment. It is not
/// enough to keep one of them, since each process did what it did next only after its own.
pub(super) struct Witnesses<'a> {
    /// By process, and in the order of its turns.
    watches: Vec<&'a Watch<'a>>,
}

impl<'a> Witnesses<'a> {
    /// The first of some watches; if there are any.
    pub(super) fn of(watches: impl IntoIterator<Item = &'a Watch<'a>>) -> Option<Self> {
        let mut first: Vec<&Watch<'_>> = Vec::new();
        for watch in watches {
            match first.first().map_or(Ordering::Equal, |other| watch.end.cmp(&other.end)) {
                Ordering::Less => first = vec![watch],
                Ordering::Equal => first.push(watch),
                Ordering::Greater => {}
            }
        }
        first.sort_unstable_by_key(|watch| (watch.source.process, watch.source.index));
        (!first.is_empty()).then_some(Self { watches: first })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a Watch<'a>> {
        self.watches.iter().copied()
    }

    /// One of them, to name it: that of the lowest process.
    pub(super) fn one(&self) -> &'a Watch<'a> {
        self.watches[0]
    }

    /// When they were over.
    pub(super) fn end(&self) -> u64 {
        self.one().end
    }

    /// One that was over before this was asked for: at that very moment, if both are of one process
    /// and the watch came first.
    pub(super) fn over_before(&self, write: &Write<'_>) -> Option<&'a Watch<'a>> {
        let (process, index) = (write.source.process, write.source.index);
        match self.end().cmp(&write.source.call) {
            Ordering::Less => Some(self.one()),
            Ordering::Equal => {
                let at = self.watches.partition_point(|watch| watch.source.process < process);
                let own = self.watches.get(at).copied();
                own.filter(|watch| watch.source.process == process && watch.source.index < index)
            }
            Ordering::Greater => None,
        }
    }
}

/// Of some writes, those that were asked for first, at one moment: of each process one. All others
/// come after one of these.
pub(super) struct First<'a> {
    call: u64,
    writes: FxHashMap<u64, &'a Write<'a>>,
}

impl<'a> First<'a> {
    pub(super) fn new(write: &'a Write<'a>) -> Self {
        let writes = FxHashMap::from_iter([(write.source.process, write)]);
        Self { call: write.source.call, writes }
    }

    /// The first of these, in order of invocation; if there are any.
    pub(super) fn of(mut writes: impl Iterator<Item = &'a Write<'a>>) -> Option<Self> {
        let mut first = Self::new(writes.next()?);
        writes.take_while(|write| first.add(write)).for_each(drop);
        Some(first)
    }

    /// Adds the next in order of invocation, if it was asked for as soon.
    pub(super) fn add(&mut self, write: &'a Write<'a>) -> bool {
        let at_once = write.source.call == self.call;
        if at_once {
            self.writes.entry(write.source.process).or_insert(write);
        }
        at_once
    }

    /// A watch that was over before one of these was asked for, if there is one for each. What was
    /// told is of none of them then, and of none that came later.
    pub(super) fn all_after(&self, told: &Witnesses<'a>) -> Option<&'a Watch<'a>> {
        match told.end().cmp(&self.call) {
            Ordering::Less => Some(told.one()),
            // Each is of another process, so that soon one has no watch.
            Ordering::Equal => {
                self.writes.values().try_fold(told.one(), |_, write| told.over_before(write))
            }
            Ordering::Greater => None,
        }
    }
}
