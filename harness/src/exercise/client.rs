//! Clients: each performs one operation after another, stays with a node, and moves to the next
//! node after an error unless it is loyal.
//!
//! An operation of a session may be sent again, through the node that the client is then at: see
//! [`Task`].

use std::{collections::BTreeMap, mem, time::Duration};

use checker::history::{Function, Kind, Value};

use super::{
    Alarm, ClientId, ClientStep, Desk, Note, Order, Time,
    rate_limiter::RateLimiter,
    session::{Sessions, Task},
    stride,
};
use crate::{
    client::{Completion, codec},
    nemesis::NodeId,
    plan::Plan,
    workload::{FinalRead, Generator, Operation, Stamp, Turn, Workload},
};

/// A client waits so long after an error, times the number of errors in a row: a cluster without a
/// leader must not be asked thousands of times a second.
const BACK_OFF: Duration = Duration::from_millis(10);
/// So long after no key was to be given up, those that are left are given up together.
const READING: Duration = Duration::from_secs(30);
/// A node that did not answer a probe is probed again after this part of the time between probes.
const PROBES_AGAIN: u32 = 4;
/// Errors in a row that count.
const ERRORS_MAX: u32 = 10;

/// Writes of unknown outcome that the load leaves on one key. Each may have taken effect at any
/// time since, or never: beyond about a hundred, a history can be explained in too many ways to be
/// decided. The load then reads the key instead.
const UNKNOWN_MAX: usize = 64;

/// What a client is for.
#[derive(Clone, Debug)]
enum Job {
    /// Load, until the load ends.
    Load,
    /// Stays with its node. While the load lasts it reads and writes through it in turn, now and
    /// then; after the last heal it reads until the node answers, or patience ends.
    Probe {
        /// Its next operation is a write, while the load lasts.
        writes: bool,
        /// After the last heal: when it gives up.
        until: Option<Time>,
        /// It has answered since.
        served: bool,
    },
    /// Reads everything once.
    Read {
        /// What is left, the next read last.
        left: Vec<FinalRead>,
        /// What the answers left open was added.
        further: bool,
        /// Attempts at the next one.
        attempts: usize,
        /// No read is given up sooner.
        until: Time,
        /// What could not be read.
        unread: Vec<String>,
    },
}

/// How far a client is.
#[derive(Debug)]
enum Progress {
    /// It has no operation.
    Idle,
    /// It has chosen an operation whose turn has not come.
    Chosen(Operation),
    /// The operation is recorded as begun, and a connection is ordered.
    Connecting(Task),
    /// The operation is on its way.
    Sent(Task),
    /// The operation will be sent again.
    Resting(Task),
    /// The client is done.
    Over,
}

#[derive(Debug)]
struct Client {
    /// Never reused once one of its operations may still take effect.
    process: u64,
    /// Position of its node.
    at: usize,
    job: Job,
    connected: bool,
    /// Errors in a row.
    errors: u32,
    /// Numbers what it waits for; anything else that is reported is void.
    token: u64,
    sessions: Sessions,
    progress: Progress,
}

/// All clients of a run.
#[derive(Debug)]
pub(super) struct Clients {
    clients: Vec<Client>,
    workload: Box<dyn Generator>,
    limiter: RateLimiter,
    /// Names of the nodes, as the history has them.
    names: Vec<String>,
    load_ended: bool,
    stride: u64,
    /// Writes of unknown outcome, by key.
    unknown: BTreeMap<String, usize>,
}

