//! Histories that a person can read.

use checker::{
    budget::Limits,
    history::{
        Kind,
        generic::{Datum, Event, pair},
        operation::MISMATCH,
    },
    verdict::{Outcome, Property},
};

/// What all checks look like.
pub(crate) type Check<E> =
    fn(&[checker::history::generic::Operation<'_>], &Limits) -> Result<Vec<Property>, E>;

/// One operation a line: `process call-return f key value [=> answer]`; a return of `?` is unknown,
/// and one of `!` a compare-and-set that was refused. Times are milliseconds.
pub(crate) fn history(script: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (asked, answer) = line.split_once("=>").unwrap_or((line, ""));
        let words: Vec<&str> = asked.split_whitespace().collect();
        let [process, times, f, key, rest @ ..] = &words[..] else { panic!("{line}") };
        let (call, ret) = times.split_once('-').unwrap();
        let value = rest.first().map_or(Datum::Nil, |text| datum(text));
        let answer = if answer.is_empty() { value.clone() } else { datum(answer.trim()) };
        let event = |time: &str, kind, value| Event {
            index: 0,
            time: time.parse::<u64>().unwrap() * 1_000_000,
            process: process.parse().unwrap(),
            kind,
            f: (*f).into(),
            key: Datum::Text((*key).into()),
            value,
            error: (kind == Kind::Fail).then(|| MISMATCH.into()),
            node: Some(format!("n{process}").into()),
            revision: None,
        };
        events.push(event(call, Kind::Invoke, value.clone()));
        match ret.split_at(ret.len() - 1) {
            (_, "?") => {}
            (ret, "!") => events.push(event(ret, Kind::Fail, value)),
            _ => events.push(event(ret, Kind::Ok, answer)),
        }
    }
    number(events)
}

/// Puts events into order.
pub(crate) fn number(mut events: Vec<Event>) -> Vec<Event> {
    // Stable, and each process's own are in order.
    events.sort_by_key(|event| event.time);
    for (index, event) in (0..).zip(&mut events) {
        event.index = index;
    }
    events
}

fn datum(text: &str) -> Datum {
    match text {
        "nil" => Datum::Nil,
        text if text.starts_with('[') => Datum::List(
            text.trim_matches(['[', ']']).split(',').map(|member| datum(member.trim())).collect(),
        ),
        text => Datum::Int(text.parse().unwrap()),
    }
}

/// What a check says of a history.
pub(crate) fn verdicts<E: std::error::Error>(check: Check<E>, history: &[Event]) -> Vec<Property> {
    check(&pair(history).unwrap(), &Limits::default()).unwrap()
}

/// The names of what was violated, and the sentences.
pub(crate) fn violated(properties: &[Property]) -> (Vec<&str>, Vec<&str>) {
    let violated = properties.iter().filter(|property| property.outcome == Outcome::Violated);
    let sentences = violated.clone().flat_map(|property| &property.violations);
    (violated.map(|p| p.name.as_str()).collect(), sentences.map(|v| v.summary.as_str()).collect())
}
