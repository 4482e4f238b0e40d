//! Whom a fault aims at.

use std::{collections::BTreeSet, fmt, str::FromStr};

use node::raft::VOTERS_MAX;
use rand::{Rng, RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{NodeId, Unresolved};

/// Nodes, named symbolically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// One node at random.
    One,
    /// As many nodes at random as may fail without harm: `(n - 1) / 2`.
    Minority,
    /// The smallest majority, at random: `n / 2 + 1`.
    Majority,
    /// Every node.
    All,
    /// The leader of the moment.
    Leader,
    /// Every node but the leader of the moment.
    Followers,
    /// A random number of nodes, at random.
    Random,
    /// This node.
    Node(NodeId),
}

/// Every target that names no node, with its name.
const NAMED: [(Target, &str); 7] = [
    (Target::One, "one"),
    (Target::Minority, "minority"),
    (Target::Majority, "majority"),
    (Target::All, "all"),
    (Target::Leader, "leader"),
    (Target::Followers, "followers"),
    (Target::Random, "random"),
];

impl Target {
    /// The smallest cluster that has such nodes.
    pub(super) fn least(self) -> u64 {
        match self {
            Self::Minority => 3,
            Self::Followers => 2,
            _ => 1,
        }
    }

    /// The nodes that are meant now, of `nodes` and at least one of them.
    ///
    /// # Errors
    /// The target is empty: there is no leader, or the cluster is too small.
    pub fn resolve(
        self,
        nodes: &[NodeId],
        leader: Option<NodeId>,
        pick: u64,
    ) -> Result<BTreeSet<NodeId>, Unresolved> {
        let shuffled = shuffled(nodes, pick);
        let first = |count: usize| shuffled.iter().copied().take(count).collect::<BTreeSet<_>>();
        let leader = leader.ok_or(Unresolved::NoLeader);
        let n = nodes.len();
        let found = match self {
            Self::One => first(1),
            Self::Minority => first(n.saturating_sub(1) / 2),
            Self::Majority => first(n / 2 + 1),
            Self::All => first(n),
            Self::Leader => BTreeSet::from([leader?]),
            Self::Followers => {
                let leader = leader?;
                nodes.iter().copied().filter(|node| *node != leader).collect()
            }
            Self::Random if n > 0 => first(generator(pick ^ 1).random_range(1..=n)),
            Self::Random => BTreeSet::new(),
            Self::Node(id) => nodes.iter().copied().filter(|node| *node == id).collect(),
        };
        if found.is_empty() { Err(Unresolved::Nobody) } else { Ok(found) }
    }
}

/// The nodes in a random order.
pub(super) fn shuffled(nodes: &[NodeId], pick: u64) -> Vec<NodeId> {
    let mut nodes = nodes.to_vec();
    nodes.shuffle(&mut generator(pick));
    nodes
}

fn generator(pick: u64) -> impl Rng {
    ChaCha8Rng::seed_from_u64(pick)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Node(id) = self {
            return write!(f, "n{id}");
        }
        let name = NAMED.iter().find(|(target, _)| target == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((target, _)) = NAMED.iter().find(|(_, name)| *name == text) {
            return Ok(*target);
        }
        match text.strip_prefix('n').map(str::parse::<NodeId>) {
            Some(Ok(id)) if (1..=VOTERS_MAX as NodeId).contains(&id) => Ok(Self::Node(id)),
            _ => Err(format!(
                "unknown target `{text}`: choose one of {}, or a node, n1 to n{VOTERS_MAX}",
                NAMED.map(|(_, name)| name).join(", ")
            )),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: [NodeId; 5] = [1, 2, 3, 4, 5];

    fn resolve(target: Target, pick: u64) -> Vec<NodeId> {
        target.resolve(&FIVE, Some(3), pick).unwrap().into_iter().collect()
    }

    #[test]
    fn targets_have_the_size_that_their_names_say() {
        for pick in 0..50 {
            assert_eq!(resolve(Target::One, pick).len(), 1);
            assert_eq!(resolve(Target::Minority, pick).len(), 2);
            assert_eq!(resolve(Target::Majority, pick).len(), 3);
            assert_eq!(resolve(Target::All, pick), FIVE);
            assert_eq!(resolve(Target::Leader, pick), [3]);
            assert_eq!(resolve(Target::Followers, pick), [1, 2, 4, 5]);
            assert_eq!(resolve(Target::Node(4), pick), [4]);
            assert!((1..=5).contains(&resolve(Target::Random, pick).len()));
        }
    }

    #[test]
    fn random_targets_reach_every_node_and_every_size() {
        let ones: BTreeSet<_> = (0..100).map(|pick| resolve(Target::One, pick)).collect();
        assert_eq!(ones.len(), 5);
        let sizes: BTreeSet<_> = (0..100).map(|pick| resolve(Target::Random, pick).len()).collect();
        assert_eq!(sizes, BTreeSet::from([1, 2, 3, 4, 5]));
    }

    #[test]
    fn the_same_pick_gives_the_same_nodes() {
        for pick in 0..20 {
            assert_eq!(resolve(Target::Minority, pick), resolve(Target::Minority, pick));
        }
    }

    #[test]
    fn an_empty_target_says_why() {
        assert_eq!(Target::Leader.resolve(&FIVE, None, 0), Err(Unresolved::NoLeader));
        assert_eq!(Target::Followers.resolve(&FIVE, None, 0), Err(Unresolved::NoLeader));
        assert_eq!(Target::Followers.resolve(&[1], Some(1), 0), Err(Unresolved::Nobody));
        assert_eq!(Target::Minority.resolve(&[1, 2], Some(1), 0), Err(Unresolved::Nobody));
        assert_eq!(Target::Node(7).resolve(&FIVE, None, 0), Err(Unresolved::Nobody));
    }

    #[test]
    fn names_round_trip_and_unknown_ones_are_refused() {
        for target in NAMED.map(|(target, _)| target).into_iter().chain([Target::Node(9)]) {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        for bad in ["", "n0", "n10", "nobody", "Leader"] {
            assert!(bad.parse::<Target>().unwrap_err().contains("choose one of"), "{bad}");
        }
    }
}
