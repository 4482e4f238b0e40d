//! Session guarantees.

use std::collections::BTreeMap;

use checker::{
    budget::Limits,
    consistency::session::check,
    history::{
        Kind,
        generic::{Datum, Event, Operation, Outcome as Ended, pair},
    },
    verdict::Outcome,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    script::{history, number, verdicts, violated},
    small,
    store::{self, Shape},
};

fn breaks(script: &str) -> (Vec<String>, Vec<String>) {
    let history = history(script);
    let properties = verdicts(check, &history);
    let (names, sentences) = violated(&properties);
    let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
    (owned(names), owned(sentences))
}

#[test]
fn reads_that_go_backwards() {
    let (names, sentences) = breaks(
        "1 0-10 write k 5
         2 20-30 write k 7
         3 40-50 read k => 7
         3 60-70 read k => 5",
    );
    assert_eq!(names, ["monotonic-reads"]);
    assert_eq!(
        sentences,
        [
            "process 3 read 5 of key k at 0.070 s from n3 after it had read 7 at 0.050 s from n3, and \
          the write of 7 was asked for at 0.020 s when the write of 5 had been acknowledged, at \
          0.010 s"
        ]
    );
}

#[test]
fn a_write_that_its_session_does_not_see() {
    let (names, sentences) = breaks(
        "1 0-10 write k 5
         2 20-30 write k 7
         2 60-70 read k => 5",
    );
    assert_eq!(names, ["read-your-writes"]);
    assert!(
        sentences[0].starts_with(
            "process 2 read 5 of key k at 0.070 s from n2 after it had written 7, acknowledged at \
             0.030 s by n2"
        ),
        "{sentences:?}"
    );
}

#[test]
fn a_write_seen_before_what_its_session_had_read() {
    // The write of 1 never ends, so only its reader says that it was before that of 2.
    let (names, sentences) = breaks(
        "1 0-? write k 1
         2 10-20 read k => 1
         2 30-40 write k 2
         3 50-60 read k => 2
         3 70-80 read k => 1",
    );
    assert_eq!(names, ["writes-follow-reads"]);
    assert_eq!(
        sentences,
        [
            "process 2 wrote 2 at 0.030 s after it had read 1 at 0.020 s from n2, and process 3 read 1 \
          of key k at 0.080 s from n3 after it had read 2 at 0.060 s from n3"
        ]
    );
}

#[test]
fn writes_of_a_session_in_the_other_order() {
    let script = "1 0-10 write k 1
         1 20-30 write k 2
         3 50-60 read k => 2
         3 70-80 read k => 1";
    // Each of the two would explain it.
    assert_eq!(breaks(script).0, ["monotonic-reads", "monotonic-writes"]);
}

#[test]
fn sessions_that_contradict_each_other() {
    // Two writes at once, and two sessions that see them in different orders.
    let script = "1 0-90 write k 1
         2 0-90 write k 2
         3 10-20 read k => 1
         3 30-40 read k => 2
         4 10-20 read k => 2
         4 30-40 read k => 1";
    assert_eq!(breaks(script).0, ["monotonic-reads"]);
    // Here one only reads, and the other reads after it wrote: no single guarantee is broken.
    let script = "1 0-90 write k 1
         2 0-30 write k 2
         3 10-20 read k => 2
         3 30-50 read k => 1
         2 40-50 read k => 1
         4 10-20 read k => 1
         4 30-40 read k => 2";
    assert_eq!(breaks(script).0, ["monotonic-reads"]);
    let script = "1 0-30 write k 1
         2 0-90 write k 2
         1 40-50 read k => 2
         4 10-20 read k => 2
         4 30-40 read k => 1";
    assert_eq!(breaks(script).0, ["session-order"]);
}

#[test]
fn values_from_nowhere() {
    let (names, sentences) = breaks("1 0-10 read k => 5");
    assert_eq!(names, ["read-integrity"]);
    assert!(sentences[0].ends_with("although nobody wrote that value"), "{sentences:?}");
    let (names, sentences) = breaks(
        "1 0-10 read k => 5
         2 20-30 write k 5",
    );
    assert_eq!(names, ["read-integrity"]);
    assert!(sentences[0].ends_with("although 5 was asked for only at 0.020 s"), "{sentences:?}");
}

