//! Scenarios on real containers: one that goes as expected, one that cannot, one that is stopped.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod common;

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use bollard::{Docker, query_parameters::ListContainersOptions};
use harness::cluster::docker::OWNER;

/// One cluster at a time: several on few cores would test the machine rather than the harness.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const ELECT_AND_LOSE: &str = r#"{"version": 1, "name": "elect-and-lose", "about": "a test", "nodes": 3, "steps": [
    {"name": "one stands", "do": {"start": "n1"}, "hold_timeouts": 2,
     "expect": {"leader": "none", "roles": {"n1": "candidate"}}},
    {"name": "two of three elect", "do": {"start": "n2"}, "hold_timeouts": 2,
     "expect": {"leader": "some"}},
    {"name": "one of them crashes", "do": {"crash": "leader"}, "hold_timeouts": 2,
     "expect": {"leader": "none"}}]}"#;

const IMPOSSIBLE: &str = r#"{"version": 1, "name": "impossible", "about": "a test", "nodes": 3, "steps": [
    {"name": "one of three elects", "do": {"start": "n1"}, "within_timeouts": 4,
     "expect": {"leader": "some"}}]}"#;

fn play(dir: &Path, scenario: &str) -> Command {
    fs::write(dir.join("scenario.json"), scenario).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.arg("scenario").arg(dir.join("scenario.json")).arg("--out").arg(dir.join("run"));
    command
}

fn harness(arguments: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).arg(dir).output().unwrap()
}

/// How many containers a process left.
async fn left_by(docker: &Docker, process: u32) -> usize {
    let options = ListContainersOptions { all: true, ..Default::default() };
    let containers = docker.list_containers(Some(options)).await.unwrap();
    let owner = format!("{process}.");
    let ours = |labels: &std::collections::HashMap<String, String>| {
        labels.get(OWNER).is_some_and(|label| label.starts_with(&owner))
    };
    containers.iter().filter(|container| container.labels.as_ref().is_some_and(ours)).count()
}

#[tokio::test]
async fn a_scenario_that_goes_as_expected_leaves_its_evidence_and_nothing_else() {
    let _turn = TURN.lock().await;
    let Some(docker) = common::docker("scenarios").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let child = play(dir.path(), ELECT_AND_LOSE).stdout(Stdio::piped()).spawn().unwrap();
    let process = child.id();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("All 3 steps of elect-and-lose went as expected"), "{text}");
    let run = dir.path().join("run");
    // n3 never ran: it left no trace, and that is no gap.
    for file in ["trace/n1.jsonl", "trace/n2.jsonl", "logs/n1.log", "verdict.json", "report.html"] {
        assert!(run.join(file).exists(), "{file} is missing");
    }
    let again = harness(&["check"], &run);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stdout));
    assert_eq!(left_by(&docker, process).await, 0);
}

#[tokio::test]
async fn a_step_that_fails_is_named_and_ends_with_code_1() {
    let _turn = TURN.lock().await;
    let Some(docker) = common::docker("scenarios that fail").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let child = play(dir.path(), IMPOSSIBLE).stdout(Stdio::piped()).spawn().unwrap();
    let process = child.id();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAILED") && text.contains("no node leads"), "{text}");
    assert_eq!(harness(&["check"], &dir.path().join("run")).status.code(), Some(1));
    assert_eq!(left_by(&docker, process).await, 0);
}

#[tokio::test]
async fn a_signal_ends_a_scenario_with_code_3_and_cleans_up() {
    let _turn = TURN.lock().await;
    let Some(docker) = common::docker("scenarios that are stopped").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let endless = ELECT_AND_LOSE.replace(r#""hold_timeouts": 2"#, r#""hold_timeouts": 2000"#);
    let mut child = play(dir.path(), &endless).stdout(Stdio::null()).spawn().unwrap();
    let process = child.id();
    // The image may have to be built. Three pods and three nodes.
    let deadline = Instant::now() + Duration::from_secs(900);
    while left_by(&docker, process).await < 6 {
        assert!(Instant::now() < deadline, "the scenario never began");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Command::new("kill").args(["-TERM", &process.to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(3));
    assert_eq!(left_by(&docker, process).await, 0);
}
