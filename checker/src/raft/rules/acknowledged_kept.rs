//! `acknowledged-kept`

use super::{Kind, Rule, entry};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// What a node acknowledged to a leader it keeps for as long as that leader's term lasts: only
/// entries that conflict with the leader's are removed (paper, figure 2, AppendEntries 3), and what
/// was acknowledged does not. The leader counts on it, and never sends it again.
///
/// Over restarts, see `survives-restart`.
#[derive(Default)]
pub(super) struct AcknowledgedKept {
    removals: u64,
}

impl Rule for AcknowledgedKept {
    fn name(&self) -> &'static str {
        "acknowledged-kept"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Appended, Kind::Truncated]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let Some(kept) = step.kept() else { return };
        let (me, node) = (step.id(), step.node);
        self.removals += 1;
        let term = step.cluster.term(node.term);
        for &(who, leader, last, line) in term.iter().flat_map(|term| &term.acknowledged) {
            if who == me && last.index > kept && node.log.contains(last) {
                report.violation(
                    format!(
                        "n{me} removed its log behind index {kept}, though it had acknowledged {} \
                         to n{leader}, leader of its present term {}",
                        entry(last),
                        node.term
                    ),
                    &[leader],
                    &[line],
                );
            }
        }
    }

    fn examined(&self) -> String {
        counted(self.removals, "removal")
    }
}
