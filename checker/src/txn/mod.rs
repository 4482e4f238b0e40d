//! Strict serializability of transactions that append to lists and read them: whether they could
//! all have happened one at a time, each at a moment between its call and its return.
//!
//! Keys no longer decide one by one as they do in [`crate::linear`], since a transaction ties them
//! together. But a list tells its own history: whoever reads it whole learns who appended before
//! whom. Elle (Kingsbury and Alvaro, PVLDB 14, 2020) made of this a check that takes linear time,
//! and names what is wrong as Adya (1999) did. The way of a history through the files:
//!
//! 1. `parse` reads the operations, `history` keeps them small.
//! 2. `observe` looks at each read: what is wrong with it by itself, and what it saw.
//! 3. `graph` says who came before whom, and orders the transactions by that. An order of all of
//!    them is the proof that the history is legal.
//! 4. If there is none, `scc` finds the components that have no order and `cycles` of each a short
//!    cycle, which is the proof that it is not.
//! 5. [`verify`] checks either proof on every run; `explain` puts the second into words.
//!
//! # What this sees, and what not
//!
//! It is sound and complete for what it is given: the verdict is `ok` exactly when a strict
//! serialization exists. Two facts about lists make that possible without search:
//! - a list that was read tells the order of all that is in it, and what is appended stays;
//! - an append that nobody read comes after every read of its key, and how such appends stand to
//!   each other nobody can tell, so any order will do.
//!
//! A transaction of unknown outcome counts where one of its appends was read; else leaving it out
//! is always possible. What follows from completeness: whatever is *not* read cannot be wrong. A
//! store that loses the last appends to a key goes unnoticed until somebody reads the key again.
//! A workload should read every key at its end.
//!
//! The anomaly's name is weaker than the verdict. For each strongly connected component we report
//! one cycle of the strongest class found (G0, then G1c, G-single, G2-item), without real-time
//! edges if there is one. In a component so large that the search for a cycle with only one unseen
//! append takes too long, the cycle is reported as G2-item.
//!
//! Each element must be appended to a key at most once (a failed attempt may be repeated):
//! otherwise the history is refused.

pub mod anomaly;
mod cycles;
mod explain;
mod findings;
mod graph;
mod history;
mod observe;
mod parse;
mod scc;
mod transaction;
pub mod verify;

pub use history::{Builder, History, Micro};
pub use transaction::{Fate, Transaction, Unfit};

use crate::{
    budget::{Budget, Limits, Spent},
    history::generic::Operation,
    text::count,
    verdict::{Outcome, Property, Violation},
};
use anomaly::Claim;
use findings::Findings;
use graph::Graph;
use observe::Observations;
use parse::{Recorded, Stopped};

/// Name of the property.
const NAME: &str = "strict-serializability";

/// Decides whether operations named `txn`, in order of invocation, are strictly serializable. Each
/// violation's rule is the name of its anomaly.
///
/// # Errors
/// An operation that is no such transaction.
pub fn check(operations: &[Operation<'_>], limits: &Limits) -> Result<Property, Unfit> {
    let budget = Budget::of(limits);
    let history = match parse::history(operations, &budget) {
        Ok(history) => history,
        Err(Stopped::Unfit(unfit)) => return Err(unfit),
        Err(Stopped::Spent(Spent(reason))) => return Ok(undecided(reason)),
    };
    let node = |transaction: u32| operations[transaction as usize].node;
    Ok(history.judge(&budget, &Recorded(operations), node))
}

impl History {
    /// Decides whether the history is strictly serializable.
    pub fn check(&self, limits: &Limits) -> Property {
        self.check_with(limits, |_| None)
    }

    /// The same. `node` says which node a transaction was sent to, by its number.
    pub(crate) fn check_with<'a>(
        &self,
        limits: &Limits,
        node: impl Fn(u32) -> Option<&'a str>,
    ) -> Property {
        self.judge(&Budget::of(limits), self, node)
    }

    /// Decides, and has `subject` vouch for the proof.
    fn judge<'a>(
        &self,
        budget: &Budget,
        subject: &impl verify::Subject,
        node: impl Fn(u32) -> Option<&'a str>,
    ) -> Property {
        let (proof, findings) = match self.decide(budget) {
            Ok(decided) => decided,
            Err(Spent(reason)) => return undecided(reason),
        };
        let (examined, bug) = (self.examined(), "a bug of the checker");
        match proof {
            _ if self.transactions.is_empty() => undecided("the history has no transaction".into()),
            Proof::Order(order) if verify::order(subject, &order) => Property {
                name: NAME.into(),
                outcome: Outcome::Ok,
                detail: examined,
                violations: Vec::new(),
            },
            Proof::Order(_) => undecided(format!("{bug}: its order is no serialization")),
            Proof::Claims(claims) if claims.is_empty() || findings.lost > 0 => {
                undecided(format!("{bug}: it found an anomaly that it cannot show"))
            }
            Proof::Claims(claims) if verify::claims(subject, &claims) => {
                let violations: Vec<Violation> =
                    claims.iter().map(|claim| explain::violation(self, claim, &node)).collect();
                Property {
                    name: NAME.into(),
                    outcome: Outcome::Violated,
                    detail: format!("{examined}; {}", findings.summary()),
                    violations,
                }
            }
            Proof::Claims(_) => undecided(format!("{bug}: an anomaly that it told is none")),
        }
    }

    fn decide(&self, budget: &Budget) -> Result<(Proof, Findings), Spent> {
        let mut findings = Findings::default();
        let order = match self.order(&mut findings, budget) {
            Ok(order) => order,
            // What was found until then is wrong all the same.
            Err(Spent(reason)) if findings.has_claims() => {
                findings.cut_short = Some(reason);
                None
            }
            Err(spent) => return Err(spent),
        };
        let proof = order.map_or_else(|| Proof::Claims(findings.take()), Proof::Order);
        Ok((proof, findings))
    }

    /// An order of the committed transactions, if there is one; else what is wrong with them is
    /// found.
    fn order(&self, findings: &mut Findings, budget: &Budget) -> Result<Option<Vec<u32>>, Spent> {
        budget.memory(self.bytes() + Observations::bytes(self))?;
        let observations = observe::observe(self, findings, budget)?;
        budget
            .memory(self.bytes() + Observations::bytes(self) + Graph::bytes(self, &observations))?;
        let graph = Graph::of(self, &observations, budget)?;
        match graph.order(budget)? {
            Ok(order) if findings.is_empty() => {
                let stands = |&node: &u32| {
                    graph.is_transaction(node) && observations.committed[node as usize]
                };
                return Ok(Some(order.into_iter().filter(stands).collect()));
            }
            Ok(_) => {}
            Err(left) => cycles::find(self, &graph, &left, findings, budget)?,
        }
        Ok(None)
    }

    fn examined(&self) -> String {
        let keys = count(self.keys.len(), "key");
        format!("{} on {keys}", count(self.transactions.len(), "transaction"))
    }
}

/// What [`verify`] is to vouch for.
enum Proof {
    /// Committed transactions, one after the other.
    Order(Vec<u32>),
    /// What is wrong, or the first of it.
    Claims(Vec<Claim>),
}

fn undecided(reason: String) -> Property {
    let (name, outcome) = (NAME.into(), Outcome::Unknown);
    Property { name, outcome, detail: reason, violations: Vec::new() }
}
