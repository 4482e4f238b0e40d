//! A transaction, how it ended, and what is none.

use std::fmt;

/// Whether a transaction took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It did, and the client knows.
    Committed,
    /// It did not and never will.
    Aborted,
    /// Nobody knows: it may have taken effect, may do so later, or never.
    Unknown,
}

/// A transaction, but for its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The logical client.
    pub process: u64,
    /// Index of the invocation in the history.
    pub index: u64,
    /// Index of the completion, where there is one.
    pub completion: Option<u64>,
    /// Time of the invocation.
    pub call: u64,
    /// Time of the completion. What [`Fate::Unknown`] says here does not matter.
    pub ret: u64,
    /// How it ended.
    pub fate: Fate,
}

/// What makes a history none of transactions on lists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event}: expected {expected}")]
pub struct Unfit {
    /// Index of the event.
    pub event: u64,
    /// What it should be, and what it is.
    pub expected: String,
}

impl Unfit {
    pub(super) fn new(event: u64, expected: impl fmt::Display) -> Self {
        Self { event, expected: expected.to_string() }
    }
}
