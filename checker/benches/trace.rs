//! How many trace lines a second the checker parses and judges, against what it must. Prints a
//! table; asserts the verdicts, and no times. `cargo bench -p checker --bench trace`
//!
//! The traces are those of five nodes that replicate a log, with a new leader every thousand
//! entries and a follower's restart every ten thousand. Times are medians of the thread's processor
//! time; memory is what the work holds beside what was there before, what it gives included.
//! Without `--bench`, as `cargo test` runs it, it is a hundredth of the size, to see that it works.

mod measure;

use std::{error::Error, fs};

use checker::{
    evidence::{
        self, Run,
        sums::{self, Digest, Sums},
    },
    raft,
    verdict::{Outcome, Property},
};
use measure::report::{Report, within};
use proto::trace::{Event, Hash, Position, Record, Role};

const NODES: u64 = 5;
const ENTRIES: u64 = 100_000;
/// Each part is measured so often.
const ROUNDS: usize = 5;

#[derive(Default)]
struct Cluster {
    clock: u64,
    traces: Vec<Vec<Record>>,
    boots: Vec<(u64, u64)>,
}

impl Cluster {
    fn say(&mut self, node: u64, event: Event) {
        self.clock += 1;
        let at = (node - 1) as usize;
        let (boot, seq) = &mut self.boots[at];
        if let Event::Started { .. } = event {
            (*boot, *seq) = (*boot + 1, 0);
        }
        let (boot, clock) = (*boot, self.clock);
        self.traces[at].push(Record { node, boot, seq: *seq, clock, time: clock, event });
        *seq += 1;
    }
}

