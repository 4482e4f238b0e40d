//! The check of a history that is still being recorded.

use checker::{history::lines::Line, judge, verdict::Outcome as Verdict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    brute_force::decide,
    doctor::doctor,
    generate::{Op, Shape, events, legal},
};

/// The violation that is found while a history is recorded, with a second for each moment.
fn found(ops: &[Op]) -> Option<String> {
    let mut online = judge::online("etcd").unwrap();
    events(ops).into_iter().find_map(|mut event| {
        event.time *= 1_000_000_000;
        online.event(&Line::Generic(event)).map(|offence| offence.summary)
    })
}

#[test]
fn what_is_found_early_is_a_violation() {
    let (mut early, mut late) = (0, 0);
    for seed in 0..60 {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let shape = Shape { operations: 60, processes: 4, keys: 4, unknown: 0.05, spread: 5 };
        let mut ops = legal(random, shape);
        assert_eq!(found(&ops), None, "seed {seed}");
        doctor(random, &mut ops);
        let violated = decide(&ops).0 == Verdict::Violated;
        let found = found(&ops);
        assert!(violated || found.is_none(), "seed {seed}: {found:?}");
        early += u64::from(found.is_some());
        late += u64::from(violated);
    }
    assert!(early > 10 && early <= late, "{early} of {late}");
}
