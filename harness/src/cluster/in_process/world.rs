//! The world: nodes, network and clients, stepped in turn on one thread.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    hands::Wired,
    machine::Machine as NodeMachine,
    process::Process,
    stream::Network,
    wires::{TICK, Wires},
};
use crate::{
    cluster::{
        clients::{Clients, Common},
        sim::{
            Observer, STOPPED, SimEvent, Simulation, observe::Watch as Observing, record::Recorder,
        },
        watch::Watch,
    },
    exercise::{Failure, Finding, Machine, Observation, Ticket, Time, View, limits},
    nemesis::{NodeId, overlap::FaultId},
    plan::Plan,
    system::Node,
};

/// A node that is asked to stop and does not is killed after this time, as Docker does it.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What the world does at a time.
pub(super) enum Due {
    /// Reports something to the exercise.
    Report(Box<Observation>),
    /// Starts a process.
    Start(NodeId, Ticket),
}

impl Due {
    pub(super) fn report(what: Observation) -> Self {
        Self::Report(Box::new(what))
    }
}

/// All of it.
pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) now: Time,
    /// Time 0 of history and faults: the load began.
    pub(super) start: Time,
    pub(super) rng: Xoshiro256PlusPlus,
    pub(super) network: Network,
    processes: Vec<Process>,
    /// The clients' machine.
    pub(super) runtime: Runtime,
    origin: Instant,
    pub(super) clients: Clients<Wired>,
    pub(super) watch: Arc<Watch>,
    pub(super) reports: (mpsc::UnboundedSender<Observation>, mpsc::UnboundedReceiver<Observation>),
    schedule: BTreeMap<(Time, u64), Due>,
    scheduled: u64,
    /// Nodes that were asked to stop, when, and who waits for it.
    pub(super) stopping: Vec<(NodeId, Ticket, Time)>,
    /// Syncs that faults slowed: how many, and the longest.
    pub(super) slow_syncs: BTreeMap<(FaultId, NodeId), (u64, Duration)>,
    pub(super) record: Recorder,
    pub(super) observer: Observing<'a>,
}

impl View for World<'_> {
    fn leader(&self) -> Option<NodeId> {
        // Its clock is the clients'.
        let _guard = self.runtime.enter();
        self.watch.leader().map(|(leader, _)| leader)
    }
}

