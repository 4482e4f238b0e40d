//! The decider against a brute-force one written for clarity, against public histories with known
//! verdicts, and at its limits.

#![allow(clippy::unwrap_used)]

mod generator;
mod small;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use checker::{
    budget::{Budget, Limits},
    history::{
        Event, Events, Function, Kind, Outcome, Value,
        generic::{self, Datum},
        operation, read, register,
    },
    linear::{
        self, Core, Decision, Key, certificate, decide, decide_register,
        search::{Found, Stuck, search},
    },
    model::{
        Interval, Model,
        register::{Operation, Register},
    },
    verdict,
};
use generator::Shape;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use small::brute_force;

/// A few operations at random, answers included; as often as not they are those of a register.
fn small(random: &mut ChaCha8Rng) -> Vec<Interval<Operation>> {
    let count = random.random_range(1..=7);
    let span = random.random_range(1..=14);
    let values = random.random_range(1..=4);
    let distinct = random.random_bool(0.3);
    let mut unique = 0;
    let mut intervals: Vec<_> = (0..count)
        .map(|_| {
            let mut value = |random: &mut ChaCha8Rng| {
                unique += 1;
                if distinct { unique } else { random.random_range(0..values) }
            };
            let any = |random: &mut ChaCha8Rng| {
                let value = random.random_range(0..=if distinct { count } else { values });
                (value > 0).then_some(value - i64::from(!distinct))
            };
            let operation = match random.random_range(0..10) {
                0..4 => Operation::Read(any(random)),
                4..7 => Operation::Write(Some(value(random))),
                7 => Operation::Write(None),
                8 => Operation::Cas(any(random), value(random)),
                _ if random.random_bool(0.02) => Operation::Contradiction(any(random)),
                _ => Operation::Mismatch(any(random)),
            };
            let call = random.random_range(0..span);
            let ret = call + random.random_range(0..span);
            let crashed = operation.written().is_some() && random.random_bool(0.2);
            Interval { operation, call, ret: (!crashed).then_some(ret) }
        })
        .collect();
    if random.random_bool(0.5) {
        answer(&mut intervals, random);
    }
    intervals
}

/// Gives the answers that a register would, but for one in ten.
fn answer(intervals: &mut [Interval<Operation>], random: &mut ChaCha8Rng) {
    let mut points: Vec<(u64, usize)> = intervals
        .iter()
        .enumerate()
        .map(|(at, i)| (random.random_range(i.call..=i.ret.unwrap_or(i.call + 10)), at))
        .collect();
    points.sort_unstable();
    let mut state = None;
    for (_, at) in points {
        let operation = &mut intervals[at].operation;
        match *operation {
            Operation::Read(_) if random.random_bool(0.9) => *operation = Operation::Read(state),
            Operation::Cas(expected, _) if expected != state => {
                *operation = Operation::Mismatch(expected);
                intervals[at].ret.get_or_insert(intervals[at].call + 1);
            }
            _ => {}
        }
        if let Some(after) = Register.apply(&state, &intervals[at].operation) {
            state = after;
        }
    }
}

fn budget() -> Budget {
    Budget { memory: 1 << 28, deadline: Instant::now() + Duration::from_secs(60) }
}

/// Revisions that are sometimes right.
fn revisions(intervals: &[Interval<Operation>], random: &mut ChaCha8Rng) -> Vec<Option<i64>> {
    let lies = random.random_bool(0.5);
    intervals
        .iter()
        .map(|interval| {
            interval.ret?;
            match interval.operation.looked_for().or(interval.operation.written()) {
                _ if lies => Some(random.random_range(1..8)),
                Some(Some(value)) => Some(value + 1),
                _ => None,
            }
        })
        .collect()
}

