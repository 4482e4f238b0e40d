//! Watches: hand-made histories that break one rule each, and random ones.

mod brute_force;
mod possible;
mod random;
mod store;
mod writes;

use std::collections::BTreeSet;

use checker::{
    budget::Limits,
    history::{
        Kind,
        generic::{Datum, Event, pair},
    },
    verdict::{Outcome, Property},
    watch::check,
};

use crate::script::{number, verdicts, violated};

/// One operation a line, `call-return f key value [@revision]` or `call-return watch asked =>
/// responses`: each of a process of its own, or of the process whose letter stands before it. A
/// return with `?` is `info`, with `!` is `fail`, and a lone `?` is never. Times are milliseconds,
/// values JSON.
fn history(script: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    for (process, line) in (0..).zip(lines) {
        let (process, line) = match line.split_once(' ').unwrap() {
            (name, line) if name.starts_with(char::is_alphabetic) => {
                (name.bytes().map(u64::from).sum(), line)
            }
            _ => (1_000 + process, line),
        };
        let (times, rest) = line.split_once(' ').unwrap();
        let (f, rest) = rest.split_once(' ').unwrap();
        let (call, ret) = times.split_once('-').unwrap();
        let (mut key, mut revision, argument, answer) = (Datum::Nil, None, Datum::Nil, Datum::Nil);
        let (argument, answer) = if f == "watch" {
            let (asked, told) = rest.split_once(" => ").unwrap_or((rest, "null"));
            (json(asked), json(told))
        } else {
            for word in rest.split_whitespace().take(1) {
                key = if f == "txn" { Datum::Nil } else { Datum::Text(word.into()) };
            }
            let mut value = rest.strip_prefix(key.text().unwrap_or("")).unwrap();
            if let Some((before, after)) = value.split_once('@') {
                (value, revision) = (before, Some(after.parse().unwrap()));
            }
            let value = value.trim();
            (if value.is_empty() { argument } else { json(value) }, answer)
        };
        let event = |time: &str, kind, value, revision| Event {
            index: 0,
            time: time.parse::<u64>().unwrap() * 1_000_000,
            process,
            kind,
            f: f.into(),
            key: key.clone(),
            value,
            error: None,
            node: None,
            revision,
        };
        events.push(event(call, Kind::Invoke, argument, None));
        match ret.split_at(ret.len() - 1) {
            ("", "?") => {}
            (ret, "?") => events.push(event(ret, Kind::Info, answer, None)),
            (ret, "!") => events.push(event(ret, Kind::Fail, answer, None)),
            _ => events.push(event(ret, Kind::Ok, answer, revision)),
        }
    }
    number(events)
}

