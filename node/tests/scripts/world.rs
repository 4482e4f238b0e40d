//! A few cores, their disks and the messages between them, moved by a script.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    error::Error,
    fmt::Write as _,
    time::Duration,
};

use bytes::Bytes;
use goldenscript::{Command, Context, Runner};
use node::raft::{Effects, Entry, Message, NodeId, Pace, Position, Raft, Role, Term};
use proto::trace::Event;

type Hard = (Term, Option<NodeId>);

/// What survives a crash.
#[derive(Default)]
struct Disk {
    hard: Hard,
    entries: Vec<Entry>,
    slow: bool,
    /// Writes on their way, in order.
    writes: VecDeque<(u64, Option<Hard>, Vec<Entry>)>,
    last_write: u64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct World {
    nodes: BTreeMap<NodeId, Raft>,
    disks: BTreeMap<NodeId, Disk>,
    window: usize,
    bytes: usize,
    flying: VecDeque<Message>,
    kept: Vec<Message>,
    /// These nodes cannot talk to the others.
    island: BTreeSet<NodeId>,
    last_read: u64,
    out: String,
}

/// `n3` is node 3.
pub(crate) fn node(text: &str) -> Result<NodeId, Box<dyn Error>> {
    let id = text.strip_prefix('n').ok_or_else(|| format!("{text} is no node; n1 is"))?;
    Ok(id.parse()?)
}

impl Runner for World {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "cluster" => {
                let count: u64 = args.next_pos().ok_or("how many nodes?")?.parse()?;
                self.window = args.take_key("window").unwrap_or("16").parse()?;
                self.bytes = args.take_key("bytes").unwrap_or("1000").parse()?;
                self.disks = (1..=count).map(|id| (id, Disk::default())).collect();
                self.nodes.clear();
                (1..=count).for_each(|id| self.start(id));
                self.out.clear();
            }
            "disk" => {
                let id = node(args.next_pos().ok_or("whose disk?")?)?;
                let term = args.take_key("term").ok_or("which term?")?.parse()?;
                let vote = args.take_key("vote").map(node).transpose()?;
                let mut entries = Vec::<Entry>::new();
                for term in args.take_key("log").unwrap_or_default().split(',') {
                    if !term.is_empty() {
                        let prev = entries.last().map_or(Position::default(), Entry::position);
                        entries.push(Entry::after(prev, term.parse()?, Bytes::from_static(b"d")));
                    }
                }
                self.disks.insert(id, Disk { hard: (term, vote), entries, ..Disk::default() });
                self.start(id);
            }
            "timeout" => {
                let id = node(args.next_pos().ok_or("whose?")?)?;
                let now = self.raft(id)?.deadline();
                self.act(id, |raft, fx| raft.tick(now, fx))?;
            }
            "propose" => {
                let id = node(args.next_pos().ok_or("to whom?")?)?;
                let payload = Bytes::from(args.next_pos().ok_or("what?")?.to_owned());
                let mut taken = None;
                self.act(id, |raft, fx| taken = raft.propose(payload, fx))?;
                if taken.is_none() {
                    writeln!(self.out, "n{id} refuses the proposal")?;
                }
            }
            "read" => {
                let id = node(args.next_pos().ok_or("where?")?)?;
                self.last_read += 1;
                let (read, mut asked) = (self.last_read, false);
                self.act(id, |raft, fx| asked = raft.read(read, fx))?;
                if !asked {
                    writeln!(self.out, "n{id} knows no leader to ask for read {read}")?;
                }
            }
            "deliver" => {
                let to =
                    args.by_ref().map(|arg| node(&arg.to_string())).collect::<Result<_, _>>()?;
                self.deliver(&to)?;
            }
            "settle" => {
                let mut rounds = 0;
                while !self.flying.is_empty() {
                    rounds += 1;
                    assert!(rounds < 1000, "the nodes never fall silent");
                    self.deliver(&BTreeSet::new())?;
                }
            }
            "lose" | "double" | "keep" => {
                let to =
                    args.by_ref().map(|arg| node(&arg.to_string())).collect::<Result<_, _>>()?;
                let chosen = self.take(&to);
                match command.name.as_str() {
                    "lose" => {}
                    "keep" => self.kept.extend(chosen),
                    _ => chosen.into_iter().for_each(|message| {
                        self.flying.push_back(message.clone());
                        self.flying.push_back(message);
                    }),
                }
            }
            "late" => self.flying.extend(self.kept.drain(..)),
            "cut" => {
                self.island =
                    args.by_ref().map(|arg| node(&arg.to_string())).collect::<Result<_, _>>()?;
            }
            "heal" => self.island.clear(),
            "slow" => {
                let id = node(args.next_pos().ok_or("whose disk?")?)?;
                self.disks.get_mut(&id).ok_or("no such node")?.slow = true;
            }
            "sync" => {
                let id = node(args.next_pos().ok_or("whose disk?")?)?;
                let most = args.next_pos().map_or(Ok(usize::MAX), str::parse)?;
                self.sync(id, most)?;
            }
            "crash" => {
                let id = node(args.next_pos().ok_or("who?")?)?;
                self.nodes.remove(&id).ok_or("it is down already")?;
                self.disks.get_mut(&id).ok_or("no such node")?.writes.clear();
            }
            "start" => self.start(node(args.next_pos().ok_or("who?")?)?),
            "forge" => self.flying.push_back(crate::forge::message(command.consume_args())?),
            "logs" => self.logs()?,
            name => return Err(format!("no event is called {name}").into()),
        }
        if command.name != "forge" {
            args.reject_next()?;
        }
        Ok(std::mem::take(&mut self.out))
    }
}

