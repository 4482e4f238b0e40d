//! The appends that a follower has not answered yet.

use std::collections::VecDeque;

use super::Index;

/// The last index of each append in flight to one follower, ascending.
#[derive(Debug, Default)]
pub(super) struct Inflights(VecDeque<Index>);

impl Inflights {
    /// Whether `window` appends are in flight; one may always be.
    pub(super) fn is_full(&self, window: usize) -> bool {
        self.0.len() >= window.max(1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An append up to `last` was sent.
    pub(super) fn add(&mut self, last: Index) {
        self.0.push_back(last);
    }

    /// The follower has all entries up to `matched`.
    pub(super) fn free_to(&mut self, matched: Index) {
        while self.0.pop_front_if(|last| *last <= matched).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_frees_all_appends_before_it() {
        let mut inflights = Inflights::default();
        assert!(inflights.is_empty() && !inflights.is_full(0));
        for last in [3, 5, 9] {
            inflights.add(last);
        }
        assert!(inflights.is_full(3) && !inflights.is_full(4));
        inflights.free_to(4);
        assert!(inflights.is_full(2) && !inflights.is_full(3));
        inflights.free_to(9);
        assert!(inflights.is_empty());
    }
}
