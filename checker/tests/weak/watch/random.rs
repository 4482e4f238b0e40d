//! A simulated store whose watches are right, and the same with one thing changed, both compared
//! with brute force.

use std::collections::{BTreeMap, BTreeSet};

use checker::{
    history::{
        Kind,
        generic::{Datum, Event},
    },
    verdict::Outcome,
    weak::watch::check,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    brute_force::{Change, Fate, Response, Watch, Write, judge},
    with,
};
use crate::{
    script::{number, verdicts},
    small::histories,
};

const KEYS: [&str; 3] = ["a", "ab", "b"];

#[test]
fn right_watches_are_accepted_and_any_are_judged_as_brute_force_does() {
    let mut broken: BTreeMap<String, u64> = BTreeMap::new();
    let mut open = 0;
    for seed in 0..histories(20_000) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut watches, mut writes) = store(&mut random);
        let violated = agrees(seed, &watches, &writes).0;
        assert!(violated.is_empty(), "seed {seed}: {violated:?}\n{watches:#?}\n{writes:#?}");
        mutate(&mut watches, &mut writes, &mut random);
        let (violated, undecided) = agrees(seed, &watches, &writes);
        open += u64::from(!undecided.is_empty());
        for rule in violated {
            *broken.entry(rule).or_default() += 1;
        }
    }
    if histories(20_000) >= 10_000 {
        assert!(broken.len() == 10 && broken.values().all(|&count| count >= 20), "{broken:?}");
        assert!(open >= 100, "{open}");
    }
}

/// What both say.
fn agrees(seed: u64, watches: &[Watch], writes: &[Write]) -> (BTreeSet<String>, BTreeSet<String>) {
    let properties = verdicts(check, &events(watches, writes));
    let (violated, mut open) = judge(watches, writes);
    let tells = |r: &Response| matches!(r, Response::Batch(changes) if !changes.is_empty());
    if !watches.iter().any(|watch| watch.responses.iter().any(tells)) {
        open.extend(properties.iter().map(|property| property.name.clone()));
        open.retain(|rule| !violated.contains(rule));
    }
    let found = (with(&properties, Outcome::Violated), with(&properties, Outcome::Unknown));
    assert_eq!(found, (violated, open), "seed {seed}\n{watches:#?}\n{writes:#?}\n{properties:#?}");
    found
}

/// Writes that take place one after another, and watches of them.
fn store(random: &mut ChaCha8Rng) -> (Vec<Watch>, Vec<Write>) {
    let told = random.random_bool(0.7);
    let values = if random.random_bool(0.5) { 100 } else { 2 };
    let mut plan: Vec<(u64, Write)> = (0..random.random_range(1..8))
        .map(|_| {
            let point = random.random_range(0..30_u64);
            let call = point.saturating_sub(random.random_range(0..5));
            let ret = point + random.random_range(0..5);
            let keys = if random.random_bool(0.2) { 2 } else { 1 };
            let first = random.random_range(0..3);
            let parts = (0..keys)
                .map(|at| {
                    let deletes = random.random_bool(0.3);
                    let value = (!deletes).then(|| random.random_range(0..values));
                    (KEYS[(first + at) % 3], value)
                })
                .collect();
            let fate = match random.random_range(0..10) {
                0 | 1 => Fate::Unknown,
                2 => Fate::Failed,
                _ => Fate::Acknowledged,
            };
            (point, Write { call, ret, parts, fate, revision: None })
        })
        .collect();
    plan.sort_by_key(|(point, _)| *point);
    let mut revision = 1;
    let mut present = BTreeSet::new();
    let mut log: Vec<(u64, Change)> = Vec::new();
    for (point, write) in &mut plan {
        let happens = match write.fate {
            Fate::Acknowledged => true,
            Fate::Unknown => random.random_bool(0.5),
            Fate::Failed => false,
        };
        if !happens {
            continue;
        }
        let mut changes = Vec::new();
        for &(key, value) in &write.parts {
            let was_present = present.remove(key);
            if value.is_some() {
                present.insert(key);
            }
            if value.is_some() || was_present {
                changes.push((*point, (revision + 1, key, value)));
            }
        }
        revision += i64::from(!changes.is_empty());
        log.extend(changes);
        if write.fate == Fate::Acknowledged && (told || random.random_bool(0.5)) {
            write.revision = Some(revision);
        }
    }
    let watches = (0..random.random_range(1..4)).map(|_| watch(&log, random)).collect();
    let mut writes: Vec<Write> = plan.into_iter().map(|(_, write)| write).collect();
    writes.sort_by_key(|write| write.call);
    (watches, writes)
}

fn watch(log: &[(u64, Change)], random: &mut ChaCha8Rng) -> Watch {
    let call = random.random_range(0..20);
    let created = call + random.random_range(0..5);
    let end = created + random.random_range(0..30);
    let revision =
        |time| log.iter().filter(|(p, _)| *p <= time).map(|(_, c)| c.0).max().unwrap_or(1);
    let from = random.random_bool(0.6).then(|| random.random_range(1..6));
    let (prefix, whole) = match random.random_range(0..4) {
        0 => ("", false),
        1 => ("a", false),
        2 => ("ab", true),
        _ => ("a", true),
    };
    let mut watch = Watch { call, end, prefix, whole, from, responses: Vec::new() };
    // It may lag.
    let last = revision(end) - i64::from(random.random_bool(0.3));
    let first = from.unwrap_or(revision(created) + 1);
    let mut batch = Vec::new();
    for at in first..=last {
        batch.extend(log.iter().map(|(_, c)| *c).filter(|c| c.0 == at && watch.takes(c.1)));
        if !batch.is_empty() && random.random_bool(0.6) {
            watch.responses.push(Response::Batch(std::mem::take(&mut batch)));
        }
        if batch.is_empty() && random.random_bool(0.2) {
            watch.responses.push(Response::Progress(at));
        }
    }
    if !batch.is_empty() {
        watch.responses.push(Response::Batch(batch));
    }
    watch
}

