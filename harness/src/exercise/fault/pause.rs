//! Pause: the freezer stops every process of the node; its kernel side stays alive.
//!
//! Takes effect when the process is seen frozen and a question to it hangs. Is healed when it is
//! seen running and answers. A node that another fault kills meanwhile is not this fault's any
//! more.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use checker::fault::{Applied, Detail};

use super::{
    alive::Alive,
    kind::{
        Aim, Kind, Miss, Proof, Sight, Step, applied, by_node, looks_first, milliseconds, some,
    },
};
use crate::{
    exercise::{Deed, Failure, Finding, Process, Seen, Time},
    nemesis::{
        NodeId,
        overlap::{FaultId, Granted, Holds},
    },
};

#[derive(Debug)]
pub(super) struct Pause {
    fault: FaultId,
    wanted: BTreeSet<NodeId>,
    hang: Duration,
    granted: Granted,
    alive: Alive,
}

impl Pause {
    pub(super) fn new(aim: &Aim<'_>) -> Self {
        Self {
            fault: aim.fault,
            wanted: aim.cut.nodes.clone(),
            hang: aim.hang,
            granted: Granted::default(),
            alive: Alive::new(BTreeMap::new()),
        }
    }
}

impl Kind for Pause {
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String> {
        let granted = holds.pause(self.fault, &self.wanted);
        self.granted = some(granted, "node aimed at is down or paused already")?;
        Ok(())
    }

    fn nodes(&self) -> BTreeSet<NodeId> {
        self.granted.nodes.clone()
    }

    fn deeds(
        &mut self,
        step: Step,
        round: usize,
        seen: &[Seen],
        holds: &Holds,
    ) -> Result<Vec<Deed>, Miss> {
        let nodes = self.granted.nodes.iter().copied();
        let paused = holds.paused_by(self.fault);
        Ok(match (step, round) {
            (Step::Install, 0) => nodes.map(Deed::Pause).collect(),
            (Step::Look, 0) => {
                let ask = |node| Deed::Ask { node, patience: self.hang };
                nodes.flat_map(|node| [Deed::Examine(node), ask(node)]).collect()
            }
            (Step::Heal | Step::Undo, 0) => paused.into_iter().map(Deed::Resume).collect(),
            (Step::Check, _) => self.alive.deeds(round, &paused, seen),
            _ => Vec::new(),
        })
    }

    fn installed(&self) -> Applied {
        applied(None, &self.granted.taken)
    }

    fn bites(&mut self, seen: &[Seen]) -> Sight {
        let mut frozen = BTreeMap::new();
        for Seen { deed, outcome, .. } in looks_first(seen) {
            let why = match (deed, outcome) {
                (Deed::Examine(_), Ok(Finding::Process(Process { paused: true, .. }))) => continue,
                (Deed::Examine(node), Ok(_)) => {
                    format!("n{node} was paused and its process is not")
                }
                (Deed::Ask { node, patience }, Err(Failure::Hangs(_))) => {
                    frozen.insert(*node, milliseconds(*patience));
                    continue;
                }
                (Deed::Ask { node, .. }, Ok(_)) => format!("n{node} was paused and still answers"),
                // The connection may have broken before, and the news of that have waited for the
                // question: the next one hangs.
                (Deed::Ask { .. }, Err(Failure::Refused(_))) => return Sight::NotYet,
                (_, Err(why)) => why.to_string(),
                _ => continue,
            };
            return Sight::Never(Miss::Failed(why));
        }
        Sight::Proof(Proof::on_nodes(frozen.keys(), Detail::Frozen(by_node(&frozen))))
    }

    fn healed(&mut self, seen: &[Seen], since: Time, holds: &Holds) -> Sight {
        let paused = holds.paused_by(self.fault);
        if let Err(miss) = self.alive.see(seen, &paused, since, self.heals_within()) {
            return Sight::Never(miss);
        }
        let killed = &self.granted.nodes - &paused;
        let proof = self.alive.proof(&paused, &killed);
        proof.map_or(Sight::NotYet, |it| Sight::Proof(Proof::on_nodes(&self.granted.nodes, it)))
    }
}
