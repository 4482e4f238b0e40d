//! Stores of texts.

use checker::{
    budget::Limits,
    history::generic,
    judge::front,
    linear::{
        append_text::{Conflict, Found, decide},
        certificate, witness,
    },
    model::{
        Interval, Model,
        kv::{
            Kv,
            Operation::{self, Append, Cas, Delete, Get, Mismatch, Put},
            Seen,
        },
    },
    verdict::Outcome,
};
use rand::RngExt;

use crate::porcupine;
use crate::small::{
    Fate, brute_force, core, histories, history, is_proved, part_proves, searched, seeded,
};

/// Pieces that are told apart, and pieces that are not.
const DISTINCT: [&str; 9] = ["a0", "b1", "c2", "d3", "e4", "f5", "g6", "h7", "i8"];
const ALIKE: [&str; 4] = ["a", "aa", "b", "ab"];

/// A text that lives as long as the tests do.
fn keep(text: &str) -> &'static str {
    Box::leak(text.into())
}

/// A history of one key; answers are true but for a few.
fn random(seed: u64, most: usize, plain: bool) -> Vec<Interval<Operation<'static>>> {
    let mut random = seeded(seed);
    let distinct = plain || random.random_bool(0.3);
    let lies = if random.random_bool(0.3) { 0.0 } else { 0.4 };
    let puts = random.random_range(0.0..0.4);
    let others: &[&str] = if random.random_bool(0.5) { &ALIKE } else { &DISTINCT[..4] };
    let mut text: Option<String> = None;
    let mut next = 0;
    history(&mut random, most, |random, fate| {
        next += 1;
        let piece = if distinct { DISTINCT[next - 1] } else { others[random.random_range(0..4)] };
        let operation = match random.random_range(0..if plain { 8 } else { 10 }) {
            0..4 => {
                if !random.random_bool(lies) {
                    return Get(text.as_deref().map(keep));
                }
                let mut seen = text.clone().unwrap_or_default();
                // Half of the lies are old or new, the others never were.
                match random.random_range(0..4) {
                    0 => seen.truncate(seen.len() / 4 * 2),
                    1 => seen.push_str(DISTINCT[random.random_range(0..9)]),
                    2 => seen.insert_str(0, DISTINCT[random.random_range(0..9)]),
                    _ => seen.clear(),
                }
                // An empty text is none that is absent.
                return Get((!seen.is_empty() || random.random_bool(0.1)).then(|| keep(&seen)));
            }
            4..8 if random.random_bool(puts) => Put(piece),
            4..8 => Append(piece),
            8 => Delete,
            _ => {
                let seen = text.as_deref().map(keep);
                let expected = if random.random_bool(0.7) { seen } else { Some("a") };
                let new = random.random_bool(0.8).then_some(piece);
                if seen != expected && fate == Fate::Answered && !random.random_bool(lies) {
                    return Mismatch(expected);
                }
                Cas(expected, new)
            }
        };
        if fate != Fate::Lost
            && let Some(after) = Kv::default().apply(&text.clone().map(Into::into), &operation)
        {
            text = after.map(|text| text.to_string());
        }
        operation
    })
    .into_iter()
    .filter(|i| i.ret.is_some() || !matches!(i.operation, Get(_) | Mismatch(_)))
    .collect()
}

#[test]
fn appends_agree_with_brute_force() {
    let histories = histories(20_000);
    let (mut linearizable, mut illegal) = (0, 0);
    for seed in 0..histories {
        let intervals = random(seed, 8, true);
        let expected = brute_force(&Kv::default(), &intervals);
        match decide(&intervals) {
            Found::Linearizable(order) => {
                assert!(expected, "seed {seed}: {intervals:#?}");
                assert!(certificate::verify(&Kv::default(), &intervals, &order), "seed {seed}");
                linearizable += 1;
            }
            Found::Illegal(conflict) => {
                assert!(!expected, "seed {seed}: {conflict:?} in {intervals:#?}");
                let written = |one: &Operation, of: &Operation| match (one, of) {
                    (Put(piece) | Append(piece), Get(Some(text))) => text.contains(piece),
                    _ => false,
                };
                let core = core(&intervals, &conflict.operations(), written);
                let alone = brute_force(&Kv::default(), &core);
                assert!(!alone, "seed {seed}: {conflict:?}, not in {core:#?}");
                let part = conflict.part(&intervals);
                is_proved(&Kv::default(), &intervals, |o| part.of(o), &conflict.operations());
                illegal += 1;
            }
            Found::Undecided => panic!("seed {seed}: undecided: {intervals:#?}"),
        }
    }
    println!("{histories} histories: {linearizable} linearizable, {illegal} illegal, no mismatch");
    assert!(linearizable > histories / 4 && illegal > histories / 6, "the histories prove little");
}

