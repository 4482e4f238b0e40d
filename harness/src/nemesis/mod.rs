//! What can be done to a cluster, as plain data: faults, whom they aim at, and when.
//!
//! A fault names its target symbolically (`leader`, `minority`), so that one schedule runs on any
//! cluster. When its time comes it is resolved by pure functions of the nodes, the leader of that
//! moment and a random number that the schedule holds:
//!
//! - [`target`]: a [`Target`] becomes nodes;
//! - [`shape`]: a [`Shape`] becomes [`Link`]s to cut;
//! - [`schedule`]: a seed becomes a list of [`Injection`]s;
//! - [`spec`]: the text of `--faults` becomes the list of faults to choose from;
//! - [`overlap`]: what a fault may do while others are active;
//! - [`trouble`]: what can be wrong with a network, a disk or a clock.
//!
//! Each kind of cluster says which faults it can suffer: see `cluster::supports`.
//!
//! To add a kind of fault, in this order:
//! - [`checker::fault::Kind`], its name and the list of all, which is the list of kinds here too;
//!   [`checker::fault::Detail`], what it shows, and in `checker::property::proof` what proves it;
//! - a variant of [`Fault`], with the arms that the compiler asks for, and its name in [`spec`];
//! - what it may do while others are active: a method of [`overlap::Holds`];
//! - a file in `exercise/fault`, which says what it orders and what proves it, listed there. If no
//!   deed fits, a new one in `exercise::order`; the compiler shows where deeds are carried out.

pub mod overlap;
pub mod schedule;
pub mod shape;
pub mod spec;
pub mod target;
pub mod trouble;

use std::{collections::BTreeSet, fmt, time::Duration};

use checker::fault;
pub use checker::fault::Link;
use serde::{Deserialize, Serialize};

/// Names a node, from 1.
pub use node::raft::NodeId;
pub use shape::{Cut, Shape};
pub use spec::Menu;
pub use target::Target;
use trouble::Variants;
pub use trouble::{ClockTrouble, DiskTrouble, NetworkTrouble};

/// The kinds of faults.
pub const KINDS: [&str; fault::Kind::ALL.len()] = {
    let mut names = [""; fault::Kind::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = fault::Kind::ALL[at].name();
        at += 1;
    }
    names
};

/// A fault without its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL; the heal starts the node again with the same data.
    Kill {
        /// Who is killed.
        target: Target,
    },
    /// SIGTERM, on which the node stops in order; the heal starts it again with the same data.
    Restart {
        /// Who is stopped.
        target: Target,
    },
    /// The freezer: no process of the node runs, its sockets stay open.
    Pause {
        /// Who is frozen.
        target: Target,
    },
    /// The kernel drops packets between nodes; clients still reach every node.
    Partition {
        /// Which links are cut.
        shape: Shape,
        /// The side that is cut off, for shapes that leave it open; see [`Shape::takes_target`].
        #[serde(default = "one", skip_serializing_if = "is_one")]
        target: Target,
    },
    /// All links of the target misbehave.
    Network {
        /// How.
        how: NetworkTrouble,
        /// Whose links.
        target: Target,
    },
    /// The target's disks misbehave.
    Disk {
        /// How.
        how: DiskTrouble,
        /// Whose disks.
        target: Target,
    },
    /// The target's clocks go wrong.
    Clock {
        /// How.
        how: ClockTrouble,
        /// Whose clocks.
        target: Target,
    },
}

fn one() -> Target {
    Target::One
}

fn is_one(target: &Target) -> bool {
    *target == Target::One
}

impl Fault {
    /// What it does, as evidence has it.
    pub fn class(&self) -> fault::Kind {
        match self {
            Self::Kill { .. } => fault::Kind::Kill,
            Self::Restart { .. } => fault::Kind::Restart,
            Self::Pause { .. } => fault::Kind::Pause,
            Self::Partition { .. } => fault::Kind::Partition,
            Self::Network { .. } => fault::Kind::Network,
            Self::Disk { .. } => fault::Kind::Disk,
            Self::Clock { .. } => fault::Kind::Clock,
        }
    }

