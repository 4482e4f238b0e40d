//! Whether each delete found its key, or may have found nothing: a key is there from a put to the
//! next delete, and a delete that finds nothing makes no revision.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Findings, Rule,
    bucket::Bucket,
    history::{Change, EMPTY, History, Watch, Write},
    witnesses::{First, Witnesses},
};
use crate::{
    budget::{Budget, Spent},
    history::generic::Datum,
};

/// What is known of one key at one revision.
#[derive(Default)]
struct Moment<'a> {
    /// Whether it was put.
    put: bool,
    /// The put that was acknowledged.
    put_by: Option<&'a Write<'a>>,
    /// The watches that told its delete.
    told: Vec<&'a Watch<'a>>,
    /// Of those that asked for the key, the one that begins first.
    asked: Option<&'a Watch<'a>>,
    /// A delete that was acknowledged: by then it is gone.
    gone_by: Option<&'a Write<'a>>,
}

/// Of each key: its moments by revision.
type Keys<'a> = BTreeMap<&'a Datum, BTreeMap<i64, Moment<'a>>>;

/// Looks at each delete that was told or acknowledged.
pub(super) fn check<'a>(
    history: &'a History<'a>,
    buckets: &[Bucket<'a>],
    budget: &Budget,
    findings: &mut Findings,
) -> Result<(), Spent> {
    let owned = Owned::of(history);
    let unknown = Puts::of(history, buckets);
    for (key, moments) in moments(history) {
        budget.time()?;
        // Since when it is there, or gone; or neither is known.
        let mut there = Some((false, EMPTY));
        for (revision, moment) in moments {
            let state = there;
            there = match (moment.put, !moment.told.is_empty() || moment.gone_by.is_some()) {
                (true, true) => None,
                (put, _) => Some((put, revision)),
            };
            if let (Some(put), Some(delete)) = (moment.put_by, moment.gone_by)
                && !std::ptr::eq(put, delete)
            {
                findings.violated(
                    Rule::Revisions,
                    &[put.source, delete.source],
                    format_args!(
                        "{put} and {delete} were both acknowledged at {revision}, at which key \
                         {key} cannot be both there and gone"
                    ),
                );
            } else if let (Some((true, since)), Some(delete), true, false) =
                (state, moment.gone_by, moment.told.is_empty(), moment.put)
                && !delete.puts()
                && owned.all(since + 1, revision)
            {
                findings.violated(
                    Rule::Revisions,
                    &[delete.source],
                    format_args!(
                        "{delete} was acknowledged at {revision}, but key {key} had been put at \
                         {since}, and all revisions since are of other writes"
                    ),
                );
            } else if let (Some((false, since)), false) = (state, moment.put)
                && let Some((watch, why)) =
                    absent(key, (since, revision), &moment, &owned, &unknown)
            {
                let change = Change { revision, key, value: None };
                findings.violated(
                    Rule::Integrity,
                    &[watch.source],
                    format_args!("{watch} told {change}, but the key was not there: {why}"),
                );
            }
        }
    }
    Ok(())
}

/// Who told of a delete, and why the key was certainly not there, if it was gone at the one
/// revision and deleted at the other.
fn absent<'a>(
    key: &Datum,
    (since, revision): (i64, i64),
    moment: &Moment<'a>,
    owned: &Owned,
    unknown: &Puts<'a>,
) -> Option<(&'a Watch<'a>, String)> {
    let told = Witnesses::of(moment.told.iter().copied())?;
    if owned.all(since + 1, revision - 1) {
        return Some((told.one(), format!("no revision from {since} on can have put it")));
    }
    let asked = moment.asked.filter(|w| w.begins().is_some_and(|begins| begins <= since + 1));
    if let Some(asked) = asked {
        let why = format!("that watch told no put of it from revision {since} on");
        return Some((asked, why));
    }
    let watch = unknown.none(key, &told)?;
    Some((watch, format!("nobody put it from revision {since} on")))
}

fn moments<'a>(history: &'a History<'a>) -> Keys<'a> {
    let mut keys = Keys::new();
    for watch in &history.watches {
        for Change { revision, key, value } in watch.changes() {
            let moment = keys.entry(key).or_default().entry(revision).or_default();
            moment.put |= value.is_some();
            if value.is_some() {
                continue;
            }
            moment.told.push(watch);
            if watch.filter.takes(key)
                && moment.asked.is_none_or(|other| watch.begins() < other.begins())
            {
                moment.asked = Some(watch);
            }
        }
    }
    for write in &history.writes {
        let Some(revision) = write.revision else { continue };
        for &(key, value) in &write.parts {
            let moment = keys.entry(key).or_default().entry(revision).or_default();
            match value {
                Some(_) => {
                    moment.put = true;
                    moment.put_by.get_or_insert(write);
                }
                // The one that made the revision, rather than one that found nothing.
                None if moment.gone_by.is_none_or(|other| !other.puts() && write.puts()) => {
                    moment.gone_by = Some(write);
                }
                None => {}
            }
        }
    }
    keys
}

/// The revisions of acknowledged writes that put something, in order.
struct Owned(Vec<i64>);

impl Owned {
    fn of(history: &History<'_>) -> Self {
        let puts = history.writes.iter().filter(|write| write.puts());
        let mut revisions: Vec<i64> = puts.filter_map(|write| write.revision).collect();
        revisions.sort_unstable();
        revisions.dedup();
        Self(revisions)
    }

    /// Whether all these revisions, or there are none.
    fn all(&self, first: i64, last: i64) -> bool {
        let below = |end: i64| self.0.partition_point(|revision| *revision < end) as i64;
        last < first || below(last.saturating_add(1)) - below(first) == last - first + 1
    }
}

/// Puts whose revisions nobody told.
struct Puts<'a> {
    /// Of each key: how many they are, and the first.
    puts: FxHashMap<&'a Datum, (usize, First<'a>)>,
    /// Of each key: at how many revisions they were told.
    told: FxHashMap<&'a Datum, usize>,
}

impl<'a> Puts<'a> {
    fn of(history: &'a History<'a>, buckets: &[Bucket<'a>]) -> Self {
        let mut puts: FxHashMap<&Datum, (usize, First<'_>)> = FxHashMap::default();
        for write in history.writes.iter().filter(|write| write.revision.is_none()) {
            for (key, _) in write.parts.iter().filter(|(_, value)| value.is_some()) {
                let (count, first) = puts.entry(key).or_insert_with(|| (0, First::new(write)));
                *count += 1;
                first.add(write);
            }
        }
        let mut revisions: FxHashSet<(&Datum, i64)> = FxHashSet::default();
        for bucket in buckets {
            for (key, _) in bucket.effects.iter().filter(|(_, value)| value.is_some()) {
                revisions.extend(bucket.changes.iter().map(|free| (*key, free.change.revision)));
            }
        }
        let mut told: FxHashMap<&Datum, usize> = FxHashMap::default();
        for (key, _) in revisions {
            *told.entry(key).or_default() += 1;
        }
        Self { puts, told }
    }

    /// A watch that was over before any that is left was asked for.
    fn none(&self, key: &Datum, told: &Witnesses<'a>) -> Option<&'a Watch<'a>> {
        let Some((count, first)) = self.puts.get(key) else { return Some(told.one()) };
        if *count <= self.told.get(key).copied().unwrap_or(0) {
            return Some(told.one());
        }
        first.all_after(told)
    }
}
