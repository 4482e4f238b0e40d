//! A small language for traces that people write by hand: a step a line, in the order of cause.
//!
//! ```text
//! voters 3                 how many nodes, first line; all start
//! elect n1 2 n2 n3         n1 stands in term 2, n2 and n3 vote for it, it leads; if it is not
//!                          in term 1 by then, it enters that first
//! send n1 n2               n2 takes over the log of its leader n1, syncs and acknowledges
//! n1 append 2 2x           two entries of term 2; the letter makes another payload
//! n1 durable 4             durable up to index 4; without a number, the whole log
//! n1 commit 4 n1=4 n2=4    a leader's commit with its matches; a follower's has none
//! n2 restart log=1,1       n2 comes back with two entries of term 1
//! ```
//!
//! Also: `term T`, `vote nX`, `candidate`, `leader`, `follow nX`, `follower`, `cut I`, `grant nX`,
//! `ack nX [I]`, `apply I`, `answer I`, `read I nX nY`, `stop`. Options: `term=T` lets a step claim
//! another term than its node's, `vote=nX|none` another vote, `leader=nX|none` another leader,
//! `log=…` another log (by the terms of its entries), `state=S` another digest.

use std::collections::BTreeMap;

use checker::{
    evidence::Run,
    raft,
    verdict::{Outcome, Property},
};
use proto::trace::{Event, Hash, Position, Record, Role};

#[derive(Clone, Default)]
struct Node {
    boot: u64,
    seq: u64,
    term: u64,
    vote: Option<u64>,
    following: Option<u64>,
    durable: (u64, Option<u64>),
    log: Vec<(u64, Hash)>,
}

/// Prefix hash of an entry with payload `letter` behind `prev`.
pub(crate) fn chain(prev: Hash, term: u64, letter: u64) -> Hash {
    Hash((prev.0 ^ (term << 8 | letter)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) + 1)
}

fn push(log: &mut Vec<(u64, Hash)>, word: &str) {
    let digits = word.trim_end_matches(char::is_alphabetic);
    let letter = word[digits.len()..].bytes().next().unwrap_or(b'a');
    let prev = log.last().map_or(Hash(0), |last| last.1);
    let term = digits.parse().unwrap();
    log.push((term, chain(prev, term, letter.into())));
}

fn position(log: &[(u64, Hash)], index: usize) -> Position {
    match index.checked_sub(1).map(|at| log[at]) {
        Some((term, hash)) => Position { index: index as u64, term, hash },
        None => Position::default(),
    }
}

/// The node named `n7`.
fn id(word: &str) -> u64 {
    word.strip_prefix('n').unwrap_or_else(|| panic!("{word} is no node")).parse().unwrap()
}

/// The traces that a script stands for.
pub(crate) fn traces(script: &str) -> Vec<Vec<Record>> {
    let mut world = World::default();
    for line in script.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        if !line.is_empty() {
            world.line(line);
        }
    }
    world.traces.into_values().collect()
}

#[derive(Default)]
struct World {
    nodes: BTreeMap<u64, Node>,
    traces: BTreeMap<u64, Vec<Record>>,
    clock: u64,
}

