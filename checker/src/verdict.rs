//! What a check says: an outcome per property, and violations that a person understands.

use serde::{Deserialize, Serialize};

/// The outcome of a property or of a whole run. Ordered by weight: a violation outranks everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The property held.
    Ok,
    /// Undecided: a budget ran out, a fault was inert, or too little happened.
    Unknown,
    /// The property was violated.
    Violated,
}

/// `verdict.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The weightiest outcome of all properties.
    pub outcome: Outcome,
    /// The verdict in one sentence.
    pub summary: String,
    /// Every property that was checked, in a fixed order.
    pub properties: Vec<Property>,
}

/// One property and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// Stable name in kebab case, such as `election-safety` or `linearizability`.
    pub name: String,
    /// What was found.
    pub outcome: Outcome,
    /// What was examined (`12,345 operations on 40 keys`), or why it is undecided.
    pub detail: String,
    /// Each violation that was found, up to a limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

/// One violation of a property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// The property's name.
    pub rule: String,
    /// What happened, in a sentence that a person understands: who, what, when, against what.
    pub summary: String,
    /// Nodes concerned (`n1`), ascending.
    pub nodes: Vec<String>,
    /// Indices of history events concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<u64>,
    /// Trace lines concerned, as they were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<proto::trace::Record>,
}
