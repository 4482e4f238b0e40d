//! Promises weaker than linearizability, from generic histories.
//!
//! - [`session`]: what a client may rely on whose reads are *serializable* in etcd's sense, which
//!   means possibly stale: never backwards, never without its own writes;
//! - [`sequential`]: sequential consistency, one order for all that keeps each process's own.
//! - [`watch`]: what a client may rely on that has the store tell it each change.
//!
//! What is said is sound both ways. A violation rests on operations that no order explains, and
//! names them. `ok` of the first two rests on an order that a small verifier, which shares nothing
//! with what found it, has replayed; of a watch it says that no rule is broken. Everything else is unknown, with the reason.

mod operation;
pub mod sequential;
pub mod session;
pub mod watch;

use std::collections::BTreeSet;

use crate::{
    history::generic,
    text::count,
    verdict::{Outcome, Property, Violation},
};

/// Violations that are told; more are counted.
const VIOLATIONS_MAX: usize = 10;

/// What becomes of one property while its parts are judged.
#[derive(Default)]
struct Tally {
    violations: Vec<Violation>,
    violated: usize,
    undecided: usize,
    /// Why the first undecided part is undecided.
    reason: Option<String>,
}

impl Tally {
    fn violated(&mut self, violation: impl FnOnce() -> Violation) {
        self.violated += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation());
        }
    }

    fn undecided(&mut self, reason: impl FnOnce() -> String) {
        self.undecided += 1;
        self.reason.get_or_insert_with(reason);
    }

    /// The property: `examined` says what was looked at, `noun` what was counted.
    fn property(self, name: &str, examined: &str, noun: &str) -> Property {
        let (outcome, detail) = if self.violated > 0 {
            (Outcome::Violated, format!("{examined}; violated: {}", count(self.violated, noun)))
        } else if let Some(reason) = self.reason {
            let undecided = count(self.undecided, noun);
            (
                Outcome::Unknown,
                format!("{examined}; undecided: {undecided}, the first of them {reason}"),
            )
        } else {
            (Outcome::Ok, examined.to_owned())
        };
        Property { name: name.into(), outcome, detail, violations: self.violations }
    }
}

/// A violation by these operations.
fn violation(rule: &str, summary: String, operations: &[&generic::Operation<'_>]) -> Violation {
    let mut indices = BTreeSet::new();
    let mut nodes = BTreeSet::new();
    for operation in operations {
        indices.insert(operation.index);
        match operation.outcome {
            generic::Outcome::Ok { index, .. } | generic::Outcome::Failed { index, .. } => {
                indices.insert(index);
            }
            generic::Outcome::Unknown { .. } => {}
        }
        nodes.extend(operation.node.map(str::to_owned));
    }
    Violation {
        rule: rule.into(),
        summary,
        nodes: nodes.into_iter().collect(),
        operations: indices.into_iter().collect(),
        trace: Vec::new(),
        refutation: None,
    }
}
