//! Random histories, compared with brute force: of a store whose watches are right; the same with
//! one thing changed; and of a crowd that tells and writes much the same at the same moments.

use std::collections::{BTreeMap, BTreeSet};

use checker::{
    history::{
        Kind,
        generic::{Datum, Event},
    },
    verdict::Outcome,
    watch::check,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    brute_force::{Fate, Response, Turn, Watch, Write, judge},
    possible::possible,
    store::{mutate, store},
    with,
};
use crate::{
    script::{number, verdicts},
    small::histories,
};

#[test]
fn right_watches_are_accepted_and_any_are_judged_as_brute_force_does() {
    let mut broken: BTreeMap<String, u64> = BTreeMap::new();
    let mut open = 0;
    for seed in 0..histories(20_000) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut watches, mut writes) = store(&mut random);
        take_turns(&mut watches, &mut writes, Done::Before, &mut random);
        coarsen(&mut watches, &mut writes, random.random_range(1..=8));
        let violated = agrees(seed, &watches, &writes).0;
        assert!(violated.is_empty(), "seed {seed}: {violated:?}\n{watches:#?}\n{writes:#?}");
        mutate(&mut watches, &mut writes, &mut random);
        if random.random_bool(0.5) {
            take_turns(&mut watches, &mut writes, Done::JustThen, &mut random);
        }
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

#[test]
fn a_crowd_is_judged_as_brute_force_does() {
    let mut by_turns: BTreeMap<String, u64> = BTreeMap::new();
    let (mut impossible, mut missed) = (0, 0);
    for seed in 0..histories(20_000) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut watches, mut writes) = crowd(&mut random);
        take_turns(&mut watches, &mut writes, Done::JustThen, &mut random);
        let (violated, _) = agrees(seed, &watches, &writes);
        if only_puts(&watches, &writes) {
            let refused =
                ["watch-integrity", "write-revisions"].iter().any(|rule| violated.contains(*rule));
            let possible = possible(&watches, &writes);
            assert!(!refused || !possible, "seed {seed}\n{watches:#?}\n{writes:#?}");
            impossible += u64::from(!possible);
            missed += u64::from(!possible && !refused);
        }
        // Had each process done one thing only.
        let turns = watches.iter_mut().map(|w| &mut w.turn);
        for (process, turn) in (0..).zip(turns.chain(writes.iter_mut().map(|w| &mut w.turn))) {
            turn.process = process;
        }
        let (otherwise, _) = agrees(seed, &watches, &writes);
        for rule in violated.difference(&otherwise) {
            *by_turns.entry(rule.clone()).or_default() += 1;
        }
    }
    if histories(20_000) >= 10_000 {
        assert!(
            by_turns.len() == 2 && by_turns.values().all(|&count| count >= 100),
            "{by_turns:?}"
        );
        // What is left of these takes several keys, or several processes at several revisions.
        assert!(missed * 1_000 < impossible, "{missed} of {impossible}");
    }
}

/// Whether nothing was deleted: what each revision did is then all that there is to it.
fn only_puts(watches: &[Watch], writes: &[Write]) -> bool {
    let puts = |response: &Response| match response {
        Response::Batch(changes) => changes.iter().all(|change| change.2.is_some()),
        Response::Progress(_) => true,
    };
    writes.iter().all(Write::puts) && watches.iter().all(|w| w.responses.iter().all(puts))
}

