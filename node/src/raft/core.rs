//! What a node has in every role: its identity, term, vote, log and disk.

use std::time::Duration;

use proto::trace::{Event, Role};

use super::{
    Body, Config, Configuration, Entry, EntryKind, HardState, Index, Message, NodeId,
    PersistentState, Position, Term, durability::Durability, log::Log,
};
use crate::mutants::Mutant;

/// What a step leads to. Trace events come first, then messages.
#[derive(Debug, Default)]
pub struct Effects {
    /// Steps to trace, in order.
    pub trace: Vec<Event>,
    /// Messages that may leave now.
    pub messages: Vec<Message>,
    /// Answers to [`super::Raft::read`]: the read may be served once the index is applied. Without
    /// an index it must be asked again.
    pub reads: Vec<(u64, Option<Index>)>,
}

/// What a node has in every role.
///
/// - The term never falls; the vote of a term is given once.
/// - `commit` never falls and never passes the end of the log.
/// - No message leaves before the term and the vote on which it depends are durable.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) configuration: Configuration,
    pub(super) term: Term,
    pub(super) vote: Option<NodeId>,
    pub(super) log: Log,
    pub(super) durability: Durability,
    pub(super) commit: Index,
    /// End of the present election timeout, or of the present heartbeat interval.
    pub(super) deadline: Duration,
    /// The present election timeout.
    pub(super) timeout: Duration,
    /// The election timeout after it, drawn by the caller.
    pub(super) next_timeout: Option<Duration>,
    /// Messages that wait until term and vote are durable.
    held: Vec<Message>,
    /// Last acknowledgement that was traced.
    acknowledged: (Term, Index),
}

impl Core {
    /// A node in the state that its disk held.
    pub(super) fn new(
        config: Config,
        state: PersistentState,
        now: Duration,
        timeout: Duration,
    ) -> Self {
        let (id, base, hard_state) = (config.id, state.base(), state.hard_state);
        let configuration = match state.snapshot {
            Some(snapshot) => snapshot.configuration,
            None => config.configuration.clone(),
        };
        let log = Log::recovered(base, state.entries);
        assert!(configuration.contains(id), "node {id} is not a member: {configuration:?}");
        assert!(
            log.last().term <= hard_state.term,
            "the recovered term {} is below the last entry's, {}",
            hard_state.term,
            log.last().term
        );
        Self {
            config,
            configuration,
            term: hard_state.term,
            vote: hard_state.vote,
            durability: Durability::recovered(hard_state, log.last().index),
            log,
            // What a snapshot holds was committed.
            commit: base.index,
            deadline: now + timeout,
            timeout,
            next_timeout: None,
            held: Vec::new(),
            acknowledged: (0, 0),
        }
    }

    /// This node.
    pub(super) fn id(&self) -> NodeId {
        self.config.id
    }

    /// Whether this node is a mutant.
    pub(super) fn has(&self, mutant: Mutant) -> bool {
        self.config.mutants.has(mutant)
    }

    /// Term and vote.
    pub(super) fn hard_state(&self) -> HardState {
        HardState { term: self.term, vote: self.vote }
    }

    /// Whether term and vote are durable.
    pub(super) fn settled(&self) -> bool {
        self.durability.hard_state == self.hard_state()
    }

    /// The last entry of the present log that the disk is known to hold.
    pub(super) fn durable_index(&self) -> Index {
        if self.has(Mutant::AcknowledgesBeforeSync) {
            self.log.last_index()
        } else {
            self.durability.index
        }
    }

    /// Enters a later term.
    pub(super) fn enter(&mut self, term: Term, fx: &mut Effects) {
        assert!(term > self.term, "the term must grow from {}, not become {term}", self.term);
        self.term = term;
        self.vote = None;
        // They belong to an earlier term: their receivers would ignore them.
        self.held.clear();
        fx.trace.push(Event::Term { term });
    }

    /// Gives the vote of the present term.
    pub(super) fn give_vote(&mut self, candidate: NodeId, fx: &mut Effects) {
        assert!(
            self.vote.is_none(),
            "the vote of term {} went to {:?} and cannot go to {candidate}",
            self.term,
            self.vote
        );
        self.vote = Some(candidate);
        fx.trace.push(Event::Voted { term: self.term, candidate });
    }

