//! Whole runs on real containers: they end green, prove their faults, and leave nothing behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod common;

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    query_parameters::{KillContainerOptions, ListContainersOptions},
};
use checker::{
    budget::{Budget, Limits},
    evidence,
    fault::Phase,
    history::operation,
    linear,
    verdict::Outcome,
};
use harness::{
    cluster::docker::OWNER,
    images,
    plan::{ClusterKind, Load, Options, Plan, Storage, Timings, World},
    run::{Settings, Stop, run},
    system::System,
    workload::{Workload, register},
};

/// One cluster at a time: several on few cores would test the machine rather than the harness.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn settings(dir: &Path, faults: &str, seconds: u64) -> Settings {
    let plan = Plan::generate(Options {
        system: System::raft_node(),
        cluster: ClusterKind::Docker,
        nodes: 3,
        seed: 11,
        time: Duration::from_secs(seconds),
        interval: None,
        menu: faults.parse().unwrap(),
        workload: Workload::Register(register::Options::new(5)),
        load: Load::steady(5, 200, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(500),
            heartbeat_interval: Duration::from_millis(100),
        },
        storage: Storage::Durable,
        world: World::default(),
    });
    Settings {
        plan: plan.unwrap(),
        out: Some(dir.join("run")),
        base_port: None,
        images: None,
        command: vec!["harness".to_owned()],
        keep_going: false,
        inert: false,
        panics_at: None,
    }
}

/// Containers that a process made.
async fn made_by(docker: &Docker, process: u32) -> Vec<String> {
    let options = ListContainersOptions { all: true, ..Default::default() };
    let containers = docker.list_containers(Some(options)).await.unwrap();
    containers
        .into_iter()
        .filter(|container| {
            let labels = container.labels.clone().unwrap_or_default();
            labels.get(OWNER).is_some_and(|owner| owner.starts_with(&format!("{process}.")))
        })
        .flat_map(|container| container.names.unwrap_or_default())
        .collect()
}

