//! How an answer differs from the one that the store would give.

use std::fmt;

use super::{bytes::Bytes, error::Refusal, response::KeyValue};

/// The first difference between an answer and the one that the store would give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The request must be refused, and was not, or for another reason.
    MustRefuse(Refusal),
    /// The request must not be refused so.
    MustNotRefuse(Refusal),
    /// It is no answer to such a request.
    Kind,
    /// No revision is left that it may have seen.
    Late,
    /// The header's revision.
    Revision {
        /// That of the store.
        expected: i64,
        /// The answer's.
        found: i64,
    },
    /// A key.
    Key {
        /// Which.
        key: Bytes,
        /// What it is; none if it is not there, or not asked for.
        expected: Option<Box<KeyValue>>,
        /// What was answered; none if it was left out.
        found: Option<Box<KeyValue>>,
    },
    /// A key stands where another should.
    Order {
        /// Which.
        key: Bytes,
    },
    /// More keys than the limit, or fewer.
    Limit {
        /// What was asked for.
        limit: i64,
        /// Keys in the answer.
        found: usize,
    },
    /// Whether there are more keys than the limit.
    More {
        /// What should have been answered.
        expected: bool,
    },
    /// The number of keys.
    Count {
        /// That of the store.
        expected: i64,
        /// The answer's.
        found: i64,
    },
    /// The number of keys that were deleted.
    Deleted {
        /// Keys that the store had.
        expected: i64,
        /// The answer's.
        found: i64,
    },
    /// Whether all compares of a transaction hold.
    Branch {
        /// Whether they do.
        expected: bool,
    },
}

impl Mismatch {
    pub(super) fn missing(expected: KeyValue) -> Self {
        Self::Key { key: expected.key.clone(), expected: Some(Box::new(expected)), found: None }
    }

    pub(super) fn surplus(found: &KeyValue) -> Self {
        Self::Key { key: found.key.clone(), expected: None, found: Some(Box::new(found.clone())) }
    }
}

/// `k1 = 7 (created at 2, changed at 5, version 3)`
fn key_value(pair: &KeyValue, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let KeyValue { key, value, create_revision, mod_revision, version, lease } = pair;
    write!(f, "{key} = \"{value}\" (created at {create_revision}, changed at {mod_revision}")?;
    write!(f, ", version {version}")?;
    if *lease != 0 {
        write!(f, ", lease {lease}")?;
    }
    f.write_str(")")
}

/// What is wrong with the answer, after "but".
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MustRefuse(refusal) => {
                write!(f, "the request must be refused: \"{}\"", refusal.text())
            }
            Self::MustNotRefuse(refusal) => {
                write!(f, "nothing justifies the refusal \"{}\"", refusal.text())
            }
            Self::Kind => f.write_str("that is no answer to this request"),
            Self::Late => {
                f.write_str("what came before it leaves no revision that it may have seen")
            }
            Self::Revision { expected, found } => {
                write!(f, "the answer names revision {found}, where the store was at {expected}")
            }
            Self::Key { key, expected: None, found: None } => {
                write!(f, "key {key} is wrong")
            }
            Self::Key { key, expected: None, found: Some(found) } => {
                write!(f, "key {key} does not belong in the answer: it has ")?;
                key_value(found, f)
            }
            Self::Key { expected: Some(expected), found: None, .. } => {
                f.write_str("the answer misses ")?;
                key_value(expected, f)
            }
            Self::Key { expected: Some(expected), found: Some(found), .. } => {
                f.write_str("the answer has ")?;
                key_value(found, f)?;
                f.write_str(", where the store had ")?;
                key_value(expected, f)
            }
            Self::Order { key } => write!(f, "key {key} is not in its place"),
            Self::Limit { limit, found } => {
                write!(f, "the answer has {found} keys, where the limit is {limit}")
            }
            Self::More { expected: true } => f.write_str("the answer hides that there are more"),
            Self::More { expected: false } => f.write_str("there are no more keys"),
            Self::Count { expected, found } => {
                write!(f, "the count is {found}, where the range had {expected}")
            }
            Self::Deleted { expected, found } => {
                write!(f, "{found} are said to be deleted, where there were {expected}")
            }
            Self::Branch { expected: true } => {
                f.write_str("all compares of the transaction hold, and it is said to have failed")
            }
            Self::Branch { expected: false } => f.write_str(
                "not all compares of the transaction hold, and it is said to have succeeded",
            ),
        }
    }
}
