//! Clients: each performs one operation after another, stays with a node, and moves on to the next
//! after an error. They behave, and tell outcomes apart, as those of a run on containers do.

use std::time::Duration;

use checker::history::{self, Function, Kind, Value};
use node::replica::Time;
use tonic::Status;

use super::{
    observe::Happening,
    queue::{ClientId, Event, News, Work},
    world::World,
};
use crate::{
    client::{Completion, codec},
    nemesis::NodeId,
    workload::{Operation, Turn},
};

/// What a client is for.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Load, until the load ends.
    Load,
    /// Reads through its node until that answers, or patience ends.
    Probe {
        /// When it gives up.
        until: Time,
        /// It has answered.
        served: bool,
    },
    /// Reads every key once.
    Read {
        /// Keys that are left.
        left: Vec<String>,
        /// Attempts at the next one.
        attempts: usize,
        /// No key is given up sooner.
        until: Time,
        /// Keys that could not be read.
        unread: Vec<String>,
    },
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It was thought of; its turn has not come.
    Planned,
    /// It is recorded as begun, and a connection is asked for.
    Connecting,
    /// It is on its way.
    Sent,
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    /// Never reused once one of its operations may still take effect.
    process: u64,
    /// Position of its node.
    at: usize,
    pub(super) job: Job,
    /// The start of its node that it is connected to.
    connection: Option<u64>,
    errors: u32,
    /// Numbers what it waits for; news of anything else is void.
    token: u64,
    operation: Option<Operation>,
    progress: Progress,
    pub(super) over: bool,
}

impl Client {
    /// The client of a number; it begins with the node at position `at`.
    pub(super) fn new(number: u64, at: usize, job: Job) -> Self {
        Self {
            process: number,
            at,
            job,
            connection: None,
            errors: 0,
            token: 0,
            operation: None,
            progress: Progress::Planned,
            over: false,
        }
    }
}

/// Spreads operations evenly over time.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between operations; zero: no limit.
    gap: Duration,
    next: Time,
}

impl Pace {
    /// So many operations per second; 0: no limit.
    pub(super) fn new(rate: u64) -> Self {
        let gap = if rate == 0 { 0 } else { 1_000_000_000 / rate.min(1_000_000_000) };
        Self { gap: Duration::from_nanos(gap), next: Duration::ZERO }
    }

    /// When the next operation may begin. Turns that were missed while the cluster was down are
    /// lost, or the load after an outage would be a flood.
    fn turn(&mut self, now: Time) -> Time {
        if self.gap.is_zero() {
            return now;
        }
        let turn = self.next.max(now.saturating_sub(Duration::from_millis(100)));
        self.next = turn + self.gap;
        turn.max(now)
    }
}

