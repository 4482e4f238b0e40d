//! Locks.

use checker::model::{
    Interval, Model,
    lock::{
        Lock,
        Operation::{self, Acquire, Held, Release},
    },
};
use rand::RngExt;

use crate::small::{Fate, brute_force, histories, history, searched, seeded};

/// A history of a lock; answers are true but for a few.
pub(crate) fn random(seed: u64, most: usize) -> Vec<Interval<Operation>> {
    let mut random = seeded(seed);
    let owners = random.random_range(0..=3);
    let lies = if random.random_bool(0.3) { 0.0 } else { 0.5 };
    let mut state = Lock.initial();
    history(&mut random, most, |random, fate| {
        let owner = random.random_range(0..=owners);
        let owner = (owner > 0).then_some(owner);
        let mut operation = if random.random_bool(0.5) { Acquire(owner) } else { Release(owner) };
        if fate == Fate::Answered && random.random_bool(0.5) {
            // What a client does that knows what it may do.
            let held = Lock.apply(&state, &Held).is_some();
            operation = match (held, random.random_bool(0.3)) {
                (true, true) => Held,
                (true, false) => [Release(owner), Release(None)]
                    .into_iter()
                    .find(|release| Lock.apply(&state, release).is_some())
                    .unwrap(),
                (false, _) => Acquire(owner),
            };
        }
        match Lock.apply(&state, &operation) {
            Some(after) if fate != Fate::Lost => state = after,
            None if fate == Fate::Answered && !random.random_bool(lies) => {
                operation = Acquire(owner);
                if let Some(after) = Lock.apply(&state, &operation) {
                    state = after;
                } else {
                    operation = Held;
                }
            }
            _ => {}
        }
        operation
    })
}

#[test]
fn agrees_with_brute_force() {
    let histories = histories(20_000);
    let (mut linearizable, mut illegal) = (0, 0);
    for seed in 0..histories {
        let intervals = random(seed, 8);
        let expected = brute_force(&Lock, &intervals);
        assert_eq!(searched(&Lock, &intervals), expected, "seed {seed}: {intervals:#?}");
        if expected { linearizable += 1 } else { illegal += 1 }
    }
    println!("{histories} histories: {linearizable} linearizable, {illegal} illegal, no mismatch");
    assert!(linearizable > histories / 4 && illegal > histories / 6, "the histories prove little");
}
