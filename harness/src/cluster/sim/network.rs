//! The links between nodes: delay, loss, duplication, cuts.
//!
//! Every message has a delay of its own, so messages overtake each other. A cut drops what is sent
//! and what arrives while it holds, and counts it. A message to a process that dies before it
//! arrives is lost with the connection; so is the connection itself, which the sender notices.
//! [`NetworkFaults`] delay, lose and double messages on top of what the world does by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::RangeInclusive,
    time::Duration,
};

use rand::{Rng, RngExt, distr::Bernoulli};

use super::queue::nanoseconds;
use crate::{
    exercise::Strength,
    nemesis::{Link, NetworkTrouble, overlap::FaultId},
    plan::Network,
};

/// What a network does by itself, as it is drawn for each message.
#[derive(Debug)]
pub(in crate::cluster) struct BaselineNetwork {
    pub(in crate::cluster) loss: Bernoulli,
    pub(in crate::cluster) duplication: Bernoulli,
    late: Bernoulli,
    /// Nanoseconds, of most messages and of late ones.
    delays: RangeInclusive<u64>,
    late_delays: RangeInclusive<u64>,
}

impl BaselineNetwork {
    /// The network of a valid plan.
    pub(in crate::cluster) fn new(network: &Network) -> Self {
        let share = |share| Bernoulli::new(share).expect("a valid plan's shares are 0 to 1");
        let range = |most| nanoseconds(network.delay_min)..=nanoseconds(most);
        Self {
            loss: share(network.loss),
            duplication: share(network.duplication),
            late: share(network.late),
            delays: range(network.delay_max),
            late_delays: range(network.late_max),
        }
    }

    /// The delay of a message.
    pub(in crate::cluster) fn delay(&self, rng: &mut impl Rng) -> Duration {
        let range = if rng.sample(self.late) { &self.late_delays } else { &self.delays };
        Duration::from_nanos(rng.random_range(range.clone()))
    }
}

/// A time from between two, evenly.
pub(in crate::cluster) fn between(rng: &mut impl Rng, least: Duration, most: Duration) -> Duration {
    let least = nanoseconds(least);
    Duration::from_nanos(rng.random_range(least..=nanoseconds(most).max(least)))
}

/// What faults in force do to links, in the order of their ids. None or a few: looking at each is
/// faster than a tree.
#[derive(Debug)]
struct InForce<T>(Vec<(FaultId, T)>);

impl<T> Default for InForce<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> InForce<T> {
    fn insert(&mut self, fault: FaultId, what: T) {
        self.remove(fault);
        let place = self.0.partition_point(|(id, _)| *id < fault);
        self.0.insert(place, (fault, what));
    }

    fn remove(&mut self, fault: FaultId) {
        self.0.retain(|(id, _)| *id != fault);
    }

    fn get(&self, fault: FaultId) -> Option<&T> {
        self.0.iter().find(|(id, _)| *id == fault).map(|(_, what)| what)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, what)| what)
    }
}

/// The cuts that hold, and how many messages each dropped, by link.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Cuts(InForce<BTreeMap<Link, u64>>);

impl Cuts {
    /// Cuts links.
    pub(in crate::cluster) fn install(&mut self, fault: FaultId, links: &BTreeSet<Link>) {
        self.0.insert(fault, links.iter().map(|link| (*link, 0)).collect());
    }

    /// Ends a cut.
    pub(in crate::cluster) fn remove(&mut self, fault: FaultId) {
        self.0.remove(fault);
    }

    /// Whether a message on this link is dropped now. Every cut of the link counts it.
    pub(in crate::cluster) fn drops(&mut self, link: Link) -> bool {
        let mut dropped = false;
        for cut in self.0.iter_mut() {
            if let Some(count) = cut.get_mut(&link) {
                *count += 1;
                dropped = true;
            }
        }
        dropped
    }

    /// The messages that a cut dropped so far, by link.
    pub(in crate::cluster) fn counters(&self, fault: FaultId) -> BTreeMap<Link, u64> {
        self.0.get(fault).cloned().unwrap_or_default()
    }
}

/// What faults make of a message, beside what the network does by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cluster) struct Delivery {
    /// It is lost.
    pub(in crate::cluster) lost: bool,
    /// It comes so much later.
    pub(in crate::cluster) delay: Duration,
    /// It comes again, each time so much later than it might.
    pub(in crate::cluster) again: Vec<Duration>,
}

#[derive(Debug)]
struct Trouble {
    how: NetworkTrouble,
    strength: Strength,
    struck: BTreeMap<Link, u64>,
    /// It has struck a message.
    met: bool,
}

/// The troubles that hold, and how many messages each struck, by link; and the links whose next
/// message is the last of its connection, by the fault that is to break it.
#[derive(Debug, Default)]
pub(in crate::cluster) struct NetworkFaults {
    in_force: InForce<Trouble>,
    resets: InForce<BTreeSet<Link>>,
    /// Those that struck their first message and were not asked about since.
    fresh: Vec<FaultId>,
}

impl NetworkFaults {
    /// Makes trouble on links.
    pub(in crate::cluster) fn install(
        &mut self,
        fault: FaultId,
        how: NetworkTrouble,
        strength: Strength,
        links: &BTreeSet<Link>,
    ) {
        let struck = links.iter().map(|link| (*link, 0)).collect();
        self.in_force.insert(fault, Trouble { how, strength, struck, met: false });
    }

    /// Waits for a message on any of these links.
    pub(in crate::cluster) fn await_message(&mut self, fault: FaultId, links: &BTreeSet<Link>) {
        self.resets.insert(fault, links.clone());
    }