impl<'a> World<'a> {
    /// The world of a plan, at its beginning.
    ///
    /// # Errors
    /// There is no runtime to be had.
    pub(super) fn new(
        plan: &'a Plan,
        observer: Option<&'a mut dyn Observer>,
    ) -> std::io::Result<Self> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(plan.seed);
        let network = Network::new(Wires::new(&plan.world.network, rng.random()));
        let ids = plan.node_ids();
        let processes = ids
            .iter()
            .map(|&id| {
                let disk = &plan.world.disk;
                Process::new(id, NodeMachine::new(id, &network, disk, rng.random()))
            })
            .collect();
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let dialer = Wired(network.clone());
        let (origin, watch) = runtime.block_on(async {
            let nodes = ids.iter().map(|&id| (id, Node::over(dialer.lazy(id)))).collect();
            let watch = Arc::new(Watch::new(nodes));
            tokio::spawn(Arc::clone(&watch).run());
            (Instant::now(), watch)
        });
        let clients = Clients::new(Common {
            dialer,
            timeout: plan.load.operation_timeout,
            tells_outcome: plan.system.tells_outcome(),
            reports: sender.clone(),
        });
        let mut record = Recorder::new(plan);
        let run = record.run();
        run.nodes = ids.len();
        run.traced = plan.system.traced();
        run.expect = limits::expect(plan);
        Ok(Self {
            plan,
            now: Time::ZERO,
            start: Time::ZERO,
            rng,
            network,
            processes,
            runtime,
            origin,
            clients,
            watch,
            reports: (sender, receiver),
            schedule: BTreeMap::new(),
            scheduled: 0,
            stopping: Vec::new(),
            slow_syncs: BTreeMap::new(),
            record,
            observer: Observing(observer),
        })
    }

    /// Runs to the end, to the first violation of Raft's safety, or until a stop is asked for.
    pub(super) fn run(mut self, machine: &mut dyn Machine, stop: &AtomicBool) -> Simulation {
        self.schedule(Time::ZERO, Due::report(Observation::Begin));
        loop {
            self.lead(machine);
            if machine.is_over() {
                break;
            }
            if self.record.violation().is_some() {
                self.record
                    .incomplete("the run ended at the first violation of Raft's safety".to_owned());
                break;
            }
            if stop.load(Ordering::Relaxed) {
                let after = humantime::format_duration(self.now);
                self.record.incomplete(format!("{STOPPED} {after} of virtual time"));
                break;
            }
            self.step();
        }
        for process in &mut self.processes {
            process.kill();
        }
        self.record.run().started = self.start.as_nanos() as u64;
        let violation = self.record.violation().map(str::to_owned);
        let events = self.network.wires().happened();
        let (evidence, passed) = self.record.finish();
        // What clients still wait for ends with their machine.
        drop(self.clients);
        self.runtime.shutdown_background();
        Simulation { evidence, violation, passed, events, virtual_time: self.now }
    }

    /// The exercise learns what was observed until now, and its orders are carried out.
    fn lead(&mut self, machine: &mut dyn Machine) {
        let mut orders = Vec::new();
        loop {
            let due = self.schedule.first_entry().filter(|entry| entry.key().0 <= self.now);
            let what = match due.map(|entry| entry.remove()) {
                Some(Due::Report(what)) => *what,
                Some(Due::Start(node, ticket)) => {
                    self.start(node, ticket);
                    continue;
                }
                None => match self.reports.1.try_recv() {
                    Ok(report) => report,
                    Err(_) => return,
                },
            };
            machine.handle(self.now, what, self, &mut orders);
            for order in orders.drain(..) {
                self.carry_out(order);
            }
            if machine.is_over() {
                return;
            }
        }
    }

    /// Everybody does what is to be done in the next moment, in an order left to chance.
    fn step(&mut self) {
        self.now += TICK;
        self.network.wires().advance(self.now);
        let met = self.network.wires().take_met();
        for fault in met {
            self.schedule(self.now, Due::report(Observation::Met(fault)));
        }
        // Of one moment nobody sees what another does in it: all takes longer than a moment.
        let mut turns: Vec<usize> = (0..=self.processes.len()).collect();
        turns.shuffle(&mut self.rng);
        for turn in turns {
            match self.processes.get_mut(turn) {
                Some(process) => process.step(self.now),
                None => {
                    let until = self.origin + self.now;
                    // Within the runtime: a timer belongs to the clock where it is made.
                    self.runtime.block_on(async { sleep_until(until).await });
                }
            }
        }
        self.collect();
        self.stopped();
    }

    /// Takes what nodes traced, and what their disks did.
    fn collect(&mut self) {
        for process in &mut self.processes {
            let node = process.node;
            let mut hardware = process.machine.hardware();
            match hardware.take_trace() {
                Ok(records) => {
                    for record in records {
                        self.observer.see(self.now, SimEvent::Step(&record));
                        if self.record.trace(record)
                            && let Some(summary) = self.record.violation()
                        {
                            self.observer.see(self.now, SimEvent::Violation { node, summary });
                        }
                    }
                }
                Err(why) => self.record.incomplete(format!("n{node} wrote {why}")),
            }
            let slow = std::mem::take(&mut hardware.slow_syncs);
            drop(hardware);
            for (fault, took) in slow {
                let first = !self.slow_syncs.keys().any(|(of, _)| *of == fault);
                let (syncs, longest) = self.slow_syncs.entry((fault, node)).or_default();
                (*syncs, *longest) = (*syncs + 1, took.max(*longest));
                if first {
                    self.scheduled += 1;
                    let met = Due::report(Observation::Met(fault));
                    self.schedule.insert((self.now, self.scheduled), met);
                }
            }
        }
    }

    /// Reports nodes that have stopped, as they were asked to.
    fn stopped(&mut self) {
        let now = self.now;
        let processes = &mut self.processes;
        let done: Vec<Ticket> = self
            .stopping
            .extract_if(.., |(node, _, since)| {
                let process = &mut processes[*node as usize - 1];
                if now - *since >= STOP_MAX {
                    process.kill();
                }
                !process.is_up()
            })
            .map(|(_, ticket, _)| ticket)
            .collect();
        for ticket in done {
            self.done(ticket, Ok(Finding::Nothing));
        }
    }

    fn start(&mut self, node: NodeId, ticket: Ticket) {
        let (plan, now, seed) = (self.plan, self.now, self.rng.random());
        let started = self.process(node).start(plan, seed, now);
        let outcome = started.map(|()| Finding::Nothing);
        self.done(ticket, outcome.map_err(|why| Failure::Impossible(why.to_string())));
    }

    /// A node's process; ids come from the plan alone.
    pub(super) fn process(&mut self, id: NodeId) -> &mut Process {
        &mut self.processes[id as usize - 1]
    }

    pub(super) fn schedule(&mut self, at: Time, due: Due) {
        self.scheduled += 1;
        self.schedule.insert((at.max(self.now), self.scheduled), due);
    }
}
