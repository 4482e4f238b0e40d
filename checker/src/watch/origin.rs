//! Which write each change is.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Findings, Rule,
    bucket::{Bucket, Free},
    history::{Change, EMPTY, Effect, History, Watch, Write},
    past, presence,
    witnesses::Witnesses,
};
use crate::{
    budget::{Budget, Spent},
    history::{Clock, generic::Datum},
};

/// Whether each change is some write's.
pub(super) fn check<'a>(
    history: &'a History<'a>,
    budget: &Budget,
    findings: &mut Findings,
) -> Result<(), Spent> {
    let clock = history.clock;
    let acknowledged = Acknowledged::of(history, findings);
    let mut free: FxHashMap<Vec<Effect<'_>>, Vec<Free<'_>>> = FxHashMap::default();
    for (revision, told) in by_revision(history, budget)? {
        budget.time()?;
        for group in acknowledged.unexplained(revision, told, findings) {
            let effects = group.iter().map(|(change, _)| (change.key, change.value)).collect();
            free.entry(effects).or_default().extend(Free::of(&group));
        }
    }
    let mut buckets: Vec<Bucket<'_>> =
        free.into_iter().map(|(effects, changes)| Bucket::new(effects, changes)).collect();
    buckets.sort_by_key(Bucket::place);
    give(history, &mut buckets, budget)?;
    let mut explained = Vec::new();
    for bucket in &buckets {
        budget.time()?;
        if bucket.check(clock, findings) {
            explained.push(bucket);
        }
    }
    budget.time()?;
    past::check(history, &explained, budget, findings)?;
    presence::check(history, &buckets, budget, findings)
}

/// Gives each bucket the writes that may have done all of what is in it, in order of invocation.
fn give<'a>(
    history: &'a History<'a>,
    buckets: &mut [Bucket<'a>],
    budget: &Budget,
) -> Result<(), Spent> {
    let mut common: FxHashMap<Effect<'_>, usize> = FxHashMap::default();
    for effect in buckets.iter().flat_map(|bucket| &bucket.effects) {
        *common.entry(*effect).or_default() += 1;
    }
    // Each is found by the one of its effects that fewest others have.
    let mut rarest: FxHashMap<Effect<'_>, Vec<usize>> = FxHashMap::default();
    for (at, bucket) in buckets.iter().enumerate() {
        let effect = bucket.effects.iter().min_by_key(|effect| common[*effect]);
        if let Some(&effect) = effect {
            rarest.entry(effect).or_default().push(at);
        }
    }
    let mut given = 0;
    for write in history.writes.iter().filter(|write| write.revision.is_none()) {
        budget.both(history.bytes + given * size_of::<&Write<'_>>())?;
        for part in &write.parts {
            for &at in rarest.get(part).map_or(&[][..], Vec::as_slice) {
                if buckets[at].effects.iter().all(|effect| write.does(effect)) {
                    buckets[at].writes.push(write);
                    given += 1;
                }
            }
        }
    }
    Ok(())
}

/// A change that was told, with the watches that told it and were over first.
type Told<'a> = (Change<'a>, Witnesses<'a>);

/// Of each revision, the changes that were told of it, each once, by key.
fn by_revision<'a>(
    history: &'a History<'a>,
    budget: &Budget,
) -> Result<BTreeMap<i64, Vec<Told<'a>>>, Spent> {
    let mut places = FxHashMap::default();
    let mut changes: Vec<(Change<'_>, Vec<&Watch<'_>>)> = Vec::new();
    for watch in &history.watches {
        budget.time()?;
        for change in watch.changes() {
            let place = *places.entry(change).or_insert(changes.len());
            match changes.get_mut(place) {
                Some((_, told)) => told.push(watch),
                None => changes.push((change, vec![watch])),
            }
        }
    }
    let mut revisions: BTreeMap<i64, Vec<Told<'_>>> = BTreeMap::new();
    for (change, watches) in changes {
        let told = Witnesses::of(watches).map(|told| (change, told));
        revisions.entry(change.revision).or_default().extend(told);
    }
    for told in revisions.values_mut() {
        told.sort_by_key(|(change, _)| (change.key, change.value));
    }
    Ok(revisions)
}

