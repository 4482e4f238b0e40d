//! Makes run directories that look real, the same bytes every time, for tests of the report.

use std::{fmt::Write, fs, path::Path};

use checker::{
    evidence::Run,
    fault::{self, Applied, Counter, Detail, Ended, How, Link, Observed, Phase, Record},
    history::{Event, Function, Kind, Value},
    verdict::{Outcome, Property, Verdict, Violation},
    version::Version,
};
use proto::trace::{self, Position, Role};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;
/// Unix time at time 0 of every sample.
pub(super) const EPOCH: u64 = 1_780_000_000 * S;

/// What the sample's checker found.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Found {
    Nothing,
    StaleRead,
}

/// Writes a run of `seconds` with a fault every five seconds and `rate` operations a second.
pub(super) fn write(dir: &Path, seconds: u64, rate: u64, found: Found) {
    let mut rng = StdRng::seed_from_u64(7);
    let faults = faults(seconds, &mut rng);
    let mut lines = String::new();
    for record in &faults {
        lines += &serde_json::to_string(record).unwrap();
        lines.push('\n');
    }
    fs::write(dir.join("faults.jsonl"), lines).unwrap();

    // A leader fault every third time costs the service a while.
    let outages: Vec<(u64, u64)> = faults
        .iter()
        .filter(|r| r.phase == Phase::Confirmed && r.fault % 3 == 0)
        .map(|r| (r.time, r.time + 700 * MS + rng.random_range(0..900) * MS))
        .collect();
    history(dir, seconds, rate, &outages, &mut rng);
    traces(dir, seconds, &faults, &outages);

    let run = Run {
        started: EPOCH,
        duration: seconds * S,
        nodes: 5,
        traced: true,
        healed: Some(seconds * S - S),
        ..Run::default()
    };
    let json = |name: &str, value: serde_json::Value| {
        fs::write(dir.join(name), serde_json::to_string_pretty(&value).unwrap()).unwrap();
    };
    json("run.json", serde_json::to_value(run).unwrap());
    json("verdict.json", serde_json::to_value(verdict(found)).unwrap());
    json(
        "plan.json",
        serde_json::json!({"system": "raft-node", "nodes": 5, "seed": 42, "time": format!("{seconds}s"),
            "workload": {"name": "register", "keys": 40, "rate": rate}, "faults": ["kill", "pause", "partition"],
            "schedule": [{"at": "5s", "kind": "kill"}]}),
    );
    json(
        "environment.json",
        serde_json::json!({"version": 1, "kernel": "6.1.0", "docker": {"version": "20.10.24", "api": "1.41"},
            "images": {"node": "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"}}),
    );
}

fn faults(seconds: u64, rng: &mut StdRng) -> Vec<Record> {
    let shapes = [
        (fault::Kind::Partition, "leader alone", 1),
        (fault::Kind::Kill, "one", 1),
        (fault::Kind::Pause, "minority", 2),
        (fault::Kind::Partition, "majorities-ring", 5),
        (fault::Kind::Kill, "leader", 1),
        (fault::Kind::Partition, "halves", 2),
    ];
    let mut records = Vec::new();
    for number in 0..(seconds / 5).saturating_sub(1) {
        let (kind, what, size) = shapes[number as usize % shapes.len()];
        let first = rng.random_range(1..=5_u64);
        let nodes: Vec<String> =
            (0..size).map(|i| format!("n{}", (first + i - 1) % 5 + 1)).collect();
        let asked = (number + 1) * 5 * S - 3 * S;
        let confirmed = asked + rng.random_range(60..400) * MS;
        let heal = asked + rng.random_range(2500..7000) * MS;
        for (phase, time) in [
            (Phase::Requested, asked),
            (Phase::Applied, asked + 12 * MS),
            (Phase::Confirmed, confirmed),
            (Phase::HealRequested, heal),
            (Phase::Healed, heal + rng.random_range(40..900) * MS),
        ] {
            let detail = match (phase, kind) {
                (Phase::Confirmed, fault::Kind::Partition) => {
                    let counter = Counter {
                        node: "n3".into(),
                        rule: "-A RAFT-IN -s 198.18.0.4".into(),
                        packets: 118,
                        bytes: Some(9912),
                    };
                    let probes_failed = vec![Link { from: 1, to: 3 }];
                    Some(Detail::Dropped { probes_failed, counters: vec![counter] })
                }
                (Phase::Applied, fault::Kind::Partition) => {
                    let rules =
                        ["-A RAFT-IN -s 198.18.0.4 -j DROP", "-A RAFT-OUT -d 198.18.0.4 -j DROP"];
                    let rules = rules.map(str::to_owned).to_vec();
                    let how = Some(How::Rules { rules, skew_us: Some(4219) });
                    Some(Detail::Applied(Applied { how, ..Applied::default() }))
                }
                (Phase::Confirmed, _) => {
                    let ended = Ended {
                        boot: 1,
                        exit_code: 137,
                        unanswered: "no answer within 300 ms".into(),
                        unsynced_sectors: None,
                    };
                    Some(Detail::Ended([("n1".to_owned(), ended)].into()))
                }
                _ => None,
            };
            records.push(Record {
                fault: number as usize,
                time: time.min(seconds * S),
                phase,
                version: Version,
                kind,
                what: what.into(),
                nodes: nodes.clone(),
                links: Vec::new(),
                leader: Some("n1".into()),
                severs_leader: false,
                observed: Observed::default(),
                detail,
            });
        }
    }
    records.sort_by_key(|r| (r.time, r.fault, r.phase));
    records
}

