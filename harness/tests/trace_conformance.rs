//! The traces of real replicas, judged by the checker: right as they are, wrong once spoilt.
//!
//! Replicas run in memory through elections, lost messages, partitions and crashes that lose what
//! was not synced. Nothing that the node does may be called a violation: a false alarm here is a
//! bug of one of the two.

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use checker::{
    evidence::Run,
    raft,
    verdict::{Outcome, Property},
};
use node::{
    kv::{Request, Response},
    mutants::Mutants,
    replica::{self, Config, Host, Input, Limits, Message, Outputs, Replica, RequestId, WriteId},
    storage,
};
use proto::{
    etcd,
    trace::{Event, Hash, Record, Role},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A log on disk: what is synced, and the writes that are not.
#[derive(Default)]
struct Disk {
    synced: Vec<storage::Record>,
    queued: Vec<(WriteId, Vec<storage::Record>)>,
}

impl Disk {
    fn sync(&mut self) -> Option<WriteId> {
        let last = self.queued.last()?.0;
        self.synced.extend(self.queued.drain(..).flat_map(|(_, records)| records));
        Some(last)
    }

    /// Of the writes that were not synced, some beginning survives.
    fn crash(&mut self, random: &mut ChaCha8Rng) {
        let mut queued: Vec<_> = self.queued.drain(..).flat_map(|(_, records)| records).collect();
        queued.truncate(random.random_range(0..=queued.len()));
        self.synced.append(&mut queued);
    }

    /// As the write-ahead log does, which notes the start before it gives what it holds.
    fn recover(&mut self) -> storage::Recovered {
        let mut recovered = storage::Recovered { boot: 1, ..storage::Recovered::default() };
        for record in &self.synced {
            match record {
                storage::Record::Boot(boot) => recovered.boot = boot + 1,
                storage::Record::HardState(hard_state) => recovered.state.hard_state = *hard_state,
                storage::Record::Entry(entry) => {
                    recovered.state.entries.truncate(entry.index as usize - 1);
                    recovered.state.entries.push(entry.clone());
                }
                storage::Record::Snapshot(_) => panic!("no node takes snapshots yet"),
            }
        }
        self.synced.push(storage::Record::Boot(recovered.boot));
        recovered
    }
}

struct Member {
    id: u64,
    replica: Option<Replica>,
    disk: Disk,
    trace: Vec<Record>,
    /// Cut off from all others until then.
    cut: Duration,
}

struct Cluster {
    now: Duration,
    members: Vec<Member>,
    network: Vec<(Duration, Message)>,
    random: ChaCha8Rng,
    requests: u64,
}

const LIMITS: Limits = Limits {
    request_bytes: 1 << 20,
    requests: 100,
    uncommitted_bytes: 1 << 20,
    append_bytes: 200,
    append_window: 4,
    request_timeout: Duration::from_secs(1),
    subscription_changes: 1000,
};

impl Cluster {
    fn new(nodes: u64, seed: u64) -> Self {
        let member = |id| Member {
            id,
            replica: None,
            disk: Disk::default(),
            trace: Vec::new(),
            cut: Duration::ZERO,
        };
        Self {
            now: Duration::ZERO,
            members: (1..=nodes).map(member).collect(),
            network: Vec::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
            requests: 0,
        }
    }

    fn start(&mut self, at: usize) {
        let voters = (1..=self.members.len() as u64).collect();
        let member = &mut self.members[at];
        let config = Config {
            id: member.id,
            cluster_id: 1,
            voters,
            clock: member.trace.last().map_or(0, |record| record.clock),
            election_timeout: Duration::from_millis(100),
            heartbeat_interval: Duration::from_millis(20),
            seed: self.random.random_range(0..u64::MAX),
            limits: LIMITS,
            mutants: Mutants::NONE,
        };
        member.replica = Some(Replica::new(config, member.disk.recover(), self.now));
    }

    fn handle(&mut self, at: usize, input: Input) {
        let now = self.now;
        let member = &mut self.members[at];
        let Some(replica) = &mut member.replica else { return };
        let mut outputs = Outputs::default();
        replica.handle(now, input, &mut outputs);
        let boot = replica.status().boot;
        let Ok(_nothing) = outputs.perform(&mut Hands { cluster: self, at, boot });
    }

    /// One millisecond.
    fn tick(&mut self, faults: bool) {
        self.now += Duration::from_millis(1);
        let now = self.now;
        let due: Vec<_> = self.network.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, message) in due {
            let at = message.to as usize - 1;
            if self.members[at].cut <= now {
                self.handle(at, Input::Message(message));
            }
        }
        for at in 0..self.members.len() {
            if self.members[at].replica.is_none() {
                if self.random.random_range(0..100) == 0 || !faults {
                    self.start(at);
                }
                continue;
            }
            if self.random.random_range(0..4) == 0
                && let Some(write) = self.members[at].disk.sync()
            {
                self.handle(at, Input::Durable(write));
            }
            if self.members[at].replica.as_ref().is_some_and(|r| r.deadline() <= now) {
                self.handle(at, Input::Timer);
            }
            if self.random.random_range(0..20) == 0 {
                self.request(at);
            }
            if faults && self.random.random_range(0..1500) == 0 {
                self.members[at].replica = None;
                self.members[at].disk.crash(&mut self.random);
            }
            if faults && self.random.random_range(0..1000) == 0 {
                self.members[at].cut =
                    now + Duration::from_millis(self.random.random_range(50..800));
            }
        }
    }

    fn request(&mut self, at: usize) {
        self.requests += 1;
        let key = vec![b'a' + (self.requests % 5) as u8].into();
        let request = if self.random.random_range(0..4) == 0 {
            Request::Range(etcd::RangeRequest { key, ..Default::default() })
        } else {
            let value = self.requests.to_string().into();
            Request::Put(etcd::PutRequest { key, value, ..Default::default() })
        };
        let request = Box::new(request);
        self.handle(at, Input::Request { id: self.requests, request, session: None });
    }

    fn run(mut self, milliseconds: u64) -> Vec<Vec<Record>> {
        for tick in 0..milliseconds {
            self.tick(tick + 1000 < milliseconds);
        }
        self.members.into_iter().map(|member| member.trace).collect()
    }
}

