//! Tells the messages that change nothing from the others. Most messages of a healthy cluster are
//! heartbeats and the answers to them; told one by one they bury what matters.

use std::collections::BTreeMap;

use node::{
    raft::{Body, Conflict, Message},
    replica::Time,
};

use crate::nemesis::NodeId;

/// Names a message, as its user likes.
type Number = usize;

/// A term, and the index up to which the logs are equal, or where they part.
type Answer = (u64, Result<u64, Conflict>);

/// Knows which messages have been idle so far.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// What each follower last answered to each leader, and in which term.
    answers: BTreeMap<(NodeId, NodeId), Answer>,
    /// Idle messages that each node took in at its latest moment: something may follow from them.
    suspects: BTreeMap<NodeId, (Time, Vec<Number>)>,
}

impl Idle {
    /// Whether a message says nothing new by itself: a heartbeat, or an answer that acknowledges
    /// no more than the one before, or the same conflict again.
    pub(super) fn says_nothing(&mut self, message: &Message) -> bool {
        match &message.body {
            Body::Append { entries, .. } => entries.is_empty(),
            Body::AppendReply { result, .. } => {
                let known = self.answers.entry((message.from, message.to)).or_insert((0, Ok(0)));
                let (term, before) = *known;
                if message.term < term {
                    return false;
                }
                let (idle, now) = match (before, *result) {
                    _ if term < message.term => (false, *result),
                    // An answer that was overtaken takes nothing back.
                    (Ok(before), Ok(matched)) => (matched <= before, Ok(matched.max(before))),
                    (before, now) => (before == now, now),
                };
                *known = (message.term, now);
                idle
            }
            _ => false,
        }
    }

    /// A node takes in an idle message.
    pub(super) fn delivered(&mut self, now: Time, to: NodeId, number: Number) {
        let (time, numbers) = self.suspects.entry(to).or_default();
        if *time != now {
            numbers.clear();
        }
        *time = now;
        numbers.push(number);
    }

    /// A node does something: the messages that are idle no more.
    pub(super) fn step(&mut self, now: Time, node: NodeId) -> Vec<Number> {
        match self.suspects.get_mut(&node) {
            Some((time, numbers)) if *time == now => std::mem::take(numbers),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: Body) -> Message {
        Message { from: 1, to: 2, term: 3, clock: 0, body }
    }

    #[test]
    fn a_heartbeat_is_idle_until_something_follows_from_it() {
        let heartbeat =
            Body::Append { prev_index: 1, prev_term: 1, entries: Vec::new(), commit: 1, round: 0 };
        let mut idle = Idle::default();
        assert!(idle.says_nothing(&message(heartbeat)));
        let at = Time::from_millis;
        idle.delivered(at(1), 2, 7);
        assert!(idle.step(at(1), 1).is_empty(), "another node's step");
        assert_eq!(idle.step(at(1), 2), [7]);
        assert!(idle.step(at(1), 2).is_empty(), "it is told once");
        idle.delivered(at(2), 2, 8);
        assert!(idle.step(at(3), 2).is_empty(), "a later step has another cause");
    }

    #[test]
    fn an_answer_is_idle_when_it_is_old() {
        let answer = |result| message(Body::AppendReply { result, round: 0 });
        let mut idle = Idle::default();
        assert!(!idle.says_nothing(&answer(Ok(4))));
        assert!(idle.says_nothing(&answer(Ok(4))));
        assert!(!idle.says_nothing(&answer(Ok(6))));
        assert!(idle.says_nothing(&answer(Ok(5))), "it was overtaken");
        assert!(idle.says_nothing(&answer(Ok(6))));
        let conflict = |index| Err(Conflict { term: 1, index });
        assert!(!idle.says_nothing(&answer(conflict(3))));
        assert!(idle.says_nothing(&answer(conflict(3))));
        assert!(!idle.says_nothing(&answer(conflict(2))));
        let later = Message { term: 4, ..answer(conflict(2)) };
        assert!(!idle.says_nothing(&later), "a new term begins anew");
        assert!(!idle.says_nothing(&message(Body::VoteReply { granted: false })));
    }
}
