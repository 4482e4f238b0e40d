//! `legal-transitions`: steps that the specification does not allow from where the node was.

use super::breaks;
use crate::script::violates;

const RULE: &str = "legal-transitions";

#[test]
fn a_candidate_in_a_term_that_it_was_in() {
    // From leader, from follower after a restart, and once more.
    breaks(RULE, "n1 stands in term 1, in which it was before: it takes a new one", "n1 candidate");
    let stand = "n2 term 2
                 n2 vote n2
                 n2 candidate
                 n2 durable";
    let again = "n2 stands in term 2, in which it was before: it takes a new one";
    breaks(RULE, again, &format!("{stand}\n n2 restart\n n2 candidate"));
    breaks(RULE, again, &format!("{stand}\n n2 candidate"));
}

#[test]
fn a_candidate_that_skips_terms() {
    breaks(
        RULE,
        "n2 went from term 1 to term 3 to stand: it takes the next one",
        "n2 term 3
         n2 vote n2
         n2 candidate",
    );
}

#[test]
fn a_candidate_without_its_own_vote() {
    breaks(
        RULE,
        "n2 stands in term 2 without its own vote",
        "n2 term 2
         n2 candidate",
    );
    breaks(
        RULE,
        "n3 stands in term 2, in which it voted for n2",
        "elect n2 2 n3
         n3 candidate",
    );
}

#[test]
fn a_candidate_that_knows_the_leader() {
    breaks(
        RULE,
        "n2 stands in term 2, though it knows its leader, n3",
        "elect n3 2 n1
         n2 term 2
         n2 vote n2
         n2 candidate leader=n3",
    );
}

#[test]
fn a_vote_for_itself_without_standing() {
    breaks(
        RULE,
        "n3 voted for itself in term 1, which it had not entered to stand in it",
        "n3 vote n3",
    );
    // Told once, though it stands then.
    breaks(
        RULE,
        "n3 voted for itself in term 1, which it had not entered to stand in it",
        "n3 vote n3
         n3 candidate",
    );
    breaks(
        RULE,
        "n3 voted for itself in term 2, but does not stand",
        "n3 term 2
         n3 vote n3
         n3 follower",
    );
}

#[test]
fn a_leader_that_did_not_stand() {
    breaks(
        RULE,
        "n2 became leader of term 2 as a follower: it did not stand",
        "n2 term 2
         n2 vote n2
         n2 candidate
         n2 durable
         n3 term 2
         n3 vote n2
         n3 durable
         n3 grant n2
         n2 restart
         n2 leader",
    );
}

#[test]
fn a_leader_that_names_another() {
    let elect = |names: &str| {
        format!(
            "n2 term 2
             n2 vote n2
             n2 candidate
             n2 durable
             n3 term 2
             n3 vote n2
             n3 durable
             n3 grant n2
             n2 leader leader={names}"
        )
    };
    let summary = "n2 became leader of term 2, but names nobody as its leader";
    breaks(RULE, summary, &elect("none"));
    breaks(RULE, &summary.replace("nobody", "n3"), &elect("n3"));
}

#[test]
fn a_node_that_follows_itself() {
    breaks(RULE, "n1 follows itself in term 1", "n1 follow n1");
}

#[test]
fn a_candidate_that_gives_up() {
    breaks(
        RULE,
        "n2 gave up its candidacy in term 2, though it heard of no leader",
        "n2 term 2
         n2 vote n2
         n2 candidate
         n2 follower",
    );
}

#[test]
fn a_term_that_nobody_began() {
    breaks(
        RULE,
        "n3 entered term 2, in which nobody stands",
        "n3 term 2
         n3 follower",
    );
}

#[test]
fn entries_from_nobody() {
    breaks(
        RULE,
        "n3 appended index 3 (term 1) in term 2, in which it follows nobody",
        "n1 append 1
         n3 term 2
         n3 append 1",
    );
    breaks(
        RULE,
        "n3 appended index 3 (term 1) in term 2, in which it stands",
        "n1 append 1
         n3 term 2
         n3 vote n3
         n3 candidate
         n3 append 1",
    );
}

#[test]
fn entries_over_others() {
    breaks(
        RULE,
        "n3 appended behind index 2 (term 1), though its log ends at index 3 (term 1): it removes \
         first what conflicts",
        "n1 append 1
         n3 append 1
         n3 append log=1,1 1",
    );
}

