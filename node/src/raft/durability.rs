//! What of a node's state the disk holds, and what is on its way there.

use std::collections::VecDeque;

use super::{HardState, Index};

/// What of a node's state the disk holds, and what is on its way there.
///
/// - Writes complete in the order of their ids.
/// - `index` is the last durable entry *of the present log*. Removing entries lowers `index`, and
///   lowers what each write in flight will confirm. So a write of entries that were replaced
///   meanwhile never confirms the entries that stand in their place.
#[derive(Debug)]
pub(super) struct Durability {
    /// Durable term and vote.
    pub(super) hard_state: HardState,
    /// Last durable entry of the present log.
    pub(super) index: Index,
    /// Last entry of the present log that was staged for the disk.
    pub(super) staged: Index,
    /// Term and vote that were last staged for the disk.
    pub(super) staged_hard_state: HardState,
    in_flight: VecDeque<Write>,
}

/// A write in flight and what it will make durable.
#[derive(Debug)]
struct Write {
    id: u64,
    hard_state: HardState,
    last: Index,
}

impl Durability {
    /// A disk that holds all there is.
    pub(super) fn recovered(hard_state: HardState, last: Index) -> Self {
        Self {
            hard_state,
            index: last,
            staged: last,
            staged_hard_state: hard_state,
            in_flight: VecDeque::new(),
        }
    }

    /// Notes that write `id` carries `hard_state` and all entries up to `last`.
    pub(super) fn stage(&mut self, id: u64, hard_state: HardState, last: Index) {
        assert!(
            self.in_flight.back().is_none_or(|write| write.id < id),
            "write {id} is not later than the writes in flight"
        );
        self.staged = last;
        self.staged_hard_state = hard_state;
        self.in_flight.push_back(Write { id, hard_state, last });
    }

    /// Write `id` and all before it are durable. Returns whether this is news.
    pub(super) fn complete(&mut self, id: u64) -> bool {
        let mut news = false;
        while let Some(write) = self.in_flight.pop_front_if(|write| write.id <= id) {
            self.hard_state = write.hard_state;
            self.index = self.index.max(write.last);
            news = true;
        }
        news
    }

    /// The log ends at `last` from now on.
    pub(super) fn truncate(&mut self, last: Index) {
        self.index = self.index.min(last);
        self.staged = self.staged.min(last);
        for write in &mut self.in_flight {
            write.last = write.last.min(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_suffix_is_not_durable_when_its_first_version_is() {
        let hard_state = |term| HardState { term, vote: None };
        let mut durability = Durability::recovered(hard_state(1), 0);
        durability.stage(1, hard_state(1), 10);
        durability.truncate(5);
        durability.stage(2, hard_state(2), 10);
        assert!(durability.complete(1));
        assert_eq!((durability.index, durability.hard_state), (5, hard_state(1)));
        assert!(durability.complete(2));
        assert_eq!((durability.index, durability.hard_state), (10, hard_state(2)));
        assert!(!durability.complete(2));
    }
}
