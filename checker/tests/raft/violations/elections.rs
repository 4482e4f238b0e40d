//! `election-safety`, `election-quorum`, `election-restriction`, `one-vote-per-term`,
//! `term-monotonic`

use super::breaks;
use crate::script::{finds, violates};

#[test]
fn two_leaders_in_a_term() {
    // Two leaders always break the rule that should have prevented them as well: here a quorum of
    // half the voters.
    finds(
        &[
            ("election-safety", "term 1 has two leaders: n1 and n3"),
            (
                "election-quorum",
                "n1 became leader of term 1 with durable votes of n1 and n2 only, 2 of 4 voters",
            ),
            (
                "election-quorum",
                "n3 became leader of term 1 with durable votes of n3 and n4 only, 2 of 4 voters",
            ),
        ],
        "voters 4
         elect n1 1 n2
         elect n3 1 n4",
    );
}

#[test]
fn a_leader_of_a_term_again() {
    breaks("election-safety", "n1 became leader of term 1 a second time", "n1 leader");
}

#[test]
fn following_another_than_the_leader() {
    breaks(
        "election-safety",
        "n3 takes n2 as leader of term 1, whose leader is n1",
        "n3 follow n2",
    );
    breaks(
        "election-safety",
        "n3 acknowledged entries to n2 as leader of term 1, whose leader is n1",
        "n3 ack n2",
    );
    breaks(
        "election-safety",
        "n3 takes n2 as leader of term 2, but n2 was not elected",
        "n3 term 2
         n3 follow n2",
    );
}

#[test]
fn elected_by_a_minority() {
    breaks(
        "election-quorum",
        "n2 became leader of term 2 with durable votes of n2 only, 1 of 3 voters",
        "elect n2 2",
    );
}

#[test]
fn elected_by_a_vote_of_another_term() {
    breaks(
        "election-quorum",
        "n2 became leader of term 3 with durable votes of n2 only, 1 of 3 voters",
        "n2 term 2
         n2 vote n2
         n2 candidate
         n2 durable
         n3 term 2
         n3 vote n2
         n3 durable
         n3 grant n2
         elect n2 3",
    );
}

#[test]
fn elected_by_one_voter_twice() {
    violates(
        "election-quorum",
        "n1 became leader of term 1 with durable votes of n1 and n2 only, 2 of 5 voters",
        "voters 5
         n1 term 1
         n1 vote n1
         n1 candidate
         n1 durable
         n2 term 1
         n2 vote n1
         n2 durable
         n2 grant n1
         n2 grant n1
         n1 leader",
    );
}

#[test]
fn elected_by_an_own_vote_that_is_not_durable() {
    breaks(
        "election-quorum",
        "n2 became leader of term 2 with durable votes of n3 only, 1 of 3 voters",
        "n2 term 2
         n2 vote n2
         n2 candidate
         n3 term 2
         n3 vote n2
         n3 durable
         n3 grant n2
         n2 leader",
    );
}

#[test]
fn a_vote_for_a_shorter_log() {
    violates(
        "election-restriction",
        "n2 voted for n3 in term 2, whose log ends at the empty log, though its own ends at \
         index 1 (term 1)",
        "voters 3
         elect n1 1 n2
         n1 append 1
         n1 durable
         send n1 n2
         elect n3 2 n2",
    );
}

#[test]
fn a_vote_for_an_older_log() {
    violates(
        "election-restriction",
        "n3 voted for n1 in term 3, whose log ends at index 2 (term 1), though its own ends at \
         index 1 (term 2)",
        "voters 3
         elect n1 1 n2
         n1 append 1 1
         n1 durable
         elect n2 2 n3
         n2 append 2
         n2 durable
         send n2 n3
         elect n1 3 n3",
    );
}

#[test]
fn a_vote_for_nobody_who_asked() {
    breaks(
        "election-restriction",
        "n3 voted for n2 in term 2, but n2 was no candidate",
        "n3 term 2
         n3 vote n2",
    );
}

#[test]
fn a_vote_changes_within_a_term() {
    violates(
        "one-vote-per-term",
        "n3 votes for n2 in term 1, after it voted for n1",
        "voters 3
         n1 term 1
         n1 vote n1
         n1 candidate
         n2 term 1
         n2 vote n2
         n2 candidate
         n3 term 1
         n3 vote n1
         n3 vote n2",
    );
}

#[test]
fn a_vote_changes_over_a_restart() {
    // The disk kept the vote, but the node forgot that it had it.
    violates(
        "one-vote-per-term",
        "n3 votes for n2 in term 1, after it voted for n1",
        "voters 3
         n1 term 1
         n1 vote n1
         n1 candidate
         n2 term 1
         n2 vote n2
         n2 candidate
         n3 term 1
         n3 vote n1
         n3 durable
         n3 grant n1
         n3 restart
         n3 vote n2",
    );
}

#[test]
fn a_term_goes_back() {
    breaks("term-monotonic", "n3 went from term 1 to term 0", "n3 term 0");
    breaks(
        "term-monotonic",
        "n3 took a role in term 0, while its term was 1",
        "n3 follower term=0",
    );
    breaks(
        "term-monotonic",
        "the durable term of n3 went from 1 to 0",
        "n3 durable term=0 vote=none",
    );
}

#[test]
fn a_term_from_the_future() {
    breaks(
        "term-monotonic",
        "n3 made its term durable in term 4, while its term was 1",
        "n3 durable term=4 vote=none",
    );
    breaks("term-monotonic", "n3 committed in term 2, while its term was 1", "n3 commit 2 term=2");
}
