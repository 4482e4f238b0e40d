//! The simulated world: one thread, one queue, one generator of random numbers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use node::{raft::Role, replica::Time};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{
    STOPPED, Simulation,
    budget::Budget,
    clock::{Clock, TRUE_RATE},
    disk::SimulatedDisk,
    kept::{Connection, Damages, Pending},
    limits::LimitsWatch,
    network::{BaselineNetwork, Cuts, NetworkFaults},
    observe::{MessageId, Observer, Watch},
    past,
    process::Process,
    pulse::Pulse,
    queue::{Event, NodeInput, Queue},
    record::Recorder,
};
use crate::{
    exercise::{Machine, Observation, limits},
    nemesis::{Fault, NodeId},
    plan::{Network, Plan},
};

/// Events between two looks whether a stop was asked for.
const LOOK_EVERY: u64 = 4096;

/// What nodes live on, and what clients reach them by.
pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) now: Time,
    /// Time 0 of history and faults: the load began.
    pub(super) start: Time,
    pub(super) queue: Queue,
    pub(super) rng: Xoshiro256PlusPlus,
    pub(super) processes: Vec<Process>,
    pub(super) network: BaselineNetwork,
    pub(super) cuts: Cuts,
    pub(super) network_faults: NetworkFaults,
    pub(super) connections: Vec<Connection>,
    pub(super) damages: Damages,
    pub(super) pending: Pending,
    pub(super) record: Recorder,
    pub(super) limits: LimitsWatch,
    pub(super) watch: Watch<'a>,
    /// Messages sent so far, copies included.
    pub(super) messages: MessageId,
    pub(super) budget: Budget,
    pub(super) pulse: Arc<Pulse>,
}

/// Whether messages are neither lost, nor doubled, nor late.
fn orderly(plan: &Plan) -> bool {
    let network = &plan.world.network;
    network.loss.max(network.late).max(network.duplication) == 0.0
        && plan.faults.iter().all(|it| !matches!(it.fault, Fault::Network { .. }))
}

/// How often a leader may have to send what is in flight to a follower: each message that is lost,
/// late or doubled may make it begin again with all that followed.
fn resends(plan: &Plan) -> u64 {
    let Network { late, loss, duplication, .. } = plan.world.network;
    let broken = match plan.faults.iter().any(|it| matches!(it.fault, Fault::Network { .. })) {
        true => 1.0,
        false => late + loss + duplication,
    };
    let again = 1.0 + broken * plan.world.limits.append_window as f64;
    // In 300 campaign seeds the most that was needed was 1.3.
    again.min(RESENDS_MAX).ceil() as u64
}

/// More are not worth anything: the network is too bad for a cluster to serve.
const RESENDS_MAX: f64 = 8.0;

impl<'a> World<'a> {
    /// The world of a plan, at its beginning or at the end of its nodes' past.
    pub(super) fn new(
        plan: &'a Plan,
        observer: Option<&'a mut dyn Observer>,
        pulse: Arc<Pulse>,
    ) -> Self {
        let ids = plan.node_ids();
        let clock = |rng: &mut Xoshiro256PlusPlus| match plan.world.clocks.rate_error {
            0.0 => Clock::new(TRUE_RATE),
            error => {
                Clock::new((TRUE_RATE as f64 * rng.random_range(1.0 - error..=1.0 + error)) as u64)
            }
        };
        let honesty = plan.world.disk.honesty;
        let past = past::of(plan);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(plan.seed);
        let mut record = Recorder::new(plan);
        let run = record.run();
        run.nodes = ids.len();
        run.traced = plan.system.traced();
        run.simulated = true;
        run.expect = limits::expect(plan);
        if let Some(past) = &past {
            record.begin_with(past);
        }
        let left = |id: NodeId| past.as_ref()?.nodes.get(id as usize - 1);
        let mut process = |id: &NodeId| match left(*id) {
            Some((disk, traced)) => {
                let process = Process::new(disk.clone().with(honesty), clock(&mut rng));
                Process { clock: *traced, ..process }
            }
            None => Process::new(SimulatedDisk::new(honesty), clock(&mut rng)),
        };
        Self {
            plan,
            now: past.as_ref().map_or(Time::ZERO, |past| past.time),
            start: Time::ZERO,
            queue: Queue::default(),
            processes: ids.iter().map(&mut process).collect(),
            rng,
            network: BaselineNetwork::new(&plan.world.network),
            cuts: Cuts::default(),
            network_faults: NetworkFaults::default(),
            connections: Vec::new(),
            damages: Damages::default(),
            pending: Pending::default(),
            record,
            limits: LimitsWatch::new(plan.world.limits, orderly(plan)),
            watch: Watch(observer),
            messages: 0,
            budget: Budget::new(ids.len(), plan.time, resends(plan)),
            pulse,
        }
    }

