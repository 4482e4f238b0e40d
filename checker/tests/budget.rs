//! Budgets hold: a history that is too hard ends in time and within memory, as unknown and with
//! the reason.
//!
//! A test of its own, alone in its process: it counts what the process allocates.

#![allow(clippy::unwrap_used)]

#[path = "../benches/measure/mod.rs"]
mod measure;

use std::time::{Duration, Instant};

use checker::{
    history::{Event, Function, Kind, Value, operation},
    linear::{self, Limits},
    verdict::{Outcome, Property},
};
use measure::{Cost, measure};

/// What is held may be so many times the budget: what the search sets aside beside configurations.
const FACTOR: usize = 2;

/// What the history costs whatever the budget, and the words of the verdict.
const BESIDE: usize = 1 << 20;

/// From the end of the time budget to the answer, on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

/// Unanswered compare-and-sets on few values, then reads: any of many subsets may have taken place.
fn hard() -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut event = |process, kind, f, value| {
        let index = events.len() as u64;
        events.push(Event {
            index,
            time: index,
            process,
            kind,
            f,
            key: "k".into(),
            value,
            error: None,
            node: None,
            revision: None,
        });
    };
    for process in 1..=400 {
        let at = process as i64;
        let pair = Value::Pair(Some(at * 7 % 20), at * 11 % 20 + i64::from(at % 3 == 0));
        event(process, Kind::Invoke, Function::Cas, pair);
    }
    event(0, Kind::Invoke, Function::Write, Value::Int(0));
    event(0, Kind::Ok, Function::Write, Value::Int(0));
    for at in 0..200 {
        event(0, Kind::Invoke, Function::Read, Value::Nil);
        event(0, Kind::Ok, Function::Read, Value::Int(at * 13 % 20));
    }
    events
}

fn examine(limits: &Limits) -> (Property, Cost, Duration) {
    let events = hard();
    let operations = operation::pair(&events).unwrap();
    let start = Instant::now();
    let (cost, property) = measure(1, || linear::check(&operations, limits));
    (property, cost, start.elapsed())
}

#[test]
fn memory_and_time_stay_within_their_budgets() {
    // One after the other: what another thread allocates would be counted.
    for mib in [1, 2, 4] {
        let memory = mib << 20;
        let (property, Cost { peak, .. }, _) =
            examine(&Limits { memory, timeout: Duration::from_secs(600) });
        println!(
            "{mib} MiB: {:.2} MiB held; {}",
            peak as f64 / f64::from(1 << 20),
            property.detail
        );
        assert_eq!(property.outcome, Outcome::Unknown, "{property:?}");
        let reason = format!("the memory budget of {mib} MiB was used up at ");
        assert!(property.detail.contains(&reason), "{}", property.detail);
        assert!(peak <= FACTOR * memory + BESIDE, "{peak} bytes held of {memory}");
        assert!(peak >= memory / 4, "{peak} bytes held of {memory}: it gave up too early");
    }
    for timeout in [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(1)] {
        let (property, Cost { median: busy, .. }, elapsed) =
            examine(&Limits { memory: usize::MAX, timeout });
        println!("{timeout:?}: {elapsed:?}, {busy:?} of them busy; {}", property.detail);
        assert_eq!(property.outcome, Outcome::Unknown, "{property:?}");
        assert!(property.detail.contains("the time budget was used up at "), "{property:?}");
        assert!(elapsed >= timeout && elapsed <= timeout + SLACK, "{elapsed:?} of {timeout:?}");
    }
}
