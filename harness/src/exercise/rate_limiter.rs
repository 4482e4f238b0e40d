//! Spreads the operations of all clients evenly over time.

use std::time::Duration;

use super::Time;

/// Turns missed for longer than this are lost, or the load after an outage would be a flood.
const CATCH_UP: Duration = Duration::from_millis(100);

/// A limit of operations per second, for all clients together.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// Between operations; zero: no limit.
    gap: Duration,
    next: Time,
}

impl RateLimiter {
    /// A limit of `rate` operations per second; 0: none.
    pub(super) fn new(rate: u64) -> Self {
        let gap = if rate == 0 { 0 } else { 1_000_000_000 / rate.min(1_000_000_000) };
        Self { gap: Duration::from_nanos(gap), next: Duration::ZERO }
    }

    /// When the next operation may begin.
    pub(super) fn turn(&mut self, now: Time) -> Time {
        if self.gap.is_zero() {
            return now;
        }
        let turn = self.next.max(now.saturating_sub(CATCH_UP));
        self.next = turn + self.gap;
        turn.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_rate_is_kept() {
        let mut limiter = RateLimiter::new(1000);
        let turns: Vec<Time> = (0..200).map(|_| limiter.turn(Duration::ZERO)).collect();
        assert_eq!(turns[199], 199 * MS);
        assert_eq!(RateLimiter::new(0).turn(7 * MS), 7 * MS);
    }

    #[test]
    fn missed_turns_are_lost_but_for_a_few() {
        let mut limiter = RateLimiter::new(1000);
        let now = 500 * MS;
        let at_once = (0..300).filter(|_| limiter.turn(now) == now).count();
        assert_eq!(at_once, 101);
    }
}
