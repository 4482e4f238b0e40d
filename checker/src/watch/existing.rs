//! The changes that exist, and which watches did not tell them.

use std::{
    collections::{BTreeMap, hash_map::Entry},
    ops::{Bound, Range},
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Findings, Rule,
    history::{Change, EMPTY, Filter, History, Watch, Write},
};
use crate::{
    budget::{Budget, Spent},
    history::generic::{Datum, Operation},
};

/// A change that exists.
#[derive(Clone, Copy)]
struct Existing<'a> {
    /// The lowest revision that it may have: another one than `revision` only where a delete was
    /// acknowledged and nobody told whether that, or another before it, found the key.
    since: i64,
    /// The highest.
    revision: i64,
    value: Option<&'a Datum>,
    /// Whether it certainly is at `revision`.
    certain: bool,
    /// What says so.
    by: By<'a>,
}

#[derive(Clone, Copy)]
enum By<'a> {
    Watch(&'a Watch<'a>),
    Write(&'a Write<'a>),
}

impl<'a> By<'a> {
    fn source(self) -> &'a Operation<'a> {
        match self {
            Self::Watch(watch) => watch.source,
            Self::Write(write) => write.source,
        }
    }
}

/// Of each key that has changes: those, by revision.
type Keys<'a> = BTreeMap<&'a Datum, Vec<Existing<'a>>>;

/// Changes with their keys, by revision.
type Changes<'k, 'a> = Vec<(&'a Datum, &'k Existing<'a>)>;

/// Whether watches agree, and whether each told what it had to.
pub(super) fn check<'a>(
    history: &'a History<'a>,
    budget: &Budget,
    findings: &mut Findings,
) -> Result<(), Spent> {
    agreement(history, budget, findings)?;
    let keys = existing(history);
    let asked = asked(history, &keys, budget)?;
    for watch in &history.watches {
        budget.time()?;
        missing(watch, &asked[&watch.filter], findings);
    }
    Ok(())
}

/// No two changes of one key at one revision.
fn agreement<'a>(
    history: &'a History<'a>,
    budget: &Budget,
    findings: &mut Findings,
) -> Result<(), Spent> {
    let mut told: FxHashMap<(i64, &Datum), (Change<'_>, &Watch<'_>)> = FxHashMap::default();
    for watch in &history.watches {
        budget.time()?;
        for change in watch.changes() {
            let (first, other) =
                *told.entry((change.revision, change.key)).or_insert((change, watch));
            if first != change {
                findings.violated(
                    Rule::Agreement,
                    &[other.source, watch.source],
                    format_args!("{watch} told {change}, and {other} told {first}"),
                );
            }
        }
    }
    Ok(())
}

fn existing<'a>(history: &'a History<'a>) -> Keys<'a> {
    let mut keys = Keys::new();
    let mut add = |key, revision, value: Option<&'a Datum>, certain, by| {
        let existing = Existing { since: revision, revision, value, certain, by };
        keys.entry(key).or_default().push(existing);
    };
    for watch in &history.watches {
        for change in watch.changes() {
            add(change.key, change.revision, change.value, true, By::Watch(watch));
        }
    }
    for write in &history.writes {
        let Some(revision) = write.revision else { continue };
        for &(key, value) in &write.parts {
            add(key, revision, value, value.is_some(), By::Write(write));
        }
    }
    for changes in keys.values_mut() {
        // Where watches disagree, the delete stands, from which nothing follows.
        changes.sort_by_key(|change| (change.revision, !change.certain, change.value.is_some()));
        let mut before: Option<Existing<'_>> = None;
        changes.retain_mut(|change| {
            let keep = match before {
                Some(before) if before.revision == change.revision => false,
                Some(Existing { revision, value: Some(_), .. }) if !change.certain => {
                    change.since = revision + 1;
                    true
                }
                _ => change.certain,
            };
            if keep {
                before = Some(*change);
            }
            keep
        });
    }
    keys
}

