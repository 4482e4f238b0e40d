//! What nodes live on: the network, the disks, the clocks, their past, and their limits. Containers
//! have all but the limits from the machine, and ignore that part of a plan.
//!
//! This is the weather, there all the time; what a fault adds comes and goes with it.

use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// What nodes live on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// The links between nodes, and between clients and nodes.
    pub network: Network,
    /// The nodes' disks.
    pub disk: Disk,
    /// The nodes' clocks.
    pub clocks: Clocks,
    /// What a node takes in and sends at most.
    pub limits: Limits,
    /// What the nodes have behind them.
    pub past: Past,
}

/// What nodes have behind them when a run begins. It was lived once, by the same nodes in the same
/// simulation, and its traces are the beginning of the run's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Past {
    /// Nothing: their disks are empty.
    #[default]
    None,
    /// More than 255 starts and terms and 99 segments of the log. Every third start ended in a
    /// crash.
    Eventful,
    /// A log of 70,000 entries.
    Long,
}

/// How a network behaves where no fault acts on it. Each message has a delay of its own, so
/// messages overtake each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Shortest delay of a message.
    #[serde(with = "humantime_serde")]
    pub delay_min: Duration,
    /// Longest delay of most messages; each is drawn evenly from between the two.
    #[serde(with = "humantime_serde")]
    pub delay_max: Duration,
    /// Share of messages that are late, 0 to 1.
    pub late: f64,
    /// Longest delay of a late message. It may exceed an election timeout.
    #[serde(with = "humantime_serde")]
    pub late_max: Duration,
    /// Share of messages between nodes that are lost, 0 to 1.
    pub loss: f64,
    /// Share of messages between nodes that arrive twice, 0 to 1.
    pub duplication: f64,
}

impl Default for Network {
    /// A rack's network on a day that is not its best.
    fn default() -> Self {
        Self {
            delay_min: Duration::from_micros(50),
            delay_max: Duration::from_millis(1),
            late: 0.01,
            late_max: Duration::from_millis(30),
            loss: 0.001,
            duplication: 0.001,
        }
    }
}

/// How a disk behaves where no fault acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    /// Shortest time that a sync takes.
    #[serde(with = "humantime_serde")]
    pub sync_min: Duration,
    /// Longest time that most syncs take; each is drawn evenly from between the two.
    #[serde(with = "humantime_serde")]
    pub sync_max: Duration,
    /// Share of syncs that are slow, 0 to 1.
    pub slow: f64,
    /// Longest time that a slow sync takes.
    #[serde(with = "humantime_serde")]
    pub slow_max: Duration,
    /// Bytes of a full-grown segment of the write-ahead log, from 1024; the first has a quarter of
    /// it. Small ones are filled soon.
    pub segment_bytes: u32,
    /// Whether disks keep their word.
    pub honesty: Honesty,
}

impl Default for Disk {
    /// A server's solid-state disk.
    fn default() -> Self {
        Self {
            sync_min: Duration::from_micros(200),
            sync_max: Duration::from_millis(2),
            slow: 0.01,
            slow_max: Duration::from_millis(40),
            // A run of a minute fills some.
            segment_bytes: 64 << 10,
            honesty: Honesty::Honest,
        }
    }
}

/// Whether a disk keeps its word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Honesty {
    /// What was synced survives every crash.
    #[default]
    Honest,
    /// It says that records are synced and does nothing, as some real disks do. Raft's promises
    /// then break, and a check must find that: a test of the test.
    LiesAboutSync,
}

/// How well clocks go where no fault acts on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clocks {
    /// The largest error of a clock's rate, 0 to 0.5: with 0.01 a clock goes between 1 % too slow
    /// and 1 % too fast. Each node draws its own.
    pub rate_error: f64,
}

/// Limits on what a node takes in and sends. Small ones are reached soon, and make a log grow an
/// entry at a time, which some bugs need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of entries in one append message, from 1; at least one entry is always sent.
    pub append_bytes: usize,
    /// Append messages in flight to one peer, from 1.
    pub append_window: usize,
    /// Bytes of a client's request, from 1.
    pub request_bytes: usize,
    /// Client requests in flight on a node, from 1; more are refused.
    pub requests: usize,
    /// Bytes of entries that a leader keeps uncommitted, from 1; more proposals are refused, but
    /// one is always taken.
    pub uncommitted_bytes: usize,
    /// A node answers a request after this time at the latest, from 10ms.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
}

impl Default for Limits {
    /// What the server uses.
    fn default() -> Self {
        let server = node::replica::Limits::default();
        Self {
            append_bytes: server.append_bytes,
            append_window: server.append_window,
            request_bytes: server.request_bytes,
            requests: server.requests,
            uncommitted_bytes: server.uncommitted_bytes,
            request_timeout: server.request_timeout,
        }
    }
}

impl From<Limits> for node::replica::Limits {
    fn from(limits: Limits) -> Self {
        let Limits {
            append_bytes,
            append_window,
            request_bytes,
            requests,
            uncommitted_bytes,
            request_timeout,
        } = limits;
        Self {
            append_bytes,
            append_window,
            request_bytes,
            requests,
            uncommitted_bytes,
            request_timeout,
            ..Self::default()
        }
    }
}

