//! [`Replica`]: moves what happens to the core, and what follows to the outputs.

use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use prost::Message as _;
use proto::{
    etcd,
    peer::{Command, CommandId, Session},
    trace::Event,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    Body, Config, Error, Input, Message, Outputs, RequestId, Status, Time, WriteId,
    forward::{Forwarded, Verdict},
    outbox,
    reads::{Read, Reads},
    subscriptions::Subscriptions,
    writes::{QueuedCommand, Writes},
};
use crate::{
    kv::{self, Request, Response, Store},
    mutants::Mutant,
    raft::{self, Configuration, Effects, EntryKind, Index, NodeId, Raft, Term},
    storage::{Record, Recovered},
};

/// Reject clocks at or above this: no correct cluster reaches them, and they would overflow.
const CLOCK_MAX: u64 = 1 << 62;

/// A node's state machine; see the module.
///
/// - `applied <= commit`; entries are applied in order, each once.
/// - Requests in flight never exceed their limit.
#[derive(Debug)]
pub struct Replica {
    config: Config,
    /// How long a request waits for a leader to be known.
    leader_wait: Time,
    boot: u64,
    raft: Raft,
    store: Store,
    applied: Index,
    writes: Writes,
    reads: Reads,
    forwarded: Forwarded,
    subscriptions: Subscriptions,
    /// Number of the last command of this boot.
    last_command: u64,
    last_write: WriteId,
    /// Since when no leader is known.
    leaderless: Option<Time>,
    clock: u64,
    now: Time,
    random: ChaCha8Rng,
    /// Messages of the replica itself, each with how many of the core's leave before it. Empty
    /// between inputs.
    own: Vec<(usize, Message)>,
    /// Messages of the replica itself that wait until term and vote are durable, each with how many
    /// of the core's wait before it.
    held: Vec<(usize, Message)>,
    /// Empty between inputs; kept for its memory.
    effects: Effects,
}

impl Replica {
    /// A replica in the state that its disk holds. The first outputs come from the first
    /// [`Replica::handle`].
    ///
    /// # Panics
    /// On a configuration or a recovered state that cannot be: see [`Config`], [`Raft::new`].
    pub fn new(config: Config, recovered: Recovered, now: Time) -> Self {
        let config = mutated(config);
        assert!(!config.election_timeout.is_zero(), "the election timeout must not be zero");
        assert!(
            recovered.state.snapshot.is_none(),
            "the log begins after a snapshot, and this version of the node can read none"
        );
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let mut effects = Effects::default();
        let configuration = match Configuration::of_voters(config.voters.clone()) {
            Ok(configuration) => configuration,
            Err(why) => panic!("the voters {:?} cannot be: {why}", config.voters),
        };
        let core = raft::Config {
            id: config.id,
            configuration,
            heartbeat_interval: config.heartbeat_interval,
            append_bytes: config.limits.append_bytes,
            append_window: config.limits.append_window,
            uncommitted_bytes: config.limits.uncommitted_bytes,
            mutants: config.mutants,
        };
        let raft = Raft::new(
            core,
            recovered.state,
            now,
            draw(&mut random, config.election_timeout),
            &mut effects,
        );
        Self {
            boot: recovered.boot,
            store: Store::default(),
            applied: raft.commit(),
            writes: Writes::default(),
            reads: Reads::new(recovered.boot),
            forwarded: Forwarded::new(raft.term()),
            subscriptions: Subscriptions::default(),
            raft,
            last_command: 0,
            last_write: 0,
            leaderless: Some(now),
            clock: config.clock,
            now,
            random,
            own: Vec::new(),
            held: Vec::new(),
            effects,
            leader_wait: (config.election_timeout * 2).min(config.limits.request_timeout),
            config,
        }
    }

    /// Takes one input and appends what follows from it to `outputs`.
    ///
    /// Outputs of several inputs may be gathered in one value before they are acted on. Its write
    /// then has the number of the last one, and one [`Input::Durable`] answers for all; appends and
    /// acknowledgements to one peer become one message. A busy driver saves much by that.
    pub fn handle(&mut self, now: Time, input: Input, outputs: &mut Outputs) {
        // A driver whose clock steps back must not make timeouts run backwards.
        self.now = self.now.max(now);
        match input {
            Input::Request { id, request, session } => self.request(id, *request, session, outputs),
            Input::Durable(id) => {
                let sent = self.effects.messages.len();
                self.raft.durable(self.now, id, &mut self.effects);
                self.release_held(sent);
            }
            Input::Message(message) => self.message(message, outputs),
            Input::Subscribe(id) => {
                self.subscriptions.open(id);
                self.store.note_changes(true);
            }
            Input::Unsubscribe(id) => self.subscriptions.close(id),
            Input::Timer => {}
        }
        self.raft.tick(self.now, &mut self.effects);
        self.settle(outputs);
        self.emit(outputs);
    }

