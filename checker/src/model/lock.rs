//! A lock: acquire and release.
//!
//! Whoever names an owner acquires for that owner, and only that owner can release. Whoever names
//! none acquires for nobody in particular, and a release that names none frees the lock from
//! anybody's hands, as a plain mutex is freed.

use super::{Effect, Model};

/// A lock. Owners are numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock;

/// In whose hands it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// In nobody's.
    Free,
    /// In this owner's; `None` is nobody in particular.
    Held(Option<usize>),
}

/// An operation with what was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// It was free and is held by this owner.
    Acquire(Option<usize>),
    /// It was held, by this owner if one is named, and is free.
    Release(Option<usize>),
    /// It was held: an acquire that was refused.
    Held,
}

impl Model for Lock {
    type State = State;
    type Operation = Operation;

    fn initial(&self) -> State {
        State::Free
    }

    fn apply(&self, state: &State, operation: &Operation) -> Option<State> {
        match (*operation, *state) {
            (Operation::Acquire(owner), State::Free) => Some(State::Held(owner)),
            (Operation::Release(None), State::Held(_)) => Some(State::Free),
            (Operation::Release(owner), State::Held(holder)) if owner == holder => {
                Some(State::Free)
            }
            (Operation::Held, State::Held(_)) => Some(*state),
            _ => None,
        }
    }

    fn effect(&self, operation: &Operation) -> Effect {
        match operation {
            Operation::Acquire(_) | Operation::Release(_) => Effect::Update,
            Operation::Held => Effect::Observe,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_possible_where_it_should_be() {
        use Operation::{Acquire, Held, Release};
        let (free, held) = (State::Free, State::Held);
        let cases = [
            (free, Acquire(Some(1)), Some(held(Some(1)))),
            (free, Acquire(None), Some(held(None))),
            (free, Release(Some(1)), None),
            (free, Release(None), None),
            (free, Held, None),
            (held(Some(1)), Acquire(Some(2)), None),
            (held(Some(1)), Acquire(Some(1)), None),
            (held(Some(1)), Release(Some(2)), None),
            (held(Some(1)), Release(Some(1)), Some(free)),
            (held(Some(1)), Release(None), Some(free)),
            (held(None), Release(Some(1)), None),
            (held(None), Held, Some(held(None))),
        ];
        for (state, operation, after) in cases {
            assert_eq!(Lock.apply(&state, &operation), after, "{state:?} {operation:?}");
        }
    }
}
