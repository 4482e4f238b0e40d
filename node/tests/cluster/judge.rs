//! Judges every step of a run: Raft's safety from the trace, linearizability from the clients.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::AddAssign,
};

use proto::trace::{Event, Hash, Position, Role};

/// What happened in a run. `digest` covers the order and
/// clocks of all trace lines and all applied states, so equal totals mean equal runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) writes: u64,
    pub(crate) reads: u64,
    pub(crate) failed: u64,
    pub(crate) unknown: u64,
    pub(crate) elections: u64,
    pub(crate) crashes: u64,
    pub(crate) truncations: u64,
    pub(crate) digest: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.writes += other.writes;
        self.reads += other.reads;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.elections += other.elections;
        self.crashes += other.crashes;
        self.truncations += other.truncations;
        self.digest ^= other.digest;
    }
}

/// What a node said that must hold over its restarts.
#[derive(Clone, Debug, Default)]
struct Node {
    term: u64,
    vote: Option<u64>,
    durable: (u64, Option<u64>),
    durable_last: u64,
    commit: u64,
    applied: u64,
    clock: u64,
    /// (term, hash) by index, from 1.
    log: Vec<(u64, Hash)>,
    leads: bool,
}

/// What is known of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) totals: Totals,
    nodes: BTreeMap<u64, Node>,
    leaders: BTreeMap<u64, u64>,
    votes: BTreeMap<(u64, u64), u64>,
    hashes: BTreeMap<(u64, u64), Hash>,
    committed: BTreeMap<u64, Position>,
    applied: BTreeMap<u64, (Position, Hash)>,
    digest: DefaultHasher,
    clients: Clients,
}

/// What clients saw of one register per key, ordered by the store's revisions.
#[derive(Debug, Default)]
struct Clients {
    /// Highest revision that any finished operation has seen.
    seen: i64,
    /// Revision and value of each known version of each key.
    versions: BTreeMap<(u64, i64), u64>,
    /// Where each value was seen.
    places: BTreeMap<u64, (u64, i64)>,
    /// Values whose write certainly failed.
    failed: BTreeSet<u64>,
}

impl Judge {
    /// What an operation that begins now must not be behind.
    pub(crate) fn floor(&self) -> i64 {
        self.clients.seen
    }

    /// A write of `value` to `key` succeeded at `revision`.
    pub(crate) fn wrote(&mut self, key: u64, value: u64, revision: i64, floor: i64) {
        self.totals.writes += 1;
        assert!(revision > floor, "a write at revision {revision} began after {floor} was seen");
        self.saw(key, value, revision);
        self.clients.seen = self.clients.seen.max(revision);
    }

    /// A linearizable read of `key` at store revision `at` found `found`: value and revision.
    pub(crate) fn read(&mut self, key: u64, found: Option<(u64, i64)>, at: i64, floor: i64) {
        self.totals.reads += 1;
        assert!(
            at >= floor,
            "a stale read: at revision {at}, but {floor} was seen before it began"
        );
        if let Some((value, revision)) = found {
            assert!(revision <= at, "a read at {at} found revision {revision}");
            self.saw(key, value, revision);
        }
        let newest = self.clients.versions.range((key, 0)..=(key, at)).next_back();
        let found = found.map(|(_, revision)| revision);
        assert_eq!(
            found,
            newest.map(|((_, revision), _)| *revision),
            "a read of key {key} at revision {at} missed a write"
        );
        self.clients.seen = self.clients.seen.max(at);
    }

    /// A write certainly failed.
    pub(crate) fn failed(&mut self, value: u64) {
        self.totals.failed += 1;
        let seen = self.clients.places.get(&value);
        assert!(seen.is_none(), "the write of {value} failed, but was seen at {seen:?}");
        self.clients.failed.insert(value);
    }

    fn saw(&mut self, key: u64, value: u64, revision: i64) {
        assert!(!self.clients.failed.contains(&value), "{value} was seen, but its write failed");
        let place = (key, revision);
        let before = *self.clients.places.entry(value).or_insert(place);
        assert_eq!(before, place, "the write of {value} took effect twice");
        let other = *self.clients.versions.entry(place).or_insert(value);
        assert_eq!(other, value, "two values at revision {revision} of key {key}");
    }

