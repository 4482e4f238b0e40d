//! Zones against brute force and against the search, and each of its verdicts by its own proof.

#![allow(clippy::unwrap_used)]

mod small;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use checker::{
    budget::Budget,
    linear::{
        certificate,
        search::{self, search},
        zones::{Conflict, Found, decide},
    },
    model::{
        Interval,
        register::{
            Operation::{self, Cas, Mismatch, Read, Write},
            Register,
        },
    },
};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use small::brute_force;

/// Histories to try.
fn histories(otherwise: u64) -> u64 {
    match std::env::var("CHECKER_HISTORIES") {
        Ok(count) => count.parse().expect("CHECKER_HISTORIES is the number of histories to try"),
        Err(_) => otherwise,
    }
}

/// A history of a register that writes each value once. Answers are those of a register at
/// random moments, but for a few; the order in the list says nothing.
fn distinct(random: &mut ChaCha8Rng, count: i64) -> Vec<Interval<Operation>> {
    let span = random.random_range(1..=3 * count as u64);
    let length = random.random_range(1..=span);
    let deletes = random.random_bool(0.5);
    let mut unique = 0;
    let mut planned: Vec<_> = (0..count)
        .map(|_| {
            unique += 1;
            let operation = match random.random_range(0..12) {
                0..5 => Read(None),
                5..8 => Write(Some(unique)),
                8 if deletes => Write(None),
                9 => Cas(None, unique),
                _ => Cas(Some(random.random_range(1..=count)), unique),
            };
            let call = random.random_range(0..span);
            let ret = call + random.random_range(0..length);
            let crashed = operation.written().is_some() && random.random_bool(0.15);
            Interval { operation, call, ret: (!crashed).then_some(ret) }
        })
        .collect();
    let mut moments: Vec<(u64, usize)> = (0..planned.len())
        .map(|at| (random.random_range(planned[at].call..=planned[at].ret.unwrap_or(span)), at))
        .collect();
    moments.sort_unstable();
    let wrong = if random.random_bool(0.5) { 0.0 } else { (3.0 / count as f64).min(1.0) };
    let mut state = None;
    for (_, at) in moments {
        let interval = &mut planned[at];
        if interval.ret.is_none() && random.random_bool(0.5) {
            continue;
        }
        let lie = random.random_bool(wrong);
        match interval.operation {
            Read(_) if lie => {
                let value = random.random_range(0..=count);
                interval.operation = Read((value > 0).then_some(value));
            }
            Read(_) => interval.operation = Read(state),
            // A client often expects what is there.
            Cas(_, new) if random.random_bool(0.6) => {
                interval.operation = Cas(state, new);
                state = Some(new);
            }
            Cas(expected, new) if expected == state || lie => state = Some(new),
            Cas(expected, _) => {
                interval.operation = Mismatch(expected);
                interval.ret.get_or_insert(interval.call + 1);
            }
            operation => state = operation.written().unwrap_or(state),
        }
    }
    planned.shuffle(random);
    planned
}

/// What a conflict speaks of, with all who wrote the values that these found, and all who found
/// what those without an answer wrote.
fn core(intervals: &[Interval<Operation>], conflict: &Conflict) -> Vec<Interval<Operation>> {
    let mut core = BTreeSet::from_iter(conflict.operations());
    let belongs = |core: &BTreeSet<usize>, at: usize| {
        core.iter().map(|&other| &intervals[other]).any(|other| {
            let wrote = intervals[at].operation.written().flatten();
            let found = intervals[at].operation.looked_for().flatten();
            (wrote.is_some() && other.operation.looked_for() == Some(wrote))
                || (other.ret.is_none()
                    && found.is_some()
                    && other.operation.written() == Some(found))
        })
    };
    loop {
        let more: Vec<usize> =
            (0..intervals.len()).filter(|at| !core.contains(at) && belongs(&core, *at)).collect();
        if more.is_empty() {
            return core.iter().map(|&at| intervals[at].clone()).collect();
        }
        core.extend(more);
    }
}

