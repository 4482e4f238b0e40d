//! Seeded histories of registers whose verdict is known: each operation takes place at a moment
//! between its call and its return, so a history is linearizable until it is spoilt on purpose.

use checker::history::{Event, Function, Kind, Value, operation::MISMATCH};
use rand::{RngExt, SeedableRng, seq::IteratorRandom};
use rand_chacha::ChaCha8Rng;

/// What a history is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) keys: usize,
    pub(crate) clients: usize,
    pub(crate) operations: usize,
    /// Written values are unique, or of this many.
    pub(crate) values: Option<i64>,
    /// Of a thousand operations, how many end with an unknown outcome.
    pub(crate) crashed: u32,
    /// Beside these so many writes, or all.
    pub(crate) crashed_writes: usize,
    /// Whether replies carry revisions.
    pub(crate) revisions: bool,
}

struct Planned {
    client: usize,
    process: u64,
    key: usize,
    f: Function,
    argument: Value,
    call: u64,
    point: u64,
    ret: u64,
    crashed: bool,
    answer: (Kind, Value, Option<i64>),
}

/// A linearizable history.
pub(crate) fn history(shape: Shape, seed: u64) -> Vec<Event> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut plan = plan(shape, &mut random);
    let mut order: Vec<usize> = (0..plan.len()).collect();
    order.sort_by_key(|&at| plan[at].point);
    let mut stores = vec![(None, 0); shape.keys];
    let mut revision = 1;
    for at in order {
        let operation = &mut plan[at];
        // A crashed operation has taken place as often as not.
        if operation.crashed && random.random_bool(0.5) {
            continue;
        }
        let (value, modified) = &mut stores[operation.key];
        let (kind, written) = match (operation.f, operation.argument) {
            (Function::Write, Value::Int(new)) => (Kind::Ok, Some(Some(new))),
            (Function::Delete, _) => (Kind::Ok, Some(None)),
            (Function::Cas, Value::Pair(expected, new)) if expected == *value => {
                (Kind::Ok, Some(Some(new)))
            }
            (Function::Cas, _) => (Kind::Fail, None),
            _ => (Kind::Ok, None),
        };
        if let Some(written) = written {
            revision += 1;
            (*value, *modified) = (written, revision);
        }
        let read =
            if operation.f == Function::Read { Value::from(*value) } else { operation.argument };
        operation.answer = (kind, read, (kind == Kind::Ok && *modified > 0).then_some(*modified));
    }
    events(shape, plan)
}

fn plan(shape: Shape, random: &mut ChaCha8Rng) -> Vec<Planned> {
    let mut free_at = vec![0; shape.clients];
    let mut unique = 0;
    let mut plan: Vec<Planned> = (0..shape.operations)
        .map(|number| {
            let client = number % shape.clients;
            let call = free_at[client] + random.random_range(1..1000);
            let point = call + random.random_range(0..1000);
            let ret = point + random.random_range(0..1000);
            free_at[client] = ret;
            let mut value = |random: &mut ChaCha8Rng| match shape.values {
                Some(values) => random.random_range(0..values),
                None => {
                    unique += 1;
                    unique
                }
            };
            let (f, argument) = match random.random_range(0..20) {
                0..10 => (Function::Read, Value::Nil),
                10..17 => (Function::Write, Value::Int(value(random))),
                17 => (Function::Delete, Value::Nil),
                _ => {
                    let new = value(random);
                    let expected = match shape.values {
                        Some(values) => random.random_range(0..values),
                        None => random.random_range(0..=new),
                    };
                    (Function::Cas, Value::Pair(Some(expected), new))
                }
            };
            let crashed = random.random_range(0..1000) < shape.crashed;
            let key = random.random_range(0..shape.keys);
            let answer = (Kind::Info, argument, None);
            let process = client as u64;
            Planned { client, process, key, f, argument, call, point, ret, crashed, answer }
        })
        .collect();
    let writes = plan.iter_mut().filter(|planned| planned.f == Function::Write && !planned.crashed);
    for planned in writes.sample(random, shape.crashed_writes) {
        planned.crashed = true;
    }
    // A process is not used again after an unknown outcome.
    let mut processes: Vec<u64> = (0..shape.clients as u64).collect();
    let mut next_process = shape.clients as u64;
    for planned in &mut plan {
        planned.process = processes[planned.client];
        if planned.crashed {
            processes[planned.client] = next_process;
            next_process += 1;
        }
    }
    plan
}

fn events(shape: Shape, plan: Vec<Planned>) -> Vec<Event> {
    let keys: Vec<String> = (0..shape.keys).map(|key| format!("k{key}")).collect();
    let mut events = Vec::with_capacity(2 * plan.len());
    for operation in plan {
        let (kind, value, revision) = operation.answer;
        let kind = if operation.crashed { Kind::Info } else { kind };
        let event = |time, kind, value| Event {
            index: 0,
            time,
            process: operation.process,
            kind,
            f: operation.f,
            key: keys[operation.key].clone(),
            value,
            error: (kind == Kind::Fail).then(|| MISMATCH.into()),
            node: Some(format!("n{}", operation.client % 5 + 1)),
            revision: revision.filter(|_| shape.revisions && kind == Kind::Ok),
        };
        events.push(event(operation.call, Kind::Invoke, operation.argument));
        events.push(event(operation.ret, kind, value));
    }
    // Stable, and a client's next call is later than its last return.
    events.sort_by_key(|event| event.time);
    for (index, event) in (0..).zip(&mut events) {
        event.index = index;
    }
    events
}

/// The same history with a read of what had been deleted before all else: a value that nobody wrote
/// again. Three operations show it: the write, the delete or any other that hid it, the read.
#[allow(dead_code, reason = "not every test spoils its histories so")]
pub(crate) fn with_stale_read(mut history: Vec<Event>) -> Vec<Event> {
    const STALE: Value = Value::Int(-1);
    let read =
        history.iter_mut().rfind(|event| event.f == Function::Read && event.kind == Kind::Ok);
    let Some(read) = read else { return history };
    read.value = STALE;
    let (key, process) = (read.key.clone(), u64::MAX);
    let event = |time, kind, f, value| Event {
        index: 0,
        time,
        process,
        kind,
        f,
        key: key.clone(),
        value,
        error: None,
        node: None,
        revision: None,
    };
    let mut spoilt = vec![
        event(0, Kind::Invoke, Function::Write, STALE),
        event(1, Kind::Ok, Function::Write, STALE),
        event(2, Kind::Invoke, Function::Delete, Value::Nil),
        event(3, Kind::Ok, Function::Delete, Value::Nil),
    ];
    spoilt.extend(history.into_iter().map(|event| Event { time: event.time + 4, ..event }));
    for (index, event) in (0..).zip(&mut spoilt) {
        event.index = index;
    }
    spoilt
}
