//! Which forwarded commands a leader may take, and which it may certainly refuse.
//!
//! The network may double and delay a [`Body::Propose`](super::Body::Propose), but a
//! command must be appended at most once, and a refusal must be the last word. So:
//!
//! - a command is taken only by the leader of exactly the term in which it was sent, which is one
//!   node in one boot;
//! - that node looks at each command once: what came before is ignored, without an answer;
//! - it refuses only commands of terms that it entered in this boot. Of an earlier term it cannot
//!   know whether it led it in an earlier boot and took a first copy then.

use proto::peer::CommandId;

use crate::raft::{NodeId, Term};

/// How many numbers before the latest command of a node an earlier one may still arrive.
const WINDOW: u64 = 1024;

/// The commands that each peer has forwarded to this node in this boot.
#[derive(Debug)]
pub(super) struct Forwarded {
    /// The term recovered at the start.
    recovered: Term,
    seen: Vec<Seen>,
}

/// The commands seen from one node.
#[derive(Debug)]
struct Seen {
    node: NodeId,
    boot: u64,
    latest: u64,
    /// Whether number `n` was seen, at bit `n % WINDOW`, for the window's numbers up to `latest`.
    bits: [u64; (WINDOW / 64) as usize],
}

/// What is to be done with a forwarded command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is new and was sent in the present term: the leader may take it or refuse it.
    Fresh,
    /// It was sent in a term that has passed, and certainly was not and will not be taken.
    Late,
    /// Nothing is certain about it; say nothing.
    Ignore,
}

impl Forwarded {
    /// Nothing was forwarded yet in a boot that began in term `recovered`.
    pub(super) fn new(recovered: Term) -> Self {
        Self { recovered, seen: Vec::new() }
    }

    /// Judges a command sent in term `sent` by `from`, while this node is in term `now`.
    pub(super) fn judge(&mut self, from: NodeId, id: CommandId, sent: Term, now: Term) -> Verdict {
        if id.node != from || !self.first_time(&id) || sent <= self.recovered || sent > now {
            Verdict::Ignore
        } else if sent == now {
            Verdict::Fresh
        } else {
            Verdict::Late
        }
    }

    /// Notes a command; false if it was seen before, or may have been.
    fn first_time(&mut self, id: &CommandId) -> bool {
        let place = match self.seen.iter().position(|seen| seen.node == id.node) {
            Some(place) => place,
            None => {
                self.seen.push(Seen { node: id.node, boot: 0, latest: 0, bits: [0; _] });
                self.seen.len() - 1
            }
        };
        let seen = &mut self.seen[place];
        if id.boot < seen.boot {
            return false;
        }
        if id.boot > seen.boot {
            *seen = Seen { node: id.node, boot: id.boot, latest: 0, bits: [0; _] };
        }
        if id.number > seen.latest {
            if id.number - seen.latest >= WINDOW {
                seen.bits = [0; _];
            } else {
                (seen.latest + 1..=id.number).for_each(|number| seen.clear(number));
            }
            seen.latest = id.number;
        } else if seen.latest - id.number >= WINDOW || seen.has(id.number) {
            return false;
        }
        seen.set(id.number);
        true
    }
}

impl Seen {
    fn has(&self, number: u64) -> bool {
        self.bits[(number % WINDOW / 64) as usize] & 1 << (number % 64) != 0
    }

    fn set(&mut self, number: u64) {
        self.bits[(number % WINDOW / 64) as usize] |= 1 << (number % 64);
    }

    fn clear(&mut self, number: u64) {
        self.bits[(number % WINDOW / 64) as usize] &= !(1 << (number % 64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(boot: u64, number: u64) -> CommandId {
        CommandId { node: 2, boot, number }
    }

    #[test]
    fn a_command_is_looked_at_once() {
        let mut forwarded = Forwarded::new(0);
        let mut judge = |boot, number| forwarded.judge(2, id(boot, number), 5, 5);
        assert_eq!(judge(1, 7), Verdict::Fresh);
        assert_eq!(judge(1, 7), Verdict::Ignore);
        // Overtaken, but new.
        assert_eq!(judge(1, 6), Verdict::Fresh);
        assert_eq!(judge(1, 6), Verdict::Ignore);
        // Far ahead, and then a number too far back to be known.
        assert_eq!(judge(1, 5000), Verdict::Fresh);
        assert_eq!(judge(1, 8), Verdict::Ignore);
        assert_eq!(judge(1, 5000 - WINDOW + 1), Verdict::Fresh);
        // A later boot begins from scratch; the earlier one is over.
        assert_eq!(judge(2, 1), Verdict::Fresh);
        assert_eq!(judge(1, 5001), Verdict::Ignore);
    }

    #[test]
    fn only_terms_of_this_boot_are_judged() {
        let mut forwarded = Forwarded::new(3);
        assert_eq!(forwarded.judge(2, id(1, 1), 3, 5), Verdict::Ignore);
        assert_eq!(forwarded.judge(2, id(1, 2), 4, 5), Verdict::Late);
        assert_eq!(forwarded.judge(2, id(1, 2), 4, 5), Verdict::Ignore);
        assert_eq!(forwarded.judge(2, id(1, 3), 5, 5), Verdict::Fresh);
        assert_eq!(forwarded.judge(3, id(1, 4), 5, 5), Verdict::Ignore);
    }
}
