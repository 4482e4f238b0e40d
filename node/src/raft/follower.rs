//! A follower: takes what its leader appends and waits for silence.

use std::time::Duration;

use proto::trace::Role;

use super::{
    Body, Conflict, Entry, Index, Missing, NodeId, Position,
    core::{Core, Effects},
};
use crate::mutants::Mutant;

/// What only a follower has.
///
/// - `verified` is an index up to which the log equals the leader's. Nothing up to it is removed
///   in this term.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// The leader of the term, once heard of.
    pub(super) leader: Option<NodeId>,
    verified: Index,
    /// Latest round of leadership confirmation that the leader sent.
    round: u64,
    /// An acknowledgement waits for the disk.
    owes: bool,
}

/// An append, as it arrived.
pub(super) struct Append {
    pub(super) prev_index: Index,
    pub(super) prev_term: u64,
    pub(super) entries: Vec<Entry>,
    pub(super) commit: Index,
    pub(super) round: u64,
}

impl Follower {
    /// An append of the present term. One from a second leader of the term, or one that no
    /// correct leader sends, is ignored.
    pub(super) fn append(
        &mut self,
        core: &mut Core,
        now: Duration,
        from: NodeId,
        append: Append,
        fx: &mut Effects,
    ) {
        if self.leader.is_some_and(|leader| leader != from) || !well_formed(core, &append) {
            return;
        }
        core.restart_timer(now);
        if self.leader.is_none() {
            self.leader = Some(from);
            core.trace_role(Role::Follower, self.leader, fx);
        }
        self.round = self.round.max(append.round);
        let round = self.round;
        match self.merge(core, append.prev_index, append.prev_term, append.entries, fx) {
            AppendOutcome::Conflict(conflict) => {
                core.send(from, Body::AppendReply { result: Err(conflict), round }, fx);
            }
            AppendOutcome::Impossible => {}
            AppendOutcome::Equal { last, added } => {
                self.verified = self.verified.max(last);
                // Never past what this leader is known to share with us: later entries may be
                // leftovers of earlier terms.
                let own_end = core.has(Mutant::CommitsUnverified).then(|| core.log.last_index());
                let commit = append.commit.min(own_end.unwrap_or(self.verified));
                let back = core.has(Mutant::CommitGoesBack) && commit < core.commit;
                if commit > core.commit || back {
                    core.commit_to(commit, None, fx);
                }
                // What the disk does not hold yet is acknowledged when it does. A heartbeat is
                // answered at once, as it asks only whether this node still follows.
                self.owes = self.owes || self.verified > core.durable_index();
                if !added || last <= core.durable_index() {
                    self.acknowledge(core, from, fx);
                }
            }
        }
    }

    /// Acknowledges what became durable.
    pub(super) fn durable(&mut self, core: &mut Core, fx: &mut Effects) {
        if self.owes
            && let Some(leader) = self.leader
        {
            self.acknowledge(core, leader, fx);
        }
    }

    fn acknowledge(&mut self, core: &mut Core, leader: NodeId, fx: &mut Effects) {
        let matched = self.verified.min(core.durable_index());
        self.owes = matched < self.verified;
        core.send(leader, Body::AppendReply { result: Ok(matched), round: self.round }, fx);
    }

    /// Makes the log equal to the leader's up to the last of `entries`, if it is up to `prev`
    /// (paper, figure 2, AppendEntries 2 to 4). Only entries that differ are replaced, so that a
    /// late append never removes what a later one brought.
    fn merge(
        &mut self,
        core: &mut Core,
        prev_index: Index,
        prev_term: u64,
        entries: Vec<Entry>,
        fx: &mut Effects,
    ) -> AppendOutcome {
        match core.log.term(prev_index) {
            Err(Missing::PastEnd) => {
                return AppendOutcome::Conflict(Conflict {
                    term: 0,
                    index: core.log.last_index() + 1,
                });
            }
            Ok(term) if term != prev_term => {
                let index = core.log.first_of_term(prev_index);
                return AppendOutcome::Conflict(Conflict { term, index });
            }
            Ok(_) | Err(Missing::Compacted) => {}
        }
        if core.has(Mutant::ErasesMatchingSuffix) {
            self.verified = prev_index;
        }
        let last = prev_index + entries.len() as u64;
        let known = entries
            .iter()
            .zip(prev_index + 1..)
            .take_while(|(entry, index)| core.log.agrees(*index, entry.term))
            .take_while(|(_, index)| {
                !core.has(Mutant::ErasesMatchingSuffix) || *index <= core.commit
            })
            .count();
        let keep = prev_index + known as u64;
        let added = known < entries.len();
        if added {
            if keep < core.log.last_index() {
                // Two logs of correct nodes agree on all that is committed, and in one term on
                // all that its leader sent: the sender is no correct node.
                if keep < core.commit.max(self.verified) {
                    return AppendOutcome::Impossible;
                }
                let Ok(keep) = core.log.position(keep) else { return AppendOutcome::Impossible };
                core.truncate(keep, fx);
            }
            let new = entries.into_iter().skip(known);
            core.append(new.map(|entry| (entry.term, entry.kind, entry.payload)), fx);
        }
        AppendOutcome::Equal { last, added }
    }
}

/// What became of an append.
enum AppendOutcome {
    /// The log is equal up to `last`; entries were `added` for it.
    Equal { last: Index, added: bool },
    /// The logs part before the append's first entry.
    Conflict(Conflict),
    /// The append would remove what no correct leader removes.
    Impossible,
}

/// Whether a leader of the present term can have sent this.
fn well_formed(core: &Core, append: &Append) -> bool {
    let mut prev =
        Position { index: append.prev_index, term: append.prev_term, ..Position::default() };
    if (prev.index == 0) != (prev.term == 0) || prev.index > Index::MAX / 2 {
        return false;
    }
    append.entries.iter().all(|entry| {
        let follows = entry.index == prev.index + 1 && entry.term >= prev.term.max(1);
        prev = entry.position();
        follows
    }) && prev.term <= core.term
}
