//! Each anomaly by a history that has it and no other, and what is almost one.

use checker::{budget::Limits, history::generic::pair, txn, verdict::Outcome};

use crate::{
    brute_force::serializable,
    script::{anomalies, check, events},
};

#[track_caller]
fn only(name: &str, script: &str) {
    assert_eq!(anomalies(script), [name], "{:#?}", check(script));
    assert!(!serializable(&pair(&events(script)).unwrap()), "some order is possible");
}

#[track_caller]
fn none(script: &str) {
    let property = check(script);
    assert_eq!(property.outcome, Outcome::Ok, "{property:#?}");
    assert!(serializable(&pair(&events(script)).unwrap()), "no order is possible");
}

#[test]
fn garbage_read() {
    only("garbage-read", "0-1 ok r x [7]");
    // Another key's element is as good as none.
    only(
        "garbage-read",
        "0-9 ok append y 7
         0-9 ok r x [7]",
    );
}

#[test]
fn duplicate_elements() {
    only(
        "duplicate-elements",
        "0-9 ok append x 1
         0-9 ok append x 2
         0-9 ok r x [1 2 1]",
    );
}

#[test]
fn incompatible_order() {
    only(
        "incompatible-order",
        "0-9 ok append x 1
         0-9 ok append x 2
         0-9 ok r x [1 2]
         0-9 ok r x [2 1]",
    );
    // Neither is longer in the other's way: both lack what the other has.
    only(
        "incompatible-order",
        "0-9 ok append x 1
         0-9 ok append x 2
         0-9 ok r x [1]
         0-9 ok r x [2]",
    );
}

#[test]
fn internal_lacks_its_own() {
    only("internal", "0-1 ok append x 1; r x []");
}

#[test]
fn internal_reads_are_not_repeatable() {
    only(
        "internal",
        "0-9 ok r x []; r x [1]
         0-9 ok append x 1",
    );
}

#[test]
fn internal_others_come_after_its_own() {
    only(
        "internal",
        "0-9 ok append x 1; r x [1 2]
         0-9 ok append x 2",
    );
}

#[test]
fn internal_is_foreseen() {
    only("internal", "0-1 ok r x [1]; append x 1");
}

#[test]
fn internal_is_in_disorder() {
    only(
        "internal",
        "0-9 ok append x 1; append x 2
         0-9 ok r x [2 1]",
    );
}

#[test]
fn g1a() {
    only(
        "G1a",
        "0-1 fail append x 1
         0-9 ok r x [1]",
    );
    none(
        "0-1 fail append x 1
         0-9 ok r x []",
    );
}

#[test]
fn g1b() {
    only(
        "G1b",
        "0-9 ok append x 1; append x 2
         0-9 ok r x [1]",
    );
    // The rest stands where another read has it.
    only(
        "G1b",
        "0-9 ok append x 1; append x 2
         0-9 ok r x [1]
         0-9 ok r x [1 2]",
    );
}

#[test]
fn lost_update() {
    only(
        "lost-update",
        "0-9 ok r x []; append x 1
         0-9 ok r x []; append x 2
         10-11 ok r x [1 2]",
    );
    // Nobody need read the outcome.
    only(
        "lost-update",
        "0-9 ok r x []; append x 1
         0-9 ok r x []; append x 2",
    );
    none(
        "0-9 ok r x []; append x 1
         0-9 ok r x [1]; append x 2",
    );
}

#[test]
fn g0() {
    // Keys x and y tell the two writers in opposite orders.
    only(
        "G0",
        "0-9 ok append x 1; append y 1
         0-9 ok append x 2; append y 2
         10-11 ok r x [1 2]; r y [2 1]",
    );
}

#[test]
fn g0_realtime() {
    only(
        "G0-realtime",
        "0-1 ok append x 1
         2-3 ok append x 2
         4-5 ok r x [2 1]",
    );
}

