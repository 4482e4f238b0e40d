//! Processes that ask for one operation at the very time at which another one ends: what is found
//! must be what all orders tried say that keep their turns, of a few operations and of whole
//! histories, whose lines tell what happened at one moment in any order.

use checker::{
    budget::{Budget, Limits},
    history::{
        Kind,
        generic::{self, Datum, Event, Operation},
        operation, register as typed,
    },
    judge::front,
    linear::{self, Core, Decision, certificate, decide},
    model::{
        InTurn, Interval, Model, Turn, Unexpected,
        kv::{self, Kv},
        lock::{self, Lock},
        queue::{self, Queue},
        register::{self, Register},
        set::{self, Set},
    },
    verdict::{Outcome, Property},
};
use rand::{Rng, RngExt};
use std::time::{Duration, Instant};

use crate::{
    small::{Fate, brute_force, histories, history, seeded},
    taken,
};

/// A model as it is tried here.
trait Tried: Model {
    /// Any operation with any answer; of one that is not answered none is told.
    fn any(&self, random: &mut impl Rng, fate: Fate) -> Self::Operation;

    /// The operation in words, its argument and its answer.
    fn tell(&self, operation: &Self::Operation) -> (&'static str, Datum, Datum);
}

fn int(value: impl TryInto<i64>) -> Datum {
    value.try_into().map_or(Datum::Nil, Datum::Int)
}

fn text(text: Option<&str>) -> Datum {
    text.map_or(Datum::Nil, |text| Datum::Text(text.into()))
}

impl Tried for Register {
    fn any(&self, random: &mut impl Rng, fate: Fate) -> register::Operation {
        use register::Operation::{Cas, Read, Write};
        let mut value = || random.random_range(0..3);
        let (one, other) = (value(), value());
        let any = (one > 0).then_some(one);
        match random.random_range(0..8) {
            0..3 if fate == Fate::Answered => Read(any),
            3 => Write(None),
            4 => Cas(any, other),
            _ => Write(Some(one)),
        }
    }

    fn tell(&self, operation: &register::Operation) -> (&'static str, Datum, Datum) {
        use register::Operation::{Cas, Contradiction, Mismatch, Read, Write};
        let datum = |value: Option<i64>| value.map_or(Datum::Nil, Datum::Int);
        match *operation {
            Read(value) => ("read", Datum::Nil, datum(value)),
            Write(Some(value)) => ("write", int(value), int(value)),
            Write(None) => ("delete", Datum::Nil, Datum::Nil),
            Cas(expected, new) => {
                let pair = Datum::List(vec![datum(expected), int(new)]);
                ("cas", pair.clone(), pair)
            }
            Mismatch(_) | Contradiction(_) => unreachable!(),
        }
    }
}

/// The texts that one piece after the other makes.
const TEXTS: [&str; 4] = ["ab", "a", "b", "ba"];

impl Tried for Kv<'static> {
    fn any(&self, random: &mut impl Rng, fate: Fate) -> kv::Operation<'static> {
        use kv::Operation::{Append, Delete, Get, Put};
        match random.random_range(0..8) {
            0..3 if fate == Fate::Answered => {
                let seen = random.random_range(0..5);
                Get(TEXTS.get(seen).copied())
            }
            3 if random.random_bool(0.2) => Delete,
            4..6 => Put(TEXTS[random.random_range(1..3)]),
            _ => Append(TEXTS[random.random_range(1..3)]),
        }
    }

    fn tell(&self, operation: &kv::Operation<'_>) -> (&'static str, Datum, Datum) {
        use kv::Operation::{Append, Cas, Contradiction, Delete, Get, Mismatch, Put};
        match *operation {
            Get(seen) => ("get", Datum::Nil, text(seen)),
            Put(piece) => ("put", text(Some(piece)), text(Some(piece))),
            Append(piece) => ("append", text(Some(piece)), text(Some(piece))),
            Delete => ("delete", Datum::Nil, Datum::Nil),
            Cas(..) | Mismatch(_) | Contradiction => unreachable!(),
        }
    }
}

impl Tried for Queue {
    fn any(&self, random: &mut impl Rng, fate: Fate) -> queue::Operation {
        use queue::Operation::{Dequeue, Enqueue, Take};
        match random.random_range(0..6) {
            0..3 => Enqueue(random.random_range(0..6)),
            _ if fate != Fate::Answered => Take,
            3 => Dequeue(None),
            _ => Dequeue(Some(random.random_range(0..6))),
        }
    }

