//! Banks: histories that must be rejected, and seeded ones that must not.

use checker::{
    budget::Limits,
    history::{
        Kind,
        generic::{Datum, Event, pair, to_datum},
    },
    judge::front::bank::{OPENING, check},
    verdict::{Outcome, Property},
};
use rand::RngExt;
use serde_json::{Value, json};

use crate::small::{histories, seeded};

fn event(time: u64, process: u64, kind: Kind, f: &str, value: &Value) -> Event {
    Event {
        index: 0,
        time,
        process,
        kind,
        f: f.into(),
        key: Datum::Nil,
        value: to_datum(value).unwrap(),
        error: None,
        node: Some(format!("n{}", process % 3 + 1).into()),
        revision: None,
    }
}

fn in_order(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| event.time);
    for (index, event) in (0..).zip(&mut events) {
        event.index = index;
    }
    events
}

/// The two properties: balances, and the order.
fn judge(events: &[Event]) -> [Property; 2] {
    let operations = pair(events).unwrap();
    check(&operations, &Limits::default()).unwrap().try_into().unwrap()
}

/// A line is `CALL-RETURN KIND F VALUE`: a transfer `NUMBER FROM TO AMOUNT FOUND`, a read what it
/// read.
fn script(lines: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    for (process, line) in (0..).zip(lines) {
        let words: Vec<&str> = line.split(' ').collect();
        let (call, ret) = words[0].split_once('-').unwrap();
        let time = |text: &str| text.parse::<u64>().unwrap() * 1_000_000;
        let (asked, answer) = match words[2] {
            "transfer" => {
                let int = |at: usize| words[at].parse::<i64>().unwrap();
                let (number, amount) = (int(3), int(6));
                let asked =
                    json!({"number": number, "from": words[4], "to": words[5], "amount": amount});
                (asked, words.get(7))
            }
            _ => (Value::Null, words.get(3)),
        };
        let answer = answer.map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
        events.push(event(time(call), process, Kind::Invoke, words[2], &asked));
        let kind = match words[1] {
            "ok" => Kind::Ok,
            "info" => Kind::Info,
            _ => Kind::Fail,
        };
        let error = (words[1] == "insufficient").then(|| words[1].into());
        events.push(Event { error, ..event(time(ret), process, kind, words[2], &answer) });
    }
    in_order(events)
}

fn outcomes(lines: &str) -> [Outcome; 2] {
    judge(&script(lines)).map(|property| property.outcome)
}

/// Rule and summary of the first violation of a property.
fn violation(property: &Property) -> (&str, &str) {
    assert_eq!(property.outcome, Outcome::Violated, "{property:#?}");
    (&property.violations[0].rule, &property.violations[0].summary)
}

const FINE: [Outcome; 2] = [Outcome::Ok, Outcome::Ok];

