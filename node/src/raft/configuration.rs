//! Who votes, who only listens, and what a quorum of them is.
//!
//! Outside a change of membership, a quorum is a majority of the voters. During a change (*joint
//! consensus*: paper, section 6) there are two sets of voters, and a quorum needs a majority of
//! each:
//!
//! ```text
//! outgoing   1  2  3          {2, 3} is a majority of the outgoing voters,
//! incoming         3  4  5    {3, 4} of the incoming ones: {2, 3, 4} is a quorum.
//! ```
//!
//! Quorums are counted from scratch each time, over a small sorted array, and never kept up to date
//! step by step: that is simple enough to be right, and fast enough for nine voters.

use bytes::Bytes;
use prost::Message as _;
use proto::peer;

use super::{NodeId, quorum};
use crate::mutants::Mutants;

/// The members of a cluster.
///
/// - Each list is ascending.
/// - `incoming` is never empty; `outgoing` is empty outside a change of membership.
/// - A learner is no voter of `incoming`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    incoming: Vec<NodeId>,
    outgoing: Vec<NodeId>,
    learners: Vec<NodeId>,
}

/// Why lists of ids are no configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// There is no voter.
    #[error("a configuration needs at least one voter")]
    NoVoters,
    /// The bytes are none of [`Configuration::encode`].
    #[error("the bytes are no configuration")]
    Malformed,
    /// A list is longer than [`quorum::VOTERS_MAX`].
    #[error("a configuration has at most {} nodes in each role", quorum::VOTERS_MAX)]
    TooMany,
    /// A list is not ascending, or has the id 0.
    #[error("the ids of a configuration must ascend, from 1")]
    NotAscending,
    /// A node is learner and voter of the same configuration.
    #[error("node {0} cannot be a learner and a voter")]
    LearnerVotes(NodeId),
}

impl Configuration {
    /// A configuration of voters alone, as it is outside a change of membership.
    ///
    /// # Errors
    /// See [`Invalid`].
    pub fn of_voters(voters: Vec<NodeId>) -> Result<Self, Invalid> {
        Self::new(voters, Vec::new(), Vec::new())
    }

    /// A configuration of `incoming` voters, `outgoing` voters (none outside a change of
    /// membership) and `learners`.
    ///
    /// # Errors
    /// See [`Invalid`].
    pub fn new(
        incoming: Vec<NodeId>,
        outgoing: Vec<NodeId>,
        learners: Vec<NodeId>,
    ) -> Result<Self, Invalid> {
        if incoming.is_empty() {
            return Err(Invalid::NoVoters);
        }
        for list in [&incoming, &outgoing, &learners] {
            if list.len() > quorum::VOTERS_MAX {
                return Err(Invalid::TooMany);
            }
            if !list.is_sorted_by(|a, b| a < b) || list.first() == Some(&0) {
                return Err(Invalid::NotAscending);
            }
        }
        match learners.iter().find(|id| incoming.contains(id)) {
            Some(id) => Err(Invalid::LearnerVotes(*id)),
            None => Ok(Self { incoming, outgoing, learners }),
        }
    }

    /// A configuration as entries and snapshots carry it: a [`peer::Configuration`].
    ///
    /// # Errors
    /// See [`Invalid`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Invalid> {
        let decoded = peer::Configuration::decode(bytes).map_err(|_| Invalid::Malformed)?;
        let peer::Configuration { incoming, outgoing, learners } = decoded;
        Self::new(incoming, outgoing, learners)
    }

    /// What [`Configuration::decode`] reads.
    pub fn encode(&self) -> Bytes {
        let Self { incoming, outgoing, learners } = self.clone();
        peer::Configuration { incoming, outgoing, learners }.encode_to_vec().into()
    }

    /// All voters, of either set, ascending.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> {
        merged(&self.incoming, &self.outgoing)
    }

    /// All nodes that entries are sent to: voters and learners, ascending.
    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> {
        let mut members: Vec<_> = self.voters().chain(self.learners.iter().copied()).collect();
        members.sort_unstable();
        members.dedup();
        members.into_iter()
    }

    /// Whether a node votes.
    #[inline]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.incoming.contains(&id) || self.outgoing.contains(&id)
    }

    /// Whether a node is a voter or a learner.
    #[inline]
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.contains(&id)
    }

    /// The largest value that a quorum has reached, given the value of each voter.
    pub(super) fn reached(&self, value: impl Fn(NodeId) -> u64, mutants: Mutants) -> u64 {
        let of = |voters: &[NodeId]| quorum::reached(voters.iter().map(|id| value(*id)), mutants);
        match self.outgoing.is_empty() {
            true => of(&self.incoming),
            false => of(&self.incoming).min(of(&self.outgoing)),
        }
    }

    /// Whether the voters that `agrees` names are a quorum.
    pub(super) fn is_quorum(&self, agrees: impl Fn(NodeId) -> bool, mutants: Mutants) -> bool {
        self.reached(|id| u64::from(agrees(id)), mutants) == 1
    }
}