/// `harness test` in a process of its own, once it has recorded some operations.
fn start(out: &Path) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["test", "--nodes", "3", "--time", "5m", "--rate", "100", "--seed", "5", "--out"])
        .arg(out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The image may have to be built.
    let deadline = Instant::now() + Duration::from_secs(900);
    let history = out.join("history.jsonl");
    while std::fs::metadata(&history).map_or(0, |file| file.len()) < 10_000 {
        assert!(Instant::now() < deadline, "the run never began");
        std::thread::sleep(Duration::from_millis(100));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

#[tokio::test]
async fn a_short_run_with_all_faults_is_green_and_complete() {
    let Some(docker) = common::docker("a whole run").await else { return };
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), "kill,pause,partition", 6);
    let finished = run(&settings, &Stop::listen().unwrap()).await.unwrap();
    let verdict = &finished.judgement.verdict;
    assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:#?}");
    assert_eq!(finished.left, None);
    assert!(finished.judgement.counts.ok > 100, "{:?}", finished.judgement.counts);
    assert!(finished.judgement.faults >= 3, "{}", finished.judgement.faults);
    for file in [
        "plan.json",
        "environment.json",
        "history.jsonl",
        "faults.jsonl",
        "run.json",
        "verdict.json",
        "trace/n1.jsonl",
        "trace/n3.jsonl",
        "logs/n2.log",
        "report.html",
    ] {
        assert!(finished.directory.join(file).exists(), "{file} is missing");
    }
    let evidence = evidence::load(&finished.directory).unwrap();
    assert_eq!(evidence.run.incomplete, Vec::<String>::new());
    assert_eq!(evidence.run.final_hashes.len(), 3);
    // The same plan again is the same plan.
    let plan = Plan::load(&finished.directory.join("plan.json")).unwrap();
    assert_eq!(plan, settings.plan);
    assert_eq!(made_by(&docker, std::process::id()).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_fault_that_does_nothing_makes_the_run_undecided() {
    let Some(_docker) = common::docker("faults without proof").await else { return };
    let _turn = TURN.lock().await;
    for (faults, says) in [
        ("partition:halves", "got through the cut"),
        ("kill:one", "still runs"),
        ("pause:one", "is not"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { inert: true, ..settings(dir.path(), faults, 2) };
        let finished = run(&settings, &Stop::listen().unwrap()).await.unwrap();
        let verdict = &finished.judgement.verdict;
        assert_eq!(verdict.outcome, Outcome::Unknown, "{verdict:#?}");
        let property =
            verdict.properties.iter().find(|property| property.name == "faults").unwrap();
        assert_eq!(property.outcome, Outcome::Unknown);
        assert!(property.detail.contains(says), "{}", property.detail);
        let evidence = evidence::load(&finished.directory).unwrap();
        assert!(evidence.faults.iter().all(|record| record.phase != Phase::Confirmed));
    }
}

#[tokio::test]
async fn a_node_that_ended_by_itself_was_not_killed() {
    let Some(docker) = common::docker("a node that ends before its kill").await else { return };
    let _turn = TURN.lock().await;
    // SIGKILL is how the kernel ends a process when memory runs out: the same code as a kill's.
    for signal in ["SIGTERM", "SIGKILL"] {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path(), "kill:n2", 4);
        settings.plan.faults.truncate(1);
        settings.plan.faults[0].at = Duration::from_secs(2);
        settings.plan.faults[0].lasts = Duration::from_millis(500);
        let history = dir.path().join("run/history.jsonl");
        let ends = async {
            while std::fs::metadata(&history).map_or(0, |file| file.len()) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let nodes = made_by(&docker, std::process::id()).await;
            let node = nodes.iter().find(|name| name.ends_with("-n2")).unwrap();
            let options = KillContainerOptions { signal: signal.to_owned() };
            docker.kill_container(node.trim_start_matches('/'), Some(options)).await.unwrap();
        };
        let stop = Stop::listen().unwrap();
        let (finished, ()) = tokio::join!(run(&settings, &stop), ends);
        let verdict = finished.unwrap().judgement.verdict;
        assert_eq!(verdict.outcome, Outcome::Unknown, "{signal}: {verdict:#?}");
        let faults = verdict.properties.iter().find(|property| property.name == "faults").unwrap();
        assert!(faults.detail.contains("n2 exited with code"), "{signal}: {}", faults.detail);
    }
}

#[tokio::test]
async fn nodes_that_forget_are_found_out() {
    let Some(_docker) = common::docker("nodes that lose their data").await else { return };
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings { keep_going: true, ..settings(dir.path(), "kill:all", 5) };
    settings.plan.storage = Storage::Memory;
    let finished = run(&settings, &Stop::listen().unwrap()).await.unwrap();
    let verdict = &finished.judgement.verdict;
    assert_eq!(verdict.outcome, Outcome::Violated, "{verdict:#?}");
    // Seen by the clients, and in the nodes' own account.
    for name in ["linearizability", "survives-restart"] {
        let property = verdict.properties.iter().find(|property| property.name == name).unwrap();
        assert_eq!(property.outcome, Outcome::Violated, "{name}: {}", property.detail);
    }
}

#[tokio::test]
async fn a_violation_ends_the_run_within_a_second_of_the_answer_that_shows_it() {
    let Some(_docker) = common::docker("a run that ends at a violation").await else { return };
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), "kill:all", 120);
    settings.plan.storage = Storage::Memory;
    let finished = run(&settings, &Stop::listen().unwrap()).await.unwrap();
    assert_eq!(finished.judgement.verdict.outcome, Outcome::Violated);
    let evidence = evidence::load(&finished.directory).unwrap();
    let why = evidence.run.incomplete.join("; ");
    assert!(why.contains(": a violation of linearizability"), "{why}");
    assert!(why.contains("although the value could only be"), "{why}");
    // The first answer of those that the verdict calls wrong, and the last operation that began.
    let operations = operation::pair(evidence.history.registers()).unwrap();
    let mut keys: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    operations.iter().for_each(|it| keys.entry(it.key).or_default().push(it));
    let budget = Budget::of(&Limits::default());
    let offences = keys.into_iter().filter_map(|(key, operations)| {
        match linear::check_key(key, &operations, &budget) {
            linear::Key::Illegal(violation) => Some(violation.refutation?.until),
            _ => None,
        }
    });
    let offence = offences.min().unwrap();
    let last = operations.iter().map(|operation| operation.call).max().unwrap();
    let after = Duration::from_nanos(last.saturating_sub(offence));
    assert!(after < Duration::from_secs(1), "the load ended {after:?} after the answer");
}

#[tokio::test]
async fn a_full_disk_ends_the_run_and_names_the_file_that_is_cut() {
    let Some(docker) = common::docker("a disk that is full").await else { return };
    let _turn = TURN.lock().await;
    // Before the disk is full.
    images::ensure(&docker, images::Source::Auto, &System::raft_node(), false, &|text| {
        eprintln!("{text}")
    })
    .await
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let (began, path) = (Instant::now(), out.clone());
    // No file may be longer than some blocks: a full disk for whoever runs this.
    let output = tokio::task::spawn_blocking(move || {
        Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_harness"))
            .args(["test", "--nodes", "3", "--time", "5m", "--rate", "200", "--seed", "5"])
            .args(["--cluster", "docker", "--faults", "none", "--out"])
            .arg(path)
            .output()
    });
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(why.contains("history.jsonl is cut: it could not be written"), "{why}");
    assert!(why.contains("; stopping"), "{why}");
    assert!(said.contains("history.jsonl is cut"), "the verdict says so: {said}");
    assert_eq!(output.status.code(), Some(2), "{said}{why}");
    assert!(began.elapsed() < Duration::from_secs(120), "{said}{why}");
    assert!(evidence::load(&out).unwrap().history.len() > 100);
}

