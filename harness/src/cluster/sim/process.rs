//! A node's process: the replica and its write-ahead log. Its life: `lifecycle`; what it does
//! meanwhile: `round`.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use node::{
    kv::Store,
    replica::{Input, Outputs, Replica, RequestId, Status, Time, WriteId},
    storage::{self, Identity, Wal},
};

use super::{
    clock::Clock,
    disk::SimulatedDisk,
    pulse::{Pulse, Work},
    queue::NodeInput,
};
use crate::{
    exercise::{self, ClientId, Exit},
    nemesis::{NodeId, overlap::FaultId},
    panics::words,
};

pub(super) const CLUSTER: u64 = 0x51_4d;

/// A node: what survives a crash, and the process while it runs.
#[derive(Debug)]
pub(super) struct Process {
    /// None while a process has it open.
    pub(super) disk: Option<SimulatedDisk>,
    /// The machine's clock; it outlives the process.
    pub(super) time: Clock,
    /// A fault slows its syncs: which one, and by how much at most.
    pub(super) slowed: Option<(FaultId, Duration)>,
    /// A fault of the disk will stop the process.
    /// Which one, and whether there is no space; else the next sync fails.
    pub(super) pending_disk_fault: Option<(FaultId, bool)>,
    /// None while it is down, and within its own rounds.
    pub(super) running: Option<Box<Running>>,
    /// Counts the starts, failed ones included.
    pub(super) incarnation: u64,
    /// Lamport clock of the last line traced.
    pub(super) clock: u64,
    pub(super) paused: bool,
    /// When it was last paused or resumed, or its clock set.
    pub(super) disturbed: Time,
    /// Exit code of its last end.
    pub(super) exit: Option<i64>,
    /// What reached the process while it was paused.
    pub(super) held: VecDeque<NodeInput>,
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) replica: Replica,
    pub(super) wal: Wal<SimulatedDisk>,
    pub(super) boot: u64,
    /// Trace lines of this boot.
    pub(super) lines: u64,
    pub(super) inbox: VecDeque<NodeInput>,
    pub(super) outputs: Outputs,
    pub(super) busy_until: Time,
    /// A round is scheduled.
    pub(super) awaited: bool,
    /// The earliest timer that is scheduled.
    pub(super) timer: Option<Timer>,
    pub(super) queued: Vec<(WriteId, Vec<storage::Record>)>,
    pub(super) syncing: Option<Syncing>,
    /// Requests without an answer, in the order in which they came.
    pub(super) requests: BTreeMap<RequestId, Asked>,
    pub(super) last_request: RequestId,
    /// The latest time that its clock has shown it: for a replica, time never runs backwards.
    pub(super) latest: Time,
}

/// A request of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) client: ClientId,
    pub(super) token: u64,
    /// When the process took it in, and the latest time that its clock had shown then.
    pub(super) arrived: Time,
    pub(super) shown: Time,
    /// Its size, encoded.
    pub(super) bytes: usize,
    /// Requests in flight before it.
    pub(super) before: usize,
}

/// A timer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    /// When it goes off.
    pub(super) at: Time,
    /// What the node's clock is to show then.
    pub(super) reading: Time,
}

/// What the disk is at work with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syncing {
    /// The last write that it takes with it.
    pub(super) write: WriteId,
    pub(super) took: Duration,
    /// The fault that slows it.
    pub(super) slowed: Option<FaultId>,
}

/// What ends a process that nobody kills, or keeps one from starting.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fatal {
    /// Its log cannot go on, or what its disk holds is refused.
    #[error(transparent)]
    Log(#[from] storage::Error),
    /// It found its own state impossible.
    #[error("it panicked: {0}")]
    Panic(String),
}

/// Has a node's own code do something. A panic in there is the node's, and one anywhere else the
/// harness's. So is the time that it takes: see [`super::pulse`].
pub(super) fn by_node<T>(
    (pulse, id, now): (&Pulse, NodeId, Time),
    work: Work,
    act: impl FnOnce() -> Result<T, storage::Error>,
) -> Result<T, Fatal> {
    pulse.begin(id, work, now);
    let done = catch_unwind(AssertUnwindSafe(act));
    pulse.end();
    match done {
        Ok(done) => Ok(done?),
        Err(panic) => Err(Fatal::Panic(words(&*panic).to_owned())),
    }
}