#[test]
fn g1c() {
    // Each saw what the other appended.
    only(
        "G1c",
        "0-9 ok append x 1; r y [1]
         0-9 ok append y 1; r x [1]",
    );
}

#[test]
fn g1c_realtime() {
    // A read from the future.
    only(
        "G1c-realtime",
        "0-1 ok r x [1]
         2-3 ok append x 1",
    );
    none(
        "0-2 ok r x [1]
         2-3 ok append x 1",
    );
}

#[test]
fn g_single() {
    // Half of a transaction was seen.
    only(
        "G-single",
        "0-9 ok append x 1; append y 1
         0-9 ok r x []; r y [1]",
    );
}

#[test]
fn g_single_realtime() {
    // A stale read; and one that only touches is none.
    only(
        "G-single-realtime",
        "0-1 ok append x 1
         2-3 ok r x []",
    );
    none(
        "0-2 ok append x 1
         2-3 ok r x []",
    );
}

#[test]
fn g2_item() {
    // Write skew.
    only(
        "G2-item",
        "0-9 ok r x []; append y 1
         0-9 ok r y []; append x 1",
    );
    // A long fork: two readers saw two writers in opposite orders.
    only(
        "G2-item",
        "0-9 ok append x 1
         0-9 ok append y 1
         0-9 ok r x [1]; r y []
         0-9 ok r y [1]; r x []",
    );
}

#[test]
fn g2_item_realtime() {
    // The third comes before the first, and the second before the third; but the first had ended
    // before the second began.
    only(
        "G2-item-realtime",
        "0-1 ok append x 1
         2-3 ok r y []
         0-9 ok r x []; append y 1",
    );
    none(
        "0-2 ok append x 1
         2-3 ok r y []
         0-9 ok r x []; append y 1",
    );
}

#[test]
fn unknown_outcomes() {
    // What was read happened, and then all of it.
    only(
        "G-single",
        "0-1 info append x 1; append y 1
         2-3 ok r x [1]; r y []",
    );
    // What was not read need not have, and may still.
    none(
        "0-1 info append x 1; append y 1
         2-3 ok r x []; r y []",
    );
    none(
        "0-1 info append x 1
         2-3 ok r x []
         4-5 ok r x [1]",
    );
}

#[test]
fn several_at_once_are_each_named() {
    assert_eq!(
        anomalies(
            "0-1 ok r g [7]
             0-1 fail append a 1
             0-9 ok r a [1]
             0-9 ok r s []; append t 1
             0-9 ok r t []; append s 1
             0-1 ok append x 1
             2-3 ok r x []"
        ),
        ["garbage-read", "G1a", "G-single-realtime", "G2-item"]
    );
}

#[test]
fn what_is_proved_stands_though_a_budget_ends() {
    let appends = (0..2_000).map(|n| format!("{n}-{n} ok append k{n} 1\n"));
    let script = format!("0-1 fail append a 1\n0-9 ok r a [1]\n{}", appends.collect::<String>());
    let events = events(&script);
    let operations = pair(&events).unwrap();
    let with = |memory| {
        let limits = Limits { memory, ..Limits::default() };
        txn::check(&operations, &limits).unwrap()
    };
    let whole = with(usize::MAX);
    assert_eq!(whole.detail, "2002 transactions on 2001 keys; 1 anomaly: 1 G1a");
    let mut short = 0;
    for kib in (64..1024).step_by(8) {
        let property = with(kib << 10);
        match property.outcome {
            Outcome::Violated => assert_eq!(property.violations, whole.violations),
            // Not even the reads could be looked at.
            outcome => assert_eq!((outcome, short), (Outcome::Unknown, 0), "{kib} KiB"),
        }
        let reason =
            "; the rest is undecided: the memory budget of 1 MiB is less than the 1 MiB that";
        short += usize::from(property.detail.contains(reason));
    }
    assert!(short > 0, "no budget ended after the anomaly was found");
}
