//! A few cores, their disks and the messages between them, moved by a script.

use std::{
    collections::{BTreeMap, VecDeque},
    error::Error,
    time::Duration,
};

use bytes::Bytes;
use goldenscript::{Command, Context, Runner};
use node::{
    mutants::Mutants,
    raft::{
        self, Config, Configuration, Effects, Entry, EntryKind, HardState, Missing, NodeId,
        PersistentState, Raft, Role, SnapshotMetadata,
    },
    replica::{Body, Message},
};
use proto::trace::Event;

use crate::network::{Network, Networked, node, tell};

/// What survives a crash.
#[derive(Default)]
struct Disk {
    state: PersistentState,
    slow: bool,
    /// Writes on their way, in order.
    writes: VecDeque<(u64, Option<HardState>, Vec<Entry>)>,
    last_write: u64,
}

impl Disk {
    /// The oldest write on its way reaches the disk; its number.
    fn complete(&mut self) -> Option<u64> {
        let (write, hard_state, entries) = self.writes.pop_front()?;
        let state = &mut self.state;
        state.hard_state = hard_state.unwrap_or(state.hard_state);
        for entry in entries {
            state.entries.truncate((entry.index - state.base().index - 1) as usize);
            state.entries.push(entry);
        }
        Some(write)
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct World {
    now: Duration,
    nodes: BTreeMap<NodeId, Raft>,
    disks: BTreeMap<NodeId, Disk>,
    /// Voters; none given: all that are no learners.
    incoming: Vec<NodeId>,
    outgoing: Vec<NodeId>,
    learners: Vec<NodeId>,
    window: usize,
    bytes: usize,
    network: Network,
    last_read: u64,
    out: String,
}

impl Runner for World {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        if !self.network_event(command)? {
            self.event(command)?;
        }
        Ok(std::mem::take(&mut self.out))
    }
}

impl Networked for World {
    fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    fn is_up(&self, id: NodeId) -> bool {
        self.nodes.contains_key(&id)
    }

