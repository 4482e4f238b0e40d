//! A few whole replicas, their write-ahead logs, clients and the messages between them, moved by a
//! script. Each node has a clock of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    error::Error,
    time::Duration,
};

use goldenscript::{ArgumentConsumer, Command, Context, Runner};
use node::{
    kv::{Request, Response},
    mutants::Mutants,
    raft::{self, NodeId},
    replica::{
        self, Body, Config, Host, Input, Limits, Message, Notice, Outputs, Replica, RequestId,
        SubscriptionId, Time, WriteId,
    },
    storage::{Identity, MemoryDisk, Options, Record, Wal},
};
use proto::{
    etcd::{self, compare, request_op},
    peer::Session,
    trace::Event,
};

use crate::{
    network::{Network, Networked, node, tell},
    world::{is_shown, millis},
};

/// A machine: what survives a crash, and the replica while it runs.
#[derive(Default)]
struct Machine {
    /// While it is up.
    replica: Option<(Replica, Wal<MemoryDisk>)>,
    /// While it is down.
    disk: MemoryDisk,
    slow: bool,
    /// Writes on their way, in order.
    writes: VecDeque<(WriteId, Vec<Record>)>,
    now: Time,
    clock: u64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct World {
    machines: BTreeMap<NodeId, Machine>,
    limits: Limits,
    network: Network,
    /// Each request has a client of its own, numbered alike.
    last_client: u64,
    last_subscriber: SubscriptionId,
    out: String,
}

impl Runner for World {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        if !self.network_event(command)? {
            self.event(command)?;
        }
        let mut out = std::mem::take(&mut self.out);
        if context.tags.contains("clients") {
            out = out.lines().filter(|line| line.contains("client")).collect::<Vec<_>>().join("\n");
        }
        Ok(out)
    }
}

impl Networked for World {
    fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    fn is_up(&self, id: NodeId) -> bool {
        self.machines.get(&id).is_some_and(|machine| machine.replica.is_some())
    }

    fn arrive(&mut self, message: Message) -> Result<(), Box<dyn Error>> {
        tell(&mut self.out, readable(&message));
        self.input(message.to, Input::Message(message))
    }
}

