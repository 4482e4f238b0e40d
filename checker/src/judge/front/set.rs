//! Sets: what an operation of a history is to the model, and which deciders are asked.

use std::collections::BTreeSet;

use crate::{
    budget::Limits,
    history::generic::{Datum, Operation as Source, Outcome},
    linear::{
        generic::{Decision, Objects, Told},
        grow_only_set,
    },
    model::{
        Numbers, Unexpected,
        set::{Operation, Set},
    },
    verdict::Property,
};

/// Decides a history of `add`, `remove` and `read`, each key on its own. A read is answered with a
/// list of all members, in any order; one that holds a member twice is the answer of no set.
///
/// # Errors
/// An event that is none of a set.
pub fn check(operations: &[Source<'_>], limits: &Limits) -> Result<Property, Unexpected> {
    let mut members = Numbers::default();
    let objects = Objects::of(operations, |source| read(source, &mut members))?;
    let words = |state: &BTreeSet<usize>| {
        let names: Vec<String> =
            state.iter().map(|&member| members.datum(member).to_string()).collect();
        format!("{{{}}}", names.join(" "))
    };
    Ok(objects.check(limits, |object, budget| {
        match grow_only_set::decide(&object.intervals) {
            grow_only_set::Found::Linearizable(order) if object.in_turn(&order) => {
                return Decision::Linearizable;
            }
            grow_only_set::Found::Illegal(conflict) => {
                let elements = conflict.elements(&object.intervals).into_iter().collect();
                let told = Told { summary: conflict.told(object), part: Some(words(&elements)) };
                let (needed, part) = (conflict.operations(), conflict.part(&object.intervals));
                return object.refuted(&Set, told, &needed, part, budget, words);
            }
            grow_only_set::Found::Linearizable(_) | grow_only_set::Found::Undecided => {}
        }
        object.search(&Set, budget, words)
    }))
}

fn read<'a>(
    source: &'a Source<'a>,
    numbers: &mut Numbers<'a>,
) -> Result<Option<Operation>, Unexpected> {
    if matches!(source.outcome, Outcome::Failed { .. }) {
        return Ok(None);
    }
    let member = |numbers: &mut Numbers<'a>, expected| match source.argument {
        Datum::Nil => Err(Unexpected::argument(source, expected)),
        member => Ok(numbers.number(member)),
    };
    Ok(match (source.f, source.outcome) {
        ("add", _) => Some(Operation::Add(member(numbers, "the element to add")?)),
        ("remove", _) => Some(Operation::Remove(member(numbers, "the element to remove")?)),
        ("read", Outcome::Ok { value, .. }) => {
            let wrong = || Unexpected::answer(source, "a list of all elements");
            let members = value.list().ok_or_else(wrong)?;
            let mut members: Box<[usize]> =
                members.iter().map(|member| numbers.number(member)).collect();
            members.sort_unstable();
            Some(Operation::Read(members))
        }
        ("read", _) => None,
        _ => return Err(Unexpected::function(source, "add, remove or read")),
    })
}
