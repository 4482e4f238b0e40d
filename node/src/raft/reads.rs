//! Linearizable reads without writing to the log (dissertation, section 6.4).
//!
//! A read waits until the leader has committed an entry of its own term and a *round* of
//! heartbeats, begun after the read arrived, has been answered by a majority. Rounds are numbered
//! within a term and carried by every append and its answer. All reads that wait join the next
//! round; each heartbeat interval begins a new one while the last is still open.

use std::collections::VecDeque;

use super::{Index, NodeId};

/// Who waits for a read index, and under which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadWaiter {
    /// This node's replica.
    Local(u64),
    /// A follower.
    Peer(NodeId, u64),
}

/// Most reads that wait on a leader; more are refused, and asked again.
const WAITERS_MAX: usize = 4096;

/// A round that waits for a majority.
#[derive(Debug)]
pub(super) struct Round {
    /// Number of the round.
    pub(super) number: u64,
    /// The commit index when it began.
    pub(super) index: Index,
    /// Who waits for it.
    pub(super) waiters: Vec<ReadWaiter>,
}

/// The reads that wait on a leader.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Number of the latest round, 0 before the first.
    pub(super) round: u64,
    waiting: Vec<ReadWaiter>,
    open: VecDeque<Round>,
    /// Reads in `waiting` and `open`.
    count: usize,
}

impl Reads {
    /// Takes a read for the next round; false when there are too many.
    pub(super) fn add(&mut self, waiter: ReadWaiter) -> bool {
        let room = self.count < WAITERS_MAX;
        if room {
            self.waiting.push(waiter);
            self.count += 1;
        }
        room
    }

    /// Whether a round should begin without waiting for the next heartbeat.
    pub(super) fn wants_round(&self) -> bool {
        !self.waiting.is_empty() && self.open.is_empty()
    }

    /// Whether reads wait for a round to begin.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins a round for all reads that wait, at commit index `index`.
    pub(super) fn begin(&mut self, index: Index) {
        self.round += 1;
        let waiters = std::mem::take(&mut self.waiting);
        self.open.push_back(Round { number: self.round, index, waiters });
    }

    /// The oldest open round, if a majority has answered up to round `answered`.
    pub(super) fn confirmed(&mut self, answered: u64) -> Option<Round> {
        let round = self.open.pop_front_if(|round| round.number <= answered)?;
        self.count -= round.waiters.len();
        Some(round)
    }

    /// All that still wait.
    pub(super) fn into_waiters(self) -> impl Iterator<Item = ReadWaiter> {
        self.open.into_iter().flat_map(|round| round.waiters).chain(self.waiting)
    }
}
