//! Who led which term, with which log: enough to know what could still be overwritten.
//!
//! Two logs that hold an entry of the same index and term are equal up to it (Log Matching), and a
//! leader alone makes the entries of its term. So a log that ends in an entry of term `t` is that
//! of `t`'s leader as far as it goes: what that one had when it was elected, then entries of `t`.

use proto::trace::Position;

use crate::{nemesis::NodeId, plan::NODES_MAX};

/// Nodes are numbered from 1; place 0 is empty.
pub(super) const NODES: usize = NODES_MAX as usize + 1;

/// A term that has a leader.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub(super) term: u64,
    pub(super) leader: NodeId,
    /// The last entry of the leader's log when it was elected: an earlier term's.
    pub(super) inherited: Position,
    /// How far each node acknowledged the leader's log.
    acknowledged: [u64; NODES],
}

impl Reign {
    /// The highest index that a majority of so many nodes holds: the leader itself, and others.
    pub(super) fn on_majority(&self, size: u64) -> u64 {
        let others = size as usize / 2;
        if others == 0 {
            return 0;
        }
        let mut held = self.acknowledged;
        held.sort_unstable();
        held[NODES - others.min(NODES)]
    }
}

/// All terms that have a leader, ascending.
#[derive(Debug, Default)]
pub(super) struct Reigns(Vec<Reign>);

impl Reigns {
    /// A node leads a term from now on.
    pub(super) fn begins(&mut self, term: u64, leader: NodeId, inherited: Position) {
        let place = self.0.partition_point(|reign| reign.term < term);
        let reign = Reign { term, leader, inherited, acknowledged: [0; NODES] };
        self.0.insert(place, reign);
    }

    /// A node acknowledges the log of a term's leader up to an index.
    #[inline]
    pub(super) fn acknowledged(&mut self, node: NodeId, term: u64, index: u64) {
        // Nearly always the latest one.
        if let Some(reign) = self.0.iter_mut().rev().find(|reign| reign.term <= term)
            && reign.term == term
        {
            let known = &mut reign.acknowledged[node as usize % NODES];
            *known = index.max(*known);
        }
    }

    /// The latest term that has a leader.
    #[inline]
    pub(super) fn latest(&self) -> Option<&Reign> {
        self.0.last()
    }

    /// The latest leader of a term before this one.
    pub(super) fn leader_before(&self, term: u64) -> Option<NodeId> {
        let before = self.0.partition_point(|reign| reign.term < term).checked_sub(1)?;
        self.0.get(before).map(|reign| reign.leader)
    }

    /// The term of the entry at an index, in a log that ends behind it or there, in an entry of
    /// term `last`.
    pub(super) fn term_at(&self, index: u64, mut last: u64) -> Option<u64> {
        for reign in self.0.iter().rev() {
            if reign.term == last {
                if reign.inherited.index < index {
                    return Some(last);
                }
                last = reign.inherited.term;
            }
        }
        None
    }

    /// Whether the entry at an index is committed, though perhaps no node knows: a leader's entry
    /// of its own term, there or behind, was on a majority of so many nodes in that term (section
    /// 5.4.2).
    pub(super) fn is_committed(&self, index: u64, size: u64) -> bool {
        self.0.iter().any(|reign| {
            let on_majority = reign.on_majority(size);
            reign.inherited.index < on_majority && index <= on_majority
        })
    }
}