/// Changes one thing, mostly in a watch.
fn mutate(watches: &mut [Watch], writes: &mut [Write], random: &mut ChaCha8Rng) {
    if random.random_bool(0.2) {
        let at = random.random_range(0..writes.len());
        let write = &mut writes[at];
        match random.random_range(0..3) {
            0 => write.revision = write.revision.map(|r| r + random.random_range(-2..=2)),
            1 if write.fate == Fate::Unknown => write.fate = Fate::Failed,
            _ => write.parts[0].1 = Some(random.random_range(0..3)),
        }
        return;
    }
    let at = random.random_range(0..watches.len());
    let watch = &mut watches[at];
    if watch.responses.is_empty() {
        watch.responses.push(Response::Progress(random.random_range(1..5)));
        return;
    }
    let at = random.random_range(0..watch.responses.len());
    let other = random.random_range(0..watch.responses.len());
    match random.random_range(0..7) {
        0 => drop(watch.responses.remove(at)),
        1 => watch.responses.insert(other, watch.responses[at].clone()),
        2 => watch.responses.swap(at, other),
        3 => watch.from = Some(random.random_range(1..6)),
        4 => watch.end = watch.end.saturating_sub(random.random_range(0..20)).max(watch.call),
        _ => match &mut watch.responses[at] {
            Response::Progress(revision) => *revision += random.random_range(-1..=2),
            Response::Batch(changes) => {
                let place = random.random_range(0..changes.len());
                let change = &mut changes[place];
                match random.random_range(0..6) {
                    0 => change.0 += random.random_range(-1..=1),
                    1 => change.1 = KEYS[random.random_range(0..3)],
                    2 => change.2 = random.random_bool(0.7).then(|| random.random_range(0..3)),
                    3 => drop(changes.remove(place)),
                    4 => changes.push(changes[place]),
                    _ => {
                        let rest = changes.split_off(place);
                        watch.responses.insert(at + 1, Response::Batch(rest));
                    }
                }
            }
        },
    }
}

fn events(watches: &[Watch], writes: &[Write]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut processes = 0..;
    let mut add =
        |f: &str, key: Datum, (call, argument), ret: Option<(u64, Kind, Datum, Option<i64>)>| {
            let process = processes.next().unwrap();
            let event = |time, kind, value, revision| Event {
                index: 0,
                time,
                process,
                kind,
                f: f.into(),
                key: key.clone(),
                value,
                error: None,
                node: None,
                revision,
            };
            events.push(event(call, Kind::Invoke, argument, None));
            if let Some((time, kind, value, revision)) = ret {
                events.push(event(time, kind, value, revision));
            }
        };
    for write in writes {
        let kind = match write.fate {
            Fate::Acknowledged => Kind::Ok,
            Fate::Unknown => Kind::Info,
            Fate::Failed => Kind::Fail,
        };
        let ret = Some((write.ret, kind, Datum::Nil, write.revision));
        match write.parts[..] {
            [(key, Some(value))] => add("put", text(key), (write.call, Datum::Int(value)), ret),
            [(key, None)] => add("delete", text(key), (write.call, Datum::Nil), ret),
            _ => {
                let parts = write.parts.iter().map(|&(key, value)| part(key, value));
                let parts = Datum::List(parts.map(Datum::List).collect());
                add("txn", Datum::Nil, (write.call, parts), ret);
            }
        }
    }
    for watch in watches {
        let asked = match (watch.prefix, watch.whole) {
            ("", false) => vec![],
            (prefix, whole) => vec![(text(if whole { "key" } else { "prefix" }), text(prefix))],
        };
        let from = watch.from.map(|from| (text("from"), Datum::Int(from)));
        let asked = Datum::Map(asked.into_iter().chain(from).collect());
        let responses = watch.responses.iter().map(|response| match response {
            Response::Progress(revision) => {
                Datum::Map(vec![(text("progress"), Datum::Int(*revision))])
            }
            Response::Batch(changes) => Datum::List(
                changes
                    .iter()
                    .map(|&(revision, key, value)| {
                        let mut change = vec![Datum::Int(revision)];
                        change.extend(part(key, value));
                        Datum::List(change)
                    })
                    .collect(),
            ),
        });
        let responses = Datum::List(responses.collect());
        let kind = if watch.end.is_multiple_of(2) { Kind::Ok } else { Kind::Info };
        let ret = Some((watch.end, kind, responses, None));
        add("watch", Datum::Nil, (watch.call, asked), ret);
    }
    number(events)
}

fn part(key: &str, value: Option<i64>) -> Vec<Datum> {
    match value {
        Some(value) => vec![text("put"), text(key), Datum::Int(value)],
        None => vec![text("delete"), text(key)],
    }
}

fn text(text: &str) -> Datum {
    Datum::Text(text.into())
}
