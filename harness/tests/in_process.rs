//! Whole servers in one process: they survive every fault that exists there, a run is the same
//! every time, and a broken promise is found.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::{sync::atomic::AtomicBool, time::Duration};

use checker::{
    budget::Limits,
    history::Kind,
    judge,
    verdict::{Outcome, Verdict},
};
use harness::{
    cluster::{sim::Simulation, simulate, simulate_inert},
    plan::{self, ClusterKind, Load, Plan, Storage, Timings, World},
    system::System,
    workload::{Workload, register},
};

/// A plan that debug builds run in no time.
fn plan(seed: u64, faults: &str) -> Plan {
    Plan::generate(plan::Options {
        system: System::raft_node(),
        cluster: ClusterKind::InProcess,
        nodes: 3,
        seed,
        time: Duration::from_secs(8),
        interval: Some(Duration::from_secs(2)),
        menu: faults.parse().unwrap(),
        workload: Workload::Register(register::Options::new(3)),
        load: Load::steady(4, 20, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(400),
            heartbeat_interval: Duration::from_millis(80),
        },
        storage: Storage::Durable,
        world: World::default(),
    })
    .unwrap()
}

fn run(plan: &Plan) -> (Simulation, Verdict) {
    let simulation = simulate(plan, &AtomicBool::new(false));
    let verdict = judge::run(&simulation.evidence, &Limits::default());
    (simulation, verdict)
}

#[test]
fn servers_survive_every_fault_that_exists_here() {
    for (seed, faults) in
        (1..).zip(["kill,restart", "pause,kill", "partition", "network:slow,network:reset"])
    {
        let (simulation, verdict) = run(&plan(seed, faults));
        assert_eq!(verdict.outcome, Outcome::Ok, "{faults}: {verdict:#?}");
        let events = simulation.evidence.history.registers();
        let served = events.iter().filter(|event| event.kind == Kind::Ok).count();
        assert!(served > 50, "{faults}: {served}");
    }
}

#[test]
fn faults_that_are_not_carried_out_are_not_taken_for_proved() {
    let simulation = simulate_inert(&plan(6, "partition"), &AtomicBool::new(false));
    let verdict = judge::run(&simulation.evidence, &Limits::default());
    assert_eq!(verdict.outcome, Outcome::Unknown, "{verdict:#?}");
}

#[test]
fn nodes_that_forget_are_found_out() {
    let forgetful = |seed| Plan { storage: Storage::Memory, ..plan(seed, "kill:majority") };
    let found = (1..=3).any(|seed| run(&forgetful(seed)).1.outcome == Outcome::Violated);
    assert!(found);
}
