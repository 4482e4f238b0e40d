//! Which write each change is, and whether the revisions of writes agree with time.

use std::fmt;

use rustc_hash::FxHashMap;

use super::{
    Findings, Rule,
    history::{Change, History, Watch, Write},
};
use crate::history::{
    Clock,
    generic::{self, Datum},
};

/// Whether each change is some write's.
pub(super) fn check<'a>(history: &'a History<'a>, findings: &mut Findings) {
    let clock = history.clock;
    let acknowledged = Acknowledged::of(history, findings);
    let mut free: FxHashMap<Effect<'_>, Bucket<'_>> = FxHashMap::default();
    for (change, watch) in distinct(history) {
        if !acknowledged.decides(change, watch, findings) {
            free.entry((change.key, change.value)).or_default().changes.push((change, watch));
        }
    }
    // In order of invocation.
    for write in history.writes.iter().filter(|write| write.revision.is_none()) {
        for part in &write.parts {
            if let Some(bucket) = free.get_mut(part) {
                bucket.writes.push(write);
            }
        }
    }
    let mut buckets: Vec<Bucket<'_>> = free.into_values().collect();
    for bucket in &mut buckets {
        bucket.changes.sort_by_key(|(change, watch)| (watch.end, change.revision));
    }
    buckets.sort_by_key(|bucket| bucket.changes.first().map(|(c, w)| (w.source.index, c.revision)));
    for bucket in buckets {
        bucket.check(clock, findings);
    }
    in_time(history, findings);
}

/// A key, and what becomes of it.
type Effect<'a> = (&'a Datum, Option<&'a Datum>);

/// Each change that was told, once, with the watch that told it and was over first.
fn distinct<'a>(history: &'a History<'a>) -> Vec<(Change<'a>, &'a Watch<'a>)> {
    let mut places = FxHashMap::default();
    let mut changes: Vec<(Change<'_>, &Watch<'_>)> = Vec::new();
    for watch in &history.watches {
        for change in watch.changes() {
            let place = *places.entry(change).or_insert(changes.len());
            match changes.get_mut(place) {
                Some((_, first)) if watch.end < first.end => *first = watch,
                Some(_) => {}
                None => changes.push((change, watch)),
            }
        }
    }
    changes
}

/// The writes whose revisions are known.
struct Acknowledged<'a> {
    clock: Clock,
    /// Of each revision: the write that made it. Writes that only delete may have made none.
    owners: FxHashMap<i64, &'a Write<'a>>,
    /// Of each revision and key: what was put.
    puts: FxHashMap<(i64, &'a Datum), &'a Datum>,
    /// Of each revision and key: the delete that was asked for first.
    deletes: FxHashMap<(i64, &'a Datum), &'a Write<'a>>,
}

impl<'a> Acknowledged<'a> {
    fn of(history: &'a History<'a>, findings: &mut Findings) -> Self {
        let (mut owners, mut puts, mut deletes) =
            (FxHashMap::default(), FxHashMap::default(), FxHashMap::default());
        for write in &history.writes {
            let Some(revision) = write.revision else { continue };
            if write.puts() {
                let owner: &Write<'_> = owners.entry(revision).or_insert(write);
                if !std::ptr::eq(owner, write) {
                    findings.violated(
                        Rule::Revisions,
                        &[owner.source, write.source],
                        format_args!("{owner} and {write} were both acknowledged at {revision}"),
                    );
                    continue;
                }
            }
            for &(key, value) in &write.parts {
                match value {
                    Some(value) => {
                        puts.insert((revision, key), value);
                    }
                    None => {
                        deletes.entry((revision, key)).or_insert(write);
                    }
                }
            }
        }
        Self { clock: history.clock, owners, puts, deletes }
    }

    /// Whether a write of that revision says what the change must be.
    fn decides(&self, change: Change<'a>, watch: &Watch<'_>, findings: &mut Findings) -> bool {
        let at = (change.revision, change.key);
        let owner = self.owners.get(&change.revision).copied();
        let delete = self.deletes.get(&at).copied();
        let (write, agrees) = match (owner, delete, change.value) {
            // A delete that was acknowledged says that the key is gone.
            (_, Some(delete), Some(_)) => (delete, false),
            (Some(owner), _, Some(value)) => (owner, self.puts.get(&at) == Some(&value)),
            (Some(owner), None, None) => (owner, false),
            (Some(_), Some(delete), None) if self.puts.contains_key(&at) => (delete, false),
            (Some(owner), Some(_), None) => (owner, owner.parts.contains(&(change.key, None))),
            // One that came later found nothing to delete.
            (None, Some(delete), None) if delete.follows(watch) => return false,
            (None, Some(delete), None) => (delete, true),
            (None, None, _) => return false,
        };
        let operations = [watch.source, write.source];
        if !agrees {
            let summary = format_args!(
                "{watch} told {change}, but at that revision {write} was acknowledged, which is \
                 another"
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
        true
    }
}

/// Changes of one effect at revisions that no acknowledged write has, and the writes they may be.
#[derive(Default)]
struct Bucket<'a> {
    changes: Vec<(Change<'a>, &'a Watch<'a>)>,
    writes: Vec<&'a Write<'a>>,
}

impl Bucket<'_> {
    fn check(&self, clock: Clock, findings: &mut Findings) {
        let mut used = 0;
        for (change, watch) in &self.changes {
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
                    if self.writes.iter().any(|write| write.parts.len() > 1) {
                        findings.undecided(Rule::Integrity, || {
                            format!(
                                "{change}: it may be of a transaction whose revision is unknown"
                            )
                        });
                    }
                }
                _ => findings.violated(
                    Rule::Integrity,
                    &[watch.source],
                    format_args!(
                        "{watch} told {change} by {}, {}",
                        clock.moment(watch.end),
                        self.missing()
                    ),
                ),
            }
        }
    }

    fn missing(&self) -> String {
        match self.writes.as_slice() {
            [] => "but no write that may have taken effect there does that".into(),
            [write] => format!("but only {write} may have done that, later or elsewhere"),
            writes => format!("but only {} writes may have done that", writes.len()),
        }
    }
}

