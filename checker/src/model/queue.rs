//! A queue, first in, first out: enqueue and dequeue, which may find it empty.

use std::collections::VecDeque;

use super::{Effect, Model};

/// A queue of numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue;

/// An operation with what was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// This comes to the end.
    Enqueue(usize),
    /// This was at the front and is no longer; `None` where the queue was empty.
    Dequeue(Option<usize>),
    /// A dequeue whose answer never came: what was at the front is gone, if anything was.
    Take,
}

impl Model for Queue {
    type State = VecDeque<usize>;
    type Operation = Operation;

    fn initial(&self) -> VecDeque<usize> {
        VecDeque::new()
    }

    fn apply(&self, state: &VecDeque<usize>, operation: &Operation) -> Option<VecDeque<usize>> {
        if let Operation::Dequeue(value) = operation
            && state.front() != value.as_ref()
        {
            return None;
        }
        let mut after = state.clone();
        self.advance(&mut after, operation).then_some(after)
    }

    fn advance(&self, state: &mut VecDeque<usize>, operation: &Operation) -> bool {
        match *operation {
            Operation::Enqueue(value) => state.push_back(value),
            Operation::Dequeue(value) => return state.pop_front() == value,
            Operation::Take => drop(state.pop_front()),
        }
        true
    }

    fn heap(&self, state: &VecDeque<usize>) -> usize {
        state.capacity() * size_of::<usize>()
    }

    fn effect(&self, operation: &Operation) -> Effect {
        match operation {
            Operation::Dequeue(None) => Effect::Observe,
            Operation::Enqueue(_) | Operation::Dequeue(Some(_)) | Operation::Take => Effect::Update,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (&'a [usize], Operation, Option<&'a [usize]>);

    #[test]
    fn each_operation_is_possible_where_it_should_be() {
        use Operation::{Dequeue, Enqueue, Take};
        let cases: [Case; 8] = [
            (&[], Enqueue(2), Some(&[2])),
            (&[2], Enqueue(2), Some(&[2, 2])),
            (&[2, 1], Dequeue(Some(2)), Some(&[1])),
            (&[2, 1], Dequeue(Some(1)), None),
            (&[2, 1], Dequeue(None), None),
            (&[], Dequeue(None), Some(&[])),
            (&[2, 1], Take, Some(&[1])),
            (&[], Take, Some(&[])),
        ];
        for (state, operation, after) in cases {
            let queue = |values: &[usize]| values.iter().copied().collect::<VecDeque<_>>();
            let expected = after.map(queue);
            assert_eq!(Queue.apply(&queue(state), &operation), expected, "{state:?} {operation:?}");
        }
    }
}
