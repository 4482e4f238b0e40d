//! A simulated store: one log of writes, and reads that lag behind it but never behind what their
//! session has seen or written. So it keeps every session guarantee; where each session is at one
//! place of the whole log, it is sequentially consistent too.

use checker::history::{
    Kind,
    generic::{Datum, Event},
};
use rand::{RngExt, SeedableRng};
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
    pub(crate) deletes: bool,
    /// Whether a session that has seen something of one key has seen what was before of all.
    pub(crate) together: bool,
}

struct Planned {
    process: u64,
    key: usize,
    f: &'static str,
    argument: Datum,
    call: u64,
    point: u64,
    ret: u64,
    crashed: bool,
    /// A compare-and-set that found another value.
    refused: bool,
    /// Where there is an answer: its value and revision.
    answer: Option<(Datum, i64)>,
}

/// A history of such a store.
pub(crate) fn history(shape: Shape, seed: u64) -> Vec<Event> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut plan = plan(shape, &mut random);
    let mut order: Vec<usize> = (0..plan.len()).collect();
    order.sort_by_key(|&at| plan[at].point);
    // Of each key: its versions, with their places in the log.
    let mut versions: Vec<Vec<(i64, Datum)>> = vec![vec![(1, Datum::Nil)]; shape.keys];
    let mut log = 1;
    let last = plan.iter().map(|planned| planned.process).max().unwrap_or(0) as usize;
    let mut seen = vec![vec![1; shape.keys]; last + 1];
    for at in order {
        let planned = &mut plan[at];
        // A crashed operation has taken place as often as not.
        if planned.crashed && random.random_bool(0.5) {
            continue;
        }
        let seen = &mut seen[planned.process as usize];
        let key = planned.key;
        let to = if planned.f == "read" {
            log - random.random_range(0..20).min(log - 1)
        } else {
            log += 1;
            let written = match &planned.argument {
                Datum::List(pair) if pair[0] != versions[key].last().unwrap().1 => None,
                Datum::List(pair) => Some(pair[1].clone()),
                value => Some(value.clone()),
            };
            if let Some(written) = written {
                versions[key].push((log, written));
            } else {
                planned.refused = true;
            }
            log
        };
        seen[key] = to.max(seen[key]);
        if shape.together {
            let all = seen[key];
            seen.fill(all);
        }
        let count = versions[key].partition_point(|(place, _)| *place <= seen[key]);
        let (revision, value) = &versions[key][count - 1];
        let value = if planned.f == "read" { value } else { &planned.argument };
        planned.answer = Some((value.clone(), *revision));
    }
    events(plan)
}

fn plan(shape: Shape, random: &mut ChaCha8Rng) -> Vec<Planned> {
    let mut free_at = vec![0; shape.clients];
    let mut processes: Vec<u64> = (0..shape.clients as u64).collect();
    let mut next_process = shape.clients as u64;
    let mut unique = 0;
    (0..shape.operations)
        .map(|number| {
            let client = number % shape.clients;
            let call = free_at[client] + random.random_range(1..1000);
            let point = call + random.random_range(0..1000);
            let ret = point + random.random_range(0..1000);
            free_at[client] = ret;
            let mut value = |random: &mut ChaCha8Rng| match shape.values {
                Some(values) => random.random_range(1..=values),
                None => {
                    unique += 1;
                    unique
                }
            };
            let (f, argument) = match random.random_range(0..20) {
                0..12 => ("read", Datum::Nil),
                18 if shape.deletes => ("delete", Datum::Nil),
                19 => {
                    let new = value(random);
                    let expected = Datum::Int(random.random_range(1..=new));
                    ("cas", Datum::List(vec![expected, Datum::Int(new)]))
                }
                _ => ("write", Datum::Int(value(random))),
            };
            let process = processes[client];
            let crashed = random.random_range(0..1000) < shape.crashed;
            if crashed {
                processes[client] = next_process;
                next_process += 1;
            }
            let key = random.random_range(0..shape.keys);
            let (refused, answer) = (false, None);
            Planned { process, key, f, argument, call, point, ret, crashed, refused, answer }
        })
        .collect()
}

fn events(plan: Vec<Planned>) -> Vec<Event> {
    let mut events = Vec::with_capacity(2 * plan.len());
    for planned in plan {
        let event = |time, kind, value| Event {
            index: 0,
            time,
            process: planned.process,
            kind,
            f: planned.f.into(),
            key: Datum::Text(format!("k{}", planned.key).into()),
            value,
            error: (kind == Kind::Fail).then(|| "mismatch".into()),
            node: Some(format!("n{}", planned.process % 5 + 1).into()),
            revision: None,
        };
        events.push(event(planned.call, Kind::Invoke, planned.argument.clone()));
        let (kind, value, revision) = match planned.answer {
            _ if planned.crashed => (Kind::Info, planned.argument.clone(), None),
            _ if planned.refused => (Kind::Fail, planned.argument.clone(), None),
            Some((value, revision)) => (Kind::Ok, value, Some(revision)),
            None => unreachable!("what did not crash took place"),
        };
        events.push(Event { revision, ..event(planned.ret, kind, value) });
    }
    crate::script::number(events)
}

/// Has a session read a version of a key again after it saw another, if there is one that does.
pub(crate) fn read_again(history: &mut [Event], random: &mut ChaCha8Rng) -> bool {
    let reads: Vec<usize> = (0..history.len())
        .filter(|&at| {
            let event = &history[at];
            &*event.f == "read" && event.kind == Kind::Ok && event.value != Datum::Nil
        })
        .collect();
    if reads.is_empty() {
        return false;
    }
    let start = random.random_range(0..reads.len());
    for (place, &first) in reads.iter().enumerate().skip(start) {
        let same = |other: &&usize| {
            let (other, event) = (&history[**other], &history[first]);
            other.process == event.process && other.key == event.key
        };
        let mut later = reads[place + 1..].iter().filter(same);
        let changed = later.by_ref().find(|&&other| history[other].value != history[first].value);
        if let (Some(_), Some(&last)) = (changed, later.next()) {
            history[last].value = history[first].value.clone();
            return true;
        }
    }
    false
}
