//! Budgets hold: a history that is too hard ends in time and within memory, as unknown and with
//! the reason.
//!
//! A test of its own, alone in its process: it counts what the process allocates.

#![allow(clippy::unwrap_used)]

#[path = "../benches/measure/mod.rs"]
mod measure;

#[path = "budget/adversary.rs"]
mod adversary;

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use checker::{
    budget::Limits,
    consistency::{sequential, session},
    history::{Event, Function, Kind, Value, generic, operation},
    judge::front::{kv, queue, register, set},
    linear, txn,
    verdict::{Outcome, Property},
    watch,
};
use measure::{Cost, measure};

/// One test after the other: what another thread allocates would be counted.
static ALONE: Mutex<()> = Mutex::new(());

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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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

type Check = fn(&[generic::Operation<'_>], &Limits) -> Vec<Property>;

const REGISTER: Check = |operations, limits| vec![register::check(operations, limits).unwrap()];
const KV: Check = |operations, limits| vec![kv::check(operations, limits).unwrap()];
const SET: Check = |operations, limits| vec![set::check(operations, limits).unwrap()];
const QUEUE: Check = |operations, limits| vec![queue::check(operations, limits).unwrap()];
const TXN: Check = |operations, limits| vec![txn::check(operations, limits).unwrap()];
const SEQUENTIAL: Check = |operations, limits| sequential::check(operations, limits).unwrap();
const SESSION: Check = |operations, limits| session::check(operations, limits).unwrap();
const WATCH: Check = |operations, limits| watch::check(operations, limits).unwrap();

/// A history of about so many operations.
type Growing = fn(usize) -> Vec<generic::Event>;

/// The weightiest outcome, and what it cost.
fn judge(check: Check, events: &[generic::Event], limits: &Limits) -> (Outcome, Cost) {
    let operations = generic::pair(events).unwrap();
    let (cost, properties) = measure(1, || check(&operations, limits));
    (properties.iter().map(|property| property.outcome).max().unwrap(), cost)
}

#[test]
fn no_history_takes_much_more_time_than_there_is() {
    use Outcome::{Ok, Unknown, Violated};
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let timeout = Duration::from_millis(200);
    let limits = Limits { memory: 64 << 20, timeout };
    // Where a check is fast enough whatever the history, it has one outcome.
    let cases: [(&str, Check, Vec<generic::Event>, &[Outcome]); 16] = [
        ("reads reversed", REGISTER, adversary::reads_reversed(8_000), &[Violated]),
        ("five values", REGISTER, adversary::five_values(8_000), &[Violated, Unknown]),
        ("unanswered chain", REGISTER, adversary::unanswered_chain(20_000), &[Ok]),
        ("absent", REGISTER, adversary::absent(60_000), &[Ok]),
        ("from absent", REGISTER, adversary::from_absent(20_000), &[Ok, Unknown]),
        ("copies", KV, adversary::copies(20_000), &[Violated, Unknown]),
        ("one add after the other", SET, adversary::adds(20_000), &[Ok]),
        ("empty all the time", QUEUE, adversary::empty(20_000), &[Ok]),
        ("taken unheard", QUEUE, adversary::taken_unheard(5_000), &[Ok]),
        ("all aborted", TXN, adversary::aborted(30_000), &[Violated]),
        ("a process each", SEQUENTIAL, adversary::five_values(8_000), &[Ok, Unknown]),
        ("unanswered chain", SEQUENTIAL, adversary::unanswered_chain(10_000), &[Ok, Unknown]),
        ("unanswered chain", SESSION, adversary::unanswered_chain(20_000), &[Ok, Unknown]),
        ("parts of the same", WATCH, adversary::parts_of_the_same(20_000), &[Unknown]),
        ("told", WATCH, adversary::told(50_000, 3), &[Ok, Unknown]),
        ("one moment", SESSION, adversary::one_moment(20_000), &[Ok]),
    ];
    for (name, check, events, expected) in cases {
        let (outcome, Cost { median: busy, .. }) = judge(check, &events, &limits);
        println!("{name}: {outcome:?} in {busy:?}");
        assert!(expected.contains(&outcome), "{name}: {outcome:?}");
        assert!(busy <= timeout + SLACK, "{name}: {busy:?}");
    }
}

#[test]
fn sequential_consistency_stays_within_its_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let memory = 4 << 20;
    let events = adversary::five_values(8_000);
    for timeout in [Duration::from_millis(500), Duration::from_secs(600)] {
        let limits = Limits { memory, timeout };
        let (outcome, Cost { peak, median }) = judge(SEQUENTIAL, &events, &limits);
        println!("{outcome:?} in {median:?}: {:.2} MiB held", peak as f64 / f64::from(1 << 20));
        assert_ne!(outcome, Outcome::Violated);
        // The history's operations, as the check keeps them, are beside the budget.
        assert!(peak <= FACTOR * memory + BESIDE + 256 * events.len(), "{peak} bytes held");
    }
}

#[test]
fn large_states_count() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let memory = 8 << 20;
    let limits = Limits { memory, timeout: Duration::from_secs(600) };
    let events = adversary::large_sets(3_000);
    let (outcome, Cost { peak, .. }) = judge(SET, &events, &limits);
    println!("{outcome:?}: {:.2} MiB held", peak as f64 / f64::from(1 << 20));
    assert_eq!(outcome, Outcome::Unknown);
    assert!(peak <= FACTOR * memory + BESIDE + 256 * events.len(), "{peak} bytes held");
}