/// The cluster as one member reaches it.
struct Hands<'a> {
    cluster: &'a mut Cluster,
    at: usize,
    boot: u64,
}

impl Host for Hands<'_> {
    type Error = Infallible;

    fn trace(&mut self, lines: impl Iterator<Item = (u64, Event)>) -> Result<(), Infallible> {
        let time = self.cluster.now.as_nanos() as u64;
        let member = &mut self.cluster.members[self.at];
        for (clock, event) in lines {
            let fresh = matches!(event, Event::Started { .. });
            let seq = member.trace.last().map_or(0, |last| if fresh { 0 } else { last.seq + 1 });
            member.trace.push(Record { node: member.id, boot: self.boot, seq, clock, time, event });
        }
        Ok(())
    }

    fn write(&mut self, write: Option<(WriteId, Vec<storage::Record>)>) -> Result<(), Infallible> {
        self.cluster.members[self.at].disk.queued.extend(write);
        Ok(())
    }

    fn send(&mut self, message: Message) -> Option<Message> {
        let Cluster { now, members, network, random, .. } = &mut *self.cluster;
        let delay = Duration::from_micros(random.random_range(200..15_000));
        if members[self.at].cut <= *now && random.random_range(0..20) > 0 {
            if random.random_range(0..20) == 0 {
                network.push((*now + delay * 3, message.clone()));
            }
            network.push((*now + delay, message));
        }
        None
    }

    fn reply(&mut self, _: RequestId, _: Result<Response, replica::Error>) {}
}

fn check(traces: &[Vec<Record>]) -> Vec<Property> {
    let run = Run { traced: true, nodes: traces.len(), ..Run::default() };
    raft::check(traces, &run)
}

fn violated(traces: &[Vec<Record>]) -> BTreeSet<String> {
    let bad = check(traces).into_iter().filter(|p| p.outcome == Outcome::Violated);
    bad.map(|property| property.name).collect()
}

