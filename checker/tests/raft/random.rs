//! Random runs: a small model of Raft that loses messages, restarts nodes and delays everything,
//! with its steps observed in random causal order. No rule may ever complain of a correct run;
//! and with a bug put into the model, some rule must.

use std::collections::{BTreeMap, BTreeSet};

use checker::{
    evidence::Run,
    raft::{self, Checker, Passed},
    verdict::{Outcome, Property},
};
use proptest::prelude::*;
use proto::trace::{Event, Hash, Position, Record, Role};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::script::chain;

type Entries = Vec<(u64, Hash)>;

fn position(log: &Entries, index: usize) -> Position {
    match index.checked_sub(1) {
        Some(at) => Position { index: index as u64, term: log[at].0, hash: log[at].1 },
        None => Position::default(),
    }
}

/// What a disk holds: term, vote, log.
#[derive(Clone, Default)]
struct Disk {
    term: u64,
    vote: Option<u64>,
    log: Entries,
}

#[derive(Clone)]
enum Body {
    Ask { last: Position },
    Vote,
    Append { prev: Position, entries: Entries, commit: usize },
    Ack { index: usize },
}

#[derive(Clone)]
struct Message {
    from: u64,
    to: u64,
    term: u64,
    clock: u64,
    body: Body,
}

/// What is wrong with the model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// Replies leave before the sync.
    EarlyReply,
    /// A crash loses what was synced.
    LostWrites,
    /// A vote for every candidate that asks.
    VoteForAll,
    /// Votes ignore how up to date the candidate is.
    VoteIgnoresLog,
    /// A candidate counts a vote of an earlier term.
    StaleVote,
    /// Half the voters are enough.
    HalfQuorum,
    /// Entries of earlier terms are committed by counting (figure 8).
    CommitOldTerm,
    /// A follower commits what it did not compare with the leader's log.
    CommitUnverified,
    /// Any append replaces all that follows it, so that a late one removes entries.
    TruncateAlways,
    /// A candidate that waited in vain stands again in its term.
    StandAgain,
    /// A candidate that finds a leader forgets its vote.
    ForgetVote,
}

struct Node {
    id: u64,
    bug: Bug,
    /// How far the clock goes on at each step.
    pace: u64,
    boot: u64,
    seq: u64,
    clock: u64,
    disk: Disk,
    /// States that the disk goes through until the next sync, oldest first.
    writes: Vec<Disk>,
    now: Disk,
    role: Role,
    leader: Option<u64>,
    votes: BTreeSet<u64>,
    matched: BTreeMap<u64, usize>,
    durable: usize,
    commit: usize,
    applied: usize,
    /// Prefix hashes of the entries that clients of this boot wait for.
    asked: BTreeSet<(u64, Hash)>,
    /// Waits for the next sync.
    outbox: Vec<Message>,
    trace: Vec<Record>,
}

impl Node {
    fn new(id: u64, bug: Bug, pace: u64) -> Self {
        Self {
            id,
            bug,
            pace,
            boot: 0,
            seq: 0,
            clock: 0,
            disk: Disk::default(),
            writes: Vec::new(),
            now: Disk::default(),
            role: Role::Follower,
            leader: None,
            votes: BTreeSet::new(),
            matched: BTreeMap::new(),
            durable: 0,
            commit: 0,
            applied: 0,
            asked: BTreeSet::new(),
            outbox: Vec::new(),
            trace: Vec::new(),
        }
    }

    fn say(&mut self, event: Event) {
        self.clock += self.pace;
        let (boot, seq) = (self.boot, self.seq);
        self.trace.push(Record { node: self.id, boot, seq, clock: self.clock, time: 0, event });
        self.seq += 1;
    }

    fn last(&self) -> Position {
        position(&self.now.log, self.now.log.len())
    }

    fn start(&mut self, voters: u64, random: &mut impl Rng) {
        // The disk is in any state that it went through since the last sync.
        if !self.writes.is_empty() {
            let lucky = random.random_range(0..=self.writes.len());
            if let Some(state) = lucky.checked_sub(1).map(|at| self.writes[at].clone()) {
                self.disk = state;
            }
        }
        if self.bug == Bug::LostWrites {
            self.disk.log.pop();
        }
        self.writes.clear();
        self.outbox.clear();
        self.asked.clear();
        self.now = self.disk.clone();
        (self.role, self.leader, self.commit, self.applied) = (Role::Follower, None, 0, 0);
        (self.boot, self.seq) = (self.boot + 1, 0);
        let (term, vote, last) = (self.now.term, self.now.vote, self.last());
        self.durable = 0;
        self.say(Event::Started { term, vote, last, voters: (1..=voters).collect() });
        self.writes.push(self.now.clone());
    }