fn history(dir: &Path, seconds: u64, rate: u64, outages: &[(u64, u64)], rng: &mut StdRng) {
    let clients = 16_u64;
    let mut next_process = clients;
    // (time of next action, process, invocation)
    let mut state: Vec<(u64, u64, Option<Event>)> =
        (0..clients).map(|p| (p * S / rate.max(1), p, None)).collect();
    let (mut lines, mut index, mut value) = (String::new(), 0, 0);
    loop {
        let who = (0..state.len()).min_by_key(|i| state[*i].0).unwrap();
        let (time, process, open) = state[who].clone();
        if time >= seconds * S {
            break;
        }
        let mut event = match open {
            None => {
                value += 1;
                let (f, value) = match rng.random_range(0..10) {
                    0..5 => (Function::Read, Value::Nil),
                    5..9 => (Function::Write, Value::Int(value)),
                    _ => (Function::Cas, Value::Pair(Some(value - 9), value)),
                };
                Event {
                    index,
                    time,
                    process,
                    kind: Kind::Invoke,
                    f,
                    key: format!("k{}", rng.random_range(0..40)),
                    value,
                    error: None,
                    node: Some(format!("n{}", process % 5 + 1)),
                    revision: None,
                }
            }
            Some(event) => Event { kind: Kind::Ok, index, time, ..event },
        };
        if event.kind == Kind::Invoke {
            let latency = (1.5 + 3.0 * rng.random::<f64>().powi(6) * 8.0) * MS as f64;
            let mut end = time + latency as u64;
            if let Some((_, to)) = outages.iter().find(|(from, to)| end >= *from && end < *to) {
                end = (time + 400 * MS).max(end).min(to + 3 * MS);
            }
            state[who] = (end, process, Some(event.clone()));
        } else {
            let refused = outages.iter().any(|(from, to)| time >= *from && time < *to);
            if refused && rng.random_range(0..3) == 0 {
                event.kind = Kind::Fail;
                event.error = Some("unavailable: no leader".into());
            } else if refused {
                event.kind = Kind::Info;
                event.error = Some("deadline exceeded: no reply within 400 ms".into());
            } else if event.f == Function::Cas && rng.random_range(0..3) > 0 {
                event.kind = Kind::Fail;
                event.error = Some("mismatch".into());
            } else if event.f == Function::Read {
                event.value = Value::Int(value);
            }
            let mut process = process;
            if event.kind == Kind::Info {
                process = next_process;
                next_process += 1;
            }
            let pause = clients * S / rate.max(1);
            state[who] = (time + rng.random_range(pause / 2..pause.max(2) * 3 / 2), process, None);
        }
        index += 1;
        let _ = writeln!(lines, "{}", serde_json::to_string(&event).unwrap());
    }
    fs::write(dir.join("history.jsonl"), lines).unwrap();
}

