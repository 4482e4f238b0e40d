//! How many trace lines a second the checker parses and judges. `cargo bench -p checker --bench trace`
//!
//! The traces are those of five nodes that replicate a log, with a new leader every thousand
//! entries and a follower's restart every ten thousand.

use std::{error::Error, time::Instant};

use checker::{
    evidence::Run,
    raft,
    verdict::{Outcome, Property},
};
use proto::trace::{Event, Hash, Position, Record, Role};

const NODES: u64 = 5;
const ENTRIES: u64 = 100_000;

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

fn traces() -> Vec<Vec<Record>> {
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
    for index in 1..=ENTRIES {
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
}

fn main() -> Result<(), Box<dyn Error>> {
    let made = traces();
    let lines: u64 = made.iter().map(|trace| trace.len() as u64).sum();
    let texts: Vec<String> = made
        .iter()
        .map(|trace| trace.iter().map(|r| serde_json::to_string(r).map(|l| l + "\n")).collect())
        .collect::<Result<_, _>>()?;
    let bytes: usize = texts.iter().map(String::len).sum();
    drop(made);

    let start = Instant::now();
    let traces: Vec<Vec<Record>> = texts
        .iter()
        .map(|text| text.lines().map(serde_json::from_str).collect())
        .collect::<Result<_, _>>()?;
    report("parse", lines, start);
    println!("        {:.0} MB", bytes as f64 / 1e6);

    let run = Run { traced: true, nodes: traces.len(), ..Run::default() };
    let start = Instant::now();
    let properties = raft::check(&traces, &run);
    report("check", lines, start);
    for Property { name, outcome, detail, .. } in properties {
        assert_eq!(outcome, Outcome::Ok, "{name}: {detail}");
        println!("        {name}: {detail}");
    }
    Ok(())
}

fn report(what: &str, lines: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let rate = lines as f64 / seconds / 1e6;
    println!("{what}: {lines} lines in {seconds:.2} s, {rate:.2} million lines/s");
}