/// Whether each acknowledged write has a higher revision than all that was known before it.
fn in_time(history: &History<'_>, findings: &mut Findings) {
    // What was known, when, and of whom.
    let mut known: Vec<(u64, i64, Known<'_>)> = Vec::new();
    for watch in &history.watches {
        if let Some(horizon) = watch.horizon() {
            known.push((watch.end, horizon, Known::Watch(watch)));
        }
    }
    for write in &history.writes {
        if let (Some(time), Some(revision)) = (write.acknowledged, write.revision) {
            known.push((time, revision, Known::Write(write)));
        }
    }
    // By index: what a process did before a write was over when it asked for that, at that very
    // moment too.
    let mut by_index = known.clone();
    by_index.sort_by_key(|(.., by)| by.source().index);
    known.sort_by_key(|&(time, ..)| time);
    let (mut known, mut by_index) = (known.into_iter().peekable(), by_index.into_iter().peekable());
    let mut highest: Option<(u64, i64, Known<'_>)> = None;
    let mut own: FxHashMap<u64, (u64, i64, Known<'_>)> = FxHashMap::default();
    let higher = |one: (u64, i64, Known<'_>), other: (u64, i64, Known<'_>)| one.1 > other.1;
    for write in &history.writes {
        while let Some(next) = by_index.next_if(|(.., by)| by.source().index < write.source.index) {
            let own = own.entry(next.2.source().process).or_insert(next);
            *own = if higher(next, *own) { next } else { *own };
        }
        let Some(revision) = write.revision else { continue };
        while let Some(next) = known.next_if(|&(time, ..)| time < write.source.call) {
            if highest.is_none_or(|highest| higher(next, highest)) {
                highest = Some(next);
            }
        }
        let own = own.get(&write.source.process).copied();
        let highest =
            highest.into_iter().chain(own).reduce(|a, b| if higher(b, a) { b } else { a });
        let Some((time, before, by)) = highest else { continue };
        // What only deletes may make no revision of its own.
        if revision < before || (revision == before && write.puts()) {
            findings.violated(
                Rule::Revisions,
                &[by.source(), write.source],
                format_args!(
                    "{write} was asked for at {} and acknowledged at revision {revision}, but {by} \
                     had been told of revision {before} by {}",
                    history.clock.moment(write.source.call),
                    history.clock.moment(time)
                ),
            );
        }
    }
}

/// Who knew of a revision.
#[derive(Clone, Copy)]
enum Known<'a> {
    Watch(&'a Watch<'a>),
    Write(&'a Write<'a>),
}

impl<'a> Known<'a> {
    fn source(self) -> &'a generic::Operation<'a> {
        match self {
            Self::Watch(watch) => watch.source,
            Self::Write(write) => write.source,
        }
    }
}

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watch(watch) => watch.fmt(f),
            Self::Write(write) => write.fmt(f),
        }
    }
}
