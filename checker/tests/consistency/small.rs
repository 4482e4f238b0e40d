//! Small random histories of one register, with answers that are often wrong.

use checker::history::{
    Kind,
    generic::{Datum, Event},
    operation::MISMATCH,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::script::number;

/// Histories to try.
pub(crate) fn histories(otherwise: u64) -> u64 {
    match std::env::var("CHECKER_HISTORIES") {
        Ok(count) => count.parse().expect("CHECKER_HISTORIES is the number of histories to try"),
        Err(_) => otherwise,
    }
}

/// A history: of so many keys, where values repeat or not.
pub(crate) fn history(seed: u64, keys: i64) -> Vec<Event> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let distinct = random.random_bool(0.6);
    let deletes = random.random_bool(0.3);
    let cas = random.random_bool(0.4);
    let honest = random.random_bool(0.5);
    let processes = random.random_range(1..=3_u64);
    let operations = random.random_range(2..=8);
    let mut clocks = vec![0; processes as usize];
    let mut gone = vec![false; processes as usize];
    let mut unique = 0;
    let mut events = Vec::new();
    let mut log: Vec<Vec<Option<i64>>> = vec![vec![None]; keys as usize];
    for _ in 0..operations {
        let process = random.random_range(0..processes);
        if gone[process as usize] {
            continue;
        }
        let key = random.random_range(0..keys);
        let mut value = |random: &mut ChaCha8Rng| {
            unique += 1;
            if distinct { unique } else { random.random_range(1..=2) }
        };
        let (f, argument) = match random.random_range(0..10) {
            0..5 => ("read", Datum::Nil),
            5 if deletes => ("delete", Datum::Nil),
            6 | 7 if cas => {
                let expected = *log[key as usize].last().unwrap();
                let expected = expected.map_or(Datum::Nil, Datum::Int);
                ("cas", Datum::List(vec![expected, Datum::Int(value(&mut random))]))
            }
            _ => ("write", Datum::Int(value(&mut random))),
        };
        let call = clocks[process as usize] + random.random_range(0..3);
        let ret = call + random.random_range(0..6);
        clocks[process as usize] = ret;
        let versions = &mut log[key as usize];
        let written = match &argument {
            Datum::Int(value) => Some(Some(*value)),
            Datum::List(pair) => Some(pair[1].int()),
            _ => (f == "delete").then_some(None),
        };
        let crashed = written.is_some() && random.random_bool(0.1);
        let refused = f == "cas" && random.random_bool(0.3);
        let answer = match written {
            Some(written) => {
                if !refused {
                    versions.push(written);
                }
                argument.clone()
            }
            None => {
                // Often the latest, sometimes any.
                let latest = versions.len() - 1;
                let at = if honest || random.random_bool(0.6) {
                    latest
                } else {
                    random.random_range(0..=latest)
                };
                let wild = random.random_bool(if honest { 0.05 } else { 0.2 });
                match if wild { Some(random.random_range(1..=4)) } else { versions[at] } {
                    Some(value) => Datum::Int(value),
                    None => Datum::Nil,
                }
            }
        };
        let event = |time, kind, value| Event {
            index: 0,
            time,
            process,
            kind,
            f: f.into(),
            key: Datum::Int(key),
            value,
            error: (kind == Kind::Fail).then(|| MISMATCH.into()),
            node: None,
            revision: None,
        };
        events.push(event(call, Kind::Invoke, argument));
        if crashed {
            gone[process as usize] = true;
        } else {
            events.push(event(ret, if refused { Kind::Fail } else { Kind::Ok }, answer));
        }
    }
    number(events)
}