fn traces(entries: u64) -> Vec<Vec<Record>> {
    let mut cluster = Cluster {
        clock: 0,
        traces: vec![Vec::new(); NODES as usize],
        boots: vec![(0, 0); NODES as usize],
    };
    let voters: Vec<u64> = (1..=NODES).collect();
    let mut last = Position::default();
    for &node in &voters {
        cluster.say(node, Event::Started { term: 0, vote: None, last, voters: voters.clone() });
    }
    let (mut term, mut leader) = (0, 1);
    for index in 1..=entries {
        if index % 1000 == 1 {
            (term, leader) = (term + 1, term % NODES + 1);
            elect(&mut cluster, term, leader, last);
        }
        let prev = last;
        let hash = Hash((prev.hash.0 ^ index).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        last = Position { index, term, hash };
        let others: Vec<u64> = voters.iter().copied().filter(|node| *node != leader).collect();
        cluster.say(leader, Event::Appended { prev, entries: vec![(term, hash)] });
        for &node in &others {
            cluster.say(node, Event::Appended { prev, entries: vec![(term, hash)] });
            cluster.say(node, Event::Durable { term, vote: Some(leader), last });
            cluster.say(node, Event::Acknowledged { term, leader, last });
        }
        cluster.say(leader, Event::Durable { term, vote: Some(leader), last });
        let matched = Some(voters.iter().map(|node| (*node, index)).collect());
        cluster.say(leader, Event::Committed { term, last, matched });
        cluster.say(leader, Event::Applied { last, state: hash });
        cluster.say(leader, Event::Answered { index });
        for &node in &others {
            cluster.say(node, Event::Committed { term, last, matched: None });
            cluster.say(node, Event::Applied { last, state: hash });
        }
        if index % 10_000 == 500 {
            let (node, vote, voters) = (others[0], Some(leader), voters.clone());
            cluster.say(node, Event::Started { term, vote, last, voters });
            cluster
                .say(node, Event::Role { term, role: Role::Follower, leader: Some(leader), last });
        }
    }
    cluster.traces
}

fn elect(cluster: &mut Cluster, term: u64, leader: u64, last: Position) {
    let vote = Some(leader);
    cluster.say(leader, Event::Term { term });
    cluster.say(leader, Event::Voted { term, candidate: leader });
    cluster.say(leader, Event::Role { term, role: Role::Candidate, leader: None, last });
    cluster.say(leader, Event::Durable { term, vote, last });
    for node in (1..=NODES).filter(|node| *node != leader) {
        cluster.say(node, Event::Term { term });
        cluster.say(node, Event::Voted { term, candidate: leader });
        cluster.say(node, Event::Durable { term, vote, last });
        cluster.say(node, Event::Granted { term, candidate: leader });
    }
    cluster.say(leader, Event::Role { term, role: Role::Leader, leader: vote, last });
    for node in (1..=NODES).filter(|node| *node != leader) {
        cluster.say(node, Event::Role { term, role: Role::Follower, leader: vote, last });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let made = traces(if measured { ENTRIES } else { ENTRIES / 100 });
    let directory = tempfile::tempdir()?;
    fs::create_dir(directory.path().join("trace"))?;
    let mut texts = Vec::new();
    for trace in &made {
        let lines = trace.iter().map(|record| serde_json::to_string(record).map(|l| l + "\n"));
        let text: String = lines.collect::<Result<_, _>>()?;
        let node = texts.len() + 1;
        fs::write(directory.path().join(format!("trace/n{node}.jsonl")), &text)?;
        texts.push(text);
    }
    fs::write(directory.path().join("history.jsonl"), "")?;
    fs::write(directory.path().join("faults.jsonl"), "")?;
    let run = Run { traced: true, nodes: made.len(), ..Run::default() };
    let said = serde_json::to_vec(&run)?;
    fs::write(directory.path().join("run.json"), &said)?;
    let mut sums = Sums::default();
    for (name, bytes) in [("history.jsonl", &b""[..]), ("faults.jsonl", b""), ("run.json", &said)] {
        sums.0.insert(name.to_owned(), Digest::of(bytes));
    }
    for (number, text) in (1..).zip(&texts) {
        sums.0.insert(format!("trace/n{number}.jsonl"), Digest::of(text.as_bytes()));
    }
    fs::write(directory.path().join(sums::NAME), sums.to_string())?;

    let lines = made.iter().map(Vec::len).sum::<usize>();
    let bytes = texts.iter().map(String::len).sum::<usize>();
    println!("{lines} lines, {:.0} MB", bytes as f64 / 1e6);
    let mut report = Report::new("traces", "lines");
    // A million lines a second, better two.
    let target = within((lines as f64 / 1e3).round(), (lines as f64 / 2e3).round());
    let parsed = |found: &Result<Vec<Vec<Record>>, Box<dyn Error>>| {
        if found.is_ok() { String::new() } else { "not read".into() }
    };
    report.measure(
        "parsed as any JSON",
        lines,
        None,
        ROUNDS,
        || read(&texts, |line| serde_json::from_slice(line)),
        parsed,
    )?;
    report.measure(
        "parsed as nodes write it",
        lines,
        None,
        ROUNDS,
        || read(&texts, |line| Record::scan(line).map_or_else(|| serde_json::from_slice(line), Ok)),
        parsed,
    )?;
    let check = || raft::check(&made, &run);
    let properties =
        report.measure("checked", lines, None, ROUNDS, check, |found| outcome(found).to_string());
    drop(made);
    drop(texts);
    let found = report.measure(
        "a run directory, read, parsed and checked",
        lines,
        target,
        ROUNDS,
        || {
            let evidence = evidence::load(directory.path())?;
            assert_eq!(evidence.run.incomplete, Vec::<String>::new());
            Ok::<_, evidence::Error>(raft::check(&evidence.traces, &evidence.run))
        },
        |found| found.as_deref().map_or_else(ToString::to_string, |it| outcome(it).to_string()),
    )?;
    assert_eq!(found, properties);
    println!("{}", report.0);
    for Property { name, outcome, detail, .. } in properties {
        assert_eq!(outcome, Outcome::Ok, "{name}: {detail}");
        println!("    {name}: {detail}");
    }
    Ok(())
}

/// The worst of all.
fn outcome(properties: &[Property]) -> Outcome {
    properties.iter().map(|property| property.outcome).max().unwrap_or(Outcome::Unknown)
}

fn read(
    texts: &[String],
    record: impl Fn(&[u8]) -> serde_json::Result<Record>,
) -> Result<Vec<Vec<Record>>, Box<dyn Error>> {
    let trace = |text: &String| text.lines().map(|line| record(line.as_bytes())).collect();
    Ok(texts.iter().map(trace).collect::<Result<_, _>>()?)
}
