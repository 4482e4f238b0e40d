//! A leader: appends, replicates, commits, and confirms that it still leads.

use std::time::Duration;

use bytes::Bytes;
use proto::trace::Event;

use super::{
    Body, Conflict, Index, NodeId, Position,
    core::{Core, Effects},
    progress::{Mode, Progress},
    quorum,
    reads::{Reader, Reads},
};
use crate::mutants::{Mutant, mutant};

/// What only a leader has.
///
/// - It never removes or replaces an entry of its own log.
/// - It commits by counting only entries of its own term (paper, section 5.4.2).
/// - Its own matched index is its durable index: it replicates while its disk works.
#[derive(Debug)]
pub(super) struct Leader {
    /// One per voter, in their order; this node's own is not used.
    progress: Vec<Progress>,
    /// Index of the no-op that began the term.
    first: Index,
    reads: Reads,
    /// Payload bytes of the entries behind the commit index.
    uncommitted: usize,
}

impl Leader {
    /// Begins the term with a no-op.
    pub(super) fn begin(core: &mut Core, now: Duration, fx: &mut Effects) -> Self {
        let last = core.log.last().index;
        let uncommitted = core.log.tail(core.commit + 1).iter().map(|e| e.payload.len()).sum();
        let mut leader = Self {
            progress: core.voters.iter().map(|_| Progress::new(last + 1)).collect(),
            first: last + 1,
            reads: Reads::default(),
            uncommitted,
        };
        core.restart_interval(now);
        core.append([(core.term, Bytes::new())], fx);
        for place in 0..leader.progress.len() {
            leader.send_entries(core, place, fx);
        }
        leader
    }

    /// Appends a command and starts to replicate it; none when too much is uncommitted already.
    pub(super) fn propose(
        &mut self,
        core: &mut Core,
        payload: Bytes,
        fx: &mut Effects,
    ) -> Option<Position> {
        let bytes = self.uncommitted + payload.len();
        if self.uncommitted > 0 && bytes > core.pace.uncommitted_bytes {
            return None;
        }
        self.uncommitted = bytes;
        core.append([(core.term, payload)], fx);
        for place in 0..self.progress.len() {
            self.send_entries(core, place, fx);
        }
        Some(core.log.last())
    }

    /// A heartbeat interval is over.
    pub(super) fn heartbeat(&mut self, core: &mut Core, now: Duration, fx: &mut Effects) {
        core.restart_interval(now);
        if self.may_read(core) && self.reads.waits() {
            self.reads.begin(core.commit);
        }
        self.send_heartbeats(core, fx);
    }

    /// A follower answered an append. Whatever it says, it followed this leader when it spoke.
    pub(super) fn append_reply(
        &mut self,
        core: &mut Core,
        from: NodeId,
        result: Result<Index, Conflict>,
        round: u64,
        fx: &mut Effects,
    ) {
        let Some(place) = core.place(from) else { return };
        if round > self.reads.round {
            return;
        }
        let progress = &mut self.progress[place];
        let known = progress.matched;
        match result {
            Ok(matched) if matched <= core.log.last().index => progress.accepted(matched),
            Ok(_) => return,
            Err(conflict) => progress.refused(conflict, &core.log),
        }
        let holds_more = progress.matched > known;
        let confirms_more = round > progress.round;
        progress.round = progress.round.max(round);
        if holds_more {
            self.advance(core, fx);
        }
        if confirms_more {
            self.confirm(core, fx);
        }
        self.send_entries(core, place, fx);
        self.send_commit(core, place, fx);
    }

    /// The disk holds more: this node's own part of the quorum.
    pub(super) fn durable(&mut self, core: &mut Core, fx: &mut Effects) {
        self.advance(core, fx);
    }

    /// Takes a read, which begins a round of leadership confirmation where none is open.
    pub(super) fn read(&mut self, core: &mut Core, reader: Reader, fx: &mut Effects) {
        if self.reads.ask(reader) {
            self.begin_round(core, fx);
        } else {
            answer(core, reader, None, fx);
        }
    }

    /// Steps down: the reads that wait are to be asked again.
    pub(super) fn abdicate(self, core: &mut Core, fx: &mut Effects) {
        for reader in self.reads.into_readers() {
            answer(core, reader, None, fx);
        }
    }

    /// A new leader knows what is committed only once an entry of its own term is.
    fn may_read(&self, core: &Core) -> bool {
        core.commit >= self.first
    }