    /// Runs to the end, to the first violation of Raft's safety, or until a stop is asked for.
    pub(super) fn run(mut self, machine: &mut dyn Machine, stop: &AtomicBool) -> Simulation {
        let mut orders = Vec::new();
        self.report(self.now, Observation::Begin);
        let mut events = 0;
        while !machine.is_over() {
            let Some((time, event)) = self.queue.pop() else {
                self.record.incomplete("the run came to a standstill: nothing is to happen".into());
                break;
            };
            self.now = time;
            if let Some(what) = self.happen(event) {
                machine.handle(time, what, &self, &mut orders);
                for order in orders.drain(..) {
                    self.carry_out(order);
                }
            }
            events += 1;
            if self.record.violation().is_some() {
                self.record.incomplete(
                    "the simulation ended at the first violation of Raft's safety".to_owned(),
                );
                break;
            }
            if events % LOOK_EVERY == 0 {
                self.budget.look(self.entries(), self.now);
                if let Some(why) = self.budget.overdue(events, self.now) {
                    self.record.incomplete(why);
                    break;
                }
            }
            if let Some(stuck) = self.budget.stuck() {
                self.record.incomplete(
                    "the simulation ended as its nodes kept it from going on".to_owned(),
                );
                self.record.run().stuck.push(stuck);
                break;
            }
            if events % LOOK_EVERY == 0 && stop.load(Ordering::Relaxed) {
                let after = humantime::format_duration(Duration::from_millis(
                    u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX),
                ));
                self.record.incomplete(format!("{STOPPED} {after} of virtual time"));
                break;
            }
        }
        self.record.run().started = self.nanoseconds(self.start);
        self.record.run().limits = Some(self.limits.into_seen());
        self.record.run().messages = Some(self.messages);
        let violation = self.record.violation().map(str::to_owned);
        let (evidence, passed) = self.record.finish();
        Simulation { evidence, violation, passed, events, virtual_time: self.now }
    }

    /// Entries of the longest log.
    fn entries(&self) -> u64 {
        let running = self.processes.iter().filter_map(|process| process.running.as_ref());
        running.map(|running| running.replica.status().last_index).max().unwrap_or(0)
    }

    /// Something happens. Returns what the machine must learn.
    pub(super) fn happen(&mut self, event: Event) -> Option<Observation> {
        match event {
            Event::Timer(node) => self.timer(node),
            Event::Round(node) => self.round(node),
            Event::Start(node, ticket) => self.start_ordered(node, ticket),
            Event::Synced { node, incarnation } => {
                self.arrives(node, incarnation, NodeInput::Synced);
            }
            Event::Arrives { node, incarnation, input } => self.arrives(node, incarnation, input),
            Event::Pinged(ticket, link) => self.pinged(ticket, link),
            Event::Impatient(ticket, patience) => self.impatient(ticket, patience),
            Event::Alarm(alarm) => return Some(Observation::Alarm(alarm)),
            Event::Report(what) => {
                self.learns(&what);
                return Some(*what);
            }
        }
        None
    }

    /// How long a message takes.
    pub(super) fn message_delay(&mut self) -> Duration {
        self.network.delay(&mut self.rng)
    }

    /// A node's process; ids come from the plan alone.
    pub(super) fn process(&mut self, id: NodeId) -> &mut Process {
        &mut self.processes[id as usize - 1]
    }

    /// The leader of the latest term that would answer.
    pub(super) fn leader(&self) -> Option<NodeId> {
        self.processes
            .iter()
            .filter_map(Process::answers)
            .filter(|status| status.role == Role::Leader)
            .max_by_key(|status| status.term)
            .map(|status| status.id)
    }

    /// Nanoseconds since time 0 of history and faults.
    pub(super) fn since_start(&self) -> u64 {
        self.nanoseconds(self.now.saturating_sub(self.start))
    }

    /// A time as the evidence writes it.
    pub(super) fn nanoseconds(&self, time: Time) -> u64 {
        super::queue::nanoseconds(time)
    }
}
