//! Recognizes situations in what a run's observer is told.

use std::collections::{BTreeMap, BTreeSet};

use checker::{
    fault::{self, Phase},
    history::{Kind, Value, lines::Line},
};
use node::{
    kv::Store,
    raft::Body as Raft,
    replica::{Body, Message, Time},
};
use proto::trace::{Event, Position, Record, Role};

use super::{
    Counts, Situation,
    extremes::Extremes,
    reigns::{NODES, Reigns},
};
use crate::{
    cluster::sim::{Ending, MessageId, Observer, SimEvent},
    nemesis::NodeId,
    plan::{NODES_MAX, Plan},
    workload::Workload,
};

/// A candidate's request for a vote.
#[derive(Clone, Copy, Debug)]
struct Request {
    candidate: NodeId,
    term: u64,
    /// Term and index of the last entry of its log.
    last: (u64, u64),
}

/// A node, as far as situations go.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    up: bool,
    term: u64,
    /// The latest term of a message that it took in. A node takes in several at a time, and traces
    /// what follows from all of them behind the last: until then this is ahead of what is known of
    /// it.
    told: u64,
    leads: bool,
    stands: bool,
    /// The last entry of its log, kept while it is down.
    last: Position,
    /// Its vote in its term.
    vote: Option<NodeId>,
    /// It knows the leader of its term, which is another node.
    follows: bool,
    /// The last vote in memory, while neither it nor a later term is known to be on disk: term and
    /// candidate.
    vote_at_stake: Option<(u64, NodeId)>,
    /// It led when it took in a request for a read, and another led already.
    asked_while_stale: bool,
    /// Since when it is paused, if it led then.
    paused: Option<Time>,
    /// The last request for its vote in its term.
    request: Option<Request>,
    /// It leads and has been seen in a minority.
    in_minority: bool,
    /// The last message that it took in from each node.
    heard: [MessageId; NODES],
}

impl Node {
    /// Its term, though it may not have traced it yet.
    fn present_term(&self) -> u64 {
        self.term.max(self.told)
    }
}

/// A term, as far as situations go.
#[derive(Clone, Debug, Default)]
struct Term {
    /// A bit set of nodes.
    candidates: u16,
    /// The candidate that each node votes for.
    votes: [Option<NodeId>; NODES],
    leader: Option<NodeId>,
    read: bool,
}

/// Watches a run and counts what it meets.
#[derive(Debug)]
pub struct Detector {
    counts: Counts,
    extremes: Extremes,
    size: u64,
    election_timeout: Time,
    /// Written values name their writes.
    unique: bool,
    nodes: [Node; NODES],
    terms: BTreeMap<u64, Term>,
    reigns: Reigns,
    /// The latest term that has a leader, and the last entry that this one did not make itself.
    led: u64,
    inherited: u64,
    /// In that term an old entry was seen on a majority, and the window of figure 8.
    old_on_majority: bool,
    figure_8: bool,
    /// The highest index that any node knows to be committed.
    committed: u64,
    /// Copies of messages in flight, and the messages that were copied, each with the latter.
    twins: BTreeMap<MessageId, MessageId>,
    /// Messages of which the original or a copy has arrived.
    arrived: BTreeSet<MessageId>,
    /// The links that each cut drops.
    cuts: BTreeMap<usize, Vec<(NodeId, NodeId)>>,
    /// Writes of unknown outcome: key and value.
    unknown: Vec<(String, i64)>,
}

impl Detector {
    /// Nothing has happened yet in the run of a plan.
    pub fn new(plan: &Plan) -> Self {
        let unique = matches!(&plan.workload, Workload::Register(it) if it.values.is_none());
        let mut counts = Counts::default();
        let extremes = Extremes::new(plan, &mut counts);
        Self {
            counts,
            extremes,
            size: plan.nodes.min(NODES_MAX),
            election_timeout: plan.timings.election_timeout,
            unique,
            nodes: [Node::default(); NODES],
            terms: BTreeMap::new(),
            reigns: Reigns::default(),
            led: 0,
            inherited: 0,
            old_on_majority: false,
            figure_8: false,
            committed: 0,
            twins: BTreeMap::new(),
            arrived: BTreeSet::new(),
            cuts: BTreeMap::new(),
            unknown: Vec::new(),
        }
    }

