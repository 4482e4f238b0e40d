//! Systems that are not this project's, in containers, and what is wrong with descriptions.

#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

mod common;

use std::{fs, path::Path, process::Command};

use checker::verdict::{Outcome, Verdict};

/// Runs `harness test` with these arguments in a directory of its own; its code, its output, and
/// the verdict if there is one.
fn test(arguments: &[&str]) -> (i32, String, Option<Verdict>) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .arg("test")
        .args(arguments)
        .args(["--cluster", "docker", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
    let verdict = fs::read(out.join("verdict.json")).ok();
    let verdict = verdict.map(|text| serde_json::from_slice(&text).unwrap());
    (output.status.code().unwrap(), text, verdict)
}

/// Writes a description into a directory and gives its path.
fn described(dir: &Path, text: &str) -> String {
    let path = dir.join("mine.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A system of one shell command that listens on no port.
fn shell(command: &str) -> String {
    format!(
        r#"
name = "mine"
[image]
debian = ["busybox-static"]
[node]
command = ["sh", "-c", '{command}']
port = 2379
[client]
protocol = "etcd"
[status]
by = "etcd"
"#
    )
}

#[tokio::test]
async fn etcd_keeps_its_promises_under_faults_and_says_what_was_not_judged() {
    if common::docker("etcd under faults").await.is_none() {
        return;
    }
    let arguments = ["--system", "etcd", "--nodes", "3", "--time", "10s", "--seed", "5"];
    let (code, text, verdict) = test(&arguments);
    assert_eq!(code, 0, "{text}");
    let verdict = verdict.unwrap();
    assert_eq!(verdict.outcome, Outcome::Ok, "{text}");
    assert!(verdict.not_judged.contains(&"log-matching".to_owned()), "{:?}", verdict.not_judged);
    assert!(verdict.summary.contains("could not be judged"), "{}", verdict.summary);
    assert!(!verdict.summary.contains("All"), "{}", verdict.summary);
}

#[tokio::test]
async fn a_command_that_exits_at_once_is_told_with_its_last_words() {
    if common::docker("a system whose command exits").await.is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = described(dir.path(), &shell("echo the data directory is on fire >&2; exit 7"));
    let (code, text, verdict) = test(&["--system", &file, "--nodes", "3", "--time", "5s"]);
    assert_eq!((code, verdict.is_none()), (3, true), "{text}");
    assert!(text.contains("code 7") && text.contains("on fire"), "{text}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    if common::docker("a system whose program is missing").await.is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let text = shell("").replace(r#"["sh", "-c", '']"#, r#"["no-such-program"]"#);
    let (code, text, _) =
        test(&["--system", &described(dir.path(), &text), "--nodes", "3", "--time", "5s"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("no-such-program"), "{text}");
}

#[test]
fn what_runs_in_containers_only_is_not_simulated() {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["test", "--system", "etcd", "--cluster", "sim", "--time", "5s"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("etcd runs in containers only"), "{text}");
}

#[test]
fn a_bad_description_is_refused_on_the_command_line_with_its_reason_and_place() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |from: &str, to: &str| {
        let file = described(dir.path(), &shell("true").replacen(from, to, 1));
        let output = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["test", "--system", &file, "--time", "5s"])
            .output()
            .unwrap();
        assert_ne!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).unwrap()
    };
    let text = refused("port = 2379", "port = 2379\ncolour = 1");
    assert!(text.contains("unknown field `colour`") && text.contains("line 8"), "{text}");
    let text = refused("\"sh\", ", "\"sh\", \"{{ nodename }}\", ");
    assert!(text.contains("mine.toml:6: `nodename` names nothing"), "{text}");
    let text = refused("busybox-static", "-oDebug=1");
    assert!(text.contains("no name of a Debian package"), "{text}");
    let text = refused("\"mine\"", "\"etcd\"");
    assert!(text.contains("choose another"), "{text}");
    let text = refused("port = 2379", "port = 2379\n[bounds]\nservice = \"1ms\"");
    assert!(text.contains("service is 100ms to 1h"), "{text}");
}
