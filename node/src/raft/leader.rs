//! A leader: appends, replicates, commits, and confirms that it still leads.

use std::time::Duration;

use bytes::Bytes;
use proto::trace::Event;

use super::{
    Body, Conflict, Entry, EntryKind, Index, Missing, NodeId, Position,
    core::{Core, Effects},
    progress::{Mode, Progress, ProgressMap},
    reads::{ReadWaiter, Reads},
};
use crate::mutants::Mutant;

/// What only a leader has.
///
/// - It never removes or replaces an entry of its own log.
/// - It commits by counting only entries of its own term (paper, section 5.4.2).
/// - Its own matched index is its durable index: it replicates while its disk works.
#[derive(Debug)]
pub(super) struct Leader {
    progress: ProgressMap,
    /// Index of the no-op that began the term.
    first: Index,
    reads: Reads,
    /// Payload bytes of the entries after the commit index.
    uncommitted: usize,
}

impl Leader {
    /// Begins the term with a no-op.
    pub(super) fn begin(core: &mut Core, now: Duration, fx: &mut Effects) -> Self {
        let last = core.log.last_index();
        let uncommitted = core.log.tail(core.commit + 1).iter().map(|e| e.payload.len()).sum();
        let followers = core.configuration.members().filter(|id| *id != core.id());
        let mut leader = Self {
            progress: ProgressMap::new(followers, last + 1),
            first: last + 1,
            reads: Reads::default(),
            uncommitted,
        };
        core.restart_interval(now);
        core.append([(core.term, EntryKind::NoOp, Bytes::new())], fx);
        leader.send_all_entries(core, fx);
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
        if self.uncommitted > 0 && bytes > core.config.uncommitted_bytes {
            return None;
        }
        self.uncommitted = bytes;
        core.append([(core.term, EntryKind::Normal, payload)], fx);
        self.send_all_entries(core, fx);
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
        let Some(progress) = self.progress.get_mut(from) else { return };
        if round > self.reads.round {
            return;
        }
        let known = progress.matched;
        match result {
            Ok(matched) if matched <= core.log.last_index() => progress.accepted(matched),
            Ok(_) => return,
            Err(conflict) => progress.refused(conflict, &core.log, core.config.append_window),
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
        if let Some(progress) = self.progress.get_mut(from) {
            send_entries(core, from, progress, self.reads.round, fx);
            send_commit(core, from, progress, self.reads.round, fx);
            if core.has(Mutant::EchoesReplies) {
                send_append(core, from, progress, Vec::new(), self.reads.round, fx);
            }
        }
    }

    /// The disk holds more: this node's own part of the quorum.
    pub(super) fn durable(&mut self, core: &mut Core, fx: &mut Effects) {
        self.advance(core, fx);
    }

    /// Takes a read, which begins a round of leadership confirmation unless one is open.
    pub(super) fn read(&mut self, core: &mut Core, waiter: ReadWaiter, fx: &mut Effects) {
        if self.reads.add(waiter) {
            self.begin_round(core, fx);
        } else {
            answer(core, waiter, None, fx);
        }
    }

    /// Steps down: the reads that wait are to be asked again.
    pub(super) fn abdicate(self, core: &mut Core, fx: &mut Effects) {
        for waiter in self.reads.into_waiters() {
            answer(core, waiter, None, fx);
        }
    }

    /// A new leader knows what is committed only once an entry of its own term is.
    fn may_read(&self, core: &Core) -> bool {
        core.commit >= self.first
    }

    fn begin_round(&mut self, core: &mut Core, fx: &mut Effects) {
        if self.may_read(core) && self.reads.wants_round() {
            self.reads.begin(core.commit);
            let alone = core.configuration.voters().all(|voter| voter == core.id());
            if alone || core.has(Mutant::ReadsWithoutQuorum) {
                self.confirm(core, fx);
            } else {
                self.send_heartbeats(core, fx);
            }
        }
    }

    /// Answers the reads of each round that a quorum has confirmed.
    fn confirm(&mut self, core: &mut Core, fx: &mut Effects) {
        let (id, own) = (core.id(), self.reads.round);
        let progress = &self.progress;
        let answered = |voter| {
            if voter == id { own } else { progress.get(voter).map_or(0, |peer| peer.round) }
        };
        let reached = core.configuration.reached(answered, core.config.mutants);
        let reached = if core.has(Mutant::ReadsWithoutQuorum) { own } else { reached };
        while let Some(round) = self.reads.confirmed(reached) {
            let by = core.configuration.voters();
            let by = by.filter(|voter| *voter == id || answered(*voter) >= round.number).collect();
            fx.trace.push(Event::ReadConfirmed { term: core.term, index: round.index, by });
            for waiter in round.waiters {
                answer(core, waiter, Some(round.index), fx);
            }
        }
        self.begin_round(core, fx);
    }

    /// Commits what a quorum holds durably, and tells the followers.
    fn advance(&mut self, core: &mut Core, fx: &mut Effects) {
        let (id, own) = (core.id(), core.durable_index());
        let progress = &self.progress;
        let matched = |voter| {
            if voter == id { own } else { progress.get(voter).map_or(0, |peer| peer.matched) }
        };
        let index = core.configuration.reached(matched, core.config.mutants);
        let own_term = core.log.term(index) == Ok(core.term);
        if index <= core.commit || !(own_term || core.has(Mutant::CommitsOldTerms)) {
            return;
        }
        let evidence = core.configuration.voters().map(|voter| (voter, matched(voter))).collect();
        let committed = &core.log.tail(core.commit + 1)[..(index - core.commit) as usize];
        self.uncommitted -= committed.iter().map(|entry| entry.payload.len()).sum::<usize>();
        core.commit_to(index, Some(evidence), fx);
        for (peer, progress) in self.progress.iter_mut() {
            send_commit(core, peer, progress, self.reads.round, fx);
        }
        self.begin_round(core, fx);
    }

    /// Sends all followers what they lack.
    fn send_all_entries(&mut self, core: &mut Core, fx: &mut Effects) {
        for (peer, progress) in self.progress.iter_mut() {
            send_entries(core, peer, progress, self.reads.round, fx);
        }
    }

    fn send_heartbeats(&mut self, core: &mut Core, fx: &mut Effects) {
        for (peer, progress) in self.progress.iter_mut() {
            send_append(core, peer, progress, Vec::new(), self.reads.round, fx);
        }
    }
}

/// Sends a follower what it lacks, as far as its window goes.
fn send_entries(
    core: &mut Core,
    peer: NodeId,
    progress: &mut Progress,
    round: u64,
    fx: &mut Effects,
) {
    let (base, last) = (core.log.base().index, core.log.last_index());
    // What it lacks up to the base, only a snapshot could give it.
    while progress.next > base
        && progress.next <= last
        && progress.may_send(core.config.append_window)
    {
        let entries = core.log.batch(progress.next, core.config.append_bytes).to_vec();
        let last = progress.next + entries.len() as u64 - 1;
        send_append(core, peer, progress, entries, round, fx);
        progress.sent(last);
    }
}

/// Tells an idle follower of a new commit index. One that has appends to answer hears of it with
/// the next append, or after its answer.
fn send_commit(
    core: &mut Core,
    peer: NodeId,
    progress: &mut Progress,
    round: u64,
    fx: &mut Effects,
) {
    let replicating = matches!(progress.mode, Mode::Replicate { .. });
    if replicating && !progress.waits() && progress.commit_sent < core.commit {
        send_append(core, peer, progress, Vec::new(), round, fx);
    }
}

fn send_append(
    core: &mut Core,
    peer: NodeId,
    progress: &mut Progress,
    entries: Vec<Entry>,
    round: u64,
    fx: &mut Effects,
) {
    let mut prev_index = progress.next - 1;
    let prev_term = match core.log.term(prev_index) {
        Ok(term) => term,
        // A heartbeat, then; what comes before the base need not be named.
        Err(Missing::Compacted) => {
            prev_index = core.log.base().index;
            core.log.base().term
        }
        Err(Missing::PastEnd) => {
            panic!("a follower's next index, {}, is past the end of the log", progress.next)
        }
    };
    progress.commit_sent = core.commit;
    let commit = core.commit;
    core.send(peer, Body::Append { prev_index, prev_term, entries, commit, round }, fx);
}

/// Answers a read that waits for its index, here or at a follower.
pub(super) fn answer(core: &mut Core, waiter: ReadWaiter, index: Option<Index>, fx: &mut Effects) {
    match waiter {
        ReadWaiter::Local(id) => fx.reads.push((id, index)),
        ReadWaiter::Peer(peer, id) => core.send(peer, Body::ReadIndexReply { id, index }, fx),
    }
}
