//! `one-vote-per-term`

use proto::trace::{Event, Role};

use super::{Kind, Rule};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// A node votes for at most one candidate in a term, over all its boots (paper, section 5.2).
///
/// A vote that was never durable and never left the node may be lost by a crash and given anew.
#[derive(Default)]
pub(super) struct OneVotePerTerm {
    votes: u64,
}

impl Rule for OneVotePerTerm {
    fn name(&self) -> &'static str {
        "one-vote-per-term"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Durable, Kind::Granted, Kind::Role, Kind::Voted]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let me = step.id();
        let (term, candidate) = match *step.event() {
            Event::Voted { term, candidate } => {
                self.votes += 1;
                (term, candidate)
            }
            Event::Granted { term, candidate } => (term, candidate),
            Event::Durable { term, vote: Some(candidate), .. } => (term, candidate),
            Event::Role { term, role: Role::Leader, .. } => (term, me),
            _ => return,
        };
        let ballot = step.node.ballots.get(&term).copied();
        let memory = step.node.vote.filter(|_| step.node.term == term);
        if let Some((other, line)) = ballot.or(memory)
            && other != candidate
        {
            report.violation(
                format!("n{me} votes for n{candidate} in term {term}, after it voted for n{other}"),
                &[candidate, other],
                &[line],
            );
        }
    }

    fn examined(&self) -> String {
        counted(self.votes, "vote")
    }
}
