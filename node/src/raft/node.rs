//! A Raft node: its role, and what moves it from one role to the next.

use std::time::Duration;

use bytes::Bytes;
use proto::trace::{Event, Role};

use super::{
    Body, Config, Effects, Entry, HardState, Index, Message, Missing, NodeId, PersistentState,
    Position, Term,
    core::Core,
    follower::{Append, Follower},
    leader::{Leader, answer},
    reads::ReadWaiter,
    votes::Votes,
};
use crate::mutants::Mutant;

/// Reject terms at or above this: no correct cluster reaches them, and they would overflow.
const TERM_MAX: Term = 1 << 62;

/// A Raft node; see the module.
#[derive(Debug)]
pub struct Raft {
    core: Core,
    state: State,
}

/// The role and what only it has.
#[derive(Debug)]
enum State {
    Follower(Follower),
    Candidate(Candidate),
    Leader(Leader),
}

/// What only a candidate has.
#[derive(Debug, Default)]
struct Candidate {
    votes: Votes,
    /// Its own vote is durable and counted.
    counted: bool,
}

/// What must be written: see [`Raft::stage`].
#[derive(Debug)]
pub struct Staged<'a> {
    /// Term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// New entries.
    pub entries: &'a [Entry],
}

impl Raft {
    /// A node in the state that its disk held, and its first election timeout. Traces the start.
    ///
    /// # Panics
    /// On a state that no correct node writes: a log that is not consecutive, or of later terms
    /// than the node's.
    pub fn new(
        config: Config,
        state: PersistentState,
        now: Duration,
        timeout: Duration,
        fx: &mut Effects,
    ) -> Self {
        let HardState { term, vote } = state.hard_state;
        let core = Core::new(config, state, now, timeout);
        let (last, voters) = (core.log.last(), core.configuration.voters().collect());
        fx.trace.push(Event::Started { term, vote, last, voters });
        Self { core, state: State::Follower(Follower::default()) }
    }

    /// Current term.
    pub fn term(&self) -> Term {
        self.core.term
    }

    /// Role in the current term.
    pub fn role(&self) -> Role {
        match self.state {
            State::Follower(_) => Role::Follower,
            State::Candidate(_) => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// Leader of the current term, if known.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.state {
            State::Follower(follower) => follower.leader,
            State::Candidate(_) => None,
            State::Leader(_) => Some(self.core.id()),
        }
    }

    /// Last entry of the log.
    pub fn last(&self) -> Position {
        self.core.log.last()
    }

    /// Commit index.
    pub fn commit(&self) -> Index {
        self.core.commit
    }

    /// Last durable entry of the present log.
    pub fn durable_index(&self) -> Index {
        self.core.durability.index
    }