/// The same as operations of a history.
fn through_history(intervals: &[Interval<Operation>], revisions: &[Option<i64>]) -> Key {
    let operations: Vec<operation::Operation> = (0..)
        .zip(intervals.iter().zip(revisions))
        .map(|(index, (interval, &revision))| {
            let (f, argument, value) = match interval.operation {
                // As good as a read: what a compare-and-set found that looked for something else.
                Operation::Read(value) if index % 3 == 0 => {
                    let other = Some(if value == Some(8) { 7 } else { 8 });
                    (Function::Cas, Value::Pair(other, 9), Value::Found(value))
                }
                Operation::Read(value) => (Function::Read, Value::Nil, value.into()),
                Operation::Write(Some(value)) => (Function::Write, Value::Int(value), Value::Nil),
                Operation::Write(None) => (Function::Delete, Value::Nil, Value::Nil),
                Operation::Cas(expected, new) => {
                    (Function::Cas, Value::Pair(expected, new), Value::Nil)
                }
                Operation::Mismatch(expected) => {
                    (Function::Cas, Value::Pair(expected, 9), Value::Nil)
                }
                Operation::Contradiction(expected) => {
                    (Function::Cas, Value::Pair(expected, 9), Value::Found(expected))
                }
            };
            let outcome = match (interval.ret, interval.operation) {
                (None, _) => Outcome::Unknown { error: None },
                (Some(time), operation) => match value {
                    Value::Found(found) => Outcome::Mismatch { time, index, found: Some(found) },
                    _ if matches!(operation, Operation::Mismatch(_)) => {
                        Outcome::Mismatch { time, index, found: None }
                    }
                    value => Outcome::Ok { time, index, value, revision },
                },
            };
            let (process, key, node, call) = (index, "k", None, interval.call);
            operation::Operation { index, process, f, key, node, argument, call, outcome }
        })
        .collect();
    linear::check_key("k", &operations.iter().collect::<Vec<_>>(), &budget())
}

/// The operations of a core as they stand there: what returned later counts as unanswered.
fn cut<S>(intervals: &[Interval<Operation>], core: &Core<S>) -> Vec<Interval<Operation>> {
    let cut = |&at: &usize| Interval {
        ret: intervals[at].ret.filter(|ret| *ret <= core.until),
        ..intervals[at].clone()
    };
    core.operations.iter().map(cut).collect()
}

/// Whether a decision is right, and its proof one.
fn is_proved(
    intervals: &[Interval<Operation>],
    decision: &Decision<Option<i64>>,
    expected: bool,
) -> Result<usize, String> {
    match decision {
        Decision::Linearizable { order } if expected => {
            let valid = certificate::verify(&Register, intervals, order);
            valid.then_some(0).ok_or_else(|| "not an order".into())
        }
        Decision::Illegal(core) if !expected => {
            let few = cut(intervals, core);
            if brute_force(&few, &mut vec![false; few.len()], None) {
                return Err("the core has an order".into());
            }
            if core.unverified_reason.is_some() || !core.operations.contains(&core.failed_at) {
                return Err("a core without proof".into());
            }
            Ok(few.len())
        }
        _ => Err("the wrong verdict".into()),
    }
}

fn histories(otherwise: u64) -> u64 {
    match std::env::var("CHECKER_HISTORIES") {
        Ok(count) => count.parse().expect("CHECKER_HISTORIES is the number of histories to try"),
        Err(_) => otherwise,
    }
}

