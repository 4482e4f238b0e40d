//! What a run must reach, in containers and in simulation alike.

use std::time::Duration;

use checker::evidence::Expect;

use super::weather;
use crate::{
    nemesis::{Fault, Injection},
    plan::{ClusterKind, Disk, Limits, Network, Past, Plan},
};

/// Without faults a cluster must do within this time what needs a leader,
const PATIENCE: Duration = Duration::from_secs(10);
/// or where that is longer, within so many election timeouts: at least six elections in a row.
const PATIENCE_TIMEOUTS: u32 = 12;
/// Without faults a node in a container serves within this time,
const SERVICE: Duration = Duration::from_secs(5);
/// or where that is longer, within so many election timeouts.
const SERVICE_TIMEOUTS: u32 = 10;
/// Under a leader a node serves within so many election timeouts, and twice a client's patience.
const SETTLES_TIMEOUTS: u32 = 4;
/// So much longer the harness waits for nodes to serve again, to be able to say how long it took.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// A leader that is gone for this long is replaced,
const DEPOSING: Duration = Duration::from_secs(3);
/// or where that is longer, for so many election timeouts: each is drawn between it and its double.
const DEPOSING_TIMEOUTS: u32 = 6;

/// Every node must serve within this time after the last heal, and must have applied everything
/// within this time after the last operation. In this time all keys must be read at the end; no key
/// is given up sooner. Later, each node is asked twice for each key that is left.
pub(crate) fn patience(plan: &Plan) -> Duration {
    PATIENCE.max(plan.timings.election_timeout * PATIENCE_TIMEOUTS)
}

/// How long the harness waits for nodes to answer and to catch up at the end: also longer than
/// [`service`], so that a node that does not is convicted.
pub(crate) fn waits(plan: &Plan) -> Duration {
    patience(plan).max(service(plan).mul_f64(1.1))
}

/// A node that is linked to a majority must answer, and apply what others applied, within this
/// time, whenever no fault hits any of them.
///
/// Measured on the correct node: in 1,200 drawn plans none took longer than 0.4 of this time.
pub(crate) fn service(plan: &Plan) -> Duration {
    if let Some(promised) = plan.system.description().bounds.service {
        return promised;
    }
    let (election, patience) = (plan.timings.election_timeout, plan.load.operation_timeout);
    // Requests that clients gave up occupy a node's few places until the node gives them up.
    let Limits { requests, request_timeout, .. } = plan.world.limits;
    let few = requests < Limits::default().requests;
    let occupied = if few { request_timeout } else { Duration::ZERO };
    let bound = match plan.cluster {
        // Connections must be made again, and lost packets be sent again.
        ClusterKind::Docker | ClusterKind::InProcess => {
            SERVICE.max(election * SERVICE_TIMEOUTS) + 2 * patience
        }
        ClusterKind::Sim if weather::misses_no_leader(plan) => {
            election * SERVICE_TIMEOUTS + 2 * patience
        }
        // Elections may have to be held again, and requests be asked again.
        ClusterKind::Sim => election * (5 * SERVICE_TIMEOUTS / 2) + 4 * patience,
    };
    bound + occupied
}

/// How soon a node serves under a leader that is there, where it need not catch up with much for
/// that, and nothing of before the calm hinders it.
fn settles(plan: &Plan) -> Option<Duration> {
    let usual = Limits::default();
    let Limits { append_bytes, append_window, requests, uncommitted_bytes, .. } = plan.world.limits;
    let paced = append_bytes < usual.append_bytes
        || append_window < usual.append_window
        || requests < usual.requests
        || uncommitted_bytes < usual.uncommitted_bytes;
    let clock = |it: &Injection| matches!(it.fault, Fault::Clock { .. });
    let simple = plan.world.past == Past::None && !plan.faults.iter().any(clock);
    let soon = plan.timings.election_timeout * SETTLES_TIMEOUTS + 2 * plan.load.operation_timeout;
    let is_quick = weather::is_quick(plan);
    (plan.cluster == ClusterKind::Sim && simple && is_quick && !paced).then_some(soon)
}

/// For how long nothing is asked after the last heal: a little longer than nodes have to catch up
/// by themselves.
pub(crate) fn rest(plan: &Plan) -> Duration {
    if plan.quiet.is_zero() { Duration::ZERO } else { service(plan).mul_f64(1.1) }
}

