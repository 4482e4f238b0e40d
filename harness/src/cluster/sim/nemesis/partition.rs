//! Cuts, and what links need to be whole again.
//!
//! Probes prove both, on links that may be idle: a cut drops all or nothing, and a probe passes the
//! same [`crate::cluster::sim::network::Cuts::drops`] as any message when it leaves and when it
//! arrives. Where one is dropped every message is.

use checker::fault::Phase;
use serde_json::{Value, json};

use super::{HANGS, PROBE, dropped};
use crate::{
    cluster::sim::{
        queue::{Event, Moment},
        world::World,
    },
    nemesis::{Link, overlap::FaultId},
};

impl World<'_> {
    pub(super) fn install_cut(&mut self, id: FaultId) {
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

    pub(super) fn check_cut(&mut self, id: FaultId) {
        let fault = &self.nemesis.faults[id];
        let failed: Vec<String> = fault.unreached.iter().map(Link::to_string).collect();
        let counters = self.cuts.counters(id);
        let idle = counters.values().any(|count| *count == 0);
        if idle || failed.len() < fault.links.len() {
            self.cuts.remove(id);
            let why = "a probe got through the cut".to_owned();
            return self.give_up(id, Phase::Failed, why);
        }
        let proof = json!({ "probes_failed": failed, "counters": dropped(&counters) });
        self.bitten(id, proof);
    }

    pub(super) fn probe_link(&mut self, id: FaultId, link: Link) {
        if !self.cuts.drops(link) {
            self.queue.push(self.now + PROBE, Event::Probed(id, link));
        }
    }

    /// A probe between nodes arrives, unless the link is cut by now.
    pub(in crate::cluster::sim) fn probed(&mut self, id: FaultId, link: Link) {
        if !self.cuts.drops(link) {
            self.nemesis.faults[id].unreached.remove(&link);
        }
    }

    /// Ends what the fault does to links.
    pub(super) fn heal_links(&mut self, id: FaultId) {
        self.cuts.remove(id);
        self.troubles.remove(id);
        let links = self.nemesis.faults[id].links.clone();
        for &link in &links {
            self.probe_link(id, link);
        }
        self.nemesis.faults[id].unreached = links;
    }

    /// Whether a probe got through every link that no other fault holds.
    pub(super) fn are_whole(&mut self, id: FaultId) -> Option<Value> {
        let after = self.now.saturating_sub(self.nemesis.faults[id].since);
        let fault = &self.nemesis.faults[id];
        let mut free = self.nemesis.holds.whole_without(id, &fault.links);
        free.retain(|link| !self.troubles.strikes(id, *link));
        let unreached: Vec<Link> = fault.unreached.intersection(&free).copied().collect();
        if unreached.is_empty() {
            let held: Vec<String> = fault.links.difference(&free).map(Link::to_string).collect();
            let free: Vec<String> = free.iter().map(Link::to_string).collect();
            let mut proof = json!({ "probes_succeeded": free, "after_ms": after.as_millis() });
            if let (Some(proof), false) = (proof.as_object_mut(), held.is_empty()) {
                proof.insert("held by other faults".to_owned(), held.into());
            }
            return Some(proof);
        }
        for link in unreached {
            self.probe_link(id, link);
        }
        None
    }
}
