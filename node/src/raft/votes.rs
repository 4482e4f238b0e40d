//! The votes that a candidate has.

use super::quorum;
use crate::mutants::{Mutant, mutant};

/// A set of voters, each counted once however often its vote arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Votes(u16);

impl Votes {
    /// Counts the vote of the voter at `place` in the list of voters.
    pub(super) fn grant(&mut self, place: usize) {
        let next = mutant(Mutant::CountsVoterTwice).then(|| self.0.count_ones() as usize);
        self.0 |= 1 << next.unwrap_or(place);
    }

    /// Whether a majority of `voters` granted its vote.
    pub(super) fn won(self, voters: usize) -> bool {
        self.0.count_ones() as usize >= quorum::majority(voters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_counts_once() {
        let mut votes = Votes::default();
        votes.grant(1);
        votes.grant(1);
        assert!(!votes.won(3));
        votes.grant(2);
        assert!(votes.won(3));
        assert!(!votes.won(4));
    }
}
