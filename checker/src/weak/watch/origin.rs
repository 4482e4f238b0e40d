//! Which write each change is, and whether the revisions of writes agree with time.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Findings, Rule,
    bucket::{Bucket, Free},
    history::{Change, EMPTY, Effect, History, Watch, Write},
    presence,
};
use crate::{
    budget::{Budget, Spent},
    history::{
        Clock,
        generic::{self, Datum},
    },
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
    let mut facts = Facts::of(history);
    for bucket in &buckets {
        budget.time()?;
        if bucket.check(clock, findings) {
            facts.claims.extend(bucket.earliest());
            facts.known.extend(bucket.latest());
        }
    }
    budget.time()?;
    facts.check(clock, findings);
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

/// A change that was told, with the watch that told it and was over first.
type Told<'a> = (Change<'a>, &'a Watch<'a>);

/// Of each revision, the changes that were told of it, each once, by key.
fn by_revision<'a>(
    history: &'a History<'a>,
    budget: &Budget,
) -> Result<BTreeMap<i64, Vec<Told<'a>>>, Spent> {
    let mut places = FxHashMap::default();
    let mut changes: Vec<Told<'_>> = Vec::new();
    for watch in &history.watches {
        budget.time()?;
        for change in watch.changes() {
            let place = *places.entry(change).or_insert(changes.len());
            match changes.get_mut(place) {
                Some((_, first)) if watch.end < first.end => *first = watch,
                Some(_) => {}
                None => changes.push((change, watch)),
            }
        }
    }
    let mut revisions: BTreeMap<i64, Vec<Told<'_>>> = BTreeMap::new();
    for told in changes {
        revisions.entry(told.0.revision).or_default().push(told);
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

    /// The changes of a revision that no acknowledged write explains or refutes, in groups that must
    /// be of one write each.
    fn unexplained(
        &self,
        revision: i64,
        mut told: Vec<Told<'a>>,
        findings: &mut Findings,
    ) -> Vec<Vec<Told<'a>>> {
        if revision <= EMPTY {
            for (change, watch) in told {
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
        told.retain(|&(change, watch)| {
            // A delete that was acknowledged says that the key is gone.
            let gone = || self.gone.get(&(revision, change.key)).copied();
            let delete = change.value.and_then(|_| gone());
            let Some(write) = delete.or(owner) else { return true };
            let operations = [watch.source, write.source];
            if delete.is_some() || !write.does(&(change.key, change.value)) {
                let summary = format_args!(
                    "{watch} told {change}, but at that revision {write} was acknowledged, which \
                     is another"
                );
                findings.violated(Rule::Integrity, &operations, summary);
            } else if write.follows(watch) {
                let summary = format_args!(
                    "{watch} told {change} and was over at {}, but {write} was asked for at {}",
                    self.clock.moment(watch.end),
                    self.clock.moment(write.source.call)
                );
                findings.violated(Rule::Integrity, &operations, summary);
            }
            false
        });
        let first = told.iter().map(|(_, watch)| watch).min_by_key(|watch| watch.end);
        let explains = |write: &&Write<'_>| {
            // One that came later found nothing to delete.
            first.is_some_and(|watch| !write.follows(watch))
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

/// What is known of revisions and time.
struct Facts<'a> {
    /// That a revision was made, by a certain time.
    known: Vec<Fact<'a>>,
    /// That a revision was not made before a certain time.
    claims: Vec<Fact<'a>>,
}

/// A revision, and the time by which or from which on it was made.
#[derive(Clone, Copy)]
pub(super) struct Fact<'a> {
    pub(super) time: u64,
    pub(super) revision: i64,
    pub(super) by: By<'a>,
}

/// Who says so.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    Watch(&'a Watch<'a>),
    Write(&'a Write<'a>),
    /// A change that was told and the write that sets the bound.
    Told(Change<'a>, &'a Watch<'a>, &'a Write<'a>),
}

impl<'a> By<'a> {
    /// The operation that knows it.
    fn source(self) -> Option<&'a generic::Operation<'a>> {
        match self {
            Self::Watch(watch) => Some(watch.source),
            Self::Write(write) => Some(write.source),
            Self::Told(..) => None,
        }
    }
}

impl<'a> Facts<'a> {
    fn of(history: &'a History<'a>) -> Self {
        let (mut known, mut claims) = (Vec::new(), Vec::new());
        for watch in &history.watches {
            if let Some(revision) = watch.horizon() {
                known.push(Fact { time: watch.end, revision, by: By::Watch(watch) });
            }
        }
        for write in &history.writes {
            if let (Some(acknowledged), Some(revision)) = (write.acknowledged, write.revision) {
                let by = By::Write(write);
                known.push(Fact { time: acknowledged, revision, by });
                claims.push(Fact { time: write.source.call, revision, by });
            }
        }
        Self { known, claims }
    }

    /// Whether each revision is higher than all that were made before its write was asked for.
    fn check(mut self, clock: Clock, findings: &mut Findings) {
        // By index: what a process did before a write was over when it asked for that, at that very
        // moment too.
        let of_operation = |fact: &Fact<'a>| Some((fact.by.source()?, *fact));
        let mut by_index: Vec<_> = self.known.iter().filter_map(of_operation).collect();
        by_index.sort_by_key(|(source, _)| source.index);
        let mut by_index = by_index.into_iter().peekable();
        self.known.sort_by_key(|fact| fact.time);
        self.claims.sort_by_key(|fact| fact.time);
        let mut known = self.known.into_iter().peekable();
        let mut highest: Option<Fact<'_>> = None;
        let mut own: FxHashMap<u64, Fact<'_>> = FxHashMap::default();
        let higher = |one: Fact<'a>, other: Fact<'a>| {
            if other.revision > one.revision { other } else { one }
        };
        for claim in self.claims {
            while let Some(next) = known.next_if(|fact| fact.time < claim.time) {
                highest = Some(highest.map_or(next, |highest| higher(highest, next)));
            }
            let mut before = highest;
            if let By::Write(write) = claim.by {
                let index = write.source.index;
                while let Some((source, next)) =
                    by_index.next_if(|(source, _)| source.index < index)
                {
                    let own = own.entry(source.process).or_insert(next);
                    *own = higher(*own, next);
                }
                let own = own.get(&write.source.process).copied();
                before = before.into_iter().chain(own).reduce(higher);
            }
            let Some(before) = before else { continue };
            // What only deletes may make no revision of its own.
            let own = !matches!(claim.by, By::Write(write) if !write.puts());
            if claim.revision < before.revision || (claim.revision == before.revision && own) {
                tell(claim, before, clock, findings);
            }
        }
    }
}

fn tell(claim: Fact<'_>, before: Fact<'_>, clock: Clock, findings: &mut Findings) {
    let Fact { time, revision, by } = claim;
    let asked = clock.moment(time);
    let (mut operations, late) = match by {
        By::Told(change, watch, write) => (
            vec![watch.source, write.source],
            format!(
                "{watch} told {change}, which was asked for at {asked} ({write}) and no earlier"
            ),
        ),
        By::Write(write) => (
            vec![write.source],
            format!("{write} was asked for at {asked} and acknowledged at revision {revision}"),
        ),
        By::Watch(_) => return,
    };
    let Fact { time, revision, by } = before;
    let (sources, early) = match by {
        By::Watch(watch) => {
            (vec![watch.source], format!("{watch} had been told of revision {revision}"))
        }
        By::Write(write) => {
            (vec![write.source], format!("{write} had been told of revision {revision}"))
        }
        By::Told(change, watch, write) => (
            vec![watch.source, write.source],
            format!("{change}, told by {watch}, had taken place ({write})"),
        ),
    };
    operations.splice(..0, sources);
    let summary = format_args!("{late}, but {early} by {}", clock.moment(time));
    findings.violated(Rule::Revisions, &operations, summary);
}
