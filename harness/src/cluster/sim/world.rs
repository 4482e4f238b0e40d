//! The simulated world: one thread, one queue, one generator of random numbers.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use node::{raft::Role, replica::Time};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{
    Simulation,
    client::{Client, Pace},
    clock::{Clock, TRUE_RATE},
    disk::SimulatedDisk,
    nemesis::Nemesis,
    network::{Cuts, Troubles, Weather},
    observe::{MessageId, Observer, Stage, Watch},
    process::Process,
    queue::{Event, Queue},
    record::Recorder,
};
use crate::{
    nemesis::NodeId,
    plan::Plan,
    run::{limits, simulation::STOPPED},
    workload::Generator,
};

/// Events between two looks whether a stop was asked for.
const LOOK_EVERY: u64 = 4096;

/// See the module.
pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) now: Time,
    /// Time 0 of history and faults: the cluster is up.
    pub(super) start: Time,
    pub(super) queue: Queue,
    pub(super) rng: Xoshiro256PlusPlus,
    pub(super) processes: Vec<Process>,
    pub(super) weather: Weather,
    pub(super) cuts: Cuts,
    pub(super) troubles: Troubles,
    pub(super) clients: Vec<Client>,
    pub(super) workload: Generator,
    pub(super) keys: Vec<String>,
    /// Names of the nodes, as the history has them.
    pub(super) names: Vec<String>,
    pub(super) pace: Pace,
    pub(super) load_ended: bool,
    /// Process ids of one client differ by this.
    pub(super) stride: u64,
    pub(super) nemesis: Nemesis,
    pub(super) record: Recorder,
    pub(super) stage: Stage,
    pub(super) stage_since: Time,
    pub(super) watch: Watch<'a>,
    /// Messages sent so far, copies included.
    pub(super) messages: MessageId,
}

impl<'a> World<'a> {
    /// The world of a plan, at its beginning.
    pub(super) fn new(plan: &'a Plan, observer: Option<&'a mut dyn Observer>) -> Self {
        let ids = plan.node_ids();
        let clock = |rng: &mut Xoshiro256PlusPlus| match plan.world.clocks.rate_error {
            0.0 => Clock::new(TRUE_RATE),
            error => {
                Clock::new((TRUE_RATE as f64 * rng.random_range(1.0 - error..=1.0 + error)) as u64)
            }
        };
        let disk = || SimulatedDisk::new(plan.world.disk.honesty);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(plan.seed);
        let mut record = Recorder::new(plan);
        let run = record.run();
        run.nodes = ids.len();
        run.traced = plan.system.traced();
        run.expect = limits::expect(plan);
        let mut queue = Queue::default();
        for &id in &ids {
            queue.push(Time::ZERO, Event::Start(id));
        }
        queue.push(Duration::from_millis(1), Event::Look);
        Self {
            plan,
            now: Time::ZERO,
            start: Time::ZERO,
            queue,
            processes: ids.iter().map(|_| Process::new(disk(), clock(&mut rng))).collect(),
            rng,
            weather: Weather::new(&plan.world.network),
            cuts: Cuts::default(),
            troubles: Troubles::default(),
            clients: Vec::new(),
            workload: plan.workload.generator(plan.seed),
            keys: plan.workload.keys(),
            names: ids.iter().map(|id| format!("n{id}")).collect(),
            pace: Pace::new(plan.load.rate),
            load_ended: false,
            stride: plan.load.concurrency + plan.nodes + 1,
            nemesis: Nemesis::new(&plan.faults),
            record,
            stage: Stage::BringUp,
            stage_since: Time::ZERO,
            watch: Watch(observer),
            messages: 0,
        }
    }

    /// Runs to the end, to the first violation of Raft's safety, or until a stop is asked for.
    pub(super) fn run(mut self, stop: &AtomicBool) -> Simulation {
        let mut events = 0;
        while self.stage != Stage::Over {
            let Some((time, event)) = self.queue.pop() else { break };
            self.now = time;
            self.happen(event);
            events += 1;
            if self.record.violation().is_some() {
                self.record.incomplete(
                    "the simulation ended at the first violation of Raft's safety".to_owned(),
                );
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
        let violation = self.record.violation().map(str::to_owned);
        let (evidence, passed) = self.record.finish();
        Simulation { evidence, violation, passed, events, virtual_time: self.now }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer(node) => self.timer(node),
            Event::Round(node) => self.round(node),
            Event::Start(node) => self.start(node),
            Event::Synced { node, incarnation } => {
                self.arrives(node, incarnation, super::queue::Work::Synced);
            }
            Event::Arrives { node, incarnation, work } => self.arrives(node, incarnation, work),
            Event::Client { client, token, news } => self.news(client, token, news),
            Event::Fault(fault, moment) => self.fault(fault, moment),
            Event::Probed(fault, link) => self.probed(fault, link),
            Event::Look => self.advance(),
        }
    }

    /// How long a message takes.
    pub(super) fn message_delay(&mut self) -> Duration {
        self.weather.delay(&mut self.rng)
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
