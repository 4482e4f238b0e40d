//! Whole runs in simulation: they repeat bit by bit, a correct cluster survives every fault, and a
//! broken world is found out. Campaigns of them are in `campaign`, runs of the workload `etcd` in
//! `etcd`, and runs of the others in `workloads`.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod campaign;
mod etcd;
mod service;
mod workloads;

use std::{
    collections::BTreeMap, fs, panic::catch_unwind, sync::atomic::AtomicBool, time::Duration,
};

use checker::{
    budget::Limits,
    fault::{Detail, Link, Phase},
    history::{Event, Function, Kind, Value},
    judge,
    verdict::{Outcome, Verdict},
};
use harness::{
    campaign::swarm::{self, Given},
    cluster::sim::{Observer, SimEvent, Simulation, simulate, simulate_inert, simulate_observed},
    nemesis::{Injection, KINDS, Menu},
    plan::{self, ClusterKind, Disk, Honesty, Load, Network, Plan, Storage, Timings, World},
    run::simulation::{compare, files, keep},
    system::System,
    workload::{
        Workload, register,
        script::{Script, Step},
    },
};

fn options(seed: u64) -> plan::Options {
    plan::Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes: [3, 5, 5, 4, 1, 7][seed as usize % 6],
        seed,
        time: Duration::from_secs(10),
        interval: Some(Duration::from_millis(1500)),
        menu: if seed % 6 == 4 { "kill,pause" } else { "kill,pause,partition" }.parse().unwrap(),
        workload: Workload::Register(register::Options::new(5)),
        load: Load::steady(5, 20, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(60),
        },
        storage: Storage::Durable,
        world: World::default(),
    }
}

fn plan(seed: u64) -> Plan {
    Plan::generate(options(seed)).unwrap()
}

/// A plan that debug builds simulate in no time.
fn short(seed: u64) -> Plan {
    let menu = "kill,pause".parse().unwrap();
    let time = Duration::from_secs(4);
    Plan::generate(plan::Options { time, menu, ..options(seed) }).unwrap()
}

fn run(plan: &Plan) -> Simulation {
    simulate(plan, &AtomicBool::new(false))
}

/// The verdict on the evidence alone; that which takes over what was checked on the way is the
/// same.
fn judge(simulation: &Simulation) -> Verdict {
    let Simulation { evidence, violation, passed, .. } = simulation;
    let verdict = judge::run(evidence, &Limits::default());
    assert!(passed.is_some() != violation.is_some());
    let after = judge::run_after(evidence, passed.as_ref(), &Limits::default()).of_simulation();
    assert_eq!((after.outcome, &after.summary), (verdict.outcome, &verdict.summary));
    assert_eq!(after.properties.len(), verdict.properties.len());
    for (after, alone) in after.properties.iter().zip(&verdict.properties) {
        assert_eq!((&after.name, after.outcome), (&alone.name, alone.outcome));
        assert_eq!(after.violations, alone.violations);
    }
    verdict
}

fn assert_ok(seed: u64, simulation: &Simulation) {
    let verdict = judge(simulation);
    assert_eq!(verdict.outcome, Outcome::Ok, "seed {seed}: {}", verdict.summary);
}

#[test]
fn a_seed_repeats_bit_by_bit_and_another_differs() {
    let mut seen = BTreeMap::new();
    for seed in 0..50 {
        let mut plan = plan(seed);
        plan.time = Duration::from_secs(4);
        plan.faults.retain(|fault| fault.at + fault.lasts <= plan.time);
        let once = files(&run(&plan).evidence).unwrap();
        let again = files(&run(&plan).evidence).unwrap();
        assert!(once == again, "seed {seed} gave two histories");
        assert_eq!(seen.insert(once, seed), None, "two seeds gave one history");
    }
}

