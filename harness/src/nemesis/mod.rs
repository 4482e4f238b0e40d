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
//! Kills, pauses and partitions happen on containers and in simulation alike. Faults of the network,
//! of disks and of clocks are simulated only.
//!
//! To add a fault: a variant of [`Fault`], its name in [`spec`], how to install, prove and heal
//! it in `run::faults` and in `cluster::sim`.

pub mod overlap;
pub mod schedule;
pub mod shape;
pub mod spec;
pub mod target;
pub mod trouble;

use std::{collections::BTreeSet, fmt, time::Duration};

use checker::fault;
use serde::{Deserialize, Serialize};

pub use shape::{Cut, Link, Shape};
pub use spec::Menu;
pub use target::Target;
use trouble::Variants;
pub use trouble::{ClockTrouble, DiskTrouble, NetworkTrouble};

/// The kinds of faults.
pub const KINDS: [&str; 6] =
    ["kill", "pause", "partition", NetworkTrouble::KIND, DiskTrouble::KIND, ClockTrouble::KIND];

/// Names a node, from 1.
pub type NodeId = u64;

/// A fault without its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL; the heal starts the node again with the same data.
    Kill {
        /// Who is killed.
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
    /// All links of the target misbehave. Simulated only.
    Network {
        /// How.
        how: NetworkTrouble,
        /// Whose links.
        target: Target,
    },
    /// The target's disks misbehave. Simulated only.
    Disk {
        /// How.
        how: DiskTrouble,
        /// Whose disks.
        target: Target,
    },
    /// The target's clocks go wrong. Simulated only.
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

    /// Whether it takes the leader from the others of a cluster of so many, where it acts on these
    /// nodes, and leaves a majority that can elect another.
    ///
    /// A killed leader comes back as a follower. One that is frozen or cut off is replaced only where
    /// a majority is left. One that is deaf goes on sending heartbeats, and in a bridge or a ring it
    /// sees a majority.
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
                Self::Kill { .. } => true,
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

    /// Whether only a simulated cluster can suffer it.
    pub fn is_simulated_only(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::Disk { .. } | Self::Clock { .. })
    }

    /// The target or shape in words: `leader`, `leader alone`, `deaf: leader`, `fail-sync: one`.
    pub fn what(&self) -> String {
        match self {
            Self::Kill { target } | Self::Pause { target } => target.to_string(),
            Self::Partition { shape, target: Target::One } => shape.words().to_owned(),
            Self::Partition { shape, target } => format!("{}: {target}", shape.words()),
            Self::Network { how, target } => format!("{}: {target}", how.name()),
            Self::Disk { how, target } => format!("{}: {target}", how.name()),
            Self::Clock { how, target } => format!("{}: {target}", how.name()),
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
            | Self::Pause { target }
            | Self::Partition { target, .. }
            | Self::Network { target, .. }
            | Self::Disk { target, .. }
            | Self::Clock { target, .. } => target,
        }
    }

    /// Whether it has no nodes while there is no leader.
    pub fn needs_leader(&self) -> bool {
        let relative = |target: &Target| matches!(target, Target::Leader | Target::Followers);
        match self {
            Self::Kill { target }
            | Self::Pause { target }
            | Self::Network { target, .. }
            | Self::Disk { target, .. }
            | Self::Clock { target, .. } => relative(target),
            Self::Partition { shape, target } => {
                matches!(shape, Shape::LeaderAlone | Shape::LeaderMinority)
                    || (shape.takes_target() && relative(target))
            }
        }
    }

    /// Says why a cluster of so many nodes cannot suffer this fault, if it cannot.
    pub fn impossible(&self, nodes: u64) -> Option<String> {
        let too_small = |least: u64| {
            (nodes < least).then(|| {
                format!("`{self}` needs at least {least} nodes, and there {}", count(nodes))
            })
        };
        let absent = |target: &Target| match target {
            Target::Node(id) if *id > nodes => {
                Some(format!("`{self}` names node n{id}, and there {}", count(nodes)))
            }
            _ => None,
        };
        match self {
            Self::Kill { target }
            | Self::Pause { target }
            | Self::Disk { target, .. }
            | Self::Clock { target, .. } => too_small(target.least()).or_else(|| absent(target)),
            Self::Network { target, .. } => {
                too_small(target.least().max(2)).or_else(|| absent(target))
            }
            Self::Partition { shape, target } if !shape.takes_target() => (*target != Target::One)
                .then(|| format!("`{self}`: the shape {shape} takes no target"))
                .or_else(|| too_small(shape.least())),
            Self::Partition { target: Target::All, .. } => {
                Some(format!("`{self}` cuts nothing: nobody is left on the other side"))
            }
            Self::Partition { shape, target } => {
                too_small(shape.least().max(target.least())).or_else(|| absent(target))
            }
        }
    }
}

