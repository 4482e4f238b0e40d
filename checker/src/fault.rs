//! The account of faults: `faults.jsonl`, one phase of one fault a line.

use serde::{Deserialize, Serialize};

/// One line of `faults.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Position of the fault in the plan's schedule, from 0.
    pub fault: usize,
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// What became of the fault.
    pub phase: Phase,
    /// `kill`, `pause`, `partition`, …
    pub kind: String,
    /// What was asked for, in words: the shape and the symbolic target (`leader alone`, `minority`).
    pub what: String,
    /// The nodes it was aimed at, once resolved (`n1`), ascending.
    pub nodes: Vec<String>,
    /// The leader when the fault was asked for, where one was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Proof or reason: rules and their counters, probes, container state; an error's text.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
}

/// The life of a fault, in order. A fault without `Bitten` or without `Healed` is inert: it makes
/// the run inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The schedule asks for it.
    Requested,
    /// The kernel or the daemon accepted it.
    Installed,
    /// It was seen to take effect.
    Bitten,
    /// The schedule asks for its end.
    HealRequested,
    /// Its effect was seen to be over.
    Healed,
    /// It could not be installed, proved or healed; `detail` says why.
    Failed,
    /// It had no effect to have: its target is empty now (`leader` without a leader).
    Skipped,
}
