//! `durable-before-acknowledged`

use proto::trace::Event;
use rustc_hash::FxHashMap;

use super::{Kind, Rule, entry};
use crate::{
    raft::{
        state::Line,
        step::{Report, Step},
    },
    text::counted,
};

/// Whatever a node says to another or to a client rests on what its disk confirmed: term, vote and
/// log are updated on stable storage before responding (paper, figure 2 and section 5.6).
///
/// A leader counts its own log only as far as it is durable, and a write is answered only after it
/// was committed and applied. An entry is one client's write, so it is answered once in the
/// cluster: a second answer is one to a write that is lost.
#[derive(Default)]
pub(super) struct DurableBeforeAcknowledged {
    replies: u64,
    /// Who answered the write at an index, and where.
    answered: FxHashMap<u64, (u64, Line)>,
}

impl Rule for DurableBeforeAcknowledged {
    fn name(&self) -> &'static str {
        "durable-before-acknowledged"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Acknowledged, Kind::Answered, Kind::Committed, Kind::Granted]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let (me, node) = (step.id(), step.node);
        let durable = &node.durable;
        match *step.event() {
            Event::Granted { term, candidate } => {
                self.replies += 1;
                // A ballot for someone else is what `one-vote-per-term` reports.
                if !node.ballots.contains_key(&term) {
                    report.violation(
                        format!(
                            "n{me} granted its vote of term {term} to n{candidate} before the vote \
                             was durable"
                        ),
                        &[candidate],
                        &[durable.term_line],
                    );
                }
            }
            Event::Acknowledged { term, leader, last } => {
                self.replies += 1;
                if term > durable.term {
                    report.violation(
                        format!(
                            "n{me} acknowledged {} to n{leader} in term {term}, but its durable \
                             term was {}",
                            entry(last),
                            durable.term
                        ),
                        &[leader],
                        &[durable.term_line],
                    );
                }
                if !node.log.contains(last) {
                    report.violation(
                        format!(
                            "n{me} acknowledged {} to n{leader}, which its log does not hold",
                            entry(last)
                        ),
                        &[leader],
                        &[],
                    );
                } else if last.index > durable.index {
                    report.violation(
                        format!(
                            "n{me} acknowledged {} to n{leader}, but its log was durable up to \
                             index {} only",
                            entry(last),
                            durable.index
                        ),
                        &[leader],
                        &[durable.index_line],
                    );
                }
            }
            Event::Committed { matched: Some(ref matched), .. } => {
                if let Some((_, index)) = matched.iter().find(|(voter, _)| *voter == me)
                    && *index > durable.index
                {
                    report.violation(
                        format!(
                            "n{me} counted itself up to index {index} for a commit, but its log \
                             was durable up to index {} only",
                            durable.index
                        ),
                        &[],
                        &[durable.index_line],
                    );
                }
            }
            Event::Answered { index } => {
                self.replies += 1;
                if index == 0 {
                    report.violation(
                        format!("n{me} answered a write at index 0, where no entry is"),
                        &[],
                        &[],
                    );
                    return;
                }
                let (first, line) = *self.answered.entry(index).or_insert((me, step.line));
                if line != step.line {
                    report.violation(
                        format!(
                            "n{me} answered the write at index {index}, which n{first} had answered \
                             before"
                        ),
                        &[first],
                        &[line],
                    );
                }
                for (done, what) in [(node.commit, "committed"), (node.applied, "applied")] {
                    if index > done.0 {
                        report.violation(
                            format!(
                                "n{me} answered the write at index {index}, but had {what} up to \
                                 index {} only",
                                done.0
                            ),
                            &[],
                            &[done.1],
                        );
                        break;
                    }
                }
            }
            _ => {}
        }
    }

    fn examined(&self) -> String {
        counted(self.replies, "reply").replace("replys", "replies")
    }
}