#[test]
fn agrees_with_brute_force() {
    let histories = histories(100_000);
    let (mut linearizable, mut illegal) = (0, 0);
    for seed in 0..histories {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = random.random_range(1..=8);
        let intervals = distinct(&mut random, count);
        let expected = brute_force(&intervals, &mut vec![false; intervals.len()], None);
        match decide(&intervals) {
            Found::Linearizable(order) if certificate::verify(&Register, &intervals, &order) => {
                assert!(expected, "seed {seed}: zones says ok of {intervals:#?}");
                linearizable += 1;
            }
            Found::Illegal(conflict) => {
                assert!(!expected, "seed {seed}: zones says {conflict:?} of {intervals:#?}");
                let core = core(&intervals, &conflict);
                let alone = brute_force(&core, &mut vec![false; core.len()], None);
                assert!(!alone, "seed {seed}: {conflict:?} is no conflict in {core:#?}");
                illegal += 1;
            }
            Found::Linearizable(_) | Found::Undecided => {
                // Without deletes and refusals the paper's theorem leaves nothing open.
                let beyond = |i: &Interval<_>| {
                    matches!(i.operation, Write(None) | Read(None) | Cas(None, _) | Mismatch(_))
                };
                assert!(intervals.iter().any(beyond), "seed {seed}: undecided: {intervals:#?}");
            }
        }
    }
    let undecided = histories - linearizable - illegal;
    println!(
        "{histories} histories: {linearizable} linearizable, {illegal} illegal, {undecided} passed \
         on, no mismatch"
    );
    assert!(linearizable > histories / 4 && illegal > histories / 5, "the histories prove little");
    assert!(undecided < histories / 20, "{undecided} of {histories} were passed on");
}

#[test]
fn agrees_with_the_search() {
    let histories = histories(6_000).div_ceil(5);
    let (mut linearizable, mut illegal) = (0, 0);
    for seed in 0..histories {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = random.random_range(10..=60);
        let intervals = distinct(&mut random, count);
        let deadline = Instant::now() + Duration::from_millis(200);
        let found = decide(&intervals);
        if let Found::Linearizable(order) = &found
            && !certificate::verify(&Register, &intervals, order)
        {
            continue;
        }
        match (found, search(&Register, &intervals, &Budget { memory: 1 << 24, deadline })) {
            (Found::Undecided, _) | (_, search::Found::Undecided { .. }) => {}
            (Found::Linearizable(_), search::Found::Linearizable(_)) => linearizable += 1,
            (Found::Illegal(_), search::Found::Illegal(_)) => illegal += 1,
            (found, other) => panic!("seed {seed}: zones says {found:?}, the search {other:?}"),
        }
    }
    println!("{histories} histories: both linearizable {linearizable}, both illegal {illegal}");
    assert!(
        linearizable > histories / 10 && illegal > histories / 10,
        "the histories prove little"
    );
}

fn interval(operation: Operation, call: u64, ret: u64) -> Interval<Operation> {
    Interval { operation, call, ret: Some(ret) }
}

#[test]
fn each_conflict_is_named() {
    let stale = [
        interval(Write(Some(1)), 0, 1),
        interval(Write(Some(2)), 2, 3),
        interval(Read(Some(1)), 4, 5),
    ];
    let by = |position| {
        Found::Illegal(Conflict::Interrupted { from: 0, to: 2, by: (position, position) })
    };
    assert_eq!(decide(&stale), by(1));
    let deleted = [stale[0].clone(), interval(Write(None), 2, 3), interval(Read(Some(1)), 4, 5)];
    assert_eq!(decide(&deleted), by(1));
    let twice =
        [stale[0].clone(), interval(Cas(Some(1), 2), 2, 3), interval(Cas(Some(1), 3), 4, 5)];
    assert_eq!(decide(&twice), Found::Illegal(Conflict::SetTwice(1, 2)));
    let cycle = [interval(Cas(Some(2), 1), 0, 9), interval(Cas(Some(1), 2), 0, 9)];
    assert_eq!(decide(&cycle), Found::Illegal(Conflict::Cycle(0)));
    let backwards = [interval(Write(Some(1)), 5, 6), interval(Read(Some(1)), 0, 4)];
    assert_eq!(decide(&backwards), Found::Illegal(Conflict::Backwards(0, 1)));
    assert_eq!(decide(&backwards[1..]), Found::Illegal(Conflict::NeverWritten(0)));
}

#[test]
fn moments_that_touch_are_concurrent() {
    let touching = [
        interval(Write(Some(1)), 0, 1),
        interval(Write(Some(2)), 1, 3),
        interval(Read(Some(1)), 3, 4),
        interval(Cas(Some(1), 3), 4, 4),
        interval(Read(Some(2)), 4, 5),
    ];
    assert!(matches!(decide(&touching[..3]), Found::Linearizable(_)));
    assert!(matches!(decide(&touching[..4]), Found::Linearizable(_)));
    assert!(matches!(decide(&touching), Found::Illegal(_)));
}

#[test]
fn a_value_written_twice_is_passed_on() {
    let twice = [interval(Write(Some(1)), 0, 1), interval(Write(Some(1)), 2, 3)];
    assert_eq!(decide(&twice), Found::Undecided);
}
