//! Histories as a person writes them: a transaction a line, `0-4 ok append x 1; r y [1 2]`, which
//! is from when to when it was open, how it ended, and what it did.

use checker::{
    budget::Limits,
    history::{
        Kind,
        generic::{Datum, Event},
    },
    txn,
    verdict::Property,
};

/// The events of the lines; the process of each is the line's number, from 0.
pub(crate) fn events(script: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    for (process, line) in (0..).zip(lines) {
        let mut words = line.splitn(3, ' ');
        let (call, ret) = words.next().unwrap().split_once('-').unwrap();
        let kind = match words.next().unwrap() {
            "ok" => Kind::Ok,
            "fail" => Kind::Fail,
            "info" => Kind::Info,
            other => panic!("{other} is no end"),
        };
        let steps: Vec<Datum> = words.next().unwrap().split(';').map(step).collect();
        let asked = steps.iter().map(|step| match step.list().unwrap() {
            [f, key, _] if f.text() == Some("r") => {
                Datum::List(vec![f.clone(), key.clone(), Datum::Nil])
            }
            _ => step.clone(),
        });
        let asked = Datum::List(asked.collect());
        let value = if kind == Kind::Ok { Datum::List(steps) } else { asked.clone() };
        events.push(event(call.parse().unwrap(), process, Kind::Invoke, asked));
        events.push(event(ret.parse().unwrap(), process, kind, value));
    }
    in_order(events)
}

/// One event of a transaction.
pub(crate) fn event(time: u64, process: u64, kind: Kind, value: Datum) -> Event {
    Event {
        index: 0,
        time,
        process,
        kind,
        f: "txn".into(),
        key: Datum::Nil,
        value,
        error: None,
        node: Some("n1".into()),
        revision: None,
    }
}

/// Sorts by time and numbers.
pub(crate) fn in_order(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| event.time);
    for (index, event) in (0..).zip(&mut events) {
        event.index = index;
    }
    events
}

fn step(step: &str) -> Datum {
    let words: Vec<&str> = step.trim().splitn(3, ' ').collect();
    let [f, key, value] = words[..] else { panic!("{step} is no step") };
    let value = match value.strip_prefix('[') {
        Some(list) => Datum::List(list.trim_end_matches(']').split_whitespace().map(int).collect()),
        None => int(value),
    };
    Datum::List(vec![Datum::Text(f.into()), Datum::Text(key.into()), value])
}

fn int(word: &str) -> Datum {
    Datum::Int(word.parse().unwrap())
}

/// What the checker says of the lines.
pub(crate) fn check(script: &str) -> Property {
    let events = events(script);
    let operations = checker::history::generic::pair(&events).unwrap();
    txn::check(&operations, &Limits::default()).unwrap()
}

/// The names of the anomalies, in the order in which they are told.
pub(crate) fn anomalies(script: &str) -> Vec<String> {
    check(script).violations.into_iter().map(|violation| violation.rule).collect()
}
