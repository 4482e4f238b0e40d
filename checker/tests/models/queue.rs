//! Queues.

use std::collections::VecDeque;

use checker::{
    linear::{
        certificate,
        queue::{Conflict, Found, decide},
    },
    model::{
        Interval,
        queue::{
            Operation::{self, Dequeue, Enqueue, Take},
            Queue,
        },
    },
};
use rand::RngExt;

use crate::small::{
    Fate, brute_force, core, histories, history, is_proved, part_proves, searched, seeded,
};

/// A history of a queue; answers are true but for a few.
fn random(seed: u64, most: usize, takes: bool) -> Vec<Interval<Operation>> {
    let mut random = seeded(seed);
    let repeated = random.random_bool(0.2);
    let lies = if random.random_bool(0.3) { 0.0 } else { 0.4 };
    let enqueues = random.random_range(0.3..0.7);
    let mut queue = VecDeque::new();
    let mut next = 0;
    history(&mut random, most, |random, fate| {
        if random.random_bool(enqueues) {
            next += 1;
            let value = if repeated { random.random_range(0..3) } else { next };
            if fate != Fate::Lost {
                queue.push_back(value);
            }
            return Enqueue(value);
        }
        if fate == Fate::Answered {
            // A lie takes what is not at the front, or finds an empty queue.
            if random.random_bool(lies) {
                if random.random_bool(0.3) {
                    return Dequeue(None);
                }
                let at = random.random_range(0..=queue.len());
                return Dequeue(Some(queue.remove(at).unwrap_or(random.random_range(1..=8))));
            }
            return Dequeue(queue.pop_front());
        }
        if fate == Fate::Unheard && takes {
            queue.pop_front();
        }
        if takes { Take } else { Dequeue(None) }
    })
}

fn compare(histories: u64, takes: bool) -> (u64, u64, u64) {
    let (mut linearizable, mut illegal, mut undecided) = (0, 0, 0);
    for seed in 0..histories {
        let mut intervals = random(seed, 8, takes);
        intervals.retain(|i| i.operation != Dequeue(None) || i.ret.is_some());
        let expected = brute_force(&Queue, &intervals);
        assert_eq!(searched(&Queue, &intervals), expected, "seed {seed}: {intervals:#?}");
        match decide(&intervals) {
            Found::Linearizable(order) => {
                assert!(expected, "seed {seed}: {intervals:#?}");
                assert!(certificate::verify(&Queue, &intervals, &order), "seed {seed}");
                linearizable += 1;
            }
            Found::Illegal(conflict) => {
                assert!(!expected, "seed {seed}: {conflict:?} in {intervals:#?}");
                let enqueued = |one: &Operation, of: &Operation| match (one, of) {
                    (Enqueue(one), Dequeue(Some(of))) => one == of,
                    _ => false,
                };
                let core = core(&intervals, &conflict.operations(), enqueued);
                assert!(!brute_force(&Queue, &core), "seed {seed}: {conflict:?}, not in {core:#?}");
                is_proved(&Queue, &intervals, conflict.part(&intervals), &conflict.operations());
                illegal += 1;
            }
            Found::Undecided => {
                let mut values: Vec<_> = intervals
                    .iter()
                    .filter_map(|i| match i.operation {
                        Enqueue(value) => Some(value),
                        _ => None,
                    })
                    .collect();
                values.sort_unstable();
                let distinct = values.windows(2).all(|pair| pair[0] != pair[1]);
                assert!(!distinct || takes, "seed {seed}: undecided: {intervals:#?}");
                undecided += u64::from(distinct);
            }
        }
    }
    (linearizable, illegal, undecided)
}

#[test]
fn agrees_with_brute_force() {
    let histories = histories(20_000);
    let (linearizable, illegal, _) = compare(histories, false);
    println!("{histories} histories: {linearizable} linearizable, {illegal} illegal, no mismatch");
    assert!(linearizable > histories / 4 && illegal > histories / 6, "the histories prove little");
}

#[test]
fn agrees_with_brute_force_where_dequeues_have_no_answer() {
    let histories = histories(20_000);
    let (linearizable, illegal, undecided) = compare(histories, true);
    println!(
        "{histories} histories: {linearizable} linearizable, {illegal} illegal, {undecided} of \
         distinct values passed on, no mismatch"
    );
    assert!(linearizable > histories / 4 && illegal > histories / 6, "the histories prove little");
    assert!(undecided < histories / 50, "{undecided} of {histories} were passed on");
}

#[test]
fn what_refutes_a_part_refutes_the_whole() {
    let histories = histories(20_000);
    let mut refuted = 0;
    for seed in 0..histories {
        let mut intervals = random(seed, 8, seed % 2 == 0);
        intervals.retain(|i| i.operation != Dequeue(None) || i.ret.is_some());
        if intervals.is_empty() {
            continue;
        }
        // The part that any two operations are about, whether they are a conflict or not.
        let mut random = seeded(!seed);
        let mut any = || random.random_range(0..intervals.len());
        let part = Conflict::Twice(any(), any()).part(&intervals);
        if part_proves(&Queue, &intervals, part, &mut random) {
            refuted += 1;
            assert!(!brute_force(&Queue, &intervals), "seed {seed}: {intervals:#?}");
        }
    }
    println!("{histories} parts, {refuted} of them without an order");
    assert!(refuted > histories / 100, "the parts prove little");
}
