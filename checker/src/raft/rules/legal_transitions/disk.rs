//! What a disk may hold: states that the node was in.

use proto::trace::Position;

use crate::raft::{
    rules::entry,
    step::{Report, Step},
};

/// A log holds no entry of a later term than the node's (paper, section 5.1).
pub(super) fn started(step: &Step<'_>, term: u64, last: Position, report: &mut Report<'_>) {
    // A term that was durable is lost: `survives-restart` says so.
    if last.term > term && term >= step.node.durable.term {
        let me = step.id();
        report.violation(
            format!("n{me} started in term {term} with a log that ends at {}", entry(last)),
            &[],
            &[step.node.role_line],
        );
    }
}

/// Term and vote become durable as they were in memory, in that order (paper, figure 2).
pub(super) fn durable(step: &Step<'_>, term: u64, vote: Option<u64>, report: &mut Report<'_>) {
    let (me, node) = (step.id(), step.node);
    if node.memory.contains(&(term, vote)) {
        return;
    }
    // `term-monotonic` judges the term, `one-vote-per-term` a vote for another.
    let known = node.ballots.get(&term).copied();
    let known = known.or(node.vote.filter(|_| node.term == term));
    let another = known.is_some_and(|(known, _)| vote.is_some_and(|vote| vote != known));
    if term < node.durable.term || term > node.term || another {
        return;
    }
    let lines: Vec<_> = known.iter().map(|(_, line)| *line).collect();
    let summary = match (vote, known) {
        (Some(vote), _) => format!(
            "n{me} says that its vote for n{vote} in term {term} is durable, but it gave none"
        ),
        (None, Some((known, _))) => format!(
            "n{me} says that no vote in term {term} is durable, but its vote for n{known} was"
        ),
        (None, None) => format!("n{me} says that term {term} is durable, in which it never was"),
    };
    report.violation(summary, &[], &lines);
}