/// Of each filter that a watch has: the changes of all keys that it takes.
fn asked<'k, 'a>(
    history: &'a History<'a>,
    keys: &'k Keys<'a>,
    budget: &Budget,
) -> Result<FxHashMap<Filter<'a>, Changes<'k, 'a>>, Spent> {
    let mut asked: FxHashMap<Filter<'_>, Changes<'_, '_>> = FxHashMap::default();
    let mut held = history.bytes;
    for &Watch { filter, .. } in &history.watches {
        let Entry::Vacant(place) = asked.entry(filter) else { continue };
        budget.both(held)?;
        let mut changes = Vec::new();
        let add = |(key, of_key): (&&'a Datum, &'k Vec<Existing<'a>>)| {
            changes.extend(of_key.iter().map(|change| (*key, change)));
        };
        match filter {
            Filter::All => keys.iter().for_each(add),
            Filter::Key(key) => keys.get_key_value(key).into_iter().for_each(add),
            Filter::Prefix(prefix) => {
                let lowest = Datum::Text(prefix.into());
                keys.range::<Datum, _>((Bound::Included(&lowest), Bound::Unbounded))
                    .take_while(|(key, _)| filter.takes(key))
                    .for_each(add);
            }
        }
        changes.sort_by_key(|(_, change)| change.revision);
        held += size_of_val(changes.as_slice());
        place.insert(changes);
    }
    Ok(asked)
}

/// What this watch should have told and did not, of all that it asked for.
fn missing<'a>(watch: &Watch<'a>, asked: &Changes<'_, 'a>, findings: &mut Findings) {
    let Some(horizon) = watch.horizon() else { return };
    let told: FxHashSet<(i64, &Datum)> =
        watch.changes().map(|change| (change.revision, change.key)).collect();
    let end = horizon.saturating_add(1);
    let mut miss = |since, range: Range<i64>, rule, why: &str| {
        if let Some((key, change)) = earliest(asked, since, range.clone(), &told) {
            tell(watch, key, change, rule, why, findings);
        } else if let Some(hole) = hole(watch, range) {
            findings.violated(
                rule,
                &[watch.source],
                format_args!(
                    "{watch} told nothing of revision {hole}, which exists as revisions have no \
                     holes and {why}"
                ),
            );
        }
    };
    if let Some(from) = watch.from {
        let begun = watch.changes().map(|change| change.revision).filter(|&r| r >= from).min();
        let first = begun.unwrap_or(end);
        let why = format!("is from revision {from}, where it was to begin, on");
        miss(from, from..first.min(end), Rule::Resumable, &why);
        let why = format!("is between what it told first, at revision {first}, and {horizon}");
        miss(from, first..end, Rule::Reliable, &why);
    } else if let Some(first) = watch.begins() {
        let why = format!("is between where it had begun by, revision {first}, and {horizon}");
        miss(first, first..end, Rule::Reliable, &why);
    }
}

/// A revision of which a watch of all keys told nothing, though it must have made some change.
fn hole(watch: &Watch<'_>, range: Range<i64>) -> Option<i64> {
    if !matches!(watch.filter, Filter::All) {
        return None;
    }
    let mut told: Vec<i64> =
        watch.changes().map(|change| change.revision).filter(|r| range.contains(r)).collect();
    told.sort_unstable();
    told.dedup();
    let start = range.start.max(EMPTY + 1);
    let mut revisions = told.into_iter().filter(|revision| *revision >= start);
    (start..range.end).find(|revision| revisions.next() != Some(*revision))
}

/// The first change that lies after `since` and ends in this range, and that was not told.
fn earliest<'k, 'a>(
    asked: &Changes<'k, 'a>,
    since: i64,
    range: Range<i64>,
    told: &FxHashSet<(i64, &'a Datum)>,
) -> Option<(&'a Datum, &'k Existing<'a>)> {
    let start = asked.partition_point(|(_, change)| change.revision < range.start);
    asked[start..]
        .iter()
        .take_while(|(_, change)| change.revision < range.end)
        .find(|(key, change)| change.since >= since && !told.contains(&(change.revision, key)))
        .copied()
}

fn tell(
    watch: &Watch<'_>,
    key: &Datum,
    change: &Existing<'_>,
    rule: Rule,
    why: &str,
    findings: &mut Findings,
) {
    let Existing { since, revision, value, certain, by } = *change;
    let what = if certain {
        Change { revision, key, value }.to_string()
    } else {
        format!("a delete of key {key} at one of the revisions {since} to {revision}")
    };
    let known = match by {
        By::Watch(other) => format!("told by {other}"),
        By::Write(write) if certain => format!("acknowledged to {write}"),
        By::Write(write) => {
            format!("certain since {write} was acknowledged at {revision} and the key had been put")
        }
    };
    findings.violated(
        rule,
        &[watch.source, by.source()],
        format_args!("{watch} did not tell {what}, which is {known} and {why}"),
    );
}