    /// Traces a role.
    pub(super) fn trace_role(&self, role: Role, leader: Option<NodeId>, fx: &mut Effects) {
        fx.trace.push(Event::Role { term: self.term, role, leader, last: self.log.last() });
    }

    /// Starts the election timer from scratch.
    pub(super) fn restart_timer(&mut self, now: Duration) {
        self.deadline = now + self.timeout;
    }

    /// Starts the election timer from scratch, with a freshly drawn timeout.
    pub(super) fn redraw_timer(&mut self, now: Duration) {
        if let Some(timeout) = self.next_timeout.take() {
            self.timeout = timeout;
        }
        self.restart_timer(now);
    }

    /// Starts the heartbeat interval from scratch.
    pub(super) fn restart_interval(&mut self, now: Duration) {
        self.deadline = now + self.config.heartbeat_interval;
    }

    /// Sends a message, at once or as soon as term and vote are durable.
    pub(super) fn send(&mut self, to: NodeId, body: Body, fx: &mut Effects) {
        let hasty = self.has(Mutant::VotesBeforeSync) && matches!(body, Body::VoteReply { .. });
        let message = Message { from: self.id(), to, term: self.term, body };
        if self.settled() || hasty {
            self.release(message, fx);
        } else {
            self.held.push(message);
        }
    }

    /// How many messages wait until term and vote are durable.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Sends what waited for term and vote, if they are durable now.
    pub(super) fn release_held(&mut self, fx: &mut Effects) {
        if self.settled() {
            for message in std::mem::take(&mut self.held) {
                self.release(message, fx);
            }
        }
    }

    fn release(&mut self, message: Message, fx: &mut Effects) {
        match message.body {
            Body::VoteReply { granted: true } => {
                assert_eq!(self.vote, Some(message.to), "a granted vote must be the vote given");
                fx.trace.push(Event::Granted { term: self.term, candidate: message.to });
            }
            Body::AppendReply { result: Ok(matched), .. } => {
                assert!(
                    matched <= self.durable_index(),
                    "entry {matched} must not be acknowledged while {} is the last durable one",
                    self.durable_index()
                );
                // An acknowledgement that was traced needs no second line.
                if self.acknowledged != (self.term, matched)
                    && let Ok(last) = self.log.position(matched)
                {
                    self.acknowledged = (self.term, matched);
                    let (term, leader) = (self.term, message.to);
                    fx.trace.push(Event::Acknowledged { term, leader, last });
                }
            }
            _ => {}
        }
        fx.messages.push(message);
    }

    /// Removes all entries after `last`.
    pub(super) fn truncate(&mut self, last: Position, fx: &mut Effects) {
        self.log.truncate(last.index, self.commit);
        self.durability.truncate(last.index);
        fx.trace.push(Event::Truncated { last });
    }

    /// Adds entries of the given terms, kinds and payloads at the end of the log.
    pub(super) fn append(
        &mut self,
        entries: impl IntoIterator<Item = (Term, EntryKind, bytes::Bytes)>,
        fx: &mut Effects,
    ) {
        let prev = self.log.last();
        let entries = entries.into_iter();
        let mut added = Vec::with_capacity(entries.size_hint().0);
        for (term, kind, payload) in entries {
            let entry = Entry::after(self.log.last(), term, kind, payload);
            added.push((entry.term, entry.hash));
            self.log.append(entry);
        }
        fx.trace.push(Event::Appended { prev, entries: added });
    }

    /// Moves the commit index to `index`.
    pub(super) fn commit_to(
        &mut self,
        index: Index,
        matched: Option<Vec<(NodeId, Index)>>,
        fx: &mut Effects,
    ) {
        assert!(
            index > self.commit || self.has(Mutant::CommitGoesBack),
            "the commit index {} must not become {index}",
            self.commit
        );
        let last = match self.log.position(index) {
            Ok(last) => last,
            Err(why) => panic!("entry {index} is to be committed but the log has none: {why:?}"),
        };
        self.commit = index;
        fx.trace.push(Event::Committed { term: self.term, last, matched });
    }
}
