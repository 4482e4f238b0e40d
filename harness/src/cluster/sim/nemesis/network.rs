//! Links that misbehave, and connections that break.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use checker::fault::Phase;
use serde_json::json;

use super::{HANGS, HEAL, POLL, struck};
use crate::{
    cluster::sim::{
        network::Strength,
        observe::{Happening, Loss},
        queue::{Event, Moment, Work},
        world::World,
    },
    nemesis::{Link, NetworkTrouble, NodeId, overlap::FaultId},
};

impl World<'_> {
    pub(super) fn install_trouble(&mut self, id: FaultId, how: NetworkTrouble, pick: u64) {
        let links = links_of(&self.nemesis.faults[id].nodes, &self.plan.node_ids());
        let strength = strength(pick, self.plan.timings.election_timeout);
        self.troubles.install(id, how, strength, &links);
        let mut detail = json!({ "links": links.iter().map(Link::to_string).collect::<Vec<_>>() });
        if let Some(detail) = detail.as_object_mut() {
            if how != NetworkTrouble::Slow {
                detail.insert("share".to_owned(), strength.share.into());
            }
            if how != NetworkTrouble::Lossy {
                let most = humantime::format_duration(strength.most).to_string();
                detail.insert("later by up to".to_owned(), most.into());
            }
        }
        self.nemesis.faults[id].links = links;
        self.account(id, Phase::Installed, detail);
        self.check_trouble(id);
    }

    /// Probes every link until the trouble has struck a message on each.
    pub(super) fn check_trouble(&mut self, id: FaultId) {
        let counters = self.troubles.counters(id);
        let idle: Vec<Link> =
            counters.iter().filter(|(_, count)| **count == 0).map(|(link, _)| *link).collect();
        if idle.is_empty() {
            return self.bitten(id, json!({ "counters": struck(&counters) }));
        }
        if self.now.saturating_sub(self.nemesis.faults[id].since) > HEAL {
            self.troubles.remove(id);
            let idle: Vec<String> = idle.iter().map(Link::to_string).collect();
            let why = format!("no message was struck on {}", idle.join(", "));
            return self.give_up(id, Phase::Failed, why);
        }
        for link in idle {
            self.troubles.fate(link, &mut self.rng);
        }
        self.queue.push(self.now + POLL, Event::Fault(id, Moment::Check));
    }

    /// Breaks the connections of the target, with a probe in flight on each.
    pub(super) fn install_reset(&mut self, id: FaultId) {
        let nodes = self.nemesis.faults[id].nodes.clone();
        let links = links_of(&nodes, &self.plan.node_ids());
        for &link in &links {
            self.queue.push(self.now + super::PROBE, Event::Probed(id, link));
        }
        self.nemesis.faults[id].links.clone_from(&links);
        self.nemesis.faults[id].unreached.clone_from(&links);
        let mut lost: BTreeMap<Link, u64> = BTreeMap::new();
        let now = self.now;
        let watch = &mut self.watch;
        let mut loses = |work: &Work| {
            let Work::Message(id, message) = work else { return false };
            let link = Link { from: message.from, to: message.to };
            if !links.contains(&link) {
                return false;
            }
            *lost.entry(link).or_insert(0) += 1;
            watch.see(now, Happening::Lost { id: *id, message, why: Loss::Reset });
            true
        };
        self.queue.lose(|event| match event {
            Event::Arrives { work, .. } => loses(work),
            Event::Probed(fault, _) => *fault == id,
            _ => false,
        });
        for process in &mut self.processes {
            process.lose_held(&mut loses);
        }
        let clients: usize = nodes.iter().map(|node| self.break_clients(*node)).sum();
        let detail = json!({ "lost_in_flight": struck(&lost), "clients_reset": clients });
        self.account(id, Phase::Installed, detail);
        self.queue.push(self.now + HANGS, Event::Fault(id, Moment::Check));
    }

    pub(super) fn check_reset(&mut self, id: FaultId) {
        let fault = &self.nemesis.faults[id];
        if fault.unreached != fault.links {
            let why = "what was in flight on a broken connection arrived".to_owned();
            return self.give_up(id, Phase::Failed, why);
        }
        let lost: Vec<String> = fault.links.iter().map(Link::to_string).collect();
        self.bitten(id, json!({ "probes_lost_in_flight": lost }));
    }
}

/// How bad a trouble is: a few steps from bearable to savage.
fn strength(pick: u64, election_timeout: Duration) -> Strength {
    let share = [0.1, 0.25, 0.5, 0.8][(pick % 4) as usize];
    let most = election_timeout / 4 * [1, 2, 4, 8][(pick / 4 % 4) as usize];
    Strength { share, most }
}

/// The links between these nodes and any others.
fn links_of(nodes: &BTreeSet<NodeId>, all: &[NodeId]) -> BTreeSet<Link> {
    let pairs = nodes.iter().flat_map(|&a| all.iter().map(move |&b| (a, b)));
    pairs
        .filter(|(a, b)| a != b)
        .flat_map(|(a, b)| [Link { from: a, to: b }, Link { from: b, to: a }])
        .collect()
}
