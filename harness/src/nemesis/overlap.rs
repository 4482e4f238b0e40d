//! What a fault may do while others are active. Pure bookkeeping, so that the rules are in one
//! place and tested without a cluster:
//!
//! - A node has at most one fault that keeps it down, and one that keeps it paused. A fault acts
//!   only on the nodes that are free for it; where none is, it is skipped.
//! - A kill acts on a paused node too, and thereby ends that pause: a frozen process can be killed,
//!   and a dead one is not frozen. A pause does not act on a node that is down.
//! - Cuts add up: a link is whole again when the last cut that holds it is healed. A cut proves
//!   itself on links that no other cut holds in either direction, and between nodes that are up;
//!   where it has none, it is skipped.

use std::collections::{BTreeMap, BTreeSet};

use super::{Link, NodeId};

/// A fault's position in its schedule.
pub type FaultId = usize;

/// Who holds what.
#[derive(Debug, Default)]
pub struct Holds {
    down: BTreeMap<NodeId, FaultId>,
    paused: BTreeMap<NodeId, FaultId>,
    cuts: BTreeMap<FaultId, BTreeSet<Link>>,
}

/// The part of a request that a fault got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// The nodes it acts on.
    pub nodes: BTreeSet<NodeId>,
    /// The nodes that it must leave alone, each with the fault that holds it.
    pub taken: BTreeMap<NodeId, FaultId>,
    /// Pauses that it ends: node and fault.
    pub ends: BTreeMap<NodeId, FaultId>,
}

impl Holds {
    /// Asks to keep nodes down.
    pub fn kill(&mut self, fault: FaultId, nodes: &BTreeSet<NodeId>) -> Granted {
        let mut granted = Granted::default();
        for &node in nodes {
            if let Some(&by) = self.down.get(&node) {
                granted.taken.insert(node, by);
                continue;
            }
            self.down.insert(node, fault);
            granted.nodes.insert(node);
            if let Some(by) = self.paused.remove(&node) {
                granted.ends.insert(node, by);
            }
        }
        granted
    }

    /// Asks to keep nodes paused.
    pub fn pause(&mut self, fault: FaultId, nodes: &BTreeSet<NodeId>) -> Granted {
        let mut granted = Granted::default();
        for &node in nodes {
            match self.down.get(&node).or_else(|| self.paused.get(&node)) {
                Some(&by) => {
                    granted.taken.insert(node, by);
                }
                None => {
                    self.paused.insert(node, fault);
                    granted.nodes.insert(node);
                }
            }
        }
        granted
    }

    /// Holds links cut, and gives those on which the cut can prove itself.
    pub fn cut(&mut self, fault: FaultId, links: &BTreeSet<Link>) -> BTreeSet<Link> {
        let provable = self.provable(fault, links);
        self.cuts.insert(fault, links.clone());
        provable
    }

    /// Those of `links` whose traffic nothing but `fault` disturbs.
    pub fn provable(&self, fault: FaultId, links: &BTreeSet<Link>) -> BTreeSet<Link> {
        let disturbed =
            |node: NodeId| self.down.contains_key(&node) || self.paused.contains_key(&node);
        let cut_elsewhere = |link: &Link| {
            let back = Link { from: link.to, to: link.from };
            self.cuts
                .iter()
                .any(|(by, cut)| *by != fault && (cut.contains(link) || cut.contains(&back)))
        };
        links
            .iter()
            .copied()
            .filter(|link| !disturbed(link.from) && !disturbed(link.to) && !cut_elsewhere(link))
            .collect()
    }

    /// The nodes that `fault` still keeps paused.
    pub fn paused_by(&self, fault: FaultId) -> BTreeSet<NodeId> {
        held_by(&self.paused, fault)
    }

    /// The nodes that `fault` keeps down.
    pub fn down_by(&self, fault: FaultId) -> BTreeSet<NodeId> {
        held_by(&self.down, fault)
    }

    /// The nodes that are down or paused, each with the faults that hold it.
    pub fn disturbed(&self) -> BTreeSet<NodeId> {
        self.down.keys().chain(self.paused.keys()).copied().collect()
    }

    /// Ends all that `fault` holds.
    pub fn release(&mut self, fault: FaultId) {
        self.down.retain(|_, by| *by != fault);
        self.paused.retain(|_, by| *by != fault);
        self.cuts.remove(&fault);
    }
}

fn held_by(held: &BTreeMap<NodeId, FaultId>, fault: FaultId) -> BTreeSet<NodeId> {
    held.iter().filter(|(_, by)| **by == fault).map(|(node, _)| *node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes<const N: usize>(nodes: [NodeId; N]) -> BTreeSet<NodeId> {
        nodes.into()
    }

    fn both(a: NodeId, b: NodeId) -> BTreeSet<Link> {
        [Link { from: a, to: b }, Link { from: b, to: a }].into()
    }

    #[test]
    fn a_node_is_killed_once_at_a_time() {
        let mut holds = Holds::default();
        holds.kill(0, &nodes([1, 2]));
        let second = holds.kill(1, &nodes([2, 3]));
        assert_eq!(second.nodes, nodes([3]));
        assert_eq!(second.taken, [(2, 0)].into());
        holds.release(0);
        assert_eq!(holds.disturbed(), nodes([3]));
        assert_eq!(holds.kill(2, &nodes([2])).nodes, nodes([2]));
    }

    #[test]
    fn a_kill_ends_a_pause() {
        let mut holds = Holds::default();
        holds.pause(0, &nodes([1, 2]));
        let kill = holds.kill(1, &nodes([1]));
        assert_eq!(kill.nodes, nodes([1]));
        assert_eq!(kill.ends, [(1, 0)].into());
        assert_eq!(holds.paused_by(0), nodes([2]));
        assert_eq!(holds.down_by(1), nodes([1]));
    }

    #[test]
    fn a_pause_leaves_the_dead_and_the_frozen_alone() {
        let mut holds = Holds::default();
        holds.kill(0, &nodes([1]));
        holds.pause(1, &nodes([2]));
        let pause = holds.pause(2, &nodes([1, 2, 3]));
        assert_eq!(pause.nodes, nodes([3]));
        assert_eq!(pause.taken, [(1, 0), (2, 1)].into());
    }

    #[test]
    fn a_cut_is_proved_where_nothing_else_disturbs() {
        let mut holds = Holds::default();
        assert_eq!(holds.cut(0, &both(1, 2)), both(1, 2));
        let links: BTreeSet<_> = both(1, 2).union(&both(1, 3)).copied().collect();
        assert_eq!(holds.cut(1, &links), both(1, 3));
        // One direction alone disturbs the other: a probe needs an answer.
        holds.cut(2, &[Link { from: 4, to: 5 }].into());
        assert!(holds.cut(3, &[Link { from: 5, to: 4 }].into()).is_empty());
        holds.release(0);
        assert_eq!(holds.provable(1, &links), links);
        holds.kill(4, &nodes([3]));
        assert_eq!(holds.provable(1, &links), both(1, 2));
        holds.pause(5, &nodes([2]));
        assert!(holds.provable(1, &links).is_empty());
    }
}
