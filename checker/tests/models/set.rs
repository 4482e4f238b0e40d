//! Sets.

use std::collections::BTreeSet;

use checker::{
    linear::{
        certificate,
        elements::{self, Wrong},
        grow_only_set::{Conflict, Found, decide},
    },
    model::{
        Interval,
        set::{
            Operation::{self, Add, Read, Remove},
            Set,
        },
    },
};
use rand::{Rng, RngExt};

use crate::small::{
    Fate, brute_force, core, histories, history, is_proved, part_proves, searched, seeded,
};

/// A history of a set; answers are true but for a few.
fn random(seed: u64, most: usize) -> Vec<Interval<Operation>> {
    let mut random = seeded(seed);
    let elements = random.random_range(1..=6);
    let removes = random.random_bool(0.3);
    let lies = if random.random_bool(0.3) { 0.0 } else { 0.4 };
    let mut set = BTreeSet::new();
    history(&mut random, most, |random, fate| {
        let element = random.random_range(0..elements);
        match random.random_range(0..10) {
            0..5 => {
                if fate != Fate::Lost {
                    set.insert(element);
                }
                Add(element)
            }
            5 if removes => {
                if fate != Fate::Lost {
                    set.remove(&element);
                }
                Remove(element)
            }
            _ => Read(seen(random, &set, element, lies)),
        }
    })
}

fn seen(random: &mut impl Rng, set: &BTreeSet<usize>, other: usize, lies: f64) -> Box<[usize]> {
    let mut seen = set.clone();
    if random.random_bool(lies) && !seen.remove(&other) {
        seen.insert(other);
    }
    seen.into_iter().collect()
}

#[test]
fn agrees_with_brute_force() {
    let histories = histories(20_000);
    let (mut linearizable, mut illegal, mut named) = (0, 0, 0);
    for seed in 0..histories {
        let intervals = random(seed, 7);
        let expected = brute_force(&Set, &intervals);
        assert_eq!(searched(&Set, &intervals), expected, "seed {seed}: {intervals:#?}");
        match decide(&intervals) {
            Found::Linearizable(order) => {
                assert!(expected, "seed {seed}: {intervals:#?}");
                assert_eq!(elements::find(&intervals), [], "seed {seed}: {intervals:#?}");
                assert!(certificate::verify(&Set, &intervals, &order), "seed {seed}");
                linearizable += 1;
            }
            Found::Illegal(conflict) => {
                assert!(!expected, "seed {seed}: {conflict:?} in {intervals:#?}");
                let added = |one: &Operation, of: &Operation| match (one, of) {
                    (Add(element), Read(members)) => members.contains(element),
                    _ => false,
                };
                let core = core(&intervals, &conflict.operations(), added);
                assert!(!brute_force(&Set, &core), "seed {seed}: {conflict:?}, not in {core:#?}");
                is_proved(&Set, &intervals, conflict.part(&intervals), &conflict.operations());
                for finding in elements::find(&intervals) {
                    named += 1;
                    let needed = match finding.wrong {
                        Wrong::Lost { known, read } => vec![known, read],
                        Wrong::Resurrected { known, read, again } => vec![known, read, again],
                        Wrong::Duplicated { read } | Wrong::NeverAdded { read } => vec![read],
                    };
                    let core = crate::small::core(&intervals, &needed, added);
                    assert!(!brute_force(&Set, &core), "seed {seed}: {finding:?} in {core:#?}");
                }
                illegal += 1;
            }
            Found::Undecided => {
                let removed = intervals.iter().any(|i| matches!(i.operation, Remove(_)));
                assert!(removed, "seed {seed}: undecided: {intervals:#?}");
            }
        }
    }
    println!(
        "{histories} histories: {linearizable} linearizable, {illegal} illegal, no mismatch, {named} elements named"
    );
    assert!(named > illegal / 2, "few elements are named: {named} in {illegal}");
    assert!(linearizable > histories / 4 && illegal > histories / 6, "the histories prove little");
}

#[test]
fn what_refutes_a_part_refutes_the_whole() {
    let histories = histories(20_000);
    let mut refuted = 0;
    for seed in 0..histories {
        let intervals = random(seed, 7);
        if intervals.is_empty() {
            continue;
        }
        // The part that any two operations are about, whether they are a conflict or not.
        let mut random = seeded(!seed);
        let mut any = || random.random_range(0..intervals.len());
        let part = Conflict::Backwards(any(), any()).part(&intervals);
        if part_proves(&Set, &intervals, part, &mut random) {
            refuted += 1;
            assert!(!brute_force(&Set, &intervals), "seed {seed}: {intervals:#?}");
        }
    }
    println!("{histories} parts, {refuted} of them without an order");
    assert!(refuted > histories / 100, "the parts prove little");
}
