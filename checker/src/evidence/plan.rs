//! `plan.json`, as far as the other files can be held against it.

use serde::Deserialize;

use crate::fault::Kind;

/// What was to be done. Fields that are not listed are the harness's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Plan {
    /// Number of nodes.
    pub nodes: usize,
    /// The schedule, in the order of the faults' numbers.
    pub faults: Vec<Injection>,
    /// What clients do.
    pub load: Load,
    /// What they do it to.
    pub workload: Workload,
}

/// A fault that was to be injected.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Injection {
    /// What it does.
    #[serde(rename = "fault")]
    pub kind: Kind,
}

/// How hard clients work.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Load {
    /// How many there are.
    pub concurrency: u64,
}

/// What clients do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Of registers: how many there are, `k0`, `k1`, …
    pub keys: Option<u64>,
}