#[test]
fn real_replicas_are_never_accused() {
    let (mut lines, mut leaders, mut cuts, mut boots, mut applied, mut reads) = (0, 0, 0, 0, 0, 0);
    for seed in 0..40 {
        let traces = Cluster::new(seed % 5 + 1, seed).run(8000);
        for property in check(&traces) {
            assert_eq!(property.outcome, Outcome::Ok, "seed {seed}: {property:#?}");
        }
        for record in traces.iter().flatten() {
            lines += 1;
            match record.event {
                Event::Role { role: Role::Leader, .. } => leaders += 1,
                Event::Truncated { .. } => cuts += 1,
                Event::Started { .. } => boots += 1,
                Event::Applied { .. } => applied += 1,
                Event::ReadConfirmed { .. } => reads += 1,
                _ => {}
            }
        }
    }
    println!(
        "{lines} lines, {leaders} leaders, {cuts} truncations, {boots} boots, {applied} applies, \
         {reads} confirmed reads"
    );
    assert!(leaders > 100 && cuts > 10 && boots > 200 && applied > 1000 && reads > 100);
}

/// Closes the gaps that removed lines leave, so that only their meaning is missing.
fn renumber(trace: &mut [Record]) {
    let mut next = 0;
    for record in trace {
        if matches!(record.event, Event::Started { .. }) {
            next = 0;
        }
        record.seq = next;
        next += 1;
    }
}

/// Traces of a quiet run of three nodes.
fn quiet() -> Vec<Vec<Record>> {
    let mut cluster = Cluster::new(3, 7);
    for _ in 0..1500 {
        cluster.tick(false);
    }
    let traces: Vec<_> = cluster.members.into_iter().map(|member| member.trace).collect();
    assert_eq!(violated(&traces), BTreeSet::new());
    traces
}

#[test]
fn a_missing_line_is_noticed() {
    let mut traces = quiet();
    let middle = traces[1].len() / 2;
    traces[1].remove(middle);
    for property in check(&traces) {
        assert_eq!(property.outcome, Outcome::Unknown, "{property:#?}");
    }
}

#[test]
fn lines_without_their_evidence_are_rejected() {
    let without = |gone: fn(&Event) -> bool| {
        let mut traces = quiet();
        for trace in &mut traces {
            trace.retain(|record| !gone(&record.event));
            renumber(trace);
        }
        violated(&traces)
    };
    let lacks_sync = without(|event| matches!(event, Event::Durable { .. }));
    assert!(lacks_sync.contains("durable-before-acknowledged"), "{lacks_sync:?}");
    let lacks_acks = without(|event| matches!(event, Event::Acknowledged { .. }));
    assert!(lacks_acks.contains("commit-quorum"), "{lacks_acks:?}");
    let lacks_votes = without(|event| matches!(event, Event::Granted { .. }));
    assert!(lacks_votes.contains("election-quorum"), "{lacks_votes:?}");
    let lacks_leader = without(|event| matches!(event, Event::Role { role: Role::Leader, .. }));
    assert!(lacks_leader.contains("election-safety"), "{lacks_leader:?}");
    let lacks_commits = without(|event| matches!(event, Event::Committed { .. }));
    assert!(lacks_commits.contains("state-machine-safety"), "{lacks_commits:?}");
}

#[test]
fn falsified_lines_are_rejected() {
    // Falsifies the last line of the last node for which `lie` finds something to falsify, among
    // those that others have answered: what the run ended upon, nobody could contradict yet.
    let with = |lie: fn(&mut Event) -> bool| {
        let mut traces = quiet();
        let answered = traces.iter_mut().flat_map(|trace| {
            let len = trace.len();
            trace.iter_mut().take(len * 9 / 10)
        });
        let last = answered.rev().find_map(|r| lie(&mut r.event).then_some(()));
        assert!(last.is_some(), "there is no such line");
        violated(&traces)
    };
    let payload = with(|event| match event {
        Event::Appended { entries, .. } => {
            entries[0].1 = Hash(entries[0].1.0 ^ 1);
            true
        }
        _ => false,
    });
    assert!(payload.contains("log-matching"), "{payload:?}");
    let state = with(|event| match event {
        Event::Applied { state, .. } => {
            *state = Hash(state.0 ^ 1);
            true
        }
        _ => false,
    });
    assert_eq!(state, BTreeSet::from(["state-machine-safety".to_owned()]));
    let vote = with(|event| match event {
        Event::Granted { candidate, .. } => {
            *candidate = *candidate % 3 + 1;
            true
        }
        _ => false,
    });
    assert!(vote.contains("one-vote-per-term"), "{vote:?}");
    let quorum = with(|event| match event {
        Event::Committed { matched: Some(matched), .. } => {
            matched.truncate(1);
            true
        }
        _ => false,
    });
    assert!(quorum.contains("commit-quorum"), "{quorum:?}");
}