#[test]
fn agrees_with_brute_force_on_small_histories() {
    let histories = histories(60_000);
    let (mut linearizable, mut core_sizes) = (0, 0);
    for seed in 0..histories {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let intervals = small(&mut random);
        let expected = brute_force(&intervals, &mut vec![false; intervals.len()], None);
        linearizable += u64::from(expected);
        // The search alone, with what any model gets; and the whole cascade, with revisions that
        // are sometimes right.
        let found = decide(&Register, &intervals, &budget());
        match is_proved(&intervals, &found, expected) {
            Ok(size) => core_sizes += size,
            Err(why) => panic!("seed {seed}: {why}: the search says {found:?} of {intervals:#?}"),
        }
        let revisions = revisions(&intervals, &mut random);
        let (found, _) = decide_register(&intervals, &revisions, &budget());
        if let Err(why) = is_proved(&intervals, &found, expected) {
            panic!("seed {seed}: {why}: all deciders say {found:?} of {intervals:#?}");
        }
        if seed % 16 == 0 {
            let found = through_history(&intervals, &revisions);
            assert!(
                matches!(found, Key::Linearizable) == expected
                    && matches!(found, Key::Illegal(_)) != expected,
                "seed {seed}: the check of a history says {found:?} of {intervals:#?}"
            );
        }
    }
    let size = core_sizes as f64 / (histories - linearizable) as f64;
    println!(
        "{histories} histories, {linearizable} of them linearizable, no mismatch; a core has \
         {size:.2} operations"
    );
    assert!(linearizable > histories / 10 && linearizable < histories * 9 / 10);
}

/// Makes a chain likely of which nobody knows whether it took place: operations become
/// compare-and-sets that were not answered.
fn chain(intervals: &mut [Interval<Operation>], random: &mut ChaCha8Rng) {
    for interval in intervals {
        if random.random_bool(0.3) {
            let expected = random.random_range(-1..4);
            let expected = (expected >= 0).then_some(expected);
            interval.operation = Operation::Cas(expected, random.random_range(0..4));
            interval.ret = None;
        }
    }
}

#[test]
fn what_refutes_a_history_has_no_order() {
    // Any operations at all, as a core: where the verifier takes them for a proof, it must be one.
    let histories = histories(60_000);
    let mut refuted = 0;
    for seed in 0..histories {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut intervals = small(&mut random);
        if seed % 2 == 1 {
            chain(&mut intervals, &mut random);
        }
        let until = random.random_range(0..20);
        let some = random.random_range(0.3..=1.0);
        let core: Vec<usize> = (0..intervals.len()).filter(|_| random.random_bool(some)).collect();
        if certificate::refutes(&Register, &intervals, &core, until, 1 << 20).is_ok() {
            refuted += 1;
            let legal = brute_force(&intervals, &mut vec![false; intervals.len()], None);
            assert!(!legal, "seed {seed}: {core:?} until {until} proves nothing of {intervals:#?}");
        }
    }
    println!("{histories} sets of operations, {refuted} of them a proof");
    assert!(refuted > histories / 50, "the sets prove little");
}

fn check(history: &[Event]) -> verdict::Property {
    linear::check(&operation::pair(history).unwrap(), &Limits::default())
}

#[test]
fn public_histories_have_their_known_verdict() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jepsen");
    let verdicts = std::fs::read_to_string(directory.join("verdicts.csv")).unwrap();
    let mut examined = 0;
    for line in verdicts.lines().skip(1) {
        let (name, verdict) = line.split_once(',').unwrap();
        let expected = match verdict {
            "ok" => verdict::Outcome::Ok,
            "illegal" => verdict::Outcome::Violated,
            other => panic!("{name} is neither ok nor illegal but {other}"),
        };
        let path = directory.join(name);
        let text = std::fs::read(&path).unwrap();
        let history = read::read(text.as_slice(), &path, None, false).unwrap();
        let Events::Generic(events) = history.events else { panic!("{name} has types") };
        let history = register::from_generic(events).unwrap();
        assert_eq!(check(&history).outcome, expected, "{name}");
        examined += 1;
    }
    assert_eq!(examined, 51);
}

fn shape(clients: usize, operations: usize) -> Shape {
    Shape {
        keys: 2,
        clients,
        operations,
        values: None,
        crashed: 20,
        crashed_writes: 0,
        revisions: false,
    }
}

#[test]
fn generated_histories_are_linearizable_until_spoilt() {
    for seed in 0..40 {
        let values = (seed % 2 == 0).then_some(5);
        let revisions = seed % 3 == 0;
        let mut history = generator::history(Shape { values, revisions, ..shape(6, 400) }, seed);
        let property = check(&history);
        assert_eq!(property.outcome, verdict::Outcome::Ok, "seed {seed}: {property:?}");
        let read = history.iter_mut().rfind(|e| e.f == Function::Read && e.kind == Kind::Ok);
        read.unwrap().value = Value::Int(-1);
        assert_eq!(check(&history).outcome, verdict::Outcome::Violated, "seed {seed}");
    }
}

