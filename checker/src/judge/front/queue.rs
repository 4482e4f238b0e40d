//! Queues: what an operation of a history is to the model, and which deciders are asked.

use std::collections::VecDeque;

use crate::{
    budget::Limits,
    history::generic::{Datum, Operation as Source, Outcome},
    linear::{
        generic::{Decision, Objects, Told},
        queue,
    },
    model::{
        Numbers, Unexpected,
        queue::{Operation, Queue},
    },
    verdict::Property,
};

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
        match queue::decide(&object.intervals) {
            queue::Found::Linearizable(order) if object.in_turn(&order) => {
                return Decision::Linearizable;
            }
            queue::Found::Illegal(conflict) => {
                let told = Told { summary: conflict.told(object), part: None };
                let (needed, part) = (conflict.operations(), conflict.part(&object.intervals));
                return object.refuted(&Queue, told, &needed, part, budget, words);
            }
            queue::Found::Linearizable(_) | queue::Found::Undecided => {}
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