impl Running {
    /// The replica takes something in.
    pub(super) fn handle(
        &mut self,
        node: (&Pulse, NodeId, Time),
        now: Time,
        input: Input,
    ) -> Result<(), Fatal> {
        let Self { replica, outputs, .. } = self;
        let work = match input {
            Input::Timer => Work::Timer,
            Input::Message(_) => Work::Message,
            Input::Durable(_) => Work::Durable,
            Input::Request { .. } | Input::Subscribe(_) | Input::Unsubscribe(_) => Work::Request,
        };
        by_node(node, work, || {
            replica.handle(now, input, outputs);
            Ok(())
        })
    }
}

impl Process {
    /// A node that was never started.
    pub(super) fn new(disk: SimulatedDisk, time: Clock) -> Self {
        Self {
            disk: Some(disk),
            time,
            slowed: None,
            pending_disk_fault: None,
            running: None,
            incarnation: 0,
            clock: 0,
            paused: false,
            disturbed: Time::ZERO,
            held: VecDeque::new(),
            exit: None,
        }
    }

    /// Whether there is a process, even a paused one.
    pub(super) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// The replica's state; none while it is down or paused and would not answer.
    pub(super) fn answers(&self) -> Option<Status> {
        self.running.as_ref().filter(|_| !self.paused).map(|running| running.replica.status())
    }

    /// What a look from outside shows. Whatever ended it is on record already.
    pub(super) fn seen(&self) -> exercise::Process {
        let running = self.is_up();
        let exit = Exit { code: self.exit, on_record: true, ..Exit::default() };
        let exit = (!running).then_some(exit);
        exercise::Process { running, paused: self.paused, boot: self.boot(), exit }
    }

    /// Number of the present boot, 0 while it is down.
    pub(super) fn boot(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.boot)
    }

    /// The disk, whoever has it open.
    pub(super) fn disk_mut(&mut self) -> Option<&mut SimulatedDisk> {
        match &mut self.running {
            Some(running) => Some(running.wal.disk_mut()),
            None => self.disk.as_mut(),
        }
    }

    /// Whether the disk is at work with a sync that a fault slows. One of a paused process ends
    /// unseen.
    pub(super) fn is_slowed_by(&self, fault: FaultId) -> bool {
        let syncing = self.running.as_ref().and_then(|running| running.syncing);
        !self.paused && syncing.is_some_and(|syncing| syncing.slowed == Some(fault))
    }

    /// Loses what reached the process while it was paused and it has not taken yet.
    pub(super) fn lose_held(&mut self, mut lost: impl FnMut(&NodeInput) -> bool) {
        self.held.retain(|input| !lost(input));
    }

    /// Revision and hash of the store.
    pub(super) fn hash(&self) -> Option<(i64, u32)> {
        let store = self.store()?;
        Some((store.revision(), store.hash_kv(0).ok()?))
    }

    /// The store; none while the process is down or paused and would not answer.
    pub(super) fn store(&self) -> Option<&Store> {
        Some(self.running.as_ref().filter(|_| !self.paused)?.replica.store())
    }
}

/// Whose log a node's is.
pub(super) fn identity(id: NodeId) -> Identity {
    Identity { cluster: CLUSTER, node: id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_panics_with_is_its_own() {
        let pulse = Pulse::default();
        let node = (&pulse, 1, Time::ZERO);
        let panics = || -> Result<(), storage::Error> { panic!("this test wants it") };
        let panic = by_node(node, Work::Timer, panics);
        assert_eq!(panic.unwrap_err().to_string(), "it panicked: this test wants it");
        let full = by_node::<()>(node, Work::Log, || {
            Err(storage::Error::DiskFull { action: "create", file: "1.wal".to_owned() })
        });
        assert!(matches!(full, Err(Fatal::Log(storage::Error::DiskFull { .. }))), "{full:?}");
        assert_eq!(by_node(node, Work::Hash, || Ok(7)).unwrap(), 7);
    }
}
