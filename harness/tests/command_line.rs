//! The command line's bad inputs, each with its sentence and exit code. Needs no daemon.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../../checker/tests/runs/mod.rs"]
mod runs;

use std::{
    path::Path,
    process::{Command, Output},
};

fn harness(args: &[&str]) -> Output {
    // A daemon that is not there: what is refused must be refused before it is asked for.
    Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(args)
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .env_remove("CI")
        .output()
        .unwrap()
}

fn expect(args: &[&str], code: i32, says: &str) {
    let output = harness(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?} said: {said}");
    assert!(said.contains(says), "{args:?} should say `{says}`, and said: {said}");
}

#[test]
fn wrong_usage_is_64_and_says_what_is_possible() {
    expect(&["tset"], 64, "unrecognized subcommand");
    expect(&["test", "--colour"], 64, "unexpected argument");
    expect(&["test", "--nodes", "0"], 64, "1 to 9 nodes, not 0");
    expect(&["test", "--nodes", "10"], 64, "1 to 9 nodes, not 10");
    expect(&["test", "--nodes", "1", "--faults", "partition"], 64, "at least 2 nodes");
    expect(&["test", "--faults", "explode"], 64, "unknown fault `explode`");
    expect(&["test", "--faults", "kill:nobody"], 64, "unknown target `nobody`");
    expect(&["test", "--faults", "kill,disk:flip"], 64, "exists in simulation only");
    expect(&["test", "--cluster", "docker", "--faults", "network"], 64, "--cluster sim");
    expect(&["sim", "--faults", "disk:melt"], 64, "choose one of slow, fail-sync, full, flip");
    expect(&["sim", "--nodes", "1", "--faults", "network"], 64, "at least 2 nodes");
    expect(&["test", "--time", "soon"], 64, "--time");
    expect(&["test", "--time", "10ms"], 64, "at least 1s");
    expect(&["test", "--time", "5s", "--interval", "1m"], 64, "no fault fits");
    expect(&["test", "--concurrency", "0"], 64, "1 to 1000 clients");
    expect(&["test", "--keys", "0"], 64, "keys, not 0");
    expect(&["test", "--values", "few"], 64, "choose `unique`");
    expect(&["test", "--workload", "casino"], 64, "possible values: register");
    expect(&["test", "--workload", "bank", "--keys", "1"], 64, "at least 2 accounts, not 1");
    expect(&["sim", "--workload", "bank", "--keys", "1"], 64, "at least 2 accounts, not 1");
    expect(&["test", "--workload", "set", "--reads", "serializable"], 64, "--workload register");
    expect(&["sim", "--workload", "etcd", "--reads", "linearizable"], 64, "--workload register");
    expect(&["test", "--cluster", "cloud"], 64, "possible values: docker, sim");
    expect(&["test", "--plan", "/nowhere/plan.json"], 64, "/nowhere/plan.json");
    expect(&["test", "--plan", "plan.json", "--nodes", "3"], 64, "cannot be used with");
    expect(&["test", "--election-timeout", "50ms"], 64, "at least twice the heartbeat");
}

#[test]
fn a_name_that_is_no_unicode_is_no_panic() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let root = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["test", "--cluster", "docker", "--out"])
        .arg(root.path().join(OsStr::from_bytes(b"run-\xff")))
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("no Docker daemon"), "{said}");
}

#[test]
fn help_is_no_error() {
    for args in [&["--help"][..], &["test", "--help"], &["--version"]] {
        assert_eq!(harness(args).status.code(), Some(0));
    }
}

#[test]
fn a_place_that_cannot_be_written_is_3() {
    expect(&["test", "--out", "/dev/null/run"], 3, "choose another with --out");
}

#[test]
fn a_used_directory_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let evidence = dir.path().join("history.jsonl");
    std::fs::write(&evidence, "precious").unwrap();
    expect(&["test", "--out", dir.path().to_str().unwrap()], 3, "not empty");
    assert_eq!(std::fs::read_to_string(evidence).unwrap(), "precious");
}

