//! Sequential consistency (Lamport, *How to Make a Multiprocessor Computer That Correctly Executes
//! Multiprocess Programs*, 1979): all operations have one order that gives every answer and keeps
//! the order of each process. Real time does not matter. What was not answered may be anywhere
//! after what its process did before, or nowhere.
//!
//! Unlike linearizability it is not local: each key alone may have an order where all together have
//! none, so keys are checked together. To decide it is NP-complete even when it is known who saw
//! whose write (Gibbons and Korach, *Testing Shared Memories*, 1997). So:
//!
//! 1. `saturate` derives what must be before what. A cycle means that there is no order.
//! 2. `search` looks for an order that agrees with that, the likeliest first. One that is found is
//!    checked by `certificate`. If all fail, there is none; a budget that runs out means unknown.
//!
//! A violation names a `core` where one can be found: operations that have no order by
//! themselves, and of which none can be left out.

mod certificate;
mod core;
mod explain;
mod program;
mod saturate;
mod search;

use std::collections::BTreeSet;

use super::operation::{History, Operation};
use crate::{
    budget::{Budget, Limits},
    history::generic,
    model::Unexpected,
    text::count,
    verdict::{Outcome, Property, VIOLATIONS_MAX},
};
use program::Program;
use saturate::{Contradiction, Graph};
use search::Found;

const NAME: &str = "sequential-consistency";

/// Looks for one order of all operations.
///
/// # Errors
/// An operation that is none of a key-value store's.
pub fn check(
    operations: &[generic::Operation<'_>],
    limits: &Limits,
) -> Result<Vec<Property>, Unexpected> {
    let history = History::of(operations)?;
    let budget = Budget::of(limits);
    let keys = history.keys.len();
    let processes: BTreeSet<u64> =
        history.operations.iter().map(|operation| operation.source.process).collect();
    let examined = format!(
        "{} on {} by {}",
        count(history.operations.len(), "operation"),
        count(keys, "key"),
        count(processes.len(), "process").replace("processs", "processes")
    );
    let property = |outcome, detail, violations| {
        vec![Property { name: NAME.into(), outcome, detail, violations }]
    };
    if !history.contradictions.is_empty() {
        let told = history.contradictions.iter().take(VIOLATIONS_MAX);
        let violations = told.map(|source| history.contradiction(NAME, source)).collect();
        return Ok(property(Outcome::Violated, examined, violations));
    }
    if history.operations.is_empty() {
        let detail = "the history has no operation that happened".into();
        return Ok(property(Outcome::Unknown, detail, Vec::new()));
    }
    let program = Program::of(&history.operations, keys);
    Ok(match decide_program(&history.operations, &program, &budget, u64::MAX) {
        (Decision::Ordered, ..) => property(Outcome::Ok, examined, Vec::new()),
        (Decision::Undecided(reason), ..) => {
            property(Outcome::Unknown, format!("{examined}; {reason}"), Vec::new())
        }
        (Decision::Violated, graph, found) => {
            let core =
                core::core(&history.operations, &program, &graph, found.as_ref(), keys, &budget);
            let violation = match (core, found) {
                (Some(core), _) => {
                    let core: Vec<_> = core.iter().map(|&at| history.operations[at]).collect();
                    explain::core(&history, &core)
                }
                (None, Some(found)) => explain::contradiction(&history, &program, &graph, &found),
                (None, None) => explain::core(&history, &history.operations),
            };
            property(Outcome::Violated, examined, vec![violation])
        }
    })
}

/// Whether there is an order.
enum Decision {
    /// There is one, and it was verified.
    Ordered,
    /// There is none.
    Violated,
    /// Why that is not known.
    Undecided(String),
}

/// Decides operations on so many keys. The search tries at most `steps_max` configurations.
fn decide(
    operations: &[Operation<'_>],
    keys: usize,
    budget: &Budget,
    steps_max: u64,
) -> (Decision, Option<Contradiction>) {
    let program = Program::of(operations, keys);
    let (decision, _, contradiction) = decide_program(operations, &program, budget, steps_max);
    (decision, contradiction)
}

fn decide_program<'a>(
    operations: &[Operation<'_>],
    program: &'a Program<'_>,
    budget: &Budget,
    steps_max: u64,
) -> (Decision, Graph<'a>, Option<Contradiction>) {
    let (graph, contradiction) = Graph::saturate(program, budget.memory / 2, budget.deadline);
    if contradiction.is_some() {
        return (Decision::Violated, graph, contradiction);
    }
    let left = Budget { memory: budget.memory.saturating_sub(graph.bytes()), ..*budget };
    let decision = match search::search(program, &graph, &left, steps_max) {
        Found::Order(order) => {
            let order: Vec<usize> =
                order.into_iter().map(|at| program.origin[at as usize]).collect();
            if certificate::verify(operations, &order) {
                Decision::Ordered
            } else {
                Decision::Undecided("a bug of the checker: the order that it found is none".into())
            }
        }
        Found::Nothing => Decision::Violated,
        Found::Undecided(reason) => Decision::Undecided(reason),
    };
    (decision, graph, None)
}
