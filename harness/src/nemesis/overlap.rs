//! What a fault may do while others are active. Pure bookkeeping, so that the rules are in one
//! place and tested without a cluster:
//!
//! - A node has at most one fault that keeps it down, and one that keeps it paused. A fault acts
//!   only on the nodes that are free for it; where none is, it is skipped.
//! - A kill acts on a paused node too, and thereby ends that pause: a frozen process can be killed,
//!   and a dead one is not frozen. A pause does not act on a node that is down.
//! - A fault that makes a node stop by itself (a failing disk) acts on nodes that are neither down
//!   nor paused, and they count as down from then on: they may stop at any moment.
//! - A disk is slowed, and a clock set wrong, by one fault at a time. These last through kills and
//!   pauses of the node, as the machine is the same.
//! - Cuts and network troubles add up: a link is whole again when the last fault that holds it is
//!   healed. So a heal is proved on the links that no other fault holds in either direction.

use std::collections::{BTreeMap, BTreeSet};

use super::{Link, NodeId};

/// A fault's position in its schedule.
pub type FaultId = usize;

/// A part of a node's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// How fast its disk is.
    Disk,
    /// Its clock.
    Clock,
}

/// Who holds what.
#[derive(Debug, Default)]
pub struct Holds {
    down: BTreeMap<NodeId, FaultId>,
    paused: BTreeMap<NodeId, FaultId>,
    parts: BTreeMap<(Part, NodeId), FaultId>,
    cuts: BTreeMap<FaultId, BTreeSet<Link>>,
    troubles: BTreeMap<FaultId, BTreeSet<Link>>,
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

    /// Asks for nodes that will stop by themselves.
    pub fn stop(&mut self, fault: FaultId, nodes: &BTreeSet<NodeId>) -> Granted {
        let mut granted = Granted::default();
        for &node in nodes {
            match self.down.get(&node).or_else(|| self.paused.get(&node)) {
                Some(&by) => {
                    granted.taken.insert(node, by);
                }
                None => {
                    self.down.insert(node, fault);
                    granted.nodes.insert(node);
                }
            }
        }
        granted
    }

    /// Asks for a part of nodes' machines.
    pub fn claim(&mut self, fault: FaultId, part: Part, nodes: &BTreeSet<NodeId>) -> Granted {
        let mut granted = Granted::default();
        for &node in nodes {
            match self.parts.get(&(part, node)) {
                Some(&by) => {
                    granted.taken.insert(node, by);
                }
                None => {
                    self.parts.insert((part, node), fault);
                    granted.nodes.insert(node);
                }
            }
        }
        granted
    }

    /// Holds links cut.
    pub fn cut(&mut self, fault: FaultId, links: &BTreeSet<Link>) {
        self.cuts.insert(fault, links.clone());
    }

    /// Holds links troubled, in both directions.
    pub fn trouble(&mut self, fault: FaultId, links: &BTreeSet<Link>) {
        self.troubles.insert(fault, links.clone());
    }

    /// Those of `links` that would be whole if `fault` were healed, there and back.
    pub fn whole_without(&self, fault: FaultId, links: &BTreeSet<Link>) -> BTreeSet<Link> {
        let held = |link: &Link| {
            let back = Link { from: link.to, to: link.from };
            let mut held = self.cuts.iter().chain(&self.troubles);
            held.any(|(by, links)| *by != fault && (links.contains(link) || links.contains(&back)))
        };
        links.iter().copied().filter(|link| !held(link)).collect()
    }

    /// The nodes that `fault` still keeps paused.
    pub fn paused_by(&self, fault: FaultId) -> BTreeSet<NodeId> {
        held_by(&self.paused, fault)
    }

    /// Ends all that `fault` holds.
    pub fn release(&mut self, fault: FaultId) {
        self.down.retain(|_, by| *by != fault);
        self.paused.retain(|_, by| *by != fault);
        self.parts.retain(|_, by| *by != fault);
        self.cuts.remove(&fault);
        self.troubles.remove(&fault);
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
        assert_eq!(holds.down, [(3, 1)].into());
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
    fn a_node_that_will_stop_by_itself_counts_as_down() {
        let mut holds = Holds::default();
        holds.pause(0, &nodes([1]));
        holds.kill(1, &nodes([2]));
        let stop = holds.stop(2, &nodes([1, 2, 3]));
        assert_eq!((stop.nodes, stop.taken), (nodes([3]), [(1, 0), (2, 1)].into()));
        assert!(holds.kill(3, &nodes([3])).nodes.is_empty());
        holds.release(2);
        assert_eq!(holds.kill(3, &nodes([3])).nodes, nodes([3]));
    }

    #[test]
    fn a_part_has_one_fault_at_a_time_whatever_the_node_does() {
        let mut holds = Holds::default();
        holds.kill(0, &nodes([1]));
        assert_eq!(holds.claim(1, Part::Clock, &nodes([1, 2])).nodes, nodes([1, 2]));
        assert_eq!(holds.claim(2, Part::Clock, &nodes([2, 3])).taken, [(2, 1)].into());
        assert_eq!(holds.claim(3, Part::Disk, &nodes([2])).nodes, nodes([2]));
        holds.release(1);
        assert_eq!(holds.claim(4, Part::Clock, &nodes([2])).nodes, nodes([2]));
    }

    #[test]
    fn a_link_is_whole_when_the_last_cut_that_holds_it_is_healed() {
        let mut holds = Holds::default();
        holds.cut(0, &both(1, 2));
        assert_eq!(holds.whole_without(0, &both(1, 2)), both(1, 2));
        let links: BTreeSet<_> = both(1, 2).union(&both(1, 3)).copied().collect();
        holds.cut(1, &links);
        assert_eq!(holds.whole_without(1, &links), both(1, 3));
        assert!(holds.whole_without(0, &both(1, 2)).is_empty());
        // One direction alone keeps the other from being answered.
        holds.cut(2, &[Link { from: 3, to: 1 }].into());
        assert!(holds.whole_without(1, &links).is_empty());
        holds.release(0);
        holds.release(2);
        assert_eq!(holds.whole_without(1, &links), links);
    }
}