    /// What was met. The run is over: a term that has no leader never gets one.
    pub fn finish(mut self) -> Counts {
        for term in self.terms.values() {
            let votes = term.votes.iter().flatten();
            let most = |of: &NodeId| self.is_majority(votes.clone().filter(|to| *to == of).count());
            let split = self.is_majority(votes.clone().count()) && !votes.clone().any(most);
            if split && term.leader.is_none() {
                self.counts.met(Situation::SplitVote);
            }
        }
        self.counts
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize % NODES]
    }

    fn is_stale(&self, id: NodeId) -> bool {
        let node = &self.nodes[id as usize % NODES];
        node.leads && node.term < self.led
    }

    fn is_majority(&self, count: usize) -> bool {
        2 * count as u64 > self.size
    }

    fn sent(&mut self, id: MessageId, message: &Message, copy_of: Option<MessageId>) {
        if let Some(original) = copy_of {
            self.twins.insert(id, original);
            self.twins.insert(original, original);
        }
        if let Body::Raft(Raft::VoteReply { granted: false }) = message.body {
            self.refused(message);
        }
    }

    /// A voter's refusal leaves it. All that came before is traced, and within a term a vote is
    /// never free again nor a leader forgotten: neither was in the way when it was decided.
    fn refused(&mut self, reply: &Message) {
        let voter = self.node(reply.from);
        let answered =
            |request: &Request| (request.candidate, request.term) == (reply.to, reply.term);
        let Some(request) = voter.request.take_if(|request| answered(request)) else { return };
        let ahead = (voter.last.term, voter.last.index) > request.last;
        let free = voter.vote.is_none_or(|vote| vote == reply.to);
        if ahead && free && !voter.follows && voter.term == reply.term {
            self.counts.met(Situation::VoteRefusedForLog);
        }
    }

    fn delivered(&mut self, id: MessageId, message: &Message) {
        let twin = if self.twins.is_empty() { None } else { self.twins.remove(&id) };
        let receiver = &mut self.nodes[message.to as usize % NODES];
        let heard = &mut receiver.heard[message.from as usize % NODES];
        match twin {
            Some(original) if !self.arrived.insert(original) => {
                self.counts.met(Situation::Doubled);
            }
            // Which of them comes first means nothing.
            Some(_) => {}
            None if *heard > id => self.counts.met(Situation::Overtaken),
            None => *heard = id,
        }
        receiver.told = receiver.told.max(message.term);
        let stale = message.term < receiver.present_term();
        match &message.body {
            Body::Raft(Raft::Append { entries, .. }) if stale && !entries.is_empty() => {
                self.counts.met(Situation::StaleAppend);
            }
            Body::Raft(Raft::RequestVote { last_index, last_term }) if !stale => {
                let last = (*last_term, *last_index);
                let (candidate, term) = (message.from, message.term);
                receiver.request = Some(Request { candidate, term, last });
            }
            Body::Raft(Raft::ReadIndex { .. }) if !stale => self.asked_for_read(message.to),
            Body::ProposeRefused { .. } => self.counts.met(Situation::CommandRefused),
            _ => {}
        }
    }

    /// A node takes in a request for a read. One that is behind a message of a later term is asked
    /// when it leads no more.
    fn asked_for_read(&mut self, id: NodeId) {
        if self.is_stale(id) {
            let node = self.node(id);
            node.asked_while_stale |= node.told <= node.term;
        }
    }

    fn ended(&mut self, id: NodeId, unsynced: usize) {
        if unsynced > 0 {
            self.counts.met(Situation::CrashUnsynced);
        }
        let node = self.node(id);
        let Node { last, vote_at_stake, heard, .. } = *node;
        *node = Node { last, vote_at_stake, heard, ..Node::default() };
    }

    fn step(&mut self, record: &Record) {
        let id = record.node;
        match &record.event {
            Event::Started { term, vote, last, .. } => self.started(id, (*term, *vote), *last),
            Event::Term { term } => {
                if self.is_stale(id) {
                    self.counts.met(Situation::StaleLeaderDeposed);
                    if self.node(id).asked_while_stale {
                        self.counts.met(Situation::StaleLeaderAsked);
                    }
                }
                let node = self.node(id);
                (node.term, node.leads, node.stands, node.follows) = (*term, false, false, false);
                (node.asked_while_stale, node.in_minority) = (false, false);
                node.vote = None;
            }
            Event::Voted { term, candidate } => {
                let node = self.node(id);
                node.vote = Some(*candidate);
                node.vote_at_stake = Some((*term, *candidate));
                self.terms.entry(*term).or_default().votes[id as usize % NODES] = Some(*candidate);
            }
            Event::Durable { term, vote, .. } => {
                let node = self.node(id);
                let known = |of| *term > of || (*term == of && vote.is_some());
                node.vote_at_stake.take_if(|(of, _)| known(*of));
            }
            Event::Role { term, role, leader, last } => {
                self.node(id).follows = *role == Role::Follower && leader.is_some();
                self.role(id, *term, *role, *last);
            }
            Event::Appended { prev, entries } => {
                if let Some((term, hash)) = entries.last() {
                    let index = prev.index + entries.len() as u64;
                    self.node(id).last = Position { index, term: *term, hash: *hash };
                }
            }
            Event::Truncated { last } => {
                self.node(id).last = *last;
                self.counts.met(Situation::TailTruncated);
            }
            Event::Acknowledged { term, last, .. } => self.acknowledged(id, *term, last.index),
            Event::Committed { term, last, matched } => {
                let inherited = self.inherited;
                let own = matched.is_some() && *term == self.led;
                if own && self.committed < inherited && inherited < last.index {
                    self.counts.met(Situation::CommittedThroughNoOp);
                }
                self.committed = self.committed.max(last.index);
            }
            Event::ReadConfirmed { term, .. } => self.read_confirmed(*term),
            Event::Granted { .. }
            | Event::Applied { .. }
            | Event::Answered { .. }
            | Event::Stopped {} => {}
        }
    }

    fn started(&mut self, id: NodeId, hard: (u64, Option<NodeId>), last: Position) {
        let node = self.node(id);
        let voted = node.vote_at_stake.take();
        (node.up, node.term, node.vote, node.last) = (true, hard.0, hard.1, last);
        if voted.is_some_and(|(term, candidate)| hard != (term, Some(candidate)) && hard.0 <= term)
        {
            self.counts.met(Situation::VoteLost);
        }
        let open = self.terms.last_key_value().is_some_and(|(_, term)| term.leader.is_none());
        if open && self.nodes.iter().any(|node| node.up && node.stands) {
            self.counts.met(Situation::RestartInElection);
        }
    }

    fn role(&mut self, id: NodeId, number: u64, role: Role, last: Position) {
        let node = self.node(id);
        node.term = number;
        (node.leads, node.stands) = (role == Role::Leader, role == Role::Candidate);
        let term = match role {
            Role::Follower => return,
            Role::Candidate | Role::Leader => self.terms.entry(number).or_default(),
        };
        if role == Role::Candidate {
            let others = term.candidates & !(1 << id);
            if others != 0 && term.candidates & (1 << id) == 0 && others.count_ones() == 1 {
                self.counts.met(Situation::TwoCandidates);
            }
            term.candidates |= 1 << id;
            return;
        }
        term.leader = Some(id);
        if self.reigns.leader_before(number).is_some_and(|before| before != id) {
            self.counts.met(Situation::LeaderChange);
        }
        self.reigns.begins(number, id, last);
        if number > self.led {
            (self.led, self.inherited) = (number, last.index);
            (self.old_on_majority, self.figure_8) = (false, false);
        }
        self.look_for_minorities();
    }

    /// A follower holds the leader's log up to an index.
    fn acknowledged(&mut self, id: NodeId, number: u64, index: u64) {
        self.reigns.acknowledged(id, number, index);
        if number != self.led || self.inherited <= self.committed || self.figure_8 {
            return;
        }
        let Some(reign) = self.reigns.latest() else { return };
        let on_majority = reign.on_majority(self.size);
        if on_majority <= self.committed || self.inherited < on_majority {
            return;
        }
        if !self.old_on_majority {
            self.old_on_majority = true;
            self.counts.met(Situation::OldOnMajority);
        }
        if let Some(term) = self.reigns.term_at(on_majority, self.led)
            && !self.reigns.is_committed(on_majority, self.size)
            && self.is_in_danger(on_majority, term)
        {
            self.figure_8 = true;
            self.counts.met(Situation::Figure8);
        }
    }

    /// Whether a node could be elected that does not hold this entry, with a log that ends in a
    /// term between the entry's and the present leader's.
    fn is_in_danger(&self, index: u64, term: u64) -> bool {
        let nodes = &self.nodes[1..=self.size as usize];
        let end = |node: &Node| (node.last.term, node.last.index);
        nodes.iter().any(|rival| {
            let last = &rival.last;
            let lacks =
                || last.index < index || self.reigns.term_at(index, last.term) != Some(term);
            let votes = || nodes.iter().filter(|voter| end(voter) <= end(rival)).count();
            term < last.term && last.term < self.led && lacks() && self.is_majority(votes())
        })
    }

    fn read_confirmed(&mut self, number: u64) {
        let Some(term) = self.terms.get_mut(&number).filter(|term| !term.read) else { return };
        term.read = true;
        let leader = term.leader;
        let reader = |(_, term): (_, &Term)| term.leader.filter(|_| term.read);
        let before = self.terms.range(..number).rev().find_map(reader);
        if before.is_some_and(|before| leader != Some(before)) {
            self.counts.met(Situation::ReadAfterChange);
        }
    }

    fn fault(&mut self, record: &fault::Record) {
        match record.phase {
            Phase::Applied => {
                let links: Vec<(NodeId, NodeId)> =
                    record.links.iter().map(|link| (link.from, link.to)).collect();
                if !links.is_empty() {
                    self.cuts.insert(record.fault, links);
                    self.look_for_minorities();
                }
            }
            Phase::HealRequested | Phase::Failed => {
                self.cuts.remove(&record.fault);
                self.look_for_minorities();
            }
            Phase::Requested | Phase::Confirmed | Phase::Healed | Phase::Skipped => {}
        }
    }

    /// Looks which leaders the present cuts leave with a minority.
    fn look_for_minorities(&mut self) {
        for id in 1..=self.size {
            let whole = |other: &NodeId| {
                let cut = |link| self.cuts.values().any(|links| links.contains(&link));
                !cut((id, *other)) && !cut((*other, id))
            };
            let connected = (1..=self.size).filter(whole).count();
            let minority = self.nodes[id as usize].leads && !self.is_majority(connected);
            if minority && !self.nodes[id as usize].in_minority {
                self.counts.met(Situation::LeaderInMinority);
            }
            self.nodes[id as usize].in_minority = minority;
        }
    }

    /// A pause ends, if there was one.
    fn resumed(&mut self, now: Time, id: NodeId) {
        if let Some(since) = self.node(id).paused.take()
            && now - since > self.election_timeout
        {
            self.counts.met(Situation::LeaderPaused);
        }
    }

    fn client(&mut self, event: &Line) {
        let Line::Register(event) = event else { return };
        if let (Kind::Info, Value::Int(value) | Value::Pair(_, value)) = (event.kind, event.value)
            && self.unique
        {
            self.unknown.push((event.key.clone(), value));
        }
    }

    /// What became of the writes whose clients never learnt it.
    fn compared(&mut self, store: &Store) {
        for (key, value) in std::mem::take(&mut self.unknown) {
            let text = value.to_string();
            let happened = store.values(key.as_bytes()).any(|known| known == text.as_bytes());
            self.counts.met(match happened {
                true => Situation::UnknownHappened,
                false => Situation::UnknownDidNot,
            });
        }
    }
}

