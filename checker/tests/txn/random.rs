//! Random histories: legal ones are never reported, and of small ones the verdict is that of all
//! orders tried.

use std::collections::BTreeMap;

use checker::{
    budget::Limits,
    history::{
        Kind,
        generic::{Datum, Event, Operation, pair},
    },
    model::Interval,
    txn,
    verdict::Outcome,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    brute_force::serializable,
    generator::{Plan, Shape},
    script::{event, in_order},
    taken,
};

/// Histories to try.
fn histories(otherwise: u64) -> u64 {
    match std::env::var("CHECKER_HISTORIES") {
        Ok(count) => count.parse().expect("CHECKER_HISTORIES is the number of histories to try"),
        Err(_) => otherwise,
    }
}

#[test]
fn what_a_strictly_serializable_store_does_is_never_reported() {
    for seed in 0..histories(3_000) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let shape = Shape {
            transactions: random.random_range(1..60),
            clients: random.random_range(1..12),
            steps: random.random_range(1..6),
            keys: random.random_range(1..5),
            appends: random.random_range(1..20),
            crashed: random.random_range(0..300),
            failed: random.random_range(0..300),
            // Short: many moments are the same.
            pause: random.random_range(0..2),
            pace: random.random_range(1..50),
        };
        let plan = Plan::new(shape, seed);
        let events = plan.events();
        let property = txn::check(&pair(&events).unwrap(), &Limits::default()).unwrap();
        assert_eq!(property.outcome, Outcome::Ok, "seed {seed}: {property:#?}");
        let compact = plan.history().check(&Limits::default());
        assert_eq!(compact, property, "seed {seed}");
    }
}

/// What a store without isolation did: a step at a time, sometimes after the client has gone,
/// sometimes for transactions that it said had failed; and answers are spoilt.
fn careless(random: &mut ChaCha8Rng) -> Vec<Event> {
    let (count, keys) = (random.random_range(1..=5), random.random_range(1..=3));
    let span = random.random_range(1..=20u64);
    let length = random.random_range(1..=span);
    let together = random.random_range(0.0..=1.0);
    let (late, betrayed, spoilt) = (
        random.random_bool(0.3),
        random.random_bool(0.1),
        if random.random_bool(0.3) { 0.2 } else { 0.0 },
    );
    let mut unique = 0;
    let mut spans = Vec::new();
    let mut steps: Vec<Vec<Vec<Datum>>> = Vec::new();
    let mut moments = Vec::new();
    for transaction in 0..count {
        let call = random.random_range(0..span);
        let ret = call + random.random_range(0..length);
        let kind = match random.random_range(0..20) {
            0..15 => Kind::Ok,
            15..18 => Kind::Info,
            _ => Kind::Fail,
        };
        spans.push((call, ret, kind));
        let happens = match kind {
            Kind::Fail => betrayed,
            Kind::Info => random.random_bool(0.6),
            _ => true,
        };
        let last = if late || kind == Kind::Info { span + 5 } else { ret };
        let point = random.random_range(call..=last);
        let atomic = random.random_bool(together);
        let mut own = Vec::new();
        for step in 0..random.random_range(1..=3) {
            let key = Datum::Int(random.random_range(0..keys));
            own.push(if random.random_bool(0.5) {
                unique += 1;
                vec![Datum::Text("append".into()), key, Datum::Int(unique)]
            } else {
                vec![Datum::Text("r".into()), key, Datum::Nil]
            });
            if happens {
                let point = if atomic { point } else { random.random_range(call..=last) };
                moments.push((point, transaction, step));
            }
        }
        steps.push(own);
    }
    moments.sort_unstable();
    let asked = steps.clone();
    let mut lists: BTreeMap<Datum, Vec<Datum>> = BTreeMap::new();
    for (_, transaction, step) in moments {
        let [f, key, value] = &mut steps[transaction][step][..] else { unreachable!() };
        let list = lists.entry(key.clone()).or_default();
        if f.text() == Some("append") {
            list.push(value.clone());
        } else {
            let mut list = list.clone();
            if random.random_bool(spoilt) {
                spoil(&mut list, random);
            }
            *value = Datum::List(list);
        }
    }
    let whole = |steps: &[Vec<Datum>]| {
        Datum::List(steps.iter().map(|step| Datum::List(step.clone())).collect())
    };
    let mut events = Vec::new();
    // Who was told nothing does nothing more.
    let told = |at: usize| spans[at].2 != Kind::Info;
    let mut intervals: Vec<Interval<()>> = (0..spans.len())
        .map(|at| Interval {
            operation: (),
            call: spans[at].0,
            ret: told(at).then_some(spans[at].1),
        })
        .collect();
    let taken = taken::processes(&intervals, random);
    for (interval, span) in intervals.iter_mut().zip(&spans) {
        interval.ret = Some(span.1);
    }
    for (at, returns) in taken::lines(&intervals, &taken, random) {
        let (call, ret, kind) = spans[at];
        let process = taken[at].process;
        let asked = whole(&asked[at]);
        let answer = if kind == Kind::Ok { whole(&steps[at]) } else { asked.clone() };
        events.push(match returns {
            false => event(call, process, Kind::Invoke, asked),
            true => event(ret, process, kind, answer),
        });
    }
    in_order(events)
}

fn spoil(list: &mut Vec<Datum>, random: &mut ChaCha8Rng) {
    let at = random.random_range(0..=list.len());
    let inside = at.min(list.len().saturating_sub(1));
    match random.random_range(0..5) {
        0 => list.truncate(at),
        1 if list.len() > 1 => list.swap(0, inside),
        2 => list.insert(at, Datum::Int(random.random_range(1..=8))),
        3 if at < list.len() => drop(list.remove(at)),
        _ => list.push(Datum::Int(random.random_range(1..=8))),
    }
}

/// The events, one a line.
fn told(events: &[Event]) -> String {
    let line = |event: &Event| {
        let Event { time, process, kind, value, .. } = event;
        format!("{time} {process} {kind:?} {value}\n")
    };
    events.iter().map(line).collect()
}

#[test]
fn of_small_histories_the_verdict_is_that_of_all_orders_tried() {
    let (mut legal, mut illegal, mut by_turns) = (0, 0, 0);
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..histories(20_000) {
        let events = careless(&mut ChaCha8Rng::seed_from_u64(seed));
        let operations = pair(&events).unwrap();
        let property = txn::check(&operations, &Limits::default()).unwrap();
        let expected = match serializable(&operations) {
            true => Outcome::Ok,
            false => Outcome::Violated,
        };
        assert_eq!(property.outcome, expected, "seed {seed}: {property:#?}\n{}", told(&events));
        match expected {
            Outcome::Ok => legal += 1,
            _ => illegal += 1,
        }
        let apart: Vec<Operation> = (0..)
            .zip(&operations)
            .map(|(process, operation)| Operation { process, ..*operation })
            .collect();
        by_turns += u64::from(expected == Outcome::Violated && serializable(&apart));
        assert_eq!(property.violations.is_empty(), expected == Outcome::Ok, "seed {seed}");
        for violation in property.violations {
            *names.entry(violation.rule).or_default() += 1;
        }
    }
    println!("{legal} legal, {illegal} illegal, {by_turns} only not in turn: {names:?}");
    // That the test means something: both verdicts, and every name there is.
    assert!(legal * 10 > illegal && illegal * 10 > legal, "{legal} legal, {illegal} illegal");
    assert!(names.len() >= 14, "{names:?}");
}