    fn tell(&self, operation: &queue::Operation) -> (&'static str, Datum, Datum) {
        use queue::Operation::{Dequeue, Enqueue, Take};
        match *operation {
            Enqueue(value) => ("enqueue", int(value), int(value)),
            Dequeue(value) => ("dequeue", Datum::Nil, value.map_or(Datum::Nil, int)),
            Take => ("dequeue", Datum::Nil, Datum::Nil),
        }
    }
}

impl Tried for Set {
    fn any(&self, random: &mut impl Rng, fate: Fate) -> set::Operation {
        use set::Operation::{Add, Read, Remove};
        match random.random_range(0..10) {
            0..5 if fate == Fate::Answered => {
                Read((0..3).filter(|_| random.random_bool(0.4)).collect())
            }
            5 if random.random_bool(0.3) => Remove(random.random_range(0..3)),
            _ => Add(random.random_range(0..3)),
        }
    }

    fn tell(&self, operation: &set::Operation) -> (&'static str, Datum, Datum) {
        use set::Operation::{Add, Read, Remove};
        match operation {
            Add(element) => ("add", int(*element), int(*element)),
            Remove(element) => ("remove", int(*element), int(*element)),
            Read(members) => {
                let members = members.iter().map(|&member| int(member)).collect();
                ("read", Datum::Nil, Datum::List(members))
            }
        }
    }
}

impl Tried for Lock {
    fn any(&self, random: &mut impl Rng, _: Fate) -> lock::Operation {
        use lock::Operation::{Acquire, Release};
        let owner = random.random_bool(0.2).then(|| random.random_range(0..2));
        if random.random_bool(0.5) { Acquire(owner) } else { Release(owner) }
    }

    fn tell(&self, operation: &lock::Operation) -> (&'static str, Datum, Datum) {
        use lock::Operation::{Acquire, Held, Release};
        let datum = |owner: Option<usize>| owner.map_or(Datum::Nil, int);
        match *operation {
            Acquire(owner) => ("acquire", datum(owner), datum(owner)),
            Release(owner) => ("release", datum(owner), datum(owner)),
            Held => unreachable!(),
        }
    }
}

/// A few operations and their turns.
fn random<M: Tried>(model: &M, seed: u64) -> (Vec<Interval<M::Operation>>, Vec<Turn>) {
    let mut random = seeded(seed);
    let intervals = history(&mut random, 7, |random, fate| model.any(random, fate));
    let taken = taken::processes(&intervals, &mut random);
    (intervals, taken)
}

/// The decision of the search and its proof, and operations at random as a core, against all
/// orders.
fn search<M: Tried>(name: &str, model: &M) {
    let histories = histories(4_000);
    let (mut linearizable, mut by_turns, mut refuted) = (0, 0, 0);
    for seed in 0..histories {
        let (intervals, taken) = random(model, seed);
        let mut random = seeded(seed);
        let in_turn = taken::give(&intervals, &taken, random.random_bool(0.5));
        let with = InTurn(model);
        let legal = brute_force(&with, &in_turn);
        linearizable += u64::from(legal);
        by_turns += u64::from(!legal && brute_force(model, &intervals));
        let deadline = Instant::now() + Duration::from_secs(60);
        match decide(&with, &in_turn, &Budget { memory: 1 << 26, deadline }) {
            Decision::Linearizable { order } => {
                assert!(legal && certificate::verify(&with, &in_turn, &order), "{name} {seed}");
            }
            Decision::Illegal(core) => {
                assert!(!legal && core.unverified_reason.is_none(), "{name} {seed}: {in_turn:#?}");
                assert!(!brute_force(&with, &cut(&in_turn, &core)), "{name} {seed}: {core:?}");
            }
            Decision::Undecided { reason } => panic!("{name} {seed}: {reason}: {in_turn:#?}"),
        }
        let until = random.random_range(0..20);
        let some = random.random_range(0.3..=1.0);
        let core: Vec<usize> = (0..in_turn.len()).filter(|_| random.random_bool(some)).collect();
        if certificate::refutes(&with, &in_turn, &core, until, 1 << 20).is_ok() {
            refuted += 1;
            assert!(!legal, "{name} {seed}: {core:?} until {until} proves nothing of {in_turn:#?}");
        }
    }
    println!(
        "{name}: of {histories} {linearizable} linearizable, {by_turns} only not in turn, {refuted} \
         refuted by operations at random, no mismatch"
    );
    assert!(linearizable > histories / 10, "the histories prove little");
    assert!(by_turns > histories / 200, "{by_turns} of {histories} depend on turns");
}

