//! What watches tell, and the writes that it may be of.

use super::{breaks, judge, keeps};
use crate::script::violated;

#[test]
fn what_nobody_wrote() {
    breaks(
        r#"0-10! put a 1
           0-90 watch {"from":2} => [[[2,"put","a",1]]]"#,
        "watch-integrity",
        "the watch of event 1 (all keys, from revision 2) told the put of 1 to key a at revision 2 \
         by 0.090 s, but no write that may have taken effect there does that",
    );
    // One write, told at two revisions.
    breaks(
        r#"0-10? put a 1
           0-90 watch {"from":2} => [[[2,"put","a",1]],[[3,"put","a",1]]]"#,
        "watch-integrity",
        "the watch of event 1 (all keys, from revision 2) told the put of 1 to key a at revision 3 \
         by 0.090 s, but only the put of event 0 may have done that, later or elsewhere",
    );
    // Before it was asked for.
    breaks(
        r#"0-90 watch {"from":2} => [[[2,"put","a",1]]]
           95-99 put a 1 "#,
        "watch-integrity",
        "the watch of event 0 (all keys, from revision 2) told the put of 1 to key a at revision 2 \
         by 0.090 s, but only the put of event 2 may have done that, later or elsewhere",
    );
}

#[test]
fn what_was_acknowledged_otherwise() {
    breaks(
        r#"0-10 put a 1 @2
           0-10? put a 2
           0-90 watch {"from":2} => [[[2,"put","a",2]]]"#,
        "watch-integrity",
        "the watch of event 2 (all keys, from revision 2) told the put of 2 to key a at revision 2, \
         but at that revision the put of event 0 was acknowledged, which is another",
    );
}

#[test]
fn writes_whose_revisions_contradict_time() {
    let watch = r#"0-15 watch {"from":2} => [[[2,"put","a",1]]]"#;
    breaks(
        &format!("0-10 put a 1 @2\n20-30 put b 2 @4\n40-50 put b 3 @3\n{watch}"),
        "write-revisions",
        "the put of event 6 was asked for at 0.040 s and acknowledged at revision 3, but the put of \
         event 4 had been told of revision 4 by 0.030 s",
    );
    breaks(
        "0-? put a 1\n20-30 put b 1 @2\n0-15 watch {} => [{\"progress\":3}]\n0-90 watch {} => [[[2,\"put\",\"b\",1]]]",
        "write-revisions",
        "the put of event 4 was asked for at 0.020 s and acknowledged at revision 2, but the watch \
         of event 1 (all keys) had been told of revision 3 by 0.015 s",
    );
    breaks(
        &format!("0-10 put a 1 @2\n40-60 put b 2 @3\n40-50 put c 3 @3\n{watch}"),
        "write-revisions",
        "the put of event 4 and the put of event 5 were both acknowledged at 3",
    );
}

#[test]
fn a_revision_is_one_write() {
    breaks(
        r#"0-? put a 1
           0-? put b 2
           0-90 watch {"from":2} => [[[2,"put","a",1],[2,"put","b",2]]]"#,
        "watch-integrity",
        "the watch of event 2 (all keys, from revision 2) told the put of 1 to key a at revision 2 \
         and 1 more of that revision by 0.090 s, but no write that may have taken effect there does \
         all of that",
    );
    // Of two watches, each of which may be right.
    breaks(
        r#"0-? put a 1
           0-? put b 2
           0-90 watch {"key":"a","from":2} => [[[2,"put","a",1]]]
           0-95 watch {"key":"b","from":2} => [[[2,"put","b",2]]]"#,
        "watch-integrity",
        "the watch of event 2 (key a, from revision 2) told the put of 1 to key a at revision 2 and 1 \
         more of that revision by 0.090 s, but no write that may have taken effect there does all of \
         that",
    );
    keeps(
        r#"0-? txn [["put","a",1],["put","b",2]]
           0-9 put b 2 @3
           0-90 watch {"from":2} => [[[2,"put","a",1],[2,"put","b",2]],[[3,"put","b",2]]]"#,
    );
    breaks(
        r#"0-9 put a 1 @2
           0-9 put b 1 @3
           20-30 delete a @4
           20-30 delete b @4
           0-90 watch {"from":2} => [[[2,"put","a",1]],[[3,"put","b",1]],[[4,"delete","a"],[4,"delete","b"]]]"#,
        "watch-integrity",
        "the watch of event 2 (all keys, from revision 2) told the delete of key a at revision 4 and 1 \
         more of that revision by 0.090 s, but no write that may have taken effect there does all of \
         that",
    );
}

