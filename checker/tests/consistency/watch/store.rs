//! A simulated store whose watches are right, and one thing that is changed.

use std::collections::BTreeSet;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::brute_force::{Change, Fate, Response, Turn, Watch, Write};

const KEYS: [&str; 3] = ["a", "ab", "b"];

/// Writes that take place one after another, and watches of them.
pub(super) fn store(random: &mut ChaCha8Rng) -> (Vec<Watch>, Vec<Write>) {
    let told = random.random_bool(0.7);
    let values = [100, 100, 2, 1][random.random_range(0..4)];
    let spread = random.random_range(1..=3);
    let mut plan: Vec<(u64, Write)> = (0..random.random_range(1..8))
        .map(|_| {
            let point = random.random_range(0..30_u64);
            let call = point.saturating_sub(random.random_range(0..5));
            let ret = point + random.random_range(0..5);
            let keys = if random.random_bool(0.2) { 2 } else { 1 };
            let first = random.random_range(0..spread);
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
            (point, Write { turn: Turn::default(), call, ret, parts, fate, revision: None })
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
    let watches = (0..random.random_range(1..5)).map(|_| watch(&log, random)).collect();
    (watches, plan.into_iter().map(|(_, write)| write).collect())
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
    let fate = [Fate::Acknowledged, Fate::Acknowledged, Fate::Unknown, Fate::Failed]
        [random.random_range(0..4)];
    let (turn, responses) = (Turn::default(), Vec::new());
    let mut watch = Watch { turn, call, end, fate, prefix, whole, from, responses };
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
pub(super) fn mutate(watches: &mut [Watch], writes: &mut [Write], random: &mut ChaCha8Rng) {
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
