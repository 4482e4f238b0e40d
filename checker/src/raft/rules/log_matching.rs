//! `log-matching`

use proto::trace::{Event, Hash, Position, Role};
use rustc_hash::FxHashMap;

use super::{Kind, Rule, entry, hashed};
use crate::{
    raft::{
        state::Line,
        step::{Report, Step},
    },
    text::counted,
};

/// If two logs contain an entry with the same index and term, then the logs are identical in all
/// entries up through it (paper, figure 3 and section 5.3).
///
/// Entries carry the hash of their prefix, so equal index and term must mean equal hash, on all
/// nodes and at all times. Also: an entry first appears on the leader of its term, and what a node
/// says of its log agrees with what it appended and removed.
#[derive(Default)]
pub(super) struct LogMatching {
    /// The first entry that was ever seen at each index.
    first: Vec<Seen>,
    /// Entries of other terms at an index.
    others: FxHashMap<(u64, u64), Seen>,
    entries: u64,
}

/// Where an entry was seen first.
#[derive(Clone, Copy)]
struct Seen {
    term: u64,
    hash: Hash,
    node: u64,
    line: Line,
}

impl Rule for LogMatching {
    fn name(&self) -> &'static str {
        "log-matching"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Appended, Kind::Durable, Kind::Role, Kind::Truncated]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let (me, log) = (step.id(), &step.node.log);
        let account = |report: &mut Report<'_>, what: &str, told: Position| {
            if !log.contains(told) {
                let known = match log.get(told.index) {
                    Some(known) => format!("it has {} there", hashed(known)),
                    None => format!("it ends at {}", hashed(log.last())),
                };
                report.violation(
                    format!(
                        "n{me} says that {what} {}, but by its own account {known}",
                        hashed(told)
                    ),
                    &[],
                    &[],
                );
            }
        };
        match step.event() {
            Event::Role { last, .. } => {
                account(report, "its log ends at", *last);
                if log.contains(*last) && last.index < log.last_index() {
                    let end = entry(log.last());
                    report.violation(
                        format!(
                            "n{me} says that its log ends at {}, but by its own account it ends at {end}",
                            entry(*last)
                        ),
                        &[],
                        &[],
                    );
                }
            }
            Event::Truncated { last } => account(report, "it keeps its log up to", *last),
            Event::Durable { last, .. } => account(report, "its log is durable up to", *last),
            Event::Appended { prev, entries } => {
                account(report, "it appended behind", *prev);
                let mut before = *prev;
                for (term, hash) in entries {
                    let index = before.index.saturating_add(1);
                    let next = Position { index, term: *term, hash: *hash };
                    self.entry(step, next, report);
                    before = next;
                }
            }
            _ => {}
        }
    }

    fn examined(&self) -> String {
        counted(self.entries, "entry")
    }
}

impl LogMatching {
    /// Compares an entry with those of the same index and term that were seen before.
    fn entry(&mut self, step: &Step<'_>, new: Position, report: &mut Report<'_>) {
        self.entries += 1;
        let seen = Seen { term: new.term, hash: new.hash, node: step.id(), line: step.line };
        let at = usize::try_from(new.index - 1).unwrap_or(usize::MAX);
        let known = match self.first.get(at) {
            Some(known) if known.term == new.term => Some(*known),
            None if at == self.first.len() => {
                self.first.push(seen);
                None
            }
            _ => {
                let known = self.others.get(&(new.index, new.term)).copied();
                self.others.entry((new.index, new.term)).or_insert(seen);
                known
            }
        };
        match known {
            Some(known) if known.hash == new.hash => {}
            Some(known) => report.violation(
                format!(
                    "the logs of n{} and n{} differ up to {}: prefix hashes {} and {}",
                    known.node,
                    seen.node,
                    entry(new),
                    known.hash,
                    new.hash
                ),
                &[known.node],
                &[known.line],
            ),
            None => origin(step, new, report),
        }
    }
}

/// A leader creates the entries of its term; it appended them before anyone else could.
fn origin(step: &Step<'_>, new: Position, report: &mut Report<'_>) {
    let me = step.id();
    let node = step.node;
    if node.role == Role::Leader && node.term == new.term {
        return;
    }
    match step.cluster.leader(new.term) {
        Some(leader) if step.cluster.lost.contains(&leader.node) => {}
        Some(leader) => report.uncaused(
            format!(
                "n{me} appended {}, which n{}, the leader of term {}, never did",
                entry(new),
                leader.node,
                new.term
            ),
            &[leader.node],
            &[leader.line],
        ),
        None if !step.cluster.lost.is_empty() => {}
        None => report.uncaused(
            format!("n{me} appended {}, but no leader of that term was elected", entry(new)),
            &[],
            &[],
        ),
    }
}
