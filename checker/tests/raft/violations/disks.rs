//! `durable-before-acknowledged`, `survives-restart`

use super::breaks;
use crate::script::violates;

#[test]
fn a_vote_is_granted_before_it_is_durable() {
    breaks(
        "durable-before-acknowledged",
        "n3 granted its vote of term 2 to n2 before the vote was durable",
        "n2 term 2
         n2 vote n2
         n2 candidate
         n3 term 2
         n3 vote n2
         n3 durable vote=none
         n3 grant n2",
    );
}

#[test]
fn entries_are_acknowledged_before_they_are_durable() {
    breaks(
        "durable-before-acknowledged",
        "n2 acknowledged index 3 (term 1) to n1, but its log was durable up to index 2 only",
        "n1 append 1
         n2 append 1
         n2 ack n1",
    );
}

#[test]
fn entries_are_acknowledged_before_the_term_is_durable() {
    breaks(
        "durable-before-acknowledged",
        "n3 acknowledged index 2 (term 1) to n2 in term 2, but its durable term was 1",
        "elect n2 2 n1
         n3 term 2
         n3 follow n2
         n3 ack n2",
    );
}

#[test]
fn removed_entries_are_acknowledged() {
    breaks(
        "durable-before-acknowledged",
        "n3 acknowledged index 3 (term 1) to n1, which its log does not hold",
        "n1 append 1
         n3 ack n1 log=1,1,1",
    );
}

#[test]
fn entries_that_replaced_durable_ones_are_not_durable() {
    violates(
        "durable-before-acknowledged",
        "n1 acknowledged index 2 (term 2) to n2, but its log was durable up to index 0 only",
        "voters 3
         elect n1 1 n2
         n1 append 1 1
         n1 durable
         elect n2 2 n3
         n2 append 2 2
         n2 durable
         n1 term 2
         n1 durable
         n1 follow n2
         n1 cut 0
         n1 append 2 2
         n1 ack n2",
    );
}

#[test]
fn a_leader_counts_itself_before_its_disk() {
    breaks(
        "durable-before-acknowledged",
        "n1 counted itself up to index 3 for a commit, but its log was durable up to index 2 only",
        "n1 append 1
         send n1 n2
         send n1 n3
         n1 commit 3 n1=3 n2=3 n3=3",
    );
}

#[test]
fn a_client_is_answered_too_early() {
    breaks(
        "durable-before-acknowledged",
        "n1 answered the write at index 2, but had applied up to index 1 only",
        "n1 apply 1
         n1 answer 2",
    );
    breaks(
        "durable-before-acknowledged",
        "n3 answered the write at index 2, but had committed up to index 1 only",
        "n3 commit 1
         n3 answer 2",
    );
}

#[test]
fn a_write_is_answered_twice() {
    let script = "n1 apply 2
                  n1 answer 2
                  n3 commit 2
                  n3 apply 2";
    let rule = "durable-before-acknowledged";
    breaks(
        rule,
        "n3 answered the write at index 2, which n1 had answered before",
        &format!("{script}\n n3 answer 2"),
    );
    breaks(
        rule,
        "n1 answered the write at index 2, which n1 had answered before",
        &format!("{script}\n n1 answer 1\n n1 answer 2"),
    );
    breaks(rule, "n1 answered a write at index 0, where no entry is", "n1 answer 0");
}

#[test]
fn a_restart_loses_what_was_durable() {
    breaks(
        "survives-restart",
        "n3 restarted in term 0, though term 1 was durable",
        "n3 restart term=0",
    );
    breaks(
        "survives-restart",
        "n2 restarted with no vote in term 1, though its vote for n1 was durable",
        "n2 restart vote=none",
    );
    breaks(
        "survives-restart",
        "n2 restarted with a vote for n3 in term 1, though its vote for n1 was durable",
        "n2 restart vote=n3",
    );
    breaks(
        "survives-restart",
        "n3 restarted with a log that ends at index 1 (term 1), though it was durable up to \
         index 2 (term 1)",
        "n3 restart log=1",
    );
}

#[test]
fn a_second_restart_loses_what_was_acknowledged_after_the_first() {
    breaks(
        "survives-restart",
        "n2 restarted with a log that ends at index 2 (term 1), though it was durable up to \
         index 3 (term 1)",
        "n1 append 1
         n2 append 1
         n2 restart log=1,1,1
         n2 follow n1
         n2 ack n1
         n2 restart log=1,1",
    );
}

#[test]
fn a_restart_recovers_what_never_was() {
    breaks(
        "survives-restart",
        "n3 restarted in term 7, though it never got beyond 1",
        "n3 restart term=7",
    );
    breaks(
        "survives-restart",
        "n3 restarted with a log that ends at index 3 (term 1), which is none that it had",
        "n3 restart log=1,1,1",
    );
}

#[test]
fn a_restart_recovers_a_vote_that_was_never_given() {
    // n2 made its vote of term 1 durable, then entered term 2 and voted for nobody.
    let script = "
        voters 3
        elect n1 1 n2
        n1 append 1
        n1 durable
        send n1 n2
        n3 term 1
        n3 follower
        n3 term 2
        n3 vote n3
        n3 candidate
        n3 durable
        n2 term 2
        n2 follower
        n2 durable
        n2 restart vote=n3
        n2 grant n3
        n3 leader";
    let summary = "n2 restarted with a vote for n3 in term 2, which it never gave";
    violates("survives-restart", summary, script);
}

#[test]
fn a_restart_recovers_a_term_that_was_never_entered() {
    breaks(
        "survives-restart",
        "n3 restarted in term 2, in which it never was",
        "n1 term 2
         n1 vote n1
         n1 candidate
         n1 term 3
         n1 vote n1
         n1 candidate
         n3 term 3
         n3 follower
         n3 restart term=2",
    );
}

#[test]
fn a_second_restart_loses_what_the_first_recovered() {
    // What a boot finds on its disk it makes durable before it says so.
    violates(
        "survives-restart",
        "n1 restarted with a log that ends at the empty log, though it was durable up to index 1 \
         (term 1)",
        "voters 3
         elect n1 1 n2
         n1 append 1
         n1 restart log=1
         n1 restart log=",
    );
    let stand = "voters 3
                 n1 term 1
                 n1 vote n1
                 n1 candidate
                 n1 restart term=1 vote=n1";
    violates(
        "survives-restart",
        "n1 restarted in term 0, though term 1 was durable",
        &format!("{stand}\n n1 restart"),
    );
    violates(
        "survives-restart",
        "n1 restarted with no vote in term 1, though its vote for n1 was durable",
        &format!("{stand}\n n1 restart term=1 vote=none"),
    );
}

#[test]
fn a_removed_tail_comes_back_after_a_restart_without_it() {
    violates(
        "survives-restart",
        "n1 restarted with a log that ends at index 2 (term 1), which is none that it had",
        "voters 3
         elect n1 1 n2
         n1 append 1 1
         n1 durable
         elect n2 2 n3
         n2 append 2
         n2 durable
         n1 term 2
         n1 follow n2
         n1 durable
         n1 cut 0
         n1 append 2
         n1 restart log=2
         n1 restart log=1,1",
    );
}

#[test]
fn a_durably_replaced_tail_comes_back() {
    violates(
        "survives-restart",
        "n1 restarted with a log that ends at index 2 (term 1), which is none that it had",
        "voters 3
         elect n1 1 n2
         n1 append 1 1
         n1 durable
         elect n2 2 n3
         n2 append 2
         n2 durable
         send n2 n1
         n1 restart log=1,1",
    );
}
