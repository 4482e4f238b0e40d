//! `read-quorum`

use proto::trace::{Event, Role};

use super::{Kind, Rule, names};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// A leader serves reads at an index only after a majority confirmed that it still leads, and only
/// at an index that an entry of its own term covers (dissertation, section 6.4).
///
/// The first entry of its term tells a leader what earlier leaders had committed. Who confirms
/// followed it in its term before.
#[derive(Default)]
pub(super) struct ReadQuorum {
    reads: u64,
}

impl Rule for ReadQuorum {
    fn name(&self) -> &'static str {
        "read-quorum"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::ReadConfirmed]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let Event::ReadConfirmed { term, index, by } = step.event() else { return };
        self.reads += 1;
        let (me, node) = (step.id(), step.node);
        if node.role == Role::Leader {
            let known = step.cluster.term(*term);
            for voter in by.iter().filter(|voter| **voter != me && node.voters.contains(voter)) {
                let followed = known.is_some_and(|known| known.followers.contains(voter));
                if !followed && !step.cluster.lost.contains(voter) {
                    report.uncaused(
                        format!(
                            "n{me} confirmed reads in term {term} by n{voter}, which had not \
                             followed it"
                        ),
                        &[*voter],
                        &[node.role_line],
                    );
                }
            }
        } else {
            report.violation(
                format!("n{me} confirmed reads as leader of term {term}, which it was not"),
                &[],
                &[node.role_line],
            );
        }
        let mut voters: Vec<_> =
            by.iter().copied().filter(|voter| node.voters.contains(voter)).collect();
        voters.sort_unstable();
        voters.dedup();
        if !node.is_majority(voters.len()) || !voters.contains(&me) {
            report.violation(
                format!(
                    "n{me} confirmed reads in term {term} by {} only, {} of {} voters",
                    names(&voters),
                    voters.len(),
                    node.voters.len()
                ),
                &voters,
                &[node.role_line],
            );
        }
        let (commit, line) = node.commit;
        if *index > commit {
            report.violation(
                format!(
                    "n{me} confirmed reads at index {index}, but had committed up to index \
                     {commit}"
                ),
                &[],
                &[line],
            );
        } else if let Some(at) = node.log.get(*index)
            && at.term != *term
        {
            report.violation(
                format!(
                    "n{me}, leader of term {term}, confirmed reads at index {index} of term {}, \
                     before an entry of its own term was committed",
                    at.term
                ),
                &[],
                &[line],
            );
        }
    }

    fn examined(&self) -> String {
        counted(self.reads, "confirmation")
    }
}
