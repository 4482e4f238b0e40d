//! Virtual time, network, disks and clients around a few replicas.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    convert::Infallible,
    time::Duration,
};

use node::{
    kv::{Request, Response},
    mutants::Mutants,
    raft::Entry,
    replica::{
        Config, Error, Host, Input, Limits, Message, Outputs, Replica, RequestId, Time, WriteId,
    },
    storage::{Record, Recovered},
};
use proto::{etcd, trace::Event};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::judge::{Judge, Totals};

const KEYS: u64 = 3;
const CLIENTS: u64 = 4;
/// Faults end here; clients go on until `RECOVERY` later.
const FAULTY: Duration = Duration::from_secs(4);
/// Within this time after the faults every node must serve.
const RECOVERY: Duration = Duration::from_secs(3);

/// How hard a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    nodes: u64,
    loss: f64,
    duplication: f64,
    delay_max: Duration,
    /// Share of messages that are delayed ten times as long.
    late: f64,
    sync_max: Duration,
    /// Mean time between crashes, between partitions; none: never.
    crash_every: Option<Duration>,
    cut_every: Option<Duration>,
    /// Share of inputs whose outputs wait a while for those of the next ones.
    gathering: f64,
    /// Tight windows and limits, so that they are reached.
    tight: bool,
}

impl Faults {
    /// A quiet network and quick disks.
    pub(crate) fn none() -> Self {
        Self {
            nodes: 3,
            loss: 0.0,
            duplication: 0.0,
            delay_max: Duration::from_millis(2),
            late: 0.0,
            sync_max: Duration::from_millis(2),
            crash_every: None,
            cut_every: None,
            gathering: 0.0,
            tight: false,
        }
    }

    /// Quick restarts among late messages: what an earlier life of a node was sent finds the next
    /// one, often in the same term.
    pub(crate) fn restarts() -> Self {
        Self {
            delay_max: Duration::from_millis(6),
            late: 0.3,
            crash_every: Some(Duration::from_millis(60)),
            ..Self::none()
        }
    }

    /// A network whose round trip is about the shortest election timeout.
    pub(crate) fn far() -> Self {
        Self { delay_max: Duration::from_millis(90), ..Self::none() }
    }

    /// Some seeds quiet, some savage, some with one kind of fault only.
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(!seed);
        let mut share = |most: f64| {
            if random.random_bool(0.5) { random.random_range(0.0..most) } else { 0.0 }
        };
        let (loss, duplication, late) = (share(0.3), share(0.3), share(0.2));
        let (delay, sync) = (share(20.0), share(40.0));
        let millis = |ms: f64| Duration::from_micros(500 + (ms * 1000.0) as u64);
        let mut every = |mean: u64| {
            random
                .random_bool(0.7)
                .then(|| Duration::from_millis(random.random_range(mean / 4..mean * 2)))
        };
        let (crash_every, cut_every) = (every(400), every(600));
        Self {
            nodes: [1, 2, 3, 3, 3, 4, 5, 5][random.random_range(0..8)],
            loss,
            duplication,
            delay_max: millis(delay),
            late,
            sync_max: millis(sync),
            crash_every,
            cut_every,
            gathering: if random.random_bool(0.5) { 0.5 } else { 0.0 },
            tight: random.random_bool(0.3),
        }
    }
}

/// What happens next, and where.
#[derive(Debug)]
enum Happening {
    Timer(u64),
    Arrives(Message),
    Synced(u64, u64, WriteId),
    Gathered(u64),
    Client(u64),
    Crash,
    Restart(u64),
    Cut,
    Heal,
}

/// A machine: what survives a crash, and the replica while it runs.
struct Machine {
    replica: Option<Replica>,
    boot: u64,
    durable: Vec<Record>,
    flying: VecDeque<(WriteId, Vec<Record>)>,
    /// What was not acted on yet.
    outputs: Outputs,
    clock: u64,
    /// Time of the earliest timer that is scheduled.
    timer: Time,
    /// Writes complete in order.
    synced_at: Time,
}

/// An operation of a client.
struct Operation {
    client: u64,
    node: u64,
    key: u64,
    /// What it writes; none for a read.
    value: Option<u64>,
    floor: i64,
}

