//! Clients' linearizable reads (dissertation, section 6.4).
//!
//! Reads wait for a [`ReadIndexRequest`] to the leader (which may be this node), then for its
//! answer, an index, then until that index is applied here. All reads that wait join each request.
//! While a request is open no other is sent, unless it stays without an answer for long or its term
//! passes: a new request then follows under a new id. An answer to the earlier one still counts,
//! for the reads that had joined it, so that a network slower than this node's patience only delays
//! reads.
//!
//! Ids are never used twice, not even by another boot of this node: an answer that was meant for
//! an earlier boot may name an index older than what a client of this one must see.

use std::collections::VecDeque;

use super::{Error, RequestId, Time};
use crate::{
    kv::{Request, Response},
    raft::{Index, READ_BITS, Term},
};

/// A client's read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) request: RequestId,
    pub(super) what: Request,
    pub(super) arrived: Time,
}

/// The latest request to the leader for a read index.
#[derive(Debug)]
struct ReadIndexRequest {
    id: u64,
    term: Term,
    asked: Time,
}

/// The linearizable reads of this node's clients, each queue in order of arrival.
#[derive(Debug)]
pub(super) struct Reads {
    /// Each with the id of the first request that it joined, none before it did.
    waiting: VecDeque<(Option<u64>, Read)>,
    /// Asked, and worth waiting for.
    open: Option<ReadIndexRequest>,
    /// Id of the last request.
    last_id: u64,
    /// Reads that wait until the index is applied.
    answered: VecDeque<(Index, Read)>,
}

impl Reads {
    /// No reads yet, in boot number `boot`.
    pub(super) fn new(boot: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            open: None,
            last_id: boot << READ_BITS,
            answered: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.answered.len()
    }

