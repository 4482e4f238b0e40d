//! `leader-append-only`, `log-matching`, `acknowledged-kept`

use super::{SETTLED, breaks};
use crate::script::{finds, holds, violates};

#[test]
fn a_leader_removes_entries() {
    violates(
        "leader-append-only",
        "n1, leader of term 1, cut its log from index 2 (term 1) back to index 1 (term 1)",
        "voters 3
         elect n1 1 n2
         n1 append 1 1
         n1 cut 1",
    );
}

#[test]
fn a_leader_overwrites_entries() {
    violates(
        "leader-append-only",
        "n1, leader of term 1, overwrote its log behind index 1 (term 1), which ended at \
         index 2 (term 1)",
        "voters 3
         elect n1 1 n2
         n1 append 1 1
         n1 append log=1 1",
    );
}

#[test]
fn a_leader_appends_an_entry_of_another_term() {
    breaks(
        "leader-append-only",
        "n2, leader of term 2, appended an entry of term 1",
        "elect n2 2 n3
         n1 append 1
         n2 append 1",
    );
}

#[test]
fn equal_index_and_term_but_another_payload() {
    breaks(
        "log-matching",
        "the logs of n1 and n3 differ up to index 3 (term 1): prefix hashes 20ce5266c9c29523 and \
         d2d82daa62e3172d",
        "n1 append 1
         n3 append 1x",
    );
}

#[test]
fn equal_index_and_term_but_another_entry_before() {
    violates(
        "log-matching",
        "the logs of n2 and n1 differ up to index 2 (term 2): prefix hashes 2611f6690dc50388 and \
         43ee4d62e1191d8f",
        "voters 3
         elect n1 1 n3
         n1 append 1 1
         n1 durable
         elect n2 2 n3
         n2 append 2 2
         n2 durable
         send n2 n3
         n1 term 2
         n1 follow n2
         n1 cut 1
         n1 append 2",
    );
}

#[test]
fn an_entry_that_its_leader_never_had() {
    breaks(
        "log-matching",
        "n3 appended index 3 (term 1), which n1, the leader of term 1, never did",
        "n3 append 1",
    );
    // Nobody could send it, and nobody but a node of that term could take it.
    finds(
        &[
            (
                "log-matching",
                "n3 appended index 3 (term 2), but no leader of that term was elected",
            ),
            ("legal-transitions", "n3 appended index 3 (term 2) in term 1"),
        ],
        &format!("{SETTLED} n3 append 2"),
    );
}

#[test]
fn an_account_of_a_log_that_does_not_add_up() {
    breaks(
        "log-matching",
        "n3 says that its log ends at index 1 (term 1), but by its own account it ends at index 2 \
         (term 1)",
        "n3 follow n1 1",
    );
    breaks(
        "log-matching",
        "n3 says that its log is durable up to index 2 (term 1, hash 7f750c41599af85b), but by its \
         own account it has index 2 (term 1, hash 2d3dd002e80854bf) there",
        "n3 durable log=1,1x",
    );
    breaks(
        "log-matching",
        "n3 says that it appended behind index 3 (term 1, hash 20ce5266c9c29523), but by its own \
         account it ends at index 2 (term 1, hash 2d3dd002e80854bf)",
        "n1 append 1 1
         n3 append log=1,1,1 1",
    );
}

#[test]
fn removing_what_was_acknowledged() {
    breaks(
        "acknowledged-kept",
        "n2 removed its log behind index 1, though it had acknowledged index 2 (term 1) to n1, leader \
         of its present term 1",
        "n1 term 2
         n2 cut 1",
    );
    // What the leader of a later term has not got may go.
    holds(
        "voters 5
         elect n1 1 n4 n5
         n1 append 1 1
         n1 durable
         send n1 n2
         elect n3 2 n4 n5
         n3 append 2
         n2 term 2
         n2 follow n3
         n2 cut 0",
    );
}
