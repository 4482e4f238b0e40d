//! Histories that must be rejected, one for each rule, each beside one that must not.

use checker::{
    budget::Limits,
    history::{
        Kind,
        generic::{self, Event},
    },
    judge::front,
    verdict::{Outcome, Property},
};

/// An operation: call, return, function, request, answer. `!` begins a refusal, `?` is no answer.
type Line = (u64, u64, &'static str, &'static str, &'static str);

fn events(lines: &[Line]) -> Vec<Event> {
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        moments.extend([(line.0, at, false), (line.1, at, true)]);
    }
    moments.sort_unstable();
    let event = |(index, (time, at, end)): (usize, (u64, usize, bool))| {
        let (_, _, f, request, answer) = lines[at];
        let (kind, value, error) = match (end, answer.as_bytes().first()) {
            (false, _) => (Kind::Invoke, request, None),
            (true, Some(b'!')) => (Kind::Fail, "null", Some(answer[1..].into())),
            (true, Some(b'?')) => (Kind::Info, "null", None),
            (true, _) => (Kind::Ok, answer, None),
        };
        Event {
            index: index as u64,
            time,
            process: at as u64,
            kind,
            f: f.into(),
            key: generic::Datum::Nil,
            value: serde_json::from_str(value).unwrap(),
            error,
            node: Some(format!("n{}", at + 1).into()),
            revision: None,
        }
    };
    moments.into_iter().enumerate().map(event).collect()
}

fn check(lines: &[Line]) -> Property {
    let events = events(lines);
    let operations = generic::pair(&events).unwrap();
    front::etcd::check(&operations, &Limits::default()).unwrap()
}

#[track_caller]
fn holds(lines: &[Line]) {
    let property = check(lines);
    assert_eq!(property.outcome, Outcome::Ok, "{property:#?}");
}

#[track_caller]
fn violated(lines: &[Line], words: &str) {
    let property = check(lines);
    assert_eq!(property.outcome, Outcome::Violated, "{property:#?}");
    let summary = &property.violations[0].summary;
    assert!(summary.contains(words), "{summary}");
}

const PUT_A: Line = (0, 1, "put", r#"{"key":"a","value":"1"}"#, r#"{"revision":2}"#);
const PUT_B: Line = (2, 3, "put", r#"{"key":"b","value":"2"}"#, r#"{"revision":3}"#);
const READ_ALL: &str = r#"{"key":"a","range_end":"z"}"#;

fn read(call: u64, answer: &'static str) -> Line {
    (call, call + 1, "range", READ_ALL, answer)
}

const BOTH: &str = r#"{"revision":3,"kvs":[
    {"key":"a","value":"1","create":2,"mod":2,"version":1},
    {"key":"b","value":"2","create":3,"mod":3,"version":1}],"count":2}"#;