/// The operations of a core as they stand there: what returned later counts as unanswered.
fn cut<O: Clone, S>(intervals: &[Interval<O>], core: &Core<S>) -> Vec<Interval<O>> {
    let cut = |&at: &usize| Interval {
        ret: intervals[at].ret.filter(|ret| *ret <= core.until),
        ..intervals[at].clone()
    };
    core.operations.iter().map(cut).collect()
}

#[test]
fn the_search_and_its_proofs_agree_with_brute_force() {
    search("register", &Register);
    search("kv", &Kv::default());
    search("queue", &Queue);
    search("set", &Set);
    search("lock", &Lock);
}

/// Keys of a history.
const KEYS: u64 = 2;

/// The verdict on histories of several keys, against all orders.
fn whole<M: Tried>(name: &str, model: &M, check: impl Fn(Vec<Event>) -> Property) {
    let histories = histories(4_000);
    let (mut linearizable, mut by_turns, mut undecided) = (0, 0, 0);
    for seed in 0..histories {
        let (intervals, taken) = random(model, seed);
        let mut random = seeded(seed);
        let keys: Vec<u64> = intervals.iter().map(|_| random.random_range(0..KEYS)).collect();
        let keys = &keys;
        let of_key = |key: u64| (0..keys.len()).filter(move |&at| keys[at] == key);
        let in_turn = taken::give(&intervals, &taken, true);
        let legal = (0..KEYS).all(|key| {
            let of_key: Vec<_> = of_key(key).map(|at| in_turn[at].clone()).collect();
            brute_force(&InTurn(model), &of_key)
        });
        let by_times = (0..KEYS).all(|key| {
            let of_key: Vec<_> = of_key(key).map(|at| intervals[at].clone()).collect();
            brute_force(model, &of_key)
        });
        let lines = taken::lines(&intervals, &taken, &mut random);
        let property = check(events(model, &intervals, keys, &taken, &lines));
        match property.outcome {
            Outcome::Unknown => undecided += 1,
            outcome => {
                let expected = if legal { Outcome::Ok } else { Outcome::Violated };
                assert_eq!(outcome, expected, "{name} {seed}: {property:#?} {in_turn:#?} {keys:?}");
            }
        }
        linearizable += u64::from(legal);
        by_turns += u64::from(!legal && by_times);
    }
    println!(
        "{name}: of {histories} {linearizable} linearizable, {by_turns} only not in turn, \
         {undecided} undecided, no mismatch"
    );
    assert!(linearizable > histories / 10, "the histories prove little");
    assert!(by_turns > histories / 200, "{by_turns} of {histories} depend on turns");
    assert_eq!(undecided, 0);
}

fn events<M: Tried>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    keys: &[u64],
    taken: &[Turn],
    lines: &[(usize, bool)],
) -> Vec<Event> {
    (0..)
        .zip(lines)
        .map(|(index, &(at, returns))| {
            let Interval { operation, call, ret } = &intervals[at];
            let (f, argument, answer) = model.tell(operation);
            Event {
                index,
                time: ret.filter(|_| returns).unwrap_or(*call),
                process: taken[at].process,
                kind: if returns { Kind::Ok } else { Kind::Invoke },
                f: f.into(),
                key: int(keys[at]),
                value: if returns { answer } else { argument },
                error: None,
                node: None,
                revision: None,
            }
        })
        .collect()
}

type Check = fn(&[Operation<'_>], &Limits) -> Result<Property, Unexpected>;

fn by(check: Check) -> impl Fn(Vec<Event>) -> Property {
    move |events| check(&generic::pair(&events).unwrap(), &Limits::default()).unwrap()
}

#[test]
fn whole_histories_agree_with_brute_force() {
    whole("register of integers", &Register, |events| {
        let events = typed::from_generic(events).unwrap();
        linear::check(&operation::pair(&events).unwrap(), &Limits::default())
    });
    whole("register", &Register, by(front::register::check));
    // Without nil in any answer a missing key reads as the empty text, which none does here.
    whole("kv", &Kv::default(), by(front::kv::check));
    whole("queue", &Queue, by(front::queue::check));
    whole("set", &Set, by(front::set::check));
    whole("lock", &Lock, by(front::lock::check));
}
