//! What a search finds, and simpler plans are made of.

use std::{collections::BTreeSet, time::Duration};

use crate::{nemesis::NodeId, plan::Plan};

/// A run that violates the property, or leaves it undecided.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// Its plan.
    pub(super) plan: Plan,
    /// What it violates, or leaves undecided.
    pub(super) property: String,
    /// Why the property is undecided, if it is: a sentence without its numbers.
    pub(super) undecided: Option<String>,
    /// When it was violated, since the start of the load; no later than the end of the run.
    pub(super) at: Duration,
    /// Whether the run ended with it, as it does with a rule of Raft's safety.
    pub(super) ended: bool,
    /// Operations that the clients of the load began.
    pub(super) begun: usize,
    /// The nodes that each fault hit, by number of the fault.
    pub(super) hit: Vec<BTreeSet<NodeId>>,
}
