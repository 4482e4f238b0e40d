//! `survives-restart`

use proto::trace::Event;

use super::{Kind, Rule, entry};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// A node comes back with the term, vote and log that its disk confirmed or that it vouched for
/// (paper, figure 2, persistent state), and with nothing that it never had. The number of its
/// start is durable before its first line, and so grows.
///
/// What was not yet durable may be there or not: a term or a vote may come back as any that the
/// node had since, a log with or without its tail, and with a tail that was removed while the
/// removal was not durable. Once it came back, it is durable.
#[derive(Default)]
pub(super) struct SurvivesRestart {
    restarts: u64,
}

impl Rule for SurvivesRestart {
    fn name(&self) -> &'static str {
        "survives-restart"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Started]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let &Event::Started { term, vote, last, .. } = step.event() else { return };
        let (me, node) = (step.id(), step.node);
        if node.boot == 0 {
            return;
        }
        self.restarts += 1;
        let durable = &node.durable;
        if step.record.boot <= node.boot {
            report.violation(
                format!(
                    "n{me} started as boot {} after boot {}: its disk lost what was durable",
                    step.record.boot, node.boot
                ),
                &[],
                &[],
            );
        }
        if term < durable.term {
            report.violation(
                format!("n{me} restarted in term {term}, though term {} was durable", durable.term),
                &[],
                &[durable.term_line],
            );
        } else if term > node.term {
            report.violation(
                format!("n{me} restarted in term {term}, though it never got beyond {}", node.term),
                &[],
                &[node.role_line],
            );
        }
        if let Some((candidate, line)) = node.ballots.get(&term)
            && vote != Some(*candidate)
        {
            let now = vote.map_or("no vote".to_owned(), |v| format!("a vote for n{v}"));
            report.violation(
                format!(
                    "n{me} restarted with {now} in term {term}, though its vote for n{candidate} \
                     was durable"
                ),
                &[*candidate],
                &[*line],
            );
        } else if (durable.term..=node.term).contains(&term) && !node.memory.contains(&(term, vote))
        {
            let summary = match vote {
                Some(vote) => format!(
                    "n{me} restarted with a vote for n{vote} in term {term}, which it never gave"
                ),
                None => format!("n{me} restarted in term {term}, in which it never was"),
            };
            report.violation(summary, &[], &[durable.term_line, node.role_line]);
        }
        if last.index < durable.index {
            report.violation(
                format!(
                    "n{me} restarted with a log that ends at {}, though it was durable up to {}",
                    entry(last),
                    entry(node.log.get(durable.index).unwrap_or_default())
                ),
                &[],
                &[durable.index_line],
            );
        } else if !node.log.may_recover(last) {
            report.violation(
                format!(
                    "n{me} restarted with a log that ends at {}, which is none that it had",
                    entry(last)
                ),
                &[],
                &[durable.index_line],
            );
        }
    }

    fn examined(&self) -> String {
        counted(self.restarts, "restart")
    }
}
