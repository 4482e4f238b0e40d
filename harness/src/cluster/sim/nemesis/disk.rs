//! Disks that are slow, fail, are full, or decay. What keeps such faults from destroying the last good
//! copy of anything: see [`crate::cluster::sim::disk`].

use std::{collections::BTreeMap, time::Duration};

use checker::fault::Phase;
use node::storage::{self, Place, guarded};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{POLL, holders, left_alone, names};
use crate::{
    cluster::sim::{
        process::{Fatal, by_node, identity},
        queue::{Event, Moment},
        world::World,
    },
    nemesis::{
        DiskTrouble, NodeId,
        overlap::{FaultId, Part},
    },
};

/// What a node's disk shows for a fault.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    /// Syncs that it slowed, and the longest of them.
    Slow { syncs: u64, longest: Duration },
    /// Why the node stopped.
    Stopped(String),
    /// The bit that is flipped.
    Flipped { file: String, byte: usize, bit: u8, record: u64 },
}

impl super::Nemesis {
    /// A sync that a fault slowed is done. Says whether it is the first.
    pub(in crate::cluster::sim) fn synced_slowly(
        &mut self,
        fault: FaultId,
        node: NodeId,
        took: Duration,
    ) -> bool {
        let damage = &mut self.faults[fault].damage;
        let first = Damage::Slow { syncs: 0, longest: Duration::ZERO };
        if let Damage::Slow { syncs, longest } = damage.entry(node).or_insert(first) {
            (*syncs, *longest) = (*syncs + 1, took.max(*longest));
        }
        self.faults[fault].life == super::Life::Installing
    }
}