/// Few changes, told by many watches and asked for by many writes, at few moments.
fn crowd(random: &mut ChaCha8Rng) -> (Vec<Watch>, Vec<Write>) {
    let moments = random.random_range(1..=3_u64);
    let last = random.random_range(2..=6_i64);
    let mixed = random.random_bool(0.3);
    let deletes = random.random_bool(0.2);
    let what = |random: &mut ChaCha8Rng| {
        let key = if mixed && random.random_bool(0.4) { "b" } else { "a" };
        (key, (!deletes || random.random_bool(0.5)).then_some(1))
    };
    let log: Vec<_> = (2..=last).map(|revision| (revision, what(random))).collect();
    let span = |random: &mut ChaCha8Rng| {
        let (one, other) = (random.random_range(0..moments), random.random_range(0..moments));
        (one.min(other), one.max(other))
    };
    let fate = |random: &mut ChaCha8Rng| {
        [Fate::Acknowledged, Fate::Acknowledged, Fate::Acknowledged, Fate::Unknown, Fate::Failed]
            [random.random_range(0..5)]
    };
    let watches = (0..random.random_range(1..=4))
        .map(|_| {
            let (call, end) = span(random);
            let from = random.random_bool(0.5).then(|| random.random_range(1..=last));
            let begins = random.random_range(2..=last);
            let told = log.iter().filter(|(revision, _)| *revision >= from.unwrap_or(begins));
            let responses = told
                .filter(|_| random.random_bool(0.9))
                .map(|&(revision, (key, value))| Response::Batch(vec![(revision, key, value)]))
                .collect();
            let (turn, prefix, whole) = (Turn::default(), "", false);
            Watch { turn, call, end, fate: Fate::Acknowledged, prefix, whole, from, responses }
        })
        .collect();
    let writes = (0..random.random_range(1..=6))
        .map(|_| {
            let (call, ret) = span(random);
            let fate = fate(random);
            let known = fate == Fate::Acknowledged && random.random_bool(0.2);
            let revision = known.then(|| random.random_range(2..=last));
            let parts = vec![what(random)];
            Write { turn: Turn::default(), call, ret, parts, fate, revision }
        })
        .collect();
    (watches, writes)
}

/// When a process goes on: some time after what it did before, or at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Before,
    JustThen,
}

/// Has processes do one thing after another.
fn take_turns(watches: &mut [Watch], writes: &mut [Write], done: Done, random: &mut ChaCha8Rng) {
    let often = random.random_range(0.0..1.0);
    let mut all: Vec<(u64, u64, Fate, &mut Turn)> = Vec::new();
    all.extend(watches.iter_mut().map(|w| (w.call, w.end, w.fate, &mut w.turn)));
    all.extend(writes.iter_mut().map(|w| (w.call, w.ret, w.fate, &mut w.turn)));
    all.sort_by_key(|(call, end, ..)| (*call, *end));
    // When each process is free again.
    let mut free: Vec<Option<u64>> = Vec::new();
    for (place, (call, end, fate, turn)) in all.into_iter().enumerate() {
        let ready = |since: u64| since < call || (since == call && done == Done::JustThen);
        let others: Vec<usize> =
            (0..free.len()).filter(|process| free[*process].is_some_and(ready)).collect();
        let process = if !others.is_empty() && random.random_bool(often) {
            others[random.random_range(0..others.len())]
        } else {
            free.push(None);
            free.len() - 1
        };
        free[process] = (fate != Fate::Unknown).then_some(end);
        *turn = Turn { process: process as u64, place };
    }
    writes.sort_by_key(|write| write.turn.place);
}

/// Has all happen by a clock that ticks more rarely.
fn coarsen(watches: &mut [Watch], writes: &mut [Write], tick: u64) {
    let times = watches.iter_mut().flat_map(|w| [&mut w.call, &mut w.end]);
    for time in times.chain(writes.iter_mut().flat_map(|w| [&mut w.call, &mut w.ret])) {
        *time /= tick;
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

fn events(watches: &[Watch], writes: &[Write]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut add =
        |turn: Turn, f: &str, key: Datum, (call, argument), (end, fate, value, revision)| {
            let kind = match fate {
                Fate::Acknowledged => Kind::Ok,
                Fate::Unknown => Kind::Info,
                Fate::Failed => Kind::Fail,
            };
            for (time, kind, value, revision) in
                [(call, Kind::Invoke, argument, None), (end, kind, value, revision)]
            {
                let (process, key) = (turn.process, key.clone());
                let (f, error, node) = (f.into(), None, None);
                let event =
                    Event { index: 0, time, process, kind, f, key, value, error, node, revision };
                events.push((turn.place, event));
            }
        };
    for write in writes {
        let ret = (write.ret, write.fate, Datum::Nil, write.revision);
        match write.parts[..] {
            [(key, Some(value))] => {
                add(write.turn, "put", text(key), (write.call, Datum::Int(value)), ret)
            }
            [(key, None)] => add(write.turn, "delete", text(key), (write.call, Datum::Nil), ret),
            _ => {
                let parts = write.parts.iter().map(|&(key, value)| part(key, value));
                let parts = Datum::List(parts.map(Datum::List).collect());
                add(write.turn, "txn", Datum::Nil, (write.call, parts), ret);
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
        let ret = (watch.end, watch.fate, responses, None);
        add(watch.turn, "watch", Datum::Nil, (watch.call, asked), ret);
    }
    events.sort_by_key(|(place, _)| *place);
    number(events.into_iter().map(|(_, event)| event).collect())
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
