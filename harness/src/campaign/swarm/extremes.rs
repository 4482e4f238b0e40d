//! What a campaign must reach now and then: limits, idle stretches, a load that swells around
//! faults, clients that stay with a node, bursts of faults, runs of minutes.
//!
//! Each is drawn by itself and rarely, so that most seeds have none or one.

use std::time::Duration;

use rand::{Rng, RngExt};

use super::{Given, milliseconds, one_of};
use crate::{
    nemesis::Injection,
    plan::{ClusterKind, Limits, Load, Past, Plan, RARE_MAX, Stretch},
    workload::Workload,
};

/// Mostly the time that was drawn; once in a while, minutes.
pub(super) fn time(usual: Duration, rng: &mut impl Rng) -> Duration {
    let minutes = Duration::from_secs(rng.random_range(120..=300));
    if rng.random_ratio(1, 100) { minutes } else { usual }
}

/// Once in a while nodes have a long life behind them. A log of 70,000 entries takes a while to
/// read at each start, so it comes more rarely, and in clusters of the usual sizes.
pub(super) fn past(nodes: u64, rng: &mut impl Rng) -> Past {
    match rng.random_range(0..200) {
        0 if nodes == 3 || nodes == 5 => Past::Long,
        1..6 => Past::Eventful,
        _ => Past::None,
    }
}

/// The time between faults. Nodes with a long log are not restarted all the time.
pub(super) fn interval(drawn: Duration, past: Past) -> Duration {
    if past == Past::Long { drawn.max(Duration::from_secs(4)) } else { drawn }
}

/// What a node takes in and sends at most. A calm cluster stays below the small ones.
pub(super) fn limits(election: Duration, rng: &mut impl Rng) -> Limits {
    let usual = Limits::default();
    let (append_bytes, append_window) = match rng.random_range(0..10) {
        0..5 => (usual.append_bytes, usual.append_window),
        // An entry at a time, and one after the other, would take too long to catch up.
        5..7 => (1, 64),
        _ => (one_of(rng, &[100, 300]), one_of(rng, &[2, 8])),
    };
    let requests = one_of(rng, &[2, 3, 5, 8]);
    let uncommitted_bytes = one_of(rng, &[100, 200, 400, 1000]);
    let request_timeout = milliseconds(election * one_of(rng, &[2, 3, 4])).clamp(SOON, RARE_MAX);
    Limits {
        append_bytes,
        append_window,
        requests: if rng.random_ratio(1, 4) { requests } else { usual.requests },
        uncommitted_bytes: match rng.random_ratio(1, 4) {
            true => uncommitted_bytes,
            false => usual.uncommitted_bytes,
        },
        request_timeout: match rng.random_ratio(1, 4) {
            true => request_timeout,
            false => usual.request_timeout,
        },
        ..usual
    }
}

/// A healthy node answers sooner, whatever the weather.
const SOON: Duration = Duration::from_millis(300);

/// How the load departs from a steady one.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadShape {
    pace: Pace,
    /// The share of clients that stay with their node.
    loyal: f64,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    Steady,
    /// Nothing is asked for a while, a few times: what only traffic keeps alive stands still.
    Idle(u32),
    /// Around faults clients ask so much more per second.
    Swelling(u64),
}

impl LoadShape {
    /// What is given of the load's rate stays.
    pub(super) fn draw(given: &Given, rng: &mut impl Rng) -> Self {
        let pace = match rng.random_range(0..16) {
            0..2 => Pace::Idle(one_of(rng, &[1, 1, 2, 3])),
            2..4 => Pace::Swelling(one_of(rng, &[100, 200, 400])),
            _ => Pace::Steady,
        };
        let loyal = one_of(rng, &[0.0, 0.0, 0.0, 0.0, 0.5, 1.0]);
        Self { pace: if given.rate.is_some() { Pace::Steady } else { pace }, loyal }
    }

    /// Whether the load swells around faults.
    pub(super) fn swells(self) -> bool {
        matches!(self.pace, Pace::Swelling(_))
    }

