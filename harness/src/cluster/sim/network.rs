//! The links between nodes: delay, loss, duplication, cuts.
//!
//! Every message has a delay of its own, so messages overtake each other. A cut drops what is sent
//! and what arrives while it holds, and counts it. A message to a process that dies before it
//! arrives is lost with the connection; so is the connection itself, which the sender notices.
//! [`Troubles`] delay, lose and double messages on top of what the world does by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

use rand::{Rng, RngExt, distr::Bernoulli};

use super::queue::nanoseconds;
use crate::{
    nemesis::{Link, NetworkTrouble, overlap::FaultId},
    plan::Network,
};

/// What a network does by itself, as it is drawn for each message.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) loss: Bernoulli,
    pub(super) duplication: Bernoulli,
    late: Bernoulli,
    /// Nanoseconds, of most messages and of late ones.
    delays: RangeInclusive<u64>,
    late_delays: RangeInclusive<u64>,
}

impl Weather {
    /// The weather of a valid plan.
    pub(super) fn new(network: &Network) -> Self {
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
    pub(super) fn delay(&self, rng: &mut impl Rng) -> Duration {
        let range = if rng.sample(self.late) { &self.late_delays } else { &self.delays };
        Duration::from_nanos(rng.random_range(range.clone()))
    }
}

/// A time from between two, evenly.
pub(super) fn between(rng: &mut impl Rng, least: Duration, most: Duration) -> Duration {
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
pub(super) struct Cuts(InForce<BTreeMap<Link, u64>>);

impl Cuts {
    /// Cuts links.
    pub(super) fn install(&mut self, fault: FaultId, links: &BTreeSet<Link>) {
        self.0.insert(fault, links.iter().map(|link| (*link, 0)).collect());
    }

    /// Ends a cut.
    pub(super) fn remove(&mut self, fault: FaultId) {
        self.0.remove(fault);
    }

    /// Whether a message on this link is dropped now. Every cut of the link counts it.
    pub(super) fn drops(&mut self, link: Link) -> bool {
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
    pub(super) fn counters(&self, fault: FaultId) -> BTreeMap<Link, u64> {
        self.0.get(fault).cloned().unwrap_or_default()
    }
}

/// What faults make of a message, beside what the network does by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// It is lost.
    pub(super) lost: bool,
    /// It comes so much later.
    pub(super) delay: Duration,
    /// It comes again, each time so much later than it might.
    pub(super) again: Vec<Duration>,
}

/// How bad a trouble is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Strength {
    /// Share of messages that are struck, 0 to 1. Of a slow network all are.
    pub(super) share: f64,
    /// Longest time by which one comes later.
    pub(super) most: Duration,
}

#[derive(Debug)]
struct Trouble {
    how: NetworkTrouble,
    strength: Strength,
    struck: BTreeMap<Link, u64>,
}

/// The troubles that hold, and how many messages each struck, by link; and the links whose next
/// message is the last of its connection, by the fault that is to break it.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    in_force: InForce<Trouble>,
    resets: InForce<BTreeSet<Link>>,
}

impl Troubles {
    /// Makes trouble on links.
    pub(super) fn install(
        &mut self,
        fault: FaultId,
        how: NetworkTrouble,
        strength: Strength,
        links: &BTreeSet<Link>,
    ) {
        let struck = links.iter().map(|link| (*link, 0)).collect();
        self.in_force.insert(fault, Trouble { how, strength, struck });
    }

    /// Waits for a message on any of these links.
    pub(super) fn await_message(&mut self, fault: FaultId, links: &BTreeSet<Link>) {
        self.resets.insert(fault, links.clone());
    }

    /// The faults that waited for a message on this link, and do no longer.
    pub(super) fn awaited(&mut self, link: Link) -> Vec<FaultId> {
        // Most of the time there is none.
        if self.resets.0.is_empty() {
            return Vec::new();
        }
        self.resets.0.extract_if(.., |(_, links)| links.contains(&link)).map(|(id, _)| id).collect()
    }

    /// Ends a trouble.
    pub(super) fn remove(&mut self, fault: FaultId) {
        self.in_force.remove(fault);
        self.resets.remove(fault);
    }

