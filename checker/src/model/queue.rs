//! A queue, first in, first out: enqueue and dequeue, which may find it empty.

use std::collections::VecDeque;

use super::{Effect, Model, Numbers, Unexpected};
use crate::{
    history::generic::{Datum, Operation as Source, Outcome},
    linear::{
        Limits, fifo,
        objects::{Decision, Objects, Told},
    },
    verdict::Property,
};

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

/// Decides a history of `enqueue` and `dequeue`, each key on its own. A dequeue that was answered
/// nil, or that failed with the error `empty`, found the queue empty; any other that failed did
/// not happen.
///
/// # Errors
/// An event that is none of a queue.
pub fn check(operations: &[Source<'_>], limits: &Limits) -> Result<Property, Unexpected> {
    let mut values = Numbers::default();
    let objects = Objects::of(operations, |source| read(source, &mut values))?;
    let words = |state: &VecDeque<usize>| {
        let names: Vec<String> =
            state.iter().map(|&value| values.datum(value).to_string()).collect();
        format!("[{}]", names.join(" "))
    };
    Ok(objects.check(limits, |object, budget| {
        match fifo::decide(&object.intervals) {
            fifo::Found::Linearizable(order) if object.in_turn(&order) => {
                return Decision::Linearizable;
            }
            fifo::Found::Illegal(conflict) => {
                let told = Told { summary: conflict.told(object), part: None };
                let (needed, part) = (conflict.operations(), conflict.part(&object.intervals));
                return object.refuted(&Queue, told, &needed, part, budget, words);
            }
            fifo::Found::Linearizable(_) | fifo::Found::Undecided => {}
        }
        object.search(&Queue, budget, words)
    }))
}

fn read<'a>(
    source: &'a Source<'a>,
    numbers: &mut Numbers<'a>,
) -> Result<Option<Operation>, Unexpected> {
    Ok(match (source.f, source.outcome) {
        ("enqueue", outcome) => match source.argument {
            Datum::Nil => return Err(Unexpected::argument(source, "the value to enqueue")),
            value => Some(Operation::Enqueue(numbers.number(value)))
                .filter(|_| !matches!(outcome, Outcome::Failed { .. })),
        },
        ("dequeue", Outcome::Ok { value: Datum::Nil, .. })
        | ("dequeue", Outcome::Failed { error: Some("empty"), .. }) => {
            Some(Operation::Dequeue(None))
        }
        ("dequeue", Outcome::Ok { value, .. }) => {
            Some(Operation::Dequeue(Some(numbers.number(value))))
        }
        ("dequeue", Outcome::Failed { .. }) => None,
        ("dequeue", Outcome::Unknown { .. }) => Some(Operation::Take),
        _ => return Err(Unexpected::function(source, "enqueue or dequeue")),
    })
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
