//! Disks that are slow, fail, are full, or decay.
//!
//! A slow disk takes effect when a sync was slow, and is healed when none is slow any more. A disk
//! that fails or is full takes effect when the node stops over it, and a flipped bit when the node
//! refuses to start because of it; these are healed when the disk is mended and the node answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    alive::{Alive, STARTS_WITHIN},
    ended::running,
    kind::{
        Aim, Kind, Miss, Proof, Sight, Step, holders, left_alone, milliseconds, names, some, with,
    },
};
use crate::{
    exercise::{Damage, Deed, Finding, Seen, Time},
    nemesis::{
        DiskTrouble, NodeId,
        overlap::{FaultId, Granted, Holds, Part},
    },
};

/// The machine of a disk fault.
pub(super) fn new(how: DiskTrouble, aim: &Aim<'_>) -> Box<dyn Kind> {
    let disk = Disk {
        fault: aim.fault,
        wanted: aim.cut.nodes.clone(),
        granted: Granted::default(),
        damage: BTreeMap::new(),
        busy: false,
    };
    match how {
        DiskTrouble::Slow => {
            // From a fraction of an election timeout to some of them.
            let most = aim.election_timeout / 4 * [1, 4, 8, 16][(aim.pick % 4) as usize];
            Box::new(Slow { disk, most })
        }
        DiskTrouble::FailSync => Box::new(Failing { disk, full: false, alive: Alive::default() }),
        DiskTrouble::Full => Box::new(Failing { disk, full: true, alive: Alive::default() }),
        DiskTrouble::Flip => {
            Box::new(Flipped { disk, pick: aim.pick, stopped: false, alive: Alive::default() })
        }
    }
}

/// What the kinds of disk faults have in common.
#[derive(Debug)]
struct Disk {
    fault: FaultId,
    wanted: BTreeSet<NodeId>,
    granted: Granted,
    /// What disks show for it.
    damage: BTreeMap<NodeId, Damage>,
    busy: bool,
}

impl Disk {
    /// Claims nodes that are about to stop by themselves.
    fn stop(&mut self, holds: &mut Holds) -> Result<(), String> {
        let granted = holds.stop(self.fault, &self.wanted);
        self.granted = some(granted, "node aimed at is down or paused")?;
        Ok(())
    }

    /// The nodes that were hit, or before that those it is aimed at.
    fn nodes(&self) -> BTreeSet<NodeId> {
        if self.damage.is_empty() {
            return self.granted.nodes.clone();
        }
        self.damage.keys().copied().collect()
    }

    fn each(&self, deed: impl Fn(FaultId, NodeId) -> Deed) -> Vec<Deed> {
        self.granted.nodes.iter().map(|&node| deed(self.fault, node)).collect()
    }

    fn mend(&self) -> Vec<Deed> {
        self.each(|fault, node| Deed::MendDisk { fault, node })
    }

    fn see(&mut self, seen: &[Seen]) {
        for seen in seen {
            if let Ok(Finding::Damage { damage, busy }) = &seen.outcome {
                self.damage.clone_from(damage);
                self.busy = *busy;
            }
        }
    }

    /// For the account, by node.
    fn proof(&self) -> Proof {
        Proof::on_nodes(self.damage.keys(), self.shown())
    }

    fn shown(&self) -> Value {
        let shown = |damage: &Damage| match damage {
            Damage::Slow { syncs, longest } => {
                json!({ "slow_syncs": syncs, "longest_ms": milliseconds(*longest) })
            }
            Damage::Stopped { why, .. } => json!({ "stopped": why }),
            Damage::Flipped { file, byte, bit, record, .. } => {
                json!({ "file": file, "byte": byte, "bit": bit, "record_at": record })
            }
        };
        self.damage.iter().map(|(node, damage)| (format!("n{node}"), shown(damage))).collect()
    }

    /// The starts that ended, of the nodes that were hit.
    fn boots(&self) -> BTreeMap<NodeId, u64> {
        let boot = |(node, damage): (&NodeId, &Damage)| match damage {
            Damage::Stopped { boot, .. } | Damage::Flipped { boot, .. } => Some((*node, *boot)),
            Damage::Slow { .. } => None,
        };
        self.damage.iter().filter_map(boot).collect()
    }
}

