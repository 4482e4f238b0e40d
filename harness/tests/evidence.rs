//! Evidence that was edited is never green. A run is recorded, one thing in its directory is
//! changed, and the verdict must name the file, whether or not the digests were made to fit again.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::{fs, path::Path, sync::atomic::AtomicBool, time::Duration};

use checker::{
    evidence::sums::{self, Digest, Sums},
    verdict::{Outcome, Verdict},
};
use harness::{
    cluster::sim::simulate,
    plan::{self, ClusterKind, Load, Plan, Storage, Timings, World},
    run::{judge, simulation::keep},
    system::System,
    workload::{Workload, register},
};
use serde_json::{Value, json};

/// A run with every kind of fault that containers have, and with writes of unknown outcome.
fn recorded(directory: &Path) {
    let plan = Plan::generate(plan::Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes: 5,
        seed: 11,
        time: Duration::from_secs(20),
        interval: Some(Duration::from_millis(1500)),
        menu: "kill,restart,pause,partition:leader-alone".parse().unwrap(),
        workload: Workload::Register(register::Options::new(5)),
        load: Load::steady(5, 20, Duration::from_millis(400)),
        timings: Timings {
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(60),
        },
        storage: Storage::Durable,
        world: World::default(),
    })
    .unwrap();
    let simulation = simulate(&plan, &AtomicBool::new(false));
    keep(directory, &plan, &simulation, &[]).unwrap().1.unwrap();
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Makes every digest in the directory fit, as a forger would.
fn forge(directory: &Path) {
    let path = directory.join(sums::NAME);
    let recorded: Sums = fs::read_to_string(&path).unwrap().parse().unwrap();
    let mut forged = Sums::default();
    for name in recorded.0.into_keys() {
        if let Ok(text) = fs::read(directory.join(&name)) {
            forged.0.insert(name, Digest::of(&text));
        }
    }
    fs::write(&path, forged.to_string()).unwrap();
    json_of(directory, "verdict.json", |verdict| {
        verdict["evidence"] = Digest::of(forged.to_string().as_bytes()).to_string().into();
    });
}

fn json_of(directory: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let path = directory.join(name);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, serde_json::to_string_pretty(&value).unwrap()).unwrap();
}

/// Changes lines; `None` takes one away.
fn lines_of(directory: &Path, name: &str, change: impl FnMut(Value) -> Option<Value>) {
    let path = directory.join(name);
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).filter_map(change);
    let text: String = lines.map(|line| line.to_string() + "\n").collect();
    fs::write(&path, text).unwrap();
}

/// Takes the operations away of which this is an invocation, and closes the numbers up.
fn without(directory: &Path, which: impl Fn(&Value) -> bool) {
    let mut gone = Vec::new();
    let mut index = 0;
    lines_of(directory, "history.jsonl", |mut event| {
        let process = event["process"].clone();
        if event["type"] == "invoke" {
            gone.retain(|it| *it != process);
            if which(&event) {
                gone.push(process.clone());
            }
        }
        if gone.contains(&process) {
            return None;
        }
        event["index"] = index.into();
        index += 1;
        Some(event)
    });
}

/// What is wrong, in sentences.
fn complaints(verdict: &Verdict) -> String {
    let wrong = verdict.properties.iter().filter(|property| property.outcome != Outcome::Ok);
    wrong.map(|it| format!("{}: {}\n", it.name, it.detail)).collect()
}

/// One edit: what it is, how it is done, the sentence on a stale digest, and the sentence once all
/// digests were made to fit. Without the last, nothing else knows of the edit, and only the digest
/// that was printed when the run ended tells.
struct Edit {
    what: &'static str,
    done: fn(&Path),
    stale: &'static str,
    forged: Option<&'static str>,
}