#[test]
fn what_refutes_a_part_refutes_the_whole() {
    let histories = histories(20_000);
    let mut refuted = 0;
    for seed in 0..histories {
        let intervals = random(seed, 8, true);
        if intervals.is_empty() {
            continue;
        }
        // The part that any three operations are about, whether they are a conflict or not.
        let mut random = seeded(!seed);
        let mut any = || random.random_range(0..intervals.len());
        let conflict = Conflict::Backwards { first: any(), second: any(), shown: Some(any()) };
        let part = conflict.part(&intervals);
        if part_proves(&Kv::default(), &intervals, |o| part.of(o), &mut random) {
            refuted += 1;
            assert!(!brute_force(&Kv::default(), &intervals), "seed {seed}: {intervals:#?}");
        }
    }
    println!("{histories} parts, {refuted} of them without an order");
    assert!(refuted > histories / 100, "the parts prove little");
}

#[test]
fn the_search_agrees_with_brute_force() {
    let histories = histories(20_000);
    let (mut linearizable, mut illegal) = (0, 0);
    for seed in 0..histories {
        let intervals = random(seed, 7, false);
        let expected = brute_force(&Kv::default(), &intervals);
        let seen = Seen::by(&intervals);
        assert_eq!(searched(&Kv::default(), &intervals), expected, "seed {seed}: {intervals:#?}");
        assert_eq!(searched(&seen, &intervals), expected, "seed {seed}: {intervals:#?}");
        match decide(&intervals) {
            Found::Linearizable(_) => assert!(expected, "seed {seed}: {intervals:#?}"),
            Found::Illegal(conflict) => {
                assert!(!expected, "seed {seed}: {conflict:?} in {intervals:#?}");
            }
            Found::Undecided => {}
        }
        if expected { linearizable += 1 } else { illegal += 1 }
    }
    println!("{histories} histories: {linearizable} linearizable, {illegal} illegal, no mismatch");
    assert!(linearizable > histories / 4 && illegal > histories / 6, "the histories prove little");
}

/// Revisions in the order of the calls, which is often a true one, and in any order.
#[test]
fn revisions_prove_only_what_brute_force_finds_too() {
    let histories = histories(20_000);
    let (mut proved, mut linearizable) = (0, 0);
    for seed in 0..histories {
        let intervals = random(seed, 7, false);
        let mut random = seeded(!seed);
        let lie = random.random_bool(0.5);
        let mut last = 0;
        let mut revision = |interval: &Interval<Operation<'_>>| {
            last += i64::from(!matches!(interval.operation, Get(_) | Mismatch(_)));
            interval.ret?;
            Some(if lie { random.random_range(0..4) } else { last })
        };
        let revisions: Vec<Option<i64>> = intervals.iter().map(&mut revision).collect();
        let seen = Seen::by(&intervals);
        let expected = brute_force(&Kv::default(), &intervals);
        linearizable += u64::from(expected);
        if witness::order(&seen, &intervals, &revisions)
            .is_some_and(|order| certificate::verify(&seen, &intervals, &order))
        {
            assert!(expected, "seed {seed}: {revisions:?} of {intervals:#?}");
            proved += 1;
        }
    }
    println!("{histories} histories: {linearizable} linearizable, {proved} by their revisions");
    assert!(proved > linearizable / 5, "revisions prove little: {proved} of {linearizable}");
}

/// The operations of a history of Porcupine's are decided, whole, as its name says.
#[test]
fn public_histories_get_their_known_verdicts() {
    let mut checked = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/kv")).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        if file.extension().unwrap() != "txt" {
            continue;
        }
        let events = porcupine::events(&std::fs::read_to_string(&file).unwrap());
        let operations = generic::pair(&events).unwrap();
        let property = front::kv::check(&operations, &Limits::default()).unwrap();
        let expected = if name.ends_with("-ok") { Outcome::Ok } else { Outcome::Violated };
        println!("{name}: {property:#?}");
        assert_eq!(property.outcome, expected, "{name}");
        checked += 1;
    }
    assert_eq!(checked, 5);
}
