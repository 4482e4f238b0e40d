//! Changes whose writes nobody told, and the writes that they may be of.

use rustc_hash::FxHashMap;

use super::{
    Findings, Rule,
    fact::{By, Fact, Seen},
    history::{Change, Effect, Write},
    witnesses::{First, Witnesses},
};
use crate::history::Clock;

/// What was told of one revision, to be explained by one write.
pub(super) struct Free<'a> {
    /// The first of it.
    pub(super) change: Change<'a>,
    /// The watches that told any of it and were over first.
    pub(super) told: Witnesses<'a>,
}

impl<'a> Free<'a> {
    pub(super) fn of(told: &[(Change<'a>, Witnesses<'a>)]) -> Option<Self> {
        let &(change, _) = told.first()?;
        let told = Witnesses::of(told.iter().flat_map(|(_, told)| told.iter()))?;
        Some(Self { change, told })
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
        changes.sort_by_key(|free| (free.told.end(), free.change.revision));
        Self { effects, changes, writes: Vec::new() }
    }

    /// Puts buckets into the order of the history.
    pub(super) fn place(&self) -> Option<(u64, i64)> {
        self.changes.first().map(|free| (free.told.one().source.index, free.change.revision))
    }

    /// Whether each revision is of a write of its own, by the moments at which watches were over;
    /// and whether of any, by the turns of processes too. What turns leave over together is found
    /// by what each write came after.
    pub(super) fn check(&self, clock: Clock, findings: &mut Findings) -> bool {
        let first = First::of(self.writes.iter().copied());
        let mut used = 0;
        for Free { change, told } in &self.changes {
            let over_before = first.as_ref().and_then(|first| first.all_after(told));
            if over_before.is_none()
                && self.writes.get(used).is_some_and(|write| write.source.call <= told.end())
            {
                used += 1;
                continue;
            }
            let watch = over_before.unwrap_or(told.one());
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
        if self.writes.iter().any(|write| write.parts.len() > self.effects.len()) {
            for Free { change, .. } in &self.changes {
                findings.undecided(Rule::Integrity, || {
                    format!("{change}: it may be of a transaction whose revision is unknown")
                });
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

    /// By when revisions were made: as many as there are writes that had ended, but for as many as
    /// there are writes too many. What came after all of the revisions is none of these writes.
    pub(super) fn known(&self, seen: &Seen<'a>) -> Vec<Fact<'a>> {
        let revisions = self.ascending();
        let highest = revisions.last().map(|free| free.change.revision);
        let may = |write: &&&Write<'a>| {
            seen.get(&write.source.index).map(|before| before.revision) < highest
        };
        let all = self.writes.iter().filter(may).count();
        let mut facts = Vec::new();
        let mut say = |ended: usize, write: &'a Write<'a>, turn| {
            let made = (revisions.len() + ended).checked_sub(all);
            let last = made.and_then(|made| revisions.get(made.checked_sub(1)?));
            if let (Some(Free { change, told }), Some(time)) = (last, write.acknowledged) {
                let by = By::Told(*change, told.one(), write);
                facts.push(Fact { time, revision: change.revision, by, turn });
            }
        };
        let ended = self.writes.iter().filter(may).filter(|write| write.acknowledged.is_some());
        let mut writes: Vec<&Write<'_>> = ended.copied().collect();
        writes.sort_by_key(|write| (write.acknowledged, write.source.index));
        let mut before = 0;
        for moment in writes.chunk_by(|one, other| one.acknowledged == other.acknowledged) {
            let mut own: FxHashMap<u64, usize> = FxHashMap::default();
            for write in moment {
                let own = own.entry(write.source.process).or_default();
                *own += 1;
                say(before + *own, write, Some(write.source));
            }
            before += moment.len();
            if let [_, .., last] = moment {
                say(before, last, None);
            }
        }
        facts
    }

    /// The changes by revision.
    pub(super) fn ascending(&self) -> Vec<&Free<'a>> {
        let mut changes: Vec<&Free<'_>> = self.changes.iter().collect();
        changes.sort_by_key(|free| free.change.revision);
        changes
    }
}
