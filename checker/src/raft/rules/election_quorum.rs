//! `election-quorum`

use std::collections::BTreeSet;

use proto::trace::{Event, Role};

use super::{Kind, Rule, names};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// A leader got votes of a majority in its own term, each from another voter, its own durable
/// (paper, section 5.2).
///
/// Every vote left its voter before the election was won, so it is known by then.
#[derive(Default)]
pub(super) struct ElectionQuorum {
    elections: u64,
    votes: u64,
}

impl Rule for ElectionQuorum {
    fn name(&self) -> &'static str {
        "election-quorum"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Role]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let &Event::Role { term, role: Role::Leader, .. } = step.event() else { return };
        let me = step.id();
        self.elections += 1;
        let mut by = BTreeSet::new();
        let mut lines = Vec::new();
        if let Some(&(candidate, line)) = step.node.ballots.get(&term)
            && candidate == me
        {
            by.insert(me);
            lines.push(line);
        }
        for &(voter, candidate, line) in step.cluster.term(term).iter().flat_map(|t| &t.granted) {
            if candidate == me && voter != me && step.node.voters.contains(&voter) {
                by.insert(voter);
                lines.push(line);
            }
        }
        self.votes += by.len() as u64;
        let lost = step.cluster.lost.iter().filter(|n| **n != me && !by.contains(*n)).count();
        if !step.node.is_majority(by.len() + lost) {
            let by: Vec<_> = by.into_iter().collect();
            report.uncaused(
                format!(
                    "n{me} became leader of term {term} with durable votes of {} only, {} of {} voters",
                    names(&by),
                    by.len(),
                    step.node.voters.len()
                ),
                &by,
                &lines,
            );
        }
    }

    fn examined(&self) -> String {
        format!("{} by {}", counted(self.elections, "election"), counted(self.votes, "vote"))
    }
}
