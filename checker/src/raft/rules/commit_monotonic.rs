//! `commit-monotonic`

use proto::trace::Event;

use super::{Kind, Rule, entry};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// The commit index of a boot only grows, within the log, and what it covers is never removed
/// (paper, figure 2 and section 5.3).
#[derive(Default)]
pub(super) struct CommitMonotonic {
    commits: u64,
}

impl Rule for CommitMonotonic {
    fn name(&self) -> &'static str {
        "commit-monotonic"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Appended, Kind::Committed, Kind::Truncated]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let (me, log) = (step.id(), &step.node.log);
        let (commit, line) = step.node.commit;
        if let Event::Committed { last, .. } = step.event() {
            self.commits += 1;
            if last.index <= commit {
                report.violation(
                    format!("the commit index of n{me} went from {commit} to {}", last.index),
                    &[],
                    &[line],
                );
            } else if !log.contains(*last) {
                report.violation(
                    format!(
                        "n{me} committed {}, which its log does not hold: it ends at {}",
                        entry(*last),
                        entry(log.last())
                    ),
                    &[],
                    &[],
                );
            }
        } else if let Some(kept) = step.kept()
            && kept < commit
        {
            report.violation(
                format!(
                    "n{me} removed its log behind index {kept}, though it had committed up to \
                     index {commit}"
                ),
                &[],
                &[line],
            );
        }
    }

    fn examined(&self) -> String {
        counted(self.commits, "commit")
    }
}