/// The nodes and links that a proof names, for its record.
pub(crate) fn observed(proof: &serde_json::Value) -> fault::Observed {
    fn texts<'a>(proof: &'a serde_json::Value, out: &mut Vec<&'a str>) {
        match proof {
            serde_json::Value::String(text) => out.push(text),
            serde_json::Value::Array(list) => list.iter().for_each(|it| texts(it, out)),
            serde_json::Value::Object(map) => map.iter().for_each(|(name, value)| {
                out.push(name);
                texts(value, out);
            }),
            _ => {}
        }
    }
    let is_node = |word: &str| word.strip_prefix('n').is_some_and(|id| id.parse::<u64>().is_ok());
    let mut all = Vec::new();
    texts(proof, &mut all);
    let (mut nodes, mut links) = (BTreeSet::new(), BTreeSet::new());
    for text in all {
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '→') {
            let mut ends = word.split('→');
            if let (Some(from), Some(to), None) = (ends.next(), ends.next(), ends.next())
                && is_node(from)
                && is_node(to)
            {
                links.insert(fault::Link { from: from.to_owned(), to: to.to_owned() });
            }
            nodes.extend(word.split('→').filter(|word| is_node(word)).map(str::to_owned));
        }
    }
    fault::Observed { nodes: nodes.into_iter().collect(), links: links.into_iter().collect() }
}

/// Links as evidence names them.
pub(crate) fn named_links(links: &BTreeSet<Link>) -> Vec<fault::Link> {
    let name = |node: NodeId| format!("n{node}");
    links.iter().map(|link| fault::Link { from: name(link.from), to: name(link.to) }).collect()
}

fn count(nodes: u64) -> String {
    if nodes == 1 { "is 1".to_owned() } else { format!("are {nodes}") }
}

impl fmt::Display for Fault {
    /// As `--faults` takes it: `kill:leader`, `partition:deaf:leader`, `disk:flip:one`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { target } | Self::Pause { target } => {
                write!(f, "{}:{target}", self.kind())
            }
            Self::Partition { shape, target: Target::One } => write!(f, "partition:{shape}"),
            Self::Partition { shape, target } => write!(f, "partition:{shape}:{target}"),
            Self::Network { how, target } => write!(f, "network:{}:{target}", how.name()),
            Self::Disk { how, target } => write!(f, "disk:{}:{target}", how.name()),
            Self::Clock { how, target } => write!(f, "clock:{}:{target}", how.name()),
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
        for fault in ["kill", "pause", "partition:leader-alone", "partition:mute"] {
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
    fn a_proof_says_where_it_was_seen() {
        let proof = serde_json::json!({ "n3": { "exit_code": 137 }, "counters": { "n12→n1": 3 } });
        let seen = observed(&proof);
        assert_eq!(seen.nodes, ["n1", "n12", "n3"]);
        assert_eq!(seen.links, [fault::Link { from: "n12".into(), to: "n1".into() }]);
        assert!(observed(&"no leader is known".into()).is_empty());
    }

    #[test]
    fn a_fault_needs_a_leader_exactly_if_it_is_skipped_without_one() {
        let menu: Menu = "kill,pause,partition,network,disk,clock".parse().unwrap();
        let nodes = [1, 2, 3, 4, 5];
        for fault in menu.items.into_iter().flatten() {
            assert!(KINDS.contains(&fault.kind()), "{fault}");
            let resolved = match fault {
                Fault::Kill { target }
                | Fault::Pause { target }
                | Fault::Network { target, .. }
                | Fault::Disk { target, .. }
                | Fault::Clock { target, .. } => target.resolve(&nodes, None, 0).map(drop),
                Fault::Partition { shape, target } => {
                    shape.resolve(target, &nodes, None, 0).map(drop)
                }
            };
            assert_eq!(resolved == Err(Unresolved::NoLeader), fault.needs_leader(), "{fault}");
        }
    }
}