impl Clients {
    /// No client works yet.
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            clients: Vec::new(),
            workload: plan.workload.generator(plan.seed),
            limiter: RateLimiter::new(&plan.load),
            names: plan.node_ids().iter().map(|id| format!("n{id}")).collect(),
            load_ended: false,
            stride: stride(plan.load.concurrency, plan.nodes),
            unknown: BTreeMap::new(),
        }
    }

    /// The load begins.
    pub(super) fn begin_load(&mut self, desk: &mut Desk<'_>) {
        for number in 0..desk.plan.load.concurrency {
            self.enlist(number, (number % desk.plan.nodes) as usize, Job::Load, desk);
        }
        if !desk.plan.probe_interval.is_zero() {
            self.enlist_probes(None, desk);
        }
    }

    /// The load begins no more operations, and probes that are open are the last until
    /// [`begin_probes`](Self::begin_probes).
    pub(super) fn end_load(&mut self) {
        self.load_ended = true;
        for client in &mut self.clients {
            if let Job::Probe { until, .. } = &mut client.job {
                *until = Some(Time::ZERO);
            }
            let waits = matches!(client.progress, Progress::Idle | Progress::Chosen(_));
            if waits && matches!(client.job, Job::Load | Job::Probe { .. }) {
                client.progress = Progress::Over;
            }
        }
    }

    /// Whether the load begins no more operations.
    pub(super) fn load_ended(&self) -> bool {
        self.load_ended
    }

    /// Whether the load has nothing left to do.
    pub(super) fn is_load_over(&self) -> bool {
        self.are_over(|job| matches!(job, Job::Load | Job::Probe { .. }))
    }

    /// After the last heal: reads through each node until each has answered, for so long at most.
    /// Begins after `rest`.
    pub(super) fn begin_probes(&mut self, rest: Duration, patience: Duration, desk: &mut Desk<'_>) {
        let begin = desk.now + rest;
        let until = Some(begin + patience);
        if desk.plan.probe_interval.is_zero() {
            let first = self.clients.len();
            self.enlist_probes(until, desk);
            for id in (first..self.clients.len()).filter(|_| !rest.is_zero()) {
                self.wait(id, begin, ClientStep::Choose, desk);
            }
            return;
        }
        for id in 0..self.clients.len() {
            let client = &mut self.clients[id];
            if let Job::Probe { .. } = client.job {
                client.job = Job::Probe { writes: false, until, served: false };
                // It is over where the heals took longer than the load.
                let waits = matches!(
                    client.progress,
                    Progress::Idle | Progress::Chosen(_) | Progress::Over
                );
                if waits {
                    client.progress = Progress::Idle;
                    self.wait(id, begin, ClientStep::Choose, desk);
                }
            }
        }
    }

    fn enlist_probes(&mut self, until: Option<Time>, desk: &mut Desk<'_>) {
        for at in 0..self.names.len() {
            let number = desk.plan.load.concurrency + at as u64;
            self.enlist(number, at, Job::Probe { writes: false, until, served: false }, desk);
        }
    }

    /// Once every probe is over: the nodes that did not serve.
    pub(super) fn silent(&self) -> Option<Vec<&str>> {
        if !self.are_over(|job| matches!(job, Job::Probe { .. })) {
            return None;
        }
        let silent = self.clients.iter().filter_map(|client| match client.job {
            Job::Probe { served: false, .. } => Some(self.names[client.at].as_str()),
            _ => None,
        });
        Some(silent.collect())
    }

    /// Reads everything; gives up no read within `patience`.
    pub(super) fn begin_reads(&mut self, patience: Duration, desk: &mut Desk<'_>) {
        let mut left = desk.plan.workload.final_reads(desk.plan.nodes);
        left.reverse();
        let until = desk.now + patience;
        let job = Job::Read { left, further: false, attempts: 0, until, unread: Vec::new() };
        let number = self.stride - 1;
        self.enlist(number, (number % desk.plan.nodes) as usize, job, desk);
    }

    /// Once the reader is over: what it could not read.
    pub(super) fn unread(&self) -> Option<&[String]> {
        match self.clients.last()? {
            Client { job: Job::Read { unread, .. }, progress: Progress::Over, .. } => Some(unread),
            _ => None,
        }
    }

    fn are_over(&self, which: impl Fn(&Job) -> bool) -> bool {
        let mut clients = self.clients.iter().filter(|client| which(&client.job));
        clients.all(|client| matches!(client.progress, Progress::Over))
    }

    fn enlist(&mut self, process: u64, at: usize, job: Job, desk: &mut Desk<'_>) {
        let progress = Progress::Idle;
        self.clients.push(Client {
            process,
            at,
            job,
            connected: false,
            errors: 0,
            token: 0,
            sessions: Sessions::of(process),
            progress,
        });
        self.wait(self.clients.len() - 1, desk.now, ClientStep::Choose, desk);
    }

    /// From now on the client waits for something else; it is woken at this time.
    fn wait(&mut self, id: ClientId, at: Time, step: ClientStep, desk: &mut Desk<'_>) -> u64 {
        let client = &mut self.clients[id];
        client.token += 1;
        let token = client.token;
        desk.wake(at, Alarm::Client { client: id, token, step });
        token
    }

    /// A client is woken.
    pub(super) fn alarm(
        &mut self,
        id: ClientId,
        token: u64,
        step: ClientStep,
        desk: &mut Desk<'_>,
    ) {
        let client = &mut self.clients[id];
        if client.token != token {
            return;
        }
        let timeout = desk.plan.load.operation_timeout;
        match (step, mem::replace(&mut client.progress, Progress::Idle)) {
            (_, Progress::Over) => client.progress = Progress::Over,
            (_, Progress::Idle) => self.choose(id, desk),
            (_, Progress::Chosen(operation)) => self.begin(id, operation, desk),
            (_, Progress::Resting(task)) => self.ask(id, task, desk),
            (_, Progress::Connecting(task)) => {
                let why = format!("not connected: no answer within {timeout:?}");
                self.give_up(id, task, codec::unsent(why), desk);
            }
            (_, Progress::Sent(task)) => {
                let done = codec::refused(&task.operation, &codec::too_late(timeout), false);
                self.give_up(id, task, done, desk);
            }
        }
    }

    /// A client's connection stands, or does not.
    pub(super) fn connected(
        &mut self,
        id: ClientId,
        token: u64,
        result: Result<(), String>,
        desk: &mut Desk<'_>,
    ) {
        let client = &mut self.clients[id];
        if client.token != token || !matches!(client.progress, Progress::Connecting(_)) {
            return;
        }
        let progress = mem::replace(&mut client.progress, Progress::Idle);
        let Progress::Connecting(task) = progress else { return };
        client.connected = result.is_ok();
        match result {
            Ok(()) => self.send(id, task, desk),
            Err(why) => self.complete(id, task, codec::unsent(why), desk),
        }
    }

    /// A client's operation ended.
    pub(super) fn completed(
        &mut self,
        id: ClientId,
        token: u64,
        completion: Completion,
        desk: &mut Desk<'_>,
    ) {
        let client = &mut self.clients[id];
        if client.token != token || !matches!(client.progress, Progress::Sent(_)) {
            return;
        }
        let progress = mem::replace(&mut client.progress, Progress::Idle);
        let Progress::Sent(task) = progress else { return };
        self.complete(id, task, completion, desk);
    }

    /// A client's connection broke while it waited for nothing.
    pub(super) fn disconnected(&mut self, id: ClientId) {
        self.clients[id].connected = false;
    }

    /// A client chooses its next operation, or is done.
    fn choose(&mut self, id: ClientId, desk: &mut Desk<'_>) {
        let client = &mut self.clients[id];
        let at_once = Turn::At(Duration::ZERO);
        let next = match &mut client.job {
            Job::Load if self.load_ended || desk.is_quiet() => None,
            Job::Load => self.workload.next(id as u64),
            Job::Probe { writes, until, served } => {
                let goes_on = match until {
                    Some(until) => !*served && desk.now < *until,
                    None => !self.load_ended,
                };
                let may_write = until.is_none() && !desk.is_quiet();
                let write = match goes_on && std::mem::replace(writes, !*writes) && may_write {
                    true => self.workload.write(),
                    false => None,
                };
                goes_on.then(|| (write.unwrap_or_else(|| desk.plan.workload.probe()), at_once))
            }
            Job::Read { left, .. } => left.last().map(|read| {
                if let Some(node) = read.at.map(|node| node as usize - 1)
                    && node != client.at
                {
                    (client.at, client.connected) = (node, false);
                }
                (read.operation.clone(), at_once)
            }),
        };
        let Some((mut operation, turn)) = next else {
            client.progress = Progress::Over;
            return;
        };
        let is_written_down = matches!(desk.plan.workload, Workload::Script(_));
        if let (false, Operation::Register(it)) = (is_written_down, &mut operation)
            && self.unknown.get(&it.key).is_some_and(|unknown| *unknown >= UNKNOWN_MAX)
        {
            (it.f, it.value) = (Function::Read, Value::Nil);
        }
        let turn = match turn {
            Turn::Paced => desk.start + self.limiter.turn(desk.now.saturating_sub(desk.start)),
            Turn::At(at) => desk.start + at,
        };
        if turn <= desk.now {
            return self.begin(id, operation, desk);
        }
        client.progress = Progress::Chosen(operation);
        self.wait(id, turn, ClientStep::Begin, desk);
    }

    /// The operation begins: it is recorded, and sent if there is a connection.
    fn begin(&mut self, id: ClientId, operation: Operation, desk: &mut Desk<'_>) {
        let event = operation.begun(self.stamp(id, desk));
        desk.note(Note::Operation { client: id, event });
        let sessions = desk.plan.system.knows_sessions().then_some(&mut self.clients[id].sessions);
        let task = Task::new(operation, sessions, desk.now, desk.plan.load.operation_timeout);
        self.ask(id, task, desk);
    }

    /// Sends the operation, once there is a connection.
    fn ask(&mut self, id: ClientId, task: Task, desk: &mut Desk<'_>) {
        if self.clients[id].connected {
            return self.send(id, task, desk);
        }
        let timeout = desk.now + desk.plan.load.operation_timeout;
        let token = self.wait(id, timeout, ClientStep::TimedOut, desk);
        let client = &mut self.clients[id];
        let node = client.at as NodeId + 1;
        client.progress = Progress::Connecting(task);
        desk.orders.push(Order::Connect { client: id, token, node });
    }

    fn send(&mut self, id: ClientId, task: Task, desk: &mut Desk<'_>) {
        let timeout = desk.now + desk.plan.load.operation_timeout;
        let token = self.wait(id, timeout, ClientStep::TimedOut, desk);
        let (operation, session) = (task.operation.clone(), task.session.clone());
        desk.orders.push(Order::Send { client: id, token, operation, session });
        self.clients[id].progress = Progress::Sent(task);
    }

    /// The client does not wait any longer.
    fn give_up(&mut self, id: ClientId, task: Task, done: Completion, desk: &mut Desk<'_>) {
        self.clients[id].connected = false;
        desk.orders.push(Order::Disconnect { client: id });
        self.complete(id, task, done, desk);
    }

    /// An attempt is over. If it was the last, the operation is over, and the client idle. After an
    /// error it waits a little.
    fn complete(&mut self, id: ClientId, mut task: Task, done: Completion, desk: &mut Desk<'_>) {
        let nodes = self.names.len();
        if done.broken {
            self.clients[id].connected = false;
        }
        let stays = self.is_loyal(id, desk.plan);
        let places = if stays { usize::MAX } else { nodes };
        let over = self.load_ended || desk.is_quiet();
        let again = !over && task.is_sent_again(&done, desk.now, places);
        task.attempted(done);
        if again {
            let client = &mut self.clients[id];
            if !stays {
                client.at = (client.at + 1) % nodes;
                client.connected = false;
            }
            client.errors = (client.errors + 1).min(ERRORS_MAX);
            let next = desk.now + BACK_OFF * client.errors;
            self.wait(id, next, ClientStep::Begin, desk);
            self.clients[id].progress = Progress::Resting(task);
            return;
        }
        let stamp = self.stamp(id, desk);
        let client = &mut self.clients[id];
        let Task { operation, session, .. } = &task;
        let Completion { kind, answer, error, conclusive, .. } = task.outcome();
        if session.is_some() {
            client.sessions.ended(*kind);
        }
        let event = operation.ended(stamp, *kind, answer, error.clone());
        desk.note(Note::Operation { client: id, event });
        self.workload.learn(operation, answer);
        if *kind == Kind::Info {
            client.process += self.stride;
            if let Operation::Register(it) = operation
                && it.f != Function::Read
            {
                *self.unknown.entry(it.key.clone()).or_default() += 1;
            }
        }
        let ok = *kind == Kind::Ok;
        let mut rests = false;
        match &mut client.job {
            Job::Load => {}
            Job::Probe { until, served, .. } => {
                *served = ok;
                rests = ok && until.is_none();
            }
            Job::Read { left, further, attempts, until, unread } => {
                *attempts += 1;
                if ok || (*attempts >= 2 * nodes && desk.now >= *until) {
                    *attempts = 0;
                    if let (Some(read), false) = (left.pop(), ok) {
                        unread.push(read.of);
                    }
                }
                if left.is_empty() && !mem::replace(further, true) {
                    *left = self.workload.further_reads();
                    left.reverse();
                }
                if !ok && desk.now >= *until + READING {
                    unread.extend(left.drain(..).rev().map(|read| read.of));
                }
            }
        }
        // A mismatch of a compare-and-set is an orderly answer, and so is a refusal of what every
        // node refuses.
        if *conclusive {
            client.errors = 0;
            if rests {
                self.wait(id, desk.now + desk.plan.probe_interval, ClientStep::Choose, desk);
                return self.unless_over(id);
            }
            return self.choose(id, desk);
        }
        if !stays {
            client.at = (client.at + 1) % nodes;
            client.connected = false;
        }
        client.errors = (client.errors + 1).min(ERRORS_MAX);
        let back_off = match client.job {
            // It stays with a node that may be down for long.
            Job::Probe { until: None, .. } => desk.plan.probe_interval / PROBES_AGAIN,
            _ => BACK_OFF * client.errors,
        };
        let next = desk.now + back_off;
        self.wait(id, next, ClientStep::Choose, desk);
        self.unless_over(id);
    }

    /// Whether the client stays with its node after an error.
    fn is_loyal(&self, id: ClientId, plan: &Plan) -> bool {
        match self.clients[id].job {
            Job::Load => (id as u64) < plan.load.loyal,
            Job::Probe { .. } => true,
            Job::Read { .. } => false,
        }
    }

    /// A client of a load that has ended is done, and does not wait.
    fn unless_over(&mut self, id: ClientId) {
        let client = &mut self.clients[id];
        let over = match client.job {
            Job::Load => true,
            Job::Probe { until, .. } => until.is_none_or(|until| until.is_zero()),
            Job::Read { .. } => false,
        };
        if self.load_ended && over {
            client.progress = Progress::Over;
        }
    }

    fn stamp(&self, id: ClientId, desk: &Desk<'_>) -> Stamp {
        let Client { process, at, .. } = self.clients[id];
        let (time, node) = (desk.since_start(), self.names[at].clone());
        Stamp { time, process, node }
    }
}