    /// What becomes of a message on this link now. Every trouble that strikes it counts it; of one
    /// that is lost, those that lose it.
    pub(super) fn fate(&mut self, link: Link, rng: &mut impl Rng) -> Fate {
        let mut fate = Fate::default();
        if self.in_force.0.is_empty() {
            return fate;
        }
        // Nothing else happens to a message that is lost.
        for lossy in [true, false] {
            let is_now = |it: &&mut Trouble| (it.how == NetworkTrouble::Lossy) == lossy;
            for trouble in self.in_force.iter_mut().filter(is_now) {
                let Trouble { how, strength: Strength { share, most }, struck } = trouble;
                let Some(count) = struck.get_mut(&link) else { continue };
                if *how != NetworkTrouble::Slow && !rng.random_bool(*share) {
                    continue;
                }
                *count += 1;
                match how {
                    NetworkTrouble::Slow => fate.delay += between(rng, *most / 4, *most),
                    NetworkTrouble::Lossy => fate.lost = true,
                    NetworkTrouble::Duplicating => {
                        fate.again.push(between(rng, Duration::ZERO, *most));
                    }
                    NetworkTrouble::Reordering => fate.delay += between(rng, Duration::ZERO, *most),
                    // Waits for a message, and is over as soon as it happened.
                    NetworkTrouble::Reset => {}
                }
            }
            if fate.lost {
                break;
            }
        }
        fate
    }

    /// The messages that a trouble struck so far, by link; none: not on that link.
    pub(super) fn struck(&self, fault: FaultId) -> BTreeMap<Link, u64> {
        let struck = self.in_force.get(fault).map(|trouble| &trouble.struck);
        struck.into_iter().flatten().filter(|(_, n)| **n > 0).map(|(link, n)| (*link, *n)).collect()
    }

    /// Whether another trouble than `fault` holds on a link.
    pub(super) fn strikes(&self, fault: FaultId, link: Link) -> bool {
        let others = self.in_force.0.iter().filter(|(by, _)| *by != fault);
        others.into_iter().any(|(_, trouble)| trouble.struck.contains_key(&link))
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
        let mut troubles = Troubles::default();
        assert_eq!(troubles.fate(here, &mut rng), Fate::default());
        let links = BTreeSet::from([here]);
        troubles.install(0, NetworkTrouble::Slow, Strength { share: 0.0, most }, &links);
        troubles.install(1, NetworkTrouble::Duplicating, sure, &links);
        let fate = troubles.fate(here, &mut rng);
        assert!(!fate.lost && fate.delay >= most / 4 && fate.delay <= most, "{fate:?}");
        assert_eq!(fate.again.len(), 1);
        assert_eq!(troubles.fate(elsewhere, &mut rng), Fate::default());
        troubles.install(2, NetworkTrouble::Lossy, sure, &links);
        assert!(troubles.fate(here, &mut rng).lost);
        assert_eq!(troubles.struck(0), BTreeMap::from([(here, 1)]), "what is lost is not slow");
        assert_eq!(troubles.struck(2), BTreeMap::from([(here, 1)]));
        assert!(troubles.strikes(2, here) && !troubles.strikes(2, elsewhere));
        (0..3).for_each(|fault| troubles.remove(fault));
        assert!(!troubles.strikes(9, here));
    }

    #[test]
    fn a_message_is_awaited_once() {
        let (here, elsewhere) = (Link { from: 1, to: 2 }, Link { from: 2, to: 1 });
        let mut troubles = Troubles::default();
        troubles.await_message(4, &BTreeSet::from([here]));
        troubles.await_message(2, &BTreeSet::from([here, elsewhere]));
        troubles.await_message(3, &BTreeSet::from([elsewhere]));
        assert!(!troubles.strikes(9, here), "they do not keep it from being whole");
        assert_eq!(troubles.awaited(here), [2, 4]);
        assert!(troubles.awaited(here).is_empty());
        troubles.remove(3);
        assert!(troubles.awaited(elsewhere).is_empty());
    }

    #[test]
    fn a_share_of_messages_is_struck() {
        let link = Link { from: 1, to: 2 };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let strength = Strength { share: 0.25, most: Duration::ZERO };
        let mut troubles = Troubles::default();
        troubles.install(0, NetworkTrouble::Lossy, strength, &BTreeSet::from([link]));
        let lost = (0..1000).filter(|_| troubles.fate(link, &mut rng).lost).count() as u64;
        assert!((200..300).contains(&lost), "{lost}");
        assert_eq!(troubles.struck(0)[&link], lost);
    }
}