fn traces(dir: &Path, seconds: u64, faults: &[Record], outages: &[(u64, u64)]) {
    fs::create_dir_all(dir.join("trace")).unwrap();
    let last = Position::default();
    for node in 1..=5_u64 {
        let mut events = vec![(
            0,
            trace::Event::Started { term: 0, vote: None, last, voters: vec![1, 2, 3, 4, 5] },
        )];
        let mut role = |time, term, role, leader| {
            events.push((time, trace::Event::Term { term }));
            events.push((time, trace::Event::Role { term, role, leader, last }));
        };
        let leads = |term: u64| term % 5 + 1;
        if leads(1) == node {
            role(100 * MS, 1, Role::Candidate, None);
            role(120 * MS, 1, Role::Leader, Some(node));
        }
        role(
            130 * MS,
            1,
            if leads(1) == node { Role::Leader } else { Role::Follower },
            Some(leads(1)),
        );
        for (i, (from, to)) in outages.iter().enumerate() {
            let term = i as u64 + 2;
            if leads(term) == node {
                role(from + (to - from) / 2, term, Role::Candidate, None);
                role(to - 20 * MS, term, Role::Leader, Some(node));
            } else {
                role(to - 10 * MS, term, Role::Follower, Some(leads(term)));
            }
        }
        for record in faults {
            if record.kind == fault::Kind::Kill
                && record.phase == Phase::HealRequested
                && record.nodes.contains(&format!("n{node}"))
            {
                let term = 1 + outages.iter().filter(|(_, to)| *to < record.time).count() as u64;
                let voters = vec![1, 2, 3, 4, 5];
                events
                    .push((record.time, trace::Event::Started { term, vote: None, last, voters }));
            }
        }
        events.push((seconds * S, trace::Event::Stopped {}));
        events.sort_by_key(|(time, _)| *time);
        let mut lines = String::new();
        for (seq, (time, event)) in events.into_iter().enumerate() {
            let (boot, seq) = (1, seq as u64);
            let record = trace::Record { node, boot, seq, clock: time, time: EPOCH + time, event };
            lines += &serde_json::to_string(&record).unwrap();
            lines.push('\n');
        }
        fs::write(dir.join(format!("trace/n{node}.jsonl")), lines).unwrap();
    }
}

fn verdict(found: Found) -> Verdict {
    let held = |name: &str, detail: &str| Property {
        name: name.into(),
        outcome: Outcome::Ok,
        detail: detail.into(),
        violations: Vec::new(),
    };
    let mut properties = vec![
        held("linearizability", "58,204 operations on 40 keys"),
        held("election-safety", "9 leaders in 9 terms"),
        held("log-matching", "31,004 entries in 5 logs"),
        held("leader-completeness", "9 leaders"),
        held("state-machine-safety", "31,004 entries applied by 5 nodes"),
        held("recovery", "served again 0.4 s after the last heal"),
    ];
    if found == Found::Nothing {
        return Verdict {
            version: Version,
            outcome: Outcome::Ok,
            summary: "All 6 properties held.".into(),
            properties,
            fold: None,
            not_tested: Vec::new(),
            not_judged: Vec::new(),
        };
    }
    properties[0].outcome = Outcome::Violated;
    properties[0].violations = vec![Violation {
        rule: "linearizability".into(),
        summary: "Process 3 read 17 from key k4 at n3, although process 5 had already read 21, which was written later.".into(),
        nodes: vec!["n3".into()],
        operations: vec![41, 44, 52, 53, 60],
        refutation: None,
        trace: vec![trace::Record {
            node: 3,
            boot: 1,
            seq: 9,
            clock: 12,
            time: EPOCH + 400 * MS,
            event: trace::Event::ReadConfirmed { term: 1, index: 7, by: vec![3] },
        }],
    }];
    Verdict {
        version: Version,
        outcome: Outcome::Violated,
        summary: "Linearizability was violated: 1 read on key k4 returned a value that had been overwritten.".into(),
        properties,
        fold: None,
        not_tested: vec!["delete".into(), "range limit".into()],
        not_judged: Vec::new(),
    }
}