    fn begin_round(&mut self, core: &mut Core, fx: &mut Effects) {
        if self.may_read(core) && self.reads.wants_round() {
            self.reads.begin(core.commit);
            if core.voters.len() == 1 || mutant(Mutant::ReadsWithoutQuorum) {
                self.confirm(core, fx);
            } else {
                self.send_heartbeats(core, fx);
            }
        }
    }

    /// Answers the reads of each round that a majority has confirmed.
    fn confirm(&mut self, core: &mut Core, fx: &mut Effects) {
        let own = self.reads.round;
        let rounds = core.voters.iter().zip(&self.progress);
        let answered = quorum::reached(
            rounds.map(|(&id, progress)| if id == core.id { own } else { progress.round }),
        );
        let answered = if mutant(Mutant::ReadsWithoutQuorum) { own } else { answered };
        while let Some(round) = self.reads.confirmed(answered) {
            let by = core.voters.iter().zip(&self.progress);
            let by = by
                .filter(|(id, progress)| **id == core.id || progress.round >= round.number)
                .map(|(id, _)| *id)
                .collect();
            fx.trace.push(Event::ReadConfirmed { term: core.term, index: round.index, by });
            for reader in round.readers {
                answer(core, reader, Some(round.index), fx);
            }
        }
        self.begin_round(core, fx);
    }

    /// Commits what a majority holds durably, and tells the followers.
    fn advance(&mut self, core: &mut Core, fx: &mut Effects) {
        let own = core.durable_index();
        let matched = |(&id, progress): (&NodeId, &Progress)| {
            if id == core.id { own } else { progress.matched }
        };
        let index = quorum::reached(core.voters.iter().zip(&self.progress).map(matched));
        let own_term = core.log.term(index) == Some(core.term);
        if index <= core.commit || !(own_term || mutant(Mutant::CommitsOldTerms)) {
            return;
        }
        let voters = core.voters.iter().zip(&self.progress);
        let matched = voters.map(|voter| (*voter.0, matched(voter))).collect();
        let committed = &core.log.tail(core.commit + 1)[..(index - core.commit) as usize];
        self.uncommitted -= committed.iter().map(|entry| entry.payload.len()).sum::<usize>();
        core.commit_to(index, Some(matched), fx);
        for place in 0..self.progress.len() {
            self.send_commit(core, place, fx);
        }
        self.begin_round(core, fx);
    }

    /// Sends the follower what it lacks, as far as its window goes.
    fn send_entries(&mut self, core: &mut Core, place: usize, fx: &mut Effects) {
        if core.voters[place] == core.id {
            return;
        }
        while self.progress[place].next <= core.log.last().index
            && self.progress[place].may_send(core.pace.append_window)
        {
            let next = self.progress[place].next;
            let entries = core.log.batch(next, core.pace.append_bytes).to_vec();
            let last = next + entries.len() as u64 - 1;
            self.send_append(core, place, entries, fx);
            self.progress[place].sent(last);
        }
    }

    /// Tells an idle follower of a new commit index. One that has appends to answer hears of it
    /// with the next append, or after its answer.
    fn send_commit(&mut self, core: &mut Core, place: usize, fx: &mut Effects) {
        let progress = &self.progress[place];
        let replicating = matches!(progress.mode, Mode::Replicate { .. });
        if core.voters[place] != core.id
            && replicating
            && !progress.waits()
            && progress.commit_sent < core.commit
        {
            self.send_append(core, place, Vec::new(), fx);
        }
    }

    fn send_heartbeats(&mut self, core: &mut Core, fx: &mut Effects) {
        for place in 0..self.progress.len() {
            if core.voters[place] != core.id {
                self.send_append(core, place, Vec::new(), fx);
            }
        }
    }

    fn send_append(
        &mut self,
        core: &mut Core,
        place: usize,
        entries: Vec<super::Entry>,
        fx: &mut Effects,
    ) {
        let progress = &mut self.progress[place];
        let prev_index = progress.next - 1;
        let Some(prev_term) = core.log.term(prev_index) else {
            panic!("a follower's next index, {}, is behind the leader's log", progress.next);
        };
        progress.commit_sent = core.commit;
        let (commit, round) = (core.commit, self.reads.round);
        let body = Body::Append { prev_index, prev_term, entries, commit, round };
        core.send(core.voters[place], body, fx);
    }
}

/// Answers a read's question, here or at a follower.
pub(super) fn answer(core: &mut Core, reader: Reader, index: Option<Index>, fx: &mut Effects) {
    match reader {
        Reader::Local(id) => fx.reads.push((id, index)),
        Reader::Peer(peer, id) => core.send(peer, Body::ReadIndexReply { id, index }, fx),
    }
}