impl World {
    fn raft(&mut self, id: NodeId) -> Result<&mut Raft, Box<dyn Error>> {
        self.nodes.get_mut(&id).ok_or_else(|| format!("n{id} is down").into())
    }

    fn start(&mut self, id: NodeId) {
        let disk = self.disks.get_mut(&id).unwrap();
        disk.slow = false;
        let pace = Pace {
            heartbeat_interval: Duration::from_millis(10),
            append_bytes: self.bytes,
            append_window: self.window,
            uncommitted_bytes: 1000,
        };
        let voters = self.disks.keys().copied().collect();
        let mut fx = Effects::default();
        let disk = &self.disks[&id];
        let (hard, entries) = (disk.hard, disk.entries.clone());
        let timeout = Duration::from_millis(100);
        let raft = Raft::new(id, voters, pace, hard, entries, Duration::ZERO, timeout, &mut fx);
        self.nodes.insert(id, raft);
        self.show(id, fx);
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
            disk.writes.push_back((disk.last_write, staged.hard, staged.entries.to_vec()));
            if !disk.slow {
                self.sync(id, usize::MAX)?;
            }
        }
        Ok(())
    }

    fn sync(&mut self, id: NodeId, most: usize) -> Result<(), Box<dyn Error>> {
        for _ in 0..most {
            let disk = self.disks.get_mut(&id).ok_or("no such node")?;
            let Some((write, hard, entries)) = disk.writes.pop_front() else { break };
            disk.hard = hard.unwrap_or(disk.hard);
            for entry in entries {
                disk.entries.truncate(entry.index as usize - 1);
                disk.entries.push(entry);
            }
            self.act(id, |raft, fx| raft.durable(Duration::ZERO, write, fx))?;
        }
        Ok(())
    }

    /// The messages in flight to these nodes, or to all when none is named.
    fn take(&mut self, to: &BTreeSet<NodeId>) -> Vec<Message> {
        let (chosen, rest) = std::mem::take(&mut self.flying)
            .into_iter()
            .partition(|message| to.is_empty() || to.contains(&message.to));
        self.flying = rest;
        chosen.into()
    }

    fn deliver(&mut self, to: &BTreeSet<NodeId>) -> Result<(), Box<dyn Error>> {
        for message in self.take(to) {
            let cut = self.island.contains(&message.from) != self.island.contains(&message.to);
            if !cut && self.nodes.contains_key(&message.to) {
                writeln!(self.out, "{message}")?;
                self.act(message.to, |raft, fx| raft.step(Duration::ZERO, message, fx))?;
            }
        }
        Ok(())
    }

    fn show(&mut self, id: NodeId, fx: Effects) {
        for event in fx.trace.iter().filter(|event| shown(event)) {
            let _ = writeln!(self.out, "    n{id} {event}");
        }
        for (read, index) in fx.reads {
            let _ = match index {
                Some(index) => writeln!(self.out, "    n{id} may serve read {read} at {index}"),
                None => writeln!(self.out, "    n{id} must ask again for read {read}"),
            };
        }
        self.flying.extend(fx.messages);
    }

    fn logs(&mut self) -> Result<(), Box<dyn Error>> {
        for (id, raft) in &self.nodes {
            let (term, commit, durable) = (raft.term(), raft.commit(), raft.durable_index());
            let role = raft.role();
            let terms = (1..=raft.last().index)
                .filter_map(|index| raft.entry(index))
                .map(|entry| entry.term.to_string());
            let terms = terms.collect::<Vec<_>>().join(" ");
            write!(self.out, "n{id} {role} in term {term}, committed {commit}, log {terms}")?;
            if durable < raft.last().index {
                write!(self.out, " (durable to {durable})")?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }
}

/// Whether a step is shown; the others are in the messages already.
fn shown(event: &Event) -> bool {
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
