//! Nodes that a signal ends and that are started again: what kill and restart have in common.
//!
//! Takes effect when the process is seen gone, by this signal and nothing else, and does not
//! answer: a node that had ended by itself was not ended by the fault, and starting it again would
//! hide that. Is healed when the node answers after it was started again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use checker::fault::{Applied, Detail, How};

use super::{
    alive::{Alive, STARTS_WITHIN},
    kind::{Aim, Kind, Miss, Proof, Sight, Step, applied, by_node, looks_first, some},
};
use crate::{
    exercise::{Deed, Exit, Finding, Process, Seen, Time},
    nemesis::{
        NodeId,
        overlap::{FaultId, Granted, Holds},
    },
};

/// A dead node's port refuses within this time.
const ANSWER: Duration = Duration::from_millis(500);

/// How nodes are ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    /// As people know it.
    pub(super) name: &'static str,
    /// Sends it; done when the process is gone.
    pub(super) send: fn(NodeId) -> Deed,
    /// With this code a process ends on it.
    pub(super) code: i64,
    /// Claims the nodes that it can end.
    pub(super) claim: fn(&mut Holds, FaultId, &BTreeSet<NodeId>) -> Granted,
    /// Why it cannot end others.
    pub(super) taken: &'static str,
}

#[derive(Debug)]
pub(super) struct Ended {
    signal: Signal,
    fault: FaultId,
    wanted: BTreeSet<NodeId>,
    granted: Granted,
    alive: Alive,
    /// Disk sectors that were lost or torn, where the cluster tells.
    unsynced: BTreeMap<NodeId, usize>,
}

impl Ended {
    pub(super) fn new(signal: Signal, aim: &Aim<'_>) -> Self {
        Self {
            signal,
            fault: aim.fault,
            wanted: aim.cut.nodes.clone(),
            granted: Granted::default(),
            alive: Alive::default(),
            unsynced: BTreeMap::new(),
        }
    }

    fn each(&self, deed: impl Fn(NodeId) -> Deed) -> Vec<Deed> {
        self.granted.nodes.iter().map(|&node| deed(node)).collect()
    }
}

impl Kind for Ended {
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String> {
        let granted = (self.signal.claim)(holds, self.fault, &self.wanted);
        self.granted = some(granted, &format!("node aimed at is {}", self.signal.taken))?;
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
        _holds: &Holds,
    ) -> Result<Vec<Deed>, Miss> {
        Ok(match (step, round) {
            (Step::Install, 0) => self.each(Deed::Examine),
            (Step::Install, 1) => {
                self.alive = Alive::new(running(seen)?);
                self.each(self.signal.send)
            }
            (Step::Install, 2) => {
                let killed = |seen: &Seen| match (&seen.deed, &seen.outcome) {
                    (Deed::Kill(node), Ok(Finding::Killed { unsynced })) => {
                        Some((*node, (*unsynced)?))
                    }
                    _ => None,
                };
                self.unsynced = seen.iter().filter_map(killed).collect();
                Vec::new()
            }
            (Step::Look, 0) => {
                let mut deeds = self.each(Deed::Examine);
                deeds.extend(self.each(|node| Deed::Ask { node, patience: ANSWER }));
                deeds
            }
            (Step::Heal, 0) => self.each(Deed::Start),
            // Also if it was not proved: none may stay down, nor frozen by a pause that this ended.
            (Step::Undo, 0) => {
                let thawed = self.granted.ends.keys().map(|&node| Deed::Resume(node));
                thawed.chain(self.each(Deed::Start)).collect()
            }
            (Step::Check, _) => self.alive.deeds(round, &self.granted.nodes, seen),
            _ => Vec::new(),
        })
    }

    fn installed(&self) -> Applied {
        let signal = How::Signal(self.signal.name.to_owned());
        let thawed = by_node(&self.granted.ends);
        Applied { thawed, ..applied(Some(signal), &self.granted.taken) }
    }