impl World {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "voters" => {
                for node in 1..=words[1].parse().unwrap() {
                    self.nodes.insert(node, Node::default());
                }
                for node in self.nodes.clone().into_keys() {
                    self.step(node, &["restart"]);
                }
            }
            "elect" => {
                let candidate = id(words[1]);
                let before = words[2].parse::<u64>().unwrap() - 1;
                if self.nodes[&candidate].term < before {
                    self.step(candidate, &["term", &before.to_string()]);
                }
                self.step(candidate, &["term", words[2]]);
                self.step(candidate, &["vote", words[1]]);
                self.step(candidate, &["candidate"]);
                self.step(candidate, &["durable"]);
                for voter in &words[3..] {
                    self.step(id(voter), &["term", words[2]]);
                    self.step(id(voter), &["vote", words[1]]);
                    self.step(id(voter), &["durable"]);
                    self.step(id(voter), &["grant", words[1]]);
                }
                self.step(candidate, &["leader"]);
            }
            "send" => self.send(words[1], id(words[2])),
            node => self.step(id(node), &words[1..]),
        }
    }

    fn send(&mut self, leader: &str, to: u64) {
        let from = self.nodes[&id(leader)].clone();
        if self.nodes[&to].term < from.term {
            self.step(to, &["term", &from.term.to_string()]);
        }
        if self.nodes[&to].following != Some(id(leader)) {
            self.step(to, &["follow", leader]);
        }
        let log = self.nodes[&to].log.clone();
        let same = log.iter().zip(&from.log).take_while(|(a, b)| a == b).count();
        if same < log.len() && same < from.log.len() {
            self.step(to, &["cut", &same.to_string()]);
        }
        if same < from.log.len() {
            let entries = from.log[same..].to_vec();
            let prev = position(&from.log, same);
            self.nodes.get_mut(&to).unwrap().log.extend(&entries);
            self.emit(to, Event::Appended { prev, entries });
        }
        self.step(to, &["durable"]);
        self.step(to, &["ack", leader, &from.log.len().to_string()]);
    }

    fn emit(&mut self, node: u64, event: Event) {
        self.clock += 1;
        let state = self.nodes.get_mut(&node).unwrap();
        let (boot, seq) = (state.boot, state.seq);
        state.seq += 1;
        let record = Record { node, boot, seq, clock: self.clock, time: self.clock, event };
        self.traces.entry(node).or_default().push(record);
    }

    fn step(&mut self, node: u64, words: &[&str]) {
        let voters: Vec<u64> = self.nodes.keys().copied().collect();
        let me = self.nodes.get_mut(&node).unwrap();
        let option = |name: &str| {
            words.iter().find_map(|word| word.split_once('=').filter(|o| o.0 == name)).map(|o| o.1)
        };
        let plain: Vec<&str> = words[1..]
            .iter()
            .copied()
            .filter(|word| word.starts_with('n') || !word.contains('='))
            .collect();
        let number = |at: usize| plain.get(at).map(|word| word.parse::<u64>().unwrap());
        let term = option("term").map_or(me.term, |term| term.parse().unwrap());
        let named = |name| option(name).map(|who| (who != "none").then(|| id(who)));
        let (vote, leader) = (named("vote"), named("leader"));
        let told = option("log").map(|terms| {
            let mut log = Vec::new();
            terms.split(',').filter(|t| !t.is_empty()).for_each(|term| push(&mut log, term));
            log
        });
        let shown = told.clone().unwrap_or_else(|| me.log.clone());
        let upto = |at: usize| position(&shown, number(at).map_or(shown.len(), |i| i as usize));
        let event = match words[0] {
            "restart" => {
                (me.boot, me.seq, me.following) = (me.boot + 1, 0, None);
                me.term = option("term").map_or(me.durable.0, |term| term.parse().unwrap());
                me.vote = vote.unwrap_or(me.durable.1);
                me.log = shown.clone();
                let last = position(&me.log, me.log.len());
                Event::Started { term: me.term, vote: me.vote, last, voters }
            }
            "term" => {
                me.term = number(0).unwrap();
                (me.vote, me.following) = (None, None);
                Event::Term { term: me.term }
            }
            "vote" => {
                me.vote = Some(id(plain[0]));
                Event::Voted { term, candidate: id(plain[0]) }
            }
            "candidate" => {
                let leader = leader.unwrap_or(None);
                Event::Role { term, role: Role::Candidate, leader, last: upto(0) }
            }
            "leader" => {
                let leader = leader.unwrap_or(Some(node));
                Event::Role { term, role: Role::Leader, leader, last: upto(0) }
            }
            "follow" => {
                me.following = Some(id(plain[0]));
                Event::Role { term, role: Role::Follower, leader: me.following, last: upto(1) }
            }
            "follower" => Event::Role { term, role: Role::Follower, leader: None, last: upto(0) },
            "append" => {
                let prev = position(&shown, shown.len());
                me.log = shown.clone();
                plain.iter().for_each(|word| push(&mut me.log, word));
                Event::Appended { prev, entries: me.log[shown.len()..].to_vec() }
            }
            "cut" => {
                me.log.truncate(number(0).unwrap() as usize);
                Event::Truncated { last: position(&me.log, me.log.len()) }
            }
            "durable" => {
                me.durable = (term, vote.unwrap_or(me.vote));
                Event::Durable { term, vote: me.durable.1, last: upto(0) }
            }
            "grant" => Event::Granted { term, candidate: id(plain[0]) },
            "ack" => Event::Acknowledged { term, leader: id(plain[0]), last: upto(1) },
            "commit" => {
                let matched: Vec<_> = plain[1..]
                    .iter()
                    .map(|word| word.split_once('=').unwrap())
                    .map(|(voter, index)| (id(voter), index.parse().unwrap()))
                    .collect();
                let matched = (!matched.is_empty()).then_some(matched);
                Event::Committed { term, last: upto(0), matched }
            }
            "apply" => {
                let last = upto(0);
                let state = option("state").map_or(!last.hash.0, |state| state.parse().unwrap());
                Event::Applied { last, state: Hash(state) }
            }
            "answer" => Event::Answered { index: number(0).unwrap() },
            "read" => {
                let by = plain[1..].iter().map(|word| id(word)).collect();
                Event::ReadConfirmed { term, index: number(0).unwrap(), by }
            }
            "stop" => Event::Stopped {},
            other => panic!("no such step: {other}"),
        };
        self.emit(node, event);
    }
}

/// What the checker says of traces.
pub(crate) fn properties(traces: &[Vec<Record>]) -> Vec<Property> {
    let run = Run { nodes: traces.len(), traced: true, ..Run::default() };
    raft::check(traces, &run)
}

/// Asserts that every rule held.
#[track_caller]
pub(crate) fn holds(script: &str) {
    for property in properties(&traces(script)) {
        assert_eq!(property.outcome, Outcome::Ok, "{property:#?}");
    }
}

/// Asserts that this rule alone was violated, once, and what the verdict says of it.
#[track_caller]
pub(crate) fn violates(rule: &str, summary: &str, script: &str) {
    finds(&[(rule, summary)], script);
}

/// Asserts that exactly these rules were violated, in order of rules, and what the verdict says.
#[track_caller]
pub(crate) fn finds(expected: &[(&str, &str)], script: &str) {
    let properties = properties(&traces(script));
    let violations: Vec<_> = properties.iter().flat_map(|p| &p.violations).collect();
    let found: Vec<_> = violations.iter().map(|v| (&*v.rule, &*v.summary)).collect();
    assert_eq!(found, expected);
    for property in &properties {
        let broken = expected.iter().any(|(rule, _)| *rule == property.name);
        let outcome = if broken { Outcome::Violated } else { Outcome::Ok };
        assert_eq!(property.outcome, outcome, "{property:#?}");
    }
    for violation in violations {
        assert!(!violation.nodes.is_empty() && !violation.trace.is_empty());
    }
}