#[test]
fn no_daemon_is_3_says_what_to_do_and_leaves_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let asked = ["test", "--cluster", "docker", "--out", out.to_str().unwrap()];
    expect(&asked, 3, "Docker daemon");
    assert!(!out.exists());
    expect(&["gc"], 3, "Docker daemon");
}

#[test]
fn without_a_daemon_the_plan_runs_in_simulation_and_replays() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let run = out.to_str().unwrap();
    let options = ["--time", "5s", "--rate", "20", "--seed", "1", "--out", run];
    expect(&[&["test"], &options[..]].concat(), 0, "the plan runs in simulation");
    let plan = std::fs::read_to_string(out.join("plan.json")).unwrap();
    assert!(plan.contains(r#""cluster": "sim""#), "{plan}");
    assert!(out.join("report.html").exists());

    let output = harness(&["replay", run]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("byte by byte"), "{said}");

    let diagram = dir.path().join("diagram.svg");
    let story = ["--verbose", "--from", "1s", "--to", "2s", "--diagram", diagram.to_str().unwrap()];
    let output = harness(&[&["replay", run], &story[..]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains(" s  client ") && said.contains("properties held in simulation."),
        "{said}"
    );
    assert!(said.contains("before and after this part left out."), "{said}");
    assert!(std::fs::read_to_string(&diagram).unwrap().starts_with("<svg"));
    expect(&["replay", run, "--verbose", "--from", "soon"], 64, "no time of a run");
    expect(&["replay", run, "--verbose", "--from", "2s", "--to", "1s"], 64, "ends before");
    expect(&["replay", run, "--from", "2s"], 64, "--verbose");

    let plan = out.join("plan.json");
    let asked = ["test", "--plan", plan.to_str().unwrap(), "--cluster", "docker"];
    expect(&asked, 3, "Docker daemon");
    expect(&["test", "--cluster", "sim", "--base-port", "7000"], 64, "no ports");
}

#[test]
fn a_job_of_a_ci_system_without_a_daemon_fails() {
    let dir = tempfile::tempdir().unwrap();
    let test = |ci: &str, args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["test", "--time", "2s", "--rate", "20", "--faults", "none", "--seed", "1"])
            .args(args)
            .arg("--out")
            .arg(dir.path().join(format!("ci-{ci}-{}", args.len())))
            .envs([("DOCKER_HOST", "unix:///nowhere/docker.sock"), ("CI", ci)])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, why) = test("true", &[]);
    assert_eq!((code, said.as_str()), (Some(3), ""), "{why}");
    assert!(why.contains("--cluster sim") && why.contains("no Docker daemon answers"), "{why}");
    for (ci, args) in [("true", &["--cluster", "sim"][..]), ("false", &[])] {
        let (code, said, why) = test(ci, args);
        assert_ne!(code, Some(3), "{why}");
        assert!(said.contains("simulation."), "the verdict must say so: {said}");
    }
}

#[test]
fn every_report_of_a_simulated_run_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let run = out.to_str().unwrap();
    let options = ["--cluster", "sim", "--time", "5s", "--rate", "20", "--seed", "1", "--out", run];
    for command in [&[&["test"], &options[..]].concat()[..], &["check", run], &["replay", run]] {
        let output = harness(command);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("properties held in simulation."), "{command:?}: {said}");
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<h1>All properties held in simulation</h1>"), "the banner");
    assert!(!page.contains("1970-01-01"), "a simulated world has no calendar");
    let verdict = std::fs::read_to_string(out.join("verdict.json")).unwrap();
    assert!(verdict.contains("in simulation."), "{verdict}");
}

#[test]
fn a_run_that_cannot_be_written_has_a_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let options = ["--cluster", "sim", "--time", "5s", "--rate", "20", "--seed", "1"];
    // A file may have one block, and more is refused: a full disk for whoever runs this.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_harness"))
        .arg("test")
        .args(options)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}{why}");
    assert!(said.contains("properties held in simulation."), "{said}{why}");
    assert!(why.contains("plan.json: File too large"), "{why}");
}

