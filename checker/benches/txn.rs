//! How long the check of a history of transactions takes and how much memory, against what it may
//! take: proof and its verification included. Prints a table; asserts the verdicts, and no times.
//!
//! `cargo bench -p checker --bench txn`
//!
//! Times are medians of the thread's processor time. Memory is what is held beside what was there
//! before: for a history that is made compact, the history itself.

#[path = "../tests/generator/txn.rs"]
mod generator;
mod measure;

use checker::{
    budget::Limits,
    history::generic::pair,
    txn,
    verdict::{Outcome, Property},
};
use generator::{Plan, Shape};
use measure::report::{Bound, Report};

/// Each check is measured so often.
const ROUNDS: usize = 3;

fn main() {
    let base = Shape {
        transactions: 1_000_000,
        clients: 20,
        steps: 4,
        keys: 10,
        appends: 256,
        crashed: 0,
        failed: 0,
        pause: 1,
        pace: 1_000_000,
    };
    let small = Shape { transactions: 100_000, ..base };
    let shapes = [
        ("100,000", small),
        ("1,000,000", base),
        ("the same, 1 % unknown, 5 % failed", Shape { crashed: 10, failed: 50, ..base }),
        ("1,000,000, 3 keys of 1,000 appends", Shape { keys: 3, appends: 1000, ..base }),
    ];
    let bound = |milliseconds, megabytes| Bound { milliseconds, megabytes: Some(megabytes) };
    let target = Some((bound(10_000.0, 2000.0), bound(5000.0, 1000.0)));
    let mut report = Report::new("list-append transactions", "transactions");
    for (name, shape) in shapes {
        let plan = Plan::new(shape, 1);
        let compact = format!("{name}: made compact");
        let transactions = shape.transactions;
        let made = |_: &_| String::new();
        let history = report.measure(&compact, transactions, None, 1, || plan.history(), made);
        drop(plan);
        let target = target.filter(|_| transactions == base.transactions);
        let check = || history.check(&Limits::default());
        let property = report.measure(name, transactions, target, ROUNDS, check, outcome);
        assert_eq!(property.outcome, Outcome::Ok, "{name}: {property:?}");
    }
    // As the command has it: every answer in memory, and made compact by the check.
    let events = Plan::new(small, 1).events();
    let operations = pair(&events).expect("the generator makes whole histories");
    let check =
        || txn::check(&operations, &Limits::default()).expect("the generator makes transactions");
    report.measure("100,000, as events", operations.len(), None, ROUNDS, check, outcome);
    println!("{}", report.0);
}

fn outcome(property: &Property) -> String {
    format!("{} ({})", property.outcome, property.detail)
}
