//! `leader-completeness`, `commit-quorum`, `commit-monotonic`, `state-machine-safety`

use super::breaks;
use crate::script::{finds, violates};

#[test]
fn a_leader_without_a_committed_entry() {
    finds(
        &[
            (
                "election-restriction",
                "n2 voted for n3 in term 2, whose log ends at the empty log, though its own ends \
                 at index 1 (term 1)",
            ),
            (
                "leader-completeness",
                "n3 was elected leader of term 2 without index 1 (term 1), which n1 committed in \
                 term 1",
            ),
        ],
        "voters 3
         elect n1 1 n2
         n1 append 1
         n1 durable
         send n1 n2
         n1 commit 1 n1=1 n2=1
         elect n3 2 n2",
    );
}

/// n2 votes for n3 in term 2 and still takes entries from n1, the leader of term 1.
const STALE_LEADER: &str = "
    voters 3
    elect n1 1 n2
    n1 append 1
    n1 durable
    n2 follow n1
    elect n3 2 n2
    n3 append 2
    n2 append 1
    n2 durable
    n2 ack n1 term=1
    n1 commit 1 n1=1 n2=1
";

/// No node that keeps to the specification gets there.
const STALE_APPEND: (&str, &str) =
    ("legal-transitions", "n2 appended index 1 (term 1) in term 2, in which it follows nobody");

#[test]
fn a_commit_that_the_next_leader_lacks_is_learnt_late() {
    let summary =
        "n3 was elected leader of term 2 without index 1 (term 1), which n1 committed in term 1";
    finds(&[("leader-completeness", summary), STALE_APPEND], STALE_LEADER);
}

#[test]
fn each_later_leader_without_a_committed_entry_is_named() {
    let again =
        "n3 was elected leader of term 3 without index 1 (term 1), which n1 committed in term 1";
    finds(
        &[
            ("leader-completeness", &again.replace("term 3", "term 2")),
            ("leader-completeness", again),
            STALE_APPEND,
        ],
        &format!("{STALE_LEADER} elect n3 3 n2"),
    );
}

#[test]
fn a_commit_by_a_minority() {
    breaks(
        "commit-quorum",
        "n1 committed index 3 (term 1) in term 1 with matches on n1 only, 1 of 3 voters",
        "n1 append 1
         n1 durable
         n1 commit 3 n1=3 n2=2 n3=2",
    );
    breaks(
        "commit-quorum",
        "n1 committed index 3 (term 1) in term 1 with matches on n1 only, 1 of 3 voters",
        "n1 append 1
         n1 durable
         n1 commit 3 n1=3 n1=3",
    );
}

#[test]
fn a_commit_by_a_match_that_nobody_acknowledged() {
    breaks(
        "commit-quorum",
        "n1 counted n2 up to index 3 for its commit of index 3 (term 1) in term 1, but n2 \
         acknowledged up to index 2 only",
        "n1 append 1
         n1 durable
         n1 commit 3 n1=3 n2=3 n3=2",
    );
}

#[test]
fn a_commit_by_an_acknowledgement_of_another_term() {
    breaks(
        "commit-quorum",
        "n1 counted n2 up to index 3 for its commit of index 3 (term 2) in term 2, but n2 \
         acknowledged nothing",
        "elect n1 2 n3
         n1 append 2
         n1 durable
         n1 commit 3 n1=3 n2=3",
    );
}

#[test]
fn an_entry_of_an_old_term_is_committed_by_counting() {
    // Figure 8, (c): committed at once, instead of with an entry of term 4.
    violates(
        "commit-quorum",
        "n1, leader of term 4, committed index 1 (term 2) by counting: it is not of its own term",
        "voters 5
         elect n1 2 n2 n3
         n1 append 2
         n1 durable
         send n1 n2
         elect n5 3 n3 n4
         n5 append 3
         n5 durable
         elect n1 4 n2 n3
         send n1 n2
         send n1 n3
         n1 commit 1 n1=1 n2=1 n3=1",
    );
}

#[test]
fn a_commit_by_a_node_that_does_not_lead() {
    breaks(
        "commit-quorum",
        "n1 committed index 3 (term 1) as leader of term 1, which it was not",
        "n1 append 1
         n1 durable
         send n1 n2
         n1 follower
         n1 commit 3 n1=3 n2=3",
    );
}

#[test]
fn a_follower_commits_ahead_of_every_leader() {
    breaks(
        "commit-quorum",
        "n2 committed index 3 (term 1), which no leader had committed",
        "n1 append 1
         n1 durable
         send n1 n2
         n2 commit 3",
    );
}

#[test]
fn a_follower_commits_a_stale_entry_of_its_own() {
    violates(
        "commit-quorum",
        "n1 committed index 1 (term 1), but leaders committed another entry there",
        "voters 3
         elect n1 1 n2
         n1 append 1
         n1 durable
         elect n2 2 n3
         n2 append 2
         n2 durable
         send n2 n3
         n2 commit 1 n2=1 n3=1
         n1 term 2
         n1 follow n2
         n1 commit 1",
    );
}

#[test]
fn a_commit_index_goes_back() {
    breaks(
        "commit-monotonic",
        "the commit index of n3 went from 2 to 1",
        "n3 commit 2
         n3 commit 1",
    );
}

#[test]
fn a_commit_beyond_the_log() {
    breaks(
        "commit-monotonic",
        "n3 committed index 3 (term 1), which its log does not hold: it ends at index 2 (term 1)",
        "n1 append 1
         n1 durable
         send n1 n2
         n1 commit 3 n1=3 n2=3
         n3 commit log=1,1,1 3",
    );
}

#[test]
fn committed_entries_are_removed() {
    breaks(
        "commit-monotonic",
        "n3 removed its log behind index 1, though it had committed up to index 2",
        "n3 commit 2
         elect n2 2 n1
         n3 term 2
         n3 follow n2
         n2 term 3
         n3 cut 1",
    );
}

#[test]
fn another_entry_is_applied() {
    breaks(
        "state-machine-safety",
        "n3 applied index 2 (term 1), which is not in its log",
        "n3 commit 2
         n3 apply log=1,1x 2",
    );
}

#[test]
fn equal_entries_make_another_state() {
    breaks(
        "state-machine-safety",
        "after index 2 (term 1) the state of n3 is 0000000000000009, that of n1 was \
         0000000000000007",
        "n1 apply 2 state=7
         n3 commit 2
         n3 apply 1
         n3 apply 2 state=9",
    );
}

#[test]
fn a_state_differs_after_a_restart() {
    breaks(
        "state-machine-safety",
        "after index 2 (term 1) the state of n3 is 0000000000000009, that of n3 was \
         0000000000000007",
        "n3 commit 2
         n3 apply 2 state=7
         n3 restart
         n3 follow n1
         n3 commit 2
         n3 apply 2 state=9",
    );
}

#[test]
fn an_entry_is_applied_twice_or_too_early() {
    breaks(
        "state-machine-safety",
        "n1 applied index 2 (term 1) after it had applied index 2",
        "n1 apply 2
         n1 apply 2",
    );
    breaks(
        "state-machine-safety",
        "n3 applied index 2 (term 1), but had committed up to index 1",
        "n3 commit 1
         n3 apply 2",
    );
}
