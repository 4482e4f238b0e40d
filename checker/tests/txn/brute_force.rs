//! Strict serializability by trying all orders. Written for clarity; only for a few transactions.

use std::collections::BTreeMap;

use checker::history::generic::{Datum, Operation, Outcome};

/// Whether the operations, transactions on lists, have a strict serialization.
pub(crate) fn serializable(operations: &[Operation<'_>]) -> bool {
    // What failed did not happen.
    let left: Vec<&Operation> = operations
        .iter()
        .filter(|operation| !matches!(operation.outcome, Outcome::Failed { .. }))
        .collect();
    any_order(&left, &BTreeMap::new())
}

type Lists<'a> = BTreeMap<&'a Datum, Vec<&'a Datum>>;

/// Whether some order of those left follows the lists.
fn any_order<'a>(left: &[&Operation<'a>], lists: &Lists<'a>) -> bool {
    // Those that nobody knows of need not have happened.
    if left.iter().all(|operation| matches!(operation.outcome, Outcome::Unknown { .. })) {
        return true;
    }
    (0..left.len()).any(|at| {
        let mut others = left.to_vec();
        let next = others.remove(at);
        let after = others.iter().any(|other| match other.outcome {
            Outcome::Ok { time, .. } => {
                let in_turn = other.process == next.process && other.index < next.index;
                time < next.call || time == next.call && in_turn
            }
            _ => false,
        });
        !after && run(next, lists).is_some_and(|lists| any_order(&others, &lists))
    })
}

/// The lists after a transaction; none where it cannot have been told what it was.
fn run<'a>(operation: &Operation<'a>, lists: &Lists<'a>) -> Option<Lists<'a>> {
    let mut lists = lists.clone();
    let (steps, answered) = match operation.outcome {
        Outcome::Ok { value, .. } => (value, true),
        _ => (operation.argument, false),
    };
    for step in steps.list().unwrap() {
        let [f, key, value] = step.list().unwrap() else { panic!("{step} is no step") };
        if f.text() == Some("append") {
            lists.entry(key).or_default().push(value);
        } else if answered {
            let list = lists.get(key).map_or(&[][..], Vec::as_slice);
            if !value.list().unwrap_or_default().iter().eq(list.iter().copied()) {
                return None;
            }
        }
    }
    Some(lists)
}
