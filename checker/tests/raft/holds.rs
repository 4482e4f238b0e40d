//! Correct traces, the hard ones of the paper among them: no rule may complain.

use crate::script::{holds, properties, traces};

#[test]
fn an_election_and_a_commit() {
    holds(
        "voters 3
         elect n1 1 n2
         n1 append 1
         n1 durable
         send n1 n2
         send n1 n3
         n1 commit 1 n1=1 n2=1 n3=0
         n1 apply 1
         n1 answer 1
         n1 read 1 n1 n3
         n2 commit 1
         n2 apply 1
         n1 stop
         n2 stop
         n3 stop",
    );
}

#[test]
fn a_cluster_of_one() {
    holds(
        "voters 1
         elect n1 1
         n1 append 1 1
         n1 durable
         n1 commit 2 n1=2
         n1 apply 2
         n1 read 2 n1
         n1 restart
         elect n1 2
         n1 append 2
         n1 durable
         n1 commit 3 n1=3
         n1 apply 1
         n1 apply 3",
    );
}

#[test]
fn candidates_compete_and_a_vote_is_split() {
    holds(
        "voters 4
         n1 term 1
         n1 vote n1
         n1 candidate
         n1 durable
         n2 term 1
         n2 vote n2
         n2 candidate
         n2 durable
         n3 term 1
         n3 vote n1
         n3 durable
         n3 grant n1
         n4 term 1
         n4 vote n2
         n4 durable
         n4 grant n2
         elect n2 2 n3 n4",
    );
}

#[test]
fn a_new_leader_overwrites_conflicting_tails() {
    // Figure 7: followers with missing, extra and conflicting entries.
    holds(
        "voters 3
         elect n1 1 n2
         n1 append 1 1
         n1 durable
         send n1 n2
         n1 commit 2 n1=2 n2=2
         n1 append 1 1 1      # never leaves n1
         n1 durable
         elect n2 2 n3
         n2 append 2 2
         n2 durable
         send n2 n3
         send n2 n1
         n2 commit 4 n1=4 n2=4 n3=4
         n1 commit 4
         n1 apply 4
         n2 apply 3
         n2 apply 4",
    );
}

#[test]
fn an_entry_of_an_old_term_is_committed_with_one_of_the_leaders_own() {
    // Figure 8, (a) to (e): n1's entry of term 2 is stored on a majority, yet not committed,
    // until an entry of term 4 follows it.
    holds(
        "voters 5
         elect n1 2 n2 n3
         n1 append 2
         n1 durable
         send n1 n2
         elect n5 3 n3 n4
         n5 append 3
         n5 durable
         elect n1 4 n2 n3
         n1 append 4
         n1 durable
         send n1 n2
         send n1 n3
         n1 commit 2 n1=2 n2=2 n3=2 n4=0 n5=0
         send n1 n5
         n5 commit 2",
    );
}

#[test]
fn an_uncommitted_majority_is_overwritten() {
    // Figure 8, (d): what n1 stored on a majority in term 2 is lost, legally.
    holds(
        "voters 5
         elect n1 2 n2 n3
         n1 append 2
         n1 durable
         send n1 n2
         elect n5 3 n3 n4
         n5 append 3
         n5 durable
         elect n1 4 n2 n3
         send n1 n3
         elect n5 5 n2 n3 n4
         n5 append 5
         n5 durable
         send n5 n2
         send n5 n3
         n5 commit 2 n2=2 n3=2 n5=2
         send n5 n1",
    );
}

#[test]
fn a_commit_is_learnt_after_the_next_election() {
    // n2 acknowledged, then voted for n3: n1 learns last, and n3 has the entry.
    holds(
        "voters 3
         elect n1 1 n2 n3
         n1 append 1
         n1 durable
         send n1 n2
         send n1 n3
         elect n3 2 n2
         n1 commit 1 n1=1 n2=1 n3=1
         n1 append 1
         n1 durable
         n1 apply 1
         n1 answer 1
         n3 append 2
         n3 durable
         send n3 n2
         n3 commit 2 n2=2 n3=2
         send n3 n1",
    );
}

#[test]
fn a_stale_leader_is_elected_after_a_later_term_committed() {
    // n1's votes of term 1 arrive when term 2 is already under way without it.
    holds(
        "voters 3
         n1 term 1
         n1 vote n1
         n1 candidate
         n1 durable
         n2 term 1
         n2 vote n1
         n2 durable
         n2 grant n1
         elect n3 2 n2
         n3 append 2
         n3 durable
         send n3 n2
         n3 commit 1 n2=1 n3=1
         n1 leader
         n1 append 1
         n1 durable
         send n3 n1
         n1 commit 1",
    );
}

