//! What is no history of transactions on lists, and what there is no time or memory for.

use std::time::Duration;

use checker::{
    budget::Limits,
    history::generic::pair,
    txn,
    verdict::{Outcome, Property},
};

use crate::script::events;

#[track_caller]
fn refusal(script: &str) -> String {
    let events = events(script);
    txn::check(&pair(&events).unwrap(), &Limits::default()).unwrap_err().to_string()
}

fn within(limits: &Limits) -> Property {
    let events = events("0-1 ok append x 1\n2-3 ok r x [1]");
    txn::check(&pair(&events).unwrap(), limits).unwrap()
}

#[test]
fn an_element_that_is_appended_twice() {
    for end in ["ok", "info"] {
        assert_eq!(
            refusal(&format!("0-1 {end} append x 1\n2-3 ok append x 1")),
            "event 2: expected every element of a key to be appended once, but 1 goes to key x \
             here and in event 0"
        );
    }
    // One that failed may be tried again.
    let events = events("0-1 fail append x 1\n2-3 ok append x 1\n4-5 ok r x [1]");
    let property = txn::check(&pair(&events).unwrap(), &Limits::default()).unwrap();
    assert_eq!(property.outcome, Outcome::Ok, "{property:#?}");
}

#[test]
fn a_step_of_another_name() {
    assert_eq!(
        refusal("0-1 ok append x 1; w x 2"),
        "event 0: expected a step such as [append 1 2] or [r 3 nil], found [w x 2]"
    );
}

#[test]
fn an_answer_that_is_no_list() {
    assert_eq!(
        refusal("0-1 ok r x 1"),
        "event 1: expected a list or nil as what [r x nil] read, found 1"
    );
}

#[test]
fn no_time_is_no_verdict() {
    let property = within(&Limits { timeout: Duration::ZERO, ..Limits::default() });
    assert_eq!(property.outcome, Outcome::Unknown);
    assert_eq!(property.detail, "the time budget was used up");
    assert!(property.violations.is_empty());
}

#[test]
fn no_memory_is_no_verdict() {
    let property = within(&Limits { memory: 0, ..Limits::default() });
    assert_eq!(property.outcome, Outcome::Unknown);
    assert!(
        property.detail.starts_with("the memory budget of 0 MiB is less than the "),
        "{}",
        property.detail
    );
}

#[test]
fn nothing_is_no_verdict() {
    let property = txn::check(&[], &Limits::default()).unwrap();
    assert_eq!(
        (property.outcome, &*property.detail),
        (Outcome::Unknown, "the history has no transaction")
    );
}
