//! Random histories: what clients ask for, and what a store answers that executes each request at
//! some moment between call and return.

use std::collections::BTreeMap;

use checker::{
    history::{
        Kind,
        generic::{Datum, Event, to_datum},
    },
    model::etcd::{
        Bytes, Compare, DeleteRange, Operand, Put, Range, Refusal, Relation, Request, Response,
        SortOrder, SortTarget, Target, Txn, Value,
    },
};
use rand::{Rng, RngExt};

use crate::naive::Naive;

/// What came of a request.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Ok(Response),
    Refused(Refusal),
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) process: u64,
    pub(crate) request: Request,
    pub(crate) call: u64,
    pub(crate) ret: u64,
    pub(crate) outcome: Outcome,
}

fn key(random: &mut impl Rng, keys: u8) -> Bytes {
    Bytes::from(&[b'a' + random.random_range(0..keys)][..])
}

fn end(random: &mut impl Rng, keys: u8) -> Bytes {
    match random.random_range(0..4) {
        0 | 1 => Bytes::default(),
        2 => Bytes::from("\0"),
        _ => Bytes::from(&[b'a' + random.random_range(0..=keys)][..]),
    }
}

fn value(random: &mut impl Rng, values: &mut u32) -> Value {
    // Most values are written once; some are written again and again.
    *values += 1;
    let number = if random.random_bool(0.7) { *values } else { 0 };
    Value::of(number.to_string().as_bytes())
}

fn put(random: &mut impl Rng, keys: u8, values: &mut u32) -> Put {
    let ignore_value = random.random_bool(0.1);
    Put {
        key: key(random, keys),
        value: if ignore_value { Value::default() } else { value(random, values) },
        prev_kv: random.random_bool(0.3),
        ignore_value,
        ..Put::default()
    }
}

fn range(random: &mut impl Rng, keys: u8, revisions: i64) -> Range {
    let one = |random: &mut dyn Rng, p: f64, max: i64| {
        if random.random_bool(p) { random.random_range(1..=max) } else { 0 }
    };
    Range {
        key: key(random, keys),
        range_end: end(random, keys),
        limit: one(random, 0.2, 3),
        revision: one(random, 0.2, revisions + 1),
        serializable: random.random_bool(0.2),
        keys_only: random.random_bool(0.1),
        count_only: random.random_bool(0.1),
        sort_order: *pick(random, &[SortOrder::None, SortOrder::Ascend, SortOrder::Descend]),
        sort_target: *pick(
            random,
            &[
                SortTarget::Key,
                SortTarget::Key,
                SortTarget::Version,
                SortTarget::Create,
                SortTarget::Mod,
                SortTarget::Value,
            ],
        ),
        min_mod_revision: one(random, 0.05, revisions),
        max_mod_revision: one(random, 0.05, revisions),
        min_create_revision: one(random, 0.05, revisions),
        max_create_revision: one(random, 0.05, revisions),
    }
}

fn pick<'a, T>(random: &mut impl Rng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}

fn compare(random: &mut impl Rng, keys: u8, revisions: i64) -> Compare {
    let target =
        *pick(random, &[Target::Version, Target::Create, Target::Mod, Target::Value, Target::Mod]);
    let number = random.random_range(0..=revisions);
    let text = number.to_string();
    Compare {
        key: key(random, keys),
        range_end: if random.random_bool(0.2) { end(random, keys) } else { Bytes::default() },
        target,
        result: *pick(
            random,
            &[Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater],
        ),
        operand: match target {
            Target::Value => Some(Operand::Value(Value::of(text.as_bytes()))),
            _ => Some(Operand::Number(number)),
        },
    }
}

pub(crate) fn request(
    random: &mut impl Rng,
    keys: u8,
    values: &mut u32,
    revisions: i64,
    depth: u32,
) -> Request {
    match random.random_range(0..if depth < 2 { 10 } else { 8 }) {
        0..=3 => Request::Put(put(random, keys, values)),
        4..=6 => Request::Range(range(random, keys, revisions)),
        7 => Request::DeleteRange(DeleteRange {
            key: key(random, keys),
            range_end: end(random, keys),
            prev_kv: random.random_bool(0.3),
        }),
        _ => {
            let mut list = |random: &mut _| {
                let some = 0..rand::RngExt::random_range(random, 0..3);
                some.map(|_| request(random, keys, values, revisions, depth + 1)).collect()
            };
            let (success, failure) = (list(random), list(random));
            let compares = 0..random.random_range(0..2);
            let compare = compares.map(|_| compare(random, keys, revisions)).collect();
            Request::Txn(Txn { compare, success, failure })
        }
    }
}

