//! How many trace lines a second the checker parses and judges. `cargo bench -p checker --bench trace`
//!
//! The traces are those of five nodes that replicate a log, with a new leader every thousand
//! entries and a follower's restart every ten thousand. One thread; time is its processor time, so
//! that other programs disturb little. Without `--bench`, as `cargo test` runs it, it is a hundredth
//! of the size, to see that it works.

use std::{error::Error, fs, time::Duration};

use checker::{
    evidence::{self, Run},
    raft,
    verdict::{Outcome, Property},
};
use cpu_time::ThreadTime;
use proto::trace::{Event, Hash, Position, Record, Role};

const NODES: u64 = 5;
const ENTRIES: u64 = 100_000;
/// Each part is measured so often, and its fastest time counts.
const ROUNDS: usize = 3;

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
    let files = evidence::sizes(directory.path())?;
    let run = Run { traced: true, nodes: made.len(), files, ..Run::default() };
    fs::write(directory.path().join("run.json"), serde_json::to_vec(&run)?)?;

    let lines = made.iter().map(Vec::len).sum::<usize>();
    let bytes = texts.iter().map(String::len).sum::<usize>();
    println!("{lines} lines, {:.0} MB; one thread, the fastest of {ROUNDS}", bytes as f64 / 1e6);
    let say = |what: &str, time: Duration| {
        let rate = lines as f64 / time.as_secs_f64() / 1e6;
        println!("{what:<26}{:>7.0} ms {rate:>8.2} million lines/s", time.as_secs_f64() * 1e3);
    };
    let serde = fastest(|| read(&texts, |line| serde_json::from_slice(line)))?.0;
    say("parse, any JSON", serde);
    let parse = fastest(|| {
        read(&texts, |line| Record::scan(line).map_or_else(|| serde_json::from_slice(line), Ok))
    })?
    .0;
    say("parse, as nodes write it", parse);
    let (check, properties) = fastest(|| Ok(raft::check(&made, &run)))?;
    say("check", check);
    say("parse + check", parse + check);
    drop(made);
    drop(texts);
    let (whole, found) = fastest(|| {
        let evidence = evidence::load(directory.path())?;
        assert_eq!(evidence.run.incomplete, Vec::<String>::new());
        Ok(raft::check(&evidence.traces, &evidence.run))
    })?;
    say("a run directory, all", whole);
    assert_eq!(found, properties);
    for Property { name, outcome, detail, .. } in properties {
        assert_eq!(outcome, Outcome::Ok, "{name}: {detail}");
        println!("    {name}: {detail}");
    }
    Ok(())
}

fn read(
    texts: &[String],
    record: impl Fn(&[u8]) -> serde_json::Result<Record>,
) -> Result<Vec<Vec<Record>>, Box<dyn Error>> {
    let trace = |text: &String| text.lines().map(|line| record(line.as_bytes())).collect();
    Ok(texts.iter().map(trace).collect::<Result<_, _>>()?)
}

/// The least processor time that `work` takes, and what it gives.
fn fastest<T>(
    mut work: impl FnMut() -> Result<T, Box<dyn Error>>,
) -> Result<(Duration, T), Box<dyn Error>> {
    let mut timed = || {
        let begun = ThreadTime::now();
        let done = work()?;
        Ok::<_, Box<dyn Error>>((begun.elapsed(), done))
    };
    let mut best = timed()?;
    for _ in 1..ROUNDS {
        let next = timed()?;
        if next.0 < best.0 {
            best = next;
        }
    }
    Ok(best)
}
