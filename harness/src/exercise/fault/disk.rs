//! Disks that are slow, fail, are full, or decay.
//!
//! A slow disk takes effect when a sync was slow, and is healed when none is slow any more. A disk
//! that fails or is full takes effect when the node stops over it, and a flipped bit when the node
//! refuses to start because of it; these are healed when the disk is mended and the node answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use checker::fault::{Applied, Damage, Detail};

use super::{
    alive::{Alive, STARTS_WITHIN},
    ended::running,
    kind::{Aim, Kind, Miss, Proof, Sight, Step, applied, by_node, microseconds, names, some},
};
use crate::{
    exercise::{Deed, Finding, Seen, Time},
    nemesis::{
        DiskTrouble, NodeId,
        overlap::{FaultId, Granted, Holds, Part},
    },
};

/// A fault of disks.
#[derive(Debug)]
pub(super) struct Disk {
    fault: FaultId,
    how: How,
    wanted: BTreeSet<NodeId>,
    granted: Granted,
    /// What disks show for it.
    damage: BTreeMap<NodeId, Damage>,
    /// A disk is at work with a sync that the fault slows.
    busy: bool,
    alive: Alive,
}

/// What is wrong with the disks.
#[derive(Clone, Copy, Debug)]
enum How {
    /// A sync takes longer, by so much at most.
    Slow(Duration),
    /// The next sync fails, or (`full`) the next segment finds no space.
    Failing { full: bool },
    /// While the node is down a bit flips in a record that it had synced. `pick` chooses the bit;
    /// `stopped`: nodes may be down because of it.
    Flipped { pick: u64, stopped: bool },
}

impl Disk {
    pub(super) fn new(how: DiskTrouble, aim: &Aim<'_>) -> Self {
        let how = match how {
            // From a fraction of an election timeout to some of them.
            DiskTrouble::Slow => {
                How::Slow(aim.election_timeout / 4 * [1, 4, 8, 16][(aim.pick % 4) as usize])
            }
            DiskTrouble::FailSync => How::Failing { full: false },
            DiskTrouble::Full => How::Failing { full: true },
            DiskTrouble::Flip => How::Flipped { pick: aim.pick, stopped: false },
        };
        Self {
            fault: aim.fault,
            how,
            wanted: aim.cut.nodes.clone(),
            granted: Granted::default(),
            damage: BTreeMap::new(),
            busy: false,
            alive: Alive::default(),
        }
    }

    fn each(&self, deed: impl Fn(FaultId, NodeId) -> Deed) -> Vec<Deed> {
        self.granted.nodes.iter().map(|&node| deed(self.fault, node)).collect()
    }

    fn see(&mut self, seen: &[Seen]) {
        for seen in seen {
            if let Ok(Finding::Damage { damage, busy }) = &seen.outcome {
                self.damage.clone_from(damage);
                self.busy = *busy;
            }
        }
        // The starts that ended, of the nodes that were hit.
        let boot = |(node, damage): (&NodeId, &Damage)| match damage {
            Damage::Stopped { boot, .. } | Damage::Flipped { boot, .. } => Some((*node, *boot)),
            Damage::Slow { .. } => None,
        };
        self.alive.boots = self.damage.iter().filter_map(boot).collect();
    }

    fn proof(&self) -> Proof {
        Proof::on_nodes(self.damage.keys(), Detail::Damaged(by_node(&self.damage)))
    }

    /// Whether the nodes with a flipped bit refused to start.
    fn refused(seen: &[Seen]) -> Sight {
        let (mut refused, mut started) = (BTreeMap::new(), Vec::new());
        for Seen { deed, outcome, .. } in seen {
            match (deed, outcome) {
                (Deed::StartDamaged { node, .. }, Ok(Finding::Refusal(words))) => {
                    refused.insert(*node, words.clone());
                }
                (Deed::StartDamaged { .. }, Err(why)) => started.push(why.to_string()),
                _ => {}
            }
        }
        if started.is_empty() {
            return Sight::Proof(Proof::on_nodes(
                refused.keys(),
                Detail::Refused(by_node(&refused)),
            ));
        }
        Sight::Never(Miss::Failed(started.join("; ")))
    }
}

impl Kind for Disk {
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String> {
        let (granted, taken) = match self.how {
            How::Slow(_) => {
                (holds.claim(self.fault, Part::Disk, &self.wanted), "disk aimed at is slow already")
            }
            // They are about to stop by themselves.
            How::Failing { .. } | How::Flipped { .. } => {
                (holds.stop(self.fault, &self.wanted), "node aimed at is down or paused")
            }
        };
        self.granted = some(granted, taken)?;
        Ok(())
    }

