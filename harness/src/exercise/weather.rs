//! What a simulated world by itself makes possible: an election that nobody caused, a request that
//! is lost. Of the machine that containers run on nothing of that is known.

use std::time::Duration;

use crate::{
    nemesis::{Fault, Injection},
    plan::{Clocks, ClusterKind, Disk, Limits, Network, Plan},
};

/// What is rarer than this does not happen in any campaign.
const NEVER: f64 = 1e-13;
/// What nodes and the simulator's own turns take at most.
const TURNS: Duration = Duration::from_millis(5);
/// Messages that a request takes at most on its way: to the leader, to a majority and back.
const MESSAGES: u32 = 6;
/// Requests that a node may lose in a calm for reasons that are not told apart here.
const REST: f64 = 0.005;
/// The same in containers.
const REST_OF_CONTAINERS: f64 = 0.02;
/// The same in a world in which leaders change by themselves, each time with what they had not
/// committed.
const REST_OF_UNSTABLE: f64 = 0.05;

/// Whether this world never lets a follower miss a leader that is well: even if as many heartbeats
/// in a row are lost as ever are, the next comes before the shortest election timeout of the
/// fastest clock is over.
pub(super) fn misses_no_leader(plan: &Plan) -> bool {
    if plan.cluster != ClusterKind::Sim {
        return false;
    }
    let Network { delay_min, delay_max, late, late_max, loss, .. } = plan.world.network;
    let Clocks { rate_error } = plan.world.clocks;
    let shortest = shortest_wait(plan);
    let beat = plan.timings.heartbeat_interval.div_f64(1.0 - rate_error);
    // A late message counts as lost, or else as one that takes so long.
    let worst = |lost: f64, delay: Duration| {
        let in_a_row = if lost > 0.0 { (NEVER.ln() / lost.ln()).ceil() } else { 0.0 };
        beat.mul_f64(in_a_row + 1.0) + delay.saturating_sub(delay_min) + TURNS
    };
    let latest = if late > 0.0 { late_max.max(delay_max) } else { delay_max };
    worst(loss, latest).min(worst(loss + late, delay_max)) < shortest
}

/// Whether a leader that no fault hits is heard of all the time. One whose clock was changed may
/// wait for its next heartbeat by that clock, long after the fault.
pub(super) fn always_beats(plan: &Plan) -> bool {
    let clock = |it: &Injection| matches!(it.fault, Fault::Clock { .. });
    misses_no_leader(plan) && !plan.faults.iter().any(clock)
}

/// The shortest time that a follower waits for its leader, by the fastest clock.
pub(super) fn shortest_wait(plan: &Plan) -> Duration {
    plan.timings.election_timeout.div_f64(1.0 + plan.world.clocks.rate_error)
}

/// The share of requests that a node which is well may leave unanswered in a calm.
pub(super) fn misses(plan: &Plan) -> Option<f64> {
    if plan.cluster != ClusterKind::Sim {
        // Each of its requests may be the one that is lost.
        return Some(REST_OF_CONTAINERS * f64::from(plan.workload.requests()));
    }
    let Network { late, late_max, loss, .. } = plan.world.network;
    // Later than its part of a client's patience, a message is as good as lost.
    let messages = MESSAGES * plan.workload.requests();
    let patience = plan.load.operation_timeout.div_f64(f64::from(messages));
    let too_late = match late_max.is_zero() {
        true => 0.0,
        false => late * (1.0 - patience.as_secs_f64() / late_max.as_secs_f64()).max(0.0),
    };
    let arrives = (1.0 - (loss + too_late).min(1.0)).powf(f64::from(messages));
    let rest = if misses_no_leader(plan) { REST } else { REST_OF_UNSTABLE };
    let share = 1.0 - arrives + rest;
    // A few digits are read back from `run.json` as they were written.
    (share < 0.5).then_some((share * 1e6).round() / 1e6)
}

/// The time within which a node that is well answers in a calm, but for [`misses`]; it refuses
/// nothing then for which no limit of its own is a reason.
pub(super) fn prompt(plan: &Plan) -> Option<Duration> {
    // Few entries at a time wait for each other.
    let usual = Limits::default();
    let Limits { append_bytes, append_window, uncommitted_bytes, .. } = plan.world.limits;
    let paced = append_bytes < usual.append_bytes
        || append_window < usual.append_window
        // A leader takes no more meanwhile, which a follower's client learns as "no leader".
        || uncommitted_bytes < usual.uncommitted_bytes;
    (misses_no_leader(plan) && !paced && is_quick(plan)).then(|| patience(plan))
}

/// The shorter of how long clients and how long nodes wait for a request.
fn patience(plan: &Plan) -> Duration {
    plan.load.operation_timeout.min(plan.world.limits.request_timeout)
}

/// Whether disks are so quick that nobody gives up a request for their sake.
pub(super) fn is_quick(plan: &Plan) -> bool {
    let Disk { sync_max, slow, slow_max, .. } = plan.world.disk;
    // A write waits for the sync of the one before, and then for its own, on two nodes.
    let slowest = if slow > 0.0 { slow_max.max(sync_max) } else { sync_max };
    slowest * 4 * plan.workload.requests() < patience(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::swarm;

    fn plan(network: Network, election: u64, heartbeat: u64) -> Plan {
        let mut plan = swarm::plan(&swarm::Given::default(), 1).unwrap();
        plan.world.network = network;
        plan.world.clocks.rate_error = 0.0;
        plan.timings.election_timeout = Duration::from_millis(election);
        plan.timings.heartbeat_interval = Duration::from_millis(heartbeat);
        plan
    }

    #[test]
    fn a_good_network_misses_no_leader_and_a_bad_one_may() {
        let usual = Network::default();
        let lossless = Network { loss: 0.0, ..usual };
        assert!(misses_no_leader(&plan(lossless, 100, 33)));
        // Two heartbeats in a row are lost in one of a million cases.
        assert!(!misses_no_leader(&plan(usual, 100, 33)));
        assert!(misses_no_leader(&plan(usual, 500, 50)));
        assert!(!misses_no_leader(&plan(Network { loss: 0.08, ..usual }, 500, 50)));
        let late = Network { late: 0.05, late_max: Duration::from_secs(1), ..lossless };
        assert!(!misses_no_leader(&plan(late, 500, 166)));
        let mut fast = plan(lossless, 100, 80);
        assert!(!misses_no_leader(&fast), "a late heartbeat comes 30 ms later");
        fast.world.network = Network { late: 0.0, ..lossless };
        assert!(misses_no_leader(&fast));
        fast.world.clocks.rate_error = 0.1;
        assert!(!misses_no_leader(&fast));
    }

    #[test]
    fn what_may_be_lost_grows_with_the_network() {
        let share = |network| misses(&plan(network, 500, 50)).unwrap();
        let usual = Network::default();
        assert!(share(Network { loss: 0.0, ..usual }) < 0.01);
        assert!((0.01..0.02).contains(&share(usual)));
        assert!(share(Network { loss: 0.08, ..usual }) > 0.3);
    }
}
