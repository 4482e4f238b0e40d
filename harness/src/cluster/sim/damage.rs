//! What faults do to disks. What keeps them from destroying the last good copy of anything: see
//! [`super::disk`].

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use checker::{evidence::Ending, fault::Damage};
use node::storage::{self, Place, guarded};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    process::{Fatal, by_node, identity},
    pulse::Work,
    world::World,
};
use crate::{
    exercise::Finding,
    nemesis::{NodeId, overlap::FaultId},
};

impl World<'_> {
    /// What the disks show for a fault.
    pub(super) fn damage(&self, fault: FaultId) -> Finding {
        let damage = self.damages.get(&fault).cloned().unwrap_or_default();
        let busy = self.processes.iter().any(|process| process.is_slowed_by(fault));
        Finding::Damage { damage, busy }
    }

    /// A sync that a fault slowed is done.
    pub(super) fn synced_slowly(&mut self, fault: FaultId, node: NodeId, took: Duration) {
        let damages = self.damages.entry(fault).or_default();
        let first = damages.is_empty();
        let none = Damage::Slow { syncs: 0, longest_us: 0 };
        if let Damage::Slow { syncs, longest_us } = damages.entry(node).or_insert(none) {
            let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            (*syncs, *longest_us) = (*syncs + 1, took.max(*longest_us));
        }
        if first {
            self.met(fault);
        }
    }

    /// Makes a node stop at its next sync or segment.
    pub(super) fn fail_disk(&mut self, fault: FaultId, node: NodeId, full: bool) {
        let process = self.process(node);
        process.pending_disk_fault = Some((fault, full));
        if let Some(disk) = process.disk_mut() {
            disk.set_fails_sync(!full);
            disk.set_full(full);
        }
    }

    /// A node stopped as its disk failed, as a fault wanted.
    pub(super) fn stopped_by(&mut self, fault: FaultId, node: NodeId, boot: u64, why: String) {
        let damages = self.damages.entry(fault).or_default();
        let first = damages.is_empty();
        damages.insert(node, Damage::Stopped { why, boot });
        if first {
            self.met(fault);
        }
    }

    /// Stops nodes and flips a bit in what each had synced. Nodes without such a record were
    /// restarted, and no more.
    pub(super) fn flip_bits(&mut self, fault: FaultId, nodes: &BTreeSet<NodeId>, pick: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(pick);
        let mut whole = Vec::new();
        for &node in nodes {
            let boot = self.process(node).boot();
            self.crash(node);
            match self.flip(node, boot, &mut rng) {
                Some(damage) => {
                    self.damages.entry(fault).or_default().insert(node, damage);
                }
                None => whole.push(node),
            }
        }
        for node in whole {
            // If it does not start, that is on record.
            let _ = self.start(node);
        }
    }

    /// Flips a bit of a record that the next start must find damaged. None: there is no such
    /// record.
    fn flip(&mut self, node: NodeId, boot: u64, rng: &mut ChaCha8Rng) -> Option<Damage> {
        let (pulse, now) = (Arc::clone(&self.pulse), self.now);
        let disk = self.process(node).disk_mut()?;
        let places =
            match by_node((&*pulse, node, now), Work::Log, || guarded(&*disk, identity(node))) {
                Ok(places) if !places.is_empty() => places,
                Err(fatal @ Fatal::Panic(_)) => {
                    self.record.crash(node, Ending::Defect, fatal.to_string());
                    return None;
                }
                Ok(_) | Err(Fatal::Log(_)) => return None,
            };
        let Place { file, offset, len } = places[rng.random_range(0..places.len())].clone();
        let byte = usize::try_from(offset + rng.random_range(0..len)).ok()?;
        let bit = rng.random_range(0..8);
        let flipped = disk.flip_bit(&file, byte, bit);
        flipped.then_some(Damage::Flipped { file, byte, bit, record: offset, boot })
    }

    /// Starts a node whose log is damaged.
    ///
    /// # Errors
    /// It starts nevertheless, or does not say what is damaged, in a sentence.
    pub(super) fn refusal(&mut self, fault: FaultId, node: NodeId) -> Result<String, String> {
        let damage = self.damages.get(&fault).and_then(|damages| damages.get(&node)).cloned();
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

    /// Takes back what a fault did to a disk, or is about to do.
    pub(super) fn mend_disk(&mut self, fault: FaultId, node: NodeId) {
        let flipped = match self.damages.get(&fault).and_then(|damages| damages.get(&node)) {
            Some(Damage::Flipped { file, byte, bit, .. }) => Some((file.clone(), *byte, *bit)),
            _ => None,
        };
        let process = self.process(node);
        if process.slowed.is_some_and(|(by, _)| by == fault) {
            process.slowed = None;
        }
        if process.pending_disk_fault.is_some_and(|(by, _)| by == fault) {
            process.pending_disk_fault = None;
            if let Some(disk) = process.disk_mut() {
                disk.set_fails_sync(false);
                disk.set_full(false);
            }
        }
        // A node that started in spite of the damage has it to itself.
        if let (Some((file, byte, bit)), false) = (flipped, process.is_up())
            && let Some(disk) = process.disk_mut()
        {
            disk.flip_bit(&file, byte, bit);
        }
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
        let mut world = World::new(plan, None, Arc::default());
        for _ in 0..2 {
            world.start(1).unwrap();
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
        let damage = Damage::Flipped { file, byte: 70, bit: 3, record: 64, boot: 2 };
        world.damages.entry(0).or_default().insert(1, damage);
        let why = world.refusal(0, 1).unwrap_err();
        assert!(why.starts_with("n1 started although byte 70 of 0000000000000001.wal"), "{why}");
    }

    #[test]
    fn a_refusal_names_the_damage_and_the_bit_goes_back() {
        let plan = plan();
        let mut world = killed_twice(&plan);
        let damage = world.flip(1, 2, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
        world.damages.entry(0).or_default().insert(1, damage);
        let refusal = world.refusal(0, 1).unwrap();
        assert_eq!(refusal, "0000000000000001.wal is damaged at offset 64");
        // A start that is refused changes nothing, so the next is refused as well.
        assert_eq!(world.refusal(0, 1).unwrap(), refusal);
        world.mend_disk(0, 1);
        world.try_start(1).unwrap();
        assert_eq!(world.process(1).boot(), 3);
    }
}
