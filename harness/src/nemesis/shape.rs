//! The shapes of partitions: which links between nodes are cut.
//!
//! A [`Link`] is directed: packets from one node to another. A symmetric cut is two links.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Link, NodeId, Target, Unresolved, target::shuffled};

/// What a partition cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// The target (one node unless said otherwise) is cut off from all others.
    One,
    /// Two sides of equal size; of an odd number one side has one node more.
    Halves,
    /// The largest minority against the smallest majority, at random.
    Minority,
    /// As [`Shape::Minority`], with the leader among the minority.
    LeaderMinority,
    /// The leader is cut off from all others.
    LeaderAlone,
    /// Every node sees a majority, and no two see the same one.
    MajoritiesRing,
    /// Two halves that do not see each other, and one node that sees both.
    Bridge,
    /// The target hears nobody, and is heard by all.
    Deaf,
    /// The target is heard by nobody, and hears all.
    Mute,
}

/// Every shape, with its name on the command line and in words.
const SHAPES: [(Shape, &str, &str); 9] = [
    (Shape::One, "one", "one node"),
    (Shape::Halves, "halves", "halves"),
    (Shape::Minority, "minority", "minority/majority"),
    (Shape::LeaderMinority, "leader-minority", "leader in the minority"),
    (Shape::LeaderAlone, "leader-alone", "leader alone"),
    (Shape::MajoritiesRing, "majorities-ring", "majorities-ring"),
    (Shape::Bridge, "bridge", "bridge"),
    (Shape::Deaf, "deaf", "one-way deaf"),
    (Shape::Mute, "mute", "one-way mute"),
];

/// A resolved partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The nodes it is aimed at: the smaller side, the bridge, the deaf, the mute.
    pub nodes: BTreeSet<NodeId>,
    /// What is cut.
    pub links: BTreeSet<Link>,
}

impl Shape {
    /// Every shape.
    pub fn all() -> impl Iterator<Item = Self> {
        SHAPES.into_iter().map(|(shape, _, _)| shape)
    }

    /// The name in words.
    pub(super) fn words(self) -> &'static str {
        SHAPES.iter().find(|(shape, _, _)| *shape == self).map_or("", |(_, _, words)| words)
    }

    /// Whether a target says who is cut off.
    pub fn takes_target(self) -> bool {
        matches!(self, Self::One | Self::Deaf | Self::Mute)
    }

    /// The smallest cluster in which the shape exists.
    pub(super) fn least(self) -> u64 {
        match self {
            Self::One | Self::Halves | Self::LeaderAlone | Self::Deaf | Self::Mute => 2,
            Self::Minority | Self::LeaderMinority | Self::Bridge => 3,
            // In a ring of four every majority of three still differs from the others; in one of
            // three the majorities are pairs, and a pair is seen by both of its nodes.
            Self::MajoritiesRing => 4,
        }
    }

    /// The links to cut now.
    ///
    /// # Errors
    /// There is no leader, or the cluster is too small for the shape.
    pub fn resolve(
        self,
        target: Target,
        nodes: &[NodeId],
        leader: Option<NodeId>,
        pick: u64,
    ) -> Result<Cut, Unresolved> {
        let n = nodes.len();
        if (n as u64) < self.least() {
            return Err(Unresolved::Nobody);
        }
        let order = shuffled(nodes, pick);
        let first = |count: usize| order.iter().copied().take(count).collect::<BTreeSet<_>>();
        let all: BTreeSet<NodeId> = nodes.iter().copied().collect();
        let others = |side: &BTreeSet<NodeId>| all.difference(side).copied().collect();
        let (aimed, links) = match self {
            Self::One | Self::Deaf | Self::Mute => {
                let side = target.resolve(nodes, leader, pick)?;
                let rest: BTreeSet<NodeId> = others(&side);
                let links = match self {
                    Self::Deaf => one_way(&rest, &side),
                    Self::Mute => one_way(&side, &rest),
                    _ => both_ways(&side, &rest),
                };
                (side, links)
            }
            Self::Halves => {
                let side = first(n / 2);
                let links = both_ways(&side, &others(&side));
                (side, links)
            }
            Self::Minority => {
                let side = first((n - 1) / 2);
                let links = both_ways(&side, &others(&side));
                (side, links)
            }
            Self::LeaderMinority => {
                let leader = leader.ok_or(Unresolved::NoLeader)?;
                let mut side = BTreeSet::from([leader]);
                side.extend(
                    order.iter().copied().filter(|node| *node != leader).take((n - 1) / 2 - 1),
                );
                let links = both_ways(&side, &others(&side));
                (side, links)
            }
            Self::LeaderAlone => {
                let side = BTreeSet::from([leader.ok_or(Unresolved::NoLeader)?]);
                let links = both_ways(&side, &others(&side));
                (side, links)
            }
            Self::MajoritiesRing => (all, ring(&order)),
            Self::Bridge => {
                let bridge = first(1);
                let rest = order.get(1..).unwrap_or_default();
                let (a, b) = rest.split_at(rest.len() / 2);
                let links = both_ways(
                    &a.iter().copied().collect::<BTreeSet<_>>(),
                    &b.iter().copied().collect(),
                );
                (bridge, links)
            }
        };
        if links.is_empty() { Err(Unresolved::Nobody) } else { Ok(Cut { nodes: aimed, links }) }
    }
}

