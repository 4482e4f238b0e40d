//! A node's process: the replica and its write-ahead log, driven as the server drives them.
//!
//! A round takes all inputs that wait, then does all their outputs at once and in their order: trace
//! lines, records for the disk, messages, replies. A round keeps the process busy for a moment;
//! what comes meanwhile waits for the next one, so that a busy process gathers. The disk takes
//! everything that is queued, appends it all, and syncs once.

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use checker::evidence::Crash;
use node::{
    kv::Store,
    raft::{Body, Message},
    replica::{Config, Input, Limits, Outputs, Replica, RequestId, Status, Time, WriteId},
    storage::{self, Identity, Options, Wal},
};
use proto::trace;
use rand::RngExt;

use super::{
    clock::Clock,
    disk::SimulatedDisk,
    network::{Fate, between},
    observe::{Ending, Happening, Loss, MessageId},
    queue::{ClientId, Event, Moment, News, Work},
    world::World,
};
use crate::{
    nemesis::{DiskTrouble, Link, NodeId, overlap::FaultId},
    plan::{self, Storage},
};

const CLUSTER: u64 = 0x51_4d;
/// How long a round keeps a process busy.
const ROUND: Duration = Duration::from_micros(20);

/// A node: what survives a crash, and the process while it runs.
#[derive(Debug)]
pub(super) struct Process {
    /// None while a process has it open.
    disk: Option<SimulatedDisk>,
    /// The machine's clock; it outlives the process.
    pub(super) time: Clock,
    /// A fault slows its syncs: which one, and by how much at most.
    pub(super) slowed: Option<(FaultId, Duration)>,
    /// A fault of the disk will stop the process.
    pub(super) doomed: Option<(FaultId, DiskTrouble)>,
    running: Option<Running>,
    /// Counts the starts, failed ones included.
    pub(super) incarnation: u64,
    /// Lamport clock of the last line traced.
    clock: u64,
    pub(super) paused: bool,
    /// What reached the process while it was paused.
    held: VecDeque<Work>,
}

#[derive(Debug)]
struct Running {
    replica: Replica,
    wal: Wal<SimulatedDisk>,
    boot: u64,
    /// Trace lines of this boot.
    lines: u64,
    inbox: VecDeque<Work>,
    outputs: Outputs,
    refusals: Vec<Message>,
    busy_until: Time,
    /// A round is scheduled.
    awaited: bool,
    /// The earliest timer that is scheduled.
    timer: Option<Time>,
    queued: Vec<(WriteId, Vec<storage::Record>)>,
    syncing: Option<Syncing>,
    requests: BTreeMap<RequestId, (ClientId, u64)>,
    last_request: RequestId,
}

/// What the disk is at work with.
#[derive(Clone, Copy, Debug)]
struct Syncing {
    /// The last write that it takes with it.
    write: WriteId,
    took: Duration,
    /// The fault that slows it.
    slowed: Option<FaultId>,
}

