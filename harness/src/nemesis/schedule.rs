//! From a seed to a schedule: which faults, when and for how long.
//!
//! Faults are dealt like cards. The items of the menu are shuffled and dealt until none is left,
//! then shuffled anew; so are the variants within each item. So a short run has a fault of every
//! kind, and a long one every variant, in an order that differs with the seed. Some faults outlive
//! the next injection: faults overlap.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Fault, Injection, Menu};

/// No fault on containers is shorter, so that it can be seen to bite before it is healed.
pub const SHORTEST: Duration = Duration::from_millis(500);

/// A schedule for a run of `time`, with a fault about every `interval`, none shorter than
/// `shortest`; each ends within the run. In order of time. A pure function of its arguments.
pub fn generate(
    menu: &Menu,
    time: Duration,
    interval: Duration,
    shortest: Duration,
    seed: u64,
) -> Vec<Injection> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut decks: Vec<Deck<Fault>> = menu.items.iter().cloned().map(Deck::new).collect();
    let mut turns = Deck::new((0..decks.len()).collect());
    let mut injections = Vec::new();
    let step = interval.max(Duration::from_millis(1));
    // The first comes early: load needs a moment to be there, a short run has no time to lose.
    let mut slot = step / 2;
    loop {
        let at = milliseconds(slot.mul_f64(rng.random_range(0.85..1.15)));
        let Some(left) = time.checked_sub(at).filter(|left| *left >= shortest) else {
            break;
        };
        let fault = turns.deal(&mut rng).and_then(|turn| decks.get_mut(turn)?.deal(&mut rng));
        let Some(fault) = fault else {
            break;
        };
        let lasts = duration(fault, step, shortest, &mut rng).clamp(shortest, left);
        injections.push(Injection { at, lasts: milliseconds(lasts), fault, pick: rng.random() });
        slot += step;
    }
    // In a long run chance moves a fault by more than an interval.
    injections.sort_by_key(|injection| injection.at);
    injections
}

/// From half an interval to one and a half. Some kills end at once: a restart without an election.
fn duration(fault: Fault, interval: Duration, shortest: Duration, rng: &mut impl Rng) -> Duration {
    let quick = matches!(fault, Fault::Kill { .. }) && rng.random_bool(0.3);
    if quick { shortest } else { interval.mul_f64(rng.random_range(0.5..1.5)) }
}

fn milliseconds(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Deals its cards in a random order, and shuffles again when none is left.
struct Deck<T> {
    cards: Vec<T>,
    left: Vec<T>,
}

impl<T: Copy> Deck<T> {
    fn new(cards: Vec<T>) -> Self {
        Self { cards, left: Vec::new() }
    }

    fn deal(&mut self, rng: &mut impl Rng) -> Option<T> {
        if self.left.is_empty() {
            self.left.clone_from(&self.cards);
            self.left.shuffle(rng);
        }
        self.left.pop()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const FIVE: Duration = Duration::from_secs(5);

    fn schedule(text: &str, time: Duration, seed: u64) -> Vec<Injection> {
        let menu: Menu = text.parse().unwrap();
        generate(&menu.for_nodes(5).unwrap(), time, FIVE, SHORTEST, seed)
    }

    #[test]
    fn it_is_a_function_of_the_seed() {
        let one = schedule("kill,pause,partition", MINUTE, 1);
        assert_eq!(one, schedule("kill,pause,partition", MINUTE, 1));
        assert_ne!(one, schedule("kill,pause,partition", MINUTE, 2));
    }

    #[test]
    fn every_fault_lies_within_the_run_in_order_and_is_long_enough() {
        for seed in 0..100 {
            for seconds in [1, 5, 30, 60, 300] {
                let time = Duration::from_secs(seconds);
                let schedule = schedule("kill,pause,partition", time, seed);
                assert!(schedule.is_sorted_by_key(|injection| injection.at), "{schedule:?}");
                for injection in schedule {
                    assert!(injection.at + injection.lasts <= time, "{injection:?}");
                    assert!(injection.lasts >= SHORTEST, "{injection:?}");
                }
            }
        }
    }

    #[test]
    fn half_a_minute_has_every_kind_and_several_shapes_for_every_seed() {
        for seed in 0..100 {
            let schedule = schedule("kill,pause,partition", MINUTE / 2, seed);
            assert!((5..=7).contains(&schedule.len()), "{}", schedule.len());
            let kinds: BTreeSet<_> = schedule.iter().map(|i| i.fault.kind()).collect();
            assert_eq!(kinds.len(), 3);
        }
        for seed in 0..100 {
            let shapes: BTreeSet<_> = schedule("partition", MINUTE, seed)
                .iter()
                .map(|injection| injection.fault.to_string())
                .collect();
            assert!(shapes.len() >= 9, "{shapes:?}");
        }
    }

    #[test]
    fn some_faults_overlap() {
        let schedule = schedule("kill,pause,partition", MINUTE, 3);
        assert!(schedule.windows(2).any(|two| two[0].at + two[0].lasts > two[1].at));
    }

    #[test]
    fn leaders_are_attacked_often() {
        let schedule = schedule("kill,pause,partition", 10 * MINUTE, 4);
        let leaders = schedule.iter().filter(|i| i.fault.what().contains("leader")).count();
        assert!(leaders * 5 > schedule.len(), "{leaders} of {}", schedule.len());
    }

    #[test]
    fn no_faults_means_none() {
        assert!(schedule("none", MINUTE, 1).is_empty());
    }
}
