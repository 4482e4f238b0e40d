//! The trace: one JSON object a line, each a step that Raft's safety depends on.
//!
//! A line is handed to the kernel before the step's effect leaves the process (a message, a
//! reply), so the trace of a killed node is complete; only its last line may be torn. Lines of
//! several nodes merge by [`Record::clock`], a Lamport clock that rides on every Raft message:
//! a cause has a smaller clock than its effect.
//!
//! Log entries carry a running hash of the whole prefix,
//! `h_i = H(h_{i-1}, term_i, payload_i)` with `h_0 = 0`, so that equal hashes mean equal prefixes.

mod line;
mod scan;
pub mod words;

use serde::{Deserialize, Serialize};

/// One line of a trace. Fields may stand in any order; unknown ones are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "line::Line")]
pub struct Record {
    /// The node that took the step, from 1.
    pub node: u64,
    /// Counts the starts of this node on its data directory, from 1.
    pub boot: u64,
    /// Counts the lines of this boot, from 0, without a gap.
    pub seq: u64,
    /// Lamport clock: larger than that of every step that may have caused this one. It goes on
    /// from the last line of the boot before.
    pub clock: u64,
    /// Wall clock in nanoseconds since the Unix epoch; virtual time in simulation. For display,
    /// and to relate elections to faults: no violation rests on it.
    pub time: u64,
    /// The step.
    #[serde(flatten)]
    pub event: Event,
}

/// A step that Raft's safety depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The node started, with this state recovered from its disk; all of it is durable, what an
    /// earlier boot had not synced as well. Written once the boot's own record is durable: a boot
    /// that ends before leaves no line. Role and commit index begin anew, as a follower and at 0.
    Started {
        /// Term recovered.
        term: u64,
        /// Vote recovered, in `term`.
        vote: Option<u64>,
        /// Last entry of the log recovered.
        last: Position,
        /// Ids of all voting members, ascending.
        voters: Vec<u64>,
    },
    /// The term grew (in memory; see [`Event::Durable`]). Clears the vote. [`Event::Role`] follows.
    Term {
        /// The new term.
        term: u64,
    },
    /// The vote of a term was decided (in memory; see [`Event::Durable`]).
    Voted {
        /// The node's term.
        term: u64,
        /// Who gets the vote.
        candidate: u64,
    },
    /// The role changed, or a follower learned of its leader.
    Role {
        /// The node's term.
        term: u64,
        /// The role from now on.
        role: Role,
        /// The leader of `term`, where known.
        leader: Option<u64>,
        /// Last entry of the log at this moment.
        last: Position,
    },
    /// Entries were added at the end of the log (in memory).
    Appended {
        /// The entry before the first added one.
        prev: Position,
        /// Term and prefix hash of each added entry, at least one, in order of index.
        entries: Vec<(u64, Hash)>,
    },
    /// Conflicting entries were removed from the end of the log (in memory). [`Event::Appended`]
    /// follows, with what replaces them. Until that is durable, a restart may bring the removed
    /// entries back.
    Truncated {
        /// The last entry that was kept.
        last: Position,
    },
    /// The disk confirmed all that follows.
    Durable {
        /// Durable term.
        term: u64,
        /// Durable vote in `term`.
        vote: Option<u64>,
        /// Last durable entry of the present log; falls with what [`Event::Truncated`] removes.
        last: Position,
    },
    /// A reply that grants a vote leaves the node. The same vote may be granted again, after a
    /// restart too.
    Granted {
        /// Term of the vote.
        term: u64,
        /// Its receiver.
        candidate: u64,
    },
    /// A reply leaves the node that says: my log equals yours up to `last`, durably. A reply that
    /// says the same as the last one in this term has no line.
    Acknowledged {
        /// Term of the leader.
        term: u64,
        /// Its receiver.
        leader: u64,
        /// Last entry that is acknowledged.
        last: Position,
    },
    /// The commit index grew.
    Committed {
        /// The node's term.
        term: u64,
        /// The last committed entry.
        last: Position,
        /// On a leader: the index up to which each voter's log is known to match, itself
        /// included (its own durable index). Absent on a follower.
        matched: Option<Vec<(u64, u64)>>,
    },
    /// Committed entries were applied to the state machine, up to and including `last`: one line
    /// for all that were applied together.
    Applied {
        /// The last applied entry.
        last: Position,
        /// Digest of the state machine after it.
        state: Hash,
    },
    /// A client is told that its write succeeded. A write that the state machine refused, and a
    /// read, has no line. An entry is one write, of a client of one boot of one node: an index is
    /// answered at most once in the cluster.
    Answered {
        /// Index of the write's entry.
        index: u64,
    },
    /// A leader confirmed that it led when it took the read index (dissertation 6.4).
    ReadConfirmed {
        /// The leader's term.
        term: u64,
        /// The index at which reads of this round may be served.
        index: u64,
        /// Voters that confirmed, the leader included, ascending. Each of the others has a
        /// [`Event::Role`] before that says whom it follows.
        by: Vec<u64>,
    },
    /// The node stopped by request. No further line of this boot follows.
    Stopped {},
}

/// A role in Raft (paper, figure 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads its term.
    Leader,
}

/// An entry of the log, named by index and term, with the hash of the prefix that ends in it.
/// The empty log's last entry is index 0, term 0, hash 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Index, from 1.
    pub index: u64,
    /// Term of the entry.
    pub term: u64,
    /// Hash of the log up to and including the entry.
    pub hash: Hash,
}

/// A 64-bit hash, written as 16 hexadecimal digits (JSON numbers end at 53 bits).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub u64);

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;
        impl serde::de::Visitor<'_> for Hex {
            type Value = Hash;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a hash of 16 hexadecimal digits")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hash, E> {
                if text.len() != 16 {
                    return Err(E::invalid_value(serde::de::Unexpected::Str(text), &self));
                }
                u64::from_str_radix(text, 16)
                    .map(Hash)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_flat_line() {
        let record = Record {
            node: 1,
            boot: 2,
            seq: 3,
            clock: 4,
            time: 5,
            event: Event::Appended {
                prev: Position::default(),
                entries: vec![(1, Hash(0xab)), (1, Hash(u64::MAX))],
            },
        };
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(
            line,
            r#"{"node":1,"boot":2,"seq":3,"clock":4,"time":5,"event":"appended","prev":{"index":0,"term":0,"hash":"0000000000000000"},"entries":[[1,"00000000000000ab"],[1,"ffffffffffffffff"]]}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }

    #[test]
    fn a_hash_of_wrong_length_is_refused() {
        assert!(serde_json::from_str::<Hash>(r#""ab""#).is_err());
    }
}