/// The writes whose revisions are known.
struct Acknowledged<'a> {
    clock: Clock,
    /// Of each revision: the write that made it. Writes that only delete may have made none.
    owners: FxHashMap<i64, &'a Write<'a>>,
    /// Of each revision: the writes that only delete and were acknowledged at it.
    deletes: FxHashMap<i64, Vec<&'a Write<'a>>>,
    /// Of each revision and key: the first of these that deletes it.
    gone: FxHashMap<(i64, &'a Datum), &'a Write<'a>>,
}

impl<'a> Acknowledged<'a> {
    fn of(history: &'a History<'a>, findings: &mut Findings) -> Self {
        let mut owners = FxHashMap::default();
        let mut deletes: FxHashMap<i64, Vec<&Write<'_>>> = FxHashMap::default();
        let mut gone = FxHashMap::default();
        for write in &history.writes {
            let Some(revision) = write.revision else { continue };
            if revision < EMPTY + i64::from(write.puts()) {
                findings.violated(
                    Rule::Revisions,
                    &[write.source],
                    format_args!(
                        "{write} was acknowledged at revision {revision}, but the empty store is at \
                         {EMPTY} and each write makes a higher one"
                    ),
                );
            }
            if !write.puts() {
                deletes.entry(revision).or_default().push(write);
                for (key, _) in &write.parts {
                    gone.entry((revision, *key)).or_insert(write);
                }
                continue;
            }
            let owner: &Write<'_> = owners.entry(revision).or_insert(write);
            if !std::ptr::eq(owner, write) {
                findings.violated(
                    Rule::Revisions,
                    &[owner.source, write.source],
                    format_args!("{owner} and {write} were both acknowledged at {revision}"),
                );
            }
        }
        Self { clock: history.clock, owners, deletes, gone }
    }

    /// The changes of a revision that no acknowledged write explains or refutes, in groups that
    /// must be of one write each.
    fn unexplained(
        &self,
        revision: i64,
        mut told: Vec<Told<'a>>,
        findings: &mut Findings,
    ) -> Vec<Vec<Told<'a>>> {
        if revision <= EMPTY {
            for (change, told) in told {
                let watch = told.one();
                let summary = format_args!(
                    "{watch} told {change}, but the empty store is at {EMPTY} and each write makes a \
                     higher one"
                );
                findings.violated(Rule::Integrity, &[watch.source], summary);
            }
            return Vec::new();
        }
        let owner = self.owners.get(&revision).copied();
        let deletes = self.deletes.get(&revision).map_or(&[][..], Vec::as_slice);
        told.retain(|(change, told)| {
            let change = *change;
            // A delete that was acknowledged says that the key is gone.
            let gone = || self.gone.get(&(revision, change.key)).copied();
            let delete = change.value.and_then(|_| gone());
            let Some(write) = delete.or(owner) else { return true };
            let over_before = told.over_before(write);
            let watch = over_before.unwrap_or(told.one());
            let operations = [watch.source, write.source];
            if delete.is_some() || !write.does(&(change.key, change.value)) {
                let summary = format_args!(
                    "{watch} told {change}, but at that revision {write} was acknowledged, which \
                     is another"
                );
                findings.violated(Rule::Integrity, &operations, summary);
            } else if over_before.is_some() {
                let summary = format_args!(
                    "{watch} told {change} and was over at {}, but {write} was asked for at {}",
                    self.clock.moment(watch.end),
                    self.clock.moment(write.source.call)
                );
                findings.violated(Rule::Integrity, &operations, summary);
            }
            false
        });
        let first = Witnesses::of(told.iter().flat_map(|(_, told)| told.iter()));
        let explains = |write: &&Write<'_>| {
            // One that came later found nothing to delete.
            first.as_ref().is_some_and(|first| first.over_before(write).is_none())
                && told.iter().all(|(change, _)| write.does(&(change.key, change.value)))
        };
        let keys: FxHashSet<&Datum> = told.iter().map(|(change, _)| change.key).collect();
        if told.is_empty() || deletes.iter().any(explains) {
            Vec::new()
        } else if keys.len() == told.len() {
            vec![told]
        } else {
            // Watches disagree, and nobody knows who is right.
            told.into_iter().map(|one| vec![one]).collect()
        }
    }
}
