//! The check of a history that is still being recorded, against the check of the whole.

#![allow(clippy::unwrap_used)]

mod generator;

use std::time::Duration;

use checker::{
    budget::Limits,
    history::{Event, Function, Kind, Value, operation},
    linear::{
        self,
        online::{Offence, Online},
    },
    verdict::Outcome,
};
use generator::Shape;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A few operations; of half of the histories some answers are spoilt.
fn small(seed: u64) -> Vec<Event> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shape = Shape {
        keys: random.random_range(1..3),
        clients: random.random_range(1..5),
        operations: random.random_range(3..16),
        values: random.random_bool(0.5).then_some(2),
        crashed: 150,
        crashed_writes: 0,
        revisions: false,
    };
    let mut history = generator::history(shape, seed);
    if random.random_bool(0.5) {
        for event in &mut history {
            let answered = event.kind == Kind::Ok && event.f == Function::Read;
            if answered && random.random_bool(0.2) {
                event.value = Value::Int(random.random_range(0..3));
            }
        }
    }
    history
}

fn whole(history: &[Event]) -> Outcome {
    let operations = operation::pair(history).unwrap();
    linear::check(&operations, &Limits::default()).outcome
}

/// What is found, and after how many events.
fn online(history: &[Event], patience: Duration) -> Option<(Offence, usize)> {
    let mut online = Online::new(patience);
    for (after, event) in (1..).zip(history) {
        if let Some(offence) = online.event(event) {
            return Some((offence, after));
        }
    }
    online.finish().map(|offence| (offence, history.len()))
}

fn histories(otherwise: u64) -> u64 {
    match std::env::var("CHECKER_HISTORIES") {
        Ok(count) => count.parse().expect("CHECKER_HISTORIES is the number of histories to try"),
        Err(_) => otherwise,
    }
}

#[test]
fn with_endless_patience_it_finds_what_the_check_of_the_whole_finds() {
    let mut violated = 0;
    for seed in 0..histories(20_000) {
        let history = small(seed);
        let found = online(&history, Duration::MAX);
        let expected = whole(&history) == Outcome::Violated;
        assert_eq!(found.is_some(), expected, "seed {seed}: {found:?}\n{history:#?}");
        violated += u64::from(expected);
    }
    assert!(violated * 10 > histories(20_000), "{violated} were violated");
}

#[test]
fn with_little_patience_it_accuses_nobody_wrongly() {
    let (mut found, mut missed) = (0, 0);
    for seed in 0..histories(20_000) {
        let history = small(seed);
        // The operations of these histories take about as long.
        let offence = online(&history, Duration::from_nanos(1000));
        match (offence, whole(&history)) {
            (Some(_), Outcome::Violated) => found += 1,
            (None, Outcome::Violated) => missed += 1,
            (offence, other) => assert!(offence.is_none(), "seed {seed}: {offence:?}, {other}"),
        }
    }
    assert!(found > missed, "{found} found, {missed} missed");
}

#[test]
fn what_it_holds_does_not_grow_with_the_history() {
    let shape = Shape {
        keys: 20,
        clients: 10,
        operations: 100_000,
        values: None,
        crashed: 0,
        crashed_writes: 0,
        revisions: false,
    };
    let mut online = Online::default();
    let mut most = 0;
    for event in &generator::history(shape, 1) {
        assert_eq!(online.event(event), None);
        most = most.max(online.held());
    }
    assert_eq!((online.finish(), online.held()), (None, 0));
    assert!((2..400).contains(&most), "{most} operations were held");
    assert_eq!(online.given_up().count(), 0);
}

#[test]
fn unknown_outcomes_do_not_stop_it() {
    let shape = Shape {
        keys: 20,
        clients: 10,
        operations: 50_000,
        values: None,
        crashed: 20,
        crashed_writes: 0,
        revisions: false,
    };
    let mut online = Online::default();
    for event in &generator::history(shape, 2) {
        assert_eq!(online.event(event), None);
    }
    assert_eq!(online.finish(), None);
    assert_eq!(online.given_up().collect::<Vec<_>>(), []);
}

#[test]
fn equal_operations_may_return_at_one_moment_in_any_order() {
    for seed in [45420, 360028] {
        let history = small(seed);
        assert_eq!(whole(&history), Outcome::Ok);
        assert_eq!(online(&history, Duration::MAX), None, "seed {seed}");
        assert_eq!(online(&history, Duration::from_nanos(1000)), None, "seed {seed}");
    }
}

#[test]
fn an_offence_is_told_once_the_next_event_is_there() {
    let event = |index: u64, process, kind, f, value| Event {
        index,
        time: 1_000_000 * index,
        process,
        kind,
        f,
        key: "k".into(),
        value,
        error: None,
        node: Some("n3".into()),
        revision: None,
    };
    let history = [
        event(0, 0, Kind::Invoke, Function::Write, Value::Int(7)),
        event(1, 0, Kind::Ok, Function::Write, Value::Int(7)),
        event(2, 0, Kind::Invoke, Function::Write, Value::Int(9)),
        event(3, 0, Kind::Ok, Function::Write, Value::Int(9)),
        event(4, 1, Kind::Invoke, Function::Read, Value::Nil),
        event(5, 1, Kind::Ok, Function::Read, Value::Int(7)),
        event(6, 0, Kind::Invoke, Function::Write, Value::Int(10)),
        event(7, 0, Kind::Ok, Function::Write, Value::Int(10)),
    ];
    let (offence, after) = online(&history, Duration::from_secs(1)).unwrap();
    assert_eq!((offence.event, after), (5, 7));
    assert_eq!(
        offence.summary,
        "n3 answered 7 for key k at 0.005 s although the value could only be 9"
    );
    // An operation that hangs holds it up for as long as its patience, and no longer.
    let mut hanging = history.to_vec();
    hanging[0].kind = Kind::Invoke;
    let hang = Event { process: 5, ..hanging[0].clone() };
    hanging.insert(0, Event { value: Value::Int(1), ..hang });
    for (index, event) in (0..).zip(&mut hanging) {
        event.index = index;
    }
    let (_, after) = online(&hanging, Duration::from_millis(2)).unwrap();
    assert_eq!(after, 8);
    assert_eq!(online(&hanging, Duration::from_secs(1)).unwrap().1, hanging.len());
}