    /// The entry at `index`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn entry(&self, index: Index) -> Result<&Entry, Missing> {
        self.core.log.get(index)
    }

    /// Whether the term and the vote are durable, so that messages leave at once.
    pub fn settled(&self) -> bool {
        self.core.settled()
    }

    /// How many messages wait until they are. They are the first to leave then.
    pub fn held(&self) -> usize {
        self.core.held()
    }

    /// When [`Raft::tick`] has something to do.
    pub fn deadline(&self) -> Duration {
        self.core.deadline
    }

    /// Whether the last timeout given to [`Raft::supply_timeout`] was used.
    pub fn wants_timeout(&self) -> bool {
        self.core.next_timeout.is_none()
    }

    /// Gives the election timeout to use when the next one begins.
    pub fn supply_timeout(&mut self, timeout: Duration) {
        self.core.next_timeout = Some(timeout);
    }

    /// Looks at the time.
    #[inline]
    pub fn tick(&mut self, now: Duration, fx: &mut Effects) {
        if now >= self.deadline() {
            self.time_out(now, fx);
        }
    }

    /// The election timeout, or a leader's heartbeat interval, is over.
    fn time_out(&mut self, now: Duration, fx: &mut Effects) {
        match &mut self.state {
            State::Leader(leader) => leader.heartbeat(&mut self.core, now, fx),
            _ if self.core.configuration.is_voter(self.core.id()) => self.campaign(now, fx),
            _ => self.core.redraw_timer(now),
        }
    }

    /// Takes a message from a peer. False if it can come from no correct peer: it is ignored.
    pub fn step(&mut self, now: Duration, message: Message, fx: &mut Effects) -> bool {
        let Message { from, to, term, body } = message;
        let plausible = to == self.core.id() && self.observe(now, from, term, fx);
        if plausible {
            self.act_on(now, from, term, body, fx);
        }
        plausible
    }

    /// Takes note of a peer's term, as it came with a message of the caller's. False if it can come
    /// from no correct peer: the message should be ignored.
    #[inline]
    pub fn observe(&mut self, now: Duration, from: NodeId, term: Term, fx: &mut Effects) -> bool {
        let peer = from != self.core.id() && self.core.configuration.contains(from);
        let plausible = peer && (1..TERM_MAX).contains(&term);
        if plausible && term > self.core.term {
            self.core.enter(term, fx);
            self.follow(now, fx);
        }
        plausible
    }

    /// Acts on a message, the term of which was observed.
    fn act_on(&mut self, now: Duration, from: NodeId, term: Term, body: Body, fx: &mut Effects) {
        let late_vote = matches!(body, Body::VoteReply { .. });
        if term < self.core.term && !(self.core.has(Mutant::CountsOldVotes) && late_vote) {
            return self.answer_stale(from, &body, fx);
        }
        match body {
            Body::RequestVote { last_index, last_term } => {
                self.vote(now, from, (last_term, last_index), fx);
            }
            Body::VoteReply { granted } => self.vote_reply(now, from, granted, fx),
            Body::Append { prev_index, prev_term, entries, commit, round } => {
                // Another node won this term.
                if matches!(self.state, State::Candidate(_)) {
                    self.core.vote = self.core.vote.filter(|_| !self.core.has(Mutant::ForgetsVote));
                    self.state = State::Follower(Follower::default());
                }
                if let State::Follower(follower) = &mut self.state {
                    let append = Append { prev_index, prev_term, entries, commit, round };
                    follower.append(&mut self.core, now, from, append, fx);
                }
            }
            Body::AppendReply { result, round } => {
                if let State::Leader(leader) = &mut self.state {
                    leader.append_reply(&mut self.core, from, result, round, fx);
                }
            }
            Body::ReadIndex { id } => {
                let waiter = ReadWaiter::Peer(from, id);
                match &mut self.state {
                    State::Leader(leader) => leader.read(&mut self.core, waiter, fx),
                    _ => answer(&mut self.core, waiter, None, fx),
                }
            }
            Body::ReadIndexReply { id, index } => fx.reads.push((id, index)),
        }
    }

    /// Appends a command, if this node leads and has room; says where.
    pub fn propose(&mut self, payload: Bytes, fx: &mut Effects) -> Option<Position> {
        match &mut self.state {
            State::Leader(leader) => leader.propose(&mut self.core, payload, fx),
            _ => None,
        }
    }

    /// Asks at which index a linearizable read may be served; the answer comes in
    /// [`Effects::reads`], or never when a message is lost. False when no leader is known.
    pub fn read(&mut self, id: u64, fx: &mut Effects) -> bool {
        match &mut self.state {
            State::Leader(leader) => leader.read(&mut self.core, ReadWaiter::Local(id), fx),
            State::Follower(Follower { leader: Some(leader), .. }) => {
                let leader = *leader;
                self.core.send(leader, Body::ReadIndex { id }, fx);
            }
            _ => return false,
        }
        true
    }

    /// What is to be written and was not handed out yet; the write gets the number `id`, greater
    /// than all before it.
    #[inline]
    pub fn stage(&mut self, id: u64) -> Option<Staged<'_>> {
        let Core { log, durability, .. } = &self.core;
        let changed = self.core.hard_state() != durability.staged_hard_state;
        (changed || log.last_index() > durability.staged).then(|| self.stage_all(id, changed))
    }

    fn stage_all(&mut self, id: u64, changed: bool) -> Staged<'_> {
        let core = &mut self.core;
        let hard_state = core.hard_state();
        let (from, last) = (core.durability.staged + 1, core.log.last_index());
        core.durability.stage(id, hard_state, last);
        let hard_state = changed.then_some(hard_state);
        Staged { hard_state, entries: core.log.tail(from) }
    }

    /// Write `id`, and all before it, is durable.
    pub fn durable(&mut self, now: Duration, id: u64, fx: &mut Effects) {
        if !self.core.durability.complete(id) {
            return;
        }
        let HardState { term, vote } = self.core.durability.hard_state;
        let Ok(last) = self.core.log.position(self.core.durability.index) else {
            panic!("the durable index {} is not in the log", self.core.durability.index);
        };
        fx.trace.push(Event::Durable { term, vote, last });
        self.core.release_held(fx);
        match &mut self.state {
            State::Follower(follower) => follower.durable(&mut self.core, fx),
            State::Leader(leader) => leader.durable(&mut self.core, fx),
            State::Candidate(candidate) => {
                if self.core.settled() && !candidate.counted {
                    candidate.counted = true;
                    self.count_vote(now, self.core.id(), fx);
                }
            }
        }
    }

    /// Becomes candidate of the next term (paper, section 5.2). Requests for votes are held until
    /// the own vote is durable.
    fn campaign(&mut self, now: Duration, fx: &mut Effects) {
        self.core.enter(self.core.term + 1, fx);
        self.core.give_vote(self.core.id(), fx);
        self.core.redraw_timer(now);
        self.state = State::Candidate(Candidate::default());
        self.core.trace_role(Role::Candidate, None, fx);
        let Position { index: last_index, term: last_term, .. } = self.core.log.last();
        let id = self.core.id();
        let voters = self.core.configuration.voters();
        let peers: Vec<_> = voters.filter(|voter| *voter != id).collect();
        for peer in peers {
            self.core.send(peer, Body::RequestVote { last_index, last_term }, fx);
        }
    }

    /// Becomes follower of a leader yet unknown, in a term just entered.
    fn follow(&mut self, now: Duration, fx: &mut Effects) {
        let state = std::mem::replace(&mut self.state, State::Follower(Follower::default()));
        match state {
            // Its election timer runs on: only a leader or a granted vote restarts it.
            State::Follower(_) => {}
            State::Candidate(_) => self.core.redraw_timer(now),
            State::Leader(leader) => {
                leader.abdicate(&mut self.core, fx);
                self.core.redraw_timer(now);
            }
        }
        self.core.trace_role(Role::Follower, None, fx);
    }

    /// A message of an earlier term: its sender learns the present one, if it is to act on it.
    fn answer_stale(&mut self, from: NodeId, body: &Body, fx: &mut Effects) {
        match *body {
            Body::RequestVote { .. } => {
                self.core.send(from, Body::VoteReply { granted: false }, fx);
            }
            Body::Append { round, .. } => {
                let result =
                    Err(super::Conflict { term: 0, index: self.core.log.last_index() + 1 });
                // This node follows no leader by that. Should the sender come to lead the present
                // term, its rounds begin from 1 again, and the echo of an old round would confirm
                // new reads.
                let round = if self.core.has(Mutant::EchoesOldRounds) { round } else { 0 };
                self.core.send(from, Body::AppendReply { result, round }, fx);
            }
            Body::ReadIndex { id } => answer(&mut self.core, ReadWaiter::Peer(from, id), None, fx),
            _ => {}
        }
    }

    /// A candidate of the present term asks for this node's vote, with a log that ends in `last`
    /// (term, index).
    fn vote(&mut self, now: Duration, from: NodeId, last: (Term, Index), fx: &mut Effects) {
        let own = self.core.log.last();
        let free = self.core.vote.is_none_or(|vote| vote == from);
        let follows = matches!(&self.state, State::Follower(Follower { leader: None, .. }));
        // Election restriction (paper, section 5.4.1). Who leads the term or knows who does has
        // nothing to gain from a rival.
        let recent = last >= (own.term, own.index) || self.core.has(Mutant::VotesForLaggards);
        let granted = follows && free && recent;
        if granted {
            if self.core.vote.is_none() {
                self.core.give_vote(from, fx);
            }
            self.core.restart_timer(now);
        }
        self.core.send(from, Body::VoteReply { granted }, fx);
    }

    fn vote_reply(&mut self, now: Duration, from: NodeId, granted: bool, fx: &mut Effects) {
        // A vote cannot answer a request that has not left.
        let asked = matches!(&self.state, State::Candidate(candidate) if candidate.counted);
        if granted && asked {
            self.count_vote(now, from, fx);
        }
    }

    fn count_vote(&mut self, now: Duration, from: NodeId, fx: &mut Effects) {
        let State::Candidate(candidate) = &mut self.state else { return };
        let (configuration, mutants) = (&self.core.configuration, self.core.config.mutants);
        candidate.votes.grant(from, configuration, mutants);
        if candidate.votes.won(configuration, mutants) {
            self.core.trace_role(Role::Leader, Some(self.core.id()), fx);
            self.state = State::Leader(Leader::begin(&mut self.core, now, fx));
        }
    }
}
