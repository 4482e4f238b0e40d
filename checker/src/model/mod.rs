//! Models: what a single, never failing, never concurrent server would answer.
//!
//! Linearizability says that a history could be one of the model's, were each operation moved to
//! one moment between its call and its return.
//!
//! A model is a [`Model`]: a state, operations that carry the answer that was given, and whether a
//! state allows that answer. Its *front end* turns an operation of a history into one of the
//! model's: see [`judge::front`](crate::judge::front). The models that come with the checker:
//!
//! - [`register`]: one value: read, write, compare-and-set, delete;
//! - [`kv`]: one text: get, put, append, compare-and-set, delete;
//! - [`set`]: add, remove, read the whole set;
//! - [`queue`]: first in, first out; a dequeue may find it empty;
//! - [`lock`]: acquire and release, by owners or by anybody.
//!
//! # A model of your own
//!
//! A counter, and a history that no counter has:
//!
//! ```
//! use checker::{
//!     history::generic::{self, Event, Operation, Outcome},
//!     budget::Limits,
//!     linear::check_model,
//!     model::{Model, Unexpected},
//!     verdict,
//! };
//!
//! struct Counter;
//!
//! #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! enum Step {
//!     Add(i64),
//!     Read(i64),
//! }
//!
//! impl Model for Counter {
//!     type State = i64;
//!     type Operation = Step;
//!
//!     fn initial(&self) -> i64 {
//!         0
//!     }
//!
//!     fn apply(&self, count: &i64, step: &Step) -> Option<i64> {
//!         match *step {
//!             Step::Add(amount) => Some(count + amount),
//!             Step::Read(seen) => (*count == seen).then_some(seen),
//!         }
//!     }
//! }
//!
//! /// What an operation of a history says to the counter.
//! fn step(operation: &Operation<'_>) -> Result<Option<Step>, Unexpected> {
//!     match (operation.f, operation.outcome) {
//!         (_, Outcome::Failed { .. }) => Ok(None),
//!         ("add", _) => {
//!             let amount = operation.argument.int();
//!             let amount = amount.ok_or_else(|| Unexpected::argument(operation, "the amount"))?;
//!             Ok(Some(Step::Add(amount)))
//!         }
//!         ("read", Outcome::Ok { value, .. }) => {
//!             let seen = value.int();
//!             let seen = seen.ok_or_else(|| Unexpected::answer(operation, "the count"))?;
//!             Ok(Some(Step::Read(seen)))
//!         }
//!         // Nobody knows what it would have seen.
//!         ("read", _) => Ok(None),
//!         _ => Err(Unexpected::function(operation, "add or read")),
//!     }
//! }
//!
//! let history: Vec<Event> = [
//!     r#"{"index":0,"time":10,"process":1,"type":"invoke","f":"add","value":5}"#,
//!     r#"{"index":1,"time":20,"process":2,"type":"invoke","f":"read","value":null}"#,
//!     r#"{"index":2,"time":30,"process":2,"type":"ok","f":"read","value":5}"#,
//!     r#"{"index":3,"time":40,"process":3,"type":"invoke","f":"read","value":null}"#,
//!     r#"{"index":4,"time":50,"process":3,"type":"ok","f":"read","value":0}"#,
//! ]
//! .iter()
//! .map(|line| serde_json::from_str(line).unwrap())
//! .collect();
//! let operations = generic::pair(&history).unwrap();
//!
//! let property = check_model(&Counter, &operations, step, &Limits::default()).unwrap();
//! assert_eq!(property.outcome, verdict::Outcome::Violated);
//! ```
//!
//! `checker/examples/own_model.rs` is the same for a file.

pub mod etcd;
mod interval;
pub mod kv;
pub mod lock;
pub mod queue;
pub mod register;
pub mod set;

use std::{fmt::Debug, hash::Hash};

use rustc_hash::FxHashMap;

use crate::history::generic::{self, Datum, Outcome};
pub use interval::{InTurn, Interval, Turn};

