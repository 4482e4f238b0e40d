//! What a process does: rounds.
//!
//! A round takes all inputs that wait, then does all their outputs at once. A round keeps the
//! process busy for a moment; what comes meanwhile waits for the next one, so that a busy process
//! gathers. The disk takes everything that is queued, appends it all, and syncs once.

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use node::{
    kv::Response,
    raft::Role,
    replica::{self, Host, Input, Message, RequestId, WriteId},
    storage::{Record, Wal},
};
use proto::trace;
use rand::RngExt;

use super::{
    disk::SimulatedDisk,
    network::{Delivery, between},
    observe::{Loss, MessageId, SimEvent},
    process::{Asked, Fatal, Running, Syncing, by_node},
    pulse::Work,
    queue::{Event, NodeInput},
    world::World,
};
use crate::nemesis::{Link, NodeId};

/// How long a round keeps a process busy.
const ROUND: Duration = Duration::from_micros(20);

/// The world as a process reaches it, and what of the process its outputs change.
struct ProcessHost<'a, 'w> {
    node: NodeId,
    boot: u64,
    lines: &'a mut u64,
    disk: Writing<'a>,
    requests: &'a mut BTreeMap<RequestId, Asked>,
    /// What the replica is when its outputs are done: term, and whether it leads.
    role: (u64, bool),
    world: &'a mut World<'w>,
}

/// A process's log, what waits for its disk, and what the disk is at work with.
struct Writing<'a> {
    wal: &'a mut Wal<SimulatedDisk>,
    queued: &'a mut Vec<(WriteId, Vec<Record>)>,
    syncing: &'a mut Option<Syncing>,
}

impl Host for ProcessHost<'_, '_> {
    type Error = Fatal;

    fn trace(&mut self, lines: impl Iterator<Item = (u64, trace::Event)>) -> Result<(), Fatal> {
        for (clock, event) in lines {
            self.world.trace(self.node, (self.boot, *self.lines), clock, event);
            *self.lines += 1;
        }
        Ok(())
    }

    fn write(&mut self, write: Option<(WriteId, Vec<Record>)>) -> Result<(), Fatal> {
        if let Some(write) = write {
            let (term, leads) = self.role;
            self.world.limits.writes(self.node, term, leads, &write.1);
            self.disk.queued.push(write);
        }
        match self.disk.queued.last() {
            // One sync at a time; the next one takes all that waits.
            Some((last, _)) if self.disk.syncing.is_none() => {
                self.world.write(self.node, *last, &mut self.disk)
            }
            _ => Ok(()),
        }
    }

    fn send(&mut self, message: Message) -> Option<Message> {
        self.world.watch_sending(&message);
        self.world.send_message(message)
    }

    fn reply(&mut self, request: RequestId, result: Result<Response, replica::Error>) {
        if let Some(asked) = self.requests.remove(&request) {
            self.world.limits.replied(self.node, &asked, &result);
            self.world.reply(asked.client, asked.token, result);
        }
    }
}