/// Nodes that were hit and must answer again.
fn alive_again(disk: &Disk, alive: &mut Alive, seen: &[Seen], since: Time) -> Sight {
    let nodes = disk.nodes();
    if let Err(miss) = alive.see(seen, &nodes, since, STARTS_WITHIN) {
        return Sight::Never(miss);
    }
    let proof = alive.proof(&nodes);
    proof.map_or(Sight::NotYet, |proof| Sight::Proof(Proof::on_nodes(&nodes, proof.into())))
}

#[derive(Debug)]
struct Slow {
    disk: Disk,
    /// By how much a sync takes longer, at most.
    most: Duration,
}

impl Kind for Slow {
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String> {
        let granted = holds.claim(self.disk.fault, Part::Disk, &self.disk.wanted);
        self.disk.granted = some(granted, "disk aimed at is slow already")?;
        Ok(())
    }

    fn nodes(&self) -> BTreeSet<NodeId> {
        self.disk.nodes()
    }

    fn deeds(
        &mut self,
        step: Step,
        round: usize,
        _seen: &[Seen],
        _holds: &Holds,
    ) -> Result<Vec<Deed>, Miss> {
        let most = self.most;
        Ok(match (step, round) {
            (Step::Install, 0) => {
                self.disk.each(|fault, node| Deed::SlowDisk { fault, node, most })
            }
            (Step::Look | Step::Account | Step::Check, 0) => vec![Deed::Damage(self.disk.fault)],
            (Step::Heal | Step::Undo, 0) => self.disk.mend(),
            _ => Vec::new(),
        })
    }

    fn installed(&self) -> Value {
        let most = humantime::format_duration(self.most).to_string();
        let detail = json!({ "longer by up to": most });
        with(detail, "slow already", holders(&self.disk.granted.taken))
    }

    fn bites(&mut self, seen: &[Seen]) -> Sight {
        self.disk.see(seen);
        match self.disk.damage.is_empty() {
            false => Sight::Proof(self.disk.proof()),
            true if self.disk.busy => Sight::Begun,
            true => Sight::NotYet,
        }
    }

    fn met_nothing(&self) -> Option<String> {
        let nodes = names(&self.disk.granted.nodes);
        Some(format!("while it lasted, {nodes} synced nothing"))
    }

    fn account(&mut self, seen: &[Seen]) -> Proof {
        self.disk.see(seen);
        self.disk.proof()
    }

    fn heals_within(&self) -> Duration {
        STARTS_WITHIN
    }

    fn healed(&mut self, seen: &[Seen], _since: Time, _holds: &Holds) -> Sight {
        self.disk.see(seen);
        if self.disk.busy { Sight::NotYet } else { Sight::Proof(self.disk.proof()) }
    }
}

/// The next sync fails, or the next segment finds no space.
#[derive(Debug)]
struct Failing {
    disk: Disk,
    full: bool,
    alive: Alive,
}

impl Kind for Failing {
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String> {
        self.disk.stop(holds)
    }

    fn nodes(&self) -> BTreeSet<NodeId> {
        self.disk.nodes()
    }

    fn deeds(
        &mut self,
        step: Step,
        round: usize,
        seen: &[Seen],
        _holds: &Holds,
    ) -> Result<Vec<Deed>, Miss> {
        let full = self.full;
        Ok(match (step, round) {
            (Step::Install, 0) => {
                self.disk.each(|fault, node| Deed::FailDisk { fault, node, full })
            }
            (Step::Look | Step::Account, 0) => vec![Deed::Damage(self.disk.fault)],
            (Step::Heal | Step::Undo, 0) => self.disk.mend(),
            // Also where a start failed: none may stay down.
            (Step::Heal | Step::Undo, 1) => {
                self.disk.damage.keys().map(|&node| Deed::Start(node)).collect()
            }
            (Step::Check, _) => self.alive.deeds(round, &self.disk.nodes(), seen),
            _ => Vec::new(),
        })
    }

    fn installed(&self) -> Value {
        left_alone(&self.disk.granted.taken, "down or paused already")
    }