#[test]
fn a_core_that_is_too_large_to_verify_is_not_held_either() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let memory = 4 << 20;
    let limits = Limits { memory, timeout: Duration::from_millis(50) };
    let events = adversary::large_core(10_000);
    let (outcome, Cost { peak, .. }) = judge(REGISTER, &events, &limits);
    println!("{outcome:?}: {:.2} MiB held", peak as f64 / f64::from(1 << 20));
    assert_ne!(outcome, Outcome::Ok);
    assert!(peak <= FACTOR * memory + BESIDE + 512 * events.len(), "{peak} bytes held");
}

#[test]
fn watches_and_sessions_stay_within_their_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let memory = 4 << 20;
    let limits = |memory| Limits { memory, timeout: Duration::from_secs(600) };
    let cases: [(&str, Check, Growing); 15] = [
        ("told", WATCH, |n| adversary::told(n, 1)),
        ("told by three", WATCH, |n| adversary::told(n, 3)),
        ("watches of everything", WATCH, |n| adversary::watches(n, adversary::everything)),
        ("unplaced", WATCH, |n| adversary::unplaced(n, adversary::no_prefix)),
        ("the same put", WATCH, adversary::the_same_put),
        ("after their watches", WATCH, adversary::after_their_watches),
        ("placed", WATCH, adversary::placed),
        ("a part in common", WATCH, adversary::a_part_in_common),
        ("parts of the same", WATCH, adversary::parts_of_the_same),
        ("one revision", WATCH, |n| adversary::one_revision(n, true)),
        ("back and forth", SESSION, adversary::back_and_forth),
        ("five values", SESSION, adversary::five_values),
        ("one moment", SESSION, adversary::one_moment),
        ("reads reversed", SESSION, adversary::reads_reversed),
        ("unanswered chain", SESSION, adversary::unanswered_chain),
    ];
    for (name, check, make) in cases {
        let (mut decided, mut unknown) = (0, 0);
        // As a history grows, it ends as unknown before more is held than there may be.
        for length in (0..9).map(|doubled| 125 << doubled) {
            let events = make(length);
            let (reasons, Cost { peak, .. }) = reasons(check, &events, &limits(memory));
            assert!(peak <= FACTOR * memory, "{name}, {length}: {peak} bytes held");
            match reasons.is_empty() {
                true => decided += 1,
                false => unknown += 1,
            }
            for reason in &reasons {
                let expected = "the memory budget of 4 MiB is less than the ";
                assert!(reason.starts_with(expected), "{name}, {length}: {reason}");
            }
            if unknown == 1 {
                let (_, Cost { peak, .. }) = judge(check, &events, &limits(usize::MAX));
                println!("{name}: unknown from {length} on, which take {peak} bytes");
                assert!(peak >= memory / 4, "{name}, {length}: it gave up too early");
            }
        }
        assert!(decided > 0 && unknown > 0, "{name}: {decided} decided, {unknown} not");
    }
}

/// Why properties are not known for want of time or memory.
fn reasons(check: Check, events: &[generic::Event], limits: &Limits) -> (Vec<String>, Cost) {
    let operations = generic::pair(events).unwrap();
    let (cost, properties) = measure(1, || check(&operations, limits));
    let spent = properties.into_iter().filter(|property| {
        property.outcome == Outcome::Unknown && property.detail.contains("budget")
    });
    (spent.map(|property| property.detail).collect(), cost)
}

#[test]
fn nothing_is_said_of_watches_and_sessions_for_which_there_is_no_budget() {
    let cases: [(Check, Vec<generic::Event>); 2] =
        [(WATCH, adversary::told(10, 2)), (SESSION, adversary::five_values(10))];
    let (memory, timeout) = (Limits::default().memory, Limits::default().timeout);
    for (check, events) in cases {
        for (limits, says) in [
            (
                Limits { memory: 0, timeout },
                "the memory budget of 0 MiB is less than the 1 MiB that the check takes",
            ),
            (Limits { memory, timeout: Duration::ZERO }, "the time budget was used up"),
        ] {
            let properties = check(&generic::pair(&events).unwrap(), &limits);
            assert!(properties.len() > 5);
            for property in properties {
                assert_eq!(property.outcome, Outcome::Unknown, "{property:?}");
                assert_eq!(property.detail, says);
            }
        }
    }
}

#[test]
fn watches_are_checked_in_almost_linear_time() {
    use adversary::{every_prefix, everything, no_prefix, nothing};
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Where time went with the square, each of these took at least twice as long.
    let limits = Limits { timeout: Duration::from_secs(5), ..Limits::default() };
    let cases: [(&str, Vec<generic::Event>); 9] = [
        ("watches of everything", adversary::watches(40_000, everything)),
        ("watches of a prefix", adversary::watches(40_000, every_prefix)),
        ("unplaced, other keys", adversary::unplaced(60_000, nothing)),
        ("unplaced, other prefixes", adversary::unplaced(60_000, no_prefix)),
        ("the same put", adversary::the_same_put(100_000)),
        ("after their watches", adversary::after_their_watches(60_000)),
        ("a part in common", adversary::a_part_in_common(20_000)),
        ("one revision", adversary::one_revision(60_000, false)),
        ("one revision, deletes", adversary::one_revision(60_000, true)),
    ];
    for (name, events) in cases {
        let (reasons, Cost { median: busy, .. }) = reasons(WATCH, &events, &limits);
        println!("{name}: {busy:?}");
        assert!(reasons.is_empty(), "{name}: {reasons:?}");
    }
}