const EDITS: &[Edit] = &[
    Edit {
        what: "every info turned into fail",
        done: |d| {
            lines_of(d, "history.jsonl", |mut event| {
                if event["type"] == "info" {
                    event["type"] = "fail".into();
                }
                Some(event)
            });
        },
        stale: "history.jsonl was changed after the run",
        forged: Some("and history.jsonl has"),
    },
    Edit {
        what: "a key removed",
        done: |d| without(d, |event| event["key"] == "k3"),
        stale: "history.jsonl was changed after the run",
        forged: Some("plan.json has 5 keys, and history.jsonl has no read of k3"),
    },
    Edit {
        what: "a write removed",
        done: |d| {
            let writes = std::cell::Cell::new(0);
            without(d, |event| {
                writes.set(writes.get() + u64::from(event["f"] == "write"));
                event["f"] == "write" && writes.get() == 40
            });
        },
        stale: "history.jsonl was changed after the run",
        forged: None,
    },
    Edit {
        what: "a read removed",
        done: |d| {
            let reads = std::cell::Cell::new(0);
            without(d, |event| {
                reads.set(reads.get() + u64::from(event["f"] == "read"));
                event["f"] == "read" && reads.get() == 20
            });
        },
        stale: "history.jsonl was changed after the run",
        forged: None,
    },
    Edit {
        what: "traced: false",
        done: |d| json_of(d, "run.json", |run| run["traced"] = false.into()),
        stale: "run.json was changed after the run",
        forged: Some("run.json says that nodes write no trace, and there are traces of n1"),
    },
    Edit {
        what: "traced: false, and no traces",
        done: |d| {
            json_of(d, "run.json", |run| run["traced"] = false.into());
            fs::remove_dir_all(d.join("trace")).unwrap();
        },
        stale: "trace/n1.jsonl is missing",
        forged: Some("run.json has traced false, and by plan.json that is true"),
    },
    Edit {
        what: "a run on containers",
        done: |d| json_of(d, "run.json", |run| run["simulated"] = false.into()),
        stale: "run.json was changed after the run",
        forged: Some("run.json has simulated false, and by plan.json that is true"),
    },
    Edit {
        what: "a weaker promise",
        done: |d| json_of(d, "run.json", |run| run["model"] = "session".into()),
        stale: "run.json was changed after the run",
        forged: Some("run.json has model \"session\", and by plan.json that is \"register\""),
    },
    Edit {
        what: "less is expected",
        done: |d| json_of(d, "run.json", |run| run["expect"]["recovery_ms"] = 600_000.into()),
        stale: "run.json was changed after the run",
        forged: Some("run.json has expect {"),
    },
    Edit {
        what: "another final revision",
        done: |d| {
            json_of(d, "run.json", |run| {
                for hash in run["final_hashes"].as_array_mut().unwrap() {
                    let revision =
                        if hash.is_array() { &mut hash[1] } else { &mut hash["revision"] };
                    *revision = 7.into();
                }
            });
        },
        stale: "run.json was changed after the run",
        forged: Some("ended at revision 7, after 6 writes, and history.jsonl has"),
    },
    Edit {
        what: "all packet counters zero",
        done: |d| {
            lines_of(d, "faults.jsonl", |mut record| {
                let counters = record.pointer_mut("/detail/dropped/counters");
                for counter in counters.and_then(Value::as_array_mut).into_iter().flatten() {
                    counter["packets"] = 0.into();
                }
                Some(record)
            });
        },
        stale: "faults.jsonl was changed after the run",
        forged: Some("is not proved by what was recorded: no packet met the rule"),
    },
    Edit {
        what: "a kill without a new boot",
        done: |d| {
            lines_of(d, "faults.jsonl", |mut record| {
                let nodes = record.pointer_mut("/detail/answered/nodes");
                for (_, node) in nodes.and_then(Value::as_object_mut).into_iter().flatten() {
                    if node.get("boots").is_some() {
                        node["boots"] = json!([1, 1]);
                    }
                }
                Some(record)
            });
        },
        stale: "faults.jsonl was changed after the run",
        forged: Some("answered as boot 1, which is none after boot 1"),
    },
    Edit {
        what: "a boot that no trace has",
        done: |d| {
            lines_of(d, "faults.jsonl", |mut record| {
                let nodes = record.pointer_mut("/detail/answered/nodes");
                for (_, node) in nodes.and_then(Value::as_object_mut).into_iter().flatten() {
                    if node.get("boots").is_some() {
                        node["boots"] = json!([1, 77]);
                    }
                }
                Some(record)
            });
        },
        stale: "faults.jsonl was changed after the run",
        forged: Some("answered as boot 77 after fault"),
    },
    Edit {
        what: "a fault that lasts longer than it did",
        done: |d| {
            lines_of(d, "faults.jsonl", |mut record| {
                if record["phase"] == "confirmed" && record["kind"] == "kill" {
                    record["time"] =
                        record["time"].as_u64().unwrap().saturating_sub(1_000_000_000).into();
                }
                Some(record)
            });
        },
        stale: "faults.jsonl was changed after the run",
        forged: Some("are out of order"),
    },
    Edit {
        what: "kills of another node",
        done: |d| {
            lines_of(d, "faults.jsonl", |record| {
                let Some(node) = record["nodes"][0].as_str().filter(|_| record["kind"] == "kill")
                else {
                    return Some(record);
                };
                let other = if node == "n1" { "n2" } else { "n1" };
                let text =
                    record.to_string().replace(&format!("\"{node}\""), &format!("\"{other}\""));
                Some(serde_json::from_str(&text).unwrap())
            });
        },
        stale: "faults.jsonl was changed after the run",
        forged: Some("has a step meanwhile"),
    },
    Edit {
        what: "another leader",
        done: |d| {
            lines_of(d, "faults.jsonl", |mut record| {
                if record.get("leader").is_some() {
                    record["leader"] = "n9".into();
                }
                Some(record)
            });
        },
        stale: "faults.jsonl was changed after the run",
        forged: Some("faults.jsonl says that n9 led"),
    },
    Edit {
        what: "a fault removed from record and expectation",
        done: |d| {
            lines_of(d, "faults.jsonl", |record| (record["fault"] != 5).then_some(record));
            lines_of(d, "faults.jsonl", |mut record| {
                let number = record["fault"].as_u64().unwrap();
                record["fault"] = (number - u64::from(number > 5)).into();
                Some(record)
            });
            json_of(d, "run.json", |run| {
                run["expect"]["faults"] = (run["expect"]["faults"].as_u64().unwrap() - 1).into();
            });
        },
        stale: "faults.jsonl was changed after the run",
        forged: Some("and plan.json has"),
    },
    Edit {
        what: "plan.json gone",
        done: |d| fs::remove_file(d.join("plan.json")).unwrap(),
        stale: "plan.json is missing",
        forged: Some("plan.json is missing"),
    },
    Edit {
        what: "plan.json of fewer nodes",
        done: |d| json_of(d, "plan.json", |plan| plan["nodes"] = 3.into()),
        stale: "plan.json was changed after the run",
        forged: Some("run.json tells of 5 nodes, and plan.json of 3"),
    },
    Edit {
        what: "plan.json with another fault",
        done: |d| {
            json_of(d, "plan.json", |plan| {
                let kill = |fault: &Value| if fault == "kill" { "pause" } else { "kill" };
                plan["faults"][0]["fault"] = kill(&plan["faults"][0]["fault"]).into();
            });
        },
        stale: "plan.json was changed after the run",
        forged: Some("fault 0 is a"),
    },
    Edit {
        what: "plan.json with another seed",
        done: |d| json_of(d, "plan.json", |plan| plan["seed"] = 12.into()),
        stale: "plan.json was changed after the run",
        forged: None,
    },
    Edit {
        what: "an answer removed from a trace",
        done: |d| {
            let mut answers = 0;
            lines_of(d, "trace/n1.jsonl", |step| {
                answers += u64::from(step["event"] == "answered");
                (step["event"] != "answered" || answers != 3).then_some(step)
            });
        },
        stale: "trace/n1.jsonl was changed after the run",
        forged: Some("n1"),
    },
    Edit {
        what: "a trace gone",
        done: |d| fs::remove_file(d.join("trace/n2.jsonl")).unwrap(),
        stale: "trace/n2.jsonl is missing",
        forged: Some("n2 left no trace"),
    },
    Edit {
        what: "another command",
        done: |d| json_of(d, "environment.json", |it| it["command"] = json!(["other"])),
        stale: "environment.json was changed after the run",
        forged: None,
    },
    Edit {
        what: "a log that was never collected",
        done: |d| {
            fs::create_dir(d.join("logs")).unwrap();
            fs::write(d.join("logs/n1.log"), "all is well\n").unwrap();
        },
        stale: "logs/n1.log is not among the files that SHA256SUMS lists",
        forged: Some("logs/n1.log is not among the files that SHA256SUMS lists"),
    },
    Edit {
        what: "no digests",
        done: |d| fs::write(d.join(sums::NAME), "").unwrap(),
        stale: "SHA256SUMS is not the file that verdict.json was made from",
        forged: Some("history.jsonl is not among the files that SHA256SUMS lists"),
    },
];

