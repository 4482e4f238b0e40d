//! What is known of a phase of a fault: how it was applied, what proves that it took effect, what
//! proves that it is over. One variant for each thing that is seen.
//!
//! A variant that is there proves nothing yet: a cut whose counters are all zero dropped nothing.
//! Which content is a proof is said in [`property::faults`](crate::property::faults).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Link;

/// Something of each node (`n1`).
pub type ByNode<T> = BTreeMap<String, T>;

/// What is known of a phase of a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Why the fault failed, or was skipped.
    Reason(String),
    /// How it was applied.
    Applied(Applied),
    /// A signal ended these processes.
    Ended(ByNode<Ended>),
    /// These processes are frozen: a question to each hung until it was given up, after so many
    /// milliseconds.
    Frozen(ByNode<u64>),
    /// A cut drops packets.
    Dropped {
        /// Probes that failed, by their link.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        probes_failed: Vec<Link>,
        /// What was dropped, a counter a link.
        counters: Vec<Counter>,
    },
    /// Messages that were delayed, lost, duplicated or reordered, by link.
    Struck(BTreeMap<Link, u64>),
    /// Connections broke.
    Broken {
        /// Messages lost in flight, by link.
        lost: BTreeMap<Link, u64>,
        /// Clients that waited for something.
        clients: ByNode<u64>,
    },
    /// What disks show.
    Damaged(ByNode<Damage>),
    /// Nodes refused to start from a damaged disk, in these words.
    Refused(ByNode<String>),
    /// How far clocks went.
    Clocks(ByNode<ClockReading>),
    /// Nodes answer again, or should.
    Answered {
        /// Those that did.
        nodes: ByNode<Answered>,
        /// Those that run and have not answered, so many milliseconds after the heal was
        /// requested: they owe an answer, and the fault no longer excuses them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        silent: ByNode<u64>,
        /// Those that another fault killed meanwhile.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        killed: Vec<String>,
    },
    /// Links are whole again.
    Passed {
        /// Probes that passed, by their link.
        probes: Vec<Link>,
        /// How long after the heal was requested the last one passed.
        after_ms: u64,
        /// Links that another fault still holds.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        held: Vec<Link>,
    },
}

/// How a fault was applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// What was done.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub how: Option<How>,
    /// Nodes that it left alone, as other faults (of these numbers) hold them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_alone: ByNode<usize>,
    /// Nodes whose pause by other faults (of these numbers) it ended.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thawed: ByNode<usize>,
}

/// What was done to apply a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// A signal was sent.
    Signal(String),
    /// Rules of the packet filter were installed, as a person would type them.
    Rules {
        /// The rules.
        rules: Vec<String>,
        /// For how long the cut was partial, if that is measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skew_us: Option<u64>,
    },
    /// Links were troubled.
    Trouble {
        /// The links.
        links: Vec<Link>,
        /// The share of messages that are struck, unless all are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        share: Option<f64>,
        /// By how much a message comes later at most, if any does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        later_us: Option<u64>,
    },
    /// Syncs take longer, by so much at most.
    SyncsLongerUs(u64),
    /// Bits were flipped.
    Flipped(ByNode<Damage>),
    /// Clocks were changed.
    Clock(ClockChange),
}

/// A change of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockChange {
    /// It runs at this rate, in percent of its own.
    RatePercent(u64),
    /// It jumps forward.
    ForwardUs(u64),
    /// It jumps back.
    BackUs(u64),
}

/// A process that a signal ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Number of the start that ended.
    pub boot: u64,
    /// The code that the process ended with.
    pub exit_code: i64,
    /// How a question to it failed.
    pub unanswered: String,
    /// Disk sectors that were lost or torn, where the cluster can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsynced_sectors: Option<usize>,
}

/// What a cut dropped on one link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The receiver, which drops.
    pub node: String,
    /// The rule.
    pub rule: String,
    /// Packets, or messages.
    pub packets: u64,
    /// Bytes, if they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What a disk shows for a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Syncs that were slow.
    Slow {
        /// How many.
        syncs: u64,
        /// The longest.
        longest_us: u64,
    },
    /// The node stopped.
    Stopped {
        /// Why, in its own words.
        why: String,
        /// The start that ended.
        boot: u64,
    },
    /// A bit is flipped.
    Flipped {
        /// In which file.
        file: String,
        /// In which byte.
        byte: usize,
        /// Which bit.
        bit: u8,
        /// Where the record begins.
        record: u64,
        /// The start that ended.
        boot: u64,
    },
}

/// How far a clock went since it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// What it gained.
    pub gained_us: u64,
    /// What it would have gained by itself.
    pub natural_us: u64,
}

impl ClockReading {
    /// Whether the clock went as it does by itself, but for rounding.
    pub fn is_natural(self) -> bool {
        self.gained_us.abs_diff(self.natural_us) <= 1
    }
}

/// A node that answers again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// How long after the heal was requested.
    pub after_ms: u64,
    /// Number of the start that the fault ended, and of the start that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots: Option<[u64; 2]>,
}
