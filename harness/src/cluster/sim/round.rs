//! What a process does: rounds.
//!
//! A round takes all inputs that wait, then does all their outputs at once. A round keeps the
//! process busy for a moment; what comes meanwhile waits for the next one, so that a busy process
//! gathers. The disk takes everything that is queued, appends it all, and syncs once.

use std::{mem, time::Duration};

use node::{
    kv::Response,
    replica::{self, Host, Input, Message, RequestId, WriteId},
    storage::Record,
};
use proto::trace;
use rand::RngExt;

use super::{
    network::{Fate, between},
    observe::{Happening, Loss, MessageId},
    process::{Fatal, Running, Syncing, by_node},
    queue::{Event, Moment, News, Work},
    world::World,
};
use crate::nemesis::{Link, NodeId};

/// How long a round keeps a process busy.
const ROUND: Duration = Duration::from_micros(20);

/// The world as a process reaches it.
struct Hands<'a, 'w> {
    node: NodeId,
    running: &'a mut Running,
    world: &'a mut World<'w>,
}

impl Host for Hands<'_, '_> {
    type Error = Fatal;

    fn trace(&mut self, lines: impl Iterator<Item = (u64, trace::Event)>) -> Result<(), Fatal> {
        for (clock, event) in lines {
            let line = (self.running.boot, self.running.lines);
            self.world.trace(self.node, line, clock, event);
            self.running.lines += 1;
        }
        Ok(())
    }

    fn write(&mut self, write: Option<(WriteId, Vec<Record>)>) -> Result<(), Fatal> {
        self.running.queued.extend(write);
        self.world.write(self.node, self.running)
    }

    fn send(&mut self, message: Message) -> Option<Message> {
        self.world.send(message)
    }

    fn reply(&mut self, request: RequestId, result: Result<Response, replica::Error>) {
        if let Some((client, token)) = self.running.requests.remove(&request) {
            self.world.tell(client, token, News::Answer(Box::new(result)));
        }
    }
}

impl World<'_> {
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

    /// Deals with what waits, and with the time.
    pub(super) fn round(&mut self, id: NodeId) {
        let free = self.now + ROUND;
        let process = self.process(id);
        if process.paused {
            return;
        }
        // Away from its place while it works, so that the rest of the world is at hand.
        let Some(mut running) = process.running.take() else { return };
        running.awaited = false;
        running.busy_until = free;
        let done = self.work(id, &mut running);
        self.process(id).running = Some(running);
        match done {
            Ok(()) => self.wind(id),
            Err(fatal) => self.died(id, &fatal),
        }
    }

    fn work(&mut self, id: NodeId, running: &mut Running) -> Result<(), Fatal> {
        let true_now = self.now;
        let now = self.process(id).time.read(true_now);
        // Any input makes a replica look at the time as well.
        let mut looked = false;
        while let Some(item) = running.inbox.pop_front() {
            let input = match item {
                Work::Message(id, message) => {
                    self.watch.see(self.now, Happening::Delivered { id, message: &message });
                    Input::Message(message)
                }
                Work::Ask(client, token, request) => {
                    self.watch.see(self.now, Happening::Asked { node: id, request: &request });
                    running.last_request += 1;
                    let id = running.last_request;
                    running.requests.insert(id, (client, token));
                    Input::Request { id, request: *request, session: None }
                }
                Work::Synced => {
                    by_node(|| running.wal.sync())?;
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
            running.handle(now, input)?;
            looked = true;
        }
        if !looked && running.replica.deadline() <= now {
            running.handle(now, Input::Timer)?;
        }
        // A leader says nothing to most acknowledgements.
        while !running.outputs.is_empty() || !running.queued.is_empty() {
            let mut outputs = mem::take(&mut running.outputs);
            let inputs = outputs.perform(&mut Hands { node: id, running, world: self })?;
            running.outputs = outputs;
            if inputs.is_empty() {
                break;
            }
            for input in inputs {
                running.handle(now, input)?;
            }
        }
        Ok(())
    }

    /// The disk takes what is queued, unless it is at work.
    fn write(&mut self, id: NodeId, running: &mut Running) -> Result<(), Fatal> {
        let Some((last, _)) = running.queued.last() else { return Ok(()) };
        if running.syncing.is_some() {
            return Ok(());
        }
        let write = *last;
        let size = running.wal.size();
        for (_, records) in running.queued.drain(..) {
            by_node(|| running.wal.append(&records))?;
        }
        if running.wal.size() > size {
            self.watch.see(self.now, Happening::Rolled { node: id });
        }
        let (incarnation, slowed) = (self.process(id).incarnation, self.process(id).slowed);
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
        Ok(())
    }

    /// Sends a message. One for which there is no link comes back, as from the server's links.
    fn send(&mut self, message: Message) -> Option<Message> {
        let (from, to) = (message.from, message.to);
        let id = self.sent(&message, None);
        let process = self.process(to);
        let incarnation = process.incarnation;
        if !process.is_up() {
            self.watch.see(self.now, Happening::Lost { id, message: &message, why: Loss::Down });
            return Some(message);
        }
        let link = Link { from, to };
        let mut fate = Fate::default();
        let lost = if self.cuts.drops(link) {
            Some(Loss::Cut)
        } else if self.rng.sample(self.weather.loss) {
            // By the network itself, so that no fault can claim it.
            Some(Loss::Chance)
        } else {
            fate = self.troubles.fate(link, &mut self.rng);
            fate.lost.then_some(Loss::Chance)
        };
        if let Some(why) = lost {
            self.watch.see(self.now, Happening::Lost { id, message: &message, why });
            return None;
        }
        if self.rng.sample(self.weather.duplication) {
            fate.again.insert(0, Duration::ZERO);
        }
        for later in fate.again {
            let again = self.now + self.message_delay() + later;
            let copy = self.sent(&message, Some(id));
            let work = Work::Message(copy, message.clone());
            self.queue.push(again, Event::Arrives { node: to, incarnation, work });
        }
        let at = self.now + self.message_delay() + fate.delay;
        let work = Work::Message(id, message);
        self.queue.push(at, Event::Arrives { node: to, incarnation, work });
        for fault in self.troubles.awaited(link) {
            self.queue.push(self.now, Event::Fault(fault, Moment::Check));
        }
        None
    }

    /// Numbers a message that leaves.
    fn sent(&mut self, message: &Message, copy_of: Option<MessageId>) -> MessageId {
        self.messages += 1;
        let id = self.messages;
        self.watch.see(self.now, Happening::Sent { id, message, copy_of });
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
        self.watch.see(self.now, Happening::Step(&record));
        if self.record.trace(record)
            && let Some(summary) = self.record.violation()
        {
            self.watch.see(self.now, Happening::Violation { node: id, summary });
        }
    }
}