impl World<'_> {
    pub(super) fn install_slow_disk(&mut self, id: FaultId, pick: u64) {
        let wanted = self.nemesis.faults[id].nodes.clone();
        let granted = self.nemesis.holds.claim(id, Part::Disk, &wanted);
        if granted.nodes.is_empty() {
            let why = format!("every disk aimed at is slow already: {}", holders(&granted.taken));
            return self.give_up(id, Phase::Skipped, why);
        }
        // From a fraction of an election timeout to some of them.
        let most = self.plan.timings.election_timeout / 4 * [1, 4, 8, 16][(pick % 4) as usize];
        for &node in &granted.nodes {
            self.process(node).slowed = Some((id, most));
        }
        self.nemesis.faults[id].nodes = granted.nodes;
        let mut detail = json!({ "longer by up to": humantime::format_duration(most).to_string() });
        if let (Some(detail), false) = (detail.as_object_mut(), granted.taken.is_empty()) {
            detail.insert("slow already".to_owned(), holders(&granted.taken).into());
        }
        self.account(id, Phase::Installed, detail);
        self.await_bite(id);
    }

    /// Sees to it that nodes stop at their next sync or segment.
    pub(super) fn install_doom(&mut self, id: FaultId, how: DiskTrouble) {
        let wanted = self.nemesis.faults[id].nodes.clone();
        let granted = self.nemesis.holds.stop(id, &wanted);
        if granted.nodes.is_empty() {
            let why = format!("every node aimed at is down or paused: {}", holders(&granted.taken));
            return self.give_up(id, Phase::Skipped, why);
        }
        for &node in &granted.nodes {
            let process = self.process(node);
            process.doomed = Some((id, how));
            if let Some(disk) = process.disk_mut() {
                disk.set_fails_sync(how == DiskTrouble::FailSync);
                disk.set_full(how == DiskTrouble::Full);
            }
        }
        self.nemesis.faults[id].nodes = granted.nodes;
        self.account(id, Phase::Installed, left_alone(&granted.taken, "down or paused already"));
        self.await_bite(id);
    }

    /// A fault has come to its end and was not seen to have had an effect.
    pub(super) fn end_wait(&mut self, id: FaultId, how: DiskTrouble) {
        if self.is_slowing(id) {
            // It has begun to have one.
            return self.queue.push(self.now + POLL, Event::Fault(id, Moment::End));
        }
        if !self.nemesis.faults[id].damage.is_empty() {
            let proof = self.damage(id);
            return self.bitten(id, proof);
        }
        self.undo_disk(id, how);
        let nodes = names(&self.nemesis.faults[id].nodes);
        let needs = match how {
            DiskTrouble::Full => "began no segment of its log",
            _ => "synced nothing",
        };
        self.give_up(id, Phase::Skipped, format!("while it lasted, {nodes} {needs}"));
    }

    /// Whether a disk is at work with a sync that the fault slows.
    fn is_slowing(&self, id: FaultId) -> bool {
        self.processes.iter().any(|process| process.is_slowed_by(id))
    }

    /// Whether no sync is slow any more.
    pub(super) fn are_fast(&self, id: FaultId) -> Option<Value> {
        (!self.is_slowing(id)).then(|| self.damage(id))
    }

    /// A node stopped as its disk failed, as a fault wanted.
    pub(in crate::cluster::sim) fn stopped_by(
        &mut self,
        id: FaultId,
        node: NodeId,
        boot: u64,
        why: String,
    ) {
        self.nemesis.faults[id].boots.insert(node, boot);
        self.nemesis.faults[id].damage.insert(node, Damage::Stopped(why));
        if self.nemesis.faults[id].life == super::Life::Installing {
            let proof = self.damage(id);
            self.bitten(id, proof);
        }
    }

    /// Stops nodes, flips a bit in what each had synced, and starts them: they must refuse.
    pub(super) fn install_flip(&mut self, id: FaultId, pick: u64) {
        let wanted = self.nemesis.faults[id].nodes.clone();
        let granted = self.nemesis.holds.stop(id, &wanted);
        if granted.nodes.is_empty() {
            let why = format!("every node aimed at is down or paused: {}", holders(&granted.taken));
            return self.give_up(id, Phase::Skipped, why);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(pick);
        self.nemesis.faults[id].nodes.clone_from(&granted.nodes);
        for &node in &granted.nodes {
            if !self.process(node).is_up() {
                let why = format!("n{node} had ended by itself");
                self.undo_disk(id, DiskTrouble::Flip);
                return self.give_up(id, Phase::Failed, why);
            }
            let boot = self.process(node).boot();
            self.crash(node);
            if let Some(damage) = self.flip(node, &mut rng) {
                self.nemesis.faults[id].boots.insert(node, boot);
                self.nemesis.faults[id].damage.insert(node, damage);
            }
        }
        let damaged: Vec<NodeId> = self.nemesis.faults[id].damage.keys().copied().collect();
        let (hurt, whole): (Vec<_>, Vec<_>) =
            granted.nodes.iter().copied().partition(|node| damaged.contains(node));
        // Nothing of theirs may be damaged: they were restarted, and no more.
        whole.into_iter().for_each(|node| self.start(node));
        if hurt.is_empty() {
            let why = format!(
                "no record of {} is followed by one that was synced later",
                names(&granted.nodes)
            );
            return self.give_up(id, Phase::Skipped, why);
        }
        self.nemesis.faults[id].nodes = hurt.iter().copied().collect();
        let detail = self.damage(id);
        self.account(id, Phase::Installed, detail);
        let mut proof = serde_json::Map::new();
        let mut inert = Vec::new();
        for node in hurt {
            match self.refusal(id, node) {
                Ok(refusal) => {
                    proof.insert(format!("n{node}"), json!({ "refused to start": refusal }));
                }
                Err(why) => inert.push(why),
            }
        }
        if inert.is_empty() {
            return self.bitten(id, proof.into());
        }
        self.undo_disk(id, DiskTrouble::Flip);
        for node in self.nemesis.faults[id].nodes.clone() {
            self.start(node);
        }
        self.give_up(id, Phase::Failed, inert.join("; "));
    }

    /// Flips a bit of a record that the next start must find damaged. None: there is no such record.
    fn flip(&mut self, node: NodeId, rng: &mut ChaCha8Rng) -> Option<Damage> {
        let disk = self.process(node).disk_mut()?;
        let places = match by_node(|| guarded(&*disk, identity(node))) {
            Ok(places) if !places.is_empty() => places,
            Err(fatal @ Fatal::Panic(_)) => {
                self.record.crash(node, fatal.to_string());
                return None;
            }
            Ok(_) | Err(Fatal::Log(_)) => return None,
        };
        let Place { file, offset, len } = places[rng.random_range(0..places.len())].clone();
        let byte = usize::try_from(offset + rng.random_range(0..len)).ok()?;
        let bit = rng.random_range(0..8);
        let flipped = disk.flip_bit(&file, byte, bit);
        flipped.then_some(Damage::Flipped { file, byte, bit, record: offset })
    }

    /// Starts a node whose log is damaged.
    ///
    /// # Errors
    /// It starts nevertheless, or does not say what is damaged, in a sentence.
    fn refusal(&mut self, id: FaultId, node: NodeId) -> Result<String, String> {
        let damage = self.nemesis.faults[id].damage.get(&node).cloned();
        let Some(Damage::Flipped { file: flipped, byte, record, .. }) = damage else {
            return Err(format!("nothing of n{node} is damaged"));
        };
        match self.try_start(node) {
            Ok(()) => Err(format!(
                "n{node} started although byte {byte} of {flipped}, in a record that was synced, \
                 is damaged"
            )),
            Err(why) => match &why {
                Fatal::Log(storage::Error::Corrupt { file, offset, .. })
                    if (file, *offset) == (&flipped, record) =>
                {
                    Ok(format!("{file} is damaged at offset {offset}"))
                }
                _ => Err(format!(
                    "the record of n{node} at offset {record} of {flipped} is damaged, and its \
                     start says otherwise: {why}"
                )),
            },
        }
    }

    /// Takes back what a fault did to disks.
    pub(super) fn undo_disk(&mut self, id: FaultId, how: DiskTrouble) {
        let fault = &self.nemesis.faults[id];
        let (nodes, damage) = (fault.nodes.clone(), fault.damage.clone());
        for node in nodes {
            let process = self.process(node);
            // A node that started in spite of the damage has it to itself.
            let down = !process.is_up();
            match how {
                DiskTrouble::Slow => process.slowed = None,
                DiskTrouble::FailSync | DiskTrouble::Full => {
                    process.doomed = None;
                    if let Some(disk) = process.disk_mut() {
                        disk.set_fails_sync(false);
                        disk.set_full(false);
                    }
                }
                DiskTrouble::Flip => {
                    if let (true, Some(disk)) = (down, process.disk_mut())
                        && let Some(Damage::Flipped { file, byte, bit, .. }) = damage.get(&node)
                    {
                        disk.flip_bit(file, *byte, *bit);
                    }
                }
            }
        }
    }

    pub(super) fn heal_disk(&mut self, id: FaultId, how: DiskTrouble) {
        self.undo_disk(id, how);
        if how != DiskTrouble::Slow {
            let damage = &self.nemesis.faults[id].damage;
            self.start_again(id, damage.keys().copied().collect());
        }
    }

    /// What the disks show for a fault, by node.
    pub(super) fn damage(&self, id: FaultId) -> Value {
        let shown: BTreeMap<String, Value> = self.nemesis.faults[id]
            .damage
            .iter()
            .map(|(node, damage)| {
                let shown = match damage {
                    Damage::Slow { syncs, longest } => {
                        json!({ "slow_syncs": syncs, "longest_ms": longest.as_millis() })
                    }
                    Damage::Stopped(why) => json!({ "stopped": why }),
                    Damage::Flipped { file, byte, bit, record } => {
                        json!({ "file": file, "byte": byte, "bit": bit, "record_at": record })
                    }
                };
                (format!("n{node}"), shown)
            })
            .collect();
        json!(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{campaign::swarm, plan::Plan};

    fn plan() -> Plan {
        let given = swarm::Given {
            nodes: Some(3),
            menu: Some("disk:flip:n1".parse().unwrap()),
            interval: Some(Duration::from_secs(1)),
            ..swarm::Given::default()
        };
        swarm::plan(&given, 1).unwrap()
    }

    /// A world in which node 1 was started and killed twice, so that the record of its first start,
    /// right behind the header of its log, is followed by one that was synced later.
    fn killed_twice(plan: &Plan) -> World<'_> {
        let mut world = World::new(plan, None);
        for _ in 0..2 {
            world.start(1);
            assert!(world.process(1).is_up());
            world.crash(1);
        }
        world
    }

    #[test]
    fn a_start_that_does_not_notice_the_damage_proves_nothing() {
        let plan = plan();
        let mut world = killed_twice(&plan);
        let file = "0000000000000001.wal".to_owned();
        // Claimed, and not done: as good as overlooked.
        let damage = Damage::Flipped { file, byte: 70, bit: 3, record: 64 };
        world.nemesis.faults[0].damage.insert(1, damage);
        let why = world.refusal(0, 1).unwrap_err();
        assert!(why.starts_with("n1 started although byte 70 of 0000000000000001.wal"), "{why}");
    }

    #[test]
    fn a_refusal_names_the_damage_and_the_bit_goes_back() {
        let plan = plan();
        let mut world = killed_twice(&plan);
        let damage = world.flip(1, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
        world.nemesis.faults[0].nodes.insert(1);
        world.nemesis.faults[0].damage.insert(1, damage);
        let refusal = world.refusal(0, 1).unwrap();
        assert_eq!(refusal, "0000000000000001.wal is damaged at offset 64");
        // A start that is refused changes nothing, so the next is refused as well.
        assert_eq!(world.refusal(0, 1).unwrap(), refusal);
        world.undo_disk(0, DiskTrouble::Flip);
        world.try_start(1).unwrap();
        assert_eq!(world.process(1).boot(), 3);
    }
}
