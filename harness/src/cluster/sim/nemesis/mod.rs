//! Carries out the plan's schedule in the simulated world, and proves each fault from what happens
//! in it.
//!
//! - `process`: kill and pause; a probe is refused, or left without an answer;
//! - `partition`: probes and messages that the cut dropped, by link;
//! - `network`: messages of nodes that the trouble delayed, lost or doubled, by link, and clients
//!   whose connections it broke;
//! - `disk`: syncs that took long, the stop that the disk caused, the start that was refused;
//! - `clock`: how far the clock went from where it would be.
//!
//! A fault names the nodes that it is aimed at when it is installed, and from then on those that it
//! has hit: a disk fault of all nodes may meet the syncs of one.
//!
//! Faults overlap by the rules of [`crate::nemesis::overlap`]. Unlike on containers they need not
//! take turns to be installed and healed, for what each one does is counted by itself.
//!
//! Some faults wait for something to happen: a sync that fails needs a sync, a message that is lost
//! needs a message. One that waited in vain until its end had no effect to have, and is skipped.

mod clock;
mod disk;
mod network;
mod partition;
mod process;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use checker::fault::{Observed, Phase, Record, Version};
use node::replica::Time;
use serde_json::{Value, json};

use self::{clock::Setting, disk::Damage};
use super::{
    observe::Happening,
    queue::{Event, Moment, Work},
    world::World,
};
use crate::nemesis::{
    Cut, DiskTrouble, Fault, Injection, Link, NetworkTrouble, NodeId, named_links, observed,
    overlap::{FaultId, Holds},
};

/// A fault that aims at the leader waits so long for one to be known.
const LEADER_PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);
/// How long a probe takes. It is the harness's own, so the weather does not touch it.
const PROBE: Duration = Duration::from_millis(1);
/// A probe that is not answered after this time hangs.
const HANGS: Duration = Duration::from_millis(50);
/// Between two looks whether a fault took effect, or is over.
const POLL: Duration = Duration::from_millis(10);
/// Within this time a heal must be seen.
const HEAL: Duration = Duration::from_secs(20);
/// How long a process takes to start.
const START: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));

/// All faults of a run.
#[derive(Debug)]
pub(super) struct Nemesis {
    faults: Vec<State>,
    holds: Holds,
    /// The schedule is over: what is in force ends at once.
    ending: bool,
}

#[derive(Debug)]
struct State {
    injection: Injection,
    life: Life,
    nodes: BTreeSet<NodeId>,
    leader: Option<NodeId>,
    links: BTreeSet<Link>,
    /// Messages of nodes that it struck, by link, and clients whose connection it broke, by node.
    struck: BTreeMap<Link, u64>,
    clients: BTreeMap<NodeId, usize>,
    /// The boots that it ended.
    boots: BTreeMap<NodeId, u64>,
    /// When it was asked for, while it waits for a leader; when it was installed; when its heal was
    /// asked for.
    since: Time,
    /// Nodes and links whose probes are not answered yet.
    silent: BTreeSet<NodeId>,
    unreached: BTreeSet<Link>,
    /// Milliseconds after `since` at which nodes answered.
    answers: BTreeMap<NodeId, u128>,
    /// What its disks and clocks show for it, by node.
    damage: BTreeMap<NodeId, Damage>,
    settings: BTreeMap<NodeId, Setting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Scheduled,
    Installing,
    InForce,
    Healing,
    Over,
}

impl State {
    /// The nodes that it had an effect on.
    fn hit(&self) -> BTreeSet<NodeId> {
        match self.injection.fault {
            Fault::Disk { .. } => self.damage.keys().copied().collect(),
            Fault::Network { .. } => {
                let ends = self.struck.keys().flat_map(|link| [link.from, link.to]);
                let touched: BTreeSet<NodeId> = ends.chain(self.clients.keys().copied()).collect();
                self.nodes.intersection(&touched).copied().collect()
            }
            // These hit all nodes at which they are aimed, or fail.
            Fault::Kill { .. }
            | Fault::Pause { .. }
            | Fault::Partition { .. }
            | Fault::Clock { .. } => self.nodes.clone(),
        }
    }
}