/// See the module.
pub(crate) struct World {
    seed: u64,
    faults: Faults,
    random: ChaCha8Rng,
    now: Time,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    scheduled: u64,
    machines: BTreeMap<u64, Machine>,
    /// Side of each node in the present partition.
    sides: BTreeMap<u64, u64>,
    operations: BTreeMap<u64, Operation>,
    last_request: u64,
    last_value: u64,
    judge: Judge,
    healed: bool,
    /// Node by node, the last operation that succeeded after the healing.
    served: BTreeMap<u64, Time>,
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let mut world = Self {
            seed,
            faults,
            random: ChaCha8Rng::seed_from_u64(seed),
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            scheduled: 0,
            machines: BTreeMap::new(),
            sides: BTreeMap::new(),
            operations: BTreeMap::new(),
            last_request: 0,
            last_value: 0,
            judge: Judge::default(),
            healed: false,
            served: BTreeMap::new(),
        };
        for id in 1..=faults.nodes {
            let machine = Machine {
                replica: None,
                boot: 0,
                durable: Vec::new(),
                flying: VecDeque::new(),
                outputs: Outputs::default(),
                clock: 0,
                timer: Time::MAX,
                synced_at: Duration::ZERO,
            };
            world.machines.insert(id, machine);
            world.schedule(Duration::ZERO, Happening::Restart(id));
        }
        for client in 0..CLIENTS {
            world.schedule(Duration::from_millis(300 + client), Happening::Client(client));
        }
        if let Some(every) = faults.crash_every {
            world.schedule(every, Happening::Crash);
        }
        if let Some(every) = faults.cut_every {
            world.schedule(every, Happening::Cut);
        }
        world.schedule(FAULTY, Happening::Heal);
        world
    }

    /// Runs to the end and checks that the cluster came back.
    pub(crate) fn run(mut self) -> Totals {
        struct Named(u64, Faults);
        impl Drop for Named {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    eprintln!("seed {}: {:?}", self.0, self.1);
                }
            }
        }
        let _named = Named(self.seed, self.faults);
        let end = FAULTY + RECOVERY;
        while let Some(Reverse((time, key))) = self.queue.pop() {
            if time > end {
                break;
            }
            self.now = time;
            let happening = self.happenings.remove(&key).unwrap();
            self.happen(happening);
        }
        for (id, machine) in &self.machines {
            let status = machine.replica.as_ref().unwrap().status();
            let served = self.served.get(id);
            let recently = end - Duration::from_secs(1);
            assert!(
                served.is_some_and(|time| *time > recently),
                "node {id} served last at {served:?} of {end:?}; {status:?}"
            );
        }
        self.judge.totals
    }

    fn schedule(&mut self, after: Duration, happening: Happening) {
        self.scheduled += 1;
        self.queue.push(Reverse((self.now + after, self.scheduled)));
        self.happenings.insert(self.scheduled, happening);
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.random.random_range(1..=most.as_nanos() as u64))
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Timer(id) => {
                let machine = self.machines.get_mut(&id).unwrap();
                if machine.timer > self.now {
                    return;
                }
                machine.timer = Time::MAX;
                self.input(id, Input::Timer);
            }
            Happening::Arrives(message) => {
                if self.connected(message.from, message.to) {
                    self.input(message.to, Input::Message(message));
                }
            }
            Happening::Synced(id, boot, write) => {
                let machine = self.machines.get_mut(&id).unwrap();
                if machine.boot != boot || machine.replica.is_none() {
                    return;
                }
                while let Some((_, records)) =
                    machine.flying.pop_front_if(|(flying, _)| *flying <= write)
                {
                    machine.durable.extend(records);
                }
                self.input(id, Input::Durable(write));
            }
            Happening::Gathered(id) => self.act(id),
            Happening::Client(client) => self.begin(client),
            Happening::Crash if self.healed => {}
            Happening::Crash => {
                let id = self.random.random_range(1..=self.faults.nodes);
                self.crash(id);
                if let Some(every) = self.faults.crash_every.filter(|_| !self.healed) {
                    let (crash, restart) = (self.up_to(every * 2), self.up_to(every * 2));
                    self.schedule(crash, Happening::Crash);
                    self.schedule(restart, Happening::Restart(id));
                }
            }
            Happening::Restart(id) => self.restart(id),
            Happening::Cut => {
                if let Some(every) = self.faults.cut_every.filter(|_| !self.healed) {
                    let sides = self.random.random_range(1..=3);
                    for id in 1..=self.faults.nodes {
                        let side = self.random.random_range(0..sides);
                        self.sides.insert(id, side);
                    }
                    let next = self.up_to(every * 2);
                    self.schedule(next, Happening::Cut);
                }
            }
            Happening::Heal => {
                self.healed = true;
                self.sides.clear();
                self.faults = Faults { nodes: self.faults.nodes, ..Faults::none() };
                for id in 1..=self.faults.nodes {
                    self.restart(id);
                }
            }
        }
    }

    fn connected(&self, a: u64, b: u64) -> bool {
        self.sides.get(&a) == self.sides.get(&b)
    }

    fn config(&mut self, id: u64, clock: u64) -> Config {
        let limits = Limits {
            request_bytes: 1 << 20,
            requests: if self.faults.tight { 3 } else { 100 },
            uncommitted_bytes: if self.faults.tight { 100 } else { 1 << 20 },
            append_bytes: if self.faults.tight { 60 } else { 1 << 16 },
            append_window: if self.faults.tight { 1 } else { 16 },
            request_timeout: Duration::from_millis(700),
            subscription_changes: 1000,
        };
        Config {
            id,
            cluster_id: 7,
            clock,
            voters: (1..=self.faults.nodes).collect(),
            election_timeout: Duration::from_millis(100),
            heartbeat_interval: Duration::from_millis(25),
            seed: self.random.random(),
            limits,
            mutants: Mutants::NONE,
        }
    }

    fn restart(&mut self, id: u64) {
        if self.machines[&id].replica.is_some() {
            return;
        }
        let clock = self.machines[&id].clock;
        let config = self.config(id, clock);
        let durable = &mut self.machines.get_mut(&id).unwrap().durable;
        let recovered = recover(durable);
        durable.push(Record::Boot(recovered.boot));
        let log = recovered.state.entries.iter().map(|entry| (entry.term, entry.hash)).collect();
        if recovered.boot > 1 {
            self.judge.recovered(id, log);
        }
        let machine = self.machines.get_mut(&id).unwrap();
        machine.boot += 1;
        machine.synced_at = self.now;
        machine.replica = Some(Replica::new(config, recovered, self.now));
        self.input(id, Input::Timer);
    }

    /// Stops a machine. Of what was not confirmed durable, any prefix may have reached the disk.
    fn crash(&mut self, id: u64) {
        let machine = self.machines.get_mut(&id).unwrap();
        if machine.replica.take().is_none() {
            return;
        }
        machine.timer = Time::MAX;
        machine.outputs = Outputs::default();
        let unconfirmed: Vec<_> = machine.flying.drain(..).flat_map(|write| write.1).collect();
        let kept = self.random.random_range(0..=unconfirmed.len());
        machine.durable.extend(unconfirmed.into_iter().take(kept));
        let lost: Vec<_> =
            self.operations.iter().filter(|(_, op)| op.node == id).map(|(id, _)| *id).collect();
        for request in lost {
            self.end(request, Err(Error::Timeout));
        }
    }

    fn input(&mut self, id: u64, input: Input) {
        let machine = self.machines.get_mut(&id).unwrap();
        let Some(replica) = &mut machine.replica else { return };
        replica.handle(self.now, input, &mut machine.outputs);
        let deadline = replica.deadline();
        if deadline < machine.timer && deadline < Time::MAX {
            machine.timer = deadline.max(self.now);
            let after = machine.timer - self.now;
            self.schedule(after, Happening::Timer(id));
        }
        if self.random.random_bool(self.faults.gathering) {
            let after = self.up_to(Duration::from_millis(2));
            self.schedule(after, Happening::Gathered(id));
        } else {
            self.act(id);
        }
    }

    /// Does what a replica wants done.
    fn act(&mut self, id: u64) {
        let mut outputs = std::mem::take(&mut self.machines.get_mut(&id).unwrap().outputs);
        let Ok(inputs) = outputs.perform(&mut Hands { world: self, id });
        assert!(inputs.is_empty(), "this network drops nothing at once");
    }

    fn send(&mut self, message: Message) {
        if self.random.random_bool(self.faults.loss) {
            return;
        }
        let mut delay = self.up_to(self.faults.delay_max);
        if self.random.random_bool(self.faults.late) {
            delay *= 10;
        }
        self.schedule(delay, Happening::Arrives(message));
    }

    /// A client begins an operation at some node that is up.
    fn begin(&mut self, client: u64) {
        let node = self.random.random_range(1..=self.faults.nodes);
        if self.machines[&node].replica.is_none() {
            return self.schedule(Duration::from_millis(20), Happening::Client(client));
        }
        let key = self.random.random_range(0..KEYS);
        let value = self.random.random_bool(0.5).then(|| {
            self.last_value += 1;
            self.last_value
        });
        self.last_request += 1;
        let id = self.last_request;
        let floor = self.judge.floor();
        self.operations.insert(id, Operation { client, node, key, value, floor });
        let request = match value {
            Some(value) => Request::Put(etcd::PutRequest {
                key: key.to_string().into(),
                value: value.to_string().into(),
                ..Default::default()
            }),
            None => Request::Range(etcd::RangeRequest {
                key: key.to_string().into(),
                ..Default::default()
            }),
        };
        let request = Box::new(request);
        self.input(node, Input::Request { id, request, session: None });
    }

    /// A client hears the end of its operation.
    fn end(&mut self, request: u64, result: Result<Response, Error>) {
        let Some(operation) = self.operations.remove(&request) else { return };
        let Operation { client, node, key, value, floor } = operation;
        let served = result.is_ok();
        match (value, result) {
            (Some(value), Ok(Response::Put(put))) => {
                self.judge.wrote(key, value, put.header.unwrap().revision, floor);
            }
            (None, Ok(Response::Range(range))) => {
                let found = range.kvs.first().map(|pair| {
                    let value = std::str::from_utf8(&pair.value).unwrap().parse().unwrap();
                    (value, pair.mod_revision)
                });
                self.judge.read(key, found, range.header.unwrap().revision, floor);
            }
            (Some(value), Err(Error::NoLeader | Error::TooManyRequests)) => {
                self.judge.failed(value)
            }
            (_, Err(Error::Timeout | Error::NoLeader | Error::TooManyRequests)) => {
                self.judge.totals.unknown += 1;
            }
            (_, other) => panic!("an answer that does not fit: {other:?}"),
        }
        if served && self.healed {
            self.served.insert(node, self.now);
        }
        let pause = self.up_to(Duration::from_millis(40));
        self.schedule(pause, Happening::Client(client));
    }
}

