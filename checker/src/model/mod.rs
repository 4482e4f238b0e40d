//! Models: what a single, never failing, never concurrent server would answer.
//!
//! Linearizability says that a history could be one of the model's, were each operation moved to
//! one moment between its call and its return.

pub mod register;

use std::{fmt::Debug, hash::Hash};

/// A sequential specification.
pub trait Model {
    /// What the object remembers.
    type State: Clone + Eq + Hash + Debug;
    /// An operation together with the answer that was given. Two equal operations must be
    /// interchangeable.
    type Operation: Clone + Eq + Hash + Debug;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after `operation`; `None` where it cannot be given this answer in this state.
    fn apply(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;

    /// What `operation` can do to a state. [`Effect::Update`] is always right; the others make
    /// the search fast, and a wrong claim makes its verdict wrong.
    fn effect(&self, operation: &Self::Operation) -> Effect;

    /// The state that `operation` leaves behind wherever it is possible, if that is always the
    /// same. Where each operation that changes the state says so, an illegal history can be cut
    /// down to less: see [`core`](crate::linear::core).
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
