//! Locks: what an operation of a history is to the model, and which deciders are asked.

use crate::{
    budget::Limits,
    history::generic::{Datum, Operation as Source, Outcome},
    linear::generic::Objects,
    model::{
        Numbers, Unexpected,
        lock::{Lock, Operation, State},
    },
    verdict::Property,
};

/// Decides a history of `acquire` and `release`, each key on its own. The value of an invocation
/// names the owner. An acquire that failed with the error `held` found the lock held; any other
/// that failed did not happen.
///
/// # Errors
/// An event that is none of a lock.
pub fn check(operations: &[Source<'_>], limits: &Limits) -> Result<Property, Unexpected> {
    let mut owners = Numbers::default();
    let objects = Objects::of(operations, |source| read(source, &mut owners))?;
    Ok(objects.check(limits, |object, budget| {
        object.search(&Lock, budget, |state| match *state {
            State::Free => "free".into(),
            State::Held(None) => "held".into(),
            State::Held(Some(owner)) => format!("held by {}", owners.datum(owner)),
        })
    }))
}

fn read<'a>(
    source: &'a Source<'a>,
    owners: &mut Numbers<'a>,
) -> Result<Option<Operation>, Unexpected> {
    let owner = match source.argument {
        Datum::Nil => None,
        owner => Some(owners.number(owner)),
    };
    let operation = match source.f {
        "acquire" => Operation::Acquire(owner),
        "release" => Operation::Release(owner),
        _ => return Err(Unexpected::function(source, "acquire or release")),
    };
    Ok(match (source.outcome, operation) {
        (Outcome::Failed { error: Some("held"), .. }, Operation::Acquire(_)) => {
            Some(Operation::Held)
        }
        (Outcome::Failed { .. }, _) => None,
        _ => Some(operation),
    })
}
