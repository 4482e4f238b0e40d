//! Operations on keys, taken from a generic history: names and values become numbers.

use rustc_hash::FxHashMap;

use crate::{
    history::{
        Clock,
        generic::{self, Datum, Outcome},
        operation::MISMATCH,
    },
    model::{Unexpected, register},
    verdict::Violation,
};

/// The number of a value; [`NIL`] where there is no such key.
pub(super) type Value = u32;

/// No value: the key is absent.
pub(super) const NIL: Value = 0;

/// What an operation did, or may have done, and what it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// Saw this value.
    Read(Value),
    /// Wrote it; a delete writes [`NIL`].
    Write(Value),
    /// Saw the first and wrote the second.
    Cas(Value, Value),
    /// Saw any other value: a compare-and-set that was refused.
    Mismatch(Value),
}

impl Action {
    /// The value that it leaves behind.
    pub(super) fn written(self) -> Option<Value> {
        match self {
            Self::Write(value) | Self::Cas(_, value) => Some(value),
            Self::Read(_) | Self::Mismatch(_) => None,
        }
    }

    /// Whether it saw a value and wrote none.
    pub(super) fn reads(self) -> bool {
        self.written().is_none() && self.seen().is_some()
    }

    /// The value that it saw.
    pub(super) fn seen(self) -> Option<Value> {
        match self {
            Self::Read(value) | Self::Cas(value, _) => Some(value),
            Self::Write(_) | Self::Mismatch(_) => None,
        }
    }
}

/// An operation that says something about its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation<'a> {
    /// The operation of the history.
    pub(super) source: &'a generic::Operation<'a>,
    /// The number of its key.
    pub(super) key: u32,
    /// What it did.
    pub(super) action: Action,
    /// When it ended; `None` where it may take effect at any later time, or never.
    pub(super) ret: Option<u64>,
}

/// What a history says about keys.
#[derive(Default)]
pub(super) struct History<'a> {
    /// What times count.
    pub(super) clock: Clock,
    /// In order of invocation.
    pub(super) operations: Vec<Operation<'a>>,
    /// Names of keys, by number.
    pub(super) keys: Vec<&'a Datum>,
    /// Values, by number.
    pub(super) values: Vec<&'a Datum>,
    /// What no order explains, whatever the promise.
    pub(super) contradictions: Vec<&'a generic::Operation<'a>>,
}

impl<'a> History<'a> {
    /// Understands each operation. What did not happen, and reads without an answer, are left out.
    pub(super) fn of(operations: &'a [generic::Operation<'a>]) -> Result<Self, Unexpected> {
        let clock = Clock::of(operations.iter().map(generic::Operation::events));
        let mut history = Self { clock, values: vec![&Datum::Nil], ..Self::default() };
        history.operations.reserve(operations.len());
        let mut keys: FxHashMap<&Datum, u32> = FxHashMap::default();
        let mut values: FxHashMap<&Datum, Value> = FxHashMap::default();
        values.insert(&Datum::Nil, NIL);
        for source in operations {
            let mut value = |datum: &'a Datum| {
                *values.entry(datum).or_insert_with(|| {
                    history.values.push(datum);
                    number(history.values.len() - 1)
                })
            };
            let Some((action, ret)) = action(source, &mut value)? else { continue };
            if source.contradicts_itself() {
                history.contradictions.push(source);
                continue;
            }
            let key = *keys.entry(source.key).or_insert_with(|| {
                history.keys.push(source.key);
                number(history.keys.len() - 1)
            });
            history.operations.push(Operation { source, key, action, ret });
        }
        Ok(history)
    }

    /// What is wrong with a compare-and-set that contradicts itself.
    pub(super) fn contradiction(&self, rule: &str, source: &generic::Operation<'_>) -> Violation {
        let generic::Operation { process, key, .. } = source;
        let who = source.node.map_or_else(|| format!("process {process}"), str::to_owned);
        let at = self.clock.moment(source.events().map(|(time, _)| time).max().unwrap_or(0));
        let found = source.found().unwrap_or(&Datum::Nil);
        let summary =
            format!("{who} said at {at} that the value of key {key} was not {found} but {found}");
        Violation::by(rule, summary, &[source])
    }
}

/// The number of the thing at this place.
pub(super) fn number(place: usize) -> u32 {
    u32::try_from(place).expect("a history that fits into memory has fewer than 2^32 of anything")
}

type Meaning = Option<(Action, Option<u64>)>;

fn action<'a>(
    source: &generic::Operation<'a>,
    number: &mut impl FnMut(&'a Datum) -> Value,
) -> Result<Meaning, Unexpected> {
    let ret = match source.outcome {
        Outcome::Ok { time, .. } => Some(time),
        Outcome::Failed { .. } | Outcome::Unknown { .. } => None,
    };
    let failed = matches!(source.outcome, Outcome::Failed { .. });
    let unexpected = |expected| Err(Unexpected::argument(source, expected));
    let action = match source.f {
        "read" | "get" => match source.outcome {
            Outcome::Ok { value, .. } if !register::holds(value) => {
                return Err(Unexpected::answer(source, register::ONE));
            }
            Outcome::Ok { value, .. } => Action::Read(number(value)),
            Outcome::Failed { .. } | Outcome::Unknown { .. } => return Ok(None),
        },
        "write" | "put" | "set" => match source.argument {
            Datum::Nil => return unexpected("a value to write"),
            value if register::holds(value) => Action::Write(number(value)),
            _ => return unexpected(register::ONE),
        },
        "delete" | "del" => Action::Write(NIL),
        "cas" => match source.argument.list() {
            Some([expected, new])
                if *new != Datum::Nil && register::holds(expected) && register::holds(new) =>
            {
                if let Outcome::Failed { time, error: Some(MISMATCH), .. } = source.outcome {
                    let action = match source.found() {
                        None => Action::Mismatch(number(expected)),
                        Some(found) if !register::holds(found) => {
                            return Err(Unexpected::answer(source, register::ONE));
                        }
                        Some(found) => Action::Read(number(found)),
                    };
                    return Ok(Some((action, Some(time))));
                }
                Action::Cas(number(expected), number(new))
            }
            _ => return unexpected("a pair [expected, new]"),
        },
        _ => {
            let expected = "a read, write, cas or delete (or get, put, set, del)";
            return Err(Unexpected::function(source, expected));
        }
    };
    Ok((!failed).then_some((action, ret)))
}