    /// Node `id` took a step.
    pub(crate) fn step(&mut self, id: u64, clock: u64, event: &Event) {
        (id, clock, std::mem::discriminant(event)).hash(&mut self.digest);
        if let Event::Applied { last, state } = event {
            (last.index, last.hash, state).hash(&mut self.digest);
        }
        self.totals.digest = self.digest.finish();
        let nodes = self.nodes.len();
        let node = self.nodes.entry(id).or_default();
        assert!(clock > node.clock, "the clock of node {id} must grow from {}", node.clock);
        node.clock = clock;
        match event {
            Event::Started { term, vote, last, .. } => {
                assert!((*term, *vote) >= node.durable || *term > node.durable.0);
                if *term == node.durable.0 && node.durable.1.is_some() {
                    assert_eq!(*vote, node.durable.1, "node {id} forgot its vote");
                }
                assert!(last.index >= node.durable_last, "node {id} forgot durable entries");
                if self.totals.crashes > 0 && last.index > 0 {
                    let known = self.hashes[&(last.index, last.term)];
                    assert_eq!(known, last.hash, "node {id} recovered another log");
                }
                (node.term, node.vote, node.leads) = (*term, *vote, false);
                (node.commit, node.applied) = (0, 0);
                (node.durable, node.durable_last) = ((*term, *vote), last.index);
            }
            Event::Term { term } => {
                assert!(*term > node.term, "the term of node {id} must grow");
                (node.term, node.vote, node.leads) = (*term, None, false);
            }
            Event::Voted { term, candidate } => {
                assert!(*term == node.term && node.vote.is_none(), "node {id} votes twice");
                node.vote = Some(*candidate);
            }
            Event::Granted { term, candidate } => {
                let vote = (*term, Some(*candidate));
                assert_eq!(node.durable, vote, "node {id} granted a vote that is not durable");
                let first = *self.votes.entry((id, *term)).or_insert(*candidate);
                assert_eq!(first, *candidate, "node {id} voted twice in term {term}");
            }
            Event::Role { term, role, last, .. } => {
                node.leads = *role == Role::Leader;
                if node.leads {
                    self.totals.elections += 1;
                    let first = *self.leaders.entry(*term).or_insert(id);
                    assert_eq!(first, id, "two leaders in term {term}");
                    assert_eq!(node.durable.0, *term, "node {id} leads a term that is not durable");
                    if let Some((index, committed)) = self.committed.last_key_value() {
                        let hash = node.log.get(*index as usize - 1).map(|entry| entry.1);
                        assert_eq!(hash, Some(committed.hash), "leader {id} lacks entry {index}");
                    }
                    let own = node.log.last().map(|entry| entry.1).unwrap_or_default();
                    assert_eq!(own, last.hash, "node {id} traced another log");
                }
            }
            Event::Appended { prev, entries } => {
                assert_eq!(prev.index as usize, node.log.len(), "node {id} appends with a gap");
                for (index, (term, hash)) in (prev.index + 1..).zip(entries) {
                    let known = *self.hashes.entry((index, *term)).or_insert(*hash);
                    assert_eq!(known, *hash, "log matching: entry {index} of term {term}");
                    node.log.push((*term, *hash));
                }
            }
            Event::Truncated { last } => {
                self.totals.truncations += 1;
                assert!(!node.leads, "leader {id} truncated its log");
                assert!(last.index >= node.commit, "node {id} removed a committed entry");
                node.log.truncate(last.index as usize);
                node.durable_last = node.durable_last.min(last.index);
            }
            Event::Durable { term, vote, last } => {
                assert!(*term >= node.durable.0, "the durable term of node {id} fell");
                node.durable = (*term, *vote);
                node.durable_last = last.index;
            }
            Event::Acknowledged { last, term, .. } => {
                assert_eq!(node.durable.0, *term, "acknowledged in a term that is not durable");
                assert!(last.index <= node.durable_last, "acknowledged before it was durable");
            }
            Event::Committed { term, last, matched } => {
                assert!(last.index > node.commit, "the commit index of node {id} must grow");
                node.commit = last.index;
                let known = *self.committed.entry(last.index).or_insert(*last);
                assert_eq!(known, *last, "two entries committed at index {}", last.index);
                if let Some(matched) = matched {
                    assert_eq!(last.term, *term, "committed an entry of another term by counting");
                    let have = matched.iter().filter(|voter| voter.1 >= last.index).count();
                    assert!(have > matched.len() / 2, "committed without a quorum");
                    for (voter, index) in matched {
                        let durable = self.nodes[voter].durable_last;
                        assert!(
                            durable >= *index.min(&last.index),
                            "{index} is not durable on node {voter}"
                        );
                    }
                }
            }
            Event::Applied { last, state } => {
                assert!(last.index > node.applied && last.index <= node.commit);
                node.applied = last.index;
                let known = *self.applied.entry(last.index).or_insert((*last, *state));
                assert_eq!(known, (*last, *state), "state machines differ at {}", last.index);
            }
            Event::Answered { index } => {
                assert!(*index <= node.applied, "answered before it was applied");
            }
            Event::ReadConfirmed { by, .. } => {
                assert!(by.len() > nodes / 2 && node.leads, "no quorum for a read");
            }
            Event::Stopped {} => {}
        }
    }

    /// Node `id` crashed and recovered a log with these entries.
    pub(crate) fn recovered(&mut self, id: u64, log: Vec<(u64, Hash)>) {
        self.totals.crashes += 1;
        let node = self.nodes.entry(id).or_default();
        for (place, entry) in node.log.iter().enumerate().take(node.durable_last as usize) {
            assert_eq!(log.get(place), Some(entry), "node {id} lost durable entry {}", place + 1);
        }
        node.log = log;
    }
}