#[tokio::test]
async fn a_panic_of_the_harness_leaves_whole_evidence_and_nothing_else() {
    let Some(docker) = common::docker("a panic of the harness").await else { return };
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), "pause:n2", 10);
    settings.plan.faults.truncate(1);
    (settings.plan.faults[0].at, settings.plan.faults[0].lasts) =
        (Duration::from_millis(500), Duration::from_secs(8));
    settings.panics_at = Some(Duration::from_secs(2));
    let finished = run(&settings, &Stop::listen().unwrap()).await.unwrap();
    let verdict = &finished.judgement.verdict;
    assert_eq!(verdict.outcome, Outcome::Unknown, "{verdict:#?}");
    let evidence = evidence::load(&finished.directory).unwrap();
    let why = evidence.run.incomplete.join("; ");
    assert!(why.contains("the harness panicked: as this test wants"), "{why}");
    // Also of the node that was frozen: all nodes were stopped before their traces were copied.
    assert_eq!(evidence.traces.len(), 3);
    for trace in &evidence.traces {
        let last = &trace.last().unwrap().event;
        assert!(matches!(last, proto::trace::Event::Stopped {}), "{last:?}");
    }
    assert_eq!(made_by(&docker, std::process::id()).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_node_that_crashes_at_start_is_said_with_its_last_words() {
    let Some(docker) = common::docker("a node image that crashes").await else { return };
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let images = common::images(&docker, "run-crashes", common::CRASHES).await;
    let settings = Settings { images: Some(images), ..settings(dir.path(), "none", 2) };
    let error = format!("{:#}", run(&settings, &Stop::listen().unwrap()).await.unwrap_err());
    assert!(error.contains("exited with code 7"), "{error}");
    // All that it said, and who said it.
    assert!(error.contains("n1: one\nn1: the data directory is on fire"), "{error}");
    assert_eq!(made_by(&docker, std::process::id()).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() {
    let Some(docker) = common::docker("a port that is taken").await else { return };
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let settings = Settings { base_port: Some(port), ..settings(dir.path(), "none", 2) };
    let error = format!("{:#}", run(&settings, &Stop::listen().unwrap()).await.unwrap_err());
    assert!(error.contains(&port.to_string()), "{error}");
    assert!(!dir.path().join("run").exists(), "an empty run directory was left");
    assert_eq!(made_by(&docker, std::process::id()).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_run_that_is_stopped_is_undecided_complete_as_far_as_it_went_and_leaves_nothing() {
    let Some(docker) = common::docker("Ctrl-C and SIGTERM").await else { return };
    let _turn = TURN.lock().await;
    for (name, word) in [("-INT", "Ctrl-C"), ("-TERM", "SIGTERM")] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let (mut child, out) =
            tokio::task::spawn_blocking(move || (start(&out), out)).await.unwrap();
        let process = child.id();
        assert!(!made_by(&docker, process).await.is_empty());
        signal(&child, name);
        let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(2), "{name}");
        assert_eq!(made_by(&docker, process).await, Vec::<String>::new());
        let evidence = evidence::load(&out).unwrap();
        assert!(evidence.run.incomplete[0].contains(word), "{:?}", evidence.run.incomplete);
        assert_eq!(evidence.traces.len(), 3);
        assert!(out.join("report.html").exists());
    }
}

#[tokio::test]
async fn gc_removes_what_a_killed_harness_left() {
    let Some(docker) = common::docker("gc after SIGKILL").await else { return };
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut child = tokio::task::spawn_blocking(move || start(&out)).await.unwrap();
    let process = child.id();
    signal(&child, "-KILL");
    child.wait().unwrap();
    assert_eq!(made_by(&docker, process).await.len(), 6, "three pods and three nodes");
    let run = dir.path().join("run");
    let before = harness::run::judge(&run).unwrap().verdict;
    assert!(before.summary.contains("the run was killed"), "{}", before.summary);
    let gc = Command::new(env!("CARGO_BIN_EXE_harness")).arg("gc").output().unwrap();
    assert_eq!(gc.status.code(), Some(0), "{gc:?}");
    assert_eq!(made_by(&docker, process).await, Vec::<String>::new());
    // Nothing that was recorded was lost.
    let evidence = evidence::load(&run).unwrap();
    assert!(evidence.history.len() > 20);
    // Nor what was still in the containers.
    assert_eq!(evidence.traces.len(), 3);
    assert!(run.join("logs/n3.log").exists());
    let said = String::from_utf8_lossy(&gc.stdout);
    assert!(said.contains("traces and logs of a killed run are now in"), "{said}");
    let verdict = harness::run::judge(&run).unwrap().verdict;
    assert_eq!(verdict.outcome, Outcome::Unknown, "{verdict:#?}");
    for property in &verdict.properties {
        assert!(!property.detail.contains("no node took part"), "{}", property.detail);
        let traced = property.name == "log-matching" || property.name == "election-safety";
        assert!(!traced || property.outcome == Outcome::Ok, "{}", property.detail);
    }
}