impl Nemesis {
    /// Nothing has happened yet.
    pub(super) fn new(schedule: &[Injection]) -> Self {
        let state = |injection: &Injection| State {
            injection: injection.clone(),
            life: Life::Scheduled,
            nodes: BTreeSet::new(),
            leader: None,
            links: BTreeSet::new(),
            struck: BTreeMap::new(),
            clients: BTreeMap::new(),
            boots: BTreeMap::new(),
            since: Time::ZERO,
            silent: BTreeSet::new(),
            unreached: BTreeSet::new(),
            answers: BTreeMap::new(),
            damage: BTreeMap::new(),
            settings: BTreeMap::new(),
        };
        Self {
            faults: schedule.iter().map(state).collect(),
            holds: Holds::default(),
            ending: false,
        }
    }

    /// Whether every fault is over.
    pub(super) fn is_over(&self) -> bool {
        self.faults.iter().all(|fault| fault.life == Life::Over)
    }

    /// The nodes that are down or paused by a fault.
    pub(super) fn disturbed(&self) -> BTreeSet<NodeId> {
        self.holds.disturbed()
    }

    /// A process answers a probe.
    pub(super) fn answered(&mut self, fault: FaultId, node: NodeId) {
        self.faults[fault].silent.remove(&node);
    }
}

