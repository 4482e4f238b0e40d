//! Failing runs come down to what they need to fail: the same property, nothing single too many,
//! the same result every time.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use checker::{
    budget::Limits,
    judge,
    verdict::{Outcome, Verdict},
};
use harness::{
    campaign::shrink::{Minimal, Refused, Settings, shrink, violated},
    cluster::sim::simulate,
    plan::{self, ClusterKind, Honesty, Load, Plan, Storage, Timings},
    run::simulation::keep,
    system::System,
    workload::{Workload, register},
};

/// Seeds that may save an event; few, since runs of a debug build take their time.
const SEEDS: u64 = 10;

static CALM: AtomicBool = AtomicBool::new(false);

fn plan(storage: Storage, faults: &str, seed: u64) -> Plan {
    Plan::generate(plan::Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes: 5,
        seed,
        time: Duration::from_secs(10),
        interval: Some(Duration::from_millis(1500)),
        menu: faults.parse().unwrap(),
        workload: Workload::Register(register::Options::new(5)),
        load: Load::steady(5, 20, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(60),
        },
        storage,
        world: plan::World::default(),
    })
    .unwrap()
}

/// A cluster whose disks lie about sync, and lose their power at once.
fn liars(seed: u64) -> Plan {
    let mut plan = plan(Storage::Durable, "kill:majority,kill:all", seed);
    plan.world.disk.honesty = Honesty::LiesAboutSync;
    plan
}

/// A cluster that does not elect a leader in time; its runs go on to their end.
fn far_apart() -> Plan {
    let mut plan = plan(Storage::Durable, "kill:leader", 7);
    // A vote is seldom back before the next candidate. A leader that was elected once stays.
    let (delay_min, delay_max) = (Duration::from_millis(200), Duration::from_millis(300));
    let late_max = delay_max;
    plan.world.network = plan::Network { delay_min, delay_max, late_max, ..Default::default() };
    plan.load.operation_timeout = Duration::from_secs(5);
    plan.faults.truncate(3);
    plan
}

/// A few runs of it take longer than a second: much load, then the kill. Whether the cluster is
/// back in time after that is a matter of luck.
fn slow() -> Plan {
    let slow = |seed| {
        let mut slow = Plan { time: Duration::from_secs(60), seed, ..far_apart() };
        (slow.load.rate, slow.load.concurrency) = (1000, 200);
        slow.faults.truncate(1);
        slow.faults[0].at = Duration::from_secs(58);
        slow
    };
    (1..100).map(slow).find(|plan| violates(plan, "liveness")).unwrap()
}

fn shrunk(plan: &Plan, jobs: usize) -> Minimal {
    let settings = Settings { jobs, seeds: SEEDS, budget: Duration::from_secs(600) };
    shrink(plan, &[], &settings, &|_| {}, &CALM).unwrap()
}

fn violates(plan: &Plan, property: &str) -> bool {
    let verdict = judge::run(&simulate(plan, &CALM).evidence, &Limits::default());
    let found = verdict.properties.iter().find(|found| found.name == property);
    found.is_some_and(|found| found.outcome == Outcome::Violated)
}

fn steps(plan: &Plan) -> usize {
    plan.workload.script().expect("the load is still generated").steps.len()
}

/// Each plan that lacks one fault or one operation of this.
fn without_one(plan: &Plan) -> Vec<Plan> {
    let faults = (0..plan.faults.len()).map(|number| {
        let mut plan = plan.clone();
        plan.faults.remove(number);
        plan
    });
    let operations = (0..steps(plan)).map(|number| {
        let mut plan = plan.clone();
        if let Workload::Script(script) = &mut plan.workload {
            script.steps.remove(number);
        }
        plan
    });
    faults.chain(operations).collect()
}

fn assert_minimal(from: &Plan, minimal: &Minimal) {
    let Minimal { plan, property, .. } = minimal;
    assert!(!minimal.cut_short);
    assert!(violates(from, property) && violates(plan, property), "{property}");
    assert!(plan.faults.len() + steps(plan) <= 12, "{plan:#?}");
    assert!((1..=SEEDS).contains(&minimal.failing), "{} seeds", minimal.failing);
    for lacking in without_one(plan) {
        for seed in (0..SEEDS).chain([plan.seed]) {
            let lacking = Plan { seed, ..lacking.clone() };
            assert!(!violates(&lacking, property), "less does it too: {lacking:#?}");
        }
    }
}