#[test]
fn edited_evidence_is_not_green() {
    let whole = tempfile::tempdir().unwrap();
    recorded(whole.path());
    let judgement = judge(whole.path()).unwrap();
    assert_eq!(judgement.verdict.outcome, Outcome::Ok, "{}", complaints(&judgement.verdict));
    let digest = sums::seal(whole.path());
    assert!(digest.is_some());
    assert_eq!(digest, Some(Digest::of(&fs::read(whole.path().join(sums::NAME)).unwrap())));
    let mut failed = String::new();
    for Edit { what, done, stale, forged } in EDITS {
        let edited = tempfile::tempdir().unwrap();
        copy(whole.path(), edited.path());
        done(edited.path());
        let mut expect = |word: &str, expected: &str| match judge(edited.path()) {
            Ok(judgement) => {
                let wrong = complaints(&judgement.verdict);
                if judgement.verdict.outcome == Outcome::Ok || !wrong.contains(expected) {
                    failed += &format!("{what}, {word}: expected {expected:?}, found\n{wrong}\n");
                }
            }
            Err(error) => failed += &format!("{what}, {word}: {error:#}\n"),
        };
        expect("digests left", stale);
        // To judge again does not launder it.
        expect("digests left, judged again", stale);
        forge(edited.path());
        if let Some(forged) = forged {
            expect("digests forged", forged);
        }
        if forged.is_none() {
            assert_ne!(sums::seal(edited.path()), digest, "{what}: the printed digest tells");
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

#[test]
fn a_directory_of_another_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    recorded(directory.path());
    for (version, says) in [
        (json!(1), "has format version 1, and this build reads version 2"),
        (Value::Null, "has no format version, and this build reads version 2"),
    ] {
        json_of(directory.path(), "run.json", |run| run["version"] = version);
        let error = format!("{:#}", judge(directory.path()).unwrap_err());
        assert!(error.contains("run.json") && error.contains(says), "{error}");
    }
    json_of(directory.path(), "run.json", |run| run["version"] = 2.into());
    lines_of(directory.path(), "faults.jsonl", |mut record| {
        record["version"] = 1.into();
        Some(record)
    });
    let error = format!("{:#}", judge(directory.path()).unwrap_err());
    assert!(error.contains("this has format version 1, and this build reads version 2"), "{error}");
}