#[test]
fn revisions_that_are_told_against_time() {
    let told = |first: i64, second: i64| {
        format!(
            r#"0-1 put a 1
               2-3 put a 2
               0-90 watch {{"from":2}} => [[[2,"put","a",{first}]],[[3,"put","a",{second}]]]"#
        )
    };
    keeps(&told(1, 2));
    breaks(
        &told(2, 1),
        "write-revisions",
        "the watch of event 1 (all keys, from revision 2) told the put of 2 to key a at revision 2, \
         which was asked for at 0.002 s (the put of event 3) and no earlier, but the put of 1 to key \
         a at revision 3, told by the watch of event 1 (all keys, from revision 2), had taken place \
         (the put of event 0) by 0.001 s",
    );
    // A revision that was past.
    breaks(
        r#"0-1 put a 1 @2
           2-3 put a 2 @4
           5-9? put b 3
           0-90 watch {"key":"b","from":1} => [[[3,"put","b",3]]]"#,
        "write-revisions",
        "the watch of event 1 (key b, from revision 1) told the put of 3 to key b at revision 3, \
         which was asked for at 0.005 s (the put of event 5) and no earlier, but the put of event 3 \
         had been told of revision 4 by 0.003 s",
    );
    // Equal writes: one of them is early enough, and then the other is not.
    let equal = |revision: i64| {
        format!(
            r#"0-1 put a 1
               2-3 put b 1 @{revision}
               4-5 put a 1
               0-90 watch {{"key":"a","from":2}} => [[[2,"put","a",1]],[[3,"put","a",1]]]"#
        )
    };
    assert_eq!(violated(&judge(&equal(4))).0, ["write-revisions"]);
}