/// No delay and no sync of the usual kind is longer, or a run would not get anywhere.
pub(crate) const USUAL_MAX: Duration = Duration::from_secs(1);
/// Nor is a late message or a slow sync, and no node takes longer to answer.
pub(crate) const RARE_MAX: Duration = Duration::from_secs(60);
/// No node has less time to answer.
const REQUEST_TIMEOUT_MIN: Duration = Duration::from_millis(10);

impl World {
    /// Checks that there can be such a world.
    ///
    /// # Errors
    /// The first thing that cannot be, and what could.
    pub fn validate(&self) -> anyhow::Result<()> {
        let Self { network, disk, clocks, limits, past: _ } = self;
        range("a message's delay", network.delay_min, network.delay_max, USUAL_MAX)?;
        range("a late message's delay", network.delay_min, network.late_max, RARE_MAX)?;
        share("late messages", network.late)?;
        share("lost messages", network.loss)?;
        share("doubled messages", network.duplication)?;
        range("a sync's time", disk.sync_min, disk.sync_max, USUAL_MAX)?;
        range("a slow sync's time", disk.sync_min, disk.slow_max, RARE_MAX)?;
        share("slow syncs", disk.slow)?;
        ensure!(
            disk.segment_bytes >= 1024,
            "a segment has at least 1024 bytes, not {}",
            disk.segment_bytes
        );
        ensure!(
            (0.0..=0.5).contains(&clocks.rate_error),
            "the error of the clocks' rate is 0 to 0.5, not {}",
            clocks.rate_error
        );
        ensure!(
            limits.append_bytes >= 1 && limits.append_window >= 1,
            "append_bytes and append_window are at least 1: a leader must send something"
        );
        ensure!(
            limits.request_bytes >= 1 && limits.requests >= 1 && limits.uncommitted_bytes >= 1,
            "request_bytes, requests and uncommitted_bytes are at least 1: a node must take \
             something"
        );
        ensure!(
            (REQUEST_TIMEOUT_MIN..=RARE_MAX).contains(&limits.request_timeout),
            "a node answers within {} to {}, not {}",
            humantime::format_duration(REQUEST_TIMEOUT_MIN),
            humantime::format_duration(RARE_MAX),
            humantime::format_duration(limits.request_timeout)
        );
        Ok(())
    }
}

fn range(what: &str, least: Duration, most: Duration, limit: Duration) -> anyhow::Result<()> {
    let time = humantime::format_duration;
    ensure!(
        least <= most && most <= limit,
        "{what} goes from the shorter to the longer and is at most {}, not {} to {}",
        time(limit),
        time(least),
        time(most)
    );
    Ok(())
}

fn share(what: &str, share: f64) -> anyhow::Result<()> {
    ensure!((0.0..=1.0).contains(&share), "the share of {what} is 0 to 1, not {share}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_what_is_left_out_is_as_usual() {
        let world = World {
            network: Network { late_max: Duration::from_micros(1_250_500), ..Network::default() },
            disk: Disk { honesty: Honesty::LiesAboutSync, ..Disk::default() },
            clocks: Clocks { rate_error: 0.012_5 },
            limits: Limits { append_bytes: 1, requests: 2, ..Limits::default() },
            past: Past::Long,
        };
        let text = serde_json::to_string_pretty(&world).unwrap();
        assert!(text.contains("\"late_max\": \"1s 250ms 500us\""), "{text}");
        assert_eq!(serde_json::from_str::<World>(&text).unwrap(), world);
        assert_eq!(serde_json::from_str::<World>("{}").unwrap(), World::default());
        let part: World = serde_json::from_str(r#"{"network": {"loss": 0.5}}"#).unwrap();
        assert_eq!(part.network, Network { loss: 0.5, ..Network::default() });
        assert!(serde_json::from_str::<World>(r#"{"sky": "blue"}"#).is_err());
    }

    #[test]
    fn the_impossible_is_refused_with_a_sentence() {
        World::default().validate().unwrap();
        let refused = |change: &dyn Fn(&mut World)| {
            let mut world = World::default();
            change(&mut world);
            world.validate().unwrap_err().to_string()
        };
        for (error, says) in [
            (refused(&|world| world.network.loss = 1.5), "lost messages is 0 to 1, not 1.5"),
            (refused(&|world| world.network.late = f64::NAN), "late messages is 0 to 1"),
            (refused(&|world| world.network.duplication = -0.1), "doubled messages"),
            (refused(&|world| world.network.delay_min = Duration::from_secs(1)), "1s to 1ms"),
            (refused(&|world| world.network.late_max = Duration::from_secs(61)), "at most 1m"),
            (refused(&|world| world.disk.sync_max = Duration::ZERO), "a sync's time"),
            (refused(&|world| world.disk.slow = 2.0), "slow syncs"),
            (refused(&|world| world.disk.slow_max = Duration::ZERO), "a slow sync's time"),
            (refused(&|world| world.disk.segment_bytes = 100), "at least 1024 bytes"),
            (refused(&|world| world.clocks.rate_error = 0.6), "0 to 0.5, not 0.6"),
            (refused(&|world| world.limits.append_bytes = 0), "must send something"),
            (refused(&|world| world.limits.append_window = 0), "must send something"),
            (refused(&|world| world.limits.requests = 0), "must take something"),
            (refused(&|world| world.limits.uncommitted_bytes = 0), "must take something"),
            (refused(&|world| world.limits.request_timeout = Duration::ZERO), "not 0s"),
        ] {
            assert!(error.contains(says), "{error}");
        }
    }
}