    /// The nodes that were hit, or before that those it is aimed at.
    fn nodes(&self) -> BTreeSet<NodeId> {
        if self.damage.is_empty() {
            return self.granted.nodes.clone();
        }
        self.damage.keys().copied().collect()
    }

    fn deeds(
        &mut self,
        step: Step,
        round: usize,
        seen: &[Seen],
        _holds: &Holds,
    ) -> Result<Vec<Deed>, Miss> {
        let (fault, nodes) = (self.fault, self.granted.nodes.clone());
        let start = |nodes: BTreeSet<NodeId>| nodes.into_iter().map(Deed::Start).collect();
        Ok(match (self.how, step, round) {
            (How::Slow(most), Step::Install, 0) => {
                self.each(|fault, node| Deed::SlowDisk { fault, node, most })
            }
            (How::Failing { full }, Step::Install, 0) => {
                self.each(|fault, node| Deed::FailDisk { fault, node, full })
            }
            (How::Flipped { .. }, Step::Install, 0) => {
                nodes.into_iter().map(Deed::Examine).collect()
            }
            (How::Flipped { pick, .. }, Step::Install, 1) => {
                running(seen)?;
                self.how = How::Flipped { pick, stopped: true };
                vec![Deed::FlipBits { fault, nodes, pick }]
            }
            (How::Flipped { .. }, Step::Install, 2) => {
                self.see(seen);
                if self.damage.is_empty() {
                    let nodes = names(&nodes);
                    return Err(Miss::Skipped(format!(
                        "no record of {nodes} is followed by one that was synced later"
                    )));
                }
                Vec::new()
            }
            (How::Flipped { .. }, Step::Look, 0) => {
                let start = |&node| Deed::StartDamaged { fault, node };
                self.damage.keys().map(start).collect()
            }
            (How::Slow(_) | How::Failing { .. }, Step::Look | Step::Account, 0)
            | (How::Slow(_), Step::Check, 0) => vec![Deed::Damage(fault)],
            (How::Flipped { stopped: false, .. }, Step::Heal | Step::Undo, _) => Vec::new(),
            (_, Step::Heal | Step::Undo, 0) => {
                self.each(|fault, node| Deed::MendDisk { fault, node })
            }
            // Nodes without a flipped bit were started again at once, if they could be.
            (How::Flipped { .. }, Step::Undo, 1) => start(nodes),
            // Also where a start failed: none may stay down.
            (How::Failing { .. } | How::Flipped { .. }, Step::Heal | Step::Undo, 1) => {
                start(self.damage.keys().copied().collect())
            }
            (How::Failing { .. } | How::Flipped { .. }, Step::Check, _) => {
                self.alive.deeds(round, &self.nodes(), seen)
            }
            _ => Vec::new(),
        })
    }

    fn installed(&self) -> Applied {
        use checker::fault::How as Account;
        let how = match self.how {
            How::Slow(most) => Some(Account::SyncsLongerUs(microseconds(most))),
            How::Failing { .. } => None,
            How::Flipped { .. } => Some(Account::Flipped(by_node(&self.damage))),
        };
        applied(how, &self.granted.taken)
    }

    fn bites(&mut self, seen: &[Seen]) -> Sight {
        if matches!(self.how, How::Flipped { .. }) {
            return Self::refused(seen);
        }
        self.see(seen);
        match self.damage.is_empty() {
            false => Sight::Proof(self.proof()),
            true if self.busy => Sight::Begun,
            true => Sight::NotYet,
        }
    }

    fn met_nothing(&self) -> Option<String> {
        let needs = match self.how {
            How::Slow(_) | How::Failing { full: false } => "synced nothing",
            How::Failing { full: true } => "began no segment of its log",
            How::Flipped { .. } => return None,
        };
        Some(format!("while it lasted, {} {needs}", names(&self.granted.nodes)))
    }

    fn account(&mut self, seen: &[Seen]) -> Proof {
        self.see(seen);
        self.proof()
    }

    fn heals_within(&self) -> Duration {
        STARTS_WITHIN
    }

    fn healed(&mut self, seen: &[Seen], since: Time, _holds: &Holds) -> Sight {
        if matches!(self.how, How::Slow(_)) {
            self.see(seen);
            return if self.busy { Sight::NotYet } else { Sight::Proof(self.proof()) };
        }
        let nodes = self.nodes();
        if let Err(miss) = self.alive.see(seen, &nodes, since, STARTS_WITHIN) {
            return Sight::Never(miss);
        }
        let proof = self.alive.proof(&nodes, &BTreeSet::new());
        proof.map_or(Sight::NotYet, |proof| Sight::Proof(Proof::on_nodes(&nodes, proof)))
    }
}
