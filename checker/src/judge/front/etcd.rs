//! The store that etcd's KV serves: what an operation of a history is to the model, and which
//! deciders are asked. The format is the [model's](crate::model::etcd).

use std::collections::BTreeMap;

use crate::{
    budget::Limits,
    history::generic::{Operation as Source, Outcome},
    linear::{generic::Objects, revisions},
    model::{
        Unexpected,
        etcd::{
            Answer, FUNCTIONS, Operand, Operation, Refusal, Relation, Request, Response,
            SortTarget, Target, Value,
        },
    },
    text::count,
    verdict::{self, Property},
};

/// Decides a history of the whole store.
///
/// # Errors
/// An event that is none of such a store.
pub fn check(operations: &[Source<'_>], limits: &Limits) -> Result<Property, Unexpected> {
    let mut values = Values::default();
    let objects = Objects::of(operations, |source| {
        let operation = read(source)?;
        if let Some(operation) = &operation {
            values.request(&operation.request);
        }
        Ok(operation)
    })?;
    let mut property = objects.check(limits, revisions::decide);
    // The store is one object, and no key by itself.
    let examined = format!("{} on the whole store", count(operations.len(), "operation"));
    property.detail = match (property.outcome, property.detail.split_once("the only object: ")) {
        (verdict::Outcome::Violated, _) => format!("{examined}; not linearizable"),
        (verdict::Outcome::Ok, _) => examined,
        (verdict::Outcome::Unknown, Some((_, reason))) => {
            format!("{examined}; undecided: {reason}")
        }
        (verdict::Outcome::Unknown, None) => property.detail,
    };
    if let Some(reason) = values.undecided() {
        (property.outcome, property.detail) = (verdict::Outcome::Unknown, reason);
        property.violations.clear();
    }
    Ok(property)
}

fn read(source: &Source<'_>) -> Result<Option<Operation>, Unexpected> {
    if !FUNCTIONS.contains(&source.f) {
        return Err(Unexpected::function(source, "put, range, delete-range or txn"));
    }
    let wrong = |index, expected, problem: String| Unexpected { index, expected, found: problem };
    let request = Request::read(source.f, source.argument).map_err(|error| {
        wrong(source.index, "a request of etcd's KV", format!("{}: {error}", source.argument))
    })?;
    let answer = match source.outcome {
        Outcome::Ok { index, value, .. } => {
            let response = Response::read(source.f, value).map_err(|error| {
                wrong(index, "an answer of etcd's KV", format!("{value}: {error}"))
            })?;
            Answer::Told(response)
        }
        Outcome::Failed { error, .. } => match error.and_then(Refusal::of) {
            Some(refusal) => Answer::Refused(refusal),
            None => return Ok(None),
        },
        // Nobody knows what it would have seen.
        Outcome::Unknown { .. } if request.is_read() => return Ok(None),
        Outcome::Unknown { .. } => Answer::Unknown,
    };
    Ok(Some(Operation { request, answer }))
}

/// Whether the order of values matters, and whether it is known of all that were written.
#[derive(Default)]
struct Values {
    ordered: bool,
    /// Values by how they begin, each the first that begins so.
    long: BTreeMap<Box<[u8]>, Value>,
    /// Two values whose order is not known.
    alike: Option<(Value, Value)>,
}

impl Values {
    fn request(&mut self, request: &Request) {
        match request {
            Request::Put(put) => self.value(&put.value),
            Request::Range(range) => self.ordered |= range.sort_target == SortTarget::Value,
            Request::DeleteRange(_) => {}
            Request::Txn(txn) => {
                for compare in &txn.compare {
                    if let Some(Operand::Value(value)) = &compare.operand {
                        self.value(value);
                    }
                    self.ordered |= compare.target == Target::Value
                        && matches!(compare.result, Relation::Less | Relation::Greater);
                }
                txn.success.iter().chain(&txn.failure).for_each(|request| self.request(request));
            }
        }
    }

    fn value(&mut self, value: &Value) {
        let Some(start) = value.start() else { return };
        match self.long.get(start) {
            Some(other) if other.compare(value).is_none() => {
                self.alike.get_or_insert_with(|| (other.clone(), value.clone()));
            }
            // Of two that are known whole, the one that is not may come yet.
            Some(Value::Digest(_)) => {}
            _ => {
                self.long.insert(start.into(), value.clone());
            }
        }
    }

    fn undecided(&self) -> Option<String> {
        let (one, other) = self.alike.as_ref().filter(|_| self.ordered)?;
        Some(format!(
            "not checked: the history compares or sorts values, and what was recorded does not \
             tell whether {one} or {other} is less"
        ))
    }
}