/// The same history, with a text for each integer.
fn in_words(history: &[Event]) -> Vec<generic::Event> {
    fn word(datum: Datum) -> Datum {
        match datum {
            Datum::Int(value) => Datum::Text(format!("value {value}").into()),
            Datum::List(members) => Datum::List(members.into_iter().map(word).collect()),
            other => other,
        }
    }
    let event = |event: &Event| generic::Event::from(event.clone());
    history
        .iter()
        .map(event)
        .map(|event| generic::Event { value: word(event.value), ..event })
        .collect()
}

#[test]
fn registers_of_texts_have_the_verdict_of_registers_of_integers() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut illegal = 0;
    for seed in 0..2000 {
        let shape = Shape { keys: 2, values: Some(4), crashed: 150, ..shape(4, 24) };
        let mut history = generator::history(shape, seed);
        let reads: Vec<usize> = (0..history.len())
            .filter(|&at| history[at].f == Function::Read && history[at].kind == Kind::Ok)
            .collect();
        if let Some(&at) = reads.get(random.random_range(0..6)) {
            history[at].value = Value::Int(random.random_range(0..4));
        }
        let words = in_words(&history);
        let operations = generic::pair(&words).unwrap();
        let property =
            checker::judge::front::register::check(&operations, &Limits::default()).unwrap();
        let expected = check(&history);
        assert_eq!(property.outcome, expected.outcome, "seed {seed}: {property:?} {expected:?}");
        illegal += u32::from(property.outcome == verdict::Outcome::Violated);
    }
    assert!((300..1700).contains(&illegal), "{illegal} of 2000 are illegal");
}

fn write(value: i64, call: u64, ret: Option<u64>) -> Interval<Operation> {
    Interval { operation: Operation::Write(Some(value)), call, ret }
}

fn read(value: i64, call: u64, ret: u64) -> Interval<Operation> {
    Interval { operation: Operation::Read(Some(value)), call, ret: Some(ret) }
}

fn is_linearizable(intervals: &[Interval<Operation>]) -> bool {
    matches!(decide(&Register, intervals, &budget()), Decision::Linearizable { .. })
}

#[test]
fn more_operations_than_a_machine_word_may_be_open() {
    let mut intervals: Vec<_> = (0..150).map(|value| write(value, 0, Some(1000))).collect();
    // The reads force an order on all writes, the last of them included.
    intervals
        .extend((0..150).map(|value| read(value, 10 + 2 * value as u64, 11 + 2 * value as u64)));
    assert!(is_linearizable(&intervals));
    // Each write can be seen but once.
    intervals.push(read(3, 500, 501));
    let found = search(&Register, &intervals, &budget());
    assert!(matches!(found, Found::Illegal(Stuck { at: 300, .. })), "{found:?}");
}

#[test]
fn crashed_writes_take_effect_late_or_never_but_once() {
    let mut intervals: Vec<_> = (0..100).map(|value| write(value, 0, None)).collect();
    intervals.push(write(1000, 1, Some(2)));
    intervals.push(read(1000, 3, 4));
    intervals.push(read(70, 5, 6));
    intervals.push(read(1000, 7, 8));
    let found = search(&Register, &intervals, &budget());
    assert!(matches!(found, Found::Illegal(Stuck { at: 103, .. })), "{found:?}");
    intervals.pop();
    intervals.push(read(20, 7, 8));
    assert!(is_linearizable(&intervals));
}