    /// One of [`KINDS`].
    pub fn kind(&self) -> &'static str {
        self.class().name()
    }

    /// Whether it takes the leader from the others of a cluster of so many, if it acts on these
    /// nodes, and leaves a majority that can elect another.
    ///
    /// A killed leader comes back as a follower. One that is frozen or cut off is replaced only
    /// where a majority is left. One that is deaf goes on sending heartbeats, and in a bridge or a
    /// ring it sees a majority.
    pub fn severs_leader(
        &self,
        leader: Option<NodeId>,
        nodes: &BTreeSet<NodeId>,
        cluster: u64,
    ) -> bool {
        let is_hit = leader.is_some_and(|leader| nodes.contains(&leader));
        let minority = 2 * (nodes.len() as u64) < cluster;
        is_hit
            && match self {
                Self::Kill { .. } | Self::Restart { .. } => true,
                Self::Pause { .. } => minority,
                Self::Partition { shape, .. } => {
                    minority
                        && match shape {
                            Shape::One
                            | Shape::Halves
                            | Shape::Minority
                            | Shape::LeaderMinority
                            | Shape::LeaderAlone
                            | Shape::Mute => true,
                            Shape::MajoritiesRing | Shape::Bridge | Shape::Deaf => false,
                        }
                }
                Self::Network { .. } | Self::Disk { .. } | Self::Clock { .. } => false,
            }
    }

    /// What narrows its kind, if anything does.
    fn variant(&self) -> Option<&'static str> {
        match self {
            Self::Network { how, .. } => Some(how.name()),
            Self::Disk { how, .. } => Some(how.name()),
            Self::Clock { how, .. } => Some(how.name()),
            Self::Kill { .. }
            | Self::Restart { .. }
            | Self::Pause { .. }
            | Self::Partition { .. } => None,
        }
    }

    /// The shape of a fault that cuts links.
    fn shape(&self) -> Option<Shape> {
        match self {
            Self::Partition { shape, .. } => Some(*shape),
            _ => None,
        }
    }

    /// The target or shape in words: `leader`, `leader alone`, `deaf: leader`, `fail-sync: one`.
    pub fn what(&self) -> String {
        match (self.shape().map(Shape::words).or(self.variant()), self.target()) {
            (None, target) => target.to_string(),
            (Some(shape), Target::One) if self.shape().is_some() => shape.to_owned(),
            (Some(narrower), target) => format!("{narrower}: {target}"),
        }
    }

    /// Whom it aims at; of a partition, where its shape leaves that open.
    pub fn target(mut self) -> Target {
        *self.target_mut()
    }

    /// The same fault, aimed at others.
    #[must_use]
    pub fn aimed_at(mut self, target: Target) -> Self {
        *self.target_mut() = target;
        self
    }

    fn target_mut(&mut self) -> &mut Target {
        match self {
            Self::Kill { target }
            | Self::Restart { target }
            | Self::Pause { target }
            | Self::Partition { target, .. }
            | Self::Network { target, .. }
            | Self::Disk { target, .. }
            | Self::Clock { target, .. } => target,
        }
    }

    /// Whether it is aimed relative to the leader, and skipped where none is known.
    pub fn needs_leader(&self) -> bool {
        let relative = matches!(self.target(), Target::Leader | Target::Followers);
        match self.shape() {
            Some(Shape::LeaderAlone | Shape::LeaderMinority) => true,
            Some(shape) => shape.takes_target() && relative,
            None => relative,
        }
    }

    /// The nodes and links it means now; only a fault that cuts links has some.
    ///
    /// # Errors
    /// It has no nodes now.
    pub fn resolve(
        &self,
        nodes: &[NodeId],
        leader: Option<NodeId>,
        pick: u64,
    ) -> Result<Cut, Unresolved> {
        match self.shape() {
            Some(shape) => shape.resolve(self.target(), nodes, leader, pick),
            None => {
                let nodes = self.target().resolve(nodes, leader, pick)?;
                Ok(Cut { nodes, links: BTreeSet::new() })
            }
        }
    }

    /// Says why a cluster of so many nodes cannot suffer this fault, if it cannot.
    pub fn impossible(&self, nodes: u64) -> Option<String> {
        let target = self.target();
        let too_small = |least: u64| {
            (nodes < least).then(|| {
                format!("`{self}` needs at least {least} nodes, and there {}", count(nodes))
            })
        };
        let absent = match target {
            Target::Node(id) if id > nodes => {
                Some(format!("`{self}` names node n{id}, and there {}", count(nodes)))
            }
            _ => None,
        };
        match self.shape() {
            Some(shape) if !shape.takes_target() => (target != Target::One)
                .then(|| format!("`{self}`: the shape {shape} takes no target"))
                .or_else(|| too_small(shape.least())),
            Some(_) if target == Target::All => {
                Some(format!("`{self}` cuts nothing: nobody is left on the other side"))
            }
            Some(shape) => too_small(shape.least().max(target.least())).or(absent),
            // A node alone has no links.
            None if matches!(self, Self::Network { .. }) => {
                too_small(target.least().max(2)).or(absent)
            }
            None => too_small(target.least()).or(absent),
        }
    }
}