#[test]
fn a_forgetful_cluster_comes_down_to_one_kill_of_one_node() {
    let from = plan(Storage::Memory, "kill,pause,partition", 1);
    let minimal = shrunk(&from, 2);
    assert_minimal(&from, &minimal);
    let Minimal { plan, before, after, .. } = &minimal;
    assert_eq!((after.faults, after.operations, after.nodes), (1, Some(0), 1), "{plan:#?}");
    assert_eq!(plan.faults[0].fault.kind(), "kill");
    assert_eq!(plan.storage, Storage::Memory, "what makes it fail stays");
    assert_eq!((before.faults, before.nodes, before.clients), (from.faults.len(), 5, 5));
    assert!(before.operations > Some(10), "{before:?}");
}

#[test]
fn disks_that_lie_come_down_to_little_and_every_time_to_the_same() {
    let seed = (0..).find(|seed| simulate(&liars(*seed), &CALM).violation.is_some()).unwrap();
    let from = liars(seed);
    let minimal = shrunk(&from, 2);
    assert_minimal(&from, &minimal);
    assert_eq!(minimal.plan.world.disk.honesty, Honesty::LiesAboutSync);
    assert_eq!(minimal.plan.world.network.loss, 0.0, "the weather has no part in it");
    let again = shrunk(&from, 1);
    let bytes = |minimal: &Minimal| serde_json::to_string_pretty(&minimal.plan).unwrap();
    assert_eq!(bytes(&again), bytes(&minimal));
}

#[test]
fn a_cluster_whose_votes_come_too_late_comes_down_to_one_fault_at_most() {
    let late = |seed| Plan { seed, ..far_apart() };
    let from = (7..100).map(late).find(|plan| violates(plan, "liveness")).unwrap();
    let minimal = shrunk(&from, 2);
    assert_eq!(minimal.property, "liveness");
    assert_minimal(&from, &minimal);
    assert!(minimal.after.faults <= 1, "{}", minimal.after.faults);
    assert_eq!(minimal.after.operations, Some(0));
}

#[test]
fn what_does_not_fail_is_refused() {
    let settings = Settings { jobs: 1, seeds: 1, budget: Duration::from_secs(60) };
    let fine = plan(Storage::Durable, "kill", 1);
    let error = shrink(&fine, &[], &settings, &|_| {}, &CALM).unwrap_err();
    assert!(matches!(error, Refused::Holds { .. }), "{error}");
    assert!(error.to_string().contains("does not fail in simulation: All"), "{error}");
    let empty = Plan { faults: Vec::new(), ..plan(Storage::Durable, "kill", 1) };
    let stopped = shrink(&empty, &[], &settings, &|_| {}, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(stopped, Refused::Stopped), "{stopped}");
}

#[test]
fn without_time_the_result_is_what_there_was_and_says_so() {
    let from = plan(Storage::Memory, "kill", 1);
    let settings = Settings { jobs: 1, seeds: SEEDS, budget: Duration::ZERO };
    let minimal = shrink(&from, &[], &settings, &|_| {}, &CALM).unwrap();
    assert!(minimal.cut_short);
    assert_eq!(minimal.plan, from);
}

#[test]
fn a_plan_is_shrunk_for_what_was_recorded() {
    let from = plan(Storage::Memory, "kill,pause,partition", 1);
    let verdict = judge::run(&simulate(&from, &CALM).evidence, &Limits::default());
    let met: Vec<&str> = violated(&verdict).map(|property| property.name.as_str()).collect();
    assert_eq!(met, ["survives-restart"]);
    let settings = Settings { jobs: 1, seeds: SEEDS, budget: Duration::ZERO };
    let shrunk = |recorded: [&str; 2]| {
        shrink(&from, &recorded.map(str::to_owned), &settings, &|_| {}, &CALM)
    };
    assert_eq!(shrunk(["liveness", "survives-restart"]).unwrap().property, "survives-restart");
    let error = shrunk(["liveness", "linearizability"]).unwrap_err();
    assert!(matches!(error, Refused::Another { .. }), "{error}");
    let both = "violated liveness, linearizability, its plan in simulation only survives-restart:";
    assert!(error.to_string().contains(both), "{error}");
}

