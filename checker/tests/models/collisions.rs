//! What is hashed is compared, too: models all of whose states and operations have one hash.

use std::hash::{Hash, Hasher};

use checker::model::{
    Effect, Interval, Model,
    lock::Lock,
    register::{Operation, Register},
};
use rand::RngExt;

use crate::{
    lock,
    small::{Fate, brute_force, histories, history, searched, seeded},
};

/// Has the hash of everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Same<T>(T);

impl<T> Hash for Same<T> {
    fn hash<H: Hasher>(&self, _hasher: &mut H) {}
}

struct Colliding<M>(M);

impl<M: Model> Model for Colliding<M> {
    type State = Same<M::State>;
    type Operation = Same<M::Operation>;

    fn initial(&self) -> Self::State {
        Same(self.0.initial())
    }

    fn apply(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State> {
        self.0.apply(&state.0, &operation.0).map(Same)
    }

    fn effect(&self, operation: &Self::Operation) -> Effect {
        self.0.effect(&operation.0)
    }

    fn leaves(&self, operation: &Self::Operation) -> Option<Self::State> {
        self.0.leaves(&operation.0).map(Same)
    }

    fn needs(&self, operation: &Self::Operation) -> Option<Self::State> {
        self.0.needs(&operation.0).map(Same)
    }
}

fn agrees<M: Model>(model: M, random: impl Fn(u64) -> Vec<Interval<M::Operation>>) {
    let histories = histories(5_000);
    let model = Colliding(model);
    let (mut linearizable, mut illegal) = (0, 0);
    for seed in 0..histories {
        let intervals: Vec<_> = random(seed)
            .into_iter()
            .map(|Interval { operation, call, ret }| Interval {
                operation: Same(operation),
                call,
                ret,
            })
            .collect();
        let expected = brute_force(&model, &intervals);
        assert_eq!(searched(&model, &intervals), expected, "seed {seed}: {intervals:#?}");
        if expected { linearizable += 1 } else { illegal += 1 }
    }
    println!("{histories} histories: {linearizable} linearizable, {illegal} illegal, no mismatch");
    assert!(linearizable > histories / 6 && illegal > histories / 6, "the histories prove little");
}

#[test]
fn locks_agree_with_brute_force() {
    agrees(Lock, |seed| lock::random(seed, 8));
}

#[test]
fn registers_agree_with_brute_force() {
    agrees(Register, |seed| {
        let mut random = seeded(seed);
        let lies = if random.random_bool(0.3) { 0.0 } else { 0.5 };
        let mut value = None;
        history(&mut random, 8, |random, fate| {
            let new = random.random_range(0..3);
            let operation = match random.random_range(0..4) {
                0 | 1 if fate == Fate::Answered && random.random_bool(lies) => {
                    Operation::Read(Some(new))
                }
                0 | 1 if fate == Fate::Answered => Operation::Read(value),
                1 => Operation::Cas(value, new),
                2 => Operation::Write(None),
                _ => Operation::Write(Some(new)),
            };
            if fate != Fate::Lost {
                value = Register.apply(&value, &operation).unwrap_or(value);
            }
            operation
        })
    });
}
