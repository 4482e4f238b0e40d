//! `read-quorum`

use super::{SETTLED, breaks};
use crate::script::holds;

#[test]
fn reads_are_confirmed_by_a_minority() {
    breaks("read-quorum", "n1 confirmed reads in term 1 by n1 only, 1 of 3 voters", "n1 read 2 n1");
    breaks(
        "read-quorum",
        "n1 confirmed reads in term 1 by n2 and n3 only, 2 of 3 voters",
        "n1 read 2 n2 n3",
    );
}

#[test]
fn reads_are_confirmed_by_a_node_that_does_not_lead() {
    breaks(
        "read-quorum",
        "n2 confirmed reads as leader of term 1, which it was not",
        "n2 commit 2
         n2 read 2 n1 n2",
    );
}

#[test]
fn reads_are_confirmed_at_an_index_that_may_be_stale() {
    breaks(
        "read-quorum",
        "n1 confirmed reads at index 3, but had committed up to index 2",
        "n1 append 1
         n1 read 3 n1 n2",
    );
    breaks(
        "read-quorum",
        "n2, leader of term 2, confirmed reads at index 2 of term 1, before an entry of its own \
         term was committed",
        "n2 commit 2
         elect n2 2 n3
         n3 follow n2
         n2 read 2 n2 n3",
    );
}

#[test]
fn reads_are_confirmed_by_a_voter_that_did_not_follow() {
    let read = |n3: &str| {
        format!(
            "elect n2 2 n1
             n2 append 2
             n2 durable
             send n2 n1
             n2 commit 3 n1=3 n2=3
             {n3}
             n2 read 3 n2 n3"
        )
    };
    let summary = "n2 confirmed reads in term 2 by n3, which had not followed it";
    // It may have heard of the term from its candidate.
    for n3 in ["", "n3 term 2\n n3 follower"] {
        breaks("read-quorum", summary, &read(n3));
    }
    holds(&format!("{SETTLED}\n{}", read("n3 term 2\n n3 follow n2\n n3 durable\n n3 restart")));
}