fn count(nodes: u64) -> String {
    if nodes == 1 { "is 1".to_owned() } else { format!("are {nodes}") }
}

impl fmt::Display for Fault {
    /// As `--faults` takes it: `kill:leader`, `partition:deaf:leader`, `disk:flip:one`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, target) = (self.kind(), self.target());
        match (self.shape(), self.variant()) {
            (Some(shape), _) if target == Target::One => write!(f, "{kind}:{shape}"),
            (Some(shape), _) => write!(f, "{kind}:{shape}:{target}"),
            (None, Some(variant)) => write!(f, "{kind}:{variant}:{target}"),
            (None, None) => write!(f, "{kind}:{target}"),
        }
    }
}

/// A fault of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injection {
    /// When it is asked for, since the start of the load.
    #[serde(with = "humantime_serde")]
    pub at: Duration,
    /// How long after that its heal is asked for.
    #[serde(rename = "for", with = "humantime_serde")]
    pub lasts: Duration,
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// Decides every random choice in resolving the fault.
    pub pick: u64,
}

/// Why a target or shape has no nodes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The target is relative to the leader, and none is known.
    #[error("no leader is known")]
    NoLeader,
    /// The cluster is too small for the target.
    #[error("the cluster has no such nodes")]
    Nobody,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_severed_where_a_majority_is_left_that_can_elect_another() {
        let severs = |fault: &str, leader, nodes: &[NodeId]| {
            let fault = fault.parse::<Menu>().unwrap().items[0][0];
            fault.severs_leader(leader, &nodes.iter().copied().collect(), 5)
        };
        for fault in ["kill", "restart", "pause", "partition:leader-alone", "partition:mute"] {
            assert!(severs(fault, Some(2), &[2]), "{fault}");
            assert!(!severs(fault, Some(1), &[2]) && !severs(fault, None, &[2]), "{fault}");
        }
        for fault in ["partition:deaf", "partition:bridge", "network:slow", "disk:slow"] {
            assert!(!severs(fault, Some(2), &[2]), "{fault}");
        }
        assert!(severs("kill:majority", Some(2), &[1, 2, 3]));
        assert!(!severs("pause:majority", Some(2), &[1, 2, 3]), "nobody is left to elect");
    }

    #[test]
    fn a_fault_needs_a_leader_exactly_if_it_is_skipped_without_one() {
        let menu: Menu = KINDS.join(",").parse().unwrap();
        let nodes = [1, 2, 3, 4, 5];
        for fault in menu.items.into_iter().flatten() {
            assert!(KINDS.contains(&fault.kind()), "{fault}");
            let resolved = fault.resolve(&nodes, None, 0).map(drop);
            assert_eq!(resolved == Err(Unresolved::NoLeader), fault.needs_leader(), "{fault}");
        }
    }
}
