//! The account of faults: `faults.jsonl`, one phase of one fault a line.

mod detail;
mod link;

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::version::Version;

pub use detail::{
    Answered, Applied, ByNode, ClockChange, ClockReading, Counter, Damage, Detail, Ended, How,
};
pub use link::Link;

/// One line of `faults.jsonl`. All but `what` are typed facts, by which the checker judges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format of the line.
    pub version: Version<2>,
    /// Position of the fault in the plan's schedule, from 0.
    pub fault: usize,
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// What became of the fault.
    pub phase: Phase,
    /// What is done.
    pub kind: Kind,
    /// What was asked for, in words: the shape and the symbolic target (`leader alone`,
    /// `minority`).
    pub what: String,
    /// The nodes it was aimed at, once resolved (`n1`), ascending.
    pub nodes: Vec<String>,
    /// The links that it cuts, once resolved, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The leader when the fault was asked for, where one was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Whether it takes that leader from the other nodes, and leaves a majority of them that can
    /// elect another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub severs_leader: bool,
    /// Where the effect was seen; of a fault that is healed, where it was seen to be over.
    #[serde(default, skip_serializing_if = "Observed::is_empty")]
    pub observed: Observed,
    /// How it was applied, what proves that it took effect or is over, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

impl Record {
    /// Why the fault failed or was skipped, in words.
    pub fn reason(&self) -> &str {
        match &self.detail {
            Some(Detail::Reason(why)) => why,
            _ => "no reason was recorded",
        }
    }
}

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Ends processes with SIGKILL; the heal starts them again.
    Kill,
    /// Stops processes in order with SIGTERM; the heal starts them again.
    Restart,
    /// Freezes processes.
    Pause,
    /// Cuts links.
    Partition,
    /// Makes links misbehave.
    Network,
    /// Makes disks misbehave.
    Disk,
    /// Makes clocks go wrong.
    Clock,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Kill,
        Self::Restart,
        Self::Pause,
        Self::Partition,
        Self::Network,
        Self::Disk,
        Self::Clock,
    ];

    /// Its name: `kill`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Clock => "clock",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where something was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// On these nodes (`n1`), ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// On these links, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

impl Observed {
    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.links.is_empty()
    }

    /// The nodes, and both ends of the links.
    pub fn ends(&self) -> BTreeSet<String> {
        let links = self.links.iter().flat_map(|link| [link.from, link.to]);
        self.nodes.iter().cloned().chain(links.map(|node| format!("n{node}"))).collect()
    }
}

/// The life of a fault, in order. A fault without `Confirmed` or without `Healed` is inert: it
/// makes the run inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The schedule asks for it.
    Requested,
    /// The kernel or the daemon accepted it.
    Applied,
    /// It was seen to take effect.
    Confirmed,
    /// The schedule asks for its end.
    HealRequested,
    /// Its effect was seen to be over.
    Healed,
    /// It could not be applied, confirmed or healed; `detail` says why.
    Failed,
    /// It had no effect to have: its target is empty now (`leader` without a leader).
    Skipped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_is_missing_from_the_list_of_all() {
        // The compiler asks for a new kind here; then it belongs into the list too.
        let last = match Kind::Kill {
            Kind::Kill
            | Kind::Restart
            | Kind::Pause
            | Kind::Partition
            | Kind::Network
            | Kind::Disk
            | Kind::Clock => Kind::Clock,
        };
        assert_eq!(Kind::ALL.len(), last as usize + 1);
        assert!(Kind::ALL.is_sorted());
    }
}
