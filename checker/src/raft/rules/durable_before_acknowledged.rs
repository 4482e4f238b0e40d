//! `durable-before-acknowledged`

use proto::trace::Event;

use super::{Kind, Rule, counted, entry};
use crate::raft::checker::{Report, Step};

/// Whatever a node says to another or to a client rests on what its disk confirmed: term, vote and
/// log are updated on stable storage before responding (paper, figure 2 and section 5.6).
///
/// A leader counts its own log only as far as it is durable, and a write is answered only after it
/// was committed and applied.
#[derive(Default)]
pub(super) struct DurableBeforeAcknowledged {
    replies: u64,
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
                let recovered = (node.recovered.0, node.recovered.1) == (term, Some(candidate));
                if !recovered && !node.ballots.contains_key(&term) {
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
                if term > node.term_on_disk() {
                    report.violation(
                        format!(
                            "n{me} acknowledged {} to n{leader} in term {term}, but its durable \
                             term was {}",
                            entry(last),
                            node.term_on_disk()
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
                } else if last.index > node.index_on_disk() {
                    report.violation(
                        format!(
                            "n{me} acknowledged {} to n{leader}, but its log was durable up to \
                             index {} only",
                            entry(last),
                            node.index_on_disk()
                        ),
                        &[leader],
                        &[durable.index_line],
                    );
                }
            }
            Event::Committed { matched: Some(ref matched), .. } => {
                if let Some((_, index)) = matched.iter().find(|(voter, _)| *voter == me)
                    && *index > node.index_on_disk()
                {
                    report.violation(
                        format!(
                            "n{me} counted itself up to index {index} for a commit, but its log \
                             was durable up to index {} only",
                            node.index_on_disk()
                        ),
                        &[],
                        &[durable.index_line],
                    );
                }
            }
            Event::Answered { index } => {
                self.replies += 1;
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