/// Crashed compare-and-sets on few values: hard on purpose.
fn hard() -> Vec<Interval<Operation>> {
    let mut intervals: Vec<_> = (0..400)
        .map(|at| Interval {
            operation: Operation::Cas(Some(at * 7 % 20), at * 11 % 20 + i64::from(at % 3 == 0)),
            call: 0,
            ret: None,
        })
        .collect();
    intervals.push(write(0, 1, Some(2)));
    intervals.extend((0..200).map(|at| read(at as i64 * 13 % 20, 2 * at + 3, 2 * at + 4)));
    intervals.push(read(99, 5000, 5001));
    intervals
}

#[test]
fn a_budget_that_runs_out_is_undecided_never_ok() {
    let reason = |budget: Budget| match search(&Register, &hard(), &budget) {
        Found::Undecided { reason } => reason,
        found => panic!("{found:?}"),
    };
    let late = reason(Budget { memory: usize::MAX, deadline: Instant::now() });
    assert!(late.starts_with("the time budget was used up at "), "{late}");
    let full = reason(Budget { memory: 1 << 14, ..budget() });
    assert!(full.starts_with("the memory budget of 0 MiB was used up at "), "{full}");
}

#[test]
fn a_chain_of_crashed_operations_explains_a_read_if_it_is_whole() {
    for length in [1, 2, 3, 6, 100] {
        for upwards in [true, false] {
            let link = |at| Operation::Cas((at > 0).then_some(at), at + 1);
            let crashed = |operation| Interval { operation, call: 0, ret: None };
            let mut history: Vec<_> = (0..length).map(link).map(crashed).collect();
            if !upwards {
                history.reverse();
            }
            let read = Operation::Read(Some(length));
            history.push(Interval { operation: read, call: 1, ret: Some(2) });
            let decision = decide(&Register, &history, &budget());
            let Decision::Linearizable { order } = decision else {
                panic!("{length}: {decision:?}")
            };
            assert_eq!(order.len(), history.len());
            history.remove(history.len() / 2 - 1);
            let decision = decide(&Register, &history, &budget());
            assert!(matches!(decision, Decision::Illegal(_)), "{length}: {decision:?}");
        }
    }
}

#[test]
fn what_takes_much_memory_to_decide_is_shown_by_a_few_operations_all_the_same() {
    // Ten values, each written twice and read, all at once: there are a thousand sets of them.
    let at = |operation, call, ret| Interval { operation, call, ret: Some(ret) };
    let mut intervals = Vec::new();
    for value in 0..10 {
        let [write, read] = [Operation::Write(Some(value)), Operation::Read(Some(value))];
        intervals.extend([write, write, read].map(|operation| at(operation, 0, 100)));
    }
    for (time, value) in [(101, 0), (103, 1)] {
        intervals.push(at(Operation::Write(Some(value)), time, time + 1));
    }
    intervals.push(at(Operation::Read(Some(0)), 105, 106));
    let none = vec![None; intervals.len()];
    let (decision, _) = decide_register(&intervals, &none, &budget());
    let Decision::Illegal(core) = decision else { panic!("{decision:?}") };
    assert_eq!((core.operations.as_slice(), &core.unverified_reason), ([31, 32].as_slice(), &None));
}

#[test]
fn a_stale_read_in_a_long_history_is_shown_by_a_few_operations() {
    for seed in 0..18 {
        let values = (seed % 2 == 0).then_some(5);
        let (operations, crashed) = [(10_000, 0), (10_000, 5), (1000, 100)][seed as usize % 3];
        let shape = Shape { keys: 1, values, crashed, ..shape(5, operations) };
        let history = generator::with_stale_read(generator::history(shape, seed));
        let operations = operation::pair(&history).unwrap();
        let property = linear::check(&operations, &Limits::default());
        assert_eq!(property.outcome, verdict::Outcome::Violated, "seed {seed}: {property:?}");
        let [violation] = property.violations.as_slice() else { panic!("{property:?}") };
        let refutation = violation.refutation.as_ref().unwrap();
        assert_eq!(refutation.unverified_reason, None, "seed {seed}");
        let core = refutation.core.len();
        assert!((2..=4).contains(&core), "seed {seed}: {core} operations: {refutation:?}");
    }
}
