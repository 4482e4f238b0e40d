//! A set: add, remove, read all of it.

use std::collections::BTreeSet;

use super::{Effect, Model};

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