    /// The faults that waited for a message on this link, and do no longer.
    pub(in crate::cluster) fn awaited(&mut self, link: Link) -> Vec<FaultId> {
        // Most of the time there is none.
        if self.resets.0.is_empty() {
            return Vec::new();
        }
        self.resets.0.extract_if(.., |(_, links)| links.contains(&link)).map(|(id, _)| id).collect()
    }

    /// The faults that have just struck their first message.
    pub(in crate::cluster) fn take_fresh(&mut self) -> Vec<FaultId> {
        mem::take(&mut self.fresh)
    }

    /// Ends a trouble.
    pub(in crate::cluster) fn remove(&mut self, fault: FaultId) {
        self.in_force.remove(fault);
        self.resets.remove(fault);
    }

    /// Whether there is any trouble now. Most of the time there is none.
    pub(in crate::cluster) fn any_in_force(&self) -> bool {
        !self.in_force.0.is_empty()
    }

    /// What becomes of a message on this link now. Every trouble that strikes it counts it; of one
    /// that is lost, those that lose it.
    pub(in crate::cluster) fn delivery(&mut self, link: Link, rng: &mut impl Rng) -> Delivery {
        let mut delivery = Delivery::default();
        // Nothing else happens to a message that is lost.
        for lossy in [true, false] {
            for (fault, trouble) in &mut self.in_force.0 {
                let Trouble { how, strength: Strength { share, most }, struck, met } = trouble;
                if (*how == NetworkTrouble::Lossy) != lossy {
                    continue;
                }
                let Some(count) = struck.get_mut(&link) else { continue };
                if *how != NetworkTrouble::Slow && !rng.random_bool(*share) {
                    continue;
                }
                *count += 1;
                if !mem::replace(met, true) {
                    self.fresh.push(*fault);
                }
                match how {
                    NetworkTrouble::Slow => delivery.delay += between(rng, *most / 4, *most),
                    NetworkTrouble::Lossy => delivery.lost = true,
                    NetworkTrouble::Duplicating => {
                        delivery.again.push(between(rng, Duration::ZERO, *most));
                    }
                    NetworkTrouble::Reordering => {
                        delivery.delay += between(rng, Duration::ZERO, *most)
                    }
                    // Waits for a message, and is over as soon as it happened.
                    NetworkTrouble::Reset => {}
                }
            }
            if delivery.lost {
                break;
            }
        }
        delivery
    }

    /// The messages that a trouble struck so far, by link; none: not on that link.
    pub(in crate::cluster) fn struck(&self, fault: FaultId) -> BTreeMap<Link, u64> {
        let struck = self.in_force.get(fault).map(|trouble| &trouble.struck);
        struck.into_iter().flatten().filter(|(_, n)| **n > 0).map(|(link, n)| (*link, *n)).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

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

    #[test]
    fn troubles_add_up_on_their_links_and_count() {
        let (here, elsewhere) = (Link { from: 1, to: 2 }, Link { from: 2, to: 1 });
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let most = Duration::from_millis(80);
        let sure = Strength { share: 1.0, most };
        let mut faults = NetworkFaults::default();
        assert_eq!(faults.delivery(here, &mut rng), Delivery::default());
        let links = BTreeSet::from([here]);
        faults.install(0, NetworkTrouble::Slow, Strength { share: 0.0, most }, &links);
        faults.install(1, NetworkTrouble::Duplicating, sure, &links);
        let delivery = faults.delivery(here, &mut rng);
        assert!(
            !delivery.lost && delivery.delay >= most / 4 && delivery.delay <= most,
            "{delivery:?}"
        );
        assert_eq!(delivery.again.len(), 1);
        assert_eq!(faults.delivery(elsewhere, &mut rng), Delivery::default());
        faults.install(2, NetworkTrouble::Lossy, sure, &links);
        assert!(faults.delivery(here, &mut rng).lost);
        assert_eq!(faults.struck(0), BTreeMap::from([(here, 1)]), "what is lost is not slow");
        assert_eq!(faults.struck(2), BTreeMap::from([(here, 1)]));
        assert_eq!(faults.take_fresh(), [0, 1, 2]);
        assert!(faults.take_fresh().is_empty(), "each is told once");
        (0..3).for_each(|fault| faults.remove(fault));
        assert_eq!(faults.delivery(here, &mut rng), Delivery::default());
    }

    #[test]
    fn a_message_is_awaited_once() {
        let (here, elsewhere) = (Link { from: 1, to: 2 }, Link { from: 2, to: 1 });
        let mut faults = NetworkFaults::default();
        faults.await_message(4, &BTreeSet::from([here]));
        faults.await_message(2, &BTreeSet::from([here, elsewhere]));
        faults.await_message(3, &BTreeSet::from([elsewhere]));
        assert_eq!(faults.awaited(here), [2, 4]);
        assert!(faults.awaited(here).is_empty());
        faults.remove(3);
        assert!(faults.awaited(elsewhere).is_empty());
    }

    #[test]
    fn a_share_of_messages_is_struck() {
        let link = Link { from: 1, to: 2 };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let strength = Strength { share: 0.25, most: Duration::ZERO };
        let mut faults = NetworkFaults::default();
        faults.install(0, NetworkTrouble::Lossy, strength, &BTreeSet::from([link]));
        let lost = (0..1000).filter(|_| faults.delivery(link, &mut rng).lost).count() as u64;
        assert!((200..300).contains(&lost), "{lost}");
        assert_eq!(faults.struck(0)[&link], lost);
    }
}
