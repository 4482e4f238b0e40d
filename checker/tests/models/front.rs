//! What operations of a history are to each model, read from lines of JSON.

use checker::{
    budget::Limits,
    history::generic::{self, Event, Operation},
    judge::front::{kv, lock, queue, set},
    model::Unexpected,
    verdict::{Outcome, Property, Refutation},
};

type Check = fn(&[Operation<'_>], &Limits) -> Result<Property, Unexpected>;

/// `lines` are `PROCESS TYPE F VALUE [ERROR]`, in order of time.
fn check(check: Check, lines: &str) -> Result<Property, String> {
    let events: Vec<Event> = lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .enumerate()
        .map(|(index, line)| {
            let mut fields = line.splitn(5, ' ');
            let mut next = || fields.next().unwrap();
            let (process, kind, f, value) = (next(), next(), next(), next());
            let error = fields.next().map(|error| format!(r#","error":"{error}""#));
            let error = error.unwrap_or_default();
            let time = index * 1_000_000;
            serde_json::from_str(&format!(
                r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}",
                   "f":"{f}","value":{value}{error}}}"#
            ))
            .unwrap()
        })
        .collect();
    let operations = generic::pair(&events).unwrap();
    check(&operations, &Limits::default()).map_err(|unexpected| unexpected.to_string())
}

fn outcome(of: Check, lines: &str) -> Outcome {
    check(of, lines).unwrap().outcome
}

/// The summary of the violation.
fn violation(of: Check, lines: &str) -> String {
    let property = check(of, lines).unwrap();
    assert_eq!(property.outcome, Outcome::Violated, "{property:#?}");
    property.violations[0].summary.clone()
}

/// The refutation of the violation, which was verified.
fn proof(of: Check, lines: &str) -> Refutation {
    let property = check(of, lines).unwrap();
    let refutation = property.violations[0].refutation.clone().unwrap();
    assert_eq!(refutation.unverified_reason, None, "{property:#?}");
    refutation
}

#[test]
fn a_set_keeps_what_was_added() {
    let history = |read| {
        format!(
            r#"1 invoke add "a"
               1 ok add "a"
               2 invoke add "b"
               3 invoke add "c"
               3 fail add "c"
               2 info add "b" timeout
               4 invoke read null
               4 ok read {read}"#
        )
    };
    for read in [r#"["a"]"#, r#"["b","a"]"#] {
        assert_eq!(outcome(set::check, &history(read)), Outcome::Ok, "{read}");
    }
    assert_eq!(
        violation(set::check, &history("[]")),
        "process 4 answered [] to read at 0.007 s although before that process 1 acknowledged add \
         \"a\" at 0.001 s"
    );
    // What failed was never added, what nobody named neither, and nothing is there twice.
    for read in [r#"["a","c"]"#, r#"["a","d"]"#, r#"["a","a"]"#] {
        violation(set::check, &history(read));
    }
}

#[test]
fn each_element_that_a_set_lost_or_invented_is_named() {
    let property = check(
        set::check,
        r#"1 invoke add 1
           1 ok add 1
           2 invoke add 2
           2 ok add 2
           3 invoke read null
           3 ok read [1,4,4]
           3 invoke read null
           3 ok read [2]"#,
    )
    .unwrap();
    let named: Vec<(&str, &str)> = property.violations[1..]
        .iter()
        .map(|violation| (violation.rule.as_str(), violation.summary.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            (
                "lost-element",
                "element 1 was lost: process 1 acknowledged it at 0.001 s; the read that process 3 \
                 answered at 0.007 s lacks it, and so does every later read"
            ),
            (
                "resurrected-element",
                "element 2 was gone and came back: process 2 acknowledged it at 0.003 s; the read \
                 that process 3 answered at 0.005 s lacks it; process 3 showed it again at 0.007 s"
            ),
            ("duplicated-element", "process 3 showed element 4 twice at 0.005 s"),
            (
                "never-added-element",
                "process 3 showed element 4 at 0.005 s, and no client had added it by then"
            ),
            (
                "lost-element",
                "element 4 was lost: process 3 showed it at 0.005 s; the read that process 3 \
                 answered at 0.007 s lacks it, and so does every later read"
            ),
        ]
    );
    assert!(
        property.detail.ends_with(
            "; duplicated: 1 element; lost: 2 elements; never added: 1 element; resurrected: 1 \
             element"
        ),
        "{}",
        property.detail
    );
}

#[test]
fn a_removed_element_is_gone() {
    let history = |read| {
        format!(
            "1 invoke add 1
             1 ok add 1
             1 invoke remove 1
             2 invoke read null
             2 ok read [1]
             1 ok remove 1
             2 invoke read null
             2 ok read {read}"
        )
    };
    assert_eq!(outcome(set::check, &history("[]")), Outcome::Ok);
    assert!(violation(set::check, &history("[1]")).ends_with("could only be {}"));
}

#[test]
fn a_queue_gives_what_came_first() {
    let history = |first, second| {
        format!(
            "1 invoke enqueue 1
             1 ok enqueue 1
             1 invoke enqueue 2
             1 ok enqueue 2
             2 invoke dequeue null
             2 {first}
             2 invoke dequeue null
             2 {second}"
        )
    };
    let is = |first, second| outcome(queue::check, &history(first, second));
    assert_eq!(is("ok dequeue 1", "ok dequeue 2"), Outcome::Ok);
    assert_eq!(is("fail dequeue null timeout", "ok dequeue 1"), Outcome::Ok);
    let is = |first, second| violation(queue::check, &history(first, second));
    assert!(is("ok dequeue 2", "ok dequeue 1").contains("came later than what was enqueued first"));
    assert!(is("ok dequeue 1", "ok dequeue 1").contains("although it was gone"));
    assert!(is("ok dequeue 1", "ok dequeue 3").contains("nobody ever enqueued that"));
    for empty in ["ok dequeue null", "fail dequeue null empty"] {
        assert!(is("ok dequeue 1", empty).contains("the queue was not empty"), "{empty}");
    }
}

#[test]
fn a_dequeue_without_an_answer_may_have_taken_a_value() {
    let history = "1 invoke enqueue 1
                   1 ok enqueue 1
                   2 invoke dequeue null
                   2 info dequeue null timeout
                   3 invoke dequeue null
                   3 ok dequeue null";
    assert_eq!(outcome(queue::check, history), Outcome::Ok);
}

#[test]
fn a_lock_is_held_by_one() {
    let history = |owner: &str, other: &str, second| {
        format!(
            "1 invoke acquire {owner}
             1 ok acquire {owner}
             2 invoke {second} {other}
             2 ok {second} {other}"
        )
    };
    let is = |owner, other, second| outcome(lock::check, &history(owner, other, second));
    assert_eq!(is("null", "null", "acquire"), Outcome::Violated);
    assert_eq!(is("null", "null", "release"), Outcome::Ok);
    assert_eq!(is("\"a\"", "\"a\"", "release"), Outcome::Ok);
    assert_eq!(is("\"a\"", "null", "release"), Outcome::Ok);
    let summary = violation(lock::check, &history("\"a\"", "\"b\"", "release"));
    assert!(summary.ends_with("could only be held by a"), "{summary}");
    let refused = |error| {
        format!(
            "1 invoke acquire 7
             1 fail acquire 7 {error}"
        )
    };
    assert_eq!(outcome(lock::check, &refused("held")), Outcome::Violated);
    assert_eq!(outcome(lock::check, &refused("unavailable")), Outcome::Ok);
}

#[test]
fn a_store_of_texts_appends_and_compares() {
    let history = |last: &str| {
        format!(
            r#"1 invoke put "a"
               1 ok put "a"
               1 invoke append "b"
               1 ok append "b"
               2 invoke cas ["ab","c"]
               2 ok cas ["ab","c"]
               2 invoke cas ["ab","d"]
               2 fail cas ["ab","d"] mismatch
               2 invoke delete null
               2 info delete null
               3 {last}"#
        )
    };
    let read = |answer: &str| format!("invoke get null\n3 ok get {answer}");
    for answer in [r#""c""#, "null", r#""""#] {
        assert_eq!(outcome(kv::check, &history(&read(answer))), Outcome::Ok, "{answer}");
    }
    let summary = violation(kv::check, &history(&read(r#""ab""#)));
    assert!(summary.contains("answered \"ab\" to get"), "{summary}");
    let cas = |end: &str| format!("invoke cas [\"c\",\"e\"]\n3 {end} cas [\"c\",\"e\"]");
    for end in ["ok", "fail", "info"] {
        assert_eq!(outcome(kv::check, &history(&cas(end))), Outcome::Ok, "{end}");
    }
    // What it found is as good as a read.
    let refused =
        |found: &str| history(&format!("invoke cas [\"x\",\"e\"]\n3 fail cas [{found}] mismatch"));
    for found in [r#""c""#, "null", r#""""#] {
        assert_eq!(outcome(kv::check, &refused(found)), Outcome::Ok, "{found}");
    }
    let summary = violation(kv::check, &refused(r#""ab""#));
    assert!(summary.contains("refused cas [x e] at 0.011 s since it found \"ab\""), "{summary}");
    let summary = violation(kv::check, &refused(r#""x""#));
    assert!(
        summary.contains("since it found \"x\", just what it looked for, although"),
        "{summary}"
    );
    assert!(check(kv::check, &refused("5")).unwrap_err().contains("expected [found]"));
}

#[test]
fn nil_that_a_refused_compare_and_set_found_is_no_empty_text() {
    let history = |found| {
        format!(
            r#"1 invoke put ""
               1 ok put ""
               1 invoke cas ["a","b"]
               1 fail cas {found} mismatch"#
        )
    };
    assert_eq!(outcome(kv::check, &history(r#"[""]"#)), Outcome::Ok);
    violation(kv::check, &history("[null]"));
}

#[test]
fn a_missing_key_is_nil_or_the_empty_text_but_not_both() {
    let history = |first, second| {
        format!(
            r#"1 invoke get null
               1 ok get {first}
               1 invoke put ""
               1 ok put ""
               1 invoke get null
               1 ok get {second}"#
        )
    };
    assert_eq!(outcome(kv::check, &history("\"\"", "\"\"")), Outcome::Ok);
    assert_eq!(outcome(kv::check, &history("null", "\"\"")), Outcome::Ok);
    assert_eq!(outcome(kv::check, &history("null", "null")), Outcome::Violated);
    assert_eq!(outcome(kv::check, &history("\"\"", "null")), Outcome::Violated);
}

#[test]
fn an_event_that_a_model_does_not_understand_is_named() {
    let answered = |f: &str, argument: &str, answer: &str| {
        format!("1 invoke {f} {argument}\n1 ok {f} {answer}")
    };
    let cases: [(Check, &str, &str, &str, &str); 12] = [
        (set::check, "add", "null", "null", "event 0: expected the element to add, found nil"),
        (set::check, "read", "null", "7", "event 1: expected a list of all elements, found 7"),
        (set::check, "pop", "null", "7", "event 0: expected add, remove or read, found pop"),
        (queue::check, "enqueue", "null", "1", "event 0: expected the value to enqueue, found nil"),
        (queue::check, "add", "1", "1", "event 0: expected enqueue or dequeue, found add"),
        (lock::check, "lock", "1", "1", "event 0: expected acquire or release, found lock"),
        (kv::check, "get", "null", "7", "event 1: expected the text or nil, found 7"),
        (kv::check, "put", "7", "7", "event 0: expected the text to put, found 7"),
        (kv::check, "append", "null", "7", "event 0: expected the text to append, found nil"),
        (
            kv::check,
            "cas",
            "[1]",
            "[1]",
            "event 0: expected [expected new] of texts or nil, found [1]",
        ),
        (
            kv::check,
            "cas",
            "[1,2]",
            "[1,2]",
            "event 0: expected [expected new] of texts or nil, found [1 2]",
        ),
        (
            kv::check,
            "add",
            "7",
            "7",
            "event 0: expected get, put, append, cas or delete, found add",
        ),
    ];
    for (model, f, argument, answer, error) in cases {
        assert_eq!(check(model, &answered(f, argument, answer)).unwrap_err(), error);
    }
}

#[test]
fn a_proof_says_what_alone_it_is_about() {
    let set = r#"1 invoke add "a"
                 1 ok add "a"
                 1 invoke add "b"
                 1 ok add "b"
                 1 invoke read null
                 1 ok read ["b"]"#;
    let refutation = proof(set::check, set);
    assert_eq!(refutation.part.as_deref(), Some("{a}"));
    assert_eq!(refutation.possible, ["{a}"]);
    let texts = r#"1 invoke put "zero;"
                   1 ok put "zero;"
                   1 invoke put "a;"
                   1 ok put "a;"
                   1 invoke append "b;"
                   1 ok append "b;"
                   2 invoke get null
                   2 ok get "a;b;"
                   1 invoke append "c;"
                   1 ok append "c;"
                   2 invoke get null
                   2 ok get "a;b;""#;
    let refutation = proof(kv::check, texts);
    assert_eq!(refutation.part.as_deref(), Some(r#""a;", "c;""#));
    // The put of it, the append that is missing, and the get.
    assert_eq!(refutation.core, [2, 8, 10]);
    assert_eq!(refutation.possible, [r#""a;c;""#]);
}

#[test]
fn an_empty_text_that_nobody_put_is_not_the_absent_key() {
    let lines = r#"1 invoke get null
                   1 ok get null
                   1 invoke append "a;"
                   1 ok append "a;"
                   1 invoke get null
                   1 ok get """#;
    let refutation = proof(kv::check, lines);
    assert_eq!((refutation.core, refutation.part), (vec![4], None));
}

#[test]
fn a_violation_names_all_that_its_summary_speaks_of() {
    let lines = r#"1 invoke get null
                   1 ok get "a;"
                   2 invoke append "a;"
                   2 ok append "a;""#;
    let property = check(kv::check, lines).unwrap();
    assert_eq!(property.violations[0].operations, [0, 1, 2, 3]);
    assert_eq!(proof(kv::check, lines).core, [0]);
}