    /// Whether nothing waits, not even for an answer that no read needs any more.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.len() == 0
    }

    /// Takes a read.
    pub(super) fn add(&mut self, read: Read) {
        self.waiting.push_back((None, read));
    }

    /// Drops a request whose term has passed or that has waited for `patience`.
    pub(super) fn drop_stale(&mut self, now: Time, term: Term, patience: Time) {
        if self.open.as_ref().is_some_and(|q| q.term != term || q.asked + patience <= now) {
            self.open = None;
        }
    }

    /// Whether a request should be sent; if so, all reads that wait join it.
    pub(super) fn ask(&mut self, now: Time, term: Term) -> Option<u64> {
        if self.open.is_some() || self.waiting.is_empty() {
            return None;
        }
        self.last_id += 1;
        self.open = Some(ReadIndexRequest { id: self.last_id, term, asked: now });
        for (first, _) in self.waiting.iter_mut().rev().take_while(|(first, _)| first.is_none()) {
            *first = Some(self.last_id);
        }
        Some(self.last_id)
    }

    /// The answer to request `id`. It is good for all reads that arrived before the request left.
    pub(super) fn answer(&mut self, id: u64, index: Option<Index>) {
        // A refusal leaves the request open until its patience or its term ends, so that a
        // leader that cannot answer is not asked in a tight circle.
        let Some(index) = index else { return };
        if self.open.as_ref().is_some_and(|request| request.id == id) {
            self.open = None;
        }
        let joined = |waiting: &mut (Option<u64>, Read)| waiting.0.is_some_and(|first| first <= id);
        while let Some((_, read)) = self.waiting.pop_front_if(joined) {
            self.answered.push_back((index, read));
        }
    }

    /// A read whose index is applied.
    pub(super) fn serve(&mut self, applied: Index) -> Option<Read> {
        self.answered.pop_front_if(|(index, _)| *index <= applied).map(|(_, read)| read)
    }

    /// Answers what has waited too long: for `leader_wait` while no leader is known (`leaderless`
    /// since when), or for `timeout`.
    pub(super) fn expire(
        &mut self,
        now: Time,
        leaderless: Option<Time>,
        leader_wait: Time,
        timeout: Time,
        replies: &mut Vec<(RequestId, Result<Response, Error>)>,
    ) {
        while let Some((_, read)) =
            self.answered.pop_front_if(|(_, read)| read.arrived + timeout <= now)
        {
            replies.push((read.request, Err(Error::Timeout)));
        }
        while let Some((_, oldest)) = self.waiting.front() {
            let error = if oldest.arrived + timeout <= now {
                Error::Timeout
            } else if leaderless.is_some_and(|since| since.max(oldest.arrived) + leader_wait <= now)
            {
                Error::NoLeader
            } else {
                break;
            };
            replies.push((oldest.request, Err(error)));
            self.waiting.pop_front();
        }
    }

    /// When [`Reads::expire`] or [`Reads::drop_stale`] has something to do.
    pub(super) fn deadline(
        &self,
        leaderless: Option<Time>,
        leader_wait: Time,
        patience: Time,
        timeout: Time,
    ) -> Option<Time> {
        let answered = self.answered.front().map(|(_, read)| read.arrived + timeout);
        let waiting = self.waiting.front().map(|(_, oldest)| {
            let gives_up = leaderless.map(|since| since.max(oldest.arrived) + leader_wait);
            gives_up.into_iter().fold(oldest.arrived + timeout, Time::min)
        });
        let open = self.open.as_ref().map(|request| request.asked + patience);
        [answered, waiting, open].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use proto::etcd;

    use super::*;

    const TERM: Term = 3;
    const PATIENCE: Time = Time::from_millis(100);

    fn read(request: RequestId) -> Read {
        Read { request, what: Request::Range(etcd::RangeRequest::default()), arrived: Time::ZERO }
    }

    fn served(reads: &mut Reads) -> Vec<RequestId> {
        std::iter::from_fn(|| reads.serve(Index::MAX)).map(|read| read.request).collect()
    }

    #[test]
    fn an_answer_serves_the_reads_that_came_before_its_request() {
        let mut reads = Reads::new(1);
        reads.add(read(1));
        let first = reads.ask(Time::ZERO, TERM).unwrap();
        reads.add(read(2));
        assert_eq!(reads.ask(Time::ZERO, TERM), None, "one is open");
        reads.answer(first, None);
        assert_eq!(reads.ask(Time::ZERO, TERM), None, "a refusal closes nothing");
        reads.answer(first, Some(7));
        assert_eq!(served(&mut reads), [1]);
        let second = reads.ask(Time::ZERO, TERM).unwrap();
        reads.answer(first, Some(7));
        assert!(served(&mut reads).is_empty(), "a doubled answer does not answer the next request");
        reads.answer(second, Some(7));
        assert_eq!(served(&mut reads), [2]);
    }

    #[test]
    fn answers_slower_than_the_patience_count() {
        let mut reads = Reads::new(1);
        reads.add(read(1));
        let first = reads.ask(Time::ZERO, TERM).unwrap();
        reads.drop_stale(PATIENCE, TERM, PATIENCE);
        reads.add(read(2));
        let second = reads.ask(PATIENCE, TERM).unwrap();
        reads.answer(first, Some(7));
        assert_eq!(served(&mut reads), [1]);
        assert_eq!(reads.ask(PATIENCE, TERM), None, "the second is open");
        reads.answer(second, Some(7));
        assert_eq!(served(&mut reads), [2]);
    }

    #[test]
    fn an_answer_to_an_earlier_boot_is_none() {
        let mut earlier = Reads::new(1);
        earlier.add(read(1));
        let old = earlier.ask(Time::ZERO, TERM).unwrap();
        let mut reads = Reads::new(2);
        reads.add(read(1));
        let new = reads.ask(Time::ZERO, TERM).unwrap();
        reads.answer(old, Some(7));
        assert!(served(&mut reads).is_empty());
        reads.answer(new, Some(7));
        assert_eq!(served(&mut reads), [1]);
    }
}