    /// Everything up to now becomes durable; replies that waited for it leave.
    fn sync(&mut self, network: &mut Vec<Message>) {
        if self.writes.is_empty() {
            return;
        }
        self.writes.clear();
        self.disk = self.now.clone();
        self.durable = self.now.log.len();
        let (term, vote, last) = (self.now.term, self.now.vote, self.last());
        self.say(Event::Durable { term, vote, last });
        self.reply(network);
    }

    fn reply(&mut self, network: &mut Vec<Message>) {
        let term = self.now.term;
        for mut message in std::mem::take(&mut self.outbox) {
            let removed = matches!(message.body, Body::Ack { index } if index > self.now.log.len());
            if message.term != self.now.term || removed {
                continue;
            }
            match message.body {
                Body::Vote => self.say(Event::Granted { term, candidate: message.to }),
                Body::Ack { index } => {
                    let last = position(&self.now.log, index);
                    self.say(Event::Acknowledged { term, leader: message.to, last });
                }
                Body::Ask { .. } => {
                    self.votes.insert(self.id);
                }
                Body::Append { .. } => {}
            }
            message.clock = self.clock;
            if message.to != self.id {
                network.push(message);
            }
        }
    }

    fn enter(&mut self, term: u64) {
        if term > self.now.term {
            self.now.term = term;
            self.now.vote = None;
            self.say(Event::Term { term });
            self.writes.push(self.now.clone());
            let demoted = self.role != Role::Follower || self.leader.is_some();
            (self.role, self.leader) = (Role::Follower, None);
            if demoted {
                let last = self.last();
                self.say(Event::Role { term, role: Role::Follower, leader: None, last });
            }
        }
    }

    fn vote(&mut self, candidate: u64) {
        self.now.vote = Some(candidate);
        self.say(Event::Voted { term: self.now.term, candidate });
        self.writes.push(self.now.clone());
    }

    fn stand(&mut self, voters: u64) {
        if self.bug != Bug::StandAgain || self.role != Role::Candidate {
            (self.role, self.leader) = (Role::Follower, None);
            self.enter(self.now.term + 1);
            self.vote(self.id);
        }
        self.role = Role::Candidate;
        self.votes.clear();
        let (term, last) = (self.now.term, self.last());
        self.say(Event::Role { term, role: Role::Candidate, leader: None, last });
        for to in 1..=voters {
            let body = Body::Ask { last };
            self.outbox.push(Message { from: self.id, to, term, clock: 0, body });
        }
    }

    fn lead(&mut self, voters: u64) {
        if self.role == Role::Candidate && self.quorum(self.votes.len(), voters) {
            (self.role, self.leader) = (Role::Leader, Some(self.id));
            self.matched = (1..=voters).map(|id| (id, 0)).collect();
            let (term, last) = (self.now.term, self.last());
            self.say(Event::Role { term, role: Role::Leader, leader: self.leader, last });
            self.propose();
        }
    }

    fn quorum(&self, votes: usize, voters: u64) -> bool {
        let bonus = u64::from(self.bug == Bug::HalfQuorum);
        votes as u64 * 2 + bonus > voters
    }

    fn propose(&mut self) {
        let (term, prev) = (self.now.term, self.last());
        let hash = chain(prev.hash, term, self.clock);
        self.now.log.push((term, hash));
        self.asked.insert((self.now.term, hash));
        self.say(Event::Appended { prev, entries: vec![(term, hash)] });
        self.writes.push(self.now.clone());
    }

    fn commit(&mut self, voters: u64) {
        if self.role != Role::Leader {
            return;
        }
        self.matched.insert(self.id, self.durable);
        let mut matched: Vec<_> = self.matched.values().copied().collect();
        matched.sort_unstable();
        let quorum = matched[(voters as usize - 1) / 2];
        if quorum > self.commit
            && (self.now.log[quorum - 1].0 == self.now.term || self.bug == Bug::CommitOldTerm)
        {
            self.commit = quorum;
            let last = position(&self.now.log, quorum);
            let matched = self.matched.iter().map(|(id, index)| (*id, *index as u64)).collect();
            self.say(Event::Committed { term: self.now.term, last, matched: Some(matched) });
        }
    }

    fn apply(&mut self, random: &mut impl Rng) {
        let end = self.commit.min(self.now.log.len());
        if self.applied < end {
            self.applied = random.random_range(self.applied + 1..=end);
            let last = position(&self.now.log, self.applied);
            self.say(Event::Applied { last, state: Hash(!last.hash.0) });
            // The hashes of the model are short: another term may have made the same one.
            if self.asked.remove(&(last.term, last.hash)) {
                self.say(Event::Answered { index: last.index });
            }
        }
    }

