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
    raft::{Body, Message},
    replica::{Config, Input, Limits, Outputs, Replica, RequestId, Status, Time, WriteId},
    storage::{self, Identity, Options, Wal},
};
use proto::trace;
use rand::RngExt;

use super::{
    disk::SimulatedDisk,
    network::between,
    observe::{Ending, Happening, Loss, MessageId},
    queue::{ClientId, Event, News, Work},
    world::World,
};
use crate::{
    nemesis::{Link, NodeId},
    plan::{self, Storage},
};

const CLUSTER: u64 = 0x51_4d;
/// How long a round keeps a process busy.
const ROUND: Duration = Duration::from_micros(20);
/// Small segments, so that runs of a minute fill some.
const SEGMENTS: Options = Options { first_segment_bytes: 16 << 10, segment_bytes: 64 << 10 };

/// A node: what survives a crash, and the process while it runs.
#[derive(Debug)]
pub(super) struct Process {
    /// None while a process has it open.
    disk: Option<SimulatedDisk>,
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
    syncing: Option<WriteId>,
    requests: BTreeMap<RequestId, (ClientId, u64)>,
    last_request: RequestId,
}

impl Process {
    /// A node that was never started.
    pub(super) fn new(disk: SimulatedDisk) -> Self {
        Self {
            disk: Some(disk),
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

    /// Revision and hash of the store.
    pub(super) fn hash(&self) -> Option<(i64, u32)> {
        let store = self.running.as_ref().filter(|_| !self.paused)?.replica.store();
        Some((store.revision(), store.hash_kv(0).ok()?))
    }
}

impl World<'_> {
    /// Starts a process with what its disk holds.
    pub(super) fn start(&mut self, id: NodeId) {
        let now = self.now;
        let seed = self.rng.random();
        let (voters, timings) = (self.plan.node_ids(), &self.plan.timings);
        let plan::Limits { append_bytes, append_window } = self.plan.world.limits;
        let limits = Limits { append_bytes, append_window, ..Limits::default() };
        let process = self.process(id);
        let Some(disk) = process.disk.take() else { return };
        process.incarnation += 1;
        let identity = Identity { cluster: CLUSTER, node: id };
        let (wal, recovered) = match Wal::open_with(disk, identity, SEGMENTS) {
            Ok(opened) => opened,
            Err(why) => return self.ended(id, &format!("did not start: {why}")),
        };
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
            busy_until: now,
            awaited: false,
            timer: None,
            queued: Vec::new(),
            syncing: None,
            requests: BTreeMap::new(),
            last_request: 0,
        });
        self.watch.see(now, Happening::Started { node: id, boot, cut });
        self.round(id);
    }

    /// The process ends at once, and the machine with it: of what was not synced, the disk keeps any
    /// part. Returns how many sectors were at stake.
    pub(super) fn crash(&mut self, id: NodeId) -> usize {
        self.end(id, Ending::Killed)
    }

    fn end(&mut self, id: NodeId, ending: Ending<'_>) -> usize {
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
        } else {
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
        let Process { paused, running: Some(running), .. } = self.process(id) else { return };
        if running.timer != Some(now) {
            return;
        }
        running.timer = None;
        if *paused {
            return;
        }
        if running.replica.deadline() > now {
            return self.wind(id);
        }
        self.watch.see(now, Happening::Timer { node: id });
        self.round(id);
    }

    /// Sees to it that a timer goes off no later than the replica's deadline.
    fn wind(&mut self, id: NodeId) {
        let now = self.now;
        let Some(running) = &mut self.process(id).running else { return };
        let deadline = running.replica.deadline();
        if deadline == Time::MAX || running.timer.is_some_and(|timer| timer <= deadline) {
            return;
        }
        let deadline = deadline.max(now + Duration::from_nanos(1));
        running.timer = Some(deadline);
        self.queue.push(deadline, Event::Timer(id));
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
            Ok(Err(why)) => self.ended(id, &format!("stopped: {why}")),
            Err(panic) => {
                let how = format!("it panicked: {}", words(&*panic));
                self.crash(id);
                self.record.run().crashes.push(Crash { node: id, how });
            }
        }
    }

    fn work(&mut self, id: NodeId, work: &mut VecDeque<Work>) -> Result<(), storage::Error> {
        let now = self.now;
        // Any input makes a replica look at the time as well.
        let mut looked = false;
        while let Some(item) = work.pop_front() {
            let Some(running) = &mut self.processes[id as usize - 1].running else {
                return Ok(());
            };
            let input = match item {
                Work::Message(id, message) => {
                    self.watch.see(now, Happening::Delivered { id, message: &message });
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
                    let Some(last) = running.syncing.take() else { continue };
                    self.watch.see(now, Happening::Synced { node: id });
                    Input::Durable(last)
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
        let incarnation = process.incarnation;
        let Some(running) = &mut process.running else { return Ok(()) };
        if running.syncing.is_some() {
            return Ok(());
        }
        let size = running.wal.size();
        for (write, records) in running.queued.drain(..) {
            running.wal.append(&records)?;
            running.syncing = Some(write);
        }
        if running.wal.size() > size {
            self.watch.see(self.now, Happening::Rolled { node: id });
        }
        if running.syncing.is_some() {
            let disk = &self.plan.world.disk;
            let slow = self.rng.random_bool(disk.slow);
            let most = if slow { disk.slow_max } else { disk.sync_max };
            let took = between(&mut self.rng, disk.sync_min, most);
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
        let lost = if self.cuts.drops(Link { from, to }) {
            Some(Loss::Cut)
        } else {
            self.rng.random_bool(network.loss).then_some(Loss::Chance)
        };
        if let Some(why) = lost {
            self.watch.see(self.now, Happening::Lost { id, message: &message, why });
            return None;
        }
        if self.rng.random_bool(network.duplication) {
            let again = self.now + self.message_delay();
            let copy = self.sent(&message, Some(id));
            let work = Work::Message(copy, message.clone());
            self.queue.push(again, Event::Arrives { node: to, incarnation, work });
        }
        let at = self.now + self.message_delay();
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

    /// A process ended that nobody killed.
    fn ended(&mut self, id: NodeId, how: &str) {
        self.end(id, Ending::Itself(how));
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
        self.end(id, Ending::Stopped);
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it said nothing")
}
