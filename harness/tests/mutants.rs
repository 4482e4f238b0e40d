//! Known bugs, put back into the node: ordinary plans find them, and what is no bug is not reported.
//! Compiled with the feature `mutants` alone.

#![cfg(feature = "mutants")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::{fs, process::Command, sync::atomic::AtomicBool, time::Duration};

use checker::{
    budget::Limits,
    judge,
    verdict::{Outcome, Verdict},
};
use harness::{
    cluster::sim::simulate,
    plan::{self, ClusterKind, Load, Plan, Storage, Timings, World},
    run::simulation::{compare, keep},
    system::System,
    workload::{Workload, register},
};
use node::mutants::Mutant;

fn plan(seed: u64, mutant: Option<Mutant>) -> Plan {
    let options = plan::Options {
        system: System::RaftNode,
        cluster: ClusterKind::Sim,
        nodes: 5,
        seed,
        time: Duration::from_secs(10),
        interval: Some(Duration::from_millis(1500)),
        menu: "kill,pause,partition".parse().unwrap(),
        workload: Workload::Register(register::Options { keys: 5, values: None }),
        load: Load { concurrency: 5, rate: 20, operation_timeout: Duration::from_secs(1) },
        timings: Timings {
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(60),
        },
        storage: Storage::Durable,
        world: World::default(),
    };
    Plan { mutant, ..Plan::generate(options).unwrap() }
}

fn judge(plan: &Plan) -> Verdict {
    let simulation = simulate(plan, &AtomicBool::new(false));
    judge::run(&simulation.evidence, &Limits::default())
}

fn violated(verdict: &Verdict) -> Vec<&str> {
    let violated = verdict.properties.iter().filter(|p| p.outcome == Outcome::Violated);
    violated.map(|property| property.name.as_str()).collect()
}

#[test]
fn a_bug_is_found_by_a_property_that_it_breaks() {
    for mutant in [
        Mutant::VotesBeforeSync,
        Mutant::VotesForLaggards,
        Mutant::QuorumOfHalf,
        Mutant::CommitGoesBack,
        Mutant::AcknowledgesBeforeSync,
        Mutant::ReadsWithoutQuorum,
    ] {
        let found = (0..40).find_map(|seed| {
            let verdict = judge(&plan(seed, Some(mutant)));
            (verdict.outcome == Outcome::Violated).then_some(verdict)
        });
        let found = found.unwrap_or_else(|| panic!("{mutant} was not found in 40 seeds"));
        let right = mutant.about().breaks;
        let violated = violated(&found);
        assert!(violated.iter().any(|name| right.contains(name)), "{mutant}: {violated:?}");
    }
}

#[test]
fn what_breaks_nothing_is_not_reported() {
    for mutant in Mutant::ALL.into_iter().filter(|mutant| mutant.is_equivalent()) {
        for seed in 0..6 {
            let verdict = judge(&plan(seed, Some(mutant)));
            assert_eq!(verdict.outcome, Outcome::Ok, "{mutant}, {seed}: {}", verdict.summary);
        }
    }
}

#[test]
fn a_mutant_changes_the_run_and_ends_with_it() {
    let trace = |plan: &Plan| simulate(plan, &AtomicBool::new(false)).evidence.traces;
    let correct = trace(&plan(1, None));
    for mutant in Mutant::ALL.into_iter().filter(|mutant| mutant.is_equivalent()) {
        assert!(trace(&plan(1, Some(mutant))) != correct, "{mutant} changes nothing");
    }
    assert!(trace(&plan(1, None)) == correct, "a mutant outlived its run");
}

#[test]
fn a_kept_run_of_a_mutant_is_replayed_as_that_mutant() {
    let plan = plan(3, Some(Mutant::AcknowledgesBeforeSync));
    let simulation = simulate(&plan, &AtomicBool::new(false));
    let dir = tempfile::tempdir().unwrap();
    keep(dir.path(), &plan, &simulation, &[]).unwrap().1.unwrap();
    let kept = Plan::load(&dir.path().join("plan.json")).unwrap();
    assert_eq!(kept.mutant, Some(Mutant::AcknowledgesBeforeSync));
    let again = simulate(&kept, &AtomicBool::new(false));
    let same = compare(dir.path(), &again.evidence).unwrap();
    assert!(same.whole && same.lines > 0, "{same:?}");
}

#[test]
fn containers_hold_no_mutants() {
    let plan = Plan { cluster: ClusterKind::Docker, ..plan(1, Some(Mutant::ForgetsVote)) };
    let error = plan.validate().unwrap_err().to_string();
    assert!(error.contains("only simulated nodes can be mutants"), "{error}");
}

#[test]
fn a_bug_that_is_not_caught_outranks_a_table_that_cannot_be_written() {
    let out = tempfile::tempdir().unwrap();
    fs::create_dir(out.path().join("mutants.md")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["mutants", "--only", "forgets-vote", "--starts", "1", "--minutes", "0.000001"])
        .arg("--out")
        .arg(out.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: cannot write") && said.contains("not caught"), "{said}");
}