/// What a random history is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) operations: usize,
    pub(crate) processes: u64,
    pub(crate) keys: u8,
    /// How likely an outcome is unknown.
    pub(crate) unknown: f64,
    /// Moments between the parts of an operation, at most.
    pub(crate) spread: u64,
}

/// A legal history.
pub(crate) fn legal(random: &mut impl Rng, shape: Shape) -> Vec<Op> {
    let Shape { operations, processes, keys, unknown, spread } = shape;
    let mut values = 0;
    let mut free = vec![0_u64; processes as usize];
    // Each operation with the moment at which it is executed, if it is, and whether its client
    // loses sight of it.
    let mut ops: Vec<(Op, Option<u64>, bool)> = Vec::new();
    for number in 0..operations {
        let process = random.random_range(0..free.len());
        let call = free[process] + random.random_range(0..spread);
        let mut moment = call + random.random_range(0..spread);
        let ret = moment + random.random_range(0..spread);
        free[process] = ret;
        let revisions = 2 + number as i64 / 2;
        let request = request(random, keys, &mut values, revisions, 0);
        let lost = random.random_bool(unknown);
        if lost {
            // It may be executed much later, or never.
            moment += random.random_range(0..spread * 4);
        }
        let executed = !lost || random.random_bool(0.6);
        let process = process as u64;
        let op = Op { process, request, call, ret, outcome: Outcome::Unknown };
        ops.push((op, executed.then_some(moment), lost));
    }
    let mut order: Vec<usize> = (0..ops.len()).filter(|at| ops[*at].1.is_some()).collect();
    // At one moment a process keeps its order.
    order.sort_by_key(|at| ops[*at].1);
    let mut store = Naive::default();
    for at in order {
        let (op, _, lost) = &mut ops[at];
        let outcome = if op.request.is_serializable() && random.random_bool(0.7) {
            let old = random.random_range(1..=store.revision());
            store.read(&op.request, old)
        } else {
            store.execute(&op.request)
        };
        op.outcome = match outcome {
            _ if *lost => Outcome::Unknown,
            Ok(response) => Outcome::Ok(response),
            Err(refusal) => Outcome::Refused(refusal),
        };
    }
    let mut ops: Vec<Op> = ops.into_iter().map(|(op, ..)| op).collect();
    rename(&mut ops);
    ops
}

/// Orders operations by call. A process that does not know what became of an operation goes on as
/// another one.
pub(crate) fn rename(ops: &mut [Op]) {
    ops.sort_by_key(|op| op.call);
    let mut names: BTreeMap<u64, u64> = BTreeMap::new();
    let mut next = 1000 * (1 + ops.iter().map(|op| op.process).max().unwrap_or(0));
    for op in ops.iter_mut() {
        let name = op.process;
        op.process = *names.get(&name).unwrap_or(&name);
        if matches!(op.outcome, Outcome::Unknown) {
            names.insert(name, next);
            next += 1;
        }
    }
}

/// The lines of a history.
pub(crate) fn events(ops: &[Op]) -> Vec<Event> {
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        moments.push((op.call, at, false));
        moments.push((op.ret, at, true));
    }
    // What a process does at one moment it does in order.
    moments.sort_by_key(|&(time, at, end)| (time, at, end));
    let mut events = Vec::new();
    for (time, at, end) in moments {
        let op = &ops[at];
        let f: Box<str> = op.request.function().into();
        let request = || inner(&to_datum(&op.request).unwrap());
        let (kind, value, error) = match (&op.outcome, end) {
            (_, false) => (Kind::Invoke, request(), None),
            (Outcome::Ok(response), true) => (Kind::Ok, inner(&to_datum(response).unwrap()), None),
            (Outcome::Refused(refusal), true) => {
                (Kind::Fail, Datum::Nil, Some(format!("CODE: {}", refusal.text()).into()))
            }
            (Outcome::Unknown, true) => (Kind::Info, Datum::Nil, Some("lost".into())),
        };
        let (index, process) = (events.len() as u64, op.process);
        let node = Some("n1".into());
        events.push(Event {
            index,
            time,
            process,
            kind,
            f,
            key: Datum::Nil,
            value,
            error,
            node,
            revision: None,
        });
    }
    events
}

/// What is in the braces.
fn inner(datum: &Datum) -> Datum {
    match datum {
        Datum::Map(entries) => entries[0].1.clone(),
        other => other.clone(),
    }
}
