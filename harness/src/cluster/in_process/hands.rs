//! Carries out the exercise's orders: deeds at once or by tasks of the clients' machine.

use std::{collections::BTreeMap, time::Duration};

use checker::fault::{Counter, Damage};
use hyper_util::rt::TokioIo;
use rand::RngExt;
use tonic::transport::{Channel, Endpoint};

use super::{
    process::client_address,
    stream::Network,
    wires::CLIENTS,
    world::{Due, World},
};
use crate::{
    client,
    cluster::{
        clients::Dialer,
        sim::{SimEvent, disk::SimulatedDisk, network::between},
    },
    exercise::{Deed, Failure, Finding, Note, Observation, Order, Stage, Ticket},
    nemesis::{DiskTrouble, Fault, Link, NetworkTrouble, NodeId, overlap::FaultId},
    plan::Storage,
};

/// How long a process takes to start.
const START: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));
/// How long a ping waits for its answer.
const PING: Duration = Duration::from_millis(50);
/// A connection of a client, or to one, is given up after this silence.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Whether in-process nodes can suffer a fault.
///
/// # Errors
/// They cannot; says why.
pub fn supports(fault: &Fault) -> Result<(), String> {
    let why = match fault {
        Fault::Kill { .. }
        | Fault::Restart { .. }
        | Fault::Pause { .. }
        | Fault::Partition { .. } => return Ok(()),
        Fault::Network {
            how: NetworkTrouble::Duplicating | NetworkTrouble::Reordering, ..
        } => "its connections, like TCP, keep bytes in order and deliver none twice",
        Fault::Network { .. } => return Ok(()),
        Fault::Disk { how: DiskTrouble::Slow, .. } => return Ok(()),
        Fault::Disk { .. } => "its disks are slow at most",
        Fault::Clock { .. } => "its nodes share one clock",
    };
    Err(format!("`{fault}` does not exist in-process: {why}; use --cluster sim"))
}

/// Reaches nodes over the simulated network.
#[derive(Clone, Debug)]
pub(super) struct Wired(pub(super) Network);

impl Wired {
    /// A channel to a node that connects when it is used, again and again.
    pub(super) fn lazy(&self, node: NodeId) -> Channel {
        let network = self.0.clone();
        let connector = tower::service_fn(move |_| {
            let network = network.clone();
            async move { dial(network, node).await }
        });
        endpoint().connect_with_connector_lazy(connector)
    }
}

impl Dialer for Wired {
    async fn connect(&self, node: NodeId) -> Result<Channel, String> {
        let network = self.0.clone();
        let connector = tower::service_fn(move |_| {
            let network = network.clone();
            async move { dial(network, node).await }
        });
        let channel = endpoint().connect_with_connector(connector).await;
        channel.map_err(|error| client::chain(&error))
    }
}

fn endpoint() -> Endpoint {
    // The connector knows where the node is.
    Endpoint::from_static("http://node").connect_timeout(Duration::from_secs(1))
}

async fn dial(network: Network, node: NodeId) -> std::io::Result<TokioIo<super::stream::Stream>> {
    let stream = network.dial(CLIENTS, &client_address(node), SILENCE_MAX).await;
    stream.map(TokioIo::new)
}