    fn receive(&mut self, message: Message, voters: u64) {
        self.clock = self.clock.max(message.clock);
        self.enter(message.term);
        if message.term < self.now.term {
            if self.bug == Bug::StaleVote && matches!(message.body, Body::Vote) {
                self.votes.insert(message.from);
                self.lead(voters);
            }
            return;
        }
        let term = self.now.term;
        let reply = |body| Message { from: self.id, to: message.from, term, clock: 0, body };
        match message.body {
            Body::Ask { last } => {
                let mine = self.last();
                let fresh = (last.term, last.index) >= (mine.term, mine.index)
                    || self.bug == Bug::VoteIgnoresLog;
                let free = self.now.vote.is_none() || self.bug == Bug::VoteForAll;
                let reply = reply(Body::Vote);
                if free && fresh && self.role == Role::Follower {
                    self.vote(message.from);
                    self.outbox.push(reply);
                }
            }
            Body::Vote => {
                self.votes.insert(message.from);
                self.lead(voters);
            }
            Body::Append { prev, entries, commit } => {
                if self.bug == Bug::ForgetVote && self.role == Role::Candidate {
                    self.now.vote = None;
                    self.writes.push(self.now.clone());
                }
                if self.leader != Some(message.from) {
                    (self.role, self.leader) = (Role::Follower, Some(message.from));
                    let (leader, last) = (self.leader, self.last());
                    self.say(Event::Role { term, role: Role::Follower, leader, last });
                }
                let at = prev.index as usize;
                if at > self.now.log.len() || position(&self.now.log, at) != prev {
                    return;
                }
                let reply =
                    |body| Message { from: self.id, to: message.from, term, clock: 0, body };
                let last = at + entries.len();
                let reply = reply(Body::Ack { index: last });
                let mut same =
                    self.now.log[at..].iter().zip(&entries).take_while(|(a, b)| a == b).count();
                if self.bug == Bug::TruncateAlways {
                    same = 0;
                }
                if same < entries.len() {
                    if at + same < self.now.log.len() {
                        self.now.log.truncate(at + same);
                        self.durable = self.durable.min(at + same);
                        let last = self.last();
                        self.say(Event::Truncated { last });
                    }
                    let prev = self.last();
                    let new = entries[same..].to_vec();
                    for entry in &new {
                        self.now.log.push(*entry);
                        self.writes.push(self.now.clone());
                    }
                    self.say(Event::Appended { prev, entries: new });
                }
                self.outbox.push(reply);
                if self.writes.is_empty() {
                    self.writes.push(self.now.clone());
                }
                let verified =
                    if self.bug == Bug::CommitUnverified { self.now.log.len() } else { last };
                let commit = commit.min(verified);
                if commit > self.commit {
                    self.commit = commit;
                    let last = position(&self.now.log, commit);
                    self.say(Event::Committed { term, last, matched: None });
                }
            }
            Body::Ack { index } => {
                let known = self.matched.entry(message.from).or_default();
                *known = (*known).max(index);
                self.commit(voters);
            }
        }
    }

    fn replicate(&mut self, voters: u64, random: &mut impl Rng, network: &mut Vec<Message>) {
        for to in (1..=voters).filter(|to| *to != self.id) {
            let at = random.random_range(0..=self.now.log.len());
            let end = random.random_range(at..=self.now.log.len());
            let prev = position(&self.now.log, at);
            let entries = self.now.log[at..end].to_vec();
            let body = Body::Append { prev, entries, commit: self.commit };
            let (from, term, clock) = (self.id, self.now.term, self.clock);
            network.push(Message { from, to, term, clock, body });
        }
    }
}

/// A run: the trace of each node.
fn run(seed: u64, voters: u64, bug: Bug) -> Vec<Vec<Record>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut network: Vec<Message> = Vec::new();
    let mut nodes: Vec<Node> =
        (1..=voters).map(|id| Node::new(id, bug, random.random_range(1..50))).collect();
    nodes.iter_mut().for_each(|node| node.start(voters, &mut random));
    for _ in 0..2000 {
        let at = random.random_range(0..nodes.len());
        let node = &mut nodes[at];
        match random.random_range(0..100) {
            0..1 => node.start(voters, &mut random),
            1..3 => node.stand(voters),
            3..35 => {
                if bug == Bug::EarlyReply {
                    node.reply(&mut network);
                }
                node.sync(&mut network);
                node.lead(voters);
                node.commit(voters);
            }
            35..45 if node.role == Role::Leader => node.propose(),
            45..60 if node.role == Role::Leader => {
                node.replicate(voters, &mut random, &mut network);
            }
            60..65 => node.apply(&mut random),
            _ if !network.is_empty() => {
                // Lost, doubled, late, out of order.
                let at = random.random_range(0..network.len());
                let message = match random.random_range(0..10) {
                    0 => network[at].clone(),
                    _ => network.swap_remove(at),
                };
                if random.random_range(0..10) > 0 {
                    nodes[message.to as usize - 1].receive(message, voters);
                }
            }
            _ => {}
        }
        if network.len() > 40 {
            network.swap_remove(random.random_range(0..40));
        }
    }
    nodes.into_iter().map(|node| node.trace).collect()
}