/// The ids of two ascending lists, each once, ascending.
fn merged(a: &[NodeId], b: &[NodeId]) -> impl Iterator<Item = NodeId> {
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    std::iter::from_fn(move || {
        let (first, second) = (a.peek().copied(), b.peek().copied());
        let least = first.into_iter().chain(second).min();
        a.next_if(|id| Some(*id) == least);
        b.next_if(|id| Some(*id) == least);
        least
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: Mutants = Mutants::NONE;

    fn ids(bits: u16) -> Vec<NodeId> {
        (1..=9).filter(|id| bits & 1 << id != 0).collect()
    }

    fn joint(incoming: &[NodeId], outgoing: &[NodeId]) -> Configuration {
        Configuration::new(incoming.to_vec(), outgoing.to_vec(), Vec::new()).unwrap()
    }

    #[test]
    fn lists_that_are_no_configuration_are_refused() {
        let refused = |incoming: &[NodeId], outgoing: &[NodeId], learners: &[NodeId]| {
            Configuration::new(incoming.to_vec(), outgoing.to_vec(), learners.to_vec()).unwrap_err()
        };
        assert_eq!(refused(&[], &[1], &[]), Invalid::NoVoters);
        assert_eq!(refused(&[2, 1], &[], &[]), Invalid::NotAscending);
        assert_eq!(refused(&[1, 1], &[], &[]), Invalid::NotAscending);
        assert_eq!(refused(&[0, 1], &[], &[]), Invalid::NotAscending);
        assert_eq!(refused(&[1], &(1..=10).collect::<Vec<_>>(), &[]), Invalid::TooMany);
        assert_eq!(refused(&[1, 2], &[], &[2]), Invalid::LearnerVotes(2));
        // A voter that leaves may go on as a learner.
        assert!(Configuration::new(vec![1, 2], vec![1, 2, 3], vec![3]).is_ok());
    }

    #[test]
    fn a_configuration_is_read_back() {
        let all = Configuration::new(vec![1, 2], vec![2, 3], vec![4]).unwrap();
        assert_eq!(Configuration::decode(&all.encode()), Ok(all));
        assert_eq!(Configuration::decode(b""), Err(Invalid::NoVoters));
        assert_eq!(Configuration::decode(b"\xff"), Err(Invalid::Malformed));
    }

    #[test]
    fn a_quorum_needs_a_majority_of_both_sets() {
        let joint = joint(&[3, 4, 5], &[1, 2, 3]);
        let is_quorum = |ids: &[NodeId]| joint.is_quorum(|id| ids.contains(&id), NONE);
        assert!(is_quorum(&[2, 3, 4]) && is_quorum(&[1, 2, 4, 5]));
        assert!(!is_quorum(&[3, 4, 5]) && !is_quorum(&[1, 2, 3]) && !is_quorum(&[1, 3]));
    }

    #[test]
    fn learners_are_members_and_do_not_count() {
        let three = Configuration::new(vec![1, 2, 4], vec![], vec![3, 5]).unwrap();
        assert_eq!(three.members().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(three.contains(3) && !three.is_voter(3) && !three.contains(6));
        assert!(!three.is_quorum(|id| [1, 3, 5].contains(&id), NONE));
        assert!(three.is_quorum(|id| [1, 2].contains(&id), NONE));
    }

    proptest! {
        /// Against the definition: of each set of voters, more than half.
        #[test]
        fn quorums_agree_with_counting(
            incoming in 1_u16..1 << 9, outgoing in 0_u16..1 << 9, values in prop::array::uniform10(0_u64..6),
        ) {
            let (incoming, outgoing) = (ids(incoming << 1), ids(outgoing << 1));
            let configuration = joint(&incoming, &outgoing);
            let value = |id: NodeId| values[id as usize];
            let majority = |voters: &[NodeId], at_least: u64| {
                voters.is_empty()
                    || 2 * voters.iter().filter(|id| value(**id) >= at_least).count() > voters.len()
            };
            let both = |at_least| majority(&incoming, at_least) && majority(&outgoing, at_least);
            let expected = (0..6).rev().find(|at_least| both(*at_least)).unwrap();
            prop_assert_eq!(configuration.reached(value, NONE), expected);
            prop_assert_eq!(configuration.is_quorum(|id| value(id) >= 3, NONE), both(3));
            let mut voters = [incoming.clone(), outgoing.clone()].concat();
            voters.sort_unstable();
            voters.dedup();
            prop_assert_eq!(configuration.voters().collect::<Vec<_>>(), voters);
        }

        /// Two quorums of one configuration share a voter of each set, whatever the sets are.
        #[test]
        fn two_quorums_overlap(
            incoming in 1_u16..1 << 9, outgoing in 0_u16..1 << 9, first: u16, second: u16,
        ) {
            let (incoming, outgoing) = (ids(incoming << 1), ids(outgoing << 1));
            let configuration = joint(&incoming, &outgoing);
            let has = |bits: u16, id: NodeId| bits & 1 << id != 0;
            let is_quorum = |bits| configuration.is_quorum(|id| has(bits, id), NONE);
            if is_quorum(first) && is_quorum(second) {
                let shared = |id: &NodeId| has(first & second, *id);
                prop_assert!(incoming.iter().any(shared));
                prop_assert!(outgoing.is_empty() || outgoing.iter().any(shared));
            }
        }
    }
}