fn one_way(from: &BTreeSet<NodeId>, to: &BTreeSet<NodeId>) -> BTreeSet<Link> {
    from.iter().flat_map(|&from| to.iter().map(move |&to| Link { from, to })).collect()
}

fn both_ways(a: &BTreeSet<NodeId>, b: &BTreeSet<NodeId>) -> BTreeSet<Link> {
    one_way(a, b).into_iter().chain(one_way(b, a)).collect()
}

/// Puts the nodes on a ring and lets each see its nearest ones, as many as a majority needs (with
/// five nodes: one on each side). Sight is mutual; so where a majority needs an odd number of
/// others, each also sees the node opposite, or on a ring of odd size one more on each side.
fn ring(order: &[NodeId]) -> BTreeSet<Link> {
    let n = order.len();
    let others = n / 2;
    let radius = if others % 2 == 1 && n % 2 == 1 { others.div_ceil(2) } else { others / 2 };
    let sees = |a: usize, b: usize| {
        let ahead = (b + n - a) % n;
        let opposite = others % 2 == 1 && ahead * 2 == n;
        ahead.min(n - ahead) <= radius || opposite
    };
    let mut links = BTreeSet::new();
    for (a, &from) in order.iter().enumerate() {
        for (b, &to) in order.iter().enumerate() {
            if a != b && !sees(a, b) {
                links.insert(Link { from, to });
            }
        }
    }
    links
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            SHAPES.iter().find(|(shape, _, _)| shape == self).map_or("", |(_, name, _)| name),
        )
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        SHAPES.iter().find(|(_, name, _)| *name == text).map(|(shape, _, _)| *shape).ok_or_else(
            || {
                let names = SHAPES.map(|(_, name, _)| name).join(", ");
                format!("unknown shape `{text}` of a partition: choose one of {names}")
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who sees whom: `1` in row a, column b where a hears b; a node hears itself.
    struct Sight {
        hears: Vec<BTreeSet<NodeId>>,
        cut: Cut,
    }

    fn sight(shape: Shape, target: Target, n: u64, pick: u64) -> Sight {
        let nodes: Vec<NodeId> = (1..=n).collect();
        let cut = shape.resolve(target, &nodes, Some(2), pick).unwrap();
        let hears = nodes
            .iter()
            .map(|&to| {
                let deaf_to = |&from: &NodeId| cut.links.contains(&Link { from, to });
                nodes.iter().copied().filter(|from| !deaf_to(from)).collect()
            })
            .collect();
        Sight { hears, cut }
    }

    impl Sight {
        fn of(&self, node: NodeId) -> &BTreeSet<NodeId> {
            &self.hears[node as usize - 1]
        }
        fn mutual(&self) -> bool {
            self.cut
                .links
                .iter()
                .all(|link| self.cut.links.contains(&Link { from: link.to, to: link.from }))
        }
        /// Sizes of the groups that see exactly each other, ascending.
        fn groups(&self) -> Vec<usize> {
            let groups: BTreeSet<_> = self.hears.iter().collect();
            let mut sizes: Vec<_> = groups.iter().map(|group| group.len()).collect();
            sizes.sort_unstable();
            assert_eq!(sizes.iter().sum::<usize>(), self.hears.len(), "groups overlap");
            sizes
        }
    }

    #[test]
    fn shapes_of_two_sides_split_the_cluster_as_named() {
        for pick in 0..30 {
            for (shape, n, sizes) in [
                (Shape::One, 5, [1, 4]),
                (Shape::Halves, 5, [2, 3]),
                (Shape::Halves, 4, [2, 2]),
                (Shape::Minority, 5, [2, 3]),
                (Shape::Minority, 4, [1, 3]),
                (Shape::Minority, 9, [4, 5]),
                (Shape::LeaderMinority, 5, [2, 3]),
                (Shape::LeaderMinority, 3, [1, 2]),
                (Shape::LeaderAlone, 5, [1, 4]),
                (Shape::LeaderAlone, 2, [1, 1]),
            ] {
                let sight = sight(shape, Target::One, n, pick);
                assert!(sight.mutual(), "{shape}");
                assert_eq!(sight.groups(), sizes, "{shape} of {n}");
            }
        }
    }

    #[test]
    fn the_leader_is_where_the_name_says() {
        for pick in 0..30 {
            let minority = sight(Shape::LeaderMinority, Target::One, 5, pick);
            assert_eq!(minority.of(2).len(), 2);
            assert!(minority.cut.nodes.contains(&2));
            assert_eq!(sight(Shape::LeaderAlone, Target::One, 5, pick).of(2).len(), 1);
        }
    }

    #[test]
    fn in_a_ring_each_sees_a_majority_and_no_two_the_same() {
        for n in 4..=9 {
            for pick in 0..10 {
                let sight = sight(Shape::MajoritiesRing, Target::One, n, pick);
                assert!(sight.mutual());
                let seen: BTreeSet<_> = sight.hears.iter().collect();
                assert_eq!(seen.len(), n as usize, "two of {n} see the same majority");
                for hears in &sight.hears {
                    assert!(hears.len() as u64 > n / 2, "{n}: one sees only {hears:?}");
                    assert!((hears.len() as u64) < n, "{n}: one sees all");
                }
            }
        }
    }

    #[test]
    fn a_bridge_is_one_node_that_sees_two_halves_which_do_not_see_each_other() {
        for n in 3..=9 {
            let sight = sight(Shape::Bridge, Target::One, n, 7);
            assert!(sight.mutual());
            let bridges: Vec<NodeId> =
                (1..=n).filter(|&node| sight.of(node).len() as u64 == n).collect();
            assert_eq!(bridges, sight.cut.nodes.iter().copied().collect::<Vec<_>>());
            let sides: BTreeSet<_> =
                (1..=n).filter(|node| !bridges.contains(node)).map(|node| sight.of(node)).collect();
            assert_eq!(sides.len(), 2);
            let sizes: Vec<_> = sides.iter().map(|side| side.len() - 1).collect();
            assert!(sizes[0].abs_diff(sizes[1]) <= 1, "{sizes:?}");
        }
    }

    #[test]
    fn the_deaf_hear_only_themselves_and_are_heard_by_all() {
        let sight = sight(Shape::Deaf, Target::Leader, 5, 0);
        assert_eq!(sight.of(2), &BTreeSet::from([2]));
        for other in [1, 3, 4, 5] {
            assert_eq!(sight.of(other).len(), 5);
        }
    }

    #[test]
    fn the_mute_hear_all_and_are_heard_only_by_themselves() {
        let sight = sight(Shape::Mute, Target::Leader, 5, 0);
        assert_eq!(sight.of(2).len(), 5);
        for other in [1, 3, 4, 5] {
            assert!(!sight.of(other).contains(&2));
            assert_eq!(sight.of(other).len(), 4);
        }
    }

    #[test]
    fn a_shape_around_the_leader_needs_one() {
        for shape in [Shape::LeaderAlone, Shape::LeaderMinority] {
            assert_eq!(
                shape.resolve(Target::One, &[1, 2, 3, 4, 5], None, 0),
                Err(Unresolved::NoLeader)
            );
        }
    }

    #[test]
    fn nobody_is_cut_from_a_cluster_of_one() {
        for shape in Shape::all() {
            assert_eq!(
                shape.resolve(Target::One, &[1], Some(1), 0),
                Err(Unresolved::Nobody),
                "{shape}"
            );
        }
    }

    #[test]
    fn names_round_trip() {
        for shape in Shape::all() {
            assert_eq!(shape.to_string().parse(), Ok(shape));
            assert_eq!(serde_json::to_string(&shape).unwrap(), format!("\"{shape}\""));
        }
    }
}
