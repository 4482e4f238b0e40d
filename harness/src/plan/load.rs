//! How hard clients work: how many they are, how fast, how long they wait, and when the pace
//! changes.

use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// How hard clients work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Clients, each with one operation open at most; 1 to 1000.
    pub concurrency: u64,
    /// Operations started per second by all clients together; 0: as many as they can. A script
    /// has its own times.
    pub rate: u64,
    /// A client gives up an operation after this time.
    #[serde(with = "humantime_serde")]
    pub operation_timeout: Duration,
    /// So many clients, the first ones, stay with their node whatever it answers. The others move
    /// to the next node after an error.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub loyal: u64,
    /// Stretches of time with another pace, in order of time. They do not overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stretches: Vec<Stretch>,
}

/// A stretch of time in which clients start operations at another pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// When it begins, since the start of the load.
    #[serde(with = "humantime_serde")]
    pub at: Duration,
    /// How long it lasts.
    #[serde(rename = "for", with = "humantime_serde")]
    pub lasts: Duration,
    /// Operations started per second; 0: none, the load is idle.
    pub per_second: u64,
}

impl Stretch {
    /// Whether no operation starts in it.
    pub fn is_idle(&self) -> bool {
        self.per_second == 0
    }

    /// When it is over.
    pub fn end(&self) -> Duration {
        self.at.saturating_add(self.lasts)
    }

    /// Whether a moment lies in it.
    pub fn contains(&self, at: Duration) -> bool {
        (self.at..self.end()).contains(&at)
    }
}

impl Load {
    /// A load whose pace never changes and whose clients all move on after an error.
    pub fn steady(concurrency: u64, rate: u64, operation_timeout: Duration) -> Self {
        Self { concurrency, rate, operation_timeout, loyal: 0, stretches: Vec::new() }
    }

    /// For how long clients start fewer operations than [`Load::rate`] says, or none.
    pub(crate) fn slack(&self) -> Duration {
        let slow = |it: &&Stretch| it.is_idle() || it.per_second < self.rate;
        self.stretches.iter().filter(slow).map(|it| it.lasts).sum()
    }

    /// Checks that the load is possible in a test of this length.
    ///
    /// # Errors
    /// The first thing that is not possible, and what would be.
    pub(super) fn validate(&self, time: Duration) -> anyhow::Result<()> {
        ensure!(
            (1..=1000).contains(&self.concurrency),
            "a test has 1 to 1000 clients, not {}",
            self.concurrency
        );
        ensure!(
            self.operation_timeout >= Duration::from_millis(10),
            "clients wait for an operation at least 10ms, not {}",
            humantime::format_duration(self.operation_timeout)
        );
        ensure!(
            self.loyal <= self.concurrency,
            "{} clients cannot stay with their node: there are {}",
            self.loyal,
            self.concurrency
        );
        let mut before = Duration::ZERO;
        for stretch in &self.stretches {
            let (at, end) = (stretch.at, stretch.end());
            ensure!(
                before <= at && at < end && end <= time,
                "the stretch of load from {} to {} must be longer than nothing, follow the one \
                 before it, which ends at {}, and end within the test of {}",
                humantime::format_duration(at),
                humantime::format_duration(end),
                humantime::format_duration(before),
                humantime::format_duration(time)
            );
            before = end;
        }
        Ok(())
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn stretches_survive_their_file_and_a_steady_load_has_none() {
        let steady = Load::steady(3, 20, SECOND);
        let text = serde_json::to_string(&steady).unwrap();
        assert!(!text.contains("stretches") && !text.contains("loyal"), "{text}");
        assert_eq!(serde_json::from_str::<Load>(&text).unwrap(), steady);
        let stretches = vec![Stretch { at: SECOND, lasts: 2 * SECOND, per_second: 0 }];
        let load = Load { loyal: 2, stretches, ..steady };
        let text = serde_json::to_string(&load).unwrap();
        assert!(text.contains(r#"{"at":"1s","for":"2s","per_second":0}"#), "{text}");
        assert_eq!(serde_json::from_str::<Load>(&text).unwrap(), load);
        assert_eq!(load.slack(), 2 * SECOND);
        load.validate(3 * SECOND).unwrap();
    }

    #[test]
    fn the_impossible_is_refused_with_a_sentence() {
        let stretch = |at: u32, lasts: u32| Stretch {
            at: at * SECOND,
            lasts: lasts * SECOND,
            per_second: 100,
        };
        let refused = |stretches: &[Stretch], loyal| {
            let load = Load { loyal, stretches: stretches.to_vec(), ..Load::steady(2, 0, SECOND) };
            load.validate(10 * SECOND).unwrap_err().to_string()
        };
        assert!(refused(&[], 3).contains("3 clients cannot stay with their node: there are 2"));
        assert!(refused(&[stretch(1, 0)], 0).contains("longer than nothing"));
        assert!(refused(&[stretch(9, 2)], 0).contains("within the test of 10s"));
        let over = refused(&[stretch(1, 3), stretch(3, 1)], 0);
        assert!(over.contains("from 3s to 4s") && over.contains("ends at 4s"), "{over}");
    }
}