#[test]
fn an_unsynced_tail_is_lost_or_kept_by_a_crash() {
    for tail in ["1", "1,1", "1,1,1"] {
        holds(&format!(
            "voters 3
             elect n1 1 n2
             n1 append 1
             n1 durable
             n1 append 1 1
             n1 restart log={tail}
             elect n1 2 n3
             n1 append 2
             n1 durable
             send n1 n3"
        ));
    }
}

#[test]
fn a_node_may_speak_of_what_its_disk_held_when_it_started() {
    let script = "
        voters 3
        elect n1 1 n2
        n1 append 1 1
        n1 durable
        n2 follow n1
        n2 append 1 1
        n2 restart log=1,1
        n2 follow n1";
    holds(&format!("{script}\n n2 ack n1 2\n n1 commit 2 n1=2 n2=2"));
}

#[test]
fn a_removed_tail_comes_back_while_its_replacement_is_not_durable() {
    let script = |rest: &str| {
        format!(
            "voters 3
             elect n1 1 n2
             n1 append 1 1
             n1 durable
             elect n2 2 n3
             n2 append 2 2
             n2 durable
             n1 term 2
             n1 follow n2
             n1 durable
             n1 cut 0
             {rest}"
        )
    };
    let append = "n1 append 2 2\n";
    holds(&script("n1 restart log=1,1"));
    holds(&script("n1 restart log=1"));
    holds(&script("n1 durable\n n1 restart log="));
    holds(&script(&format!("{append} n1 restart log=1,1\n send n2 n1")));
    holds(&script(&format!("{append} n1 restart log=2")));
    holds(&script(&format!("{append} n1 durable 1\n n1 restart log=2")));
}

#[test]
fn a_vote_that_never_left_the_node_may_change_after_a_crash() {
    holds(
        "voters 3
         n2 term 1
         n2 vote n2
         n2 candidate
         n2 restart
         n1 term 1
         n1 vote n1
         n1 candidate
         n1 durable
         n2 term 1
         n2 vote n1
         n2 durable
         n2 grant n1
         n1 leader",
    );
}

#[test]
fn a_term_and_a_vote_that_were_not_synced_are_lost_or_kept_by_a_crash() {
    for kept in ["term=1 vote=n1", "term=2 vote=none", "term=2 vote=n2", "term=3 vote=none"] {
        holds(&format!(
            "voters 3
             elect n1 1 n2
             n2 term 2
             n2 vote n2
             n2 candidate
             n3 term 1
             n3 term 2
             n3 vote n3
             n3 candidate
             n3 term 3
             n3 vote n3
             n3 candidate
             n2 term 3
             n2 follower
             n2 restart {kept}
             n2 restart {kept}"
        ));
    }
}

#[test]
fn a_late_acknowledgement_of_a_term_in_which_the_node_followed() {
    holds(
        "voters 3
         elect n1 1 n2
         n1 append 1
         n1 durable
         send n1 n2
         n3 term 1
         n3 follow n1
         n3 append 1
         n3 durable
         n2 term 2
         n2 vote n2
         n2 candidate
         n3 term 2
         n3 follower
         n3 ack n1 1 term=1
         n1 commit 1 n1=1 n3=1",
    );
}

#[test]
fn a_truncated_suffix_is_rewritten_at_equal_indices_time_and_again() {
    holds(
        "voters 3
         elect n1 1 n3
         n1 append 1 1
         n1 durable
         elect n2 2 n3
         n2 append 2
         n2 durable
         send n2 n1
         elect n1 4 n3
         n1 append 4 4
         n1 durable
         send n1 n2
         send n1 n3
         n1 commit 3 n1=3 n2=3 n3=3
         n2 commit 3
         n2 restart
         send n1 n2
         n2 commit 3
         n2 apply 3
         n1 apply 3",
    );
}

#[test]
fn the_verdict_says_what_was_examined() {
    let traces = traces(
        "voters 3
         elect n1 1 n2
         n1 append 1 1
         n1 durable
         send n1 n2
         n1 commit 2 n1=2 n2=2
         n1 apply 2
         n2 restart",
    );
    let details: Vec<_> =
        properties(&traces).into_iter().map(|p| format!("{}: {}", p.name, p.detail)).collect();
    assert_eq!(
        details,
        [
            "trace-integrity: 21 lines in 3 traces",
            "election-safety: 1 leader in 1 term",
            "election-quorum: 1 election by 2 votes",
            "election-restriction: 1 vote for others",
            "one-vote-per-term: 2 votes",
            "term-monotonic: 2 changes of term",
            "leader-append-only: 2 entries by leaders",
            "log-matching: 4 entries",
            "acknowledged-kept: 0 removals",
            "leader-completeness: 1 election against 0 commits",
            "commit-quorum: 2 entries in 1 commit",
            "commit-monotonic: 1 commit",
            "state-machine-safety: 2 entries applied, 1 state compared",
            "durable-before-acknowledged: 2 replies",
            "survives-restart: 1 restart",
            "read-quorum: 0 confirmations",
            "legal-transitions: 17 steps",
        ]
    );
}
