//! `leader-append-only`

use proto::trace::{Event, Role};

use super::{Kind, Rule, entry};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// A leader never overwrites or deletes entries in its log; it only appends new ones, of its own
/// term (paper, figure 3 and section 5.3).
#[derive(Default)]
pub(super) struct LeaderAppendOnly {
    entries: u64,
}

impl Rule for LeaderAppendOnly {
    fn name(&self) -> &'static str {
        "leader-append-only"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Appended, Kind::Truncated]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let node = step.node;
        if node.role != Role::Leader {
            return;
        }
        let (me, now) = (step.id(), node.term);
        let end = node.log.last();
        match step.event() {
            Event::Truncated { last } => report.violation(
                format!(
                    "n{me}, leader of term {now}, cut its log from {} back to {}",
                    entry(end),
                    entry(*last)
                ),
                &[],
                &[node.role_line],
            ),
            Event::Appended { prev, .. } if step.kept().is_some() => report.violation(
                format!(
                    "n{me}, leader of term {now}, overwrote its log behind {}, which ended at {}",
                    entry(*prev),
                    entry(end)
                ),
                &[],
                &[node.role_line],
            ),
            Event::Appended { entries, .. } => {
                self.entries += entries.len() as u64;
                if let Some((term, _)) = entries.iter().find(|(term, _)| *term != now) {
                    report.violation(
                        format!("n{me}, leader of term {now}, appended an entry of term {term}"),
                        &[],
                        &[node.role_line],
                    );
                }
            }
            _ => {}
        }
    }

    fn examined(&self) -> String {
        format!("{} by leaders", counted(self.entries, "entry"))
    }
}