/// A sequential specification.
///
/// A state should hold no more than what an answer can depend on: states that no operation can
/// tell apart should be equal, since each state that is possible at a moment is followed.
pub trait Model {
    /// What the object remembers.
    type State: Clone + Eq + Hash + Debug;
    /// An operation together with the answer that was given. Two equal operations must be
    /// interchangeable. One without an answer, whose outcome is unknown, needs a value of its own
    /// only where it can do different things.
    type Operation: Clone + Eq + Hash + Debug;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after `operation`; `None` where it cannot be given this answer in this state.
    fn apply(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;

    /// The same on the spot: whether the answer can be given. If not, the state is good for nothing
    /// any more. Saves time where states are large, and nothing else.
    fn advance(&self, state: &mut Self::State, operation: &Self::Operation) -> bool {
        let next = self.apply(state, operation);
        next.map(|next| *state = next).is_some()
    }

    /// What `operation` can do to a state. [`Effect::Update`], which is what this says unless a
    /// model knows better, is always right; the others make the search fast, and a wrong claim
    /// makes its verdict wrong.
    fn effect(&self, _operation: &Self::Operation) -> Effect {
        Effect::Update
    }

    /// The state that `operation` leaves behind wherever it is possible, if that is always the
    /// same. Where each operation that changes the state says so, an illegal history can be cut
    /// down to less: see [`certificate`](crate::linear::certificate).
    fn leaves(&self, _operation: &Self::Operation) -> Option<Self::State> {
        None
    }

    /// The only state in which `operation` is possible, if there is just one. Saves time where
    /// [`leaves`](Self::leaves) is given, and nothing else.
    fn needs(&self, _operation: &Self::Operation) -> Option<Self::State> {
        None
    }

    /// Bytes that a state owns beside itself, so that a search can keep its memory budget.
    fn heap(&self, _state: &Self::State) -> usize {
        0
    }

    /// The place of `operation` among those of its process, where times do not tell it. A model
    /// need not know that: [`InTurn`] does for any.
    fn turn(&self, _operation: &Self::Operation) -> Option<Turn> {
        None
    }
}

/// What an operation can do to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Never changes the state: a read.
    Observe,
    /// Possible in every state, and the state after it does not depend on the one before.
    Overwrite,
    /// Anything else: compare-and-set, append.
    Update,
}

/// An event that a model does not understand: the history is not one of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {index}: expected {expected}, found {found}")]
pub struct Unexpected {
    /// The event.
    pub index: u64,
    /// What the model can make sense of.
    pub expected: &'static str,
    /// What stands there.
    pub found: String,
}

impl Unexpected {
    /// The operation is asked with something else than `expected`.
    pub fn argument(operation: &generic::Operation<'_>, expected: &'static str) -> Self {
        Self { index: operation.index, expected, found: operation.argument.to_string() }
    }

    /// The operation is answered with something else than `expected`.
    pub fn answer(operation: &generic::Operation<'_>, expected: &'static str) -> Self {
        let (index, found) = match operation.outcome {
            Outcome::Ok { index, value, .. } | Outcome::Failed { index, value, .. } => {
                (index, value.to_string())
            }
            Outcome::Unknown { .. } => (operation.index, "no answer".into()),
        };
        Self { index, expected, found }
    }

    /// The operation is none of `expected`.
    pub fn function(operation: &generic::Operation<'_>, expected: &'static str) -> Self {
        Self { index: operation.index, expected, found: operation.f.into() }
    }
}

/// Numbers for the values of a history, from 0 in order of appearance: what models remember is
/// compared and hashed all the time.
#[derive(Debug, Default)]
pub(crate) struct Numbers<'a> {
    numbers: FxHashMap<&'a Datum, usize>,
    data: Vec<&'a Datum>,
}

impl<'a> Numbers<'a> {
    pub(crate) fn number(&mut self, datum: &'a Datum) -> usize {
        *self.numbers.entry(datum).or_insert_with(|| {
            self.data.push(datum);
            self.data.len() - 1
        })
    }

    pub(crate) fn datum(&self, number: usize) -> &'a Datum {
        self.data[number]
    }
}
