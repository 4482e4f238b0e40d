//! `commit-quorum`

use proto::trace::{Event, Hash, Position, Role};

use super::{Kind, Rule, entry, names};
use crate::{
    raft::step::{Report, Step},
    text::counted,
};

/// A leader commits an entry of its own term once a majority of the voters stored it, and earlier
/// entries only with it (paper, figure 2, sections 5.3 and 5.4.2, figure 8). A follower commits
/// what a leader committed.
///
/// Each match that a leader counts is backed by an acknowledgement to it in its term; its own is
/// judged by `durable-before-acknowledged`.
#[derive(Default)]
pub(super) struct CommitQuorum {
    /// Prefix hash of each entry that a leader committed, from index 1.
    committed: Vec<Hash>,
    commits: u64,
}

impl Rule for CommitQuorum {
    fn name(&self) -> &'static str {
        "commit-quorum"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Committed]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let Event::Committed { term, last, matched } = step.event() else { return };
        self.commits += 1;
        match matched {
            Some(matched) => {
                leader(step, *term, *last, matched, report);
                let log = &step.node.log;
                if log.contains(*last) {
                    let known = self.committed.len() as u64;
                    let new = last.index.saturating_sub(known);
                    let new = usize::try_from(new).unwrap_or(usize::MAX);
                    self.committed.extend(log.hashes_after(known).iter().take(new));
                }
            }
            None => self.follower(step, *last, report),
        }
    }

    fn examined(&self) -> String {
        let entries = counted(self.committed.len() as u64, "entry");
        format!("{entries} in {}", counted(self.commits, "commit"))
    }
}

fn leader(
    step: &Step<'_>,
    term: u64,
    last: Position,
    matched: &[(u64, u64)],
    report: &mut Report<'_>,
) {
    let (me, node) = (step.id(), step.node);
    if node.role != Role::Leader {
        report.violation(
            format!("n{me} committed {} as leader of term {term}, which it was not", entry(last)),
            &[],
            &[node.role_line],
        );
    }
    if last.term != term {
        report.violation(
            format!(
                "n{me}, leader of term {term}, committed {} by counting: it is not of its own term",
                entry(last)
            ),
            &[],
            &[node.role_line],
        );
    }
    let mut counted: Vec<u64> = matched
        .iter()
        .filter(|(voter, index)| *index >= last.index && node.voters.contains(voter))
        .map(|(voter, _)| *voter)
        .collect();
    counted.sort_unstable();
    counted.dedup();
    if !node.is_majority(counted.len()) {
        report.violation(
            format!(
                "n{me} committed {} in term {term} with matches on {} only, {} of {} voters",
                entry(last),
                names(&counted),
                counted.len(),
                node.voters.len()
            ),
            &counted,
            &[node.role_line],
        );
    }
    for &(voter, index) in matched {
        if voter == me || index == 0 || step.cluster.lost.contains(&voter) {
            continue;
        }
        let known = step
            .cluster
            .term(term)
            .and_then(|t| t.acknowledged.iter().find(|(node, to, ..)| (*node, *to) == (voter, me)));
        let most = known.map_or(0, |(_, _, position, _)| position.index);
        let line = known.map(|(.., line)| *line);
        if most < index {
            let most = match most {
                0 => "nothing".to_owned(),
                most => format!("up to index {most} only"),
            };
            report.uncaused(
                format!(
                    "n{me} counted n{voter} up to index {index} for its commit of {} in term {term}, \
                     but n{voter} acknowledged {most}",
                    entry(last)
                ),
                &[voter],
                line.as_slice(),
            );
        } else if let Some((_, _, position, _)) = known
            && !node.log.contains(*position)
        {
            report.violation(
                format!(
                    "n{me} counted n{voter} for its commit of {} in term {term}, but n{voter} \
                     acknowledged a log up to {} that is not the leader's",
                    entry(last),
                    entry(*position)
                ),
                &[voter],
                line.as_slice(),
            );
        }
    }
}

impl CommitQuorum {
    /// The leader's commit came before the follower could hear of it.
    fn follower(&self, step: &Step<'_>, last: Position, report: &mut Report<'_>) {
        if last.index == 0 || !step.cluster.lost.is_empty() {
            return;
        }
        let me = step.id();
        let known = usize::try_from(last.index - 1).ok().and_then(|at| self.committed.get(at));
        match known {
            Some(hash) if *hash == last.hash => {}
            Some(_) => report.violation(
                format!(
                    "n{me} committed {}, but leaders committed another entry there",
                    entry(last)
                ),
                &[],
                &[],
            ),
            None => report.uncaused(
                format!("n{me} committed {}, which no leader had committed", entry(last)),
                &[],
                &[],
            ),
        }
    }
}