#[test]
fn entries_of_a_later_term() {
    breaks(
        RULE,
        "n3 appended index 3 (term 2) in term 1",
        "elect n2 2 n1
         n2 append 2
         n3 append 2",
    );
}

#[test]
fn entries_that_the_leader_does_not_have() {
    breaks(
        RULE,
        "n3 appended index 3 (term 1), which its leader n2 does not have",
        "n1 append 1
         elect n2 2 n3
         n2 append 2
         n3 follow n2
         n3 append 1",
    );
}

#[test]
fn a_removal_that_nobody_asked_for() {
    breaks(
        RULE,
        "n3 removed index 2 (term 1) in term 2, in which it follows nobody",
        "n3 term 2
         n3 cut 1",
    );
}

#[test]
fn a_removal_of_what_does_not_conflict() {
    breaks(
        RULE,
        "n3 removed index 3 (term 1), though its leader n1 has it too",
        "n1 append 1
         n3 append 1
         n3 cut 2",
    );
    breaks(
        RULE,
        "n1 removed index 3 (term 1), though its leader n2 has nothing instead: its log ends at \
         index 2 (term 1)",
        "n1 append 1
         elect n2 2 n3
         n1 term 2
         n1 follow n2
         n1 cut 2",
    );
}

#[test]
fn an_acknowledgement_to_a_leader_that_is_not_followed() {
    breaks(
        RULE,
        "n3 acknowledged index 2 (term 1) in term 1, in which it follows nobody",
        "n3 restart
         n3 ack n1",
    );
    breaks(RULE, "n1 acknowledged index 2 (term 1) in term 1, in which it leads", "n1 ack n1");
}

#[test]
fn an_acknowledgement_of_what_the_leader_does_not_have() {
    breaks(
        RULE,
        "n1 acknowledged index 3 (term 1) to n2, which does not have it",
        "n1 append 1
         elect n2 2 n3
         n1 term 2
         n1 follow n2
         n1 durable
         n1 ack n2",
    );
}

#[test]
fn a_commit_by_nobodys_word() {
    breaks(
        RULE,
        "n2 committed index 2 (term 1) in term 2, in which it stands",
        "n2 term 2
         n2 vote n2
         n2 candidate
         n2 commit 2",
    );
    breaks(
        RULE,
        "n2 committed index 2 (term 1) in term 1, in which it follows nobody",
        "n2 restart
         n2 commit 2",
    );
    breaks(
        RULE,
        "n2, leader of term 2, committed index 2 (term 1) without counting who holds it",
        "elect n2 2 n3
         n2 commit 2",
    );
}

#[test]
fn a_start_with_entries_of_a_later_term() {
    breaks(
        RULE,
        "n3 started in term 1 with a log that ends at index 3 (term 2)",
        "elect n2 2 n1
         n2 append 2
         n3 term 2
         n3 follow n2
         n3 append 2
         n3 restart term=1 log=1,1,2",
    );
}

#[test]
fn a_disk_that_holds_what_never_was() {
    breaks(
        RULE,
        "n3 says that its vote for n2 in term 1 is durable, but it gave none",
        "n3 durable vote=n2",
    );
    breaks(
        RULE,
        "n2 says that no vote in term 1 is durable, but its vote for n1 was",
        "n2 durable vote=none",
    );
    breaks(
        RULE,
        "n3 says that term 2 is durable, in which it never was",
        "n3 term 3
         n3 durable term=2 vote=none",
    );
}

#[test]
fn nothing_is_appended_where_something_is_removed() {
    violates(
        RULE,
        "n3 appended nothing behind index 1 (term 1), though its log ends at index 2 (term 1): it \
         removes first what conflicts",
        "voters 3
         elect n1 1 n2
         n1 append 1 1
         n1 durable
         send n1 n2
         send n1 n3
         elect n2 2 n3
         n3 follow n2
         n3 append log=1",
    );
}

#[test]
fn an_acknowledgement_in_a_term_that_was_skipped() {
    violates(
        RULE,
        "n3 acknowledged index 1 (term 1) in term 1, in which it followed nobody",
        "voters 3
         elect n1 1 n2
         n1 append 1
         n1 durable
         send n1 n2
         elect n2 2 n3
         send n2 n3
         n3 ack n1 1 term=1
         n1 commit 1 n1=1 n3=1",
    );
}