#[test]
fn a_directory_that_cannot_be_written_is_judged_and_drawn_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let run = out.to_str().unwrap();
    let options = ["--cluster", "sim", "--time", "5s", "--rate", "20", "--seed", "1", "--out", run];
    assert_eq!(harness(&[&["test"], &options[..]].concat()).status.code(), Some(0));
    // For root as well: no file can have the name of a directory.
    for name in ["verdict.json", "report.html"] {
        std::fs::remove_file(out.join(name)).unwrap();
        std::fs::create_dir(out.join(name)).unwrap();
    }
    let output = harness(&["check", run]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("properties held in simulation."), "{said}");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(why.contains("warning: cannot write") && why.contains("verdict.json"), "{why}");
    expect(&["report", run], 3, "report.html");
    let (page, folder) = (dir.path().join("page.html"), dir.path().join("pages/of/mine"));
    for (to, written) in [(&page, page.clone()), (&folder, folder.join("report.html"))] {
        let output = harness(&["report", run, "--out", to.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(std::fs::read_to_string(written).unwrap().contains("<svg"));
    }
    assert!(folder.join("timeline.svg").exists());
}

#[test]
fn a_campaign_of_seeds_needs_no_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("failing");
    let out = out.to_str().unwrap();
    let output = harness(&["sim", "--seeds", "0..4", "--time", "5s", "--out", out]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("4 seeds") && said.contains("0 violated, 0 unknown"), "{said}");
    assert!(said.contains("  a new leader (in "), "{said}");
    assert!(said.contains(": never met\n"), "four short seeds cannot meet everything: {said}");
    assert!(said.contains("faults that took effect, with proof: kill "), "{said}");
    assert!(!dir.path().join("failing").exists(), "no seed failed");
    // So short a time has room for one fault: of one kind, and never of the other.
    let one = ["sim", "--seeds", "0..1", "--time", "2s", "--interval", "1500ms"];
    let output = harness(&[&one[..], &["--faults", "kill,clock"]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches(": never tried\n").count(), 1, "{said}");
    expect(&["sim", "--out", "/dev/null/runs"], 3, "cannot create");
    expect(&["sim", "--seeds", "4..4"], 64, "no range of seeds");
    expect(&["sim", "--seeds", "4.."], 64, "add --minutes");
    expect(&["sim", "--jobs", "0"], 64, "--jobs");
    expect(&["sim", "--minutes", "1e300"], 64, "no number of minutes");
    expect(&["shrink", ".", "--seconds", "99999999999"], 64, "--seconds");
    expect(&["shrink", ".", "--seconds", "0"], 64, "--seconds");
    let sim = ["sim", "--seeds", "0..1", "--storage", "memory", "--faults", "kill", "--out", out];
    assert_eq!(harness(&sim).status.code(), Some(1));
    for command in ["replay", "shrink"] {
        expect(&[command, out], 64, "is no run directory, but has a run below it: name one");
    }
    expect(&["sim", "--nodes", "10"], 64, "1 to 9 nodes, not 10");
    expect(&["replay", "/nowhere"], 64, "/nowhere");
}

#[test]
fn what_is_no_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    expect(&["check", dir.path().to_str().unwrap()], 3, "not a run directory");
    expect(&["check", "/nowhere"], 3, "/nowhere");
    expect(&["report", "/nowhere"], 3, "/nowhere");
    let empty = dir.path().to_str().unwrap();
    for command in ["replay", "shrink"] {
        expect(&[command, empty], 64, "is no run directory: it has no plan.json");
    }
    expect(&["report", empty], 3, "is not a run directory: it has none of run.json");
    assert!(dir.path().read_dir().unwrap().next().is_none(), "nothing is written there");
}