    /// Shapes a plan's load, whose faults are known.
    pub(super) fn apply(self, plan: &mut Plan, rng: &mut impl Rng) {
        let (time, election) = (plan.time, plan.timings.election_timeout);
        let stretches = match self.pace {
            Pace::Steady => Vec::new(),
            Pace::Idle(times) => idle(times, time, election, rng),
            Pace::Swelling(per_second) => around(&plan.faults, time, election, per_second, rng),
        };
        let loyal = (plan.load.concurrency as f64 * self.loyal).ceil() as u64;
        plan.load = Load { loyal, stretches, ..plan.load.clone() };
    }
}

/// So many clients, more than a node answers at once,
const CROWD: u64 = 300;
/// begin so many operations per second around faults; of each node where whole servers run, in
/// clusters of at most so many nodes.
const CROWD_PER_SECOND: u64 = 1000;
const CROWDED_SERVERS_MAX: u64 = 3;
/// They wait at least so long for the cluster to come back.
const CROWD_PATIENCE: Duration = Duration::from_secs(1);
/// One seed of so many has a crowd, and more of those with servers.
const CROWDED: u32 = 25;
const CROWDED_WITH_SERVERS: u32 = 4;

/// Once in a while there is a crowd of clients: what they ask waits together while a fault lasts,
/// and is answered together after it.
pub(super) fn crowd(given: &Given, plan: &mut Plan, rng: &mut impl Rng) {
    let (one_in, crowds) = match plan.cluster {
        ClusterKind::InProcess if plan.nodes <= CROWDED_SERVERS_MAX => {
            (CROWDED_WITH_SERVERS, plan.nodes)
        }
        ClusterKind::InProcess | ClusterKind::Sim | ClusterKind::Docker => (CROWDED, 1),
    };
    // Of a crowd's writes many are lost together: only keys by themselves can be judged then, and
    // only where each value says which write it is of.
    let apart = matches!(&plan.workload, Workload::Register(it) if it.values.is_none());
    let drawn = rng.random_ratio(1, one_in) && plan.world.past == Past::None && apart;
    if !drawn || given.concurrency.is_some() {
        return;
    }
    let (time, election) = (plan.time, plan.timings.election_timeout);
    plan.load = Load {
        concurrency: crowds * CROWD,
        loyal: plan.load.loyal.min(1) * crowds * CROWD,
        stretches: match given.rate {
            Some(_) => Vec::new(),
            None => around(&plan.faults, time, election, crowds * CROWD_PER_SECOND, rng),
        },
        operation_timeout: match given.operation_timeout {
            Some(given) => given,
            None => plan.load.operation_timeout.max(CROWD_PATIENCE),
        },
        ..plan.load
    };
}

/// Stretches without load, each in its part of the run, and most of that part long.
fn idle(times: u32, time: Duration, election: Duration, rng: &mut impl Rng) -> Vec<Stretch> {
    let part = time / times;
    let least = (election * 3).min(part / 2);
    let stretch = |number: u32, rng: &mut _| {
        let lasts = random_between(least, part * 3 / 4, rng);
        let at = part * number + random_between(Duration::ZERO, part - lasts, rng);
        Stretch { at: milliseconds(at), lasts: milliseconds(lasts), per_second: 0 }
    };
    (0..times).map(|number| stretch(number, rng)).collect()
}

/// At most so many faults of a run are surrounded.
const SURROUNDED_MAX: usize = 6;

/// Stretches of more load from shortly before some faults until shortly after they began, or until
/// shortly after they were healed.
fn around(
    faults: &[Injection],
    time: Duration,
    election: Duration,
    per_second: u64,
    rng: &mut impl Rng,
) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let step = (faults.len() / SURROUNDED_MAX).max(1);
    for fault in faults.iter().step_by(step) {
        let moment = if rng.random_bool(0.5) { fault.at } else { fault.at + fault.lasts };
        let before = stretches.last().map_or(Duration::ZERO, Stretch::end);
        let at = milliseconds(moment.saturating_sub(election / 4)).max(before);
        let end = milliseconds(moment + election * 2).min(time);
        if at < end {
            stretches.push(Stretch { at, lasts: end - at, per_second });
        }
    }
    stretches
}

