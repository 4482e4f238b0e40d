//! Tells the messages that change nothing from the others. Most messages of a healthy cluster are
//! heartbeats and the answers to them; told one by one they bury what matters.

use std::collections::BTreeMap;

use node::{
    raft::{Body as Raft, Conflict},
    replica::{Body, Message, Time},
};

use crate::nemesis::NodeId;

/// Names a message, as its user likes.
type Number = usize;

/// What a follower answered to a leader.
#[derive(Clone, Copy, Debug)]
struct Answer {
    term: u64,
    /// The round of leadership confirmation: what a leader's reads wait for.
    round: u64,
    /// The index up to which the logs are equal, or where they part.
    result: Result<u64, Conflict>,
}

/// Knows which messages have been idle so far.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// What each leader last took in of each follower's answers.
    answers: BTreeMap<(NodeId, NodeId), Answer>,
    /// Idle messages that each node took in at its latest moment: something may follow from them.
    suspects: BTreeMap<NodeId, (Time, Vec<Number>)>,
}

impl Idle {
    /// Whether a message that is `taken` in, or else lost, says nothing new by itself: a heartbeat,
    /// or an answer that acknowledges no more than the one before, and confirms no later round, or
    /// the same conflict again. What is lost has told the leader nothing.
    pub(super) fn says_nothing(&mut self, message: &Message, taken: bool) -> bool {
        match message.body {
            Body::Raft(Raft::Append { ref entries, .. }) => entries.is_empty(),
            Body::Raft(Raft::AppendReply { result, round }) => {
                let link = (message.from, message.to);
                let nothing = Answer { term: message.term, round: 0, result: Ok(0) };
                let known = self.answers.get(&link).copied();
                if known.is_some_and(|known| message.term < known.term) {
                    return false;
                }
                let same_term = known.filter(|known| known.term == message.term);
                let before = same_term.unwrap_or(nothing);
                let (old, result) = match (before.result, result) {
                    // An answer that was overtaken takes nothing back.
                    (Ok(before), Ok(matched)) => (matched <= before, Ok(matched.max(before))),
                    (before, now) => (before == now, now),
                };
                if taken {
                    let round = round.max(before.round);
                    self.answers.insert(link, Answer { term: message.term, round, result });
                }
                old && round <= before.round && same_term.is_some()
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

    fn message(body: Raft) -> Message {
        Message { from: 1, to: 2, term: 3, clock: 0, body: Body::Raft(body) }
    }

    #[test]
    fn a_heartbeat_is_idle_until_something_follows_from_it() {
        let heartbeat =
            Raft::Append { prev_index: 1, prev_term: 1, entries: Vec::new(), commit: 1, round: 0 };
        let mut idle = Idle::default();
        assert!(idle.says_nothing(&message(heartbeat), true));
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
        let answer = |result| message(Raft::AppendReply { result, round: 0 });
        let mut idle = Idle::default();
        let mut says_nothing = |message| idle.says_nothing(&message, true);
        assert!(!says_nothing(answer(Ok(4))));
        assert!(says_nothing(answer(Ok(4))));
        assert!(!says_nothing(answer(Ok(6))));
        assert!(says_nothing(answer(Ok(5))), "it was overtaken");
        assert!(says_nothing(answer(Ok(6))));
        let conflict = |index| Err(Conflict { term: 1, index });
        assert!(!says_nothing(answer(conflict(3))));
        assert!(says_nothing(answer(conflict(3))));
        assert!(!says_nothing(answer(conflict(2))));
        let later = || Message { term: 4, ..answer(conflict(2)) };
        assert!(!says_nothing(later()), "a new term begins anew");
        assert!(says_nothing(later()));
        assert!(!says_nothing(answer(conflict(2))), "one of an earlier term is news");
        assert!(!says_nothing(message(Raft::VoteReply { granted: false })));
    }

    #[test]
    fn an_answer_after_a_lost_one_is_told() {
        let answer = |matched| message(Raft::AppendReply { result: Ok(matched), round: 0 });
        let mut idle = Idle::default();
        assert!(!idle.says_nothing(&answer(4), true));
        assert!(!idle.says_nothing(&answer(6), false));
        assert!(!idle.says_nothing(&answer(6), true), "the leader did not know");
        assert!(idle.says_nothing(&answer(6), false));
        assert!(idle.says_nothing(&answer(6), true));
    }

    #[test]
    fn an_answer_that_confirms_a_later_round_is_told() {
        let answer = |round| message(Raft::AppendReply { result: Ok(4), round });
        let mut idle = Idle::default();
        assert!(!idle.says_nothing(&answer(1), true));
        assert!(idle.says_nothing(&answer(1), true));
        assert!(!idle.says_nothing(&answer(3), true), "reads wait for it");
        assert!(idle.says_nothing(&answer(2), true), "it was overtaken");
        assert!(idle.says_nothing(&answer(3), true));
    }
}
