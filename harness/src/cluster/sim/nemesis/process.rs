//! Kill and pause.

use std::collections::BTreeSet;

use checker::fault::Phase;
use serde_json::{Value, json};

use super::{HANGS, START, holders, left_alone};
use crate::{
    cluster::sim::{
        network::between,
        queue::{Event, Moment},
        world::World,
    },
    nemesis::{Fault, NodeId, overlap::FaultId},
};

impl World<'_> {
    pub(super) fn install_kill(&mut self, id: FaultId) {
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

    pub(super) fn install_pause(&mut self, id: FaultId) {
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
        let detail = left_alone(&granted.taken, "down or paused already");
        self.account(id, Phase::Installed, detail);
        self.queue.push(self.now + HANGS, Event::Fault(id, Moment::Check));
    }

    pub(super) fn check_pause(&mut self, id: FaultId) {
        let fault = &self.nemesis.faults[id];
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

    pub(super) fn heal_pause(&mut self, id: FaultId) {
        for node in self.nemesis.holds.paused_by(id) {
            self.resume(node);
            self.probe(id, node);
        }
    }

    /// Starts processes, each after some time; they must answer.
    pub(super) fn start_again(&mut self, id: FaultId, nodes: BTreeSet<NodeId>) {
        for node in nodes {
            let started = self.now + between(&mut self.rng, START.0, START.1);
            self.queue.push(started, Event::Start(node));
            self.nemesis.faults[id].silent.insert(node);
        }
    }

    /// Whether every process that must answer has. One whose pause a kill ended need not.
    pub(super) fn are_alive(&mut self, id: FaultId) -> Option<Value> {
        let after = self.now.saturating_sub(self.nemesis.faults[id].since).as_millis();
        let still = self.nemesis.holds.paused_by(id);
        let fault = &mut self.nemesis.faults[id];
        let pause = matches!(fault.injection.fault, Fault::Pause { .. });
        let ended = |node: &NodeId| pause && !still.contains(node);
        fault.silent.retain(|node| !ended(node));
        // Of those that it ended, or of all where it ended none.
        let concerned: BTreeSet<NodeId> =
            if pause { fault.nodes.clone() } else { fault.boots.keys().copied().collect() };
        for node in concerned.difference(&fault.silent) {
            fault.answers.entry(*node).or_insert(after);
        }
        let silent = fault.silent.clone();
        if !silent.is_empty() {
            silent.into_iter().for_each(|node| self.probe(id, node));
            return None;
        }
        let fault = &self.nemesis.faults[id];
        let mut proof = serde_json::Map::new();
        let mut killed = Vec::new();
        for (node, after) in &fault.answers {
            if ended(node) {
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
        Some(proof.into())
    }
}