#[test]
fn a_correct_cluster_survives_every_fault() {
    let seeds = if cfg!(debug_assertions) { 60 } else { 600 };
    let mut phases = BTreeMap::new();
    for seed in 0..seeds {
        let simulation = run(&plan(seed));
        assert_ok(seed, &simulation);
        for record in &simulation.evidence.faults {
            *phases.entry((record.kind.name(), record.phase)).or_insert(0) += 1;
        }
    }
    for kind in ["kill", "pause", "partition"] {
        assert!(phases[&(kind, Phase::Confirmed)] >= seeds / 2, "{phases:?}");
        assert!(phases[&(kind, Phase::Healed)] >= seeds / 2, "{phases:?}");
    }
}

/// Every variant of the faults that only simulation has.
const TROUBLES: [&str; 12] = [
    "network:slow",
    "network:lossy",
    "network:duplicating",
    "network:reordering",
    "network:reset",
    "disk:slow",
    "disk:fail-sync",
    "disk:full",
    "disk:flip",
    "clock:fast",
    "clock:slow",
    "clock:jump",
];

#[test]
fn every_simulated_fault_bites_and_is_survived() {
    let seeds = if cfg!(debug_assertions) { 6 } else { 60 };
    for text in TROUBLES {
        let (mut confirmed, mut skipped) = (0, Vec::new());
        for seed in 0..seeds {
            let mut options = options(seed);
            options.nodes = [3, 5][seed as usize % 2];
            options.menu = text.parse().unwrap();
            // Soon filled, so that a full disk is noticed.
            options.world.disk = Disk { segment_bytes: 1024, ..Disk::default() };
            let plan = Plan::generate(options).unwrap();
            let simulation = run(&plan);
            assert_ok(seed, &simulation);
            for record in &simulation.evidence.faults {
                match record.phase {
                    Phase::Confirmed => confirmed += 1,
                    Phase::Skipped => skipped.push(record.reason().to_owned()),
                    _ => {}
                }
            }
        }
        // A segment is not begun in every second, and nothing else notices a full disk.
        let least = if text == "disk:full" { seeds } else { 3 * seeds };
        assert!(confirmed >= least, "{text}: {confirmed} of {seeds} seeds, skipped: {skipped:?}");
    }
}

/// The proof that the faults of a plan gave, by phase.
fn proofs(faults: &str, seed: u64) -> Vec<(Phase, String)> {
    let mut options = options(seed);
    (options.nodes, options.menu) = (3, faults.parse().unwrap());
    options.world.disk = Disk { segment_bytes: 1024, ..Disk::default() };
    let simulation = run(&Plan::generate(options).unwrap());
    assert_ok(seed, &simulation);
    let text = |detail| serde_json::to_string(&detail).unwrap();
    simulation.evidence.faults.into_iter().map(|it| (it.phase, text(it.detail))).collect()
}

fn first(proofs: &[(Phase, String)], phase: Phase) -> &str {
    &proofs.iter().find(|(it, _)| *it == phase).unwrap().1
}

#[test]
fn faults_are_proved_by_what_happened() {
    let flip = proofs("disk:flip:one", 0);
    assert!(first(&flip, Phase::Confirmed).contains("is damaged at offset"), "{flip:?}");
    assert!(first(&flip, Phase::Healed).contains("after_ms"), "{flip:?}");
    let failed = proofs("disk:fail-sync:leader", 0);
    assert!(first(&failed, Phase::Confirmed).contains("input/output error"), "{failed:?}");
    assert!(first(&failed, Phase::Healed).contains("\"boots\":[1,2]"), "{failed:?}");
    let full = proofs("disk:full:all", 0);
    assert!(first(&full, Phase::Confirmed).contains("the disk is full"), "{full:?}");
    let slow = proofs("disk:slow:all", 0);
    assert!(first(&slow, Phase::HealRequested).contains("longest_us"), "{slow:?}");
    let lossy = proofs("network:lossy:all", 0);
    assert!(first(&lossy, Phase::Confirmed).contains("struck"), "{lossy:?}");
    let reset = proofs("network:reset:leader", 0);
    assert!(first(&reset, Phase::Confirmed).contains("broken"), "{reset:?}");
    let fast = proofs("clock:fast:one", 0);
    assert!(first(&fast, Phase::Applied).contains("rate_percent"), "{fast:?}");
    assert!(first(&fast, Phase::Confirmed).contains("natural_us\":50000"), "{fast:?}");
}