/// The world as one machine reaches it.
struct Hands<'a> {
    world: &'a mut World,
    id: u64,
}

impl Host for Hands<'_> {
    type Error = Infallible;

    fn trace(&mut self, lines: impl Iterator<Item = (u64, Event)>) -> Result<(), Infallible> {
        for (clock, event) in lines {
            self.world.machines.get_mut(&self.id).unwrap().clock = clock;
            self.world.judge.step(self.id, clock, &event);
        }
        Ok(())
    }

    fn write(&mut self, write: Option<(WriteId, Vec<Record>)>) -> Result<(), Infallible> {
        let Some((write, records)) = write else { return Ok(()) };
        let Self { world, id } = self;
        let sync = world.up_to(world.faults.sync_max);
        let machine = world.machines.get_mut(id).unwrap();
        machine.flying.push_back((write, records));
        machine.synced_at = machine.synced_at.max(world.now + sync);
        let (after, boot) = (machine.synced_at - world.now, machine.boot);
        world.schedule(after, Happening::Synced(*id, boot, write));
        Ok(())
    }

    fn send(&mut self, message: Message) -> Option<Message> {
        let world = &mut *self.world;
        if world.random.random_bool(world.faults.duplication) {
            world.send(message.clone());
        }
        world.send(message);
        None
    }

    fn reply(&mut self, request: RequestId, result: Result<Response, Error>) {
        self.world.end(request, result);
    }
}

/// What a disk with these records gives to the next boot.
fn recover(records: &[Record]) -> Recovered {
    let mut recovered = Recovered { boot: 1, ..Recovered::default() };
    let state = &mut recovered.state;
    for record in records {
        match record {
            Record::Boot(boot) => recovered.boot = boot + 1,
            Record::HardState(hard_state) => state.hard_state = *hard_state,
            Record::Entry(Entry { index, term, kind, payload, .. }) => {
                state.entries.truncate(*index as usize - 1);
                state.entries.push(Entry::after(state.last(), *term, *kind, payload.clone()));
            }
            Record::Snapshot(_) => panic!("no node takes snapshots yet"),
        }
    }
    recovered
}
