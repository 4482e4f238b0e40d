//! The decider against one that tries every order of operations, with a store of its own.

use checker::{budget::Limits, history::generic, judge::front, verdict::Outcome as Verdict};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    doctor::doctor,
    generate::{Op, Outcome, Shape, events, legal},
    naive::Naive,
};

/// Whether the operations, by call, have an order.
fn is_legal(ops: &[Op]) -> bool {
    let ops: Vec<&Op> = ops
        .iter()
        .filter(|op| !op.request.is_read() || !matches!(op.outcome, Outcome::Unknown))
        .collect();
    order(&ops, &mut vec![false; ops.len()], &Naive::default())
}

fn precedes(ops: &[&Op], one: usize, other: usize) -> bool {
    !matches!(ops[one].outcome, Outcome::Unknown)
        && (ops[one].ret < ops[other].call || one < other && ops[one].process == ops[other].process)
}

fn order(ops: &[&Op], taken: &mut Vec<bool>, store: &Naive) -> bool {
    let open = |taken: &[bool], at: usize| !taken[at];
    let missing =
        (0..ops.len()).any(|at| open(taken, at) && !matches!(ops[at].outcome, Outcome::Unknown));
    if !missing {
        return true;
    }
    for at in 0..ops.len() {
        if taken[at] || (0..ops.len()).any(|one| open(taken, one) && precedes(ops, one, at)) {
            continue;
        }
        if let Some(after) = after(ops[at], store) {
            taken[at] = true;
            if order(ops, taken, &after) {
                return true;
            }
            taken[at] = false;
        }
    }
    false
}

/// The store after an operation that may be answered so.
fn after(op: &Op, store: &Naive) -> Option<Naive> {
    let now = store.revision();
    let mut next = store.clone();
    let answered = match &op.outcome {
        Outcome::Ok(response) if op.request.is_serializable() => {
            (1..=now).any(|at| store.read(&op.request, at).as_ref() == Ok(response))
        }
        Outcome::Refused(refusal) if op.request.is_serializable() => {
            (1..=now).any(|at| store.read(&op.request, at).as_ref() == Err(refusal))
        }
        Outcome::Ok(response) => next.execute(&op.request).as_ref() == Ok(response),
        Outcome::Refused(refusal) => next.execute(&op.request).as_ref() == Err(refusal),
        Outcome::Unknown => {
            let _ = next.execute(&op.request);
            true
        }
    };
    answered.then_some(next)
}

pub(crate) fn decide(ops: &[Op]) -> (Verdict, String) {
    let events = events(ops);
    let operations = generic::pair(&events).unwrap();
    let property = front::etcd::check(&operations, &Limits::default()).unwrap();
    let words = property.violations.first().map_or(property.detail, |first| first.summary.clone());
    (property.outcome, words)
}

fn shape(random: &mut impl Rng) -> Shape {
    Shape {
        operations: random.random_range(1..9),
        processes: random.random_range(1..4),
        keys: random.random_range(1..4),
        unknown: *[0.0, 0.2, 0.5, 0.8].get(random.random_range(0..4)).unwrap(),
        spread: random.random_range(1..6),
    }
}

fn show(ops: &[Op]) -> String {
    events(ops).iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
}

/// Seeds from the environment, or a few: `ETCD_SEEDS=1000..2000`.
fn seeds() -> std::ops::Range<u64> {
    let text = std::env::var("ETCD_SEEDS").unwrap_or_else(|_| "0..6000".into());
    let (first, last) = text.split_once("..").unwrap();
    first.parse().unwrap()..last.parse().unwrap()
}

#[test]
fn verdicts_are_those_of_all_orders() {
    let (mut held, mut violated) = (0, 0);
    for seed in seeds() {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let shape = shape(random);
        let mut ops = legal(random, shape);
        let (verdict, words) = decide(&ops);
        let nothing = ops.iter().all(|op| matches!(op.outcome, Outcome::Unknown));
        assert!(verdict == Verdict::Ok, "seed {seed}: {words}\n{}", show(&ops));
        let times = random.random_range(1..3);
        (0..times).for_each(|_| doctor(random, &mut ops));
        let legal = is_legal(&ops);
        let (verdict, words) = decide(&ops);
        let expected = if legal { Verdict::Ok } else { Verdict::Violated };
        assert_eq!(verdict, expected, "seed {seed}: {words}\n{}", show(&ops));
        held += u64::from(legal && !nothing);
        violated += u64::from(!legal);
    }
    assert!(held > 500 && violated > 500, "{held} held, {violated} violated");
}

/// Long histories in which many outcomes are unknown: every legal one holds, and one lie is found.
#[test]
fn long_histories_are_decided() {
    let mut violated = 0;
    for seed in 0..12 {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let unknown = [0.0, 0.01, 0.1][seed as usize % 3];
        let keys = [3, 8, 20, 26][seed as usize % 4];
        let shape = Shape { operations: 1500, processes: 8, keys, unknown, spread: 20 };
        let mut ops = legal(random, shape);
        let (verdict, words) = decide(&ops);
        assert_eq!(verdict, Verdict::Ok, "seed {seed}: {words}");
        doctor(random, &mut ops);
        let (verdict, words) = decide(&ops);
        assert_ne!(verdict, Verdict::Unknown, "seed {seed}: {words}");
        violated += u64::from(verdict == Verdict::Violated);
    }
    assert!(violated > 5, "{violated}");
}