impl World<'_> {
    /// Puts the schedule on the clock.
    pub(super) fn begin_faults(&mut self) {
        for (id, injection) in self.plan.faults.iter().enumerate() {
            self.queue.push(self.start + injection.at, Event::Fault(id, Moment::Request));
        }
    }

    /// Nothing new begins, and what is in force ends.
    pub(super) fn end_faults(&mut self) {
        self.nemesis.ending = true;
        for id in 0..self.nemesis.faults.len() {
            let fault = &mut self.nemesis.faults[id];
            match fault.life {
                Life::Scheduled if fault.since == Time::ZERO => fault.life = Life::Over,
                Life::InForce | Life::Installing => self.fault(id, Moment::End),
                _ => {}
            }
        }
    }

    /// A moment in a fault's life.
    pub(super) fn fault(&mut self, id: FaultId, moment: Moment) {
        let life = self.nemesis.faults[id].life;
        match (moment, life) {
            (Moment::Request, Life::Scheduled) => {
                self.nemesis.faults[id].since = self.now;
                self.nemesis.faults[id].leader = self.leader();
                self.account(id, Phase::Requested, Value::Null);
                self.look_for_leader(id);
            }
            (Moment::LookForLeader, Life::Scheduled) => self.look_for_leader(id),
            (Moment::Check, Life::Installing) => self.check_installed(id),
            (Moment::Check, Life::Healing) => self.check_healed(id),
            (Moment::End, Life::InForce) => {
                self.nemesis.faults[id].life = Life::Healing;
                self.heal(id);
            }
            (Moment::End, Life::Installing) => match self.nemesis.faults[id].injection.fault {
                Fault::Disk { how, .. } => self.end_wait(id, how),
                Fault::Network { how, .. } => self.end_wait_of_links(id, how),
                // These are seen to bite soon, and then end.
                Fault::Kill { .. }
                | Fault::Pause { .. }
                | Fault::Partition { .. }
                | Fault::Clock { .. } => {}
            },
            _ => {}
        }
    }

    fn look_for_leader(&mut self, id: FaultId) {
        let fault = &mut self.nemesis.faults[id];
        let patient = self.now < fault.since + LEADER_PATIENCE;
        let needs = fault.injection.fault.needs_leader();
        if needs && patient && !self.nemesis.ending && self.leader().is_none() {
            self.queue.push(self.now + LOOK, Event::Fault(id, Moment::LookForLeader));
            return;
        }
        self.nemesis.faults[id].life = Life::Installing;
        self.install(id);
    }

    fn install(&mut self, id: FaultId) {
        let leader = self.leader();
        let ids = self.plan.node_ids();
        let Injection { fault, pick, .. } = self.nemesis.faults[id].injection.clone();
        self.nemesis.faults[id].leader = leader;
        let resolved = match fault {
            Fault::Partition { shape, target } => shape.resolve(target, &ids, leader, pick),
            Fault::Kill { target }
            | Fault::Pause { target }
            | Fault::Network { target, .. }
            | Fault::Disk { target, .. }
            | Fault::Clock { target, .. } => {
                let links = BTreeSet::new();
                target.resolve(&ids, leader, pick).map(|nodes| Cut { nodes, links })
            }
        };
        match resolved {
            Ok(Cut { nodes, links }) => {
                self.nemesis.faults[id].nodes = nodes;
                self.nemesis.faults[id].links = links;
            }
            Err(why) => return self.give_up(id, Phase::Skipped, why.to_string()),
        }
        self.nemesis.faults[id].since = self.now;
        match fault {
            Fault::Kill { .. } => self.install_kill(id),
            Fault::Pause { .. } => self.install_pause(id),
            Fault::Partition { .. } => self.install_cut(id),
            Fault::Network { how: NetworkTrouble::Reset, .. } => self.install_reset(id),
            Fault::Network { how, .. } => self.install_trouble(id, how, pick),
            Fault::Disk { how: DiskTrouble::Slow, .. } => self.install_slow_disk(id, pick),
            Fault::Disk { how: DiskTrouble::Flip, .. } => self.install_flip(id, pick),
            Fault::Disk { how, .. } => self.install_doom(id, how),
            Fault::Clock { how, .. } => self.install_clock(id, how, pick),
        }
    }

    /// Looks whether the fault took effect.
    fn check_installed(&mut self, id: FaultId) {
        match self.nemesis.faults[id].injection.fault {
            Fault::Pause { .. } => self.check_pause(id),
            Fault::Partition { .. } => self.check_cut(id),
            Fault::Network { how: NetworkTrouble::Reset, .. } => self.reset(id),
            Fault::Network { .. } => self.check_trouble(id),
            Fault::Clock { .. } => self.check_clock(id),
            Fault::Disk { .. } => {
                let proof = self.damage(id);
                self.bitten(id, proof);
            }
            // Seen at once.
            Fault::Kill { .. } => {}
        }
    }

    fn bitten(&mut self, id: FaultId, proof: Value) {
        self.account(id, Phase::Bitten, proof);
        let fault = &mut self.nemesis.faults[id];
        fault.life = Life::InForce;
        let end = if self.nemesis.ending { self.now } else { self.end_of(id) };
        self.queue.push(end, Event::Fault(id, Moment::End));
    }

    /// When the schedule asks for its end.
    fn end_of(&self, id: FaultId) -> Time {
        let Injection { at, lasts, .. } = &self.nemesis.faults[id].injection;
        (self.start + *at + *lasts).max(self.now)
    }

    /// The fault is in place, and waits for what it needs to have an effect.
    fn await_bite(&mut self, id: FaultId) {
        let end = if self.nemesis.ending { self.now } else { self.end_of(id) };
        self.queue.push(end, Event::Fault(id, Moment::End));
    }

    fn heal(&mut self, id: FaultId) {
        let fault = self.nemesis.faults[id].injection.fault;
        let detail = match fault {
            Fault::Partition { .. } => json!({ "counters": dropped(&self.cuts.counters(id)) }),
            Fault::Network { how, .. } => self.seen_on_links(id, how),
            Fault::Disk { .. } => self.damage(id),
            Fault::Kill { .. } | Fault::Pause { .. } | Fault::Clock { .. } => Value::Null,
        };
        self.account(id, Phase::HealRequested, detail);
        self.nemesis.faults[id].since = self.now;
        self.nemesis.faults[id].silent.clear();
        match fault {
            Fault::Kill { .. } => self.start_again(id, self.nemesis.faults[id].nodes.clone()),
            Fault::Pause { .. } => self.heal_pause(id),
            Fault::Partition { .. } | Fault::Network { .. } => self.heal_links(id),
            Fault::Disk { how, .. } => self.heal_disk(id, how),
            Fault::Clock { how, .. } => self.heal_clock(id, how),
        }
        let soon = if matches!(fault, Fault::Clock { .. }) { HANGS } else { POLL };
        self.queue.push(self.now + soon, Event::Fault(id, Moment::Check));
    }

    /// Looks whether the fault's effect is over.
    fn check_healed(&mut self, id: FaultId) {
        let over = match self.nemesis.faults[id].injection.fault {
            Fault::Kill { .. } | Fault::Pause { .. } => self.are_alive(id),
            Fault::Partition { .. } | Fault::Network { .. } => self.are_whole(id),
            Fault::Disk { how: DiskTrouble::Slow, .. } => self.are_fast(id),
            Fault::Disk { .. } => self.are_alive(id),
            Fault::Clock { .. } => self.are_right(id),
        };
        if let Some(proof) = over {
            self.account(id, Phase::Healed, proof);
            return self.over(id);
        }
        if self.now.saturating_sub(self.nemesis.faults[id].since) > HEAL {
            let why = format!("the effect was not seen to be over within {HEAL:?}");
            return self.give_up(id, Phase::Failed, why);
        }
        self.queue.push(self.now + POLL, Event::Fault(id, Moment::Check));
    }

    /// Asks a process whether it lives.
    fn probe(&mut self, id: FaultId, node: NodeId) {
        self.nemesis.faults[id].silent.insert(node);
        let process = self.process(node);
        if process.is_up() {
            let incarnation = process.incarnation;
            let work = Work::Probe(id);
            self.queue.push(self.now + PROBE, Event::Arrives { node, incarnation, work });
        }
    }

    /// It has done nothing, or nobody can tell what it did.
    fn give_up(&mut self, id: FaultId, phase: Phase, why: String) {
        self.account(id, phase, Value::String(why));
        self.over(id);
    }

    fn over(&mut self, id: FaultId) {
        self.nemesis.holds.release(id);
        self.nemesis.faults[id].life = Life::Over;
        self.advance();
    }

    fn account(&mut self, id: FaultId, phase: Phase, detail: Value) {
        let fault = &self.nemesis.faults[id];
        let nodes = match phase {
            Phase::Bitten | Phase::HealRequested | Phase::Healed => fault.hit(),
            Phase::Requested | Phase::Installed | Phase::Failed | Phase::Skipped => {
                fault.nodes.clone()
            }
        };
        let State { injection, leader, links, .. } = fault;
        let record = Record {
            fault: id,
            time: self.since_start(),
            phase,
            version: Version,
            kind: injection.fault.class(),
            what: injection.fault.what(),
            nodes: nodes.iter().map(|node| format!("n{node}")).collect(),
            links: named_links(links),
            leader: leader.map(|leader| format!("n{leader}")),
            severs_leader: injection.fault.severs_leader(*leader, &nodes, self.plan.nodes),
            observed: match phase {
                Phase::Bitten | Phase::HealRequested | Phase::Healed => observed(&detail),
                _ => Observed::default(),
            },
            detail,
        };
        self.watch.see(self.now, Happening::Fault(&record));
        self.record.fault(record);
    }
}

/// `n1 (fault 3), n2 (fault 4)`.
fn holders(taken: &BTreeMap<NodeId, FaultId>) -> String {
    let words: Vec<_> = taken.iter().map(|(node, by)| format!("n{node} (fault {by})")).collect();
    words.join(", ")
}

/// `n1, n2`.
fn names(nodes: &BTreeSet<NodeId>) -> String {
    let words: Vec<_> = nodes.iter().map(|node| format!("n{node}")).collect();
    words.join(", ")
}

fn dropped(counters: &BTreeMap<Link, u64>) -> Value {
    let counter = |(link, packets): (&Link, &u64)| json!({ "node": format!("n{}", link.to), "rule": format!("drop {link}"), "packets": packets });
    counters.iter().map(counter).collect()
}

/// Messages by link.
fn by_link(counters: &BTreeMap<Link, u64>) -> Value {
    counters.iter().map(|(link, count)| (link.to_string(), Value::from(*count))).collect()
}

/// Nodes that a fault left alone as others hold them, for its account.
fn left_alone(taken: &BTreeMap<NodeId, FaultId>, word: &str) -> Value {
    if taken.is_empty() { Value::Null } else { json!({ word: holders(taken) }) }
}
