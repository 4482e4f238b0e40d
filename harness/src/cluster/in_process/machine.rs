//! A machine that a node runs on: what outlives the node's process, and how the node reaches it.

use std::{
    io::{self, Write},
    mem,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use node::{
    server,
    storage::{self, Disk, Wal},
};
use proto::trace;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::stream::{Listener, Network, Stream};
use crate::{
    cluster::sim::{disk::SimulatedDisk, network::between},
    nemesis::{NodeId, overlap::FaultId},
    plan,
};

/// A slow sync that is done: the fault that slowed it, and how long it took.
pub(super) type SlowSync = (FaultId, Duration);

/// What outlives the process.
#[derive(Debug)]
pub(super) struct Hardware {
    pub(super) disk: SimulatedDisk,
    /// Trace lines that the world has not taken yet; the last one may be half a line.
    trace: Vec<u8>,
    /// Lamport clock of the last whole line.
    clock: u64,
    /// What the process printed.
    pub(super) log: Vec<u8>,
    /// A fault slows its syncs: which one, and by how much at most.
    pub(super) slowed: Option<SlowSync>,
    pub(super) slow_syncs: Vec<SlowSync>,
    syncs: plan::Disk,
    rng: Xoshiro256PlusPlus,
}

/// A machine; clones are the same machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    node: NodeId,
    network: Network,
    hardware: Arc<Mutex<Hardware>>,
}

impl Machine {
    /// A machine with an empty disk.
    pub(super) fn new(node: NodeId, network: &Network, disk: &plan::Disk, seed: u64) -> Self {
        let hardware = Hardware {
            disk: SimulatedDisk::new(disk.honesty),
            trace: Vec::new(),
            clock: 0,
            log: Vec::new(),
            slowed: None,
            slow_syncs: Vec::new(),
            syncs: *disk,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        };
        Self { node, network: network.clone(), hardware: Arc::new(Mutex::new(hardware)) }
    }

    pub(super) fn hardware(&self) -> MutexGuard<'_, Hardware> {
        self.hardware.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hardware {
    /// Takes the lines that were traced since the last time.
    ///
    /// # Errors
    /// What is no trace line.
    pub(super) fn take_trace(&mut self) -> Result<Vec<trace::Record>, String> {
        let mut records = Vec::new();
        let bytes = mem::take(&mut self.trace);
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let record: trace::Record = serde_json::from_slice(line).map_err(|why| {
                format!("a trace line that is none ({why}): {}", String::from_utf8_lossy(line))
            })?;
            self.clock = record.clock;
            records.push(record);
        }
        Ok(records)
    }

    /// How long the sync that begins takes, and the fault that slows it.
    fn sync_takes(&mut self) -> (Duration, Option<FaultId>) {
        let plan::Disk { sync_min, sync_max, slow, slow_max, .. } = self.syncs;
        let most = if self.rng.random_bool(slow) { slow_max } else { sync_max };
        let mut takes = between(&mut self.rng, sync_min, most);
        if let Some((_, most)) = self.slowed {
            takes += between(&mut self.rng, most / 4, most);
        }
        (takes, self.slowed.map(|(fault, _)| fault))
    }

    /// The last line that was printed.
    pub(super) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.log);
        text.trim_end().lines().last().unwrap_or_default().to_owned()
    }
}

/// The disk of a machine, as a process has it open.
#[derive(Debug)]
pub(super) struct OpenDisk(Machine);

impl Disk for OpenDisk {
    fn describe(&self, name: &str) -> String {
        self.0.hardware().disk.describe(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.hardware().disk.list()
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        self.0.hardware().disk.read(name)
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.0.hardware().disk.create(name, len)
    }

    fn write(&mut self, name: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.hardware().disk.write(name, offset, data)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.0.hardware().disk.sync(name)
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.0.hardware().disk.sync_dir()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.0.hardware().disk.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.hardware().disk.remove(name)
    }
}

/// A file of the machine that only grows.
struct Append(Machine, fn(&mut Hardware) -> &mut Vec<u8>);

impl Write for Append {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.1)(&mut self.0.hardware()).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Machine {
    /// Where the process prints to.
    pub(super) fn log(&self) -> impl Write + Send + use<> {
        Append(self.clone(), |hardware| &mut hardware.log)
    }
}

impl server::Machine for Machine {
    type Disk = OpenDisk;
    type Connection = Stream;
    type Listener = Listener;

    fn open_disk(&self, _: &Path) -> Result<OpenDisk> {
        Ok(OpenDisk(self.clone()))
    }

    fn listen(&self, address: &str, purpose: &str) -> Result<Listener> {
        let in_use = || anyhow!("cannot listen for {purpose} on {address}: it is in use");
        Listener::new(&self.network, address).ok_or_else(in_use)
    }

    async fn dial(&self, address: &str, silence_max: Duration) -> io::Result<Stream> {
        self.network.dial(self.node, address, silence_max).await
    }

    fn open_trace(&self, _: &Path) -> Result<(Box<dyn Write + Send>, u64)> {
        let clock = self.hardware().clock;
        Ok((Box::new(Append(self.clone(), |hardware| &mut hardware.trace)), clock))
    }

    fn unix_time(&self) -> Duration {
        self.network.wires().now()
    }

    fn run_disk(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        tokio::spawn(work);
        Ok(())
    }

    async fn sync(&self, wal: &mut Wal<OpenDisk>) -> Result<(), storage::Error> {
        let (takes, slowed) = self.hardware().sync_takes();
        tokio::time::sleep(takes).await;
        let result = wal.sync();
        if let Some(fault) = slowed {
            self.hardware().slow_syncs.push((fault, takes));
        }
        result
    }
}