#[test]
fn transfers_one_after_the_other_are_fine() {
    let history = |last: &str| {
        format!(
            r#"1-2 ok read {{}}
               3-4 ok transfer 1 a b 30 {{}}
               5-6 ok transfer 2 b a 10 {{"a":[70,1,1],"b":[130,1,1]}}
               7-8 insufficient transfer 3 a c 90 {{"a":[80,2,2]}}
               9-9 fail transfer 4 a c 1
               10-11 ok read {last}"#
        )
    };
    assert_eq!(outcomes(&history(r#"{"a":[80,2,2],"b":[120,2,2]}"#)), FINE);
    // The transfer that failed was executed.
    let [balances, order] =
        judge(&script(&history(r#"{"a":[79,3,4],"b":[120,2,2],"c":[101,1,4]}"#)));
    assert_eq!(violation(&balances).0, "count");
    assert_eq!(order.outcome, Outcome::Ok, "a transfer too many has no place in a list");
}

#[test]
fn a_lost_transfer_is_found_by_what_no_longer_shows_it() {
    let [balances, order] = judge(&script(
        r#"1-2 ok transfer 1 a b 30 {}
           3-4 ok transfer 2 b c 10 {"b":[130,1,1]}
           5-6 ok read {"a":[70,1,1],"b":[130,1,1]}"#,
    ));
    assert_eq!(balances.outcome, Outcome::Ok, "no money is missing: {balances:#?}");
    assert_eq!(violation(&order).0, "G-single-realtime");
    // It was lost, and another took its place.
    let [_, order] = judge(&script(
        r#"1-2 ok transfer 1 a b 30 {}
           3-4 ok transfer 2 a c 10 {}
           5-6 ok read {"a":[90,1,2],"c":[110,1,2]}"#,
    ));
    violation(&order);
}

#[test]
fn half_a_transfer_is_no_read() {
    let [balances, order] = judge(&script(
        r#"1-9 ok transfer 1 a b 30 {}
           3-4 ok read {"a":[70,1,1]}"#,
    ));
    let (rule, summary) = violation(&balances);
    assert_eq!(rule, "total");
    assert_eq!(
        summary,
        "the 2 accounts had 200 at the beginning, and 170 in the read of n2 at 0.004 s"
    );
    violation(&order);
}

#[test]
fn a_read_shows_what_was_acknowledged_before_it() {
    let stale = r#"1-2 ok transfer 1 a b 30 {}
                   3-4 ok read {}"#;
    let [balances, order] = judge(&script(stale));
    assert_eq!(balances.outcome, Outcome::Ok);
    assert_eq!(violation(&order).0, "G-single-realtime");
    assert_eq!(outcomes(&stale.replace("3-4", "2-4")), FINE, "they may have met");
    assert_eq!(outcomes(&stale.replace("ok transfer", "info transfer")), FINE);
}

#[test]
fn a_balance_is_that_of_before_and_one_transfer() {
    let wrong = r#"1-2 ok transfer 1 a b 30 {}
                   3-4 ok read {"a":[60,1,1],"b":[140,1,1]}"#;
    let [balances, order] = judge(&script(wrong));
    assert_eq!(order.outcome, Outcome::Ok);
    assert_eq!(
        violation(&balances),
        (
            "balance",
            "account a holds 60 after transfer 1, says n2 at 0.004 s, and 70, says n1 at 0.002 s"
        )
    );
    let [balances, _] = judge(&script(&wrong.replace("ok transfer", "info transfer")));
    assert_eq!(
        violation(&balances),
        (
            "balance",
            "account a held 100, and 60 after transfer 1 of 30 from a to b, says n2 at 0.004 s"
        )
    );
}

#[test]
fn nobody_pays_what_nobody_has() {
    let [balances, _] = judge(&script(
        r#"1-2 ok transfer 1 a b 101 {}
           3-4 ok read {"a":[-1,1,1],"b":[201,1,1]}"#,
    ));
    assert_eq!(violation(&balances).0, "overdraft");
    let [balances, _] = judge(&script(
        r#"1-2 insufficient transfer 1 a b 30 {}
           3-4 ok read {}"#,
    ));
    let (rule, summary) = violation(&balances);
    assert_eq!(rule, "refusal");
    assert_eq!(summary, "n1 at 0.002 s refused transfer 1 of 30 although account a held 100");
}

#[test]
fn a_transfer_takes_place_once() {
    let [balances, _] = judge(&script(
        r#"1-2 ok transfer 1 a b 30 {}
           3-4 ok read {"a":[40,2,1],"b":[160,2,1]}"#,
    ));
    assert_eq!(violation(&balances).0, "count");
    let [_, order] = judge(&script(
        r#"1-2 ok transfer 1 a b 30 {}
           3-4 ok transfer 2 a b 5 {"a":[70,1,1],"b":[130,1,1]}
           5-6 ok read {"a":[40,2,1],"b":[160,2,1]}"#,
    ));
    violation(&order);
}

#[test]
fn what_no_answer_tells_is_left_open() {
    // Two transfers whose answers were lost: which came first, only the second one's place tells.
    let history = r#"1-2 info transfer 1 a b 30
                     3-4 info transfer 2 a c 5
                     5-6 ok transfer 3 a d 1 {"a":[65,2,2]}
                     7-8 ok read {"a":[64,3,3],"b":[130,1,1],"c":[105,1,2],"d":[101,1,3]}"#;
    assert_eq!(outcomes(history), FINE);
}

#[test]
fn nothing_read_is_nothing_held() {
    let [balances, _] = judge(&script("1-2 ok transfer 1 a b 30 {}"));
    assert_eq!(balances.outcome, Outcome::Unknown);
    assert!(balances.detail.contains("no read of all accounts"), "{}", balances.detail);
}

#[test]
fn what_is_none_of_a_bank_is_refused() {
    let refused = |lines: &str| {
        let events = script(lines);
        let operations = pair(&events).unwrap();
        check(&operations, &Limits::default()).unwrap_err().to_string()
    };
    assert!(refused("1-2 ok transfer 1 a a 30 {}").contains("expected a transfer, such as"));
    assert!(refused("1-2 ok transfer 1 a b 0 {}").contains("expected a transfer, such as"));
    assert!(refused(r#"1-2 ok read {"a":[1,2]}"#).contains("such as {a0 [95 1 17]}"));
    assert!(refused(r#"1-2 ok read {"a":[1,0,2]}"#).contains("such as {a0 [95 1 17]}"));
    let twice = "1-2 ok transfer 1 a b 30 {}\n3-4 ok transfer 1 a b 30 {}";
    assert!(refused(twice).contains("a number of the transfer's own"));
    assert!(refused("1-2 ok withdraw null").contains("expected transfer or read"));
}

/// What is wrong with a seeded history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// An acknowledged transfer is gone afterwards.
    Lost,
    /// A read shows an account as it was before the last transfer.
    Partial,
    /// A read shows everything as it was before a transfer that was acknowledged earlier.
    Stale,
}

const ACCOUNTS: usize = 3;
/// Balance, transfers and last transfer of each account.
type States = [(i64, i64, i64); ACCOUNTS];

/// A bank that executes operations one at a time, and clients that overlap. Some answers are lost,
/// and some of these transfers never happen.
fn random(seed: u64, wrong: Wrong) -> Vec<Event> {
    let mut random = seeded(seed);
    let mut bank: States = [(OPENING, 0, 0); ACCOUNTS];
    let mut before = vec![bank];
    // When transfers were acknowledged, and what there was before each.
    let mut acknowledged: Vec<(u64, States)> = Vec::new();
    let mut events = Vec::new();
    let mut due = wrong != Wrong::Nothing;
    for number in 1..=40 {
        let process = number as u64;
        // Each operation takes place at its own moment, ten after the one before.
        let point = 10 * process;
        let mut call = point - random.random_range(0..25).min(point);
        let ret = point + random.random_range(0..25);
        let show = |bank: &[(i64, i64, i64)], of: &[usize]| {
            let changed = of.iter().filter(|at| bank[**at].1 > 0);
            let state = changed.map(|&at| (format!("a{at}"), json!(bank[at])));
            Value::Object(state.collect())
        };
        if random.random_bool(0.4) {
            let mut shown = bank;
            let earlier = acknowledged.iter().rfind(|(ret, _)| *ret < point);
            match wrong {
                Wrong::Partial if due && before.len() > 3 => {
                    let last = before[before.len() - 2];
                    let at = (0..ACCOUNTS).find(|&at| last[at] != bank[at]).unwrap();
                    shown[at] = last[at];
                    due = false;
                }
                Wrong::Stale if due && earlier.is_some() => {
                    (shown, call, due) = (earlier.unwrap().1, point, false);
                }
                _ => {}
            }
            events.push(event(call, process, Kind::Invoke, "read", &Value::Null));
            let all: Vec<usize> = (0..ACCOUNTS).collect();
            events.push(event(ret, process, Kind::Ok, "read", &show(&shown, &all)));
            continue;
        }
        let from = random.random_range(0..ACCOUNTS);
        let to = (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS;
        // Each another: if two of one amount had lost answers, either could be the other.
        let amount = number * 37 % 81;
        let asked = json!({"number": number, "from": format!("a{from}"), "to": format!("a{to}"),
            "amount": amount});
        events.push(event(call, process, Kind::Invoke, "transfer", &asked));
        let found = show(&bank, &[from, to]);
        if bank[from].0 < amount {
            let error = Some("insufficient".into());
            events.push(Event { error, ..event(ret, process, Kind::Fail, "transfer", &found) });
            continue;
        }
        let lost = random.random_bool(0.3);
        let happens = !lost || random.random_bool(0.5);
        let forgotten = wrong == Wrong::Lost && due && !lost && number > 10;
        if happens && !forgotten {
            if !lost {
                acknowledged.push((ret, bank));
            }
            for (at, change) in [(from, -amount), (to, amount)] {
                bank[at] = (bank[at].0 + change, bank[at].1 + 1, number);
            }
            before.push(bank);
        }
        due &= !forgotten;
        let (kind, answer) = if lost { (Kind::Info, Value::Null) } else { (Kind::Ok, found) };
        events.push(event(ret, process, kind, "transfer", &answer));
    }
    // Each account is read at the end, so that what is lost is missed.
    let all: Vec<usize> = (0..ACCOUNTS).collect();
    let state = all.iter().filter(|at| bank[**at].1 > 0);
    let state = state.map(|&at| (format!("a{at}"), json!(bank[at]))).collect();
    events.push(event(1000, 99, Kind::Invoke, "read", &Value::Null));
    events.push(event(1001, 99, Kind::Ok, "read", &Value::Object(state)));
    if due { Vec::new() } else { in_order(events) }
}

#[test]
fn seeded_histories_are_legal_until_they_are_doctored() {
    let seeds = histories(2_000);
    for wrong in [Wrong::Nothing, Wrong::Lost, Wrong::Partial, Wrong::Stale] {
        let (mut judged, mut found) = (0, 0);
        for seed in 0..seeds {
            let events = match random(seed, wrong) {
                events if events.is_empty() && wrong != Wrong::Nothing => continue,
                events => events,
            };
            judged += 1;
            let [balances, order] = judge(&events);
            let outcome = balances.outcome.max(order.outcome);
            if wrong == Wrong::Nothing {
                assert_eq!(outcome, Outcome::Ok, "seed {seed}: {balances:#?} {order:#?}");
            } else {
                found += u64::from(outcome == Outcome::Violated);
                assert_eq!(outcome, Outcome::Violated, "seed {seed}: {wrong:?} {events:#?}");
            }
        }
        println!("{wrong:?}: {judged} histories, {found} violated");
        assert!(judged > seeds / 2, "{wrong:?}: only {judged} histories");
    }
}
