//! Carries out the exercise's orders in the simulated world, and reports what was observed.
//!
//! Most deeds are done at once. A process takes a moment to start; a question waits for the node
//! to take it in, a ping for its way. What a fault does later (a sync that it slows, a message that
//! it strikes) is counted where it happens, and the first time the exercise is told.

use std::{collections::BTreeMap, time::Duration};

use checker::fault::{self, ClockReading, Counter};
use node::raft;

use super::{
    kept::ClockSetting,
    network::between,
    observe::SimEvent,
    process::by_node,
    pulse::Work,
    queue::{Event, NodeInput},
    world::World,
};
use crate::{
    exercise::{
        ClockChange, Deed, Failure, Finding, Note, Observation, Order, Role, Stage, Status, Ticket,
        Time, View,
    },
    nemesis::{Fault, Link, NodeId, overlap::FaultId},
};

/// A node that does not answer for this long hangs: far more than a question's way and a round.
pub(super) const HANG: Duration = Duration::from_millis(50);
/// How long a question or a ping is on its way. It is the harness's own, so faults of the network
/// do not touch it, but for cuts.
const WAY: Duration = Duration::from_millis(1);
/// How long a process takes to start.
const START: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));

/// Simulated clusters can suffer every fault.
pub fn supports(_fault: &Fault) -> Result<(), String> {
    Ok(())
}

impl View for World<'_> {
    fn leader(&self) -> Option<NodeId> {
        self.leader()
    }
}

