//! `election-restriction`

use proto::trace::Event;

use super::{Kind, Rule, entry};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// A voter denies its vote if its own log is more up-to-date than that of the candidate: a later
/// last term, or the same and a longer log (paper, section 5.4.1).
///
/// A candidate says how its log ends before it asks; its log cannot grow before it is elected.
#[derive(Default)]
pub(super) struct ElectionRestriction {
    votes: u64,
}

impl Rule for ElectionRestriction {
    fn name(&self) -> &'static str {
        "election-restriction"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Voted]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let &Event::Voted { term, candidate } = step.event() else { return };
        let me = step.id();
        if candidate == me {
            return;
        }
        self.votes += 1;
        let mine = step.node.log.last();
        // A term that was never durable may be stood for again after a crash.
        let stood = step.cluster.term(term).and_then(|t| {
            let stood = t.candidates.iter().filter(|(node, ..)| *node == candidate);
            stood.max_by_key(|(_, last, _)| (last.term, last.index))
        });
        match stood {
            Some(&(_, theirs, line)) => {
                if (mine.term, mine.index) > (theirs.term, theirs.index) {
                    report.violation(
                        format!(
                            "n{me} voted for n{candidate} in term {term}, whose log ends at {}, \
                             though its own ends at {}",
                            entry(theirs),
                            entry(mine)
                        ),
                        &[candidate],
                        &[line],
                    );
                }
            }
            None if step.cluster.lost.contains(&candidate) => {}
            None => report.uncaused(
                format!(
                    "n{me} voted for n{candidate} in term {term}, but n{candidate} was no candidate"
                ),
                &[candidate],
                &[],
            ),
        }
    }

    fn examined(&self) -> String {
        format!("{} for others", counted(self.votes, "vote"))
    }
}