/// A nemesis that does nothing must not look like one that works.
#[test]
fn faults_that_do_nothing_prove_nothing() {
    let menu: Menu = KINDS.join(",").parse().unwrap();
    for fault in menu.items.into_iter().flatten() {
        let mut options = options(1);
        (options.nodes, options.load.rate) = (5, 50);
        options.menu = fault.to_string().parse().unwrap();
        options.world.disk = Disk { segment_bytes: 1024, ..Disk::default() };
        let plan = Plan::generate(options).unwrap();
        let simulation = simulate_inert(&plan, &AtomicBool::new(false));
        let faults = &simulation.evidence.faults;
        assert!(!faults.is_empty());
        let confirmed = faults.iter().find(|record| record.phase == Phase::Confirmed);
        assert_eq!(confirmed, None, "{fault}");
        let verdict = judge::run(&simulation.evidence, &Limits::default());
        let faults = verdict.properties.iter().find(|property| property.name == "faults").unwrap();
        assert_eq!(faults.outcome, Outcome::Unknown, "{fault}: {}", faults.detail);
    }
}

#[test]
fn a_fault_of_the_disk_counts_for_the_nodes_that_it_hit() {
    let mut partly = 0;
    for seed in 0..6 {
        // So short, and so few operations, that not every disk is asked to sync or fills a segment.
        let mut options = options(seed);
        (options.nodes, options.load.rate) = (5, 5);
        options.interval = Some(Duration::from_millis(300));
        options.menu = "disk:slow:all,disk:fail-sync:all,disk:full:all".parse().unwrap();
        options.world.disk = Disk { segment_bytes: 1024, ..Disk::default() };
        let faults = run(&Plan::generate(options).unwrap()).evidence.faults;
        for record in &faults {
            let aimed = faults
                .iter()
                .find(|other| other.fault == record.fault && other.phase == Phase::Applied);
            if matches!(record.phase, Phase::Confirmed | Phase::HealRequested | Phase::Healed) {
                let shown: Vec<&String> = match record.detail.as_ref().unwrap() {
                    Detail::Damaged(damage) => damage.keys().collect(),
                    Detail::Answered { nodes, .. } => nodes.keys().collect(),
                    other => panic!("{other:?}"),
                };
                assert!(!shown.is_empty() && shown.into_iter().eq(&record.nodes), "{record:?}");
                partly += u64::from(record.nodes.len() < aimed.unwrap().nodes.len());
            }
        }
    }
    assert!(partly >= 10, "{partly}");
}

/// What has to do with messages and clients alone proves a fault of the network, and only on the
/// nodes that it was seen at.
#[test]
fn a_fault_of_the_network_is_proved_by_traffic() {
    let mut confirmed = 0;
    for how in ["slow", "lossy", "duplicating", "reordering", "reset"] {
        for seed in 0..4 {
            let mut options = options(seed);
            options.nodes = 5;
            options.menu = format!("network:{how}:one,network:{how}:all").parse().unwrap();
            let plan = Plan::generate(options).unwrap();
            let mut traffic = Traffic::default();
            let simulation = simulate_observed(&plan, &AtomicBool::new(false), &mut traffic);
            for record in &simulation.evidence.faults {
                if record.phase != Phase::Confirmed {
                    continue;
                }
                confirmed += 1;
                let none = BTreeMap::new();
                let (links, clients) = match record.detail.as_ref().unwrap() {
                    Detail::Struck(links) => (links, &none),
                    Detail::Broken { lost, clients } => (lost, clients),
                    other => panic!("{other:?}"),
                };
                assert!(!links.is_empty() || !clients.is_empty());
                for (link, count) in links {
                    let sent = traffic.0.get(&link.to_string()).copied().unwrap_or(0);
                    assert!((1..=sent).contains(count), "{link}: {record:?}");
                }
                for node in &record.nodes {
                    let at =
                        |link: &Link| [link.from, link.to].contains(&node[1..].parse().unwrap());
                    let waited = clients.contains_key(node);
                    assert!(links.keys().any(at) || waited, "{node}: {record:?}");
                }
            }
        }
    }
    assert!(confirmed >= 40, "{confirmed}");
}