fn random_between(least: Duration, most: Duration, rng: &mut impl Rng) -> Duration {
    least + most.saturating_sub(least).mul_f64(rng.random_range(0.0..1.0))
}

/// How faults come in quick succession.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    /// So many at once; 1: each by itself.
    together: usize,
    /// Between two of them.
    gap: Duration,
}

impl Burst {
    pub(super) fn draw(election: Duration, rng: &mut impl Rng) -> Self {
        let together = one_of(rng, &[1, 1, 1, 1, 1, 1, 1, 2, 3, 5]);
        let gap = milliseconds(election.mul_f64(one_of(rng, &[0.05, 0.2, 0.5, 1.0])));
        Self { together, gap }
    }

    /// Moves the faults of each group to its first one. The time after them is calm.
    pub(super) fn gather(self, faults: &mut [Injection]) {
        for group in faults.chunks_mut(self.together.max(1)) {
            let Some(first) = group.first().map(|fault| fault.at) else { continue };
            for (number, fault) in (0..).zip(group) {
                fault.at = fault.at.min(first + self.gap * number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::campaign::swarm::plan;

    /// A name, and whether a plan has it.
    type Extreme = (&'static str, &'static dyn Fn(&Plan) -> bool);

    fn plans(seeds: std::ops::Range<u64>) -> Vec<Plan> {
        seeds.map(|seed| plan(&Given::default(), seed).unwrap()).collect()
    }

    #[test]
    fn every_size_and_every_extreme_comes_within_a_few_hundred_seeds() {
        let extremes: [Extreme; 12] = [
            ("few requests", &|plan| plan.world.limits.requests < Limits::default().requests),
            ("few bytes", &|plan| {
                plan.world.limits.uncommitted_bytes < Limits::default().uncommitted_bytes
            }),
            ("a window of two", &|plan| plan.world.limits.append_window == 2),
            ("a patient client", &|plan| {
                plan.load.operation_timeout > plan.world.limits.request_timeout
            }),
            ("an impatient client", &|plan| {
                plan.load.operation_timeout < plan.world.limits.request_timeout
            }),
            ("an idle stretch", &|plan| plan.load.stretches.iter().any(Stretch::is_idle)),
            ("a load that swells", &|plan| {
                plan.load.stretches.iter().any(|it| it.per_second > plan.load.rate)
            }),
            ("loyal clients", &|plan| plan.load.loyal > 0),
            ("a burst", &|plan| {
                let soon = plan.interval / 4;
                plan.faults.windows(2).any(|two| two[1].at < two[0].at + soon)
            }),
            ("an eventful past", &|plan| plan.world.past == Past::Eventful),
            ("a long run", &|plan| plan.time >= Duration::from_secs(120)),
            ("a long log", &|plan| plan.world.past == Past::Long),
        ];
        for from in (0..2000).step_by(200) {
            let plans = plans(from..from + 200);
            let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
            for plan in &plans {
                *sizes.entry(plan.nodes).or_default() += 1;
            }
            assert_eq!(sizes.len(), 9, "seeds from {from}: {sizes:?}");
            for (what, is_there) in &extremes[..9] {
                let count = plans.iter().filter(|plan| is_there(plan)).count();
                assert!(count >= 4, "seeds from {from}: {what} in {count}");
            }
        }
        let plans = plans(0..2000);
        for (what, is_there) in &extremes[9..] {
            let count = plans.iter().filter(|plan| is_there(plan)).count();
            assert!((3..100).contains(&count), "{what} in {count} of 2000");
        }
    }

    #[test]
    fn a_burst_keeps_the_order_of_faults() {
        for plan in plans(0..300) {
            assert!(plan.faults.is_sorted_by_key(|fault| fault.at));
        }
    }
}
