//! When an operation must have taken place: between two moments, and in its turn.

use super::{Effect, Model};

/// An operation with the time in which it must have taken place.
#[derive(Clone, Debug)]
pub struct Interval<O> {
    /// The operation and its answer.
    pub operation: O,
    /// When it was asked for.
    pub call: u64,
    /// When it was answered; `None` where the outcome is unknown: it may take place at any time
    /// after its call, or never. An operation that only observes must have one, or it says nothing.
    pub ret: Option<u64>,
}

/// The place of an operation among those of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The process.
    pub process: u64,
    /// A process takes its turns in ascending order.
    pub number: usize,
}

impl Turn {
    /// Whether the other operation is of the same process and comes before this one.
    pub fn is_after(self, other: Self) -> bool {
        self.process == other.process && self.number > other.number
    }
}

/// A model whose operations have turns: those of a process that touch must be in their order.
#[derive(Clone, Copy, Debug)]
pub struct InTurn<'a, M>(pub &'a M);

impl<M: Model> Model for InTurn<'_, M> {
    type State = M::State;
    type Operation = (M::Operation, Option<Turn>);

    fn initial(&self) -> M::State {
        self.0.initial()
    }

    fn apply(&self, state: &M::State, operation: &Self::Operation) -> Option<M::State> {
        self.0.apply(state, &operation.0)
    }

    fn advance(&self, state: &mut M::State, operation: &Self::Operation) -> bool {
        self.0.advance(state, &operation.0)
    }

    fn effect(&self, operation: &Self::Operation) -> Effect {
        self.0.effect(&operation.0)
    }

    fn leaves(&self, operation: &Self::Operation) -> Option<M::State> {
        self.0.leaves(&operation.0)
    }

    fn needs(&self, operation: &Self::Operation) -> Option<M::State> {
        self.0.needs(&operation.0)
    }

    fn heap(&self, state: &M::State) -> usize {
        self.0.heap(state)
    }

    fn turn(&self, operation: &Self::Operation) -> Option<Turn> {
        operation.1
    }
}
