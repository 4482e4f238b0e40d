//! What can be wrong with a history, by name, and where it shows.
//!
//! A [`Claim`] points at steps of transactions and at places in the lists that they read, and at
//! nothing else, so that anybody who has the history can look whether it is true:
//! [`super::verify`] does.

use std::fmt;

/// A step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The transaction, by its place in the history.
    pub transaction: u32,
    /// The step, by its place in the transaction.
    pub step: u32,
}

/// The names that Adya (1999) and Elle gave to what must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anomaly {
    /// A read holds an element that nobody appended.
    GarbageRead,
    /// A read holds an element twice.
    DuplicateElements,
    /// Two reads of a key, neither of which is a prefix of the other.
    IncompatibleOrder,
    /// A transaction disagrees with what it read or appended itself.
    Internal,
    /// A read holds what a failed transaction wanted to append.
    G1a,
    /// A read ends within what another transaction appended.
    G1b,
    /// Two transactions read the same list and both appended to it.
    LostUpdate,
    /// A cycle of dependencies.
    Cycle {
        /// What the cycle is made of.
        class: Class,
        /// Whether it needs that one transaction had ended before another began.
        realtime: bool,
    },
}

/// What a cycle of dependencies is made of: of the first of these that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Only appends that follow appends.
    G0,
    /// Also reads that saw appends.
    G1c,
    /// Also one read that did not see an append.
    GSingle,
    /// Also several such reads.
    G2Item,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, realtime) = match self {
            Self::GarbageRead => return f.pad("garbage-read"),
            Self::DuplicateElements => return f.pad("duplicate-elements"),
            Self::IncompatibleOrder => return f.pad("incompatible-order"),
            Self::Internal => return f.pad("internal"),
            Self::G1a => return f.pad("G1a"),
            Self::G1b => return f.pad("G1b"),
            Self::LostUpdate => return f.pad("lost-update"),
            Self::Cycle { class, realtime } => (class, realtime),
        };
        f.write_str(match class {
            Class::G0 => "G0",
            Class::G1c => "G1c",
            Class::GSingle => "G-single",
            Class::G2Item => "G2-item",
        })?;
        f.write_str(if *realtime { "-realtime" } else { "" })
    }
}

/// An anomaly and where it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody appended the element at this place of what was read.
    Garbage {
        /// The read.
        read: Place,
        /// The place in the list.
        at: u32,
    },
    /// What was read holds the same element at both places.
    Duplicate {
        /// The read.
        read: Place,
        /// The places in the list.
        at: (u32, u32),
    },
    /// Two reads that disagree.
    Incompatible {
        /// One read.
        read: Place,
        /// Another.
        other: Place,
    },
    /// What was read disagrees with what the transaction itself had read and appended.
    Internal {
        /// The read.
        read: Place,
    },
    /// A transaction read what it appended only later.
    Foreseen {
        /// The read.
        read: Place,
        /// The append.
        append: Place,
    },
    /// A transaction appended to one key, but the first append is not before the second in what
    /// was read.
    Disorder {
        /// The earlier append.
        first: Place,
        /// The later append of the same transaction.
        second: Place,
        /// The read that holds the later one.
        read: Place,
    },
    /// What was read holds what a failed transaction wanted to append.
    Aborted {
        /// The read.
        read: Place,
        /// The append.
        append: Place,
    },
    /// What was read ends with the first append, though its transaction went on to append to the
    /// same key.
    Intermediate {
        /// The read.
        read: Place,
        /// The append that it ends with.
        append: Place,
        /// The append that is missing.
        later: Place,
    },
    /// Each of both transactions read the key without what the other appended.
    LostUpdate {
        /// Where the one read, and where it appended.
        one: (Place, Place),
        /// Where the other read, and where it appended.
        other: (Place, Place),
    },
    /// Dependencies that lead back to where they started: each ends where the next starts.
    Cycle(Vec<Edge>),
}

/// One transaction comes before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The one that comes first.
    pub from: u32,
    /// The one that comes after it.
    pub to: u32,
    /// Why.
    pub why: Why,
}

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// What it appended stands before what the other appended (ww): `read` holds both in this
    /// order; or it holds the first and lacks the second; or it is the first's own and lacks the
    /// second.
    Appended {
        /// The append that comes first.
        first: Place,
        /// The append that comes after it.
        second: Place,
        /// The read that says so.
        read: Place,
    },
    /// The other saw what it appended (wr).
    Seen {
        /// The append.
        append: Place,
        /// The read that holds it.
        read: Place,
    },
    /// It did not see what the other appended (rw).
    Unseen {
        /// The read that lacks it.
        read: Place,
        /// The append.
        append: Place,
    },
    /// It had ended before the other was asked for, or at that moment, by the same process.
    Earlier,
}

impl Claim {
    /// The anomaly's name.
    pub fn anomaly(&self) -> Anomaly {
        let edges = match self {
            Self::Garbage { .. } => return Anomaly::GarbageRead,
            Self::Duplicate { .. } => return Anomaly::DuplicateElements,
            Self::Incompatible { .. } => return Anomaly::IncompatibleOrder,
            Self::Internal { .. } | Self::Foreseen { .. } | Self::Disorder { .. } => {
                return Anomaly::Internal;
            }
            Self::Aborted { .. } => return Anomaly::G1a,
            Self::Intermediate { .. } => return Anomaly::G1b,
            Self::LostUpdate { .. } => return Anomaly::LostUpdate,
            Self::Cycle(edges) => edges,
        };
        let unseen = edges.iter().filter(|edge| matches!(edge.why, Why::Unseen { .. })).count();
        let seen = edges.iter().any(|edge| matches!(edge.why, Why::Seen { .. }));
        let class = match (unseen, seen) {
            (0, false) => Class::G0,
            (0, true) => Class::G1c,
            (1, _) => Class::GSingle,
            _ => Class::G2Item,
        };
        Anomaly::Cycle { class, realtime: edges.iter().any(|edge| edge.why == Why::Earlier) }
    }

    /// The steps that it points at.
    pub fn places(&self) -> Vec<Place> {
        match self {
            Self::Garbage { read, .. } | Self::Duplicate { read, .. } | Self::Internal { read } => {
                vec![*read]
            }
            Self::Incompatible { read, other } => vec![*read, *other],
            Self::Disorder { first, second, read } => vec![*first, *second, *read],
            Self::Foreseen { read, append } | Self::Aborted { read, append } => {
                vec![*append, *read]
            }
            Self::Intermediate { read, append, later } => vec![*append, *later, *read],
            Self::LostUpdate { one, other } => vec![one.0, one.1, other.0, other.1],
            Self::Cycle(edges) => edges
                .iter()
                .flat_map(|edge| match edge.why {
                    Why::Appended { first, second, read } => vec![first, second, read],
                    Why::Seen { append, read } => vec![append, read],
                    Why::Unseen { read, append } => vec![read, append],
                    Why::Earlier => Vec::new(),
                })
                .collect(),
        }
    }
}
