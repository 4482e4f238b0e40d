//! Lies: one thing changed in a history, which mostly makes it illegal.

use checker::model::etcd::{KeyValue, Refusal, Response, Value};
use rand::{Rng, RngExt, seq::IndexedRandom};

use crate::generate::{Op, Outcome, rename};

pub(crate) fn doctor(random: &mut impl Rng, ops: &mut [Op]) {
    let at = random.random_range(0..ops.len());
    match random.random_range(0..8) {
        0 => {
            if let Outcome::Ok(response) = &mut ops[at].outcome {
                let revision = revision(response);
                *revision += *[-2, -1, 1, 2].choose(random).unwrap();
                if *revision <= 0 {
                    // No header says nothing, which is no lie.
                    *revision = 9;
                }
            }
        }
        1..=3 => {
            if let Outcome::Ok(response) = &mut ops[at].outcome {
                inside(random, response);
            }
        }
        4 => {
            let other = ops[random.random_range(0..ops.len())].clone();
            if other.request.function() == ops[at].request.function() {
                ops[at].outcome = other.outcome;
                rename(ops);
            }
        }
        5 => {
            let refusal = *Refusal::ALL.choose(random).unwrap();
            ops[at].outcome = Outcome::Refused(refusal);
        }
        6 => {
            // Another process, at another time.
            let delta = random.random_range(1..12);
            let op = &mut ops[at];
            let back = random.random_bool(0.5);
            let moved = |time: u64| if back { time.saturating_sub(delta) } else { time + delta };
            (op.call, op.ret) = (moved(op.call), moved(op.ret));
            op.process = 1_000_000 + u64::from(random.random::<u32>());
            ops.sort_by_key(|op| op.call);
        }
        _ => {
            ops[at].outcome = Outcome::Unknown;
            rename(ops);
        }
    }
}

fn revision(response: &mut Response) -> &mut i64 {
    match response {
        Response::Put(response) => &mut response.revision,
        Response::Range(response) => &mut response.revision,
        Response::DeleteRange(response) => &mut response.revision,
        Response::Txn(response) => &mut response.revision,
    }
}

fn pairs(random: &mut impl Rng, pairs: &mut Vec<KeyValue>) {
    if pairs.is_empty() {
        pairs.push(KeyValue { key: "a".into(), mod_revision: 2, ..KeyValue::default() });
        return;
    }
    let at = random.random_range(0..pairs.len());
    if random.random_bool(0.3) {
        pairs.remove(at);
    } else {
        pair(random, &mut pairs[at]);
    }
}

fn pair(random: &mut impl Rng, pair: &mut KeyValue) {
    let by = *[-1, 1].choose(random).unwrap();
    match random.random_range(0..5) {
        0 => pair.value = Value::of(b"0"),
        1 => pair.create_revision += by,
        2 => pair.mod_revision += by,
        3 => pair.version += by,
        _ => pair.key = "b".into(),
    }
}

fn inside(random: &mut impl Rng, response: &mut Response) {
    match response {
        Response::Put(response) => match &mut response.prev_kv {
            Some(_) if random.random_bool(0.2) => response.prev_kv = None,
            Some(old) => pair(random, old),
            None => response.revision += 1,
        },
        Response::Range(response) => match random.random_range(0..6) {
            0 => response.more = !response.more,
            1 => response.count += 1,
            _ => pairs(random, &mut response.kvs),
        },
        Response::DeleteRange(response) => match random.random_range(0..3) {
            0 => response.deleted += 1,
            1 => response.deleted = 0,
            _ => pairs(random, &mut response.prev_kvs),
        },
        Response::Txn(response) => match response.responses.len() {
            0 => response.succeeded = !response.succeeded,
            some => {
                let at = random.random_range(0..some);
                match random.random_range(0..6) {
                    0 => response.succeeded = !response.succeeded,
                    1 => drop(response.responses.remove(at)),
                    // A transaction within another may have a header, though etcd's has none.
                    2 if !matches!(response.responses[at], Response::Txn(_)) => {
                        *revision(&mut response.responses[at]) += 1;
                    }
                    _ => inside(random, &mut response.responses[at]),
                }
            }
        },
    }
}