fn json(text: &str) -> Datum {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn judge(script: &str) -> Vec<Property> {
    verdicts(check, &history(script))
}

/// The properties with this outcome.
fn with(properties: &[Property], outcome: Outcome) -> BTreeSet<String> {
    properties.iter().filter(|p| p.outcome == outcome).map(|p| p.name.clone()).collect()
}

/// Asserts that exactly this is violated, and that the first sentence is this.
#[track_caller]
fn breaks(script: &str, rule: &str, sentence: &str) {
    let properties = judge(script);
    let (names, sentences) = violated(&properties);
    assert_eq!(names, [rule], "{sentences:#?}");
    assert_eq!(sentences[0], sentence);
}

#[track_caller]
fn keeps(script: &str) {
    let properties = judge(script);
    assert!(properties.iter().all(|p| p.outcome == Outcome::Ok), "{properties:#?}");
}

#[track_caller]
fn leaves_open(script: &str, rules: &[&str]) {
    let properties = judge(script);
    assert_eq!(with(&properties, Outcome::Violated), BTreeSet::new(), "{properties:#?}");
    let open: Vec<String> = with(&properties, Outcome::Unknown).into_iter().collect();
    assert_eq!(open, rules, "{properties:#?}");
}

const WRITES: &str = "0-10 put a 1 @2
                      20-30 put b 2 @3
                      40-50 put a 3 @4\n";

#[test]
fn what_a_store_promises() {
    keeps(&format!(
        r#"{WRITES}
        0-90 watch {{"from":2}} => [[[2,"put","a",1],[3,"put","b",2]],{{"progress":3}},[[4,"put","a",3]]]
        0-90 watch {{"key":"a"}} => [[[4,"put","a",3]]]
        0-90? watch {{"prefix":"b","from":3}} => [[[3,"put","b",2]],{{"progress":4}}]
        0-90! watch {{"key":"a","from":5}} => [{{"progress":4}}]
        0-? watch {{"key":"b"}}
        60-70 read a 3 @4"#
    ));
}

#[test]
fn a_key_that_was_not_asked_for() {
    breaks(
        &format!(
            r#"{WRITES} 0-90 watch {{"key":"a","from":3}} => [[[3,"put","b",2]],[[4,"put","a",3]]]"#
        ),
        "watch-filter",
        "the watch of event 1 (key a, from revision 3) told, in response 0, the put of 2 to key b at \
         revision 3 although that key was not asked for",
    );
}

#[test]
fn revisions_that_go_down() {
    breaks(
        &format!(r#"{WRITES} 0-90 watch {{"from":3}} => [[[4,"put","a",3]],[[3,"put","b",2]]]"#),
        "watch-ordered",
        "the watch of event 1 (all keys, from revision 3) told, in response 1, the put of 2 to key b \
         at revision 3 after it had told one at revision 4",
    );
}

#[test]
fn a_change_told_twice() {
    breaks(
        &format!(r#"{WRITES} 0-90 watch {{"from":4}} => [[[4,"put","a",3]],[[4,"put","a",3]]]"#),
        "watch-unique",
        "the watch of event 1 (all keys, from revision 4) told, in response 1, the put of 3 to key a \
         at revision 4 although it had told a change of that key at that revision before",
    );
}

#[test]
fn a_revision_in_two_batches() {
    breaks(
        r#"0-10 txn [["put","a",1],["put","b",2]] @2
           0-90 watch {"from":2} => [[[2,"put","a",1]],[[2,"put","b",2]]]"#,
        "watch-atomic",
        "the watch of event 1 (all keys, from revision 2) told, in response 1, the put of 2 to key b \
         at revision 2 although it had told another change of that revision in response 0",
    );
}

#[test]
fn half_of_a_transaction() {
    breaks(
        r#"0-10 txn [["put","a",1],["put","b",2]] @2
           0-90 watch {"from":2} => [[[2,"put","a",1]]]"#,
        "watch-reliable",
        "the watch of event 1 (all keys, from revision 2) did not tell the put of 2 to key b at \
         revision 2, which is acknowledged to the txn of event 0 and is between what it told first, \
         at revision 2, and 2",
    );
}

#[test]
fn a_gap() {
    breaks(
        &format!(r#"{WRITES} 0-90? watch {{}} => [[[2,"put","a",1]],[[4,"put","a",3]]]"#),
        "watch-reliable",
        "the watch of event 1 (all keys) did not tell the put of 2 to key b at revision 3, which is \
         acknowledged to the put of event 3 and is between where it had begun by, revision 2, and 4",
    );
}

#[test]
fn progress_over_what_was_not_told() {
    breaks(
        r#"0-50? put a 1
           0-90 watch {"from":2} => [[[2,"put","a",1]]]
           0-90 watch {"key":"a","from":2} => [{"progress":3}]"#,
        "watch-resumable",
        "the watch of event 2 (key a, from revision 2) did not tell the put of 1 to key a at \
         revision 2, which is told by the watch of event 1 (all keys, from revision 2) and is from \
         revision 2, where it was to begin, on",
    );
}

#[test]
fn a_delete_that_nobody_told() {
    breaks(
        r#"0-10 put a 1 @2
           20-30 delete a @3
           40-50 put a 2 @4
           0-90 watch {"from":2} => [[[2,"put","a",1]],[[4,"put","a",2]]]"#,
        "watch-reliable",
        "the watch of event 1 (all keys, from revision 2) did not tell a delete of key a at one of \
         the revisions 3 to 3, which is certain since the delete of event 3 was acknowledged at 3 \
         and the key had been put and is between what it told first, at revision 2, and 4",
    );
}

#[test]
fn deletes_that_find_nothing() {
    keeps(
        r#"0-10 put a 1 @2
           20-30 delete a @3
           40-50 delete a @3
           40-50 delete b @3
           60-70 put a 2 @4
           0-90 watch {"from":2} => [[[2,"put","a",1],[3,"delete","a",null]],[[4,"put","a",2]]]"#,
    );
}

#[test]
fn a_watch_that_begins_too_early_or_too_late() {
    breaks(
        &format!(r#"{WRITES} 0-90 watch {{"from":3}} => [[[2,"put","a",1]],[[3,"put","b",2]]]"#),
        "watch-resumable",
        "the watch of event 1 (all keys, from revision 3) told, in response 0, the put of 1 to key a \
         at revision 2 although it was to begin at 3",
    );
    breaks(
        &format!(r#"{WRITES} 0-90 watch {{"from":2}} => [[[3,"put","b",2]]]"#),
        "watch-resumable",
        "the watch of event 1 (all keys, from revision 2) did not tell the put of 1 to key a at \
         revision 2, which is acknowledged to the put of event 0 and is from revision 2, where it \
         was to begin, on",
    );
}

#[test]
fn a_change_after_its_progress() {
    breaks(
        &format!(r#"{WRITES} 0-90 watch {{"from":4}} => [{{"progress":4}},[[4,"put","a",3]]]"#),
        "watch-bookmarkable",
        "the watch of event 1 (all keys, from revision 4) told, in response 1, the put of 3 to key a \
         at revision 4 after a progress notification had said that all up to revision 4 were told",
    );
}

#[test]
fn watches_that_disagree() {
    breaks(
        r#"0-? put a 1
           0-? put a 2
           0-90 watch {"from":2} => [[[2,"put","a",1]]]
           0-90 watch {"from":2} => [[[2,"put","a",2]]]"#,
        "watch-agreement",
        "the watch of event 3 (all keys, from revision 2) told the put of 2 to key a at revision 2, \
         and the watch of event 2 (all keys, from revision 2) told the put of 1 to key a at \
         revision 2",
    );
}

#[test]
fn revisions_have_no_holes() {
    breaks(
        r#"0-10 put a 1 @2
           0-? put a 2
           20-30 put a 3 @4
           0-90 watch {"from":1} => [[[2,"put","a",1]],[[4,"put","a",3]]]"#,
        "watch-reliable",
        "the watch of event 2 (all keys, from revision 1) told nothing of revision 3, which exists as \
         revisions have no holes and is between what it told first, at revision 2, and 4",
    );
    breaks(
        r#"0-? put a 1
           20-30 put a 3 @3
           0-90 watch {"from":1} => [[[3,"put","a",3]]]"#,
        "watch-resumable",
        "the watch of event 1 (all keys, from revision 1) told nothing of revision 2, which exists as \
         revisions have no holes and is from revision 1, where it was to begin, on",
    );
}

#[test]
fn from_0_means_now() {
    let watch = |from: &str| format!(r#"{WRITES} 35-90 watch {from} => [[[4,"put","a",3]]]"#);
    keeps(&watch(r#"{"from":0}"#));
    assert_eq!(violated(&judge(&watch(r#"{"from":1}"#))).0, ["watch-resumable"]);
}

#[test]
fn what_there_is_nothing_of_is_left_out() {
    let names = |watch: &str| -> BTreeSet<String> {
        let properties = judge(&format!("{WRITES} {watch}"));
        assert!(properties.iter().all(|p| p.outcome == Outcome::Ok), "{properties:#?}");
        properties.into_iter().map(|property| property.name).collect()
    };
    let all = names(r#"0-90 watch {"key":"b","from":3} => [[[3,"put","b",2]],{"progress":3}]"#);
    assert_eq!(all.len(), 10);
    let few = names(r#"0-90 watch {} => [[[3,"put","b",2]]]"#);
    let missing: Vec<&String> = all.difference(&few).collect();
    assert_eq!(missing, ["watch-bookmarkable", "watch-filter", "watch-resumable"]);
    let properties = judge("0-? put a 1\n0-90 watch {} => [[[2,\"put\",\"a\",1]]]");
    assert!(properties.iter().all(|property| property.name != "write-revisions"));
}

#[test]
fn what_cannot_be_told() {
    let all: BTreeSet<String> = judge("0-10 put a 1 @2").into_iter().map(|p| p.name).collect();
    assert_eq!(all.len(), 10);
    for script in ["0-10 put a 1 @2", "0-10 put a 1 @2\n0-20 watch {} => []"] {
        assert_eq!(with(&judge(script), Outcome::Unknown), all);
    }
    // Was it in the gap, or after it?
    let watch = r#"0-90 watch {"from":2} => [[[2,"put","a",1]]]"#;
    let open = ["watch-reliable", "watch-resumable"];
    leaves_open(&format!("0-10 put a 1 @2\n20-30 put a 2 \n{watch}"), &open);
    keeps(&format!("0-10 put a 1 @2\n91-99 put a 2 \n{watch}"));
    keeps(&format!("0-10 put a 1 \n{watch}"));
    let txn = r#"0-? txn [["put","a",1],["put","b",2]]"#;
    leaves_open(&format!("{txn}\n{watch}"), &["watch-integrity"]);
}

#[test]
fn what_is_no_history_of_watches() {
    for (script, says) in [
        (r#"0-9 watch {"keys":"a"} => []"#, "event 0: expected what is watched"),
        (r#"0-9 watch {"key":"a","prefix":"b"} => []"#, "event 0: expected what is watched"),
        (r#"0-9 watch {"from":-1} => []"#, "event 0: expected what is watched"),
        (r#"0-9 watch {} => {"progress":1}"#, "event 1: expected the list of responses"),
        (r#"0-9? watch {} => 7"#, "event 0: expected the list of responses, or nil"),
        (r#"0-9 watch {} => [[[1,"put","a"]]]"#, "event 1: expected a change"),
        (r#"0-9 watch {} => [{"progress":null}]"#, "event 1: expected {\"progress\": revision}"),
        (r#"0-9 watch {} => [3]"#, "event 1: expected a batch of changes or a progress"),
        (r#"0-9 txn [["put","a",1],["put","a",2]]"#, "event 0: expected writes"),
        ("0-9 put a null", "event 0: expected a value to write"),
        ("0-9 enqueue a 1", "event 0: expected a watch, read, write"),
    ] {
        let history = history(script);
        let error = check(&pair(&history).unwrap(), &Limits::default()).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}