/// Steps of equal clock did not cause each other: puts them in another order, by node.
fn shuffle(traces: &mut [Vec<Record>], seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for trace in traces {
        let rank = random.random_range(0..64);
        for record in trace {
            record.clock = record.clock * 64 + rank;
        }
    }
}

fn violated(traces: &[Vec<Record>]) -> BTreeSet<String> {
    let evidence = Run { traced: true, nodes: traces.len(), ..Run::default() };
    let properties = raft::check(traces, &evidence);
    assert_eq!(properties[0].outcome, Outcome::Ok, "{:#?}", properties[0]);
    let violated = properties.iter().filter(|p| p.outcome == Outcome::Violated);
    let violated: BTreeSet<String> = violated.map(|property| property.name.clone()).collect();

    // A checker that saw the lines one by one, in another order, comes to the same.
    let passed = observed(traces);
    assert_eq!(passed.is_some(), violated.is_empty(), "{violated:?}");
    let after = raft::check_after(traces, &evidence, passed.as_ref());
    let outcome = |p: &Property| (p.name.clone(), p.outcome);
    assert_eq!(
        after.iter().map(outcome).collect::<Vec<_>>(),
        properties.iter().map(outcome).collect::<Vec<_>>()
    );
    // One that saw other lines is not believed.
    let other = Passed { lines: 1, rules: Vec::new() };
    assert_eq!(raft::check_after(traces, &evidence, Some(&other)), properties);
    violated
}

/// What a checker that is shown the lines in another order says of them.
fn observed(traces: &[Vec<Record>]) -> Option<Passed> {
    let mut traces = traces.to_vec();
    let lines = traces.iter().map(Vec::len).sum::<usize>();
    shuffle(&mut traces, lines as u64);
    let mut lines: Vec<&Record> = traces.iter().flatten().collect();
    lines.sort_by_key(|record| (record.clock, record.node));
    let mut checker = Checker::new();
    for line in lines {
        checker.observe(line);
    }
    checker.passed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_correct_run_is_never_accused(seed: u64, voters in 1_u64..=5, order: u64) {
        let mut traces = run(seed, voters, Bug::None);
        shuffle(&mut traces, order);
        prop_assert_eq!(violated(&traces), BTreeSet::new());
    }
}

/// Which rules find a bug, in 60 runs.
#[track_caller]
fn finds(bug: Bug, rules: &[&str]) {
    let mut found = BTreeSet::new();
    for seed in 0..60 {
        found.extend(violated(&run(seed, 3 + seed % 2, bug)));
    }
    println!("{bug:?}: {found:?}");
    for rule in rules {
        assert!(found.contains(*rule), "{bug:?} was found by {found:?} only");
    }
}

#[test]
fn bugs_of_the_model_are_found() {
    finds(Bug::EarlyReply, &["durable-before-acknowledged"]);
    finds(Bug::LostWrites, &["survives-restart"]);
    finds(Bug::VoteForAll, &["one-vote-per-term", "election-safety"]);
    finds(Bug::VoteIgnoresLog, &["election-restriction", "leader-completeness"]);
    finds(Bug::StaleVote, &["election-quorum"]);
    finds(Bug::HalfQuorum, &["election-quorum", "election-safety"]);
    finds(Bug::CommitOldTerm, &["commit-quorum"]);
    finds(Bug::CommitUnverified, &["commit-quorum"]);
    finds(Bug::TruncateAlways, &["commit-monotonic", "legal-transitions"]);
    finds(Bug::StandAgain, &["legal-transitions"]);
    finds(Bug::ForgetVote, &["legal-transitions"]);
}

#[test]
fn random_runs_are_not_empty() {
    let (mut leaders, mut committed, mut truncated, mut restarts) = (0, 0, 0, 0);
    for seed in 0..20 {
        for record in run(seed, 3, Bug::None).into_iter().flatten() {
            match record.event {
                Event::Role { role: Role::Leader, .. } => leaders += 1,
                Event::Committed { .. } => committed += 1,
                Event::Truncated { .. } => truncated += 1,
                Event::Started { .. } => restarts += 1,
                _ => {}
            }
        }
    }
    println!("{leaders} leaders, {committed} commits, {truncated} truncations, {restarts} starts");
    assert!(leaders > 60 && committed > 200 && truncated > 20 && restarts > 100);
}

#[test]
fn a_prefix_with_the_hash_of_another_term_is_not_answered_twice() {
    let mut traces = run(11_774_412_555_626_991_740, 3, Bug::None);
    shuffle(&mut traces, 0);
    assert_eq!(violated(&traces), BTreeSet::new());
}
