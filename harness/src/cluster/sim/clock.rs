//! A node's clock: how it tells the time of the world, which it never knows exactly.

use node::replica::Time;

/// The rate of a clock that is right: so many of its nanoseconds in a true millisecond.
pub(super) const TRUE_RATE: u64 = 1_000_000;

/// A clock. It goes at some rate since some moment, from some reading on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// What the clock gains in a true millisecond, in nanoseconds.
    rate: u64,
    /// Its rate where no fault acts on it.
    natural: u64,
    since: Time,
    reading: Time,
}

impl Clock {
    /// A clock that shows zero at the beginning of the world and goes at this rate.
    pub(super) fn new(natural: u64) -> Self {
        Self {
            rate: natural.max(1),
            natural: natural.max(1),
            since: Time::ZERO,
            reading: Time::ZERO,
        }
    }

    /// What it shows at a true moment.
    pub(super) fn read(&self, now: Time) -> Time {
        self.reading + scaled(now.saturating_sub(self.since), self.rate, TRUE_RATE, false)
    }

    /// The first true moment at which it shows at least `reading`.
    pub(super) fn when(&self, reading: Time) -> Time {
        self.since + scaled(reading.saturating_sub(self.reading), TRUE_RATE, self.rate, true)
    }

    /// From now on it goes so many times as fast as it would by itself, in percent.
    pub(super) fn go(&mut self, now: Time, percent: u64) {
        self.reading = self.read(now);
        self.since = now;
        self.rate = (self.natural * percent / 100).max(1);
    }

    /// What it gains by itself in a true span of time.
    pub(super) fn natural_gain(&self, span: Time) -> Time {
        scaled(span, self.natural, TRUE_RATE, false)
    }

    /// Now it shows more than it did.
    pub(super) fn jump_forth(&mut self, now: Time, by: Time) {
        self.reading = self.read(now) + by;
        self.since = now;
    }

    /// Now it shows less than it did, though never less than nothing.
    pub(super) fn jump_back(&mut self, now: Time, by: Time) {
        self.reading = self.read(now).saturating_sub(by);
        self.since = now;
    }
}

/// `span * by / of`, to the nanosecond below or above.
fn scaled(span: Time, by: u64, of: u64, up: bool) -> Time {
    if by == of {
        return span;
    }
    let product = span.as_nanos() * u128::from(by);
    let of = u128::from(of.max(1));
    let nanoseconds = if up { product.div_ceil(of) } else { product / of };
    Time::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Time = Time::from_secs(1);

    #[test]
    fn it_goes_at_its_rate_and_at_a_faults() {
        let mut clock = Clock::new(1_010_000);
        assert_eq!(clock.read(SECOND), Time::from_millis(1010));
        clock.go(SECOND, 200);
        assert_eq!(clock.read(2 * SECOND), Time::from_millis(1010 + 2020));
        clock.go(2 * SECOND, 100);
        assert_eq!(clock.read(3 * SECOND), Time::from_millis(1010 + 2020 + 1010));
        assert_eq!(clock.natural_gain(SECOND), Time::from_millis(1010));
    }

    #[test]
    fn it_jumps_forth_and_back() {
        let mut clock = Clock::new(TRUE_RATE);
        clock.jump_forth(SECOND, SECOND);
        assert_eq!(clock.read(SECOND), 2 * SECOND);
        clock.jump_back(2 * SECOND, SECOND);
        assert_eq!(clock.read(2 * SECOND), 2 * SECOND);
        clock.jump_back(2 * SECOND, 9 * SECOND);
        assert_eq!(clock.read(2 * SECOND), Time::ZERO);
    }

    #[test]
    fn at_the_moment_of_a_reading_it_shows_it_and_just_before_it_does_not() {
        for rate in [250_000, 999_983, 1_000_000, 1_000_003, 4_000_000] {
            let mut clock = Clock::new(rate);
            clock.jump_forth(Time::from_nanos(77), Time::from_nanos(123_457));
            for reading in (0..50).map(|step| Time::from_nanos(1_000_000 + step * 7_919)) {
                let when = clock.when(reading);
                assert!(clock.read(when) >= reading, "{rate}");
                assert!(clock.read(when - Time::from_nanos(1)) < reading, "{rate}");
            }
            // What it has shown already, it shows now.
            assert_eq!(clock.when(Time::ZERO), Time::from_nanos(77));
        }
    }
}
