//! Spreads the operations of all clients evenly over time.

use std::time::Duration;

use super::Time;
use crate::plan::{Load, Stretch};

/// Turns missed for longer than this are lost, or the load after an outage would be a flood.
const CATCH_UP: Duration = Duration::from_millis(100);

/// A limit of operations per second, for all clients together. Its times count from the start of
/// the load.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// Between operations; zero: no limit.
    gap: Duration,
    /// When the pace is another.
    stretches: Vec<Stretch>,
    next: Time,
}

impl RateLimiter {
    /// The limit of a load.
    pub(super) fn new(load: &Load) -> Self {
        let stretches = load.stretches.clone();
        Self { gap: gap(load.rate), stretches, next: Duration::ZERO }
    }

    /// When the next operation may begin.
    pub(super) fn turn(&mut self, now: Time) -> Time {
        let due = self.next.max(now.saturating_sub(CATCH_UP));
        let mut at = due.max(now);
        let mut idle = false;
        while let Some(stretch) = self.stretch(at).filter(Stretch::is_idle) {
            (at, idle) = (stretch.end(), true);
        }
        let gap = self.stretch(at).map_or(self.gap, |stretch| gap(stretch.per_second));
        // What an idle stretch forbade is not caught up with.
        self.next = if idle { at } else { due } + gap;
        at
    }

    fn stretch(&self, at: Time) -> Option<Stretch> {
        self.stretches.iter().find(|stretch| stretch.contains(at)).copied()
    }
}

/// Between operations at this rate; 0: no limit.
fn gap(rate: u64) -> Duration {
    let gap = if rate == 0 { 0 } else { 1_000_000_000 / rate.min(1_000_000_000) };
    Duration::from_nanos(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn limiter(rate: u64, stretches: &[Stretch]) -> RateLimiter {
        let stretches = stretches.to_vec();
        RateLimiter::new(&Load { stretches, ..Load::steady(1, rate, MS) })
    }

    #[test]
    fn a_rate_is_kept() {
        let mut limited = limiter(1000, &[]);
        let turns: Vec<Time> = (0..200).map(|_| limited.turn(Duration::ZERO)).collect();
        assert_eq!(turns[199], 199 * MS);
        assert_eq!(limiter(0, &[]).turn(7 * MS), 7 * MS);
    }

    #[test]
    fn missed_turns_are_lost_but_for_a_few() {
        let mut limited = limiter(1000, &[]);
        let now = 500 * MS;
        let at_once = (0..300).filter(|_| limited.turn(now) == now).count();
        assert_eq!(at_once, 101);
    }

    #[test]
    fn a_stretch_has_its_own_pace_and_an_idle_one_none() {
        let idle = Stretch { at: 10 * MS, lasts: 40 * MS, per_second: 0 };
        let surge = Stretch { at: 50 * MS, lasts: 5 * MS, per_second: 1000 };
        for rate in [0, 100] {
            let mut limited = limiter(rate, &[idle, surge]);
            for now in [10 * MS, 30 * MS, 49 * MS] {
                assert!(limited.turn(now) >= 50 * MS, "rate {rate}: {now:?}");
            }
            let turns: Vec<Time> = (0..4).map(|_| limited.turn(50 * MS)).collect();
            assert!(turns.iter().all(|turn| (50 * MS..70 * MS).contains(turn)), "{turns:?}");
        }
        let mut limited = limiter(100, &[surge]);
        assert_eq!(limited.turn(50 * MS), 50 * MS);
        assert!(!idle.contains(50 * MS) && idle.contains(10 * MS));
    }
}