#[test]
fn a_key_that_was_gone_or_was_not() {
    let (names, sentences) = breaks(
        "1 0-10 write k 5
         3 40-50 read k => 5
         3 60-70 read k => nil",
    );
    assert_eq!(names, ["monotonic-reads"]);
    assert!(sentences[0].ends_with("and nobody had deleted it"), "{sentences:?}");
    let (names, sentences) = breaks(
        "1 0-10 write k 5
         1 20-30 delete k
         1 40-50 write k 6
         3 60-70 read k => 6
         3 80-90 read k => nil",
    );
    assert_eq!(names, ["monotonic-reads", "monotonic-writes"][..1]);
    assert!(
        sentences[0].ends_with(
            "and the last deletion until then had been acknowledged by 0.030 s, before the write \
             of 6 was asked for at 0.040 s"
        ),
        "{sentences:?}"
    );
    let fine = "1 0-10 write k 5
         1 20-30 delete k
         1 40-50 write k 6
         3 60-70 read k => 5
         3 80-90 read k => nil
         3 95-99 read k => 6";
    assert_eq!(breaks(fine).0, [""; 0]);
}

#[test]
fn chains_of_compare_and_sets_have_an_order() {
    // Nothing ends before the end, but each of the chain saw the one before.
    let script = "1 0-90 write k 1
         2 0-90 cas k [1,2]
         3 0-90 cas k [2,3]
         4 10-20 read k => 3
         4 30-40 read k => 1";
    assert_eq!(breaks(script).0, ["monotonic-reads"]);
    // A write cannot have come in between: it is before both or after both.
    let script = "1 0-90 write k 1
         2 0-90 cas k [1,2]
         3 0-90 write k 9
         4 10-20 read k => 1
         4 30-40 read k => 9
         4 50-60 read k => 2";
    assert_eq!(breaks(script).0, ["monotonic-reads"]);
}

#[test]
fn what_cannot_be_judged_is_unknown() {
    let unknown = |script: &str| {
        let history = history(script);
        let properties = verdicts(check, &history);
        assert!(properties.iter().all(|p| p.outcome != Outcome::Violated), "{properties:?}");
        properties.into_iter().filter(|p| p.outcome == Outcome::Unknown).collect::<Vec<_>>()
    };
    assert_eq!(unknown("1 0-10 write k 5").len(), 6);
    // Two compare-and-sets saw one version: no order of the writes, whatever the reads.
    let twice = "1 0-10 write k 5
         2 20-30 cas k [5,6]
         3 20-30 cas k [5,7]
         3 40-50 read k => 5";
    let properties = unknown(twice);
    assert_eq!(properties.len(), 6);
    assert!(properties[1].detail.contains("see linearizability"), "{}", properties[1].detail);
    let foreign =
        verdicts_of(r#"[{"index":0,"time":0,"process":0,"type":"invoke","f":"enqueue"}]"#);
    assert_eq!(
        foreign.unwrap_err(),
        "event 0: expected a read, write, cas or delete (or get, put, set, del), found enqueue"
    );
    let empty = r#"[{"index":0,"time":0,"process":0,"type":"invoke","f":"write","key":"k"}]"#;
    assert_eq!(verdicts_of(empty).unwrap_err(), "event 0: expected a value to write, found nil");
}

fn verdicts_of(json: &str) -> Result<(), String> {
    let events: Vec<_> = serde_json::from_str(json).unwrap();
    check(&pair(&events).unwrap(), &Limits::default()).map(|_| ()).map_err(|e| e.to_string())
}

/// What one operation wrote, as brute force sees it.
fn written<'a>(operation: &Operation<'a>) -> Option<&'a Datum> {
    if matches!(operation.outcome, Ended::Failed { .. }) {
        return None;
    }
    match operation.f {
        "write" => Some(operation.argument),
        "delete" => Some(&Datum::Nil),
        "cas" => operation.argument.list().map(|pair| &pair[1]),
        _ => None,
    }
}

/// Whether the one had been asked for when the other ended: if both are of one session, before it.
fn asked_for(one: &Operation<'_>, other: &Operation<'_>) -> bool {
    one.call <= ended(other) && (one.process != other.process || one.index < other.index)
}

fn ended(operation: &Operation<'_>) -> u64 {
    match operation.outcome {
        Ended::Ok { time, .. } => time,
        _ => u64::MAX,
    }
}

/// What an order of the writes may pass.
type Test<'a> = &'a dyn Fn(&[usize]) -> bool;

