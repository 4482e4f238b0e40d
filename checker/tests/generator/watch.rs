//! Seeded histories of a store that tells its changes: writes take place at a moment between their
//! call and their return, and each watcher is told all of it, watch after watch.

use checker::history::{
    Kind,
    generic::{Datum, Event},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a history is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) writes: usize,
    pub(crate) clients: usize,
    /// Named `k0`, `k1`, …
    pub(crate) keys: usize,
    /// Written values are unique, or of this many.
    pub(crate) values: Option<i64>,
    /// Of a thousand writes, how many end with an unknown outcome.
    pub(crate) crashed: u32,
    /// Watchers of all keys.
    pub(crate) watchers: usize,
    /// Beside them, watchers of the prefixes `k0`, `k1`, … `k9`.
    pub(crate) prefixes: bool,
    /// Revisions after which a watcher is cut off and begins another watch.
    pub(crate) each: usize,
}

struct Write {
    point: u64,
    call: u64,
    ret: u64,
    process: u64,
    crashed: bool,
}

/// A revision: when it was made, and what of which key. Nothing is put where it was deleted.
type Revision = (u64, Vec<(Datum, Datum)>);

/// A history in which every watch tells what it should.
pub(crate) fn history(shape: Shape, seed: u64) -> Vec<Event> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut events = Vec::new();
    let log = write(shape, &mut random, &mut events);
    let prefixes = (0..10).filter(|_| shape.prefixes).map(|digit| Some(format!("k{digit}")));
    let filters = (0..shape.watchers).map(|_| None).chain(prefixes);
    for (watcher, prefix) in (0..).zip(filters) {
        watch(
            shape.each,
            prefix.as_deref(),
            &log,
            u64::MAX / 2 + watcher,
            &mut random,
            &mut events,
        );
    }
    events.sort_by_key(|event: &Event| event.time);
    for (index, event) in (0..).zip(&mut events) {
        event.index = index;
    }
    events
}

fn plan(shape: Shape, random: &mut ChaCha8Rng) -> Vec<Write> {
    let mut free_at = vec![0; shape.clients];
    let mut processes: Vec<u64> = (0..shape.clients as u64).collect();
    let mut next = shape.clients as u64;
    let mut plan: Vec<Write> = (0..shape.writes)
        .map(|number| {
            let client = number % shape.clients;
            let call = free_at[client] + random.random_range(1..1000);
            let point = call + random.random_range(0..1000);
            let ret = point + random.random_range(0..1000);
            free_at[client] = ret;
            let process = processes[client];
            let crashed = random.random_range(0..1000) < shape.crashed;
            if crashed {
                processes[client] = next;
                next += 1;
            }
            Write { point, call, ret, process, crashed }
        })
        .collect();
    plan.sort_by_key(|write| write.point);
    plan
}

/// Writes; their revisions, from 2 on.
fn write(shape: Shape, random: &mut ChaCha8Rng, events: &mut Vec<Event>) -> Vec<Revision> {
    let mut log: Vec<Revision> = Vec::new();
    let mut there = vec![false; shape.keys];
    for (number, write) in (0..).zip(plan(shape, random)) {
        let first = random.random_range(0..shape.keys);
        let kind = random.random_range(0..20);
        let parts: Vec<(usize, Datum)> = (0..if kind == 0 { 2 } else { 1 })
            .map(|at| {
                let value = match shape.values {
                    None => 2 * number + at as i64,
                    Some(values) => random.random_range(0..values),
                };
                let value = if kind == 1 { Datum::Nil } else { Datum::Int(value) };
                ((first + at) % shape.keys, value)
            })
            .collect();
        let named = |(key, value): &(usize, Datum)| (text(format!("k{key}")), value.clone());
        // A crashed operation has taken place as often as not.
        if !write.crashed || random.random_bool(0.5) {
            let mut changes = parts.clone();
            changes.retain(|(key, value)| *value != Datum::Nil || there[*key]);
            for (key, value) in &changes {
                there[*key] = *value != Datum::Nil;
            }
            if !changes.is_empty() {
                log.push((write.point, changes.iter().map(named).collect()));
            }
        }
        let (f, key, argument) = match parts.as_slice() {
            [part] => {
                let (key, value) = named(part);
                (if value == Datum::Nil { "delete" } else { "put" }, key, value)
            }
            parts => {
                let part = |part| {
                    let (key, value) = named(part);
                    Datum::List(vec![text("put"), key, value])
                };
                ("txn", Datum::Nil, Datum::List(parts.iter().map(part).collect()))
            }
        };
        let (kind, revision) = match write.crashed {
            true => (Kind::Info, None),
            false => (Kind::Ok, Some(log.len() as i64 + 1)),
        };
        let event = |time, kind, value, revision| Event {
            index: 0,
            time,
            process: write.process,
            kind,
            f: f.into(),
            key: key.clone(),
            value,
            error: None,
            node: None,
            revision,
        };
        events.push(event(write.call, Kind::Invoke, argument, None));
        events.push(event(write.ret, kind, Datum::Nil, revision));
    }
    log
}

/// One watcher, from the first revision to the last.
fn watch(
    each: usize,
    prefix: Option<&str>,
    log: &[Revision],
    process: u64,
    random: &mut ChaCha8Rng,
    events: &mut Vec<Event>,
) {
    let mut free_at = 0;
    let asks = |key: &Datum| prefix.is_none_or(|p| key.text().is_some_and(|k| k.starts_with(p)));
    for (at, part) in log.chunks(each).enumerate() {
        let first = (at * each) as i64 + 2;
        let (mut responses, mut batch) = (Vec::new(), Vec::new());
        for (revision, (_, changes)) in (first..).zip(part) {
            batch.extend(changes.iter().filter(|(key, _)| asks(key)).map(|(key, value)| {
                let mut change = vec![Datum::Int(revision)];
                match value {
                    Datum::Nil => change.extend([text("delete"), key.clone()]),
                    value => change.extend([text("put"), key.clone(), value.clone()]),
                }
                Datum::List(change)
            }));
            if !batch.is_empty() && random.random_bool(0.2) {
                responses.push(Datum::List(std::mem::take(&mut batch)));
            }
            if batch.is_empty() && random.random_bool(0.05) {
                responses.push(Datum::Map(vec![(text("progress"), Datum::Int(revision))]));
            }
        }
        if !batch.is_empty() {
            responses.push(Datum::List(batch));
        }
        let mut asked = vec![(text("from"), Datum::Int(first))];
        asked.extend(prefix.map(|prefix| (text("prefix"), text(prefix))));
        let (begins, ends) = (part[0].0.max(free_at), part[part.len() - 1].0);
        free_at = ends.max(begins) + random.random_range(1..1000);
        let event = |time, kind, value| Event {
            index: 0,
            time,
            process,
            kind,
            f: "watch".into(),
            key: Datum::Nil,
            value,
            error: None,
            node: None,
            revision: None,
        };
        events.push(event(begins, Kind::Invoke, Datum::Map(asked)));
        events.push(event(free_at, Kind::Ok, Datum::List(responses)));
    }
}

fn text(text: impl Into<Box<str>>) -> Datum {
    Datum::Text(text.into())
}
