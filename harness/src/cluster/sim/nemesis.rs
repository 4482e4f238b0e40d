//! Carries out the plan's schedule in the simulated world, and proves each fault from what happens
//! in it: a probe that a dead process refuses, that a paused one leaves without an answer, that a
//! cut drops; the messages that each cut dropped.
//!
//! As on containers, installing and healing happen one fault at a time, so that what is observed
//! can be told apart; between the two faults overlap, by the rules of [`crate::nemesis::overlap`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use checker::fault::{Phase, Record};
use node::replica::Time;
use serde_json::{Value, json};

use super::{
    network::between,
    observe::Happening,
    queue::{Event, Moment, Work},
    world::World,
};
use crate::nemesis::{
    Cut, Fault, Injection, Link, NodeId,
    overlap::{FaultId, Holds},
};

/// A fault that aims at the leader waits so long for one to be known.
const LEADER_PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);
/// A probe that is not answered after this time hangs.
const HANGS: Duration = Duration::from_millis(300);
/// Between two looks whether a fault is over.
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
    /// The fault that is being installed or healed, and those that wait for it.
    hand: Option<FaultId>,
    waiting: VecDeque<FaultId>,
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
    /// The boots that a kill ended.
    boots: BTreeMap<NodeId, u64>,
    /// When it was asked for, while it waits; when its heal was asked for, afterwards.
    since: Time,
    /// Nodes and links whose probes are not answered yet.
    silent: BTreeSet<NodeId>,
    unreached: BTreeSet<Link>,
    /// Milliseconds after `since` at which nodes answered.
    answers: BTreeMap<NodeId, u128>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Scheduled,
    Installing,
    InForce,
    Healing,
    Over,
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
            boots: BTreeMap::new(),
            since: Time::ZERO,
            silent: BTreeSet::new(),
            unreached: BTreeSet::new(),
            answers: BTreeMap::new(),
        };
        Self {
            faults: schedule.iter().map(state).collect(),
            holds: Holds::default(),
            hand: None,
            waiting: VecDeque::new(),
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
                Life::InForce => self.fault(id, Moment::End),
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
                self.ask_for_hand(id);
            }
            _ => {}
        }
    }

    /// A probe between nodes arrives, unless the link is cut by now.
    pub(super) fn probed(&mut self, id: FaultId, link: Link) {
        if !self.cuts.drops(link) {
            self.nemesis.faults[id].unreached.remove(&link);
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
        self.ask_for_hand(id);
    }

    fn ask_for_hand(&mut self, id: FaultId) {
        self.nemesis.waiting.push_back(id);
        self.give_hand();
    }

    fn give_hand(&mut self) {
        while self.nemesis.hand.is_none() {
            let Some(next) = self.nemesis.waiting.pop_front() else { return };
            self.nemesis.hand = Some(next);
            match self.nemesis.faults[next].life {
                Life::Healing => self.heal(next),
                _ => self.install(next),
            }
        }
    }

    fn free_hand(&mut self) {
        self.nemesis.hand = None;
        self.give_hand();
        self.advance();
    }

    fn install(&mut self, id: FaultId) {
        let leader = self.leader();
        let ids = self.plan.node_ids();
        let Injection { fault, pick, .. } = self.nemesis.faults[id].injection.clone();
        self.nemesis.faults[id].leader = leader;
        let resolved = match fault {
            Fault::Kill { target } | Fault::Pause { target } => target
                .resolve(&ids, leader, pick)
                .map(|nodes| Cut { nodes, links: BTreeSet::new() }),
            Fault::Partition { shape, target } => shape.resolve(target, &ids, leader, pick),
        };
        match resolved {
            Ok(Cut { nodes, links }) => {
                self.nemesis.faults[id].nodes = nodes;
                self.nemesis.faults[id].links = links;
            }
            Err(why) => return self.give_up(id, Phase::Skipped, why.to_string()),
        }
        match fault {
            Fault::Kill { .. } => self.install_kill(id),
            Fault::Pause { .. } => self.install_pause(id),
            Fault::Partition { .. } => self.install_cut(id),
        }
    }

    fn install_kill(&mut self, id: FaultId) {
        let granted = self.nemesis.holds.kill(id, &self.nemesis.faults[id].nodes.clone());
        if granted.nodes.is_empty() {
            let why = format!("every node aimed at is down already: {}", holders(&granted.taken));
            return self.give_up(id, Phase::Skipped, why);
        }
        self.nemesis.faults[id].nodes.clone_from(&granted.nodes);
        if let Some(gone) = granted.nodes.iter().find(|node| !self.process(**node).is_up()) {
            let why = format!("n{gone} had ended by itself, so its end proves no kill");
            return self.give_up(id, Phase::Failed, why);
        }
        let mut proof = serde_json::Map::new();
        for &node in &granted.nodes {
            let boot = self.process(node).boot();
            self.nemesis.faults[id].boots.insert(node, boot);
            let unsynced = self.crash(node);
            if !self.process(node).is_up() {
                let seen = json!({ "rpc": "connection refused", "unsynced_sectors": unsynced });
                proof.insert(format!("n{node}"), seen);
            }
        }
        let mut detail = json!({ "signal": "SIGKILL" });
        if let Some(detail) = detail.as_object_mut() {
            if !granted.taken.is_empty() {
                detail.insert("down already".to_owned(), holders(&granted.taken).into());
            }
            if !granted.ends.is_empty() {
                detail.insert("ends the pause of".to_owned(), holders(&granted.ends).into());
            }
        }
        self.account(id, Phase::Installed, detail);
        self.bitten(id, proof.into());
    }

    fn install_pause(&mut self, id: FaultId) {
        let granted = self.nemesis.holds.pause(id, &self.nemesis.faults[id].nodes.clone());
        if granted.nodes.is_empty() {
            let holders = holders(&granted.taken);
            let why = format!("every node aimed at is down or paused already: {holders}");
            return self.give_up(id, Phase::Skipped, why);
        }
        self.nemesis.faults[id].nodes.clone_from(&granted.nodes);
        for &node in &granted.nodes {
            self.pause(node);
            self.probe(id, node);
        }
        let detail = if granted.taken.is_empty() {
            Value::Null
        } else {
            json!({ "down or paused already": holders(&granted.taken) })
        };
        self.account(id, Phase::Installed, detail);
        self.queue.push(self.now + HANGS, Event::Fault(id, Moment::Check));
    }

    fn install_cut(&mut self, id: FaultId) {
        let links = self.nemesis.faults[id].links.clone();
        self.nemesis.holds.cut(id, &links);
        self.cuts.install(id, &links);
        let rules: Vec<String> = links.iter().map(|link| format!("drop {link}")).collect();
        self.account(id, Phase::Installed, json!({ "rules": rules }));
        self.nemesis.faults[id].unreached.clone_from(&links);
        for link in links {
            self.probe_link(id, link);
        }
        self.queue.push(self.now + HANGS, Event::Fault(id, Moment::Check));
    }

    /// Asks a process whether it lives.
    fn probe(&mut self, id: FaultId, node: NodeId) {
        self.nemesis.faults[id].silent.insert(node);
        let process = self.process(node);
        if process.is_up() {
            let incarnation = process.incarnation;
            let at = self.now + self.message_delay();
            self.queue.push(at, Event::Arrives { node, incarnation, work: Work::Probe(id) });
        }
    }

    fn probe_link(&mut self, id: FaultId, link: Link) {
        if !self.cuts.drops(link) {
            let at = self.now + self.message_delay();
            self.queue.push(at, Event::Probed(id, link));
        }
    }

    /// Looks whether the fault took effect.
    fn check_installed(&mut self, id: FaultId) {
        let fault = &self.nemesis.faults[id];
        if let Fault::Partition { .. } = fault.injection.fault {
            let failed: Vec<String> = fault.unreached.iter().map(Link::to_string).collect();
            let counters = self.cuts.counters(id);
            let idle = counters.values().any(|count| *count == 0);
            if idle || failed.len() < fault.links.len() {
                self.cuts.remove(id);
                let why = "a probe got through the cut".to_owned();
                return self.give_up(id, Phase::Failed, why);
            }
            let proof = json!({ "probes_failed": failed, "counters": count(&counters) });
            return self.bitten(id, proof);
        }
        let (nodes, silent) = (fault.nodes.clone(), fault.silent.clone());
        if silent != nodes {
            for node in self.nemesis.holds.paused_by(id) {
                self.resume(node);
            }
            let why = "a node was paused and still answers".to_owned();
            return self.give_up(id, Phase::Failed, why);
        }
        let seen = json!({ "state": "paused", "rpc": format!("no answer within {HANGS:?}") });
        self.bitten(id, silent.iter().map(|node| (format!("n{node}"), seen.clone())).collect());
    }

    fn bitten(&mut self, id: FaultId, proof: Value) {
        self.account(id, Phase::Bitten, proof);
        let fault = &mut self.nemesis.faults[id];
        fault.life = Life::InForce;
        let end = (self.start + fault.injection.at + fault.injection.lasts).max(self.now);
        let end = if self.nemesis.ending { self.now } else { end };
        self.queue.push(end, Event::Fault(id, Moment::End));
        self.free_hand();
    }

    fn heal(&mut self, id: FaultId) {
        let fault = self.nemesis.faults[id].injection.fault;
        let counters = self.cuts.counters(id);
        let detail = match fault {
            Fault::Partition { .. } => json!({ "counters": count(&counters) }),
            _ => Value::Null,
        };
        self.account(id, Phase::HealRequested, detail);
        self.nemesis.faults[id].since = self.now;
        self.nemesis.faults[id].silent.clear();
        match fault {
            Fault::Kill { .. } => {
                for node in self.nemesis.faults[id].nodes.clone() {
                    let started = self.now + between(&mut self.rng, START.0, START.1);
                    self.queue.push(started, Event::Start(node));
                    self.nemesis.faults[id].silent.insert(node);
                }
            }
            Fault::Pause { .. } => {
                for node in self.nemesis.holds.paused_by(id) {
                    self.resume(node);
                    self.probe(id, node);
                }
            }
            Fault::Partition { .. } => {
                self.cuts.remove(id);
                let links = self.nemesis.faults[id].links.clone();
                let free = self.nemesis.holds.whole_without(id, &links);
                for &link in &free {
                    self.probe_link(id, link);
                }
                self.nemesis.faults[id].unreached = free;
            }
        }
        self.queue.push(self.now + POLL, Event::Fault(id, Moment::Check));
    }

    /// Looks whether the fault's effect is over.
    fn check_healed(&mut self, id: FaultId) {
        let fault = &self.nemesis.faults[id];
        let after = self.now.saturating_sub(fault.since);
        let (silent, unreached) = (fault.silent.clone(), fault.unreached.clone());
        let partition = matches!(fault.injection.fault, Fault::Partition { .. });
        for node in fault.nodes.difference(&silent).copied().collect::<Vec<_>>() {
            self.nemesis.faults[id].answers.entry(node).or_insert(after.as_millis());
        }
        let left = if partition { unreached.len() } else { silent.len() };
        if left == 0 {
            let proof = if partition { self.whole(id, after) } else { self.alive(id) };
            self.account(id, Phase::Healed, proof);
            return self.over(id);
        }
        if after > HEAL {
            let why = format!("the effect was not seen to be over within {HEAL:?}");
            return self.give_up(id, Phase::Failed, why);
        }
        for link in unreached {
            self.probe_link(id, link);
        }
        for node in silent {
            self.probe(id, node);
        }
        self.queue.push(self.now + POLL, Event::Fault(id, Moment::Check));
    }

    fn whole(&self, id: FaultId, after: Duration) -> Value {
        let links = &self.nemesis.faults[id].links;
        let free = self.nemesis.holds.whole_without(id, links);
        let held: Vec<String> = links.difference(&free).map(Link::to_string).collect();
        let free: Vec<String> = free.iter().map(Link::to_string).collect();
        let mut proof = json!({ "probes_succeeded": free, "after_ms": after.as_millis() });
        if let (Some(proof), false) = (proof.as_object_mut(), held.is_empty()) {
            proof.insert("held by other faults".to_owned(), held.into());
        }
        proof
    }

    fn alive(&self, id: FaultId) -> Value {
        let fault = &self.nemesis.faults[id];
        let pause = matches!(fault.injection.fault, Fault::Pause { .. });
        let still = self.nemesis.holds.paused_by(id);
        let mut proof = serde_json::Map::new();
        let mut killed = Vec::new();
        for (node, after) in &fault.answers {
            if pause && !still.contains(node) {
                killed.push(format!("n{node}"));
                continue;
            }
            let mut seen = json!({ "answered_after_ms": after });
            if let (Some(seen), Some(boot)) = (seen.as_object_mut(), fault.boots.get(node)) {
                let now = self.processes[*node as usize - 1].boot();
                seen.insert("boot".to_owned(), json!([boot, now]));
            }
            proof.insert(format!("n{node}"), seen);
        }
        if !killed.is_empty() {
            proof.insert("ended by a kill".to_owned(), killed.into());
        }
        proof.into()
    }

    fn give_up(&mut self, id: FaultId, phase: Phase, why: String) {
        self.account(id, phase, Value::String(why));
        self.over(id);
    }

    fn over(&mut self, id: FaultId) {
        self.nemesis.holds.release(id);
        self.nemesis.faults[id].life = Life::Over;
        self.free_hand();
    }

    fn account(&mut self, id: FaultId, phase: Phase, detail: Value) {
        let State { injection, nodes, leader, .. } = &self.nemesis.faults[id];
        let record = Record {
            fault: id,
            time: self.since_start(),
            phase,
            kind: injection.fault.kind().to_owned(),
            what: injection.fault.what(),
            nodes: nodes.iter().map(|node| format!("n{node}")).collect(),
            leader: leader.map(|leader| format!("n{leader}")),
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

fn count(counters: &BTreeMap<Link, u64>) -> Value {
    let counter = |(link, packets): (&Link, &u64)| json!({ "node": format!("n{}", link.to), "rule": format!("drop {link}"), "packets": packets });
    counters.iter().map(counter).collect()
}