/// Which of `tests` some order of the writes passes: tries every order of every choice of those
/// that must or may have happened.
fn brute_force(
    operations: &[Operation<'_>],
    by_time: bool,
    order: &mut Vec<usize>,
    passed: &mut [bool],
    tests: &[Test<'_>],
) {
    let missing: Vec<usize> = (0..operations.len())
        .filter(|at| written(&operations[*at]).is_some() && !order.contains(at))
        .collect();
    if missing.iter().all(|&at| ended(&operations[at]) == u64::MAX) {
        for (passed, test) in passed.iter_mut().zip(tests) {
            *passed |= test(order);
        }
    }
    for &next in &missing {
        let operation = &operations[next];
        let early = missing.iter().any(|&other| {
            let other = &operations[other];
            by_time
                && (ended(other) < operation.call
                    || (other.process == operation.process && other.index < operation.index))
        });
        let last = order.last().map(|&at| &operations[at]);
        let state = last.and_then(written).unwrap_or(&Datum::Nil);
        let blind = operation.f == "cas"
            && (operation.argument.list().unwrap()[0] != *state
                || last.is_some_and(|last| !asked_for(last, operation)));
        if !early && !blind {
            order.push(next);
            brute_force(operations, by_time, order, passed, tests);
            order.pop();
        }
    }
}

/// Whether each session can be led through this order of the versions.
fn sessions_pass(operations: &[Operation<'_>], order: &[usize], names: &[&str]) -> bool {
    let promised = |name| names.contains(&name);
    let mut sessions: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    operations.iter().enumerate().all(|(at, operation)| {
        let (read, wrote) = sessions.entry(operation.process).or_default();
        if written(operation).is_some() {
            let Some(place) = order.iter().position(|&other| other == at) else { return true };
            let place = place + 1;
            let early = (promised("monotonic-writes") && place < *wrote)
                || (promised("writes-follow-reads") && place < *read);
            *wrote = place;
            return !early;
        }
        let (Ended::Ok { value, .. }, "read") = (operation.outcome, operation.f) else {
            return true;
        };
        let exists = *value == Datum::Nil
            || operations.iter().any(|o| written(o) == Some(value) && asked_for(o, operation));
        let from = if promised("monotonic-reads") { *read } else { 0 };
        let from = if promised("read-your-writes") { from.max(*wrote) } else { from };
        let place = (from..=order.len()).find(|&place| match place.checked_sub(1) {
            None => *value == Datum::Nil,
            Some(at) => {
                let writer = &operations[order[at]];
                written(writer) == Some(value) && asked_for(writer, operation)
            }
        });
        *read = place.unwrap_or(*read);
        place.is_some() || !exists
    })
}

/// Has a session read, once more, a version that was over before the one that it last saw began.
fn go_backwards(history: &[Event], random: &mut ChaCha8Rng) -> Option<Vec<Event>> {
    let operations = pair(history).unwrap();
    let start = random.random_range(0..operations.len());
    let (read, from, over) = operations[start..].iter().find_map(|read| {
        let Ended::Ok { value, .. } = read.outcome else { return None };
        let mine = |o: &&Operation<'_>| o.key == read.key;
        let from = operations.iter().filter(mine).find(|o| written(o) == Some(value))?;
        let over =
            operations.iter().filter(mine).find(|o| o.f == "write" && ended(o) < from.call)?;
        (read.f == "read" && *value != Datum::Nil).then_some((read, from, over))
    })?;
    assert!(ended(over) < from.call);
    let mut spoilt = history.to_vec();
    let at = history
        .iter()
        .rposition(|event| event.process == read.process && event.kind != Kind::Invoke)?;
    if history[at].kind == Kind::Info || history.last()?.index == history[at].index {
        return None;
    }
    // The read again, at the end of the session, with the older value.
    let time = history[at].time;
    let event = |kind, value: &Datum| Event {
        index: 0,
        time,
        process: read.process,
        kind,
        f: "read".into(),
        key: read.key.clone(),
        value: value.clone(),
        error: None,
        node: None,
        revision: None,
    };
    let again = [event(Kind::Invoke, &Datum::Nil), event(Kind::Ok, over.argument)];
    spoilt.splice(at + 1..at + 1, again);
    Some(number(spoilt))
}

#[test]
fn a_store_that_keeps_its_promises_is_not_accused() {
    let histories = small::histories(20_000).div_ceil(100);
    let mut unknown = 0;
    let mut found = 0;
    for seed in 0..histories {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let shape = Shape {
            keys: random.random_range(1..5),
            clients: random.random_range(2..12),
            operations: random.random_range(50..2000),
            values: random.random_bool(0.3).then_some(5),
            crashed: random.random_range(0..30),
            deletes: random.random_bool(0.5),
            together: random.random_bool(0.5),
        };
        let history = store::history(shape, seed);
        let properties = verdicts(check, &history);
        for property in &properties {
            assert_ne!(property.outcome, Outcome::Violated, "seed {seed}: {property:#?}");
            if shape.values.is_none() && !shape.deletes {
                assert_eq!(property.outcome, Outcome::Ok, "seed {seed}: {property:#?}");
            }
            unknown += u64::from(property.outcome == Outcome::Unknown);
        }
        if shape.values.is_some() {
            continue;
        }
        if let Some(spoilt) = go_backwards(&history, &mut random) {
            let properties = verdicts(check, &spoilt);
            let (names, _) = violated(&properties);
            assert!(names.contains(&"monotonic-reads"), "seed {seed}: {names:?}");
            found += 1;
        }
    }
    println!("{histories} histories: no accusation, {unknown} unknowns, {found} spoilt ones found");
    assert!(found > histories / 4, "{found} of {histories} were spoilt");
}

#[test]
fn agrees_with_brute_force() {
    const MR: &str = "monotonic-reads";
    const RYW: &str = "read-your-writes";
    const MW: &str = "monotonic-writes";
    const WFR: &str = "writes-follow-reads";
    let histories = small::histories(20_000);
    let mut counts: BTreeMap<(String, &str), u64> = BTreeMap::new();
    let mut unknown_though_distinct = 0;
    for seed in 0..histories {
        let history = small::history(seed, 1);
        let operations = pair(&history).unwrap();
        let properties = check(&operations, &Limits::default()).unwrap();
        let passes = |order: &[usize], names: &[&str]| sessions_pass(&operations, order, names);
        let mut passed = [false; 5];
        brute_force(
            &operations,
            true,
            &mut Vec::new(),
            &mut passed,
            &[
                &|_| true,
                &|order| passes(order, &[MR]),
                &|order| passes(order, &[RYW]),
                &|order| passes(order, &[MR, WFR]),
                &|order| passes(order, &[MR, RYW, MW, WFR]),
            ],
        );
        let [has_order, mr, ryw, wfr, all] = passed;
        let mut timeless = [false];
        brute_force(
            &operations,
            false,
            &mut Vec::new(),
            &mut timeless,
            &[&|order| passes(order, &[MR, MW])],
        );
        let truth = [(MR, mr), (RYW, ryw), (MW, timeless[0]), (WFR, wfr), ("session-order", all)];
        let writes: Vec<_> = operations.iter().filter_map(written).collect();
        let distinct = (1..writes.len())
            .all(|at| *writes[at] != Datum::Nil && !writes[..at].contains(&writes[at]));
        let distinct = distinct && writes.first().is_none_or(|first| **first != Datum::Nil);
        for (name, holds) in truth {
            let property = properties.iter().find(|property| property.name == name).unwrap();
            let told = || format!("seed {seed}: {property:#?}\n{operations:#?}");
            match property.outcome {
                Outcome::Ok => assert!(holds, "{}", told()),
                // Where values repeat, writes that have no order may pass for a broken guarantee.
                Outcome::Violated => assert!(!holds && (has_order || !distinct), "{}", told()),
                Outcome::Unknown if has_order && distinct && mr && ryw && wfr && timeless[0] => {
                    let open = !property.detail.contains("no read");
                    assert!(!open, "{}", told());
                    unknown_though_distinct += u64::from(open);
                }
                Outcome::Unknown => {}
            }
            let outcome = property.outcome.to_string();
            *counts.entry((outcome, name)).or_default() += 1;
        }
    }
    println!("{histories} histories, no mismatch: {counts:?}");
    assert_eq!(unknown_though_distinct, 0, "where values are distinct nothing is left open");
    for (name, least) in [(MR, 50), (RYW, 50), (MW, 200), (WFR, 10_000), ("session-order", 5000)] {
        let of = |outcome: &str| counts.get(&(outcome.to_owned(), name)).copied().unwrap_or(0);
        assert!(of("ok") > histories / 4, "{name}: the histories prove little: {counts:?}");
        assert!(of("violated") > histories / least, "{name}: the histories prove little");
    }
}
