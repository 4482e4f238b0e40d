//! Links that misbehave, and connections that break.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use checker::fault::Phase;
use serde_json::{Value, json};

use super::{POLL, State, by_link, names};
use crate::{
    cluster::sim::{
        network::Strength,
        observe::{Happening, Loss},
        process::Process,
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
        self.await_bite(id);
        self.queue.push(self.now + POLL, Event::Fault(id, Moment::Check));
    }

    /// Looks whether the trouble has struck a message. Many links are idle: followers say nothing to
    /// each other between elections.
    pub(super) fn check_trouble(&mut self, id: FaultId) {
        self.nemesis.faults[id].struck = self.troubles.struck(id);
        if self.nemesis.faults[id].struck.is_empty() {
            return self.queue.push(self.now + POLL, Event::Fault(id, Moment::Check));
        }
        let proof = json!({ "counters": by_link(&self.nemesis.faults[id].struck) });
        self.bitten(id, proof);
    }

    /// Breaks the connections of the target as soon as something is in flight on them.
    pub(super) fn install_reset(&mut self, id: FaultId) {
        let links = links_of(&self.nemesis.faults[id].nodes, &self.plan.node_ids());
        let words: Vec<String> = links.iter().map(Link::to_string).collect();
        self.nemesis.faults[id].links = links;
        self.account(id, Phase::Installed, json!({ "links": words }));
        self.await_bite(id);
        self.reset(id);
    }

    /// Breaks connections. Where neither a message is lost nor a client notices, it waits for the
    /// next message to break them again.
    pub(super) fn reset(&mut self, id: FaultId) {
        let State { nodes, links, .. } = &self.nemesis.faults[id];
        // Nobody has a connection to a process that is down, or to what it was before.
        let live = |process: &Process| process.is_up().then_some(process.incarnation);
        let live: Vec<Option<u64>> = self.processes.iter().map(live).collect();
        let is_up = |node: &NodeId| live[*node as usize - 1].is_some();
        let nodes: Vec<NodeId> = nodes.iter().copied().filter(is_up).collect();
        let now = self.now;
        let mut lost: BTreeMap<Link, u64> = BTreeMap::new();
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
            Event::Arrives { node, incarnation, work } => {
                live[*node as usize - 1] == Some(*incarnation) && loses(work)
            }
            _ => false,
        });
        for process in &mut self.processes {
            process.lose_held(&mut loses);
        }
        let clients = nodes.into_iter().map(|node| (node, self.break_clients(node)));
        let clients: BTreeMap<NodeId, usize> = clients.filter(|(_, waited)| *waited > 0).collect();
        if lost.is_empty() && clients.is_empty() {
            return self.troubles.await_message(id, &self.nemesis.faults[id].links);
        }
        let fault = &mut self.nemesis.faults[id];
        (fault.struck, fault.clients) = (lost, clients);
        let proof = self.seen_on_links(id, NetworkTrouble::Reset);
        self.bitten(id, proof);
    }

    /// A fault has come to its end and was not seen to have had an effect.
    pub(super) fn end_wait_of_links(&mut self, id: FaultId, how: NetworkTrouble) {
        if how != NetworkTrouble::Reset && !self.troubles.struck(id).is_empty() {
            // Since it was last looked at.
            return self.check_trouble(id);
        }
        self.troubles.remove(id);
        let nodes = names(&self.nemesis.faults[id].nodes);
        let why = match how {
            NetworkTrouble::Reset => format!("while it lasted, nothing was on its way to {nodes}"),
            _ => format!("while it lasted, it struck no message to or from {nodes}"),
        };
        self.give_up(id, Phase::Skipped, why);
    }

    /// What a fault did to messages and clients.
    pub(super) fn seen_on_links(&mut self, id: FaultId, how: NetworkTrouble) -> Value {
        if how != NetworkTrouble::Reset {
            self.nemesis.faults[id].struck = self.troubles.struck(id);
        }
        let State { struck, clients, .. } = &self.nemesis.faults[id];
        let struck = by_link(struck);
        if how != NetworkTrouble::Reset {
            return json!({ "counters": struck });
        }
        let clients: BTreeMap<String, usize> =
            clients.iter().map(|(node, count)| (format!("n{node}"), *count)).collect();
        json!({ "lost_in_flight": struck, "clients_reset": clients })
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