#[test]
fn a_delete_of_what_was_not_there() {
    breaks(
        r#"0-10 delete a @2
           0-90 watch {} => [[[2,"delete","a"]]]"#,
        "watch-integrity",
        "the watch of event 1 (all keys) told the delete of key a at revision 2, but the key was not \
         there: no revision from 1 on can have put it",
    );
    breaks(
        r#"0-5 put a 1 @2
           0-20 delete a @3
           30-40 delete a @4
           50-60 put b 1 @5
           0-90 watch {"key":"a","from":3} => [[[3,"delete","a"]],[[4,"delete","a"]]]"#,
        "watch-integrity",
        "the watch of event 2 (key a, from revision 3) told the delete of key a at revision 4, but the \
         key was not there: no revision from 3 on can have put it",
    );
    // There is room for a put, and a watch that was to tell it.
    let told = |watch: &str| {
        format!(
            r#"0-10 put a 1 @2
               0-20 delete a @3
               0-? put a 1
               30-40 delete a @5
               {watch} => [[[5,"delete","a"]]]"#
        )
    };
    keeps(&told(r#"0-90 watch {"key":"a","from":5}"#));
    breaks(
        &told(r#"0-90 watch {"key":"a","from":4}"#),
        "watch-integrity",
        "the watch of event 3 (key a, from revision 4) told the delete of key a at revision 5, but the \
         key was not there: that watch told no put of it from revision 3 on",
    );
    breaks(
        &told(r#"0-90 watch {"key":"a","from":5}"#).replace("put a 1\n", "put b 1\n"),
        "watch-integrity",
        "the watch of event 3 (key a, from revision 5) told the delete of key a at revision 5, but the \
         key was not there: nobody put it from revision 3 on",
    );
}

#[test]
fn a_delete_that_several_watches_told() {
    // The one that was over first says when a put had been asked for.
    breaks(
        r#"0-50 watch {"key":"a","from":3} => [[[3,"delete","a"]]]
           0-5 delete a @3
           0-30 watch {"key":"a","from":3} => [[[3,"delete","a"]]]
           40-60? put a 1"#,
        "watch-integrity",
        "the watch of event 2 (key a, from revision 3) told the delete of key a at revision 3, but the \
         key was not there: nobody put it from revision 1 on",
    );
}

#[test]
fn a_delete_that_shares_its_revision() {
    let watch = r#"0-90 watch {"key":"b"} => [[[2,"put","b",1]]]"#;
    breaks(
        &format!("0-5 put b 1 @2\n10-20 delete a @3\n10-20 put a 1 @3\n{watch}"),
        "write-revisions",
        "the put of event 4 and the delete of event 3 were both acknowledged at 3, at which key a \
         cannot be both there and gone",
    );
    // The key was there, so that the delete needs a revision.
    let of = |key| format!("0-5 put b 1 @2\n10-20 delete {key} @3\n10-20 put a 1 @3\n{watch}");
    keeps(&of("c"));
    breaks(
        &of("b"),
        "write-revisions",
        "the delete of event 3 was acknowledged at 3, but key b had been put at 2, and all revisions \
         since are of other writes",
    );
    // Deleted by the transaction, before the delete found nothing.
    keeps(&format!(
        r#"0-5 put b 1 @2
           10-20 delete b @3
           10-20 txn [["put","a",1],["delete","b"]] @3
           {watch}"#
    ));
}

#[test]
fn nothing_is_written_at_the_revision_of_the_empty_store() {
    for revision in [1, 0, -7] {
        breaks(
            &format!(
                r#"0-? put a 1
                   0-90 watch {{"key":"a"}} => [[[{revision},"put","a",1]]]"#
            ),
            "watch-integrity",
            &format!(
                "the watch of event 1 (key a) told the put of 1 to key a at revision {revision}, but \
                 the empty store is at 1 and each write makes a higher one"
            ),
        );
        breaks(
            &format!(
                "0-10 put a 1 @{revision}\n20-30 put a 2 @3\n20-90 watch {{}} => [[[3,\"put\",\"a\",2]]]"
            ),
            "write-revisions",
            &format!(
                "the put of event 0 was acknowledged at revision {revision}, but the empty store is \
                 at 1 and each write makes a higher one"
            ),
        );
    }
    let delete = |revision: i64| {
        judge(&format!(
            "0-10 delete a @{revision}\n20-30 put a 2 @2\n20-90 watch {{}} => [[[2,\"put\",\"a\",2]]]"
        ))
    };
    assert!(violated(&delete(1)).0.is_empty());
    assert_eq!(violated(&delete(0)).0, ["write-revisions"]);
}

/// Two watches are over at one moment, at which one of their processes goes on.
fn at_one_moment(first: &str, second: &str, told: &str, rest: &str) -> String {
    format!(
        r#"{first} 0-30 watch {{"key":"a"}} => {told}
           {second} 0-30 watch {{"key":"a"}} => {told}
           {rest}"#
    )
}

#[test]
fn what_a_process_asked_for_after_its_watch() {
    let told = r#"[[[2,"put","a",1]]]"#;
    let put = "B 30-40? put a 1";
    keeps(&at_one_moment("A", "C", told, put));
    for (first, second, event) in [("A", "B", 1), ("B", "A", 0)] {
        breaks(
            &at_one_moment(first, second, told, put),
            "watch-integrity",
            &format!(
                "the watch of event {event} (key a) told the put of 1 to key a at \
                 revision 2 by 0.030 s, but only the put of event 4 may have done that, later or \
                 elsewhere"
            ),
        );
        let acknowledged = at_one_moment(first, second, told, "B 30-40 put a 1 @2");
        let properties = judge(&acknowledged);
        let (names, sentences) = violated(&properties);
        assert_eq!(names, ["watch-integrity", "write-revisions"]);
        assert_eq!(
            sentences[0],
            format!(
                "the watch of event {event} (key a) told the put of 1 to key a at \
                 revision 2 and was over at 0.030 s, but the put of event 4 was asked for at 0.030 s"
            )
        );
        // What had to be there before.
        breaks(
            &at_one_moment(
                first,
                second,
                r#"[[[3,"delete","a"]]]"#,
                &format!("0-5? delete a\n{put}"),
            ),
            "watch-integrity",
            &format!(
                "the watch of event {event} (key a) told the delete of key a at \
                 revision 3, but the key was not there: nobody put it from revision 1 on"
            ),
        );
    }
}

#[test]
fn what_several_processes_asked_for_after_their_watches() {
    // Each of the two revisions may be of three writes, but two of these come after both.
    let told = r#"[[[2,"put","a",1]],[[3,"put","a",1]]]"#;
    let puts = "A 30-40? put a 1\nB 30-40? put a 1\n30-40? put a 1";
    keeps(&at_one_moment("C", "D", told, puts));
    breaks(
        &at_one_moment("A", "B", told, puts),
        "write-revisions",
        "the watch of event 0 (key a) told the put of 1 to key a at revision 3, which was asked for at \
         0.030 s (the put of event 4) and no earlier, but the watch of event 0 (key a) had been told \
         of revision 3 by 0.030 s",
    );
    // Each is of the other's process, so that neither can have been first.
    breaks(
        r#"A 0-30 watch {"key":"a","from":2} => [[[2,"put","a",1]]]
           B 0-30 watch {"key":"b","from":2} => [[[3,"put","b",1]]]
           A 30-40? put b 1
           B 30-40? put a 1"#,
        "write-revisions",
        "the watch of event 0 (key a, from revision 2) told the put of 1 to key a at revision 2, which \
         was asked for at 0.030 s (the put of event 5) and no earlier, but the watch of event 1 (key b, \
         from revision 2) had been told of revision 3 by 0.030 s",
    );
    // Told by a watch of something else.
    breaks(
        r#"A 0-30 watch {"key":"b"} => [{"progress":3}]
           0-90 watch {"key":"a","from":2} => [[[3,"put","a",1]]]
           A 30-40? put a 1"#,
        "write-revisions",
        "the watch of event 1 (key a, from revision 2) told the put of 1 to key a at revision 3, which \
         was asked for at 0.030 s (the put of event 3) and no earlier, but the watch of event 0 (key b) \
         had been told of revision 3 by 0.030 s",
    );
}
