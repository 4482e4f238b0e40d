//! Nodes that must answer again: what kill, pause and failed disks have in common.
//!
//! A process that runs again and does not answer is the fault's effect no longer: after a while it
//! is taken for healed, so that what the node owes its clients is judged, rather than excused.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use checker::fault::{Answered, Detail};

use super::kind::{Miss, by_node, milliseconds};
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
    /// The starts that a fault ended, for the account.
    pub(super) boots: BTreeMap<NodeId, u64>,
    answers: BTreeMap<NodeId, Answered>,
    /// Nodes that were seen to run, and did not answer for so long that they have to: how long
    /// after the heal was requested.
    silent: BTreeMap<NodeId, Time>,
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
                    let after_ms = milliseconds(at.saturating_sub(since));
                    let boots = self.boots.get(node).map(|boot| [*boot, status.boot]);
                    self.answers.entry(*node).or_insert(Answered { after_ms, boots });
                }
                (
                    Deed::Examine(node),
                    Ok(Finding::Process(Process { running: false, exit: Some(exit), .. })),
                ) => return Err(Miss::Exited(*node, exit.clone(), "started again")),
                (
                    Deed::Examine(node),
                    Ok(Finding::Process(Process { running: true, paused: false, .. })),
                ) if at.saturating_sub(since) > within => {
                    self.silent.entry(*node).or_insert(at.saturating_sub(since));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The proof, once all these nodes have answered, or run and owe an answer. `killed`: those
    /// that need not, as another fault killed them.
    pub(super) fn proof(
        &self,
        nodes: &BTreeSet<NodeId>,
        killed: &BTreeSet<NodeId>,
    ) -> Option<Detail> {
        let (mut answers, mut silent) = (BTreeMap::new(), BTreeMap::new());
        for node in nodes {
            match self.answers.get(node) {
                Some(answer) => drop(answers.insert(*node, answer.clone())),
                None => drop(silent.insert(*node, milliseconds(*self.silent.get(node)?))),
            }
        }
        let killed = killed.iter().map(|node| format!("n{node}")).collect();
        Some(Detail::Answered { nodes: by_node(&answers), silent: by_node(&silent), killed })
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
            alive.proof(&nodes, &BTreeSet::new())
        };
        assert!(look(Time::from_secs(20)).is_none());
        let proof = look(Time::from_secs(22)).unwrap();
        let silent = [("n3".to_owned(), 21_000)].into();
        assert_eq!(proof, Detail::Answered { nodes: [].into(), silent, killed: Vec::new() });
    }
}
