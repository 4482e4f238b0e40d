//! Decides the objects of a history one by one, and sums up.

use super::{explain, key::Key};
use crate::{
    budget::{Budget, Limits},
    text::count,
    verdict::{Outcome, Property, VIOLATIONS_MAX, Violation},
};

/// The property that these objects of so many operations come to. Each object gets an equal share
/// of the time that is left.
pub(super) fn of<T>(
    objects: &[T],
    operations: usize,
    limits: &Limits,
    name: impl Fn(&T) -> String,
    decide: impl Fn(&T, &Budget) -> Key,
) -> Property {
    let budget = Budget::of(limits);
    let mut violations: Vec<Violation> = Vec::new();
    let mut illegal = 0;
    let mut unverified = String::new();
    let mut undecided = Vec::new();
    for (done, object) in objects.iter().enumerate() {
        match decide(object, &budget.share(objects.len() - done)) {
            Key::Linearizable => {}
            Key::Illegal(violation) => {
                illegal += 1;
                let reason =
                    violation.refutation.as_ref().and_then(|why| why.unverified_reason.as_ref());
                unverified.extend(reason.map(|reason| format!("; {}: {reason}", name(object))));
                if violations.len() < VIOLATIONS_MAX {
                    violations.push(*violation);
                }
            }
            Key::Undecided(reason) => undecided.push(format!("{}: {reason}", name(object))),
        }
    }
    let examined = format!("{} on {}", count(operations, "operation"), count(objects.len(), "key"));
    let (outcome, detail) = if illegal > 0 {
        let illegal = count(illegal, "key");
        (Outcome::Violated, format!("{examined}; not linearizable: {illegal}{unverified}"))
    } else if let Some(first) = undecided.first() {
        let keys = count(undecided.len(), "key");
        let detail = format!("{examined}; undecided: {keys}, the first of them {first}");
        (Outcome::Unknown, detail)
    } else if operations == 0 {
        (Outcome::Unknown, "the history has no operation".into())
    } else {
        (Outcome::Ok, examined)
    };
    Property { name: explain::NAME.into(), outcome, detail, violations }
}
