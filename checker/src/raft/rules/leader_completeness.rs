//! `leader-completeness`

use std::collections::BTreeMap;

use proto::trace::{Event, Position, Role};

use super::{Kind, Rule, entry};
use crate::{
    raft::{
        log::{Run, term_at},
        state::Line,
        step::{Report, Step},
    },
    text::counted,
};

/// If an entry is committed in a given term, it is present in the logs of the leaders of all later
/// terms (paper, figure 3 and section 5.4).
///
/// Commits and elections may be observed in either order: an old leader may learn after the
/// election of its successor that its entry is committed. So an election is judged by the commits
/// of earlier terms that are known, and a commit by the elections of later terms that are known.
/// A follower's commit counts for its present term: the leader committed no later than that.
#[derive(Default)]
pub(super) struct LeaderCompleteness {
    /// The farthest commit of a term, by term; only those that reach beyond all earlier terms'.
    commits: BTreeMap<u64, Commit>,
    /// Elections, by term.
    elections: BTreeMap<u64, Election>,
    checked: u64,
}

#[derive(Clone, Copy)]
struct Commit {
    last: Position,
    node: u64,
    line: Line,
}

struct Election {
    node: u64,
    line: Line,
    /// Commits up to here were looked at when it was elected.
    judged: u64,
    /// Its log behind `judged` when it was elected: last index, and terms.
    last: u64,
    runs: Vec<Run>,
}

impl Rule for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "leader-completeness"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Committed, Kind::Role]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        match *step.event() {
            Event::Role { term, role: Role::Leader, .. } => self.elected(step, term, report),
            Event::Committed { term, last, .. } => self.committed(step, term, last, report),
            _ => {}
        }
    }

    fn examined(&self) -> String {
        let elections = counted(self.elections.len() as u64, "election");
        format!("{elections} against {}", counted(self.checked, "commit"))
    }
}

impl LeaderCompleteness {
    fn elected(&mut self, step: &Step<'_>, term: u64, report: &mut Report<'_>) {
        let log = &step.node.log;
        let mut judged = 0;
        if let Some((old, commit)) = self.commits.range(..term).next_back() {
            self.checked += 1;
            judged = commit.last.index;
            if !log.contains(commit.last) {
                missing(report, (step.id(), term), (*old, commit), commit.line);
            }
        }
        self.elections.entry(term).or_insert_with(|| Election {
            node: step.id(),
            line: step.line,
            judged,
            last: log.last_index(),
            runs: log.runs_after(judged).to_vec(),
        });
    }

    fn committed(&mut self, step: &Step<'_>, term: u64, last: Position, report: &mut Report<'_>) {
        let commit = Commit { last, node: step.id(), line: step.line };
        for (later, election) in self.elections.range(term.saturating_add(1)..) {
            if last.index <= election.judged {
                continue;
            }
            self.checked += 1;
            // Equal index and term mean equal logs; where not, `log-matching` says so.
            let present = last.index <= election.last
                && term_at(&election.runs, last.index) == Some(last.term);
            if !present {
                missing(report, (election.node, *later), (term, &commit), election.line);
            }
        }
        let farthest = self.commits.range(..=term).next_back().map_or(0, |(_, c)| c.last.index);
        if last.index > farthest {
            self.commits.insert(term, commit);
            while let Some((&later, known)) = self.commits.range(term.saturating_add(1)..).next()
                && known.last.index <= last.index
            {
                self.commits.remove(&later);
            }
        }
    }
}

fn missing(
    report: &mut Report<'_>,
    (leader, later): (u64, u64),
    (term, commit): (u64, &Commit),
    line: Line,
) {
    report.violation(
        format!(
            "n{leader} was elected leader of term {later} without {}, which n{} committed in term {term}",
            entry(commit.last),
            commit.node
        ),
        &[leader, commit.node],
        &[line, commit.line],
    );
}
