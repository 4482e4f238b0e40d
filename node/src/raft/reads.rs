//! Linearizable reads without writing to the log (dissertation, section 6.4).
//!
//! A read waits until the leader has committed an entry of its own term and a *round* of
//! heartbeats, begun after the read arrived, has been answered by a majority. Rounds are numbered
//! within a term and carried by every append and its answer. All reads that wait join the next
//! round; each heartbeat interval begins a new one while the last is still open.

use std::collections::VecDeque;

use super::{Index, NodeId};

/// Who asks, and under which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// This node's replica.
    Local(u64),
    /// A follower.
    Peer(NodeId, u64),
}

/// Most questions that a leader keeps; more are refused, as their askers ask again.
const QUESTIONS_MAX: usize = 4096;

/// A round that waits for a majority.
#[derive(Debug)]
pub(super) struct Round {
    /// Number of the round.
    pub(super) number: u64,
    /// The commit index when it began.
    pub(super) index: Index,
    /// Who waits for it.
    pub(super) readers: Vec<Reader>,
}

/// The reads that wait on a leader.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Number of the latest round, 0 before the first.
    pub(super) round: u64,
    waiting: Vec<Reader>,
    open: VecDeque<Round>,
    /// Reads in `waiting` and `open`.
    count: usize,
}

impl Reads {
    /// Takes a question for the next round; false when there are too many.
    pub(super) fn ask(&mut self, reader: Reader) -> bool {
        let room = self.count < QUESTIONS_MAX;
        if room {
            self.waiting.push(reader);
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
        let readers = std::mem::take(&mut self.waiting);
        self.open.push_back(Round { number: self.round, index, readers });
    }

    /// The oldest open round, if a majority has answered up to round `answered`.
    pub(super) fn confirmed(&mut self, answered: u64) -> Option<Round> {
        let round = self.open.pop_front_if(|round| round.number <= answered)?;
        self.count -= round.readers.len();
        Some(round)
    }

    /// Everyone who still waits.
    pub(super) fn into_readers(self) -> impl Iterator<Item = Reader> {
        self.open.into_iter().flat_map(|round| round.readers).chain(self.waiting)
    }
}