/// Between nodes that say nothing to each other nothing is struck.
#[test]
fn a_fault_of_the_network_without_traffic_is_skipped() {
    let mut options = options(0);
    options.nodes = 3;
    // The leader's links are cut, and clients keep away; so nothing is on its way.
    options.menu = "none".parse().unwrap();
    options.time = Duration::from_secs(2);
    options.load.rate = 1;
    let mut plan = Plan::generate(options).unwrap();
    let fault = |at, lasts, fault: &str| Injection {
        at: Duration::from_millis(at),
        lasts: Duration::from_millis(lasts),
        fault: fault.parse::<Menu>().unwrap().items[0][0],
        pick: 0,
    };
    plan.workload = Workload::Script(Script::default());
    plan.faults = vec![fault(100, 1500, "pause:all"), fault(300, 500, "network:reset:all")];
    for how in ["slow", "lossy", "duplicating", "reordering", "reset"] {
        plan.faults[1] = fault(300, 500, &format!("network:{how}:all"));
        let faults = run(&plan).evidence.faults;
        let last = faults.iter().rfind(|record| record.fault == 1).unwrap();
        assert_eq!(last.phase, Phase::Skipped, "{faults:#?}");
        assert!(last.reason().starts_with("while it lasted, "), "{last:?}");
    }
}

/// Messages that left, by link.
#[derive(Default)]
struct Traffic(BTreeMap<String, u64>);

impl Observer for Traffic {
    fn observe(&mut self, _: Duration, what: SimEvent<'_>) {
        if let SimEvent::Sent { message, .. } = what {
            *self.0.entry(format!("n{}→n{}", message.from, message.to)).or_default() += 1;
        }
    }
}

#[test]
fn a_correct_cluster_survives_what_seeds_draw() {
    let seeds = if cfg!(debug_assertions) { 40 } else { 600 };
    for seed in 0..seeds {
        assert_ok(seed, &run(&swarm::plan(&Given::default(), seed).unwrap()));
    }
}

#[test]
fn nodes_that_forget_are_found_out_by_a_swarm() {
    let given = Given { storage: Storage::Memory, ..Given::default() };
    let plan = |seed| swarm::plan(&given, seed).unwrap();
    let found = (0..40).filter(|seed| run(&plan(*seed)).violation.is_some()).count();
    assert!(found >= 10, "{found} of 40");
}

#[test]
fn a_correct_cluster_survives_a_savage_network() {
    let network = Network {
        delay_max: Duration::from_millis(20),
        late: 0.1,
        late_max: Duration::from_millis(400),
        loss: 0.05,
        duplication: 0.05,
        ..Network::default()
    };
    let world = World { network, ..World::default() };
    for seed in 0..if cfg!(debug_assertions) { 20 } else { 200 } {
        let verdict = judge(&run(&Plan { world: world.clone(), ..plan(seed) }));
        // So bad a network may keep a cluster from serving in time, but never from the truth.
        assert_ne!(verdict.outcome, Outcome::Violated, "seed {seed}: {}", verdict.summary);
    }
}

#[test]
fn a_correct_cluster_may_take_its_time_where_elections_do() {
    let given = |seconds| Given {
        election_timeout: Some(Duration::from_secs(seconds)),
        ..Given::default()
    };
    // Seeds that lost their leader so late that there was none 10 s after the last heal.
    for seed in [8, 21, 23] {
        assert_ok(seed, &run(&swarm::plan(&given(8), seed).unwrap()));
    }
}

fn violated(honesty: Honesty, storage: Storage) -> BTreeMap<String, u64> {
    let mut found = 0;
    let mut rules = BTreeMap::new();
    for seed in 0..30 {
        let mut options = options(seed);
        options.storage = storage;
        options.world.disk = Disk { honesty, ..Disk::default() };
        options.menu = "kill:majority,kill:all,kill:leader".parse().unwrap();
        let plan = Plan::generate(options).unwrap();
        let simulation = run(&plan);
        let verdict = judge(&simulation);
        // A node may also refuse to start with what its disk has left, and the cluster not come
        // back.
        if simulation.violation.is_some() {
            found += 1;
            assert_eq!(verdict.outcome, Outcome::Violated, "seed {seed}: {}", verdict.summary);
            for property in verdict.properties {
                if property.outcome == Outcome::Violated {
                    *rules.entry(property.name).or_insert(0) += 1;
                }
            }
        }
    }
    // Not every schedule has a crash at which the lie, or the lost disk, matters.
    assert!(found >= 10, "{rules:?}");
    rules
}

