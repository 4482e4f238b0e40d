//! What a client does to have an operation executed once, however often it must send it.
//!
//! A node that knows sessions executes an operation of a session once: sent again, through any
//! node, it gets the recorded answer. A session begins with number 1; what follows a number that
//! was never executed would find no session, so that one whose operations all failed is given up.

use checker::history::Kind;
use proto::peer::Session;

use super::Time;
use crate::{
    client::Completion,
    workload::{Operation, etcd::Retry},
};

/// A client sends an operation at most so often,
const ATTEMPTS_MAX: usize = 5;
/// and within so many operation time-outs.
const PATIENCE: u32 = 4;

/// The sessions of a client, one after the other.
#[derive(Debug)]
pub(super) struct Sessions {
    client: u64,
    /// Number of the present session.
    number: u64,
    /// Sequence number of its last operation.
    sequence: u64,
    /// Some operation of it was executed: the nodes know it.
    known: bool,
}

impl Sessions {
    /// The sessions of a client that no other has.
    pub(super) fn of(client: u64) -> Self {
        Self { client, number: 1, sequence: 0, known: false }
    }

    fn next(&mut self) -> Session {
        self.sequence += 1;
        Session { id: format!("client {}.{}", self.client, self.number), sequence: self.sequence }
    }

    /// The last operation ended.
    pub(super) fn ended(&mut self, kind: Kind) {
        self.known |= kind == Kind::Ok;
        // What is still on its way must not meet a later operation of its session.
        if !self.known || kind == Kind::Info {
            *self = Self { number: self.number + 1, ..Self::of(self.client) };
        }
    }
}

/// An operation that has begun, and what became of the attempts at it.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) operation: Operation,
    /// None: it is sent once.
    pub(super) session: Option<Session>,
    attempts: usize,
    /// No attempt begins later.
    until: Time,
    /// How the attempts ended, all together.
    outcome: Option<Completion>,
}

impl Task {
    /// An operation that was not sent yet, as the next of a session if it may be sent again.
    pub(super) fn new(
        operation: Operation,
        sessions: Option<&mut Sessions>,
        now: Time,
        timeout: Time,
    ) -> Self {
        let retried = operation.retry() != Retry::Never;
        let session = sessions.filter(|_| retried).map(Sessions::next);
        Self { operation, session, attempts: 0, until: now + timeout * PATIENCE, outcome: None }
    }

    /// Whether it is sent once more after an attempt that ended so. Each attempt is made at another
    /// of so many places: the history says with which node it began, and with which it ended, and
    /// these are the same only if no other was asked.
    pub(super) fn is_sent_again(&self, done: &Completion, now: Time, places: usize) -> bool {
        let attempts = self.attempts + 1;
        let most = places.min(ATTEMPTS_MAX);
        if self.session.is_none() || attempts >= most || now >= self.until {
            return false;
        }
        match done.kind {
            Kind::Ok => self.operation.retry() == Retry::Always && !self.is_answered(),
            _ => !done.conclusive,
        }
    }

    fn is_answered(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| outcome.kind == Kind::Ok)
    }

    /// An attempt ended.
    pub(super) fn attempted(&mut self, done: Completion) {
        self.attempts += 1;
        let known = match &self.outcome {
            // The later answer counts: of two that differ, one has no place in any order.
            Some(before) if before.kind == Kind::Ok => done.kind == Kind::Ok,
            // What every node refuses was not executed by an earlier attempt either.
            Some(before) if before.kind == Kind::Info => done.kind != Kind::Fail || done.conclusive,
            _ => true,
        };
        if known {
            self.outcome = Some(done);
        }
    }

    /// How it ended.
    pub(super) fn outcome(&self) -> &Completion {
        self.outcome.as_ref().expect("an operation ends with an attempt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::codec,
        workload::{Answer, etcd},
    };

    const SECOND: Time = Time::from_secs(1);

    fn task(retry: Retry, sessions: &mut Sessions) -> Task {
        let request = node::kv::Request::Put(proto::etcd::PutRequest::default());
        let operation = Operation::Etcd(Box::new(etcd::Operation { request, retry }));
        Task::new(operation, Some(sessions), Time::ZERO, SECOND)
    }

    fn done(kind: Kind, conclusive: bool) -> Completion {
        Completion { kind, conclusive, answer: Answer::Nothing, error: None, broken: false }
    }

    #[test]
    fn what_may_have_been_executed_is_known_only_by_an_answer() {
        use Kind::{Fail, Info, Ok};
        for (attempts, outcome) in [
            (&[(Ok, true)][..], Ok),
            (&[(Fail, false)], Fail),
            (&[(Info, false), (Ok, true)], Ok),
            (&[(Info, false), (Fail, false)], Info),
            // The store refuses it whenever it is executed.
            (&[(Info, false), (Fail, true)], Fail),
            (&[(Fail, false), (Info, false)], Info),
            (&[(Ok, true), (Info, false)], Ok),
            (&[(Ok, true), (Fail, false)], Ok),
        ] {
            let mut task = task(Retry::IfLost, &mut Sessions::of(1));
            for (kind, conclusive) in attempts {
                task.attempted(done(*kind, *conclusive));
            }
            assert_eq!(task.outcome().kind, outcome, "{attempts:?}");
        }
    }

    #[test]
    fn it_is_sent_again_until_it_is_answered_and_not_for_ever() {
        let sessions = &mut Sessions::of(1);
        let again = |task: &Task, done: &Completion, now| task.is_sent_again(done, now, usize::MAX);
        let lost = done(Kind::Info, false);
        let answered = done(Kind::Ok, true);
        let refused = codec::unsent("no leader".to_owned());
        let mut once = task(Retry::IfLost, sessions);
        assert!(again(&once, &lost, SECOND) && again(&once, &refused, SECOND));
        assert!(!once.is_sent_again(&lost, SECOND, 1), "there is no other node");
        assert!(!again(&once, &lost, SECOND * PATIENCE));
        assert!(!again(&once, &answered, SECOND));
        assert!(!again(&once, &done(Kind::Fail, true), SECOND));
        for _ in 1..ATTEMPTS_MAX {
            once.attempted(lost.clone());
        }
        assert!(!again(&once, &lost, SECOND));
        let mut twice = task(Retry::Always, sessions);
        assert!(again(&twice, &answered, SECOND));
        twice.attempted(answered.clone());
        assert!(!again(&twice, &answered, SECOND), "it was answered twice");
        assert!(!again(&task(Retry::Never, sessions), &lost, SECOND));
    }

    #[test]
    fn a_session_that_no_node_may_know_is_given_up() {
        let mut sessions = Sessions::of(3);
        let mut next = |kind| {
            let Session { id, sequence } = sessions.next();
            sessions.ended(kind);
            (id, sequence)
        };
        assert_eq!(next(Kind::Fail), ("client 3.1".to_owned(), 1));
        assert_eq!(next(Kind::Ok), ("client 3.2".to_owned(), 1));
        assert_eq!(next(Kind::Fail), ("client 3.2".to_owned(), 2));
        assert_eq!(next(Kind::Info), ("client 3.2".to_owned(), 3));
        assert_eq!(next(Kind::Ok), ("client 3.3".to_owned(), 1));
    }
}
