//! Wrong traces, each of which breaks exactly one rule.

use crate::script::{finds, holds, violates};

/// Two entries on all three nodes, committed by n1 in term 1.
const SETTLED: &str = "
    voters 3
    elect n1 1 n2
    n1 append 1 1
    n1 durable
    send n1 n2
    send n1 n3
    n1 commit 2 n1=2 n2=2 n3=2
";

#[track_caller]
fn breaks(rule: &str, summary: &str, script: &str) {
    holds(SETTLED);
    violates(rule, summary, &format!("{SETTLED}\n{script}"));
}

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
    breaks(
        "election-safety",
        "n1 became leader of term 1 a second time",
        "n1 follower
         n1 leader",
    );
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
         n1 append log=1 2",
    );
}

#[test]
fn an_entry_that_its_leader_never_had() {
    breaks(
        "log-matching",
        "n3 appended index 3 (term 1), which n1, the leader of term 1, never did",
        "n3 append 1",
    );
    breaks(
        "log-matching",
        "n3 appended index 3 (term 2), but no leader of that term was elected",
        "n3 append 2",
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
    elect n3 2 n2
    n3 append 2
    n2 append 1
    n2 durable
    n2 ack n1 term=1
    n1 commit 1 n1=1 n2=1
";

#[test]
fn a_commit_that_the_next_leader_lacks_is_learnt_late() {
    let summary =
        "n3 was elected leader of term 2 without index 1 (term 1), which n1 committed in term 1";
    violates("leader-completeness", summary, STALE_LEADER);
}

#[test]
fn each_later_leader_without_a_committed_entry_is_named() {
    let again =
        "n3 was elected leader of term 3 without index 1 (term 1), which n1 committed in term 1";
    finds(
        &[
            ("leader-completeness", &again.replace("term 3", "term 2")),
            ("leader-completeness", again),
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
         n3 term 2
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

#[test]
fn removing_what_was_acknowledged() {
    breaks(
        "acknowledged-kept",
        "n2 removed its log behind index 1, though it had acknowledged index 2 (term 1) to n1, leader \
         of its present term 1",
        "n2 cut 1",
    );
    // What the leader of a later term has not got may go.
    holds(
        "voters 5
         elect n1 1 n4 n5
         n1 append 1 1
         n1 durable
         send n1 n2
         elect n3 2 n4 n5
         n2 term 2
         n2 follow n3
         n2 cut 0",
    );
}
