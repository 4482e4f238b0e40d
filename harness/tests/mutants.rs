//! Known bugs, put back into the node: ordinary plans find them, and what is no bug is not
//! reported. Compiled with the feature `mutants` alone.

#![cfg(feature = "mutants")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::path::Path;
use std::{
    fs,
    process::Command,
    sync::{Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use checker::{
    budget::Limits,
    judge,
    verdict::{Outcome, Verdict},
};
use harness::{
    campaign::{self, Campaign, Failure, Total, Watch},
    cluster::sim::simulate,
    plan::{self, ClusterKind, Load, PlacedMutant, Plan, Storage, Timings, World},
    run::{
        self,
        simulation::{compare, keep},
    },
    system::System,
    workload::{Workload, register},
};
use node::mutants::Mutant;

fn plan(seed: u64, mutant: Option<Mutant>) -> Plan {
    let options = plan::Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes: 5,
        seed,
        time: Duration::from_secs(10),
        interval: Some(Duration::from_millis(1500)),
        menu: "kill,pause,partition".parse().unwrap(),
        workload: Workload::Register(register::Options::new(5)),
        load: Load::steady(5, 20, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(60),
        },
        storage: Storage::Durable,
        world: World::default(),
    };
    let mutants = mutant.into_iter().map(PlacedMutant::everywhere).collect();
    Plan { mutants, ..Plan::generate(options).unwrap() }
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

/// A seed of a campaign of this node, and how long it took.
fn unruly(mutant: Mutant, seed: u64) -> (Failure, Duration) {
    let root = tempfile::tempdir().unwrap();
    let failures = Failures::default();
    let campaign = Campaign {
        first: seed,
        end: Some(seed + 1),
        jobs: 1,
        keep_going: true,
        deadline: None,
        digest: false,
    };
    let place = || Ok(root.path().to_owned());
    let began = Instant::now();
    let (total, ended) = campaign::run(
        &campaign,
        &|seed| Ok(plan(seed, Some(mutant))),
        &place,
        &[],
        &failures,
        &AtomicBool::new(false),
    );
    ended.unwrap();
    let took = began.elapsed();
    assert_eq!((total.seeds, total.violated), (1, 1), "{mutant}");
    let failure = failures.0.into_inner().unwrap().remove(0);
    // What was kept says the same.
    let verdict = run::judge(kept(&failure)).unwrap().verdict;
    assert_eq!(verdict.outcome, Outcome::Violated, "{mutant}: {}", verdict.summary);
    (failure, took)
}

/// Its run directory.
fn kept(failure: &Failure) -> &Path {
    failure.kept.as_ref().unwrap().as_deref().unwrap()
}

#[derive(Default)]
struct Failures(Mutex<Vec<Failure>>);

impl Watch for Failures {
    fn failed(&self, failure: &Failure) {
        self.0.lock().unwrap().push(failure.clone());
    }

    fn panicked(&self, seed: u64, words: &str) {
        panic!("seed {seed}: {words}");
    }

    fn done(&self, _: &Total) {}
}

#[test]
fn a_node_that_holds_up_the_laboratory_is_named_in_time() {
    for (mutant, says) in [
        (Mutant::IgnoresDeadline, "the timer of n"),
        (Mutant::EchoesReplies, "a storm of messages"),
        (Mutant::NeverReturns, "hangs, it has not returned from"),
    ] {
        for seed in 0..2 {
            let (failure, took) = unruly(mutant, seed);
            assert!(failure.summary.starts_with("Violated (liveness"), "{mutant}: {failure:?}");
            assert!(failure.summary.contains(says), "{mutant}: {}", failure.summary);
            assert!(took < Duration::from_secs(60), "{mutant} took {took:?}");
        }
    }
}

#[test]
fn a_node_that_is_not_deterministic_is_named_with_what_differs() {
    let (failure, _) = unruly(Mutant::RollsDice, 1);
    let says = "is not deterministic: simulated twice, step ";
    assert!(failure.summary.contains("determinism"), "{}", failure.summary);
    assert!(failure.summary.contains(says), "{}", failure.summary);
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
    assert_eq!(kept.mutants, plan.mutants);
    let again = simulate(&kept, &AtomicBool::new(false));
    let same = compare(dir.path(), &again.evidence).unwrap();
    assert!(same.whole && same.lines > 0, "{same:?}");
}

/// A plan of five nodes, of which some are mutants.
fn some_wrong(seed: u64, placed: &[&str]) -> Plan {
    let mutants = placed.iter().map(|text| text.parse().unwrap()).collect();
    let plan = Plan { mutants, ..plan(seed, None) };
    plan.validate().unwrap();
    assert_eq!(plan.nodes, 5);
    plan
}

#[test]
fn one_wrong_node_among_four_correct_ones_is_convicted() {
    for mutant in [Mutant::AcknowledgesBeforeSync, Mutant::VotesBeforeSync, Mutant::CommitGoesBack]
    {
        let placed = format!("{mutant}:n2");
        let right = mutant.about().breaks;
        let is_convicted = |seed| {
            let verdict = judge(&some_wrong(seed, &[&placed]));
            let rightly = violated(&verdict).iter().any(|name| right.contains(name));
            rightly && verdict.summary.contains("n2")
        };
        assert!((0..40).any(is_convicted), "{placed} was not convicted in 40 seeds");
    }
}

#[test]
fn a_node_is_wrong_only_where_the_plan_says_so() {
    let trace = |plan: &Plan| simulate(plan, &AtomicBool::new(false)).evidence.traces;
    let correct = trace(&some_wrong(1, &[]));
    assert!(trace(&some_wrong(1, &["slow-elections:n1,n2,n3,n4,n5"])) != correct);
    let everywhere = trace(&some_wrong(1, &["slow-elections"]));
    assert!(trace(&some_wrong(1, &["slow-elections:n5,n4,n3,n2,n1"])) == everywhere);
    assert!(trace(&some_wrong(1, &["slow-elections:n1"])) != everywhere);
    let mutants = vec!["forgets-vote:n6".parse().unwrap()];
    let error = Plan { mutants, ..plan(1, None) }.validate().unwrap_err().to_string();
    assert!(error.contains("`forgets-vote:n6` is on n6, and the cluster has 5 nodes"), "{error}");
}

#[test]
fn nodes_with_different_bugs_are_replayed_byte_for_byte() {
    let plan = some_wrong(3, &["acknowledges-before-sync:n2", "small-appends:n3,n4"]);
    let simulation = simulate(&plan, &AtomicBool::new(false));
    let dir = tempfile::tempdir().unwrap();
    keep(dir.path(), &plan, &simulation, &[]).unwrap().1.unwrap();
    let kept = Plan::load(&dir.path().join("plan.json")).unwrap();
    assert_eq!(kept, plan);
    let again = simulate(&kept, &AtomicBool::new(false));
    let same = compare(dir.path(), &again.evidence).unwrap();
    assert!(same.whole && same.lines > 0, "{same:?}");
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
