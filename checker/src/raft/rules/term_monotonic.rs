//! `term-monotonic`

use proto::trace::Event;

use super::{Kind, Rule};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// A node's term only grows, and it acts in its present term (paper, section 5.1). Over restarts,
/// see `survives-restart`.
#[derive(Default)]
pub(super) struct TermMonotonic {
    changes: u64,
}

impl Rule for TermMonotonic {
    fn name(&self) -> &'static str {
        "term-monotonic"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[
            Kind::Acknowledged,
            Kind::Committed,
            Kind::Durable,
            Kind::Granted,
            Kind::ReadConfirmed,
            Kind::Role,
            Kind::Term,
            Kind::Voted,
        ]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let me = step.id();
        let now = step.node.term;
        let (what, term, fine) = match *step.event() {
            Event::Term { term } => {
                self.changes += 1;
                if term <= now {
                    report.violation(
                        format!("n{me} went from term {now} to term {term}"),
                        &[],
                        &[step.node.role_line],
                    );
                }
                return;
            }
            Event::Voted { term, .. } => ("voted", term, term == now),
            Event::Role { term, .. } => ("took a role", term, term == now),
            Event::Committed { term, .. } => ("committed", term, term == now),
            Event::ReadConfirmed { term, .. } => ("confirmed reads", term, term == now),
            // The disk lags behind memory, and a reply may leave after the term has grown.
            Event::Granted { term, .. } => ("granted a vote", term, term <= now),
            Event::Acknowledged { term, .. } => ("acknowledged entries", term, term <= now),
            Event::Durable { term, .. } if term < step.node.durable.term => {
                report.violation(
                    format!(
                        "the durable term of n{me} went from {} to {term}",
                        step.node.durable.term
                    ),
                    &[],
                    &[step.node.durable.term_line],
                );
                return;
            }
            Event::Durable { term, .. } => ("made its term durable", term, term <= now),
            _ => return,
        };
        if !fine {
            report.violation(
                format!("n{me} {what} in term {term}, while its term was {now}"),
                &[],
                &[step.node.role_line],
            );
        }
    }

    fn examined(&self) -> String {
        counted(self.changes, "change of term").replace("change of terms", "changes of term")
    }
}
