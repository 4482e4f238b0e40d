//! The links between nodes: delay, loss, duplication, cuts.
//!
//! Every message has a delay of its own, so messages overtake each other. A cut drops what is sent
//! and what arrives while it holds, and counts it. A message to a process that dies before it
//! arrives is lost with the connection; so is the connection itself, which the sender notices.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{Rng, RngExt};

use super::queue::nanoseconds;
use crate::{
    nemesis::{Link, overlap::FaultId},
    plan::Network,
};

/// The delay of a message.
pub(super) fn delay(network: &Network, rng: &mut impl Rng) -> Duration {
    let late = rng.random_bool(network.late);
    between(rng, network.delay_min, if late { network.late_max } else { network.delay_max })
}

/// A time from between two, evenly.
pub(super) fn between(rng: &mut impl Rng, least: Duration, most: Duration) -> Duration {
    let least = nanoseconds(least);
    Duration::from_nanos(rng.random_range(least..=nanoseconds(most).max(least)))
}

/// The cuts that hold, and how many messages each dropped, by link.
#[derive(Debug, Default)]
pub(super) struct Cuts(BTreeMap<FaultId, BTreeMap<Link, u64>>);

impl Cuts {
    /// Cuts links.
    pub(super) fn install(&mut self, fault: FaultId, links: &BTreeSet<Link>) {
        self.0.insert(fault, links.iter().map(|link| (*link, 0)).collect());
    }

    /// Ends a cut.
    pub(super) fn remove(&mut self, fault: FaultId) {
        self.0.remove(&fault);
    }

    /// Whether a message on this link is dropped now. Every cut of the link counts it.
    pub(super) fn drops(&mut self, link: Link) -> bool {
        let mut dropped = false;
        for cut in self.0.values_mut() {
            if let Some(count) = cut.get_mut(&link) {
                *count += 1;
                dropped = true;
            }
        }
        dropped
    }

    /// The messages that a cut dropped so far, by link.
    pub(super) fn counters(&self, fault: FaultId) -> BTreeMap<Link, u64> {
        self.0.get(&fault).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_drops_one_way_and_counts() {
        let (there, back) = (Link { from: 1, to: 2 }, Link { from: 2, to: 1 });
        let mut cuts = Cuts::default();
        cuts.install(0, &BTreeSet::from([there]));
        cuts.install(1, &BTreeSet::from([there, back]));
        assert!(cuts.drops(there));
        cuts.remove(1);
        assert!(cuts.drops(there) && !cuts.drops(back));
        assert_eq!(cuts.counters(0), BTreeMap::from([(there, 2)]));
        cuts.remove(0);
        assert!(!cuts.drops(there));
    }
}
