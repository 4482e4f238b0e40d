//! A node's disk in the simulated world: [`MemoryDisk`], which forgets what was not synced.

use std::io;

use node::storage::{Disk, MemoryDisk};
use rand::Rng;

use crate::plan::Honesty;

/// The disk.
#[derive(Debug, Default)]
pub(super) struct SimulatedDisk {
    memory: MemoryDisk,
    honesty: Honesty,
}

impl SimulatedDisk {
    /// An empty disk.
    pub(super) fn new(honesty: Honesty) -> Self {
        Self { memory: MemoryDisk::new(), honesty }
    }

    /// The power fails: any subset of the unsynced sectors is kept, one of the last write may be
    /// torn.
    pub(super) fn crash(&mut self, rng: &mut impl Rng) {
        self.memory.crash(rng);
    }

    /// Sectors that a crash now may keep or lose.
    pub(super) fn unsynced_sectors(&self) -> usize {
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

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.memory.read(name)
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.memory.create(name, len)
    }

    fn write(&mut self, name: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(name, offset, data)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
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
