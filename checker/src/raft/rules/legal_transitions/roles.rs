//! Who may become what (paper, figure 4).

use proto::trace::Role;

use crate::raft::step::{Report, Step};

/// A node votes for itself when it enters a term to stand in it.
pub(super) fn voted(step: &Step<'_>, term: u64, candidate: u64, report: &mut Report<'_>) {
    let (me, node) = (step.id(), step.node);
    if candidate == me && term == node.term && node.vote.is_none() && node.entered_from.is_none() {
        report.violation(
            format!(
                "n{me} voted for itself in term {term}, which it had not entered to stand in it"
            ),
            &[],
            &[node.role_line],
        );
    }
}

/// The role of the node's present term.
pub(super) fn role(step: &Step<'_>, role: Role, leader: Option<u64>, report: &mut Report<'_>) {
    let breach = match role {
        Role::Candidate => candidate(step, leader),
        Role::Leader => leads(step, leader),
        Role::Follower => follower(step, leader),
    };
    let line = [step.node.role_line];
    if let Some(summary) = breach {
        report.violation(summary, &[], &line);
    } else if role == Role::Follower
        && let Some(summary) = nobody_stands(step, leader)
    {
        report.uncaused(summary, &[], &line);
    }
}

/// To stand, a node enters the next term and votes for itself.
fn candidate(step: &Step<'_>, leader: Option<u64>) -> Option<String> {
    let (me, node, term) = (step.id(), step.node, step.node.term);
    if let Some(leader) = leader {
        return Some(format!("n{me} stands in term {term}, though it knows its leader, n{leader}"));
    }
    let before = node.role_line;
    match (node.vote, node.entered_from) {
        (Some((vote, _)), _) if vote != me => {
            Some(format!("n{me} stands in term {term}, in which it voted for n{vote}"))
        }
        (None, _) => Some(format!("n{me} stands in term {term} without its own vote")),
        // A vote for itself within a term is reported when it is given.
        (Some((_, line)), None) if line <= before => {
            Some(format!("n{me} stands in term {term}, in which it was before: it takes a new one"))
        }
        (Some(_), Some(from)) if from.checked_add(1) != Some(term) => Some(format!(
            "n{me} went from term {from} to term {term} to stand: it takes the next one"
        )),
        _ => None,
    }
}

fn leads(step: &Step<'_>, leader: Option<u64>) -> Option<String> {
    let (me, node, term) = (step.id(), step.node, step.node.term);
    if leader != Some(me) {
        let named = leader.map_or("nobody".to_owned(), |leader| format!("n{leader}"));
        return Some(format!(
            "n{me} became leader of term {term}, but names {named} as its leader"
        ));
    }
    // A leader that becomes leader is a matter of `election-safety`.
    (node.role == Role::Follower)
        .then(|| format!("n{me} became leader of term {term} as a follower: it did not stand"))
}

fn follower(step: &Step<'_>, leader: Option<u64>) -> Option<String> {
    let (me, node, term) = (step.id(), step.node, step.node.term);
    match leader {
        Some(leader) if leader == me => Some(format!("n{me} follows itself in term {term}")),
        // Whether it was elected is a matter of `election-safety`.
        Some(_) => None,
        None if node.role == Role::Candidate => Some(format!(
            "n{me} gave up its candidacy in term {term}, though it heard of no leader"
        )),
        None if node.entered_from.is_none() => None,
        None if node.vote.is_some_and(|(vote, _)| vote == me) => {
            Some(format!("n{me} voted for itself in term {term}, but does not stand"))
        }
        None => None,
    }
}

/// A term begins with a candidate; all others hear of it.
fn nobody_stands(step: &Step<'_>, leader: Option<u64>) -> Option<String> {
    let (me, node, term) = (step.id(), step.node, step.node.term);
    let stood = step.cluster.term(term).is_some_and(|t| !t.candidates.is_empty());
    let heard = leader.is_some() || node.entered_from.is_none() || stood;
    (!heard && step.cluster.lost.is_empty())
        .then(|| format!("n{me} entered term {term}, in which nobody stands"))
}
