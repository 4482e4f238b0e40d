//! How long the check of a history of watches takes and how much memory. Prints a table; asserts
//! the verdicts, and no times.
//!
//! `cargo bench -p checker --bench watch`
//!
//! Times are medians of the thread's processor time for the check alone: the history has been read
//! and its events have been paired. Memory is what the check holds beside these.

#[path = "../tests/generator/watch.rs"]
mod generator;
mod measure;

use checker::{
    budget::Limits,
    history::generic::{Operation, pair},
    verdict::{Outcome, Property},
    watch,
};
use generator::Shape;
use measure::report::Report;

/// Each check is measured so often.
const ROUNDS: usize = 3;

fn main() {
    let base = Shape {
        writes: 250_000,
        clients: 20,
        keys: 1000,
        values: None,
        crashed: 10,
        watchers: 3,
        prefixes: true,
        each: 5000,
    };
    let shapes = [
        ("3 watchers of all, 10 of prefixes", base),
        ("the same, five values", Shape { values: Some(5), ..base }),
        ("the same, 2 keys, five values", Shape { keys: 2, values: Some(5), ..base }),
        ("the same, 10 % unknown", Shape { crashed: 100, ..base }),
        ("the same, 50 revisions a watch", Shape { each: 50, ..base }),
        (
            "one watcher, one watch",
            Shape { writes: 1_000_000, watchers: 1, prefixes: false, each: usize::MAX, ..base },
        ),
    ];
    let mut report = Report::new("watches", "changes told");
    for (name, shape) in shapes {
        let events = generator::history(shape, 1);
        let operations = pair(&events).expect("the generator makes whole histories");
        let told = operations.iter().map(told).sum();
        let check = || watch::check(&operations, &Limits::default()).expect("watches and writes");
        report.measure(name, told, None, ROUNDS, check, |properties| outcome(name, properties));
    }
    println!("{}", report.0);
}

/// The changes that an operation was told.
fn told(operation: &Operation<'_>) -> usize {
    let checker::history::generic::Outcome::Ok { value, .. } = operation.outcome else { return 0 };
    let responses = value.list().unwrap_or_default();
    responses.iter().filter_map(|response| response.list()).map(<[_]>::len).sum()
}

/// The weightiest; nothing is wrong with these histories.
fn outcome(name: &str, properties: &[Property]) -> String {
    let worst = properties.iter().max_by_key(|property| property.outcome);
    let worst = worst.expect("there are properties");
    assert_ne!(worst.outcome, Outcome::Violated, "{name}: {worst:?}");
    match worst.outcome {
        Outcome::Ok => "ok".into(),
        _ => format!("{}: {}", worst.outcome, worst.detail),
    }
}
