//! Clients' linearizable reads (dissertation, section 6.4).
//!
//! Reads wait for a question to the leader (which may be this node), then for its answer, an
//! index, then until that index is applied here. One question is open at a time; all reads that
//! arrive meanwhile join the next. A question that stays without an answer, or whose term passes,
//! is asked again under a new id: an answer to the old one is then ignored.

use std::collections::VecDeque;

use super::{Error, RequestId, Time};
use crate::{
    kv::{Request, Response},
    raft::{Index, Term},
};

/// A client's read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) request: RequestId,
    pub(super) what: Request,
    pub(super) arrived: Time,
}

/// A question to the leader and the reads that wait for its answer.
#[derive(Debug)]
struct Question {
    id: u64,
    term: Term,
    asked: Time,
}

/// The linearizable reads of this node's clients, each queue in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The first `asked` of these wait for the answer to `open`, the others for a question.
    waiting: VecDeque<Read>,
    asked: usize,
    open: Option<Question>,
    /// Id of the last question.
    last_id: u64,
    /// Reads that wait until the index is applied.
    answered: VecDeque<(Index, Read)>,
}

impl Reads {
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.answered.len()
    }

    /// Takes a read.
    pub(super) fn add(&mut self, read: Read) {
        self.waiting.push_back(read);
    }

    /// Drops a question whose term has passed or that has waited for `patience`.
    pub(super) fn drop_stale(&mut self, now: Time, term: Term, patience: Time) {
        if self.open.as_ref().is_some_and(|q| q.term != term || q.asked + patience <= now) {
            self.open = None;
            self.asked = 0;
        }
    }

    /// Whether a question should be asked; if so, all reads that wait join it.
    pub(super) fn ask(&mut self, now: Time, term: Term) -> Option<u64> {
        if self.open.is_some() || self.waiting.is_empty() {
            return None;
        }
        self.last_id += 1;
        self.open = Some(Question { id: self.last_id, term, asked: now });
        self.asked = self.waiting.len();
        Some(self.last_id)
    }

    /// The answer to question `id`; one to an earlier question is ignored.
    pub(super) fn answer(&mut self, id: u64, index: Option<Index>) {
        if self.open.as_ref().is_none_or(|question| question.id != id) {
            return;
        }
        // A refusal leaves the question open until its patience or its term ends, so that a
        // leader that cannot answer is not asked in a tight circle.
        if let Some(index) = index {
            self.open = None;
            let asked = std::mem::take(&mut self.asked);
            self.answered.extend(self.waiting.drain(..asked).map(|read| (index, read)));
        }
    }

    /// A read whose index is applied.
    pub(super) fn serve(&mut self, applied: Index) -> Option<Read> {
        self.answered.pop_front_if(|(index, _)| *index <= applied).map(|(_, read)| read)
    }

    /// Answers what has waited too long: for `parking` while no leader is known (`leaderless` since
    /// when), or for `timeout`.
    pub(super) fn expire(
        &mut self,
        now: Time,
        leaderless: Option<Time>,
        parking: Time,
        timeout: Time,
        replies: &mut Vec<(RequestId, Result<Response, Error>)>,
    ) {
        while let Some((_, read)) =
            self.answered.pop_front_if(|(_, read)| read.arrived + timeout <= now)
        {
            replies.push((read.request, Err(Error::Timeout)));
        }
        while let Some(oldest) = self.waiting.front() {
            let error = if oldest.arrived + timeout <= now {
                Error::Timeout
            } else if leaderless.is_some_and(|since| since.max(oldest.arrived) + parking <= now) {
                Error::NoLeader
            } else {
                break;
            };
            replies.push((oldest.request, Err(error)));
            self.waiting.pop_front();
            self.asked = self.asked.saturating_sub(1);
        }
    }

    /// When [`Reads::expire`] or [`Reads::drop_stale`] has something to do.
    pub(super) fn deadline(
        &self,
        leaderless: Option<Time>,
        parking: Time,
        patience: Time,
        timeout: Time,
    ) -> Option<Time> {
        let answered = self.answered.front().map(|(_, read)| read.arrived + timeout);
        let waiting = self.waiting.front().map(|oldest| {
            let parked = leaderless.map(|since| since.max(oldest.arrived) + parking);
            parked.into_iter().fold(oldest.arrived + timeout, Time::min)
        });
        let open = self.open.as_ref().map(|question| question.asked + patience);
        [answered, waiting, open].into_iter().flatten().min()
    }
}