impl Process {
    /// A node that was never started.
    pub(super) fn new(disk: SimulatedDisk, time: Clock) -> Self {
        Self {
            disk: Some(disk),
            time,
            slowed: None,
            doomed: None,
            running: None,
            incarnation: 0,
            clock: 0,
            paused: false,
            held: VecDeque::new(),
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

    /// Whether the disk is at work with a sync that a fault slows. One of a paused process ends unseen.
    pub(super) fn is_slowed_by(&self, fault: FaultId) -> bool {
        let syncing = self.running.as_ref().and_then(|running| running.syncing);
        !self.paused && syncing.is_some_and(|syncing| syncing.slowed == Some(fault))
    }

    /// Loses what reached the process while it was paused and it has not taken yet.
    pub(super) fn lose_held(&mut self, mut lost: impl FnMut(&Work) -> bool) {
        self.held.retain(|work| !lost(work));
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

impl World<'_> {
    /// Starts a process with what its disk holds.
    pub(super) fn start(&mut self, id: NodeId) {
        if let Err(why) = self.try_start(id) {
            self.record.incomplete(format!("n{id} did not start: {why}"));
        }
    }

    /// Starts a process, which may refuse to with what its disk holds. The disk is then as before.
    pub(super) fn try_start(&mut self, id: NodeId) -> Result<(), storage::Error> {
        let true_now = self.now;
        let seed = self.rng.random();
        let (voters, timings) = (self.plan.node_ids(), &self.plan.timings);
        let plan::Limits { append_bytes, append_window } = self.plan.world.limits;
        let limits = Limits { append_bytes, append_window, ..Limits::default() };
        let segment_bytes = self.plan.world.disk.segment_bytes;
        let segments = Options { first_segment_bytes: segment_bytes / 4, segment_bytes };
        let process = self.process(id);
        let Some(disk) = process.disk.take() else { return Ok(()) };
        process.incarnation += 1;
        // To open a log takes the disk; the copy stays where the log is refused.
        process.disk = Some(disk.clone());
        let (wal, recovered) = Wal::open_with(disk, identity(id), segments)?;
        process.disk = None;
        let now = process.time.read(true_now);
        let (boot, cut) = (recovered.boot, recovered.cut);
        let config = Config {
            id,
            cluster_id: CLUSTER,
            voters,
            clock: process.clock,
            election_timeout: timings.election_timeout,
            heartbeat_interval: timings.heartbeat_interval,
            seed,
            limits,
        };
        let mut replica = Replica::new(config, recovered, now);
        let mut outputs = Outputs::default();
        replica.handle(now, Input::Timer, &mut outputs);
        process.running = Some(Running {
            replica,
            wal,
            boot,
            lines: 0,
            inbox: VecDeque::new(),
            outputs,
            refusals: Vec::new(),
            busy_until: true_now,
            awaited: false,
            timer: None,
            queued: Vec::new(),
            syncing: None,
            requests: BTreeMap::new(),
            last_request: 0,
        });
        self.watch.see(true_now, Happening::Started { node: id, boot, cut });
        self.round(id);
        Ok(())
    }

    /// The process ends at once, and the machine with it: of what was not synced, the disk keeps any
    /// part. Returns how many sectors were at stake.
    pub(super) fn crash(&mut self, id: NodeId) -> usize {
        self.end(id, Ending::Killed, true)
    }

    /// Ends a process, and where its machine loses power, what its disk was not told to keep.
    fn end(&mut self, id: NodeId, ending: Ending<'_>, power_fails: bool) -> usize {
        let now = self.now;
        let honesty = self.plan.world.disk.honesty;
        let forgets = self.plan.storage == Storage::Memory;
        let process = &mut self.processes[id as usize - 1];
        let held = mem::take(&mut process.held);
        process.paused = false;
        let Some(running) = process.running.take() else { return 0 };
        let mut disk = running.wal.into_disk();
        let unsynced = disk.unsynced_sectors();
        self.watch.see(now, Happening::Ended { node: id, ending, unsynced });
        for work in running.inbox.iter().chain(&held) {
            if let Work::Message(id, message) = work {
                self.watch.see(now, Happening::Lost { id: *id, message, why: Loss::Down });
            }
        }
        if forgets {
            disk = SimulatedDisk::new(honesty);
        } else if power_fails {
            disk.crash(&mut self.rng);
        }
        process.disk = Some(disk);
        self.reset_clients(id);
        unsynced
    }

    pub(super) fn pause(&mut self, id: NodeId) {
        self.process(id).paused = true;
        self.watch.see(self.now, Happening::Paused { node: id });
    }

    /// What waited is dealt with now.
    pub(super) fn resume(&mut self, id: NodeId) {
        let process = self.process(id);
        process.paused = false;
        let held = mem::take(&mut process.held);
        self.watch.see(self.now, Happening::Resumed { node: id });
        let process = self.process(id);
        if let Some(running) = &mut process.running {
            running.inbox.extend(held);
            self.round(id);
        }
    }

    /// Something reaches a process that is still the one it was sent to.
    pub(super) fn arrives(&mut self, id: NodeId, incarnation: u64, work: Work) {
        let now = self.now;
        let process = &mut self.processes[id as usize - 1];
        let lost = match &work {
            Work::Message(_, message)
                if self.cuts.drops(Link { from: message.from, to: message.to }) =>
            {
                Some(Loss::Cut)
            }
            _ if process.incarnation != incarnation => Some(Loss::Reset),
            _ if !process.is_up() => Some(Loss::Down),
            _ => None,
        };
        if let Some(why) = lost {
            if let Work::Message(id, message) = &work {
                self.watch.see(now, Happening::Lost { id: *id, message, why });
            }
            return;
        }
        let Some(running) = &mut process.running else { return };
        if process.paused {
            process.held.push_back(work);
            return;
        }
        running.inbox.push_back(work);
        if running.busy_until <= now {
            self.round(id);
        } else if !mem::replace(&mut running.awaited, true) {
            let free = running.busy_until;
            self.queue.push(free, Event::Round(id));
        }
    }

    /// A timer that was scheduled goes off; the replica may have moved its deadline meanwhile.
    pub(super) fn timer(&mut self, id: NodeId) {
        let now = self.now;
        let Process { paused, time, running: Some(running), .. } = self.process(id) else { return };
        if running.timer != Some(now) {
            return;
        }
        running.timer = None;
        if *paused {
            return;
        }
        if running.replica.deadline() > time.read(now) {
            return self.wind(id);
        }
        self.watch.see(now, Happening::Timer { node: id });
        self.round(id);
    }

    /// Sees to it that a timer goes off no later than the replica's deadline.
    fn wind(&mut self, id: NodeId) {
        let now = self.now;
        let Process { time, running: Some(running), .. } = self.process(id) else { return };
        let deadline = running.replica.deadline();
        if deadline == Time::MAX {
            return;
        }
        let deadline = time.when(deadline);
        if running.timer.is_some_and(|timer| timer <= deadline) {
            return;
        }
        let deadline = deadline.max(now + Duration::from_nanos(1));
        running.timer = Some(deadline);
        self.queue.push(deadline, Event::Timer(id));
    }

    /// A node's clock goes otherwise than before, so its timer goes off at another time.
    pub(super) fn rewind(&mut self, id: NodeId) {
        if let Some(running) = &mut self.process(id).running {
            running.timer = None;
            self.wind(id);
        }
    }

    /// Deals with what waits, and with the time.
    pub(super) fn round(&mut self, id: NodeId) {
        let now = self.now;
        let Process { paused: false, running: Some(running), .. } = self.process(id) else {
            return;
        };
        running.awaited = false;
        running.busy_until = now + ROUND;
        let mut work = mem::take(&mut running.inbox);
        // A replica that finds its own state impossible stops, and its process with it.
        let done = catch_unwind(AssertUnwindSafe(|| self.work(id, &mut work)));
        if let Some(running) = &mut self.process(id).running {
            // Empty, kept for its memory.
            running.inbox = work;
        }
        match done {
            Ok(Ok(())) => self.wind(id),
            Ok(Err(why)) => self.stopped(id, &why),
            Err(panic) => {
                let how = format!("it panicked: {}", words(&*panic));
                self.end(id, Ending::Itself(&how), true);
                self.record.run().crashes.push(Crash { node: id, how });
            }
        }
    }

    fn work(&mut self, id: NodeId, work: &mut VecDeque<Work>) -> Result<(), storage::Error> {
        let now = self.processes[id as usize - 1].time.read(self.now);
        // Any input makes a replica look at the time as well.
        let mut looked = false;
        while let Some(item) = work.pop_front() {
            let Some(running) = &mut self.processes[id as usize - 1].running else {
                return Ok(());
            };
            let input = match item {
                Work::Message(id, message) => {
                    self.watch.see(self.now, Happening::Delivered { id, message: &message });
                    Input::Message(message)
                }
                Work::Ask(client, token, request) => {
                    running.last_request += 1;
                    let id = running.last_request;
                    running.requests.insert(id, (client, token));
                    Input::Request { id, request: *request, session: None }
                }
                Work::Synced => {
                    running.wal.sync()?;
                    let Some(synced) = running.syncing.take() else { continue };
                    if let Some(fault) = synced.slowed
                        && self.nemesis.synced_slowly(fault, id, synced.took)
                    {
                        self.queue.push(self.now, Event::Fault(fault, Moment::Check));
                    }
                    self.watch.see(self.now, Happening::Synced { node: id });
                    Input::Durable(synced.write)
                }
                Work::Hello(client, token) => {
                    let incarnation = self.process(id).incarnation;
                    self.tell(client, token, News::Connected(incarnation));
                    continue;
                }
                Work::Probe(fault) => {
                    self.nemesis.answered(fault, id);
                    continue;
                }
            };
            running.replica.handle(now, input, &mut running.outputs);
            looked = true;
        }
        if !looked
            && let Some(running) = &mut self.processes[id as usize - 1].running
            && running.replica.deadline() <= now
        {
            running.replica.handle(now, Input::Timer, &mut running.outputs);
        }
        self.flush(id)?;
        // What found no link certainly never arrives: the replica learns that at once.
        loop {
            let Some(running) = &mut self.processes[id as usize - 1].running else {
                return Ok(());
            };
            let refusals = mem::take(&mut running.refusals);
            if refusals.is_empty() {
                return Ok(());
            }
            for refusal in refusals {
                running.replica.handle(now, Input::Message(refusal), &mut running.outputs);
            }
            self.flush(id)?;
        }
    }

    /// Does all outputs, in their order.
    fn flush(&mut self, id: NodeId) -> Result<(), storage::Error> {
        let Some(running) = &mut self.processes[id as usize - 1].running else { return Ok(()) };
        if running.outputs.is_empty() {
            return self.write(id);
        }
        let mut outputs = mem::take(&mut running.outputs);
        for (clock, event) in outputs.trace.drain(..) {
            self.trace(id, clock, event);
        }
        if let (Some(write), Some(running)) = (outputs.write.take(), &mut self.process(id).running)
        {
            running.queued.push(write);
        }
        self.write(id)?;
        for message in outputs.messages.drain(..) {
            if let Some(refusal) = self.send(message)
                && let Some(running) = &mut self.process(id).running
            {
                running.refusals.push(refusal);
            }
        }
        for (request, result) in outputs.replies.drain(..) {
            let Some(running) = &mut self.process(id).running else { return Ok(()) };
            if let Some((client, token)) = running.requests.remove(&request) {
                self.tell(client, token, News::Answer(Box::new(result)));
            }
        }
        if let Some(running) = &mut self.process(id).running {
            // Empty, kept for its memory.
            running.outputs = outputs;
        }
        Ok(())
    }

    /// The disk takes what is queued, unless it is at work.
    fn write(&mut self, id: NodeId) -> Result<(), storage::Error> {
        let process = &mut self.processes[id as usize - 1];
        let (incarnation, slowed) = (process.incarnation, process.slowed);
        let Some(running) = &mut process.running else { return Ok(()) };
        if running.syncing.is_some() {
            return Ok(());
        }
        let size = running.wal.size();
        let mut last = None;
        for (write, records) in running.queued.drain(..) {
            running.wal.append(&records)?;
            last = Some(write);
        }
        if running.wal.size() > size {
            self.watch.see(self.now, Happening::Rolled { node: id });
        }
        if let Some(write) = last {
            let disk = &self.plan.world.disk;
            let slow = self.rng.random_bool(disk.slow);
            let most = if slow { disk.slow_max } else { disk.sync_max };
            let mut took = between(&mut self.rng, disk.sync_min, most);
            if let Some((_, most)) = slowed {
                took += between(&mut self.rng, most / 4, most);
            }
            running.syncing = Some(Syncing { write, took, slowed: slowed.map(|(fault, _)| fault) });
            let slow = slow || slowed.is_some();
            self.watch.see(self.now, Happening::Syncing { node: id, takes: took, slow });
            self.queue.push(self.now + took, Event::Synced { node: id, incarnation });
        }
        Ok(())
    }

    /// Sends a message. One for which there is no link is dropped; a command's refusal comes back,
    /// as from the server's links.
    fn send(&mut self, message: Message) -> Option<Message> {
        let (from, to) = (message.from, message.to);
        let id = self.sent(&message, None);
        let process = self.process(to);
        let incarnation = process.incarnation;
        if !process.is_up() {
            self.watch.see(self.now, Happening::Lost { id, message: &message, why: Loss::Down });
            return match message.body {
                Body::Propose { id, .. } => {
                    let body = Body::ProposeRefused { id };
                    Some(Message { from: to, to: from, body, ..message })
                }
                _ => None,
            };
        }
        let network = &self.plan.world.network;
        let link = Link { from, to };
        let mut fate = Fate::default();
        let lost = if self.cuts.drops(link) {
            Some(Loss::Cut)
        } else {
            fate = self.troubles.fate(link, &mut self.rng);
            (fate.lost || self.rng.random_bool(network.loss)).then_some(Loss::Chance)
        };
        if let Some(why) = lost {
            self.watch.see(self.now, Happening::Lost { id, message: &message, why });
            return None;
        }
        let doubled = self.rng.random_bool(network.duplication).then_some(Duration::ZERO);
        for later in doubled.into_iter().chain(fate.again) {
            let again = self.now + self.message_delay() + later;
            let copy = self.sent(&message, Some(id));
            let work = Work::Message(copy, message.clone());
            self.queue.push(again, Event::Arrives { node: to, incarnation, work });
        }
        let at = self.now + self.message_delay() + fate.delay;
        let work = Work::Message(id, message);
        self.queue.push(at, Event::Arrives { node: to, incarnation, work });
        None
    }

    /// Numbers a message that leaves.
    fn sent(&mut self, message: &Message, copy_of: Option<MessageId>) -> MessageId {
        self.messages += 1;
        let id = self.messages;
        self.watch.see(self.now, Happening::Sent { id, message, copy_of });
        id
    }

    fn trace(&mut self, id: NodeId, clock: u64, event: trace::Event) {
        let time = self.nanoseconds(self.now);
        let process = self.process(id);
        process.clock = clock;
        let Some(running) = &mut process.running else { return };
        let (boot, seq) = (running.boot, running.lines);
        running.lines += 1;
        let record = trace::Record { node: id, boot, seq, clock, time, event };
        self.watch.see(self.now, Happening::Step(&record));
        if self.record.trace(record)
            && let Some(summary) = self.record.violation()
        {
            self.watch.see(self.now, Happening::Violation { node: id, summary });
        }
    }

    /// A process stopped as its log cannot go on. Where a fault of its disk is the cause, that is on
    /// record there; else nobody has done it.
    fn stopped(&mut self, id: NodeId, why: &storage::Error) {
        let by = match (self.process(id).doomed, why) {
            (Some((fault, DiskTrouble::FailSync)), storage::Error::Io { .. })
            | (Some((fault, DiskTrouble::Full)), storage::Error::DiskFull { .. }) => Some(fault),
            _ => None,
        };
        match by {
            Some(fault) => {
                let boot = self.process(id).boot();
                // The machine may go on, and keep in memory what the disk did not take.
                let power_fails = self.rng.random_bool(0.5);
                let how = format!("stopped: {why}");
                self.end(id, Ending::Itself(&how), power_fails);
                self.stopped_by(fault, id, boot, why.to_string());
            }
            None => self.ended(id, &format!("stopped: {why}")),
        }
    }

    /// A process ended that nobody killed.
    fn ended(&mut self, id: NodeId, how: &str) {
        self.end(id, Ending::Itself(how), true);
        self.record.incomplete(format!("n{id} {how}"));
    }

    /// Ends a process in order: what is queued is written, and the trace says so.
    pub(super) fn stop(&mut self, id: NodeId) {
        let Some(running) = &mut self.process(id).running else { return };
        let mut finish = || {
            for (_, records) in running.queued.drain(..) {
                running.wal.append(&records)?;
            }
            running.wal.sync()
        };
        if let Err(why) = finish() {
            return self.ended(id, &format!("stopped: {why}"));
        }
        let clock = running.replica.clock() + 1;
        self.trace(id, clock, trace::Event::Stopped {});
        self.end(id, Ending::Stopped, true);
    }
}

/// Whose log a node's is.
pub(super) fn identity(id: NodeId) -> Identity {
    Identity { cluster: CLUSTER, node: id }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it said nothing")
}
