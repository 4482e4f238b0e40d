//! A set: add, remove, read all of it.

use std::collections::BTreeSet;

use super::{Effect, Model, Numbers, Unexpected};
use crate::{
    history::generic::{Datum, Operation as Source, Outcome},
    linear::{
        Limits, inclusion,
        objects::{Decision, Objects, Told},
    },
    verdict::Property,
};

/// A set of numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// An operation with what was observed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// This is a member from now on; it may have been one before.
    Add(usize),
    /// This is no member from now on; it may have been none before.
    Remove(usize),
    /// These were the members, ascending, each once.
    Read(Box<[usize]>),
}

impl Model for Set {
    type State = BTreeSet<usize>;
    type Operation = Operation;

    fn initial(&self) -> BTreeSet<usize> {
        BTreeSet::new()
    }

    fn apply(&self, state: &BTreeSet<usize>, operation: &Operation) -> Option<BTreeSet<usize>> {
        if let Operation::Read(members) = operation {
            return state.iter().eq(members).then(|| state.clone());
        }
        let mut after = state.clone();
        self.advance(&mut after, operation).then_some(after)
    }

    fn advance(&self, state: &mut BTreeSet<usize>, operation: &Operation) -> bool {
        match operation {
            Operation::Add(member) => drop(state.insert(*member)),
            Operation::Remove(member) => drop(state.remove(member)),
            Operation::Read(members) => return state.iter().eq(members),
        }
        true
    }

    fn heap(&self, state: &BTreeSet<usize>) -> usize {
        // Nodes of the tree are at least half full.
        2 * state.len() * size_of::<usize>()
    }

    fn effect(&self, operation: &Operation) -> Effect {
        match operation {
            Operation::Add(_) | Operation::Remove(_) => Effect::Update,
            Operation::Read(_) => Effect::Observe,
        }
    }
}

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
        match inclusion::decide(&object.intervals) {
            inclusion::Found::Linearizable(order) if object.in_turn(&order) => {
                return Decision::Linearizable;
            }
            inclusion::Found::Illegal(conflict) => {
                let elements = conflict.elements(&object.intervals).into_iter().collect();
                let told = Told { summary: conflict.told(object), part: Some(words(&elements)) };
                let (needed, part) = (conflict.operations(), conflict.part(&object.intervals));
                return object.refuted(&Set, told, &needed, part, budget, words);
            }
            inclusion::Found::Linearizable(_) | inclusion::Found::Undecided => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (&'a [usize], Operation, Option<&'a [usize]>);

    #[test]
    fn each_operation_is_possible_where_it_should_be() {
        use Operation::{Add, Read, Remove};
        let cases: [Case; 8] = [
            (&[], Add(2), Some(&[2])),
            (&[2], Add(2), Some(&[2])),
            (&[2], Add(1), Some(&[1, 2])),
            (&[1, 2], Remove(1), Some(&[2])),
            (&[2], Remove(1), Some(&[2])),
            (&[1, 2], Read([1, 2].into()), Some(&[1, 2])),
            (&[1, 2], Read([2].into()), None),
            (&[2], Read([2, 2].into()), None),
        ];
        for (state, operation, after) in cases {
            let set = |members: &[usize]| members.iter().copied().collect::<BTreeSet<_>>();
            let expected = after.map(set);
            assert_eq!(Set.apply(&set(state), &operation), expected, "{state:?} {operation:?}");
        }
    }
}
