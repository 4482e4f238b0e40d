//! Who may change a log, acknowledge and commit: a follower on its leader's word (paper, figure 2,
//! AppendEntries). What a leader may do is the matter of `leader-append-only` and `commit-quorum`.

use proto::trace::{Hash, Position, Role};

use super::leading;
use crate::raft::{
    rules::entry,
    step::{Report, Step},
};

/// The leader that the node follows; none, after a report, if it follows nobody.
fn followed(step: &Step<'_>, did: &str, what: Position, report: &mut Report<'_>) -> Option<u64> {
    let node = step.node;
    let doing = match (node.role, node.leader) {
        (Role::Follower, Some(leader)) => return Some(leader),
        (Role::Follower, None) => "follows nobody",
        (Role::Candidate, _) => "stands",
        (Role::Leader, _) => "leads",
    };
    let (me, term) = (step.id(), node.term);
    report.violation(
        format!("n{me} {did} {} in term {term}, in which it {doing}", entry(what)),
        &[],
        &[node.role_line],
    );
    None
}

/// Entries go behind the last one, and are the leader's.
pub(super) fn appended(
    step: &Step<'_>,
    prev: Position,
    entries: &[(u64, Hash)],
    report: &mut Report<'_>,
) {
    let (me, node) = (step.id(), step.node);
    if node.role == Role::Leader {
        return;
    }
    let index = prev.index.saturating_add(entries.len() as u64);
    let last = entries.last().map_or(prev, |&(term, hash)| Position { index, term, hash });
    let Some(leader) = followed(step, "appended", last, report) else { return };
    let end = node.log.last();
    if step.kept().is_some() {
        let nothing = if entries.is_empty() { "nothing " } else { "" };
        report.violation(
            format!(
                "n{me} appended {nothing}behind {}, though its log ends at {}: it removes first \
                 what conflicts",
                entry(prev),
                entry(end)
            ),
            &[],
            &[],
        );
        return;
    }
    // A gap is a matter of `log-matching`.
    if prev.index > end.index {
        return;
    }
    // Terms never fall along a log, so the last one is the highest.
    if last.term > node.term {
        report.violation(
            format!("n{me} appended {} in term {}", entry(last), node.term),
            &[],
            &[node.role_line],
        );
        return;
    }
    // Entries of the leader's own term are a matter of `log-matching`.
    if last.term < node.term
        && let Some(theirs) = leading(step, leader)
        && !theirs.log.contains(last)
    {
        report.uncaused(
            format!("n{me} appended {}, which its leader n{leader} does not have", entry(last)),
            &[leader],
            &[theirs.role_line],
        );
    }
}

/// Only what conflicts with the leader's log is removed (AppendEntries 3).
pub(super) fn truncated(step: &Step<'_>, last: Position, report: &mut Report<'_>) {
    let (me, node) = (step.id(), step.node);
    if node.role == Role::Leader {
        return;
    }
    let Some(removed) = node.log.get(last.index.saturating_add(1)) else { return };
    let Some(leader) = followed(step, "removed", removed, report) else { return };
    let Some(theirs) = leading(step, leader) else { return };
    let what = format!("n{me} removed {}, though its leader n{leader}", entry(removed));
    let line = [theirs.role_line];
    match theirs.log.get(removed.index) {
        Some(same) if same == removed => {
            report.violation(format!("{what} has it too"), &[leader], &line);
        }
        Some(_) => {}
        None => {
            let end = entry(theirs.log.last());
            let why = format!("{what} has nothing instead: its log ends at {end}");
            report.uncaused(why, &[leader], &line);
        }
    }
}

/// An acknowledgement in the node's present term goes to the leader that it follows.
pub(super) fn acknowledged(step: &Step<'_>, leader: u64, last: Position, report: &mut Report<'_>) {
    let (me, node) = (step.id(), step.node);
    // Another than the elected one is a matter of `election-safety`.
    if step.cluster.leader(node.term).is_none_or(|elected| elected.node != leader) {
        return;
    }
    if followed(step, "acknowledged", last, report).is_none() {
        return;
    }
    // What its own log lacks is a matter of `durable-before-acknowledged`.
    if node.log.contains(last)
        && let Some(theirs) = leading(step, leader)
        && !theirs.log.contains(last)
    {
        report.uncaused(
            format!("n{me} acknowledged {} to n{leader}, which does not have it", entry(last)),
            &[leader],
            &[theirs.role_line],
        );
    }
}

/// One in an earlier term may leave late, but the node followed in that term.
pub(super) fn acknowledged_late(
    step: &Step<'_>,
    term: u64,
    last: Position,
    report: &mut Report<'_>,
) {
    let (me, node) = (step.id(), step.node);
    let followed = step.cluster.term(term).is_some_and(|term| term.followers.contains(&me));
    // A later term than the node's is a matter of `term-monotonic`.
    if term < node.term && !followed {
        report.violation(
            format!(
                "n{me} acknowledged {} in term {term}, in which it followed nobody",
                entry(last)
            ),
            &[],
            &[node.role_line],
        );
    }
}

/// A commit without counting goes by the word of a leader.
pub(super) fn committed(step: &Step<'_>, last: Position, report: &mut Report<'_>) {
    let (me, node) = (step.id(), step.node);
    if node.role == Role::Leader {
        report.violation(
            format!(
                "n{me}, leader of term {}, committed {} without counting who holds it",
                node.term,
                entry(last)
            ),
            &[],
            &[node.role_line],
        );
        return;
    }
    followed(step, "committed", last, report);
}
