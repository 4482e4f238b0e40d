//! Acknowledged writes of which nobody knows where they belong.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Findings, Rule,
    history::{Effect, Filter, History, Watch},
};
use crate::{
    budget::{Budget, Spent},
    history::generic::Datum,
};

/// Looks for writes that watches may have left out, and nobody can tell.
pub(super) fn check<'a>(
    history: &'a History<'a>,
    budget: &Budget,
    findings: &mut Findings,
) -> Result<(), Spent> {
    budget.time()?;
    let mut told = told(history);
    budget.time()?;
    let ends = Ends::of(history);
    for write in &history.writes {
        if write.acknowledged.is_none() || write.revision.is_some() {
            continue;
        }
        budget.time()?;
        for part in &write.parts {
            if let Some(left) = told.get_mut(part)
                && *left > 0
            {
                *left -= 1;
            } else if ends.last(part.0).is_some_and(|end| write.source.call <= end) {
                for rule in [Rule::Reliable, Rule::Resumable] {
                    findings.undecided(rule, || {
                        format!("that of {write}: it was acknowledged without a revision")
                    });
                }
            }
        }
    }
    Ok(())
}

/// Of each change without its revision: how many were told that no acknowledged write claims.
fn told<'a>(history: &'a History<'a>) -> FxHashMap<Effect<'a>, usize> {
    let mut told: FxHashMap<Effect<'_>, usize> = FxHashMap::default();
    let mut distinct = FxHashSet::default();
    let claimed: FxHashSet<(i64, &Datum)> = history
        .writes
        .iter()
        .filter_map(|write| write.revision.map(|revision| (revision, write)))
        .flat_map(|(revision, write)| write.parts.iter().map(move |(key, _)| (revision, *key)))
        .collect();
    for change in history.watches.iter().flat_map(Watch::changes) {
        if distinct.insert(change) && !claimed.contains(&(change.revision, change.key)) {
            *told.entry((change.key, change.value)).or_default() += 1;
        }
    }
    told
}

/// When the last watch that told something was over, of those with each filter.
#[derive(Default)]
struct Ends<'a> {
    all: Option<u64>,
    keys: FxHashMap<&'a Datum, u64>,
    prefixes: FxHashMap<&'a str, u64>,
    /// How long prefixes are.
    lengths: BTreeSet<usize>,
}

impl<'a> Ends<'a> {
    fn of(history: &History<'a>) -> Self {
        let mut ends = Self::default();
        for watch in history.watches.iter().filter(|watch| watch.horizon().is_some()) {
            let end = match watch.filter {
                Filter::All => ends.all.get_or_insert_default(),
                Filter::Key(key) => ends.keys.entry(key).or_default(),
                Filter::Prefix(prefix) => {
                    ends.lengths.insert(prefix.len());
                    ends.prefixes.entry(prefix).or_default()
                }
            };
            *end = watch.end.max(*end);
        }
        ends
    }

    /// Of those that take this key.
    fn last(&self, key: &Datum) -> Option<u64> {
        let by_prefix = key.text().into_iter().flat_map(|text| {
            let lengths = self.lengths.range(..=text.len());
            lengths.filter_map(|&length| self.prefixes.get(text.get(..length)?))
        });
        self.keys.get(key).into_iter().chain(by_prefix).chain(&self.all).copied().max()
    }
}
