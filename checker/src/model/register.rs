//! A register that may be absent: read, write, compare-and-set, delete.
//!
//! Values are integers. A history of other values has numbers for them.

use super::{Effect, Model};
use crate::history::{self, generic::Datum};

/// What a register holds, in words.
pub(crate) const ONE: &str = "one value: no list or map (keys that are independent need \
     --independent), no empty text (which may stand for absence, as in --model kv)";

/// Whether a register can hold it, or it is nil. A list is more likely the key and value of
/// `jepsen.independent`, and the empty text what a store says of a key that is not there: to judge
/// either as a value would find violations that are none.
pub(crate) fn holds(datum: &Datum) -> bool {
    match datum {
        Datum::Nil | Datum::Bool(_) | Datum::Int(_) => true,
        Datum::Text(text) => !text.is_empty(),
        Datum::List(_) | Datum::Map(_) => false,
    }
}

/// One key of the store. Its state is the value; `None` where there is no such key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// An operation with what was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// The value was this.
    Read(Option<i64>),
    /// The value becomes this; a delete writes `None`.
    Write(Option<i64>),
    /// The value was the first and becomes the second.
    Cas(Option<i64>, i64),
    /// The value was not this: a compare-and-set that was refused.
    Mismatch(Option<i64>),
    /// A compare-and-set that was refused although it found just what it expected, this: no state
    /// allows it.
    Contradiction(Option<i64>),
}

impl Model for Register {
    type State = Option<i64>;
    type Operation = Operation;

    fn initial(&self) -> Option<i64> {
        None
    }

    fn apply(&self, state: &Option<i64>, operation: &Operation) -> Option<Option<i64>> {
        // One after the other: which it is cannot be foreseen, and a jump to any of many places
        // that was not costs more than these.
        if let Operation::Write(value) = *operation {
            return Some(value);
        }
        if let Operation::Read(value) = *operation {
            return (*state == value).then_some(value);
        }
        match *operation {
            Operation::Cas(expected, new) if *state == expected => Some(Some(new)),
            Operation::Mismatch(expected) if *state != expected => Some(*state),
            _ => None,
        }
    }

    fn effect(&self, operation: &Operation) -> Effect {
        match *operation {
            Operation::Read(_) | Operation::Mismatch(_) | Operation::Contradiction(_) => {
                Effect::Observe
            }
            Operation::Write(_) => Effect::Overwrite,
            Operation::Cas(expected, new) if expected == Some(new) => Effect::Observe,
            Operation::Cas(..) => Effect::Update,
        }
    }

    fn leaves(&self, operation: &Operation) -> Option<Option<i64>> {
        operation.written()
    }

    fn needs(&self, operation: &Operation) -> Option<Option<i64>> {
        match *operation {
            Operation::Read(value) | Operation::Cas(value, _) => Some(value),
            Operation::Write(_) | Operation::Mismatch(_) | Operation::Contradiction(_) => None,
        }
    }
}

impl Operation {
    /// What an operation of a history says about its register; `None` where it says nothing: it
    /// did not happen, or it is a read whose answer never came.
    pub fn of(operation: &history::Operation<'_>) -> Option<Self> {
        use history::{Function, Outcome, Value};
        let answer = match operation.outcome {
            Outcome::Ok { value, .. } => Some(value),
            Outcome::Mismatch { found, .. } => {
                let Value::Pair(expected, _) = operation.argument else { return None };
                return Some(Self::refused(expected, found));
            }
            Outcome::Unknown { .. } => None,
            Outcome::Failed { .. } => return None,
        };
        match (operation.f, operation.argument) {
            (Function::Read, _) => match answer? {
                Value::Int(value) => Some(Self::Read(Some(value))),
                Value::Nil => Some(Self::Read(None)),
                Value::Pair(..) | Value::Found(_) => None,
            },
            (Function::Write, Value::Int(value)) => Some(Self::Write(Some(value))),
            (Function::Cas, Value::Pair(expected, new)) => Some(Self::Cas(expected, new)),
            (Function::Delete, _) => Some(Self::Write(None)),
            (Function::Write | Function::Cas, _) => None,
        }
    }

    /// What a compare-and-set observed that was refused; `found` where it says so.
    pub(crate) fn refused(expected: Option<i64>, found: Option<Option<i64>>) -> Self {
        match found {
            None => Self::Mismatch(expected),
            Some(found) if found == expected => Self::Contradiction(expected),
            Some(found) => Self::Read(found),
        }
    }

    /// The value that it leaves behind; `None` where it leaves what was there.
    pub fn written(&self) -> Option<Option<i64>> {
        match *self {
            Self::Write(value) => Some(value),
            Self::Cas(_, new) => Some(Some(new)),
            Self::Read(_) | Self::Mismatch(_) | Self::Contradiction(_) => None,
        }
    }

    /// The value that it looks for, found or not.
    pub fn looked_for(&self) -> Option<Option<i64>> {
        match *self {
            Self::Read(value) | Self::Cas(value, _) | Self::Mismatch(value) => Some(value),
            Self::Write(_) | Self::Contradiction(_) => None,
        }
    }

    /// The same, but writes `value` where it wrote another.
    pub fn with_written(self, value: i64) -> Self {
        match self {
            Self::Write(_) => Self::Write(Some(value)),
            Self::Cas(expected, _) => Self::Cas(expected, value),
            Self::Read(_) | Self::Mismatch(_) | Self::Contradiction(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_possible_where_it_should_be() {
        use Operation::{Cas, Mismatch, Read, Write};
        let cases = [
            (None, Read(None), Some(None)),
            (None, Read(Some(1)), None),
            (Some(1), Read(Some(1)), Some(Some(1))),
            (Some(1), Write(None), Some(None)),
            (Some(1), Write(Some(2)), Some(Some(2))),
            (None, Cas(None, 2), Some(Some(2))),
            (Some(1), Cas(Some(1), 2), Some(Some(2))),
            (Some(1), Cas(None, 2), None),
            (Some(1), Mismatch(Some(1)), None),
            (Some(1), Mismatch(None), Some(Some(1))),
        ];
        for (state, operation, after) in cases {
            assert_eq!(Register.apply(&state, &operation), after, "{state:?} {operation:?}");
        }
    }

    #[test]
    fn a_compare_and_set_to_the_same_value_changes_nothing() {
        assert_eq!(Register.effect(&Operation::Cas(Some(1), 1)), Effect::Observe);
        assert_eq!(Register.effect(&Operation::Cas(None, 1)), Effect::Update);
    }
}
