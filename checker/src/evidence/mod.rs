//! A run directory, as the checker sees it. [`load()`] reads one.

pub mod load;
pub mod plan;
pub mod sums;

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{fault, history::Events, version::Version};

pub use load::{Error, load};

/// Everything that was recorded.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// `history.jsonl`.
    pub history: Events,
    /// `faults.jsonl`.
    pub faults: Vec<fault::Record>,
    /// `trace/<node>.jsonl`, a list per node in the order of its file.
    pub traces: Vec<Vec<proto::trace::Record>>,
    /// `run.json`.
    pub run: Run,
    /// `plan.json`, if the run had a plan.
    pub plan: Option<plan::Plan>,
}

/// The version of a run directory: of `run.json` and of the files beside it that are evidence.
/// Another version is refused.
pub const VERSION: u64 = 2;

/// `run.json`: what the checker must know of a run beside its events. Written by the harness
/// when the run ends; a run without it was cut short, which the verdict says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`VERSION`].
    pub version: Version<VERSION>,
    /// The model that clients were promised, by its name in [`judge`](crate::judge): `register`.
    pub model: String,
    /// Wall clock at time 0 of history and faults, nanoseconds since the Unix epoch.
    pub started: u64,
    /// Nanoseconds from time 0 to the end of the last operation.
    pub duration: u64,
    /// Number of nodes.
    pub nodes: usize,
    /// Nodes that were never started: they rightly left no trace, and hold no state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_started: Vec<u64>,
    /// Whether nodes of this system write a trace; if so, its absence is not green.
    pub traced: bool,
    /// Whether the run was simulated: the verdict and every report of it say so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub simulated: bool,
    /// Written when the run began, and not since: the harness was killed, or is still at work.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unfinished: bool,
    /// Time 0 to the moment at which every fault was healed and recovery began, in nanoseconds.
    pub healed: Option<u64>,
    /// Time 0 to the moment from which nodes were stopped, in nanoseconds; 0: unknown.
    #[serde(default)]
    pub stopped: u64,
    /// Messages that nodes sent to each other, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// What each node said of its store after the last operation.
    pub final_hashes: Vec<FinalHash>,
    /// What the run must reach, else it is undecided or violated.
    pub expect: Expect,
    /// Nodes whose trace is not the one that was recorded: what it does not say proves nothing.
    /// Found when evidence is loaded, never written.
    #[serde(skip)]
    pub lost: BTreeSet<u64>,
    /// Nodes that ended by a defect of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crashes: Vec<Crash>,
    /// What kept the run from going on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<Stuck>,
    /// How the run differed when its plan was simulated again, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs: Option<Differs>,
    /// What was seen of the nodes' limits, where somebody watched what they take in and send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Watched>,
    /// Anything that keeps the evidence from being complete (a trace that could not be fetched, a
    /// stop by Ctrl-C): the run is then at best undecided.
    pub incomplete: Vec<String>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            version: Version,
            model: "register".into(),
            started: 0,
            duration: 0,
            nodes: 0,
            never_started: Vec::new(),
            traced: false,
            simulated: false,
            unfinished: false,
            healed: None,
            stopped: 0,
            messages: None,
            final_hashes: Vec::new(),
            expect: Expect::default(),
            lost: BTreeSet::new(),
            crashes: Vec::new(),
            stuck: Vec::new(),
            differs: None,
            limits: None,
            incomplete: Vec::new(),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What a node said of its store after the last operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FinalHash {
    /// The node (`n1`).
    pub node: String,
    /// The last entry that it had applied, before and after it gave the hash.
    pub applied: u64,
    /// The store's revision.
    pub revision: i64,
    /// The store's hash at that revision.
    pub hash: u32,
}

/// A node that ended, or did not start, for no reason but its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// Which node.
    pub node: u64,
    /// What happened.
    #[serde(default)]
    pub ending: Ending,
    /// How it ended, and what it last said.
    pub how: String,
}

/// Something that kept a run from going on: a node that spins or hangs, or a storm of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// The node that did, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// What happened again and again, and since when.
    pub how: String,
}

/// What differed first when a plan was simulated twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// The node that did something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// What it did, both times.
    pub how: String,
}

/// What was seen of the nodes' limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Requests that nodes took in.
    pub requests: u64,
    /// Limits that they broke; of each kind and node the first time.
    pub breaches: Vec<Breach>,
}

/// A limit that a node broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Which node.
    pub node: u64,
    /// What it did, and what its limit is.
    pub how: String,
}

/// How a node fails for no reason but its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It found its own state impossible.
    #[default]
    Defect,
    /// It refused what its disk held, or stopped over its disk, and no fault had touched the disk.
    Disk,
}

/// What a run must reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// After the last heal the cluster must serve within this time. Milliseconds in JSON.
    #[serde(with = "milliseconds", rename = "recovery_ms")]
    pub recovery: Duration,
    /// A node must answer and apply what others applied within this time, whenever it is linked to
    /// a majority and no fault hits any of them. Milliseconds in JSON.
    #[serde(with = "milliseconds", rename = "service_ms", default = "service")]
    pub service: Duration,
    /// After so long a calm of a node and a majority that it is linked to, no election has a cause.
    /// None: some may have, such as messages that the network loses. Milliseconds in JSON.
    #[serde(
        with = "maybe_milliseconds",
        rename = "stable_ms",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub stable: Option<Duration>,
    /// The share of requests that a node may leave unanswered in a calm, while it answers others.
    /// None: any, since the network loses too much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misses: Option<f64>,
    /// In a calm that has lasted for `service`, a request is answered within this time, but for
    /// that share. None: as long as it takes, since leaders may change by themselves or disks be
    /// slow. Milliseconds in JSON.
    #[serde(
        with = "maybe_milliseconds",
        rename = "prompt_ms",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub prompt: Option<Duration>,
    /// A node must serve so long after it is linked to a leader that no fault hits either. None: it
    /// may have to catch up with more, and only `service` counts. Milliseconds in JSON.
    #[serde(
        with = "maybe_milliseconds",
        rename = "settles_ms",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub settles: Option<Duration>,
    /// A follower that hears of a leader at least so often begins no election, and hears of it so
    /// often whenever no fault hits either. None: the network or the clocks are too bad for that.
    /// Milliseconds in JSON.
    #[serde(
        with = "maybe_milliseconds",
        rename = "election_ms",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub election: Option<Duration>,
    /// The errors INTERNAL, UNKNOWN and DATA_LOSS come from nodes alone, and mean a defect.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sound: bool,
    /// Fewer successful operations make the run undecided.
    pub operations: u64,
    /// Faults of the plan, each of which must have its records.
    #[serde(default)]
    pub faults: usize,
    /// A leader that is gone for this long is replaced. Milliseconds in JSON.
    #[serde(with = "milliseconds", rename = "deposing_ms", default = "deposing")]
    pub deposing: Duration,
}

/// Enough for election timeouts of up to a second.
fn deposing() -> Duration {
    Duration::from_secs(3)
}

/// As long as recovery takes at most.
fn service() -> Duration {
    Duration::from_secs(10)
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            recovery: Duration::from_secs(10),
            service: service(),
            stable: None,
            misses: None,
            prompt: None,
            settles: None,
            election: None,
            sound: false,
            operations: 1,
            faults: 0,
            deposing: deposing(),
        }
    }
}

mod maybe_milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::milliseconds::serialize(value, s),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
    }
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}