impl Observer for Detector {
    fn observe(&mut self, now: Time, what: SimEvent<'_>) {
        self.extremes.observe(now, what, &mut self.counts);
        match what {
            SimEvent::Sent { id, message, copy_of } => self.sent(id, message, copy_of),
            SimEvent::Delivered { id, message } => self.delivered(id, message),
            SimEvent::Asked { node, request } if request.is_read() => self.asked_for_read(node),
            SimEvent::Lost { id, .. } if !self.twins.is_empty() => {
                self.twins.remove(&id);
            }
            SimEvent::Started { cut, .. } => {
                if cut > 0 {
                    self.counts.met(Situation::TornTail);
                }
            }
            SimEvent::Ended { node, ending, unsynced } => {
                let unsynced = if ending == Ending::Stopped { 0 } else { unsynced };
                self.resumed(now, node);
                self.ended(node, unsynced);
            }
            SimEvent::Paused { node } => {
                let node = self.node(node);
                node.paused = node.leads.then_some(now);
            }
            SimEvent::Resumed { node } => self.resumed(now, node),
            SimEvent::Rolled { .. } => self.counts.met(Situation::SegmentRolled),
            SimEvent::Step(record) => self.step(record),
            SimEvent::Client { event, .. } => self.client(event),
            SimEvent::Fault(record) => self.fault(record),
            SimEvent::Compared { store } => self.compared(store),
            SimEvent::Lost { .. }
            | SimEvent::Asked { .. }
            | SimEvent::Timer { .. }
            | SimEvent::Syncing { .. }
            | SimEvent::Synced { .. }
            | SimEvent::WindowFull { .. }
            | SimEvent::Stage(_)
            | SimEvent::Violation { .. } => {}
        }
    }
}