    /// When the driver must give [`Input::Timer`], unless another input moves it.
    pub fn deadline(&self) -> Time {
        if self.config.mutants.has(Mutant::IgnoresDeadline) && !self.writes.is_empty() {
            return Time::ZERO;
        }
        if self.writes.is_empty() && self.reads.is_empty() {
            return self.raft.deadline();
        }
        let limits = &self.config.limits;
        let (wait, patience) = (self.leader_wait, self.config.election_timeout);
        let writes = self.writes.deadline(wait, limits.request_timeout);
        let reads = self.reads.deadline(self.leaderless, wait, patience, limits.request_timeout);
        writes.into_iter().chain(reads).fold(self.raft.deadline(), Time::min)
    }

    /// The present state, for `Status`, `Inspect` and reply headers.
    pub fn status(&self) -> Status {
        Status {
            id: self.config.id,
            boot: self.boot,
            role: self.raft.role(),
            term: self.raft.term(),
            leader: self.raft.leader(),
            last_index: self.raft.last().index,
            durable_index: self.raft.durable_index(),
            commit_index: self.raft.commit(),
            applied_index: self.applied,
            revision: self.store.revision(),
        }
    }

    /// The largest Lamport clock that this node traced, sent or received.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// The store, for `HashKV`.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn request(
        &mut self,
        id: RequestId,
        request: Request,
        session: Option<Session>,
        outputs: &mut Outputs,
    ) {
        let limits = &self.config.limits;
        let refusal = if self.writes.len() + self.reads.len() >= limits.requests {
            Some(Error::TooManyRequests)
        } else if request.encoded_len() > limits.request_bytes {
            Some(Error::TooLarge)
        } else {
            request.check().err().map(Error::Store)
        };
        if let Some(error) = refusal {
            outputs.replies.push((id, Err(error)));
        } else if request.is_read() {
            let read = Read { request: id, what: request, arrived: self.now };
            if read.what.is_serializable() {
                self.serve(read, outputs);
            } else {
                self.reads.add(read);
            }
        } else {
            let request = request.into_command();
            assert!(request.is_some(), "what is no read must be a command");
            let command = Command { id: None, request, session };
            self.writes.enqueue(QueuedCommand { request: id, command, arrived: self.now });
        }
    }

    fn message(&mut self, message: Message, outputs: &mut Outputs) {
        let Message { from, to, term, clock, body } = message;
        if clock >= CLOCK_MAX || to != self.config.id {
            return;
        }
        let (now, fx) = (self.now, &mut self.effects);
        // What the core would not take from this sender is no message at all.
        match body {
            Body::Raft(body) => {
                if !self.raft.step(now, raft::Message { from, to, term, body }, fx) {
                    return;
                }
            }
            Body::Propose { command, id } => {
                if !self.raft.observe(now, from, term, fx) {
                    return;
                }
                self.take_forwarded(from, term, command, id);
            }
            Body::ProposeRefused { id } => {
                if !self.raft.observe(now, from, term, fx) {
                    return;
                }
                let own = id.node == self.config.id && id.boot == self.boot;
                if own && let Some(request) = self.writes.refused(id.number, from) {
                    outputs.replies.push((request, Err(Error::NoLeader)));
                }
            }
        }
        self.clock = self.clock.max(clock) + 1;
    }

    /// A peer hands over its client's command.
    fn take_forwarded(&mut self, from: NodeId, sent: Term, command: Bytes, id: CommandId) {
        let verdict = self.forwarded.judge(from, id, sent, self.raft.term());
        // The id comes first in a command. What else is in it, each node sees as it applies it.
        let named = Command { id: Some(id), ..Command::default() }.encode_to_vec();
        let sound = command.starts_with(&named);
        let taken = verdict == Verdict::Fresh
            && sound
            && self.raft.propose(command, &mut self.effects).is_some();
        if !taken && verdict != Verdict::Ignore {
            self.send(from, Body::ProposeRefused { id });
        }
    }

    /// Brings everything to rest after an input.
    fn settle(&mut self, outputs: &mut Outputs) {
        if self.raft.wants_timeout() {
            let mut timeout = draw(&mut self.random, self.config.election_timeout);
            if self.config.mutants.has(Mutant::RollsDice) {
                timeout += Time::from_micros(RandomState::new().hash_one(0) % 1000);
            }
            self.raft.supply_timeout(timeout);
        }
        self.leaderless = match self.raft.leader() {
            Some(_) => None,
            None => self.leaderless.or(Some(self.now)),
        };
        self.propose_queued(outputs);
        self.ask_for_reads();
        self.apply(outputs);
        while let Some(read) = self.reads.serve(self.applied) {
            self.serve(read, outputs);
        }
        self.expire(outputs);
        self.stage(outputs);
    }

    /// Answers what has waited too long.
    fn expire(&mut self, outputs: &mut Outputs) {
        if self.writes.is_empty() && self.reads.is_empty() {
            return;
        }
        let (wait, timeout) = (self.leader_wait, self.config.limits.request_timeout);
        self.writes.expire(self.now, wait, timeout, &mut outputs.replies);
        self.reads.expire(self.now, self.leaderless, wait, timeout, &mut outputs.replies);
    }

    /// Proposes what waited for a leader, here or there.
    fn propose_queued(&mut self, outputs: &mut Outputs) {
        if self.writes.is_empty() {
            return;
        }
        let Some(leader) = self.raft.leader() else { return };
        // A message of a term that is not durable would be held, and perhaps dropped.
        if !self.raft.settled() {
            return;
        }
        while let Some(QueuedCommand { request, mut command, arrived }) = self.writes.dequeue() {
            self.last_command += 1;
            let number = self.last_command;
            let id = CommandId { node: self.config.id, boot: self.boot, number };
            command.id = Some(id);
            let payload = Bytes::from(command.encode_to_vec());
            if leader != self.config.id {
                self.send(leader, Body::Propose { command: payload, id });
                self.writes.proposed(number, request, arrived, Some(leader));
            } else if self.raft.propose(payload, &mut self.effects).is_some() {
                self.writes.proposed(number, request, arrived, None);
            } else {
                outputs.replies.push((request, Err(Error::TooManyRequests)));
            }
        }
    }

    fn ask_for_reads(&mut self) {
        if !self.effects.reads.is_empty() {
            self.take_read_answers();
        }
        if self.reads.is_empty() {
            return;
        }
        let term = self.raft.term();
        self.reads.drop_stale(self.now, term, self.config.election_timeout);
        if self.raft.leader().is_some()
            && let Some(id) = self.reads.ask(self.now, term)
        {
            self.raft.read(id, &mut self.effects);
            self.take_read_answers();
        }
    }

    fn take_read_answers(&mut self) {
        for &(id, index) in &self.effects.reads {
            self.reads.answer(id, index);
        }
        self.effects.reads.clear();
    }

    /// Applies what is committed and answers the clients who wait for it.
    fn apply(&mut self, outputs: &mut Outputs) {
        let commit = self.raft.commit();
        let back = self.config.mutants.has(Mutant::CommitGoesBack) && self.applied > commit;
        if self.applied == commit || back {
            return;
        }
        assert!(self.applied < commit, "applied {} but committed only {commit}", self.applied);
        let header = self.header();
        let mut answered = Vec::new();
        let mut last = None;
        for index in self.applied + 1..=commit {
            while index == 9 && self.config.mutants.has(Mutant::NeverReturns) {
                std::thread::park();
            }
            let entry = match self.raft.entry(index) {
                Ok(entry) => entry,
                Err(why) => panic!("entry {index} is committed but not in the log: {why:?}"),
            };
            last = Some(entry.position());
            match entry.kind {
                EntryKind::Normal => {}
                // Neither is the state machine's.
                EntryKind::NoOp | EntryKind::Configuration => continue,
            }
            // What no correct node proposes is skipped, on every node alike.
            let Ok(command) = Command::decode(entry.payload.clone()) else { continue };
            let result = self.store.apply(&command);
            let own = command.id.filter(|id| id.node == self.config.id && id.boot == self.boot);
            if let Some(request) = own.and_then(|id| self.writes.applied(id.number)) {
                if result.is_ok() {
                    answered.push(index);
                }
                outputs.replies.push((request, finish(result, header)));
            }
        }
        self.applied = commit;
        if let Some(last) = last {
            let state = self.store.digest();
            self.effects.trace.push(Event::Applied { last, state });
        }
        self.effects.trace.extend(answered.into_iter().map(|index| Event::Answered { index }));
        if !self.subscriptions.is_empty() {
            let most = self.config.limits.subscription_changes;
            self.subscriptions.publish(self.store.take_changes(), most, &mut outputs.notices);
        }
        self.store.note_changes(!self.subscriptions.is_empty());
    }

    fn serve(&self, read: Read, outputs: &mut Outputs) {
        let result = finish(self.store.read(&read.what), self.header());
        outputs.replies.push((read.request, result));
    }

    fn header(&self) -> etcd::ResponseHeader {
        etcd::ResponseHeader {
            cluster_id: self.config.cluster_id,
            member_id: self.config.id,
            revision: 0,
            raft_term: self.raft.term(),
        }
    }

    /// Hands what the core wants written to the disk.
    fn stage(&mut self, outputs: &mut Outputs) {
        let id = self.last_write + 1;
        let Some(staged) = self.raft.stage(id) else { return };
        let hard_state = staged.hard_state.map(Record::HardState);
        let entries = staged.entries.iter().cloned().map(Record::Entry);
        let write = outputs.write.get_or_insert_with(|| (id, Vec::new()));
        write.0 = id;
        write.1.extend(hard_state.into_iter().chain(entries));
        self.last_write = id;
    }

    /// Sends a message after all that the core has sent so far; at once, or as soon as term and
    /// vote are durable.
    fn send(&mut self, to: NodeId, body: Body) {
        let (from, term) = (self.config.id, self.raft.term());
        let message = Message { from, to, term, clock: 0, body };
        if self.raft.settled() {
            self.own.push((self.effects.messages.len(), message));
        } else {
            self.held.push((self.raft.held(), message));
        }
    }

    /// Sends what waited for term and vote, if they are durable now, among what the core has sent
    /// of its own after the first `sent` messages. What is of an earlier term would be ignored by
    /// its receiver.
    fn release_held(&mut self, sent: usize) {
        if self.raft.settled() {
            let term = self.raft.term();
            let present = self.held.drain(..).filter(|(_, message)| message.term == term);
            self.own.extend(present.map(|(after, message)| (sent + after, message)));
        }
    }

    /// Moves the core's effects and the replica's own messages to the outputs, with their clocks.
    fn emit(&mut self, outputs: &mut Outputs) {
        if !self.effects.trace.is_empty() {
            for event in self.effects.trace.drain(..) {
                self.clock += 1;
                outputs.trace.push((self.clock, event));
            }
        }
        if self.effects.messages.is_empty() && self.own.is_empty() {
            return;
        }
        let (clock, append_bytes) = (self.clock, self.config.limits.append_bytes);
        let core = self.effects.messages.drain(..).map(|message| {
            let raft::Message { from, to, term, body } = message;
            Message { from, to, term, clock, body: Body::Raft(body) }
        });
        let mut leave = |message| outbox::push(&mut outputs.messages, message, append_bytes);
        if self.own.is_empty() {
            return core.for_each(leave);
        }
        let mut own = self.own.drain(..).peekable();
        for (sent, message) in core.enumerate() {
            while let Some((_, message)) = own.next_if(|(after, _)| *after <= sent) {
                leave(Message { clock, ..message });
            }
            leave(message);
        }
        own.for_each(|(_, message)| leave(Message { clock, ..message }));
    }
}

/// What equivalent mutants change; see [`crate::mutants`].
fn mutated(mut config: Config) -> Config {
    if config.mutants.has(Mutant::HeartbeatsTwice) {
        config.heartbeat_interval /= 2;
    }
    if config.mutants.has(Mutant::SmallAppends) {
        config.limits.append_bytes = config.limits.append_bytes.min(100);
    }
    if config.mutants.has(Mutant::SlowElections) {
        config.election_timeout = config.election_timeout * 3 / 2;
    }
    config
}

/// An election timeout from `shortest..2 * shortest`.
fn draw(random: &mut ChaCha8Rng, shortest: Time) -> Time {
    random.random_range(shortest..shortest * 2)
}

/// Fills in the header but for the revision, which is the store's to say.
fn finish(
    result: Result<Response, kv::Error>,
    header: etcd::ResponseHeader,
) -> Result<Response, Error> {
    let mut response = result?;
    let slot = response.header_mut();
    let revision = slot.as_ref().map_or(0, |stored| stored.revision);
    *slot = Some(etcd::ResponseHeader { revision, ..header });
    Ok(response)
}