fn harness(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn kept(plan: &Plan, dir: &Path) {
    keep(dir, plan, &simulate(plan, &CALM), &[]).unwrap().1.unwrap();
}

#[test]
fn the_command_writes_a_run_that_every_other_command_takes() {
    let root = tempfile::tempdir().unwrap();
    kept(&plan(Storage::Memory, "kill:all", 2), root.path());
    let dir = root.path().to_str().unwrap();
    let output = harness(&["shrink", dir, "--jobs", "2"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("violated: survives-restart: n1 started"), "{text}");
    assert!(text.contains("operations") && text.contains("→ 0"), "{text}");

    let minimal = root.path().join("minimal");
    let page = fs::read_to_string(minimal.join("minimal.md")).unwrap();
    for part in ["# survives-restart", "- 0s: kill ", "| nodes | 5 | 1 |", "--cluster docker"] {
        assert!(page.contains(part), "{page}");
    }
    assert!(minimal.join("report.html").exists());
    let story = fs::read_to_string(minimal.join("story.txt")).unwrap();
    assert!(story.contains("survives-restart"), "{story}");
    let diagram = fs::read_to_string(minimal.join("spacetime.svg")).unwrap();
    assert!(diagram.starts_with("<svg") || diagram.starts_with("<?xml"), "{diagram}");
    let minimal = minimal.to_str().unwrap();
    let replayed = harness(&["replay", minimal]);
    assert_eq!(replayed.status.code(), Some(1), "{}", said(&replayed));
    assert!(said(&replayed).contains("identical"), "{}", said(&replayed));
    assert_eq!(harness(&["check", minimal]).status.code(), Some(1));

    let again = harness(&["shrink", dir]);
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
    assert!(said(&again).contains("is not empty"), "{}", said(&again));
    let hasty = root.path().join("hasty");
    fs::create_dir(&hasty).unwrap();
    slow().save(&hasty).unwrap();
    let output = harness(&["shrink", hasty.to_str().unwrap(), "--seconds", "1"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("ended early by --seconds"), "{}", said(&output));
    assert!(fs::read_to_string(hasty.join("minimal/minimal.md")).unwrap().contains("ended early"));
    // A plan alone is enough.
    let (from, to) = (root.path().join("plan.json"), root.path().join("other"));
    let output = harness(&["shrink", from.to_str().unwrap(), "--out", to.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let plan = |dir: &Path| fs::read(dir.join("plan.json")).unwrap();
    assert_eq!(plan(&to), plan(Path::new(minimal)));
}

/// Shrinks a plan that takes its time, and sends signals as soon as a file is there. Its exit code
/// and what it said, and whether it left anything.
fn interrupted(file: &str, signals: &[&str]) -> (Option<i32>, String, bool) {
    let root = tempfile::tempdir().unwrap();
    slow().save(root.path()).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["shrink", root.path().to_str().unwrap(), "--seconds", "1", "--jobs", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id().to_string();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !root.path().join(file).exists() {
        assert!(Instant::now() < deadline, "{file} never came");
        thread::sleep(Duration::from_millis(2));
    }
    for signal in signals {
        assert!(Command::new("kill").args([signal, id.as_str()]).status().unwrap().success());
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), said(&output), root.path().join("minimal").exists())
}

#[test]
fn the_command_stops_when_it_is_told_to_and_at_once_when_it_is_told_twice() {
    let (code, text, left) = interrupted("minimal", &["-INT"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("stopped before the failing run was simulated") && !left, "{text}");
    // Time was up, and the plan that there is is being written.
    let (code, text, _) = interrupted("minimal/plan.json", &["-INT", "-TERM"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("minimal is not there, or not whole"), "{text}");
}

#[test]
fn the_command_refuses_what_does_not_fail_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().to_str().unwrap();
    let fine = plan(Storage::Durable, "kill", 1);
    fine.save(root.path()).unwrap();
    let output = harness(&["shrink", path]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("this run does not fail in simulation"), "{}", said(&output));
    assert!(!root.path().join("minimal").exists());
    Plan { cluster: ClusterKind::Docker, time: Duration::from_secs(1), faults: Vec::new(), ..fine }
        .save(root.path())
        .unwrap();
    let output = harness(&["shrink", path]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("200 other seeds"), "{}", said(&output));
    let green = root.path().join("green");
    fs::create_dir(&green).unwrap();
    kept(&plan(Storage::Durable, "kill", 1), &green);
    let output = harness(&["shrink", green.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("the recorded run did not fail: All "), "{}", said(&output));
    assert!(!green.join("minimal").exists());
    // Another build recorded something else.
    let other = root.path().join("other");
    fs::create_dir(&other).unwrap();
    kept(&plan(Storage::Memory, "kill:all", 2), &other);
    let file = other.join("verdict.json");
    let mut verdict: Verdict = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for property in &mut verdict.properties {
        let wrong = property.name == "liveness";
        property.outcome = if wrong { Outcome::Violated } else { Outcome::Ok };
    }
    fs::write(&file, serde_json::to_string(&verdict).unwrap()).unwrap();
    let output = harness(&["shrink", other.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let both = "violated liveness, its plan in simulation only survives-restart";
    assert!(said(&output).contains(both), "{}", said(&output));
    assert!(!other.join("minimal").exists());
    fs::write(&file, "{").unwrap();
    let output = harness(&["shrink", other.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("verdict.json, which says what"), "{}", said(&output));
    assert!(!other.join("minimal").exists());
    let nothing = harness(&["shrink", "/nowhere"]);
    assert_eq!(nothing.status.code(), Some(64), "{}", said(&nothing));
}