#[test]
fn a_disk_that_lies_about_sync_is_found_out() {
    let rules = violated(Honesty::LiesAboutSync, Storage::Durable);
    assert!(rules.contains_key("survives-restart"), "{rules:?}");
}

#[test]
fn nodes_that_forget_are_found_out() {
    violated(Honesty::Honest, Storage::Memory);
}

#[test]
fn every_key_is_read_at_the_end_whatever_the_weather() {
    for seed in 0..10 {
        let late = Network { late: 0.15, late_max: Duration::from_secs(1), ..Network::default() };
        let operation_timeout = Duration::from_millis(100);
        let plan = Plan::generate(plan::Options {
            time: Duration::from_secs(2),
            menu: "none".parse().unwrap(),
            workload: Workload::Register(register::Options::new(20)),
            load: Load { operation_timeout, ..options(seed).load },
            world: World { network: late, ..World::default() },
            ..options(seed)
        });
        let simulation = run(&plan.unwrap());
        assert_eq!(simulation.evidence.run.incomplete, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn a_script_is_performed_step_by_step() {
    let milliseconds = Duration::from_millis;
    let step =
        |at, client, f, value| Step { at: milliseconds(at), client, f, key: "x".to_owned(), value };
    let steps = vec![
        step(0, 0, Function::Write, Value::Int(1)),
        step(0, 0, Function::Cas, Value::Pair(Some(1), 2)),
        step(500, 1, Function::Cas, Value::Pair(None, 3)),
        step(1000, 1, Function::Read, Value::Nil),
    ];
    let workload = Workload::Script(Script::new(steps));
    let menu = "none".parse().unwrap();
    let plan = Plan::generate(plan::Options { workload, menu, ..options(1) }).unwrap();
    let simulation = run(&plan);
    assert_ok(1, &simulation);
    // Behind the script one client for each node asks whether it serves, and one reads at the end.
    let history = simulation.evidence.history.registers();
    let of = |client: u64| -> Vec<&Event> {
        history.iter().filter(|event| event.process == client).collect()
    };
    let (first, second) = (of(0), of(1));
    let seen = |events: &[&Event]| -> Vec<(Kind, Value)> {
        events.iter().map(|event| (event.kind, event.value)).collect()
    };
    assert_eq!(
        seen(&first),
        [
            (Kind::Invoke, Value::Int(1)),
            (Kind::Ok, Value::Int(1)),
            (Kind::Invoke, Value::Pair(Some(1), 2)),
            (Kind::Ok, Value::Pair(Some(1), 2)),
        ]
    );
    assert_eq!(
        seen(&second),
        [
            (Kind::Invoke, Value::Pair(None, 3)),
            (Kind::Fail, Value::Found(Some(2))),
            (Kind::Invoke, Value::Nil),
            (Kind::Ok, Value::Int(2)),
        ]
    );
    let time = |event: &Event| Duration::from_nanos(event.time);
    assert_eq!(time(first[0]), Duration::ZERO);
    assert_eq!(time(first[2]), time(first[1]), "the step before it was over later than its time");
    assert_eq!(time(second[0]), milliseconds(500));
    assert_eq!(time(second[2]), milliseconds(1000));
    assert!(first[0].node.as_deref() == Some("n1") && second[0].node.as_deref() == Some("n2"));
}

#[test]
fn a_run_directory_is_whole_and_replays() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(1);
    let simulation = run(&plan);
    let (judgement, page) = keep(directory.path(), &plan, &simulation, &[]).unwrap();
    assert_eq!(judgement.verdict, judge(&simulation));
    assert!(page.unwrap().exists());
    let saved = Plan::load(&directory.path().join("plan.json")).unwrap();
    assert_eq!(saved, plan);
    let again = run(&saved);
    let same = compare(directory.path(), &again.evidence).unwrap();
    assert!(same.whole && same.lines > 1000, "{same:?}");
    let other = run(&Plan { seed: 99, ..plan });
    let error = compare(directory.path(), &other.evidence).unwrap_err().to_string();
    assert!(error.contains("differs from") && error.contains("line 1"), "{error}");
}

#[test]
fn a_replay_is_compared_with_all_that_was_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let simulation = run(&short(1));
    keep(directory.path(), &short(1), &simulation, &[]).unwrap().1.unwrap();
    let differs = || compare(directory.path(), &simulation.evidence).unwrap_err().to_string();
    let run = fs::read_to_string(path("run.json")).unwrap();
    fs::write(path("run.json"), run.replacen("\"faults\": ", "\"faults\": 1", 1)).unwrap();
    assert!(differs().contains("has: run.json was changed after the run"), "{}", differs());
    fs::write(path("run.json"), &run).unwrap();
    compare(directory.path(), &simulation.evidence).unwrap();

    fs::write(path("trace/n9.jsonl"), "").unwrap();
    assert!(differs().contains("trace/n9.jsonl is not among the files"), "{}", differs());
    fs::remove_file(path("trace/n9.jsonl")).unwrap();
    fs::write(path("trace/n1.jsonl"), "").unwrap();
    fs::remove_file(path("faults.jsonl")).unwrap();
    let all = differs();
    for expected in [
        "faults.jsonl is missing; trace/n1.jsonl was changed after the run",
        "trace/n1.jsonl from line 1",
    ] {
        assert!(all.contains(expected), "{all}");
    }
}

#[test]
fn a_run_that_was_stopped_is_the_beginning_of_its_replay() {
    let directory = tempfile::tempdir().unwrap();
    let time = Duration::from_secs(60);
    let plan = Plan::generate(plan::Options { time, ..options(1) }).unwrap();
    let stopped = simulate(&plan, &AtomicBool::new(true));
    assert!(!stopped.evidence.history.is_empty(), "it was stopped before it began");
    keep(directory.path(), &plan, &stopped, &[]).unwrap().1.unwrap();
    let whole = run(&plan).evidence;
    let same = compare(directory.path(), &whole).unwrap();
    assert!(!same.whole && same.lines > 0, "{same:?}");
    // Without its own word for it, evidence that lacks its end is damaged.
    let path = directory.path().join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("the run was stopped", "the run went well")).unwrap();
    let error = compare(directory.path(), &whole).unwrap_err().to_string();
    assert!(error.contains("differs from"), "{error}");
}

