//! Nodes that must answer again: what kill, pause and failed disks have in common.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::kind::{Miss, milliseconds};
use crate::{
    exercise::{Deed, Finding, Process, Seen, Time},
    nemesis::NodeId,
};

/// A node that was started again must answer within this time.
pub(super) const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// One question waits so long for its answer.
const ANSWER: Duration = Duration::from_millis(500);

/// Who has answered, and who must still.
#[derive(Clone, Debug, Default)]
pub(super) struct Alive {
    /// The starts that a fault ended, for the account: a start that is not later shows only that
    /// the node forgot its data, which is for its trace to tell.
    pub(super) boots: BTreeMap<NodeId, u64>,
    answers: BTreeMap<NodeId, Value>,
}

impl Alive {
    /// Nodes whose starts of these numbers were ended.
    pub(super) fn new(boots: BTreeMap<NodeId, u64>) -> Self {
        Self { boots, answers: BTreeMap::new() }
    }

    /// First asks the nodes that have not answered; then looks at the processes of those that did
    /// not answer again, which may have ended.
    pub(super) fn deeds(&self, round: usize, nodes: &BTreeSet<NodeId>, seen: &[Seen]) -> Vec<Deed> {
        match round {
            0 => nodes
                .iter()
                .filter(|node| !self.answers.contains_key(node))
                .map(|&node| Deed::Ask { node, patience: ANSWER })
                .collect(),
            1 => seen
                .iter()
                .filter(|seen| seen.outcome.is_err())
                .filter_map(|seen| match seen.deed {
                    Deed::Ask { node, .. } => Some(Deed::Examine(node)),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Takes in what the deeds found of these nodes. `since`: when the heal was requested.
    ///
    /// # Errors
    /// A node has ended again by itself.
    pub(super) fn see(
        &mut self,
        seen: &[Seen],
        nodes: &BTreeSet<NodeId>,
        since: Time,
    ) -> Result<(), Miss> {
        for Seen { deed, outcome, at } in seen {
            match (deed, outcome) {
                (Deed::Ask { node, .. } | Deed::Examine(node), _) if !nodes.contains(node) => {}
                (Deed::Ask { node, .. }, Ok(Finding::Status(status))) => {
                    let after = milliseconds(at.saturating_sub(since));
                    let proof = match self.boots.get(node) {
                        Some(boot) => {
                            json!({ "boot": [boot, status.boot], "answered_after_ms": after })
                        }
                        None => json!({ "answered_after_ms": after }),
                    };
                    self.answers.entry(*node).or_insert(proof);
                }
                (
                    Deed::Examine(node),
                    Ok(Finding::Process(Process { running: false, exit: Some(exit), .. })),
                ) => return Err(Miss::Exited(*node, exit.clone(), "started again")),
                _ => {}
            }
        }
        Ok(())
    }

    /// The proof, once all these nodes have answered.
    pub(super) fn proof(&self, nodes: &BTreeSet<NodeId>) -> Option<Map<String, Value>> {
        let proof = |node| Some((format!("n{node}"), self.answers.get(node)?.clone()));
        nodes.iter().map(proof).collect()
    }
}