    fn bites(&mut self, seen: &[Seen]) -> Sight {
        self.disk.see(seen);
        if self.disk.damage.is_empty() {
            return Sight::NotYet;
        }
        Sight::Proof(self.disk.proof())
    }

    fn met_nothing(&self) -> Option<String> {
        let nodes = names(&self.disk.granted.nodes);
        let needs = if self.full { "began no segment of its log" } else { "synced nothing" };
        Some(format!("while it lasted, {nodes} {needs}"))
    }

    fn account(&mut self, seen: &[Seen]) -> Proof {
        self.disk.see(seen);
        self.alive = Alive::new(self.disk.boots());
        self.disk.proof()
    }

    fn heals_within(&self) -> Duration {
        STARTS_WITHIN
    }

    fn healed(&mut self, seen: &[Seen], since: Time, _holds: &Holds) -> Sight {
        alive_again(&self.disk, &mut self.alive, seen, since)
    }
}

/// While the node is down a bit flips in a record that it had synced.
#[derive(Debug)]
struct Flipped {
    disk: Disk,
    /// Chooses the bit.
    pick: u64,
    /// Nodes may be down because of it.
    stopped: bool,
    alive: Alive,
}

impl Kind for Flipped {
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String> {
        self.disk.stop(holds)
    }

    fn nodes(&self) -> BTreeSet<NodeId> {
        self.disk.nodes()
    }

    fn deeds(
        &mut self,
        step: Step,
        round: usize,
        seen: &[Seen],
        _holds: &Holds,
    ) -> Result<Vec<Deed>, Miss> {
        let Self { disk, pick, .. } = self;
        let (fault, nodes) = (disk.fault, disk.granted.nodes.clone());
        Ok(match (step, round) {
            (Step::Install, 0) => nodes.into_iter().map(Deed::Examine).collect(),
            (Step::Install, 1) => {
                running(seen)?;
                self.stopped = true;
                vec![Deed::FlipBits { fault, nodes, pick: *pick }]
            }
            (Step::Install, 2) => {
                disk.see(seen);
                if disk.damage.is_empty() {
                    let nodes = names(&nodes);
                    return Err(Miss::Skipped(format!(
                        "no record of {nodes} is followed by one that was synced later"
                    )));
                }
                self.alive = Alive::new(disk.boots());
                Vec::new()
            }
            (Step::Look, 0) => {
                let start = |&node| Deed::StartDamaged { fault, node };
                disk.damage.keys().map(start).collect()
            }
            (Step::Heal | Step::Undo, 0) if self.stopped => disk.mend(),
            (Step::Heal, 1) => disk.nodes().into_iter().map(Deed::Start).collect(),
            // Those that were not hit were started again at once.
            (Step::Undo, 1) if self.stopped => nodes.into_iter().map(Deed::Start).collect(),
            (Step::Check, _) => self.alive.deeds(round, &disk.nodes(), seen),
            _ => Vec::new(),
        })
    }

    fn installed(&self) -> Value {
        self.disk.shown()
    }

    fn bites(&mut self, seen: &[Seen]) -> Sight {
        let (mut nodes, mut proof) = (Vec::new(), serde_json::Map::new());
        let mut inert = Vec::new();
        for Seen { deed, outcome, .. } in seen {
            let Deed::StartDamaged { node, .. } = deed else { continue };
            match outcome {
                Ok(Finding::Refusal(words)) => {
                    nodes.push(*node);
                    proof.insert(format!("n{node}"), json!({ "refused to start": words }));
                }
                Ok(_) => {}
                Err(why) => inert.push(why.to_string()),
            }
        }
        if inert.is_empty() {
            return Sight::Proof(Proof::on_nodes(&nodes, proof.into()));
        }
        Sight::Never(Miss::Failed(inert.join("; ")))
    }

    fn account(&mut self, _seen: &[Seen]) -> Proof {
        self.disk.proof()
    }

    fn heals_within(&self) -> Duration {
        STARTS_WITHIN
    }

    fn healed(&mut self, seen: &[Seen], since: Time, _holds: &Holds) -> Sight {
        alive_again(&self.disk, &mut self.alive, seen, since)
    }
}