/// Nodes whose timers no valid plan has: each panics when it starts.
fn impossible(seed: u64) -> Plan {
    let timings = Timings { election_timeout: Duration::ZERO, ..options(0).timings };
    Plan { timings, ..short(seed) }
}

#[test]
fn a_node_that_panics_when_it_starts_is_a_violation() {
    let simulation = run(&impossible(1));
    let verdict = judge(&simulation);
    assert_eq!(verdict.outcome, Outcome::Violated, "{}", verdict.summary);
    let crashes = &simulation.evidence.run.crashes;
    assert_eq!(crashes.len(), impossible(1).nodes as usize);
    assert!(crashes[0].how.contains("the election timeout must not be zero"), "{crashes:?}");
    let told = harness::story::story(&impossible(1));
    assert!(told.contains("n1  ends by itself (it panicked: the election"), "{told}");
}

/// Looks at a message and panics.
struct Clumsy;

impl Observer for Clumsy {
    fn observe(&mut self, _: Duration, what: SimEvent<'_>) {
        assert!(!matches!(what, SimEvent::Delivered { .. }), "this test wants it");
    }
}

#[test]
fn a_panic_of_the_harness_within_a_round_of_a_node_is_not_the_nodes() {
    let watched = || simulate_observed(&short(1), &AtomicBool::new(false), &mut Clumsy);
    assert!(catch_unwind(watched).is_err(), "a node is said to have crashed");
}
