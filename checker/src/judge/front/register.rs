//! Registers of any values: what an operation of a history is to the model, and which deciders are
//! asked.

use crate::{
    budget::Limits,
    history::{
        Function,
        generic::{Datum, Operation as Source, Outcome},
        operation::MISMATCH,
    },
    linear::{decide_register, generic::Objects},
    model::{
        Numbers, Unexpected,
        register::{ONE, Operation, Register, holds},
    },
    verdict::Property,
};

/// Decides a history of `read`, `write`, `cas` and `delete` (or `get`, `put`, `set`, `del`) of any
/// values, each key on its own. A key that is not there reads as nil.
///
/// # Errors
/// An event that is none of a register.
pub fn check(operations: &[Source<'_>], limits: &Limits) -> Result<Property, Unexpected> {
    let mut values = Numbers::default();
    let objects = Objects::of(operations, |source| read(source, &mut values))?;
    Ok(objects.check(limits, |object, budget| {
        let (decision, _) = decide_register(&object.intervals, &object.revisions(), budget);
        object.told(&Register, decision, budget, |state| {
            match state.and_then(|number| usize::try_from(number).ok()) {
                Some(number) => match values.datum(number) {
                    Datum::Text(text) => format!("\"{text}\""),
                    other => other.to_string(),
                },
                None => "absent".into(),
            }
        })
    }))
}

fn read<'a>(
    source: &'a Source<'a>,
    values: &mut Numbers<'a>,
) -> Result<Option<Operation>, Unexpected> {
    // The number of a value; `None` for nil.
    let mut number = |datum: &'a Datum| match datum {
        Datum::Nil => None,
        datum => i64::try_from(values.number(datum)).ok(),
    };
    let refused = matches!(source.outcome, Outcome::Failed { error: Some(MISMATCH), .. });
    let failed = matches!(source.outcome, Outcome::Failed { .. });
    let operation = match Function::of(source.f) {
        Some(Function::Read) => match source.outcome {
            Outcome::Ok { value, .. } if holds(value) => Operation::Read(number(value)),
            Outcome::Ok { .. } => return Err(Unexpected::answer(source, ONE)),
            Outcome::Failed { .. } | Outcome::Unknown { .. } => return Ok(None),
        },
        Some(Function::Write) => match source.argument {
            Datum::Nil => return Err(Unexpected::argument(source, "the value to write")),
            value if holds(value) => Operation::Write(number(value)),
            _ => return Err(Unexpected::argument(source, ONE)),
        },
        Some(Function::Delete) => Operation::Write(None),
        Some(Function::Cas) => {
            let wrong = || {
                Unexpected::argument(source, "[expected new], neither a list, map or empty text")
            };
            let Some([expected, new]) = source.argument.list() else { return Err(wrong()) };
            if !holds(expected) || !holds(new) {
                return Err(wrong());
            }
            let (expected, new) = (number(expected), number(new).ok_or_else(wrong)?);
            if refused {
                let found = match source.found() {
                    Some(found) if !holds(found) => return Err(Unexpected::answer(source, ONE)),
                    found => found.map(number),
                };
                return Ok(Some(Operation::refused(expected, found)));
            }
            Operation::Cas(expected, new)
        }
        None => return Err(Unexpected::function(source, "read, write, cas or delete")),
    };
    Ok(Some(operation).filter(|_| !failed))
}