/// What the checker expects of a run of this plan.
pub(crate) fn expect(plan: &Plan) -> Expect {
    // Far below what a healthy cluster does, and more than one that only pretends to.
    let operations = match plan.workload.script() {
        None => {
            let asked = if plan.load.rate == 0 { u64::MAX } else { plan.load.rate };
            let (served, possible) = match plan.cluster {
                ClusterKind::Docker => {
                    (plan.time.saturating_sub(plan.load.slack()).as_secs(), u64::MAX)
                }
                // Simulated faults may come so thick that nothing is served while they last.
                ClusterKind::Sim | ClusterKind::InProcess => {
                    let calm = calm(plan);
                    (calm.as_secs(), performed(plan, calm))
                }
            };
            served.saturating_mul(asked).min(possible).div_euclid(4).min(5 * served)
        }
        // Few, and begun under faults: what matters is that any succeeded.
        Some(_) => 1,
    };
    Expect {
        recovery: patience(plan) + rest(plan),
        service: service(plan),
        stable: weather::misses_no_leader(plan).then(|| service(plan)),
        misses: weather::misses(plan),
        prompt: weather::prompt(plan),
        settles: settles(plan),
        election: weather::always_beats(plan).then(|| weather::shortest_wait(plan)),
        sound: plan.system.tells_outcome(),
        operations,
        faults: plan.faults.len(),
        deposing: DEPOSING.max(plan.timings.election_timeout * DEPOSING_TIMEOUTS),
    }
}

/// How many operations clients perform in a time, each one after the other, in this weather. Where
/// clients keep each other from succeeding, one at a time succeeds.
fn performed(plan: &Plan, time: Duration) -> u64 {
    let Network { delay_min, delay_max, late, late_max, .. } = plan.world.network;
    let mean = |least: Duration, most: Duration| (least + most).as_secs_f64() / 2.0;
    let message = mean(delay_min, delay_max) * (1.0 - late) + mean(delay_min, late_max) * late;
    let Disk { sync_min, sync_max, slow, slow_max, .. } = plan.world.disk;
    let sync = mean(sync_min, sync_max) * (1.0 - slow) + mean(sync_min, slow_max) * slow;
    // There and back from client to node, from node to leader, from leader to followers; and a
    // sync on both of these.
    let request = 6.0 * message + 2.0 * sync;
    // Where several requests are possible, most operations take two.
    let operation = request * f64::from(plan.workload.requests().min(2));
    let clients = if plan.workload.contended() { 1 } else { plan.load.concurrency };
    // The conversion saturates.
    (clients as f64 * time.as_secs_f64() / operation) as u64
}

/// How much of a run's time clients keep their pace, and no fault holds, nor has held so shortly
/// before that clients may still wait for what it kept from them.
fn calm(plan: &Plan) -> Duration {
    let after = 2 * plan.load.operation_timeout + 8 * plan.timings.election_timeout;
    let mut calm = Duration::ZERO;
    let mut from = Duration::ZERO;
    // In order of time.
    for fault in &plan.faults {
        calm += fault.at.saturating_sub(from);
        from = from.max(fault.at + fault.lasts + after);
    }
    let calm = calm + plan.time.saturating_sub(from);
    calm.saturating_sub(plan.load.slack()).saturating_sub(plan.quiet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{Load, Options, Storage, Timings, World},
        system::System,
        workload::{Workload, register},
    };

    #[test]
    fn little_is_expected_of_a_low_rate() {
        let plan = |rate| {
            Plan::generate(Options {
                system: System::raft_node(),
                cluster: ClusterKind::Docker,
                storage: Storage::Durable,
                world: World::default(),
                nodes: 3,
                seed: 1,
                time: Duration::from_secs(60),
                interval: None,
                menu: "kill".parse().unwrap(),
                workload: Workload::Register(register::Options::new(1)),
                load: Load::steady(1, rate, Duration::from_secs(1)),
                timings: Timings {
                    election_timeout: Duration::from_millis(500),
                    heartbeat_interval: Duration::from_millis(100),
                },
            })
            .unwrap()
        };
        for (rate, operations) in [(0, 300), (1, 15), (5, 75), (20, 300), (5000, 300)] {
            assert_eq!(expect(&plan(rate)).operations, operations, "{rate}");
        }
        let plan = plan(0);
        assert_eq!(expect(&plan).faults, plan.faults.len());
    }
}