impl World<'_> {
    pub(super) fn carry_out(&mut self, order: Order) {
        match order {
            Order::Wake { at, alarm } => self.queue.push(at, Event::Alarm(alarm)),
            Order::Connect { client, token, node } => self.connect(client, token, node),
            Order::Send { client, token, operation, session } => {
                self.send_request(client, token, operation, session);
            }
            Order::Disconnect { client } => self.disconnect(client),
            Order::Perform { ticket, deed } => self.perform(ticket, deed),
            Order::Note(note) => self.note(note),
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Operation { client, event } => {
                let client = client as u64;
                self.watch.see(self.now, SimEvent::Client { client, event: &event });
                self.record.event(event);
            }
            Note::Fault(record) => self.note_fault(*record),
            Note::Stage(stage) => {
                match stage {
                    Stage::Load => self.start = self.now,
                    Stage::Recovery => self.record.run().healed = Some(self.since_start()),
                    Stage::Stopping => self.record.run().stopped = self.since_start(),
                    _ => {}
                }
                self.watch.see(self.now, SimEvent::Stage(stage));
            }
            Note::FinalHashes(hashes) => {
                self.record.run().final_hashes = hashes;
                if let Some(store) = self.processes.first().and_then(|process| process.store()) {
                    self.watch.see(self.now, SimEvent::Compared { store });
                }
            }
            Note::Crash(crash) => self.record.crash(crash.node, crash.ending, crash.how),
            Note::Incomplete(why) => self.record.incomplete(why),
        }
    }

    fn note_fault(&mut self, record: fault::Record) {
        self.watch.see(self.now, SimEvent::Fault(&record));
        self.record.fault(record);
    }

    /// Reports something to the exercise.
    pub(super) fn report(&mut self, at: Time, what: Observation) {
        self.queue.push(at, Event::Report(Box::new(what)));
    }

    /// A fault has met something for the first time.
    pub(super) fn met(&mut self, fault: FaultId) {
        self.report(self.now, Observation::Met(fault));
    }

    fn done(&mut self, ticket: Ticket, outcome: Result<Finding, Failure>) {
        self.report(self.now, Observation::Done { ticket, outcome });
    }

    fn perform(&mut self, ticket: Ticket, deed: Deed) {
        let found = match deed {
            Deed::Start(node) => {
                let at = self.now + between(&mut self.rng, START.0, START.1);
                return self.queue.push(at, Event::Start(node, ticket));
            }
            Deed::Ask { node, patience } => return self.ask(ticket, node, patience),
            Deed::Ping(link) => return self.ping(ticket, link),
            Deed::Stop(node) => {
                self.stop(node);
                Ok(Finding::Nothing)
            }
            Deed::Kill(node) => Ok(Finding::Killed { unsynced: self.crash(node) }),
            Deed::Pause(node) => {
                self.pause(node);
                Ok(Finding::Nothing)
            }
            Deed::Resume(node) => {
                self.resume(node);
                Ok(Finding::Nothing)
            }
            Deed::Examine(node) => Ok(Finding::Process(self.process(node).seen())),
            Deed::Hash(node) => self.hash(node),
            Deed::Cut { fault, links } => {
                self.cuts.install(fault, &links);
                let rules = links.iter().map(|link| format!("drop {link}")).collect();
                Ok(Finding::Rules { rules, skew: None })
            }
            Deed::Uncut(fault) => {
                self.cuts.remove(fault);
                Ok(Finding::Nothing)
            }
            Deed::Counters(fault) => Ok(Finding::Dropped(counters(&self.cuts.counters(fault)))),
            Deed::Trouble { fault, how, strength, links } => {
                self.network_faults.install(fault, how, strength, &links);
                Ok(Finding::Nothing)
            }
            Deed::Struck(fault) => Ok(Finding::Struck(self.network_faults.struck(fault))),
            Deed::Break { fault, links, nodes } => {
                let (lost, clients) = self.break_connections(&links, &nodes);
                if lost.is_empty() && clients.is_empty() {
                    self.network_faults.await_message(fault, &links);
                }
                Ok(Finding::Broken { lost, clients })
            }
            Deed::Calm(fault) => {
                self.network_faults.remove(fault);
                Ok(Finding::Nothing)
            }
            Deed::SlowDisk { fault, node, most } => {
                self.process(node).slowed = Some((fault, most));
                Ok(Finding::Nothing)
            }
            Deed::FailDisk { fault, node, full } => {
                self.fail_disk(fault, node, full);
                Ok(Finding::Nothing)
            }
            Deed::FlipBits { fault, nodes, pick } => {
                self.flip_bits(fault, &nodes, pick);
                Ok(self.damage(fault))
            }
            Deed::StartDamaged { fault, node } => {
                self.refusal(fault, node).map(Finding::Refusal).map_err(Failure::Impossible)
            }
            Deed::Damage(fault) => Ok(self.damage(fault)),
            Deed::MendDisk { fault, node } => {
                self.mend_disk(fault, node);
                Ok(Finding::Nothing)
            }
            Deed::SetClock { fault, node, change, after } => {
                self.set_clock(fault, node, change, after);
                Ok(Finding::Nothing)
            }
            Deed::ReadClocks(fault) => Ok(Finding::Clocks(self.read_clocks(fault))),
        };
        self.done(ticket, found);
    }

    /// The time has come to start a process.
    pub(super) fn start_ordered(&mut self, node: NodeId, ticket: Ticket) {
        let started = self.start(node).map(|()| Finding::Nothing);
        self.done(ticket, started.map_err(Failure::Impossible));
    }

    /// Asks a node for its status.
    fn ask(&mut self, ticket: Ticket, node: NodeId, patience: Duration) {
        let process = self.process(node);
        if !process.is_up() {
            let outcome = Err(Failure::Refused("connection refused".to_owned()));
            return self.report(self.now + WAY, Observation::Done { ticket, outcome });
        }
        let incarnation = process.incarnation;
        self.pending.asked.insert(ticket);
        let input = NodeInput::Question(ticket);
        self.queue.push(self.now + WAY, Event::Arrives { node, incarnation, input });
        self.queue.push(self.now + patience, Event::Impatient(ticket, patience));
    }

    /// A node takes in a question.
    pub(super) fn answer(&mut self, ticket: Ticket, status: &node::replica::Status) {
        if self.pending.asked.remove(&ticket) {
            let status = Status {
                boot: status.boot,
                role: match status.role {
                    raft::Role::Follower => Role::Follower,
                    raft::Role::Candidate => Role::Candidate,
                    raft::Role::Leader => Role::Leader,
                },
                term: status.term,
                leader: status.leader,
                applied_index: status.applied_index,
                // A message needs no stream here.
                unconnected: Vec::new(),
            };
            self.done(ticket, Ok(Finding::Status(status)));
        }
    }

    /// A question waits no longer for its answer.
    pub(super) fn impatient(&mut self, ticket: Ticket, patience: Duration) {
        if self.pending.asked.remove(&ticket) {
            self.done(ticket, Err(Failure::Hangs(format!("no answer within {patience:?}"))));
        }
    }

    /// A ping passes the same cuts as any message, when it leaves and when it arrives.
    fn ping(&mut self, ticket: Ticket, link: Link) {
        if self.cuts.drops(link) {
            return self.not_reached(ticket);
        }
        self.queue.push(self.now + WAY, Event::Pinged(ticket, link));
    }

    pub(super) fn pinged(&mut self, ticket: Ticket, link: Link) {
        if self.cuts.drops(link) {
            return self.not_reached(ticket);
        }
        self.done(ticket, Ok(Finding::Reached(true)));
    }

    fn not_reached(&mut self, ticket: Ticket) {
        let outcome = Ok(Finding::Reached(false));
        self.report(self.now + HANG, Observation::Done { ticket, outcome });
    }

    fn hash(&mut self, node: NodeId) -> Result<Finding, Failure> {
        let process = &self.processes[node as usize - 1];
        match by_node((&*self.pulse, node, self.now), Work::Hash, || Ok(process.hash())) {
            Ok(Some((revision, hash))) => Ok(Finding::Hash { revision, hash }),
            Ok(None) => Err(Failure::Refused("it is down or paused".to_owned())),
            Err(fatal) => {
                self.died(node, &fatal);
                Err(Failure::Refused(fatal.to_string()))
            }
        }
    }

    fn set_clock(&mut self, fault: FaultId, node: NodeId, change: ClockChange, after: bool) {
        let now = self.now;
        let clock = &mut self.process(node).time;
        let before = clock.read(now);
        match change {
            ClockChange::Rate(percent) => clock.go(now, percent),
            ClockChange::Forward(by) => clock.jump_forth(now, by),
            ClockChange::Back(by) => clock.jump_back(now, by),
        }
        let reading = if after { clock.read(now) } else { before };
        self.pending.clocks.insert((fault, node), ClockSetting { at: now, reading });
        self.rearm_timer(node);
    }

    /// What each clock gained since a fault changed it. One that was set back has perhaps gained
    /// nothing.
    fn read_clocks(&self, fault: FaultId) -> BTreeMap<NodeId, ClockReading> {
        let settings = self.pending.clocks.iter().filter(|((by, _), _)| *by == fault);
        let read = |(&(_, node), setting): (&(FaultId, NodeId), &ClockSetting)| {
            let clock = &self.processes[node as usize - 1].time;
            let gained = clock.read(self.now).saturating_sub(setting.reading);
            let natural = clock.natural_gain(self.now.saturating_sub(setting.at));
            let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            (node, ClockReading { gained_us: us(gained), natural_us: us(natural) })
        };
        settings.map(read).collect()
    }
}

fn counters(dropped: &BTreeMap<Link, u64>) -> Vec<Counter> {
    let counter = |(link, &packets): (&Link, &u64)| Counter {
        node: format!("n{}", link.to),
        rule: format!("drop {link}"),
        packets,
        bytes: None,
    };
    dropped.iter().map(counter).collect()
}