impl World<'_> {
    /// A client learns something after the way from its node to it.
    pub(super) fn tell(&mut self, client: ClientId, token: u64, news: News) {
        let at = self.now + self.message_delay();
        self.queue.push(at, Event::Client { client, token, news });
    }

    /// A client begins.
    pub(super) fn enlist(&mut self, client: Client) {
        self.clients.push(client);
        self.wait(self.clients.len() - 1, Duration::ZERO, News::Turn);
    }

    /// The clients of a process that dies notice it.
    pub(super) fn reset_clients(&mut self, id: NodeId) {
        for number in self.waiting_at(id) {
            let token = self.clients[number].token;
            self.tell(number, token, News::Reset);
        }
    }

    /// The connections of a node's clients break, and what was in flight on them is lost. Returns
    /// how many clients waited for something.
    pub(super) fn break_clients(&mut self, id: NodeId) -> usize {
        let of_client = |work: &Work| matches!(work, Work::Hello(..) | Work::Ask(..));
        self.queue.lose(|event| match event {
            Event::Arrives { node, work, .. } => *node == id && of_client(work),
            _ => false,
        });
        self.process(id).lose_held(of_client);
        let waiting = self.waiting_at(id);
        for &number in &waiting {
            // Nothing else that is on its way to it counts any more.
            self.clients[number].token += 1;
            let token = self.clients[number].token;
            self.tell(number, token, News::Reset);
        }
        for client in self.clients.iter_mut().filter(|client| client.at + 1 == id as usize) {
            client.connection = None;
        }
        waiting.len()
    }

    /// The clients that have an operation open at a node.
    fn waiting_at(&self, id: NodeId) -> Vec<ClientId> {
        let waits = |client: &Client| {
            client.operation.is_some()
                && client.progress != Progress::Planned
                && client.at + 1 == id as usize
        };
        self.clients
            .iter()
            .enumerate()
            .filter(|(_, c)| waits(c))
            .map(|(number, _)| number)
            .collect()
    }

    fn wait(&mut self, id: ClientId, time: Duration, news: News) {
        let client = &mut self.clients[id];
        client.token += 1;
        let token = client.token;
        self.queue.push(self.now + time, Event::Client { client: id, token, news });
    }

    /// Something happens to a client.
    pub(super) fn news(&mut self, id: ClientId, token: u64, news: News) {
        let timeout = self.plan.load.operation_timeout;
        let tells_outcome = self.plan.system.tells_outcome();
        let client = &mut self.clients[id];
        if client.token != token || client.over {
            return;
        }
        let Some(operation) = &client.operation else {
            return match news {
                News::Turn => self.next(id),
                _ => self.begin(id),
            };
        };
        let done = match (news, client.progress == Progress::Sent) {
            (News::Turn | News::Go, _) => return self.begin(id),
            (News::Connected(incarnation), _) => {
                client.connection = Some(incarnation);
                return self.ask(id);
            }
            (News::Answer(answer), _) => match &*answer {
                Ok(answer) => codec::answered(operation, answer),
                Err(error) => {
                    codec::refused(operation, &node::server::status_of(error), tells_outcome)
                }
            },
            (News::Refused, _) => {
                codec::unsent(operation, "not connected: connection refused".to_owned())
            }
            (News::Reset, false) => {
                codec::unsent(operation, "not connected: connection reset".to_owned())
            }
            (News::Timeout, false) => {
                codec::unsent(operation, format!("not connected: no answer within {timeout:?}"))
            }
            (News::Reset, true) => Completion {
                broken: true,
                ..codec::refused(operation, &Status::unavailable("connection reset"), false)
            },
            (News::Timeout, true) => codec::refused(operation, &codec::too_late(timeout), false),
        };
        self.complete(id, &done);
    }

    /// A client thinks of its next operation, or is done.
    fn next(&mut self, id: ClientId) {
        let (now, load_ended) = (self.now, self.load_ended);
        let client = &mut self.clients[id];
        let at_once = Turn::At(Duration::ZERO);
        let read = |key: &str| {
            let operation = Operation { f: Function::Read, key: key.to_owned(), value: Value::Nil };
            (operation, at_once)
        };
        let next = match &client.job {
            Job::Load if load_ended => None,
            Job::Load => self.workload.next(id as u64),
            Job::Probe { until, served } => (!served && now < *until)
                .then(|| read(self.keys.first().map_or("", String::as_str))),
            Job::Read { left, .. } => left.last().map(|key| read(key)),
        };
        match next {
            Some((operation, turn)) => {
                client.operation = Some(operation);
                client.progress = Progress::Planned;
                let turn = match turn {
                    Turn::Paced => self.pace.turn(now),
                    Turn::At(at) => now.max(self.start + at),
                };
                self.wait(id, turn - now, News::Go);
            }
            None => {
                client.over = true;
                self.advance();
            }
        }
    }

    /// The operation begins: it is recorded, and asked for on a connection.
    fn begin(&mut self, id: ClientId) {
        if self.load_ended && matches!(self.clients[id].job, Job::Load) {
            // It never began.
            self.clients[id].operation = None;
            return self.next(id);
        }
        let Some(Operation { value, .. }) = self.clients[id].operation else { return };
        self.note(id, Kind::Invoke, value, None, None);
        self.clients[id].progress = Progress::Connecting;
        let node = self.clients[id].at as NodeId + 1;
        let process = self.process(node);
        let (up, incarnation) = (process.is_up(), process.incarnation);
        if up && self.clients[id].connection == Some(incarnation) {
            return self.ask(id);
        }
        self.clients[id].connection = None;
        self.wait(id, self.plan.load.operation_timeout, News::Timeout);
        let token = self.clients[id].token;
        if up {
            self.call(node, incarnation, Work::Hello(id, token));
        } else {
            self.tell(id, token, News::Refused);
        }
    }

    /// The operation is sent.
    fn ask(&mut self, id: ClientId) {
        let client = &mut self.clients[id];
        let Some(operation) = &client.operation else { return };
        let request = match codec::request(operation) {
            Ok(request) => request,
            Err(status) => {
                let done = codec::refused(operation, &status, false);
                return self.complete(id, &done);
            }
        };
        client.progress = Progress::Sent;
        let (node, incarnation) = (client.at as NodeId + 1, client.connection.unwrap_or(0));
        self.wait(id, self.plan.load.operation_timeout, News::Timeout);
        let token = self.clients[id].token;
        if self.process(node).incarnation == incarnation && self.process(node).is_up() {
            self.call(node, incarnation, Work::Ask(id, token, Box::new(request)));
        } else {
            self.tell(id, token, News::Reset);
        }
    }

    fn call(&mut self, node: NodeId, incarnation: u64, work: Work) {
        let at = self.now + self.message_delay();
        self.queue.push(at, Event::Arrives { node, incarnation, work });
    }

    /// The operation is over. After an error the client waits a little, longer after each one in a
    /// row.
    fn complete(&mut self, id: ClientId, done: &Completion) {
        self.note(id, done.kind, done.value, done.error.clone(), done.revision);
        let Some(operation) = self.clients[id].operation.take() else { return };
        if let Some(saw) = done.saw
            && matches!(self.clients[id].job, Job::Load)
        {
            self.workload.saw(&operation.key, saw);
        }
        let (now, stride, nodes) = (self.now, self.stride, self.processes.len());
        let client = &mut self.clients[id];
        if done.kind == Kind::Info {
            client.process += stride;
        }
        if done.broken {
            client.connection = None;
        }
        let ok = done.kind == Kind::Ok;
        let orderly = ok || done.saw.is_some();
        let loyal = match &mut client.job {
            Job::Load => false,
            Job::Probe { served, .. } => {
                *served = ok;
                true
            }
            Job::Read { left, attempts, until, unread } => {
                *attempts += 1;
                if ok || (*attempts >= 2 * nodes && now >= *until) {
                    *attempts = 0;
                    if let (Some(key), false) = (left.pop(), ok) {
                        unread.push(key);
                    }
                }
                false
            }
        };
        if orderly {
            client.errors = 0;
            return self.wait(id, Duration::ZERO, News::Turn);
        }
        if !loyal {
            client.at = (client.at + 1) % nodes;
            client.connection = None;
        }
        client.errors = (client.errors + 1).min(10);
        let pause = Duration::from_millis(10) * client.errors;
        self.wait(id, pause, News::Turn);
    }

    /// Notes what became of a client's operation.
    fn note(
        &mut self,
        id: ClientId,
        kind: Kind,
        value: Value,
        error: Option<String>,
        revision: Option<i64>,
    ) {
        let client = &self.clients[id];
        let Some(operation) = &client.operation else { return };
        let event = history::Event {
            index: 0,
            time: self.since_start(),
            process: client.process,
            kind,
            f: operation.f,
            key: operation.key.clone(),
            value,
            error,
            node: Some(self.names[client.at].clone()),
            revision,
        };
        self.watch.see(self.now, Happening::Client { client: id as u64, event: &event });
        self.record.event(event);
    }
}