impl World {
    fn event(&mut self, command: &Command) -> Result<(), Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "cluster" => {
                let count: u64 = args.next_pos().ok_or("how many nodes?")?.parse()?;
                let mut limit =
                    |key, value: usize| args.take_key(key).map_or(Ok(value), str::parse);
                self.limits = Limits {
                    request_bytes: limit("request-bytes", 1000)?,
                    requests: limit("requests", 100)?,
                    uncommitted_bytes: limit("uncommitted-bytes", 1000)?,
                    append_bytes: 1000,
                    append_window: 16,
                    request_timeout: Duration::from_millis(500),
                    subscription_changes: limit("subscription-changes", 1000)?,
                };
                self.machines = (1..=count).map(|id| (id, Machine::default())).collect();
                for id in 1..=count {
                    self.start(id)?;
                }
                self.out.clear();
            }
            "put" | "get" | "delete" | "swap" => {
                let id = node(args.next_pos().ok_or("at which node?")?)?;
                let session = args.take_key("session").map(session).transpose()?;
                let (words, request) = request(&command.name, &mut args)?;
                self.last_client += 1;
                let client = self.last_client;
                tell(&mut self.out, format_args!("client {client} → n{id}: {words}"));
                self.input(id, Input::Request { id: client, request: Box::new(request), session })?;
            }
            "subscribe" => {
                let id = node(args.next_pos().ok_or("to which node?")?)?;
                self.last_subscriber += 1;
                self.input(id, Input::Subscribe(self.last_subscriber))?;
            }
            "unsubscribe" => {
                let id = node(args.next_pos().ok_or("from which node?")?)?;
                let subscriber = args.next_pos().ok_or("which subscriber?")?.parse()?;
                self.input(id, Input::Unsubscribe(subscriber))?;
            }
            "timeout" => {
                let id = node(args.next_pos().ok_or("whose?")?)?;
                let machine = self.machine(id)?;
                let (replica, _) = machine.replica.as_ref().ok_or("it is down")?;
                machine.now = machine.now.max(replica.deadline());
                self.input(id, Input::Timer)?;
            }
            "wait" => {
                let id = node(args.next_pos().ok_or("who?")?)?;
                let end = self.machine(id)?.now + millis(args.next_pos().ok_or("how long?")?)?;
                let mut left = 1000;
                while let Some(deadline) = self.deadline(id)?
                    && deadline <= end
                {
                    left -= 1;
                    if left == 0 {
                        return Err("the timer runs out again and again, to no effect".into());
                    }
                    let machine = self.machine(id)?;
                    machine.now = machine.now.max(deadline);
                    self.input(id, Input::Timer)?;
                }
                self.machine(id)?.now = end;
            }
            "slow" => self.machine(node(args.next_pos().ok_or("whose disk?")?)?)?.slow = true,
            "quick" => {
                let id = node(args.next_pos().ok_or("whose disk?")?)?;
                self.machine(id)?.slow = false;
                self.sync(id, usize::MAX)?;
            }
            "sync" => {
                let id = node(args.next_pos().ok_or("whose disk?")?)?;
                let most = args.next_pos().map_or(Ok(usize::MAX), str::parse)?;
                self.sync(id, most)?;
            }
            "crash" => {
                let id = node(args.next_pos().ok_or("who?")?)?;
                let written = args.take_key("written").map_or(Ok(0), str::parse)?;
                let torn = args.take_key("torn").map_or(Ok(0), str::parse)?;
                self.crash(id, written, torn)?;
            }
            "start" => {
                let id = node(args.next_pos().ok_or("who?")?)?;
                if self.is_up(id) {
                    return Err(format!("n{id} is up already").into());
                }
                self.start(id)?;
            }
            "logs" => self.logs()?,
            name => return Err(format!("no event is called {name}").into()),
        }
        args.reject_next()
    }

    fn machine(&mut self, id: NodeId) -> Result<&mut Machine, Box<dyn Error>> {
        self.machines.get_mut(&id).ok_or_else(|| format!("there is no n{id}").into())
    }

    fn deadline(&mut self, id: NodeId) -> Result<Option<Time>, Box<dyn Error>> {
        Ok(self.machine(id)?.replica.as_ref().map(|(replica, _)| replica.deadline()))
    }

    fn start(&mut self, id: NodeId) -> Result<(), Box<dyn Error>> {
        let (limits, voters) = (self.limits, self.machines.keys().copied().collect());
        let machine = self.machine(id)?;
        let options = Options { first_segment_bytes: 1 << 14, segment_bytes: 1 << 14 };
        let identity = Identity { cluster: 7, node: id };
        let disk = std::mem::take(&mut machine.disk);
        let (wal, recovered) = Wal::open_with(disk, identity, options)?;
        let torn = recovered.cut > 0;
        let config = Config {
            id,
            cluster_id: identity.cluster,
            voters,
            clock: machine.clock,
            election_timeout: Duration::from_millis(100),
            heartbeat_interval: Duration::from_millis(20),
            seed: id,
            limits,
            mutants: Mutants::NONE,
        };
        machine.slow = false;
        machine.replica = Some((Replica::new(config, recovered, machine.now), wal));
        if torn {
            tell(
                &mut self.out,
                format_args!("    n{id} finds a torn write on its disk and cuts it off"),
            );
        }
        self.input(id, Input::Timer)
    }

    /// Of the writes on their way the first `written` are durable, and of the next one the first
    /// `torn` bytes.
    fn crash(&mut self, id: NodeId, written: usize, torn: usize) -> Result<(), Box<dyn Error>> {
        let machine = self.machine(id)?;
        let (replica, mut wal) = machine.replica.take().ok_or("it is down already")?;
        machine.clock = replica.clock();
        for (_, records) in machine.writes.drain(..written.min(machine.writes.len())) {
            wal.append(&records)?;
            wal.sync()?;
        }
        if let Some((_, records)) = machine.writes.front() {
            wal.append(records)?;
        }
        machine.writes.clear();
        let mut left = torn;
        machine.disk = wal.into_disk();
        machine.disk.crash_keeping(|piece| {
            let kept = left.min(piece.len);
            left -= kept;
            kept
        });
        Ok(())
    }

    /// Something happens to a node, and what follows from it.
    fn input(&mut self, id: NodeId, input: Input) -> Result<(), Box<dyn Error>> {
        let mut outputs = Outputs::default();
        let machine = self.machine(id)?;
        let now = machine.now;
        let (replica, _) = machine.replica.as_mut().ok_or_else(|| format!("n{id} is down"))?;
        replica.handle(now, input, &mut outputs);
        let slow = machine.slow;
        let Ok(_nothing) = outputs.perform(&mut Hands { world: self, id });
        if slow { Ok(()) } else { self.sync(id, usize::MAX) }
    }

    fn sync(&mut self, id: NodeId, most: usize) -> Result<(), Box<dyn Error>> {
        for _ in 0..most {
            let machine = self.machine(id)?;
            let Some((_, wal)) = &mut machine.replica else { break };
            let Some((write, records)) = machine.writes.pop_front() else { break };
            wal.append(&records)?;
            wal.sync()?;
            self.input(id, Input::Durable(write))?;
        }
        Ok(())
    }

    fn logs(&mut self) -> Result<(), Box<dyn Error>> {
        for (id, machine) in &self.machines {
            let Some((replica, _)) = &machine.replica else { continue };
            let status = replica.status();
            let all = etcd::RangeRequest {
                key: vec![0].into(),
                range_end: vec![0].into(),
                ..Default::default()
            };
            let words = answer(&replica.store().read(&Request::Range(all))?);
            tell(
                &mut self.out,
                format_args!(
                    "n{id} {} in term {}, log to {}, applied {}: {words}",
                    status.role, status.term, status.last_index, status.applied_index
                ),
            );
        }
        Ok(())
    }
}

