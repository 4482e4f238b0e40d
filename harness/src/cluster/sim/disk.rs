//! A node's disk in the simulated world: [`MemoryDisk`], which forgets what was not synced.
//!
//! # Why every default plan must be survived
//!
//! Faults on disks never destroy the last good copy of anything that was acknowledged, unless the
//! plan asks for disks that lie or data in memory:
//! - a crash loses only what was not synced, and nobody acknowledges that;
//! - a sync that fails, or a disk that is full, stops the node before it acknowledges anything that
//!   the disk did not keep;
//! - a bit flips only in a record that was synced before a later one was written
//!   ([`node::storage::guarded`]), never in what could be taken for a torn tail: the node must
//!   refuse to start, and the heal puts the bit back, so that all copies are as they were.

use std::{io, mem};

use bytes::Bytes;
use node::storage::{Disk, Failure, MemoryDisk};
use rand::Rng;

use crate::plan::Honesty;

/// The disk.
#[derive(Clone, Debug, Default)]
pub(in crate::cluster) struct SimulatedDisk {
    memory: MemoryDisk,
    honesty: Honesty,
    /// The next sync fails.
    fails_sync: bool,
}

impl SimulatedDisk {
    /// An empty disk.
    pub(in crate::cluster) fn new(honesty: Honesty) -> Self {
        Self { memory: MemoryDisk::new(), honesty, fails_sync: false }
    }

    /// The same disk, that keeps its word or does not.
    pub(super) fn with(self, honesty: Honesty) -> Self {
        Self { honesty, ..self }
    }

    /// The power fails: any subset of the unsynced sectors is kept, one of the last write may be
    /// torn.
    pub(in crate::cluster) fn crash(&mut self, rng: &mut impl Rng) {
        self.memory.crash(rng);
    }

    /// Whether the next sync fails.
    pub(in crate::cluster) fn set_fails_sync(&mut self, fails: bool) {
        self.fails_sync = fails;
    }

    /// Whether there is no space for another file.
    pub(in crate::cluster) fn set_full(&mut self, full: bool) {
        self.memory.set_capacity(full.then_some(0));
    }

    /// Flips a bit. False: there is no such byte.
    pub(in crate::cluster) fn flip_bit(&mut self, file: &str, offset: usize, bit: u8) -> bool {
        self.memory.flip_bit(file, offset, bit)
    }

    /// Sectors that a crash now may keep or lose.
    pub(in crate::cluster) fn unsynced_sectors(&self) -> usize {
        self.memory.unsynced_pieces()
    }
}

impl Disk for SimulatedDisk {
    fn describe(&self, name: &str) -> String {
        self.memory.describe(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.memory.list()
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        self.memory.read(name)
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.memory.create(name, len)
    }

    fn write(&mut self, name: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(name, offset, data)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        if mem::take(&mut self.fails_sync) {
            self.memory.fail(Failure::Sync);
            return self.memory.sync(name);
        }
        // Even a liar's files exist: a log that lost its header would be refused, not believed.
        let being_made = name.ends_with(".tmp");
        match self.honesty {
            Honesty::LiesAboutSync if !being_made => Ok(()),
            _ => self.memory.sync(name),
        }
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.memory.sync_dir()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.memory.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.memory.remove(name)
    }
}
