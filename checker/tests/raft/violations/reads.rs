//! `read-quorum`

use super::breaks;

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
         n2 read 2 n2 n3",
    );
}
