//! `election-safety`

use proto::trace::{Event, Role};

use super::{Kind, Rule};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// At most one leader can be elected in a given term (paper, figure 3 and section 5.2).
///
/// A node that leads a term a second time broke it as well: only a new term lets it stand again.
/// And whoever follows or acknowledges a leader must mean the one that was elected.
#[derive(Default)]
pub(super) struct ElectionSafety {
    leaders: u64,
    highest: u64,
}

impl Rule for ElectionSafety {
    fn name(&self) -> &'static str {
        "election-safety"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Acknowledged, Kind::Role]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let me = step.id();
        match *step.event() {
            Event::Role { term, role: Role::Leader, .. } => {
                self.leaders += 1;
                self.highest = self.highest.max(term);
                if let Some(other) = step.cluster.leader(term) {
                    let summary = if other.node == me {
                        format!("n{me} became leader of term {term} a second time")
                    } else {
                        format!("term {term} has two leaders: n{} and n{me}", other.node)
                    };
                    report.violation(summary, &[other.node], &[other.line]);
                }
            }
            Event::Role { term, leader: Some(leader), .. } => {
                self.highest = self.highest.max(term);
                follows(step, report, term, leader, "takes");
            }
            Event::Acknowledged { term, leader, .. } => {
                follows(step, report, term, leader, "acknowledged entries to");
            }
            _ => {}
        }
    }

    fn examined(&self) -> String {
        format!("{} in {}", counted(self.leaders, "leader"), counted(self.highest, "term"))
    }
}

/// The election came before anyone could hear of it.
fn follows(step: &Step<'_>, report: &mut Report<'_>, term: u64, leader: u64, verb: &str) {
    let me = step.id();
    match step.cluster.leader(term) {
        Some(elected) if elected.node == leader => {}
        Some(elected) => report.violation(
            format!(
                "n{me} {verb} n{leader} as leader of term {term}, whose leader is n{}",
                elected.node
            ),
            &[leader, elected.node],
            &[elected.line],
        ),
        None if step.cluster.lost.contains(&leader) => {}
        None => report.uncaused(
            format!(
                "n{me} {verb} n{leader} as leader of term {term}, but n{leader} was not elected"
            ),
            &[leader],
            &[],
        ),
    }
}
