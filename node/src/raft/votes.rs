//! The votes that a candidate has.

use super::{Configuration, NodeId};
use crate::mutants::{Mutant, Mutants};

/// The nodes that granted their vote, each once however often its vote arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Votes(Vec<NodeId>);

impl Votes {
    /// Counts the vote of `voter`.
    pub(super) fn grant(&mut self, voter: NodeId, configuration: &Configuration, mutants: Mutants) {
        if !self.0.contains(&voter) {
            self.0.push(voter);
        } else if mutants.has(Mutant::CountsVoterTwice) {
            self.0.extend(configuration.voters().find(|other| !self.0.contains(other)));
        }
    }

    /// Whether a quorum granted its votes.
    pub(super) fn won(&self, configuration: &Configuration, mutants: Mutants) -> bool {
        configuration.is_quorum(|id| self.0.contains(&id), mutants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Mutants = Mutants::NONE;

    #[test]
    fn a_vote_counts_once() {
        let three = Configuration::of_voters(vec![1, 2, 3]).unwrap();
        let mut votes = Votes::default();
        votes.grant(1, &three, NONE);
        votes.grant(1, &three, NONE);
        assert!(!votes.won(&three, NONE));
        votes.grant(2, &three, NONE);
        assert!(votes.won(&three, NONE));
        assert!(!votes.won(&Configuration::of_voters(vec![1, 2, 3, 4]).unwrap(), NONE));
    }

    #[test]
    fn the_vote_of_a_learner_does_not_count() {
        let two = Configuration::new(vec![1, 2], vec![], vec![3]).unwrap();
        let mut votes = Votes::default();
        votes.grant(1, &two, NONE);
        votes.grant(3, &two, NONE);
        assert!(!votes.won(&two, NONE));
    }
}