/// The world as one machine reaches it.
struct Hands<'a> {
    world: &'a mut World,
    id: NodeId,
}

impl Host for Hands<'_> {
    type Error = Infallible;

    fn trace(&mut self, lines: impl Iterator<Item = (u64, Event)>) -> Result<(), Infallible> {
        for (_, event) in lines.filter(|(_, event)| is_shown(event)) {
            tell(&mut self.world.out, format_args!("    n{} {event}", self.id));
        }
        Ok(())
    }

    fn write(&mut self, write: Option<(WriteId, Vec<Record>)>) -> Result<(), Infallible> {
        self.world.machines.get_mut(&self.id).unwrap().writes.extend(write);
        Ok(())
    }

    fn send(&mut self, message: Message) -> Option<Message> {
        self.world.network.send([message]);
        None
    }

    fn reply(&mut self, client: RequestId, result: Result<Response, replica::Error>) {
        let words = match result {
            Ok(response) => answer(&response),
            Err(error) => format!("error: {error}"),
        };
        tell(&mut self.world.out, format_args!("n{} → client {client}: {words}", self.id));
    }

    fn notify(&mut self, subscriber: SubscriptionId, notice: Notice) -> bool {
        let words = match notice {
            Notice::Changes(changes) => {
                changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
            Notice::Lagged => "you lag behind, subscribe again".to_owned(),
        };
        tell(&mut self.world.out, format_args!("n{} → subscriber {subscriber}: {words}", self.id));
        true
    }
}

/// A message with the ids of reads as a person would number them: question 2 of boot 1 is 1002.
fn readable(message: &Message) -> Message {
    let mut message = message.clone();
    if let Body::Raft(raft::Body::ReadIndex { id } | raft::Body::ReadIndexReply { id, .. }) =
        &mut message.body
    {
        *id = (*id >> 40) * 1000 + (*id & 0xff_ffff_ffff);
    }
    message
}

/// `s/3` is the third command of session s.
fn session(text: &str) -> Result<Session, Box<dyn Error>> {
    let (id, sequence) = text.split_once('/').ok_or("a session is like s/1")?;
    Ok(Session { id: id.to_owned(), sequence: sequence.parse()? })
}

/// A client's request, and what it asks in words.
fn request(
    kind: &str,
    args: &mut ArgumentConsumer<'_>,
) -> Result<(String, Request), Box<dyn Error>> {
    let put = |key: &str, value: &str| etcd::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..Default::default()
    };
    if kind == "put" {
        let (key, value) = args.next_key().ok_or("which key=value?")?;
        return Ok((format!("put {key}={value}"), Request::Put(put(key, value))));
    }
    let key = args.next_pos().ok_or("which key?")?;
    Ok(match kind {
        "get" => {
            let serializable = args.next_pos() == Some("serializable");
            let key_bytes = key.to_owned().into();
            let range = etcd::RangeRequest { key: key_bytes, serializable, ..Default::default() };
            let how = if serializable { ", serializable" } else { "" };
            (format!("get {key}{how}"), Request::Range(range))
        }
        "delete" => {
            let delete =
                etcd::DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() };
            (format!("delete {key}"), Request::DeleteRange(delete))
        }
        _ => {
            let (old, new) =
                (args.next_pos().ok_or("from what?")?, args.next_pos().ok_or("to what?")?);
            let compare = etcd::Compare {
                target: compare::CompareTarget::Value as i32,
                key: key.to_owned().into(),
                target_union: Some(compare::TargetUnion::Value(old.to_owned().into())),
                ..Default::default()
            };
            let then = request_op::Request::RequestPut(put(key, new));
            let txn = etcd::TxnRequest {
                compare: vec![compare],
                success: vec![etcd::RequestOp { request: Some(then) }],
                ..Default::default()
            };
            (format!("if {key}={old}, put {key}={new}"), Request::Txn(txn))
        }
    })
}

/// A response in words.
fn answer(response: &Response) -> String {
    let (words, header) = match response {
        Response::Put(put) => ("done".to_owned(), &put.header),
        Response::DeleteRange(delete) => (format!("{} deleted", delete.deleted), &delete.header),
        Response::Txn(txn) => {
            let words = if txn.succeeded { "done" } else { "it was another" };
            (words.to_owned(), &txn.header)
        }
        Response::Range(range) => {
            let pairs = range.kvs.iter().map(|pair| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                format!("{}={}", text(&pair.key), text(&pair.value))
            });
            let pairs = pairs.collect::<Vec<_>>().join(" ");
            (if pairs.is_empty() { "nothing".to_owned() } else { pairs }, &range.header)
        }
    };
    let revision = header.as_ref().map_or(0, |header| header.revision);
    format!("{words}, revision {revision}")
}