impl World<'_> {
    /// Something reaches a process that is still the one it was sent to.
    pub(super) fn arrives(&mut self, id: NodeId, incarnation: u64, input: NodeInput) {
        let now = self.now;
        let process = &mut self.processes[id as usize - 1];
        let lost = match &input {
            NodeInput::Message(_, message)
                if self.cuts.drops(Link { from: message.from, to: message.to }) =>
            {
                Some(Loss::Cut)
            }
            _ if process.incarnation != incarnation => Some(Loss::Reset),
            _ if !process.is_up() => Some(Loss::Down),
            _ => None,
        };
        if let Some(why) = lost {
            if let NodeInput::Message(id, message) = &input {
                self.watch.see(now, SimEvent::Lost { id: *id, message, why });
            }
            return;
        }
        let Some(running) = &mut process.running else { return };
        if process.paused {
            process.held.push_back(input);
            return;
        }
        running.inbox.push_back(input);
        if running.busy_until <= now {
            self.round(id);
        } else if !mem::replace(&mut running.awaited, true) {
            let free = running.busy_until;
            self.queue.push(free, Event::Round(id));
        }
    }

    /// Deals with what waits, and with the time.
    pub(super) fn round(&mut self, id: NodeId) {
        let free = self.now + ROUND;
        let process = self.process(id);
        if process.paused {
            return;
        }
        // Away from its place while it works, so that the rest of the world is at hand.
        let Some(mut running) = process.running.take() else { return };
        self.budget.round(id);
        running.awaited = false;
        running.busy_until = free;
        let done = self.work(id, &mut running);
        self.process(id).running = Some(running);
        match done {
            Ok(()) => self.arm_timer(id),
            Err(fatal) => self.died(id, &fatal),
        }
    }

    fn work(&mut self, id: NodeId, running: &mut Running) -> Result<(), Fatal> {
        let true_now = self.now;
        let now = self.process(id).time.read(true_now);
        running.latest = running.latest.max(now);
        let pulse = Arc::clone(&self.pulse);
        let node = (&*pulse, id, true_now);
        // Any input makes a replica look at the time as well.
        let mut looked = false;
        while let Some(item) = running.inbox.pop_front() {
            let input = match item {
                NodeInput::Message(id, message) => {
                    self.watch.see(self.now, SimEvent::Delivered { id, message: &message });
                    self.limits.takes(&message);
                    Input::Message(message)
                }
                NodeInput::Request(client, token, request, session) => {
                    self.watch.see(self.now, SimEvent::Asked { node: id, request: &request });
                    self.budget.requested(id);
                    running.last_request += 1;
                    let id = running.last_request;
                    self.limits.took();
                    let (bytes, before) = (request.encoded_len(), running.requests.len());
                    let (arrived, shown) = (true_now, running.latest);
                    let asked = Asked { client, token, arrived, shown, bytes, before };
                    running.requests.insert(id, asked);
                    Input::Request { id, request, session }
                }
                NodeInput::Synced => {
                    by_node(node, Work::Log, || running.wal.sync())?;
                    let Some(synced) = running.syncing.take() else { continue };
                    if let Some(fault) = synced.slowed {
                        self.synced_slowly(fault, id, synced.took);
                    }
                    self.watch.see(self.now, SimEvent::Synced { node: id });
                    Input::Durable(synced.write)
                }
                NodeInput::Connect(client, token) => {
                    self.accepted(id, client, token);
                    continue;
                }
                NodeInput::Question(ticket) => {
                    self.answer(ticket, &running.replica.status());
                    continue;
                }
            };
            running.handle(node, now, input)?;
            looked = true;
        }
        if !looked && running.replica.deadline() <= now {
            running.handle(node, now, Input::Timer)?;
        }
        let mut echoes = 0;
        // A leader says nothing to most acknowledgements.
        while !running.outputs.is_empty() || !running.queued.is_empty() {
            let status = running.replica.status();
            let role = (status.term, status.role == Role::Leader);
            let Running { outputs, boot, lines, wal, queued, syncing, requests, .. } = running;
            let disk = Writing { wal, queued, syncing };
            let mut host =
                ProcessHost { node: id, boot: *boot, lines, disk, requests, role, world: self };
            let inputs = outputs.perform(&mut host)?;
            if inputs.is_empty() {
                break;
            }
            echoes += 1;
            if !self.budget.echoes(id, echoes, true_now) {
                break;
            }
            for input in inputs {
                running.handle(node, now, input)?;
            }
        }
        self.watch_limits(id, running);
        Ok(())
    }

    /// The disk takes what is queued, up to `write`, and begins to sync.
    fn write(&mut self, id: NodeId, write: WriteId, disk: &mut Writing<'_>) -> Result<(), Fatal> {
        let Writing { wal, queued, syncing } = disk;
        let size = wal.size();
        for (_, records) in queued.drain(..) {
            by_node((&*self.pulse, id, self.now), Work::Log, || wal.append(&records))?;
        }
        if wal.size() > size {
            self.watch.see(self.now, SimEvent::Rolled { node: id });
        }
        let (incarnation, slowed) = (self.process(id).incarnation, self.process(id).slowed);
        let disk = &self.plan.world.disk;
        let slow = self.rng.random_bool(disk.slow);
        let most = if slow { disk.slow_max } else { disk.sync_max };
        let mut took = between(&mut self.rng, disk.sync_min, most);
        if let Some((_, most)) = slowed {
            took += between(&mut self.rng, most / 4, most);
        }
        **syncing = Some(Syncing { write, took, slowed: slowed.map(|(fault, _)| fault) });
        let slow = slow || slowed.is_some();
        self.watch.see(self.now, SimEvent::Syncing { node: id, takes: took, slow });
        self.queue.push(self.now + took, Event::Synced { node: id, incarnation });
        Ok(())
    }

    /// Sends a message. One for which there is no link comes back, as from the server's links.
    fn send_message(&mut self, message: Message) -> Option<Message> {
        let (from, to) = (message.from, message.to);
        let id = self.sent(&message, None);
        let process = self.process(to);
        let incarnation = process.incarnation;
        if !process.is_up() {
            self.watch.see(self.now, SimEvent::Lost { id, message: &message, why: Loss::Down });
            return Some(message);
        }
        let link = Link { from, to };
        let mut delivery = Delivery::default();
        let lost = if self.cuts.drops(link) {
            Some(Loss::Cut)
        } else if self.rng.sample(self.network.loss) {
            // By the network itself, so that no fault can claim it.
            Some(Loss::Chance)
        } else {
            if self.network_faults.any_in_force() {
                delivery = self.network_faults.delivery(link, &mut self.rng);
                for fault in self.network_faults.take_fresh() {
                    self.met(fault);
                }
            }
            delivery.lost.then_some(Loss::Chance)
        };
        if let Some(why) = lost {
            self.watch.see(self.now, SimEvent::Lost { id, message: &message, why });
            return None;
        }
        if self.rng.sample(self.network.duplication) {
            delivery.again.insert(0, Duration::ZERO);
        }
        for later in delivery.again {
            let again = self.now + self.message_delay() + later;
            let copy = self.sent(&message, Some(id));
            let input = NodeInput::Message(copy, message.clone());
            self.queue.push(again, Event::Arrives { node: to, incarnation, input });
        }
        let at = self.now + self.message_delay() + delivery.delay;
        let input = NodeInput::Message(id, message);
        self.queue.push(at, Event::Arrives { node: to, incarnation, input });
        for fault in self.network_faults.awaited(link) {
            self.met(fault);
        }
        None
    }

    /// Numbers a message that leaves.
    fn sent(&mut self, message: &Message, copy_of: Option<MessageId>) -> MessageId {
        self.messages += 1;
        let id = self.messages;
        if copy_of.is_none() {
            self.budget.sent(message);
        }
        self.watch.see(self.now, SimEvent::Sent { id, message, copy_of });
        id
    }

    /// A line of a trace: line `seq` of a boot.
    pub(super) fn trace(
        &mut self,
        id: NodeId,
        (boot, seq): (u64, u64),
        clock: u64,
        event: trace::Event,
    ) {
        let time = self.nanoseconds(self.now);
        self.process(id).clock = clock;
        let record = trace::Record { node: id, boot, seq, clock, time, event };
        self.watch.see(self.now, SimEvent::Step(&record));
        if self.record.trace(record)
            && let Some(summary) = self.record.violation()
        {
            self.watch.see(self.now, SimEvent::Violation { node: id, summary });
        }
    }
}
