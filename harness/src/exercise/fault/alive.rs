//! Nodes that must answer again: what kill, pause and failed disks have in common.
//!
//! A process that runs again and does not answer is the fault's effect no longer: after a while it
//! is taken for healed, so that what the node owes its clients is judged, rather than excused.

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
    /// Nodes that were seen to run, and did not answer for so long that they have to.
    silent: BTreeSet<NodeId>,
}

impl Alive {
    /// Nodes whose starts of these numbers were ended.
    pub(super) fn new(boots: BTreeMap<NodeId, u64>) -> Self {
        Self { boots, ..Self::default() }
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

    /// Takes in what the deeds found of these nodes. `since`: when the heal was requested;
    /// `within`: in which time they have to answer.
    ///
    /// # Errors
    /// A node has ended again by itself.
    pub(super) fn see(
        &mut self,
        seen: &[Seen],
        nodes: &BTreeSet<NodeId>,
        since: Time,
        within: Duration,
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
                (
                    Deed::Examine(node),
                    Ok(Finding::Process(Process { running: true, paused: false, .. })),
                ) if at.saturating_sub(since) > within => {
                    self.silent.insert(*node);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The proof, once all these nodes have answered, or run and owe an answer.
    pub(super) fn proof(&self, nodes: &BTreeSet<NodeId>) -> Option<Map<String, Value>> {
        let silent =
            |node| self.silent.contains(node).then(|| json!({ "runs": true, "answers": false }));
        let proof = |node| {
            let proof = self.answers.get(node).cloned().or_else(|| silent(node));
            Some((format!("n{node}"), proof?))
        };
        nodes.iter().map(proof).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::Failure;

    #[test]
    fn a_node_that_runs_and_does_not_answer_is_not_excused_for_ever() {
        let nodes = BTreeSet::from([3]);
        let mut alive = Alive::default();
        let mut look = |at| {
            let ask = Deed::Ask { node: 3, patience: ANSWER };
            let hangs = Err(Failure::Hangs("no answer".to_owned()));
            let runs = Process { running: true, paused: false, boot: 2, exit: None };
            let found = Ok(Finding::Process(runs));
            let seen = [
                Seen { deed: ask, outcome: hangs, at },
                Seen { deed: Deed::Examine(3), outcome: found, at },
            ];
            alive.see(&seen, &nodes, Time::from_secs(1), STARTS_WITHIN).unwrap();
            alive.proof(&nodes)
        };
        assert!(look(Time::from_secs(20)).is_none());
        let proof = look(Time::from_secs(22)).unwrap();
        assert_eq!(proof["n3"], json!({ "runs": true, "answers": false }));
    }
}
