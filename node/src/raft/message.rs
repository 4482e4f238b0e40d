//! What cores say to each other: the RPCs of the paper's figure 2 as one-way messages, plus the
//! confirmation of reads (dissertation, section 6.4).

use std::fmt;

use bytes::Bytes;
use proto::trace::words;

use super::{Hash, Index, NodeId, Position, Term};

/// The bits of a read's id that number the reads of one boot; the boot's number lies above. So many
/// last for a million reads a second, twelve days long.
pub(crate) const READ_BITS: u32 = 40;

/// A message and what every message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Sender.
    pub from: NodeId,
    /// Receiver.
    pub to: NodeId,
    /// Term of the sender.
    pub term: Term,
    /// The message itself.
    pub body: Body,
}

/// The kinds of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A candidate asks for a vote.
    RequestVote {
        /// Index of the candidate's last entry.
        last_index: Index,
        /// Term of the candidate's last entry.
        last_term: Term,
    },
    /// The answer to [`Body::RequestVote`]; leaves only when the vote is durable.
    VoteReply {
        /// The vote is the candidate's.
        granted: bool,
    },
    /// The leader's log from `prev_index` on; without entries, a heartbeat.
    Append {
        /// Index before the first entry.
        prev_index: Index,
        /// Term of the entry at `prev_index`.
        prev_term: Term,
        /// New entries, consecutive.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
        /// The leader's latest round of leadership confirmation.
        round: u64,
    },
    /// The answer to [`Body::Append`]; `Ok` leaves only when the entries are durable.
    AppendReply {
        /// Index up to which the logs are equal, or where they part.
        result: Result<Index, Conflict>,
        /// The round of the append that this answers.
        round: u64,
    },
    /// A follower asks at which index a linearizable read may be served.
    ReadIndex {
        /// Chosen by the follower and never reused, even after a restart.
        id: u64,
    },
    /// The answer to [`Body::ReadIndex`]: none if leadership could not be confirmed.
    ReadIndexReply {
        /// As in the request.
        id: u64,
        /// Serve the read once this index is applied.
        index: Option<Index>,
    },
}

/// Where a follower's log parts from the leader's (paper, end of section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Term of the follower's entry at the leader's `prev_index`; 0 when its log is shorter.
    pub term: Term,
    /// First index of that term, or the index after the follower's last entry.
    pub index: Index,
}

/// What the payload of an entry is. The numbers stand on disks and in packets, and never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A command for the state machine: an encoded [`proto::peer::Command`].
    #[default]
    Normal = 0,
    /// Nothing: it begins a leader's term (paper, section 8).
    NoOp = 1,
    /// A [`Configuration`](super::Configuration), encoded. No leader of this version proposes one.
    Configuration = 2,
}

impl EntryKind {
    /// The kind's number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind with a number, if there is one.
    pub fn of_number(number: u8) -> Option<Self> {
        [Self::Normal, Self::NoOp, Self::Configuration].into_iter().find(|it| it.number() == number)
    }
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Index, from 1.
    pub index: Index,
    /// Term in which a leader created the entry.
    pub term: Term,
    /// What the payload is.
    pub kind: EntryKind,
    /// What is replicated; for the core, bytes.
    pub payload: Bytes,
    /// Running hash of the log up to and including this entry. Never sent: each node computes
    /// its own, so that a difference of logs shows.
    pub hash: Hash,
}

impl Entry {
    /// The entry that follows `prev`.
    pub fn after(prev: Position, term: Term, kind: EntryKind, payload: Bytes) -> Self {
        let mut head = [0; 17];
        head[..8].copy_from_slice(&prev.hash.0.to_le_bytes());
        head[8..16].copy_from_slice(&term.to_le_bytes());
        head[16] = kind.number();
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(&head);
        hasher.update(&payload);
        Self { index: prev.index + 1, term, kind, payload, hash: Hash(hasher.digest()) }
    }

    /// The entry's place in the log.
    pub fn position(&self) -> Position {
        Position { index: self.index, term: self.term, hash: self.hash }
    }
}

/// `n1 → n2 (term 4): vote granted`
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{} → n{} (term {}): {}", self.from, self.to, self.term, self.body)
    }
}

/// What the sender says, in words.
impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestVote { last_index, last_term } => {
                write!(f, "vote for me, my log ends at {last_index}@{last_term}")
            }
            Self::VoteReply { granted: true } => f.write_str("vote granted"),
            Self::VoteReply { granted: false } => f.write_str("vote refused"),
            Self::Append { prev_index, prev_term, entries, commit, round } => {
                if entries.is_empty() {
                    write!(f, "heartbeat at {prev_index}@{prev_term}")?;
                } else {
                    let entries = entries.iter().map(|entry| (entry.index, entry.term));
                    let entries = words::entries(entries);
                    write!(f, "append {entries} after {prev_index}@{prev_term}")?;
                }
                write!(f, ", committed {commit}{}", in_round(*round))
            }
            Self::AppendReply { result, round } => {
                match result {
                    Ok(matched) => write!(f, "equal and durable up to {matched}"),
                    Err(Conflict { term: 0, index }) => write!(f, "too short, I lack {index}"),
                    Err(Conflict { term, index }) => {
                        write!(f, "conflict, my entries of term {term} begin at {index}")
                    }
                }?;
                write!(f, "{}", in_round(*round))
            }
            Self::ReadIndex { id } => write!(f, "at which index may I serve read {}?", number(*id)),
            Self::ReadIndexReply { id, index: Some(index) } => {
                write!(f, "serve read {} at {index}", number(*id))
            }
            Self::ReadIndexReply { id, index: None } => {
                write!(f, "ask again for read {}", number(*id))
            }
        }
    }
}

/// The part of a text that names a round; nothing for round 0, which confirms nothing.
fn in_round(round: u64) -> impl fmt::Display {
    fmt::from_fn(move |f| if round == 0 { Ok(()) } else { write!(f, ", round {round}") })
}

/// A read's number within a boot of its node, which says enough.
fn number(read: u64) -> u64 {
    read & ((1 << READ_BITS) - 1)
}