#[test]
fn a_revision_is_one_write() {
    holds(&[PUT_A, PUT_B, read(4, BOTH)]);
    let twice = (2, 3, "put", r#"{"key":"b","value":"2"}"#, r#"{"revision":2}"#);
    violated(&[PUT_A, twice], "two writes were answered revision 2: put a = \"1\"");
    let first = (0, 1, "put", r#"{"key":"a","value":"1"}"#, r#"{"revision":1}"#);
    violated(&[first], "that of the empty store");
}

#[test]
fn revisions_ascend_in_real_time() {
    let third = (4, 5, "put", r#"{"key":"a","value":"1"}"#, r#"{"revision":4}"#);
    let second = (6, 7, "put", r#"{"key":"c","value":"3"}"#, r#"{"revision":3}"#);
    violated(&[PUT_A, third, second], "had been answered revision 4 before");
    violated(
        &[
            PUT_A,
            PUT_B,
            read(
                4,
                r#"{"revision":2,"kvs":[{"key":"a","value":"1","create":2,"mod":2,"version":1}],"count":1}"#,
            ),
        ],
        "what is asked for later sees no earlier one",
    );
}

#[test]
fn revisions_are_dense() {
    let third = (2, 3, "put", r#"{"key":"b","value":"2"}"#, r#"{"revision":4}"#);
    violated(&[PUT_A, third], "too few writes had been asked for");
    let lost = (0, 9, "put", r#"{"key":"c","value":"3"}"#, "?");
    holds(&[PUT_A, lost, third]);
    // The lost write was asked for too late.
    let late = (4, 9, "put", r#"{"key":"c","value":"3"}"#, "?");
    violated(&[PUT_A, third, late], "too few writes had been asked for");
    // The lost write changes nothing: there is no such key.
    let nothing = (0, 9, "delete-range", r#"{"key":"c"}"#, "?");
    violated(&[PUT_A, nothing, third], "no write made revision 3");
}

#[test]
fn what_changes_nothing_makes_no_revision() {
    let delete = |answer| (2, 3, "delete-range", r#"{"key":"z"}"#, answer);
    holds(&[PUT_A, delete(r#"{"revision":2}"#)]);
    violated(&[PUT_A, delete(r#"{"revision":3}"#)], "too few writes");
    let refused = |answer| {
        let request = r#"{"compare":[{"key":"a","operand":7}],"success":[{"put":{"key":"a"}}],
            "failure":[{"range":{"key":"q"}}]}"#;
        (2, 3, "txn", request, answer)
    };
    holds(&[PUT_A, refused(r#"{"revision":2,"responses":[{"range":{"revision":2}}]}"#)]);
    violated(
        &[PUT_A, PUT_B, refused(r#"{"revision":3,"responses":[{"range":{"revision":2}}]}"#)],
        "names revision 2, where the store was at 3",
    );
}

#[test]
fn answers_show_every_key_as_it_is() {
    let misses = r#"{"revision":3,"kvs":[
        {"key":"b","value":"2","create":3,"mod":3,"version":1}],"count":1}"#;
    violated(
        &[PUT_A, PUT_B, read(4, misses)],
        "the answer misses a = \"1\" (created at 2, changed at 2, version 1); revision 2 was put a",
    );
    for (from, to) in [
        (r#""value":"1""#, r#""value":"2""#),
        (r#""create":2"#, r#""create":1"#),
        (r#""mod":2"#, r#""mod":3"#),
        (r#""version":1}"#, r#""version":2}"#),
        (r#""count":2"#, r#""count":3"#),
        (r#""count":2"#, r#""count":2,"more":true"#),
        (r#""key":"a""#, r#""key":"c""#),
    ] {
        let wrong: &'static str = BOTH.replacen(from, to, 1).leak();
        assert_ne!(wrong, BOTH);
        violated(&[PUT_A, PUT_B, read(4, wrong)], "n3 answered range a to z");
    }
}

#[test]
fn a_read_of_the_past_is_of_exactly_then() {
    let past = |answer| (4, 5, "range", r#"{"key":"a","range_end":"z","revision":2}"#, answer);
    let then = r#"{"revision":3,"kvs":[
        {"key":"a","value":"1","create":2,"mod":2,"version":1}],"count":1}"#;
    holds(&[PUT_A, PUT_B, past(then)]);
    violated(&[PUT_A, PUT_B, past(BOTH)], "key b does not belong in the answer");
    let refused = "!OUT_OF_RANGE: etcdserver: mvcc: required revision is a future revision";
    violated(&[PUT_A, PUT_B, past(refused)], "nothing justifies the refusal");
    holds(&[
        PUT_A,
        (2, 9, "put", PUT_B.3, PUT_B.4),
        (2, 3, "range", r#"{"key":"a","revision":3}"#, refused),
    ]);
    violated(
        &[PUT_A, (2, 3, "range", r#"{"key":"b","revision":3}"#, r#"{"revision":2}"#)],
        "required revision is a future revision",
    );
}

#[test]
fn a_serializable_read_is_of_a_state_that_there_was() {
    let old = |call, answer| {
        (call, call + 1, "range", r#"{"key":"a","range_end":"z","serializable":true}"#, answer)
    };
    let one = r#"{"revision":2,"kvs":[
        {"key":"a","value":"1","create":2,"mod":2,"version":1}],"count":1}"#;
    holds(&[PUT_A, PUT_B, old(4, one)]);
    holds(&[PUT_A, PUT_B, old(4, r#"{"revision":1}"#)]);
    violated(&[PUT_A, PUT_B, old(4, r#"{"revision":2}"#)], "misses a");
    let both_at_two: &'static str = BOTH.replacen(r#""revision":3"#, r#""revision":2"#, 1).leak();
    violated(&[PUT_A, PUT_B, old(4, both_at_two)], "key b does not belong");
    // It saw what nobody had asked for yet.
    violated(&[PUT_A, old(2, BOTH), (4, 5, "put", PUT_B.3, PUT_B.4)], "revision 3");
}

#[test]
fn what_was_there_before_is_told_as_it_was() {
    let again = |answer| (2, 3, "put", r#"{"key":"a","value":"2","prev_kv":true}"#, answer);
    holds(&[
        PUT_A,
        again(r#"{"revision":3,"prev_kv":{"key":"a","value":"1","create":2,"mod":2,"version":1}}"#),
    ]);
    violated(&[PUT_A, again(r#"{"revision":3}"#)], "misses a");
    let delete = |answer| {
        (2, 3, "delete-range", r#"{"key":"a","range_end":"\u0000","prev_kv":true}"#, answer)
    };
    holds(&[
        PUT_A,
        delete(
            r#"{"revision":3,"deleted":1,"prev_kvs":[{"key":"a","value":"1","create":2,"mod":2,"version":1}]}"#,
        ),
    ]);
    violated(&[PUT_A, delete(r#"{"revision":3,"deleted":1}"#)], "misses a");
    let two = r#"{"revision":3,"deleted":2,"prev_kvs":[{"key":"a","value":"1","create":2,"mod":2,"version":1}]}"#;
    violated(&[PUT_A, delete(two)], "2 are said to be deleted, where there were 1");
}

#[test]
fn transactions_compare_and_do_as_they_say() {
    let txn = |answer| {
        let request = r#"{"compare":[{"key":"a","target":"mod","operand":2}],
            "success":[{"put":{"key":"a","value":"3"}},{"range":{"key":"a"}}],
            "failure":[{"range":{"key":"a"}}]}"#;
        (2, 3, "txn", request, answer)
    };
    holds(&[
        PUT_A,
        txn(r#"{"revision":3,"succeeded":true,"responses":[{"put":{"revision":3}},
        {"range":{"revision":3,"count":1,"kvs":[{"key":"a","value":"3","create":2,"mod":3,"version":2}]}}]}"#),
    ]);
    violated(
        &[
            PUT_A,
            txn(r#"{"revision":2,"responses":[
            {"range":{"revision":2,"count":1,"kvs":[{"key":"a","value":"1","create":2,"mod":2,"version":1}]}}]}"#),
        ],
        "all compares of the transaction hold",
    );
    // The read within does not see the write before it.
    violated(
        &[
            PUT_A,
            txn(r#"{"revision":3,"succeeded":true,"responses":[{"put":{"revision":3}},
            {"range":{"revision":3,"count":1,"kvs":[{"key":"a","value":"1","create":2,"mod":2,"version":1}]}}]}"#),
        ],
        "where the store had a = \"3\"",
    );
    violated(
        &[PUT_A, txn(r#"{"revision":3,"succeeded":true,"responses":[{"put":{"revision":3}}]}"#)],
        "no answer to this request",
    );
}

#[test]
fn what_is_malformed_is_refused_and_nothing_else() {
    let twice = r#"{"success":[{"put":{"key":"a"}},{"put":{"key":"a"}}]}"#;
    let done = r#"{"revision":3,"succeeded":true,"responses":[{"put":{"revision":3}},{"put":{"revision":3}}]}"#;
    violated(&[PUT_A, (2, 3, "txn", twice, done)], "duplicate key given in txn request");
    let refused = "!INVALID_ARGUMENT: etcdserver: duplicate key given in txn request";
    holds(&[PUT_A, (2, 3, "txn", twice, refused)]);
    let once = r#"{"success":[{"put":{"key":"a"}},{"put":{"key":"b"}}]}"#;
    violated(&[PUT_A, (2, 3, "txn", once, refused)], "nothing justifies the refusal");
    let missing = "!INVALID_ARGUMENT: etcdserver: key not found";
    let keep = |key: &'static str, answer| (2, 3, "put", key, answer);
    holds(&[PUT_A, keep(r#"{"key":"b","ignore_value":true}"#, missing)]);
    violated(&[PUT_A, keep(r#"{"key":"a","ignore_value":true}"#, missing)], "nothing justifies");
    violated(
        &[PUT_A, keep(r#"{"key":"b","ignore_value":true}"#, r#"{"revision":3}"#)],
        "key not found",
    );
}

#[test]
fn limits_orders_and_filters_are_kept() {
    let a = r#"{"key":"a","value":"1","create":2,"mod":2,"version":1}"#;
    let b = r#"{"key":"b","value":"2","create":3,"mod":3,"version":1}"#;
    let ask = |request: &'static str, kvs: &[&str], rest: &str| -> Line {
        let answer = format!(r#"{{"revision":3,"kvs":[{}],{rest}}}"#, kvs.join(","));
        (4, 5, "range", request, answer.leak())
    };
    let limited = r#"{"key":"a","range_end":"z","limit":1}"#;
    holds(&[PUT_A, PUT_B, ask(limited, &[a], r#""more":true,"count":2"#)]);
    violated(&[PUT_A, PUT_B, ask(limited, &[a], r#""count":2"#)], "hides that there are more");
    violated(&[PUT_A, PUT_B, ask(limited, &[a, b], r#""count":2"#)], "does not belong");
    violated(&[PUT_A, PUT_B, ask(limited, &[b], r#""more":true,"count":2"#)], "b");
    let down = r#"{"key":"a","range_end":"z","sort_order":"descend","sort_target":"mod"}"#;
    holds(&[PUT_A, PUT_B, ask(down, &[b, a], r#""count":2"#)]);
    violated(&[PUT_A, PUT_B, ask(down, &[a, b], r#""count":2"#)], "not in its place");
    let new = r#"{"key":"a","range_end":"z","min_mod_revision":3}"#;
    holds(&[PUT_A, PUT_B, ask(new, &[b], r#""count":2"#)]);
    violated(&[PUT_A, PUT_B, ask(new, &[a, b], r#""count":2"#)], "does not belong");
    let bare = r#"{"key":"a","range_end":"z","count_only":true}"#;
    holds(&[PUT_A, PUT_B, ask(bare, &[], r#""count":2"#)]);
    violated(&[PUT_A, PUT_B, ask(bare, &[a], r#""count":2"#)], "does not belong");
}

#[test]
fn lost_writes_fill_gaps_as_answers_show() {
    let lost = |key: &'static str| (0, 20, "put", key, "?");
    let (c3, d4) = (lost(r#"{"key":"c","value":"3"}"#), lost(r#"{"key":"d","value":"4"}"#));
    let after = (2, 3, "put", r#"{"key":"b","value":"2"}"#, r#"{"revision":4}"#);
    let seen = |key: &'static str, answer| (4, 5, "range", key, answer);
    let d = r#"{"revision":4,"kvs":[{"key":"d","value":"4","create":3,"mod":3,"version":1}],"count":1}"#;
    let none = r#"{"revision":4}"#;
    holds(&[PUT_A, c3, d4, after, seen(r#"{"key":"d"}"#, d), seen(r#"{"key":"c"}"#, none)]);
    // Revision 3 is of one of them, and neither was seen.
    violated(
        &[PUT_A, c3, d4, after, seen(r#"{"key":"d"}"#, none), seen(r#"{"key":"c"}"#, none)],
        "2 writes of unknown outcome",
    );
}

#[test]
fn an_answer_without_a_revision_is_searched_for() {
    let bare = (2, 3, "put", r#"{"key":"b","value":"2"}"#, "{}");
    holds(&[PUT_A, bare, read(4, BOTH)]);
    let reversed = r#"{"revision":3,"kvs":[
        {"key":"a","value":"1","create":2,"mod":2,"version":1},
        {"key":"b","value":"9","create":3,"mod":3,"version":1}],"count":2}"#;
    let property = check(&[PUT_A, bare, read(4, reversed)]);
    assert_eq!(property.outcome, Outcome::Violated, "{property:#?}");
    // A read without one may have been at any revision that real time allows.
    holds(&[PUT_A, (0, 3, "range", r#"{"key":"a"}"#, "{}")]);
    violated(&[PUT_A, (2, 3, "range", r#"{"key":"a"}"#, "{}")], "misses a");
}
