//! Seeded histories of stores of texts, sets and queues. Each operation takes place at a moment
//! between its call and its return, so a history is linearizable but for an answer that is spoilt.

use std::collections::VecDeque;

use checker::history::{
    Kind,
    generic::{Datum, Event},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// An operation of one key: its name, its argument, its answer.
type Served = (&'static str, Datum, Datum);

/// A history of one object: `serve` is asked for operations in the order in which they take place.
fn history(
    clients: usize,
    operations: usize,
    random: &mut ChaCha8Rng,
    mut serve: impl FnMut(&mut ChaCha8Rng, usize) -> Served,
) -> Vec<Event> {
    let mut free_at = vec![0; clients];
    let mut plan: Vec<(u64, u64, u64, usize)> = (0..operations)
        .map(|number| {
            let client = number % clients;
            let call = free_at[client] + random.random_range(1..1000);
            let point = call + random.random_range(0..1000);
            free_at[client] = point + random.random_range(0..1000);
            (point, call, free_at[client], client)
        })
        .collect();
    plan.sort_unstable();
    let mut events = Vec::with_capacity(2 * operations);
    for (number, (_, call, ret, client)) in plan.into_iter().enumerate() {
        let (f, argument, answer) = serve(random, number);
        let event = |time, kind, value| Event {
            index: 0,
            time,
            process: client as u64,
            kind,
            f: f.into(),
            key: Datum::Nil,
            value,
            error: None,
            node: None,
            revision: None,
        };
        events.push(event(call, Kind::Invoke, argument));
        events.push(event(ret, Kind::Ok, answer));
    }
    // A client's next call is later than its last return.
    events.sort_by_key(|event| event.time);
    for (index, event) in (0..).zip(&mut events) {
        event.index = index;
    }
    events
}

/// One key, as Porcupine's histories have it: half gets, most of the rest appends. When `stale`, a
/// get in the middle misses what was last appended long before.
pub(crate) fn texts(clients: usize, operations: usize, seed: u64, stale: bool) -> Vec<Event> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut text = String::new();
    let mut before = VecDeque::from([text.clone()]);
    let mut due = stale;
    history(clients, operations, &mut random, |random, number| {
        let piece = format!("x {number} y");
        match random.random_range(0..20) {
            0..10 => {
                let old =
                    before.front().filter(|old| due && number > operations / 2 && **old != text);
                let answer = old.unwrap_or(&text).as_str();
                due &= old.is_none();
                ("get", Datum::Nil, Datum::Text(answer.into()))
            }
            kind => {
                if kind == 10 {
                    text.clear();
                }
                text += &piece;
                before.push_back(text.clone());
                if before.len() > 4 * clients {
                    before.pop_front();
                }
                let piece = Datum::Text(piece.into());
                (if kind == 10 { "put" } else { "append" }, piece.clone(), piece)
            }
        }
    })
}

/// A set that grows, read whole one time in fifty.
pub(crate) fn sets(clients: usize, operations: usize, seed: u64) -> Vec<Event> {
    let mut members = Vec::new();
    history(clients, operations, &mut ChaCha8Rng::seed_from_u64(seed), |random, number| {
        if random.random_range(0..50) == 0 {
            return ("read", Datum::Nil, Datum::List(members.clone()));
        }
        let member = Datum::Int(number as i64);
        members.push(member.clone());
        ("add", member.clone(), member)
    })
}

/// A queue of unique values that is found empty now and then.
pub(crate) fn queues(clients: usize, operations: usize, seed: u64) -> Vec<Event> {
    let mut queue = VecDeque::new();
    history(clients, operations, &mut ChaCha8Rng::seed_from_u64(seed), |random, number| {
        if random.random_bool(0.5) {
            return ("dequeue", Datum::Nil, queue.pop_front().unwrap_or_default());
        }
        let value = Datum::Int(number as i64);
        queue.push_back(value.clone());
        ("enqueue", value.clone(), value)
    })
}