    fn arrive(&mut self, message: Message) -> Result<(), Box<dyn Error>> {
        tell(&mut self.out, &message);
        let now = self.now;
        let Message { from, to, term, body, .. } = message;
        let Body::Raft(body) = body else { return Err("cores forward no commands".into()) };
        let message = raft::Message { from, to, term, body };
        self.act(to, |raft, fx| {
            raft.step(now, message, fx);
        })
    }
}

impl World {
    fn event(&mut self, command: &Command) -> Result<(), Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "cluster" => {
                let count: u64 = args.next_pos().ok_or("how many nodes?")?.parse()?;
                self.window = args.take_key("window").unwrap_or("16").parse()?;
                self.bytes = args.take_key("bytes").unwrap_or("1000").parse()?;
                let mut list = |key| args.take_key(key).map_or(Ok(Vec::new()), nodes);
                self.incoming = list("incoming")?;
                (self.outgoing, self.learners) = (list("outgoing")?, list("learners")?);
                self.disks = (1..=count).map(|id| (id, Disk::default())).collect();
                self.nodes.clear();
                (1..=count).for_each(|id| self.start(id));
                self.out.clear();
            }
            "disk" => {
                let id = node(args.next_pos().ok_or("whose disk?")?)?;
                let term = args.take_key("term").ok_or("which term?")?.parse()?;
                let vote = args.take_key("vote").map(node).transpose()?;
                let hard_state = HardState { term, vote };
                let mut state = PersistentState { hard_state, ..PersistentState::default() };
                for term in args.take_key("log").unwrap_or_default().split(',') {
                    if !term.is_empty() {
                        let (term, payload) = (term.parse()?, Bytes::from_static(b"d"));
                        let entry = Entry::after(state.last(), term, EntryKind::Normal, payload);
                        state.entries.push(entry);
                    }
                }
                let compacted = args.take_key("compacted").map_or(Ok(0), str::parse::<usize>)?;
                if let Some(last) = state.entries.drain(..compacted).last() {
                    let (last, configuration) = (last.position(), self.configuration());
                    state.snapshot = Some(SnapshotMetadata { last, configuration });
                }
                self.disks.insert(id, Disk { state, ..Disk::default() });
                self.start(id);
            }
            "timeout" => {
                let id = node(args.next_pos().ok_or("whose?")?)?;
                self.now = self.now.max(self.raft(id)?.deadline());
                let now = self.now;
                self.act(id, |raft, fx| raft.tick(now, fx))?;
            }
            "wait" => {
                let end = self.now + millis(args.next_pos().ok_or("how long?")?)?;
                self.run_until(end)?;
            }
            "draw" => {
                let id = node(args.next_pos().ok_or("whose?")?)?;
                let timeout = millis(args.next_pos().ok_or("how long?")?)?;
                self.raft(id)?.supply_timeout(timeout);
            }
            "propose" => {
                let id = node(args.next_pos().ok_or("to whom?")?)?;
                let mut payload = args.next_pos().ok_or("what?")?.as_bytes().to_vec();
                let bytes = args.take_key("bytes").map_or(Ok(payload.len()), str::parse)?;
                payload.resize(bytes, b'.');
                let payload = Bytes::from(payload);
                let mut taken = None;
                self.act(id, |raft, fx| taken = raft.propose(payload, fx))?;
                if taken.is_none() {
                    tell(&mut self.out, format_args!("    n{id} refuses the proposal"));
                }
            }
            "read" => {
                let id = node(args.next_pos().ok_or("where?")?)?;
                self.last_read += 1;
                let (read, mut asked) = (self.last_read, false);
                self.act(id, |raft, fx| asked = raft.read(read, fx))?;
                if !asked {
                    let line = format_args!("    n{id} knows no leader to ask for read {read}");
                    tell(&mut self.out, line);
                }
            }
            "slow" => {
                let id = node(args.next_pos().ok_or("whose disk?")?)?;
                self.disks.get_mut(&id).ok_or("no such node")?.slow = true;
            }
            "quick" => {
                let id = node(args.next_pos().ok_or("whose disk?")?)?;
                self.disks.get_mut(&id).ok_or("no such node")?.slow = false;
                self.sync(id, usize::MAX)?;
            }
            "sync" => {
                let id = node(args.next_pos().ok_or("whose disk?")?)?;
                let most = args.next_pos().map_or(Ok(usize::MAX), str::parse)?;
                self.sync(id, most)?;
            }
            "crash" => {
                let id = node(args.next_pos().ok_or("who?")?)?;
                let kept = args.take_key("written").map_or(Ok(0), str::parse)?;
                self.nodes.remove(&id).ok_or("it is down already")?;
                let disk = self.disks.get_mut(&id).ok_or("no such node")?;
                for _ in 0..kept {
                    disk.complete();
                }
                disk.writes.clear();
            }
            "start" => {
                let id = node(args.next_pos().ok_or("who?")?)?;
                if self.is_up(id) || !self.disks.contains_key(&id) {
                    return Err(format!("n{id} is up already, or nobody").into());
                }
                self.start(id);
            }
            "logs" => self.logs(),
            "timers" => {
                for (id, raft) in &self.nodes {
                    let left = raft.deadline().saturating_sub(self.now).as_millis();
                    let what = match raft.role() {
                        Role::Leader => "heartbeat",
                        Role::Follower | Role::Candidate => "election",
                    };
                    tell(&mut self.out, format_args!("n{id}: {what} in {left} ms"));
                }
            }
            name => return Err(format!("no event is called {name}").into()),
        }
        args.reject_next()
    }

    fn raft(&mut self, id: NodeId) -> Result<&mut Raft, Box<dyn Error>> {
        self.nodes.get_mut(&id).ok_or_else(|| format!("n{id} is down").into())
    }

    fn configuration(&self) -> Configuration {
        let (mut incoming, outgoing) = (self.incoming.clone(), self.outgoing.clone());
        let learners = self.learners.clone();
        if incoming.is_empty() {
            incoming.extend(self.disks.keys().filter(|id| !learners.contains(id)));
        }
        Configuration::new(incoming, outgoing, learners).unwrap()
    }

    fn start(&mut self, id: NodeId) {
        let configuration = self.configuration();
        let disk = self.disks.get_mut(&id).unwrap();
        disk.slow = false;
        let state = disk.state.clone();
        let config = Config {
            id,
            configuration,
            heartbeat_interval: Duration::from_millis(10),
            append_bytes: self.bytes,
            append_window: self.window,
            uncommitted_bytes: 1000,
            mutants: Mutants::NONE,
        };
        let mut fx = Effects::default();
        let timeout = Duration::from_millis(100 + 10 * id);
        let raft = Raft::new(config, state, self.now, timeout, &mut fx);
        self.nodes.insert(id, raft);
        self.show(id, fx);
    }

    /// Time passes. Timers run out on the way, and messages arrive as soon as they are sent.
    fn run_until(&mut self, end: Duration) -> Result<(), Box<dyn Error>> {
        self.settle()?;
        while let Some((deadline, id)) =
            self.nodes.iter().map(|(id, raft)| (raft.deadline(), *id)).min()
            && deadline <= end
        {
            self.now = self.now.max(deadline);
            let now = self.now;
            self.act(id, |raft, fx| raft.tick(now, fx))?;
            self.settle()?;
        }
        self.now = end;
        Ok(())
    }

    /// Something happens to a node, and what follows from it.
    fn act(
        &mut self,
        id: NodeId,
        what: impl FnOnce(&mut Raft, &mut Effects),
    ) -> Result<(), Box<dyn Error>> {
        let mut fx = Effects::default();
        what(self.raft(id)?, &mut fx);
        self.show(id, fx);
        let disk = self.disks.get_mut(&id).unwrap();
        if let Some(staged) = self.nodes.get_mut(&id).unwrap().stage(disk.last_write + 1) {
            disk.last_write += 1;
            disk.writes.push_back((disk.last_write, staged.hard_state, staged.entries.to_vec()));
            if !disk.slow {
                self.sync(id, usize::MAX)?;
            }
        }
        Ok(())
    }

    fn sync(&mut self, id: NodeId, most: usize) -> Result<(), Box<dyn Error>> {
        let now = self.now;
        for _ in 0..most {
            let disk = self.disks.get_mut(&id).ok_or("no such node")?;
            let Some(write) = disk.complete() else { break };
            self.act(id, |raft, fx| raft.durable(now, write, fx))?;
        }
        Ok(())
    }

    fn show(&mut self, id: NodeId, fx: Effects) {
        for event in fx.trace.iter().filter(|event| is_shown(event)) {
            tell(&mut self.out, format_args!("    n{id} {event}"));
        }
        for (read, index) in fx.reads {
            let line = match index {
                Some(index) => format!("    n{id} may serve read {read} at {index}"),
                None => format!("    n{id} must ask again for read {read}"),
            };
            tell(&mut self.out, line);
        }
        self.network.send(fx.messages.into_iter().map(|message| {
            let raft::Message { from, to, term, body } = message;
            Message { from, to, term, clock: 0, body: Body::Raft(body) }
        }));
    }

    fn logs(&mut self) {
        for (id, raft) in &self.nodes {
            let (role, term, commit) = (raft.role(), raft.term(), raft.commit());
            let mut line = format!("n{id} {role} in term {term}, committed {commit}, log");
            if raft.entry(1) == Err(Missing::Compacted) {
                line += " compacted, then";
            }
            for entry in (1..=raft.last().index).filter_map(|index| raft.entry(index).ok()) {
                line += &format!(" {}", entry.term);
            }
            if raft.durable_index() < raft.last().index {
                line += &format!(" (durable to {})", raft.durable_index());
            }
            tell(&mut self.out, line);
        }
    }
}

/// `n1,n2` are nodes 1 and 2.
fn nodes(text: &str) -> Result<Vec<NodeId>, Box<dyn Error>> {
    text.split(',').map(node).collect()
}

/// `50` is 50 ms.
pub(crate) fn millis(text: &str) -> Result<Duration, Box<dyn Error>> {
    Ok(Duration::from_millis(text.parse()?))
}

/// Whether a step is shown; the others are in the messages already.
pub(crate) fn is_shown(event: &Event) -> bool {
    !matches!(
        event,
        Event::Role { role: Role::Follower, leader: None, .. }
            | Event::Durable { .. }
            | Event::Granted { .. }
            | Event::Acknowledged { .. }
            | Event::Applied { .. }
            | Event::Answered { .. }
            | Event::Stopped {}
    )
}