impl World<'_> {
    /// Carries out an order.
    pub(super) fn carry_out(&mut self, order: Order) {
        let _guard = self.runtime.enter();
        let runtime = self.runtime.handle();
        let order = self.clients.carry_out(order, |work| {
            runtime.spawn(work);
        });
        match order {
            Some(Order::Wake { at, alarm }) => {
                self.schedule(at, Due::report(Observation::Alarm(alarm)));
            }
            Some(Order::Perform { ticket, deed }) => self.perform(ticket, deed),
            Some(Order::Note(note)) => self.note(note),
            Some(Order::Connect { .. } | Order::Send { .. } | Order::Disconnect { .. }) | None => {}
        }
    }

    fn perform(&mut self, ticket: Ticket, deed: Deed) {
        let outcome = match deed {
            Deed::Start(node) => {
                let at = self.now + between(&mut self.rng, START.0, START.1);
                return self.schedule(at, Due::Start(node, ticket));
            }
            Deed::Stop(node) => {
                let process = self.process(node);
                process.ask_to_stop();
                return self.stopping.push((node, ticket, self.now));
            }
            Deed::Kill(node) => Ok(Finding::Killed { unsynced: self.kill(node) }),
            Deed::Pause(node) => {
                self.process(node).paused = true;
                Ok(Finding::Nothing)
            }
            Deed::Resume(node) => {
                self.process(node).paused = false;
                Ok(Finding::Nothing)
            }
            Deed::Examine(node) => {
                let boot = self.watch.boot(node);
                Ok(Finding::Process(self.process(node).seen(boot)))
            }
            Deed::Ask { node, patience } => {
                let watch = self.watch.clone();
                return self.later(ticket, async move { watch.status(node, patience).await });
            }
            Deed::Hash(node) => {
                let watch = self.watch.clone();
                return self.later(ticket, async move { watch.hash(node).await });
            }
            Deed::Cut { fault, links } => {
                self.network.wires().cuts.install(fault, &links);
                let rules = links.iter().map(|link| format!("drop {link}")).collect();
                Ok(Finding::Rules { rules, skew: None })
            }
            Deed::Uncut(fault) => {
                self.network.wires().cuts.remove(fault);
                Ok(Finding::Nothing)
            }
            Deed::Counters(fault) => {
                Ok(Finding::Dropped(counters(&self.network.wires().cuts.counters(fault))))
            }
            Deed::Ping(link) => {
                let reached = !self.network.wires().cuts.drops(link);
                let at = self.now + if reached { super::wires::TICK } else { PING };
                let done = Observation::Done { ticket, outcome: Ok(Finding::Reached(reached)) };
                return self.schedule(at, Due::report(done));
            }
            Deed::Trouble { fault, how, strength, links } => {
                self.network.wires().faults.install(fault, how, strength, &links);
                Ok(Finding::Nothing)
            }
            Deed::Struck(fault) => Ok(Finding::Struck(self.network.wires().faults.struck(fault))),
            Deed::Break { fault, links, nodes } => {
                let mut wires = self.network.wires();
                let (lost, clients) = wires.reset(&links, &nodes);
                if lost.is_empty() && clients.is_empty() {
                    wires.faults.await_message(fault, &links);
                }
                Ok(Finding::Broken { lost, clients })
            }
            Deed::Calm(fault) => {
                self.network.wires().faults.remove(fault);
                Ok(Finding::Nothing)
            }
            Deed::SlowDisk { fault, node, most } => {
                self.process(node).machine.hardware().slowed = Some((fault, most));
                Ok(Finding::Nothing)
            }
            Deed::Damage(fault) => Ok(self.slow_disks(fault)),
            Deed::MendDisk { node, .. } => {
                self.process(node).machine.hardware().slowed = None;
                Ok(Finding::Nothing)
            }
            // No plan that is valid here has faults that order these.
            deed => Err(Failure::Impossible(format!("in-process nodes cannot do {deed:?}"))),
        };
        self.done(ticket, outcome);
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Operation { client, event } => {
                let client = client as u64;
                self.observer.see(self.now, SimEvent::Client { client, event: &event });
                self.record.event(event);
            }
            Note::Fault(record) => {
                self.observer.see(self.now, SimEvent::Fault(&record));
                self.record.fault(*record);
            }
            Note::Stage(stage) => {
                let since = self.now.saturating_sub(self.start);
                match stage {
                    Stage::Load => self.start = self.now,
                    Stage::Recovery => {
                        self.record.run().healed = Some(since.as_nanos() as u64);
                    }
                    _ => {}
                }
                self.observer.see(self.now, SimEvent::Stage(stage));
            }
            Note::FinalHashes(hashes) => self.record.run().final_hashes = hashes,
            Note::Crash(crash) => self.record.crash(crash.node, crash.ending, crash.how),
            Note::Incomplete(why) => self.record.incomplete(why),
        }
    }

    pub(super) fn done(&mut self, ticket: Ticket, outcome: Result<Finding, Failure>) {
        self.schedule(self.now, Due::report(Observation::Done { ticket, outcome }));
    }

    /// What a task of the clients' machine finds.
    fn later(
        &mut self,
        ticket: Ticket,
        finding: impl Future<Output = Result<Finding, Failure>> + Send + 'static,
    ) {
        let reports = self.reports.0.clone();
        self.runtime.spawn(async move {
            let outcome = finding.await;
            let _ = reports.send(Observation::Done { ticket, outcome });
        });
    }

    /// A process ends at once. Whether the machine loses power with it is left to chance: then the
    /// disk keeps any part of what was not synced, else all of it.
    fn kill(&mut self, node: NodeId) -> Option<usize> {
        let power_fails = self.rng.random_bool(0.5);
        let machine = self.process(node).machine.clone();
        if !self.process(node).kill() {
            return None;
        }
        let mut hardware = machine.hardware();
        let unsynced = hardware.disk.unsynced_sectors();
        if self.plan.storage == Storage::Memory {
            hardware.disk = SimulatedDisk::new(self.plan.world.disk.honesty);
        } else if power_fails {
            hardware.disk.crash(&mut self.rng);
        }
        Some(unsynced)
    }

    /// What disks show for a fault that slows them.
    fn slow_disks(&mut self, fault: FaultId) -> Finding {
        let damage: BTreeMap<NodeId, Damage> = self
            .slow_syncs
            .iter()
            .filter(|((of, _), _)| *of == fault)
            .map(|((_, node), (syncs, longest))| {
                let longest_us = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
                (*node, Damage::Slow { syncs: *syncs, longest_us })
            })
            .collect();
        Finding::Damage { damage, busy: false }
    }
}

fn counters(counters: &BTreeMap<Link, u64>) -> Vec<Counter> {
    let counter = |(link, packets): (&Link, &u64)| Counter {
        node: format!("n{}", link.to),
        rule: format!("drop {link}"),
        packets: *packets,
        bytes: None,
    };
    counters.iter().map(counter).collect()
}
