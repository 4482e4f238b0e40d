//! Changes whose writes nobody told, and the writes that they may be of.

use super::{
    Findings, Rule,
    history::{Change, Effect, Watch, Write},
    origin::{By, Fact},
};
use crate::history::Clock;

/// What was told of one revision, to be explained by one write.
pub(super) struct Free<'a> {
    /// The first of it.
    pub(super) change: Change<'a>,
    /// Of the watches that told any of it, the one that was over first.
    pub(super) watch: &'a Watch<'a>,
}

impl<'a> Free<'a> {
    pub(super) fn of(told: &[(Change<'a>, &'a Watch<'a>)]) -> Option<Self> {
        let &(change, _) = told.first()?;
        let &(_, watch) = told.iter().min_by_key(|(_, watch)| watch.end)?;
        Some(Self { change, watch })
    }
}

/// Revisions that all did the same, and that no acknowledged write has.
pub(super) struct Bucket<'a> {
    /// What they did, in order of keys.
    pub(super) effects: Vec<Effect<'a>>,
    /// The revisions, in the order in which the watches of them ended.
    pub(super) changes: Vec<Free<'a>>,
    /// The writes whose revisions are not known and that do all of it, in order of invocation.
    pub(super) writes: Vec<&'a Write<'a>>,
}

impl<'a> Bucket<'a> {
    pub(super) fn new(effects: Vec<Effect<'a>>, mut changes: Vec<Free<'a>>) -> Self {
        changes.sort_by_key(|free| (free.watch.end, free.change.revision));
        Self { effects, changes, writes: Vec::new() }
    }

    /// Puts buckets into the order of the history.
    pub(super) fn place(&self) -> Option<(u64, i64)> {
        self.changes.first().map(|free| (free.watch.source.index, free.change.revision))
    }

    /// Whether each revision is of a write of its own.
    pub(super) fn check(&self, clock: Clock, findings: &mut Findings) -> bool {
        let larger = self.writes.iter().any(|write| write.parts.len() > self.effects.len());
        let mut used = 0;
        for Free { change, watch } in &self.changes {
            match self.writes.get(used) {
                Some(write)
                    if write.source.call <= watch.end
                        && !self.writes.iter().all(|write| write.follows(watch)) =>
                {
                    used += 1;
                    if write.follows(watch) {
                        findings.undecided(Rule::Integrity, || {
                            format!("{change}: its watch and several writes are of one moment")
                        });
                    }
                    if larger {
                        findings.undecided(Rule::Integrity, || {
                            format!(
                                "{change}: it may be of a transaction whose revision is unknown"
                            )
                        });
                    }
                }
                _ => {
                    let all = match self.effects.len() {
                        1 => String::new(),
                        more => format!(" and {} more of that revision", more - 1),
                    };
                    findings.violated(
                        Rule::Integrity,
                        &[watch.source],
                        format_args!(
                            "{watch} told {change}{all} by {}, {}",
                            clock.moment(watch.end),
                            self.missing()
                        ),
                    );
                }
            }
        }
        used == self.changes.len()
    }

    fn missing(&self) -> String {
        let that = if self.effects.len() == 1 { "that" } else { "all of that" };
        match self.writes.as_slice() {
            [] => format!("but no write that may have taken effect there does {that}"),
            [write] => format!("but only {write} may have done {that}, later or elsewhere"),
            writes => format!("but only {} writes may have done {that}", writes.len()),
        }
    }

    /// The changes by revision.
    fn ascending(&self) -> Vec<&Free<'a>> {
        let mut changes: Vec<&Free<'_>> = self.changes.iter().collect();
        changes.sort_by_key(|free| free.change.revision);
        changes
    }

    /// Before when each revision was not made: the first ones are of as many writes, so that the last
    /// of these comes no earlier than that many were asked for.
    pub(super) fn earliest(&self) -> impl Iterator<Item = Fact<'a>> {
        self.ascending().into_iter().zip(&self.writes).map(|(free, write)| Fact {
            time: write.source.call,
            revision: free.change.revision,
            by: By::Told(free.change, free.watch, write),
        })
    }

    /// By when each revision was made, by the same reason from the other end.
    pub(super) fn latest(&self) -> impl Iterator<Item = Fact<'a>> {
        let mut writes = self.writes.clone();
        writes.sort_by_key(|write| std::cmp::Reverse(write.acknowledged.unwrap_or(u64::MAX)));
        self.ascending().into_iter().rev().zip(writes).filter_map(|(free, write)| {
            let by = By::Told(free.change, free.watch, write);
            Some(Fact { time: write.acknowledged?, revision: free.change.revision, by })
        })
    }
}