#[test]
fn a_replay_that_differs_is_told_with_its_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let run = out.to_str().unwrap();
    let options = ["--cluster", "sim", "--time", "5s", "--rate", "20", "--seed", "1", "--out", run];
    assert_eq!(harness(&[&["test"], &options[..]].concat()).status.code(), Some(0));
    std::fs::write(out.join("trace/n2.jsonl"), "").unwrap();
    expect(&["replay", run], 3, "trace/n2.jsonl from line 1 on");
    let said = harness(&["replay", run, "--verbose"]).stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains(" s  client ") && said.contains("properties held in simulation."),
        "{said}"
    );

    let plan = dir.path().join("plan");
    std::fs::create_dir(&plan).unwrap();
    std::fs::copy(out.join("plan.json"), plan.join("plan.json")).unwrap();
    let output = harness(&["replay", plan.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("has a plan and no recorded run"), "{said}");

    // A picture that cannot be written costs the picture alone.
    let nowhere = dir.path().join("nowhere/picture.svg");
    let output =
        harness(&["replay", plan.to_str().unwrap(), "--diagram", nowhere.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("properties held in simulation."), "{said}");
}

#[test]
fn recorded_evidence_is_judged_and_drawn_again() {
    let dir = tempfile::tempdir().unwrap();
    // One client writes 1 and then reads 2, which nobody wrote.
    let event = |index: u64, kind: &str, f: &str, value: &str| {
        format!(
            r#"{{"index":{index},"time":{index},"process":0,"type":"{kind}","f":"{f}","key":"k","value":{value},"node":"n1"}}"#
        )
    };
    let history = [
        event(0, "invoke", "write", "1"),
        event(1, "ok", "write", "1"),
        event(2, "invoke", "read", "null"),
        event(3, "ok", "read", "2"),
    ];
    std::fs::write(dir.path().join("history.jsonl"), history.join("\n") + "\n").unwrap();
    let output = harness(&["check", dir.path().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("linearizability"), "{said}");
    assert!(dir.path().join("verdict.json").exists());
    assert_eq!(harness(&["report", dir.path().to_str().unwrap()]).status.code(), Some(0));
    assert!(Path::new(&dir.path().join("report.html")).exists());
}

#[test]
fn a_run_directory_is_checked_against_the_model_that_it_names() {
    for case in &runs::CASES {
        for (answer, expected) in [(case.good, 0), (case.bad, 1)] {
            let dir = tempfile::tempdir().unwrap();
            case.write(dir.path(), answer);
            let output = harness(&["check", dir.path().to_str().unwrap()]);
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(expected), "{} {answer}: {said}", case.model);
            let verdict = std::fs::read_to_string(dir.path().join("verdict.json")).unwrap();
            let rule = format!("\"rule\": \"{}\"", case.rule);
            assert_eq!(
                verdict.contains(&rule),
                expected == 1,
                "{} {answer}: {verdict}",
                case.model
            );
        }
    }
}

#[cfg(not(feature = "mutants"))]
#[test]
fn a_normal_build_has_no_mutants_and_says_how_to_get_them() {
    let sentence = "this build has no mutants: cargo run --release --features mutants -- mutants";
    expect(&["mutants"], 64, sentence);
    expect(&["mutants", "--only", "forgets-vote", "--starts", "3"], 64, sentence);
    expect(&["sim", "--seeds", "0..1", "--mutant", "forgets-vote:n2"], 64, sentence);
    let binary = std::fs::read(env!("CARGO_BIN_EXE_harness")).unwrap();
    let binary = String::from_utf8_lossy(&binary);
    let has = |text: &str| binary.contains(text);
    assert!(has("this build has no mutants"), "the search finds nothing");
    for name in ["forgets-vote", "quorum-of-half", "reads-without-quorum", "eliben/raft#27"] {
        assert!(!has(name), "{name} is in the binary");
    }
}

#[test]
fn a_scenario_is_played_in_simulation_too() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let out = out.to_str().unwrap();
    let play = ["scenario", "leader-election", "--cluster", "sim", "--seed", "5", "--out", out];
    for args in [&play[..], &["check", out]] {
        let output = harness(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("All 8 steps of leader-election went as expected"), "{said}");
    }
}