    fn bites(&mut self, seen: &[Seen]) -> Sight {
        let mut ended: BTreeMap<NodeId, checker::fault::Ended> = BTreeMap::new();
        for Seen { deed, outcome, .. } in looks_first(seen) {
            match (deed, outcome) {
                (Deed::Examine(node), Ok(Finding::Process(process))) => {
                    match self.signal.ended(*node, process) {
                        Ok(exit_code) => {
                            let proof = checker::fault::Ended {
                                boot: process.boot,
                                exit_code,
                                unanswered: String::new(),
                                unsynced_sectors: self.unsynced.get(node).copied(),
                            };
                            ended.insert(*node, proof);
                        }
                        Err(why) => match &process.exit {
                            Some(exit) if (exit.defect || exit.refused) && !exit.out_of_memory => {
                                let miss =
                                    Miss::Exited(*node, exit.clone(), "instead of by the signal");
                                return Sight::Never(miss);
                            }
                            _ => return Sight::Never(Miss::Failed(why)),
                        },
                    }
                }
                (Deed::Ask { node, .. }, Err(why)) => {
                    if let Some(ended) = ended.get_mut(node) {
                        ended.unanswered = why.to_string();
                    }
                }
                (Deed::Ask { node, .. }, Ok(_)) => {
                    let why = format!("n{node} was sent {} and still answers", self.signal.name);
                    return Sight::Never(Miss::Failed(why));
                }
                (_, Err(why)) => return Sight::Never(Miss::Failed(why.to_string())),
                _ => {}
            }
        }
        Sight::Proof(Proof::on_nodes(ended.keys(), Detail::Ended(by_node(&ended))))
    }

    fn heals_within(&self) -> Duration {
        STARTS_WITHIN
    }

    fn healed(&mut self, seen: &[Seen], since: Time, _holds: &Holds) -> Sight {
        if let Err(miss) = self.alive.see(seen, &self.granted.nodes, since, STARTS_WITHIN) {
            return Sight::Never(miss);
        }
        let nodes = &self.granted.nodes;
        let proof = self.alive.proof(nodes, &BTreeSet::new());
        proof.map_or(Sight::NotYet, |it| Sight::Proof(Proof::on_nodes(nodes, it)))
    }
}

/// The number of each node's present start.
///
/// # Errors
/// A node had ended by itself.
pub(super) fn running(seen: &[Seen]) -> Result<BTreeMap<NodeId, u64>, Miss> {
    let mut boots = BTreeMap::new();
    for seen in seen {
        let (Deed::Examine(node), Ok(Finding::Process(process))) = (&seen.deed, &seen.outcome)
        else {
            continue;
        };
        if !process.running {
            let exit = process.exit.clone().unwrap_or_default();
            return Err(Miss::Exited(*node, exit, "before the fault, by itself"));
        }
        boots.insert(*node, process.boot);
    }
    Ok(boots)
}

impl Signal {
    /// # Errors
    /// The node runs, or ended otherwise than by the signal.
    fn ended(&self, node: NodeId, process: &Process) -> Result<i64, String> {
        let Self { name, code: expected, .. } = *self;
        match &process.exit {
            _ if process.running => Err(format!("n{node} was sent {name} and still runs")),
            Some(Exit { out_of_memory: true, .. }) => Err(format!(
                "n{node} was to end by {name}, and the kernel had killed it for lack of memory"
            )),
            Some(Exit { code: Some(code), .. }) if *code == expected => Ok(expected),
            Some(Exit { code: Some(code), .. }) => Err(format!(
                "n{node} was to end by {name} with code {expected}, and ended with code {code}; its \
                 log says why"
            )),
            _ => Err(format!("n{node} has never run, so {name} did not end it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_that_the_signal_ended_counts() {
        let signal = Signal {
            name: "SIGKILL",
            send: Deed::Kill,
            code: 137,
            claim: Holds::kill,
            taken: "down already",
        };
        let ended = |code, out_of_memory| {
            let exit = Exit { code, out_of_memory, ..Exit::default() };
            Process { running: false, paused: false, boot: 1, exit: Some(exit) }
        };
        assert_eq!(signal.ended(3, &ended(Some(137), false)), Ok(137));
        let refused = |process: Process| signal.ended(3, &process).unwrap_err();
        let running = Process { running: true, exit: None, ..ended(None, false) };
        assert!(refused(running).contains("still runs"));
        assert!(refused(ended(Some(101), false)).contains("ended with code 101"));
        assert!(refused(ended(Some(137), true)).contains("lack of memory"));
        assert!(refused(ended(None, false)).contains("never run"));
    }
}
