//! How far the store had come when each write was asked for: what the write makes is a higher
//! revision.

use rustc_hash::FxHashMap;

use super::{
    Findings, Rule,
    bucket::{Bucket, Free},
    fact::{By, Fact, Seen},
    history::{History, Write},
};
use crate::{
    budget::{Budget, Spent},
    history::{Clock, generic::Operation},
};

/// Whether each revision is higher than all that were made before its write was asked for.
pub(super) fn check<'a>(
    history: &'a History<'a>,
    buckets: &[&Bucket<'a>],
    budget: &Budget,
    findings: &mut Findings,
) -> Result<(), Spent> {
    let clock = history.clock;
    let mut known = known(history);
    let first = seen(history, known.clone());
    known.extend(buckets.iter().flat_map(|bucket| bucket.known(&first)));
    drop(first);
    let seen = seen(history, known);
    for write in &history.writes {
        let (Some(revision), Some(before)) = (write.revision, seen.get(&write.source.index)) else {
            continue;
        };
        // What only deletes may make no revision of its own.
        if revision < before.revision || (revision == before.revision && write.puts()) {
            let asked = clock.moment(write.source.call);
            let late =
                format!("{write} was asked for at {asked} and acknowledged at revision {revision}");
            tell(&late, &[write.source], before, clock, findings);
        }
    }
    for bucket in buckets {
        budget.time()?;
        // The first n revisions are of n writes, and any write may be of all revisions that are
        // higher than what it came after. So nothing is lost by giving the lowest revisions to
        // those that came after least.
        let mut writes: Vec<_> =
            bucket.writes.iter().map(|write| (seen.get(&write.source.index), write)).collect();
        writes.sort_by_key(|(before, write)| (before.map(|b| b.revision), write.source.index));
        for (Free { change, told }, (before, write)) in bucket.ascending().into_iter().zip(writes) {
            if let Some(before) = before
                && change.revision <= before.revision
            {
                let watch = told.one();
                let asked = clock.moment(write.source.call);
                let late = format!(
                    "{watch} told {change}, which was asked for at {asked} ({write}) and no earlier"
                );
                tell(&late, &[watch.source, write.source], before, clock, findings);
            }
        }
    }
    Ok(())
}

/// What watches and writes were told themselves.
fn known<'a>(history: &'a History<'a>) -> Vec<Fact<'a>> {
    let mut known = Vec::new();
    for watch in &history.watches {
        if let Some(revision) = watch.horizon() {
            let (by, turn) = (By::Watch(watch), Some(watch.source));
            known.push(Fact { time: watch.end, revision, by, turn });
        }
    }
    for write in &history.writes {
        if let (Some(time), Some(revision)) = (write.acknowledged, write.revision) {
            known.push(Fact { time, revision, by: By::Write(write), turn: Some(write.source) });
        }
    }
    known
}

fn seen<'a>(history: &'a History<'a>, mut known: Vec<Fact<'a>>) -> Seen<'a> {
    let higher =
        |one: Fact<'a>, other: Fact<'a>| if other.revision > one.revision { other } else { one };
    // By index: what a process did before a write was over when it asked for that.
    let mut turns: Vec<(u64, Fact<'_>)> =
        known.iter().filter_map(|fact| Some((fact.turn?.index, *fact))).collect();
    turns.sort_by_key(|(index, _)| *index);
    let mut turns = turns.into_iter().peekable();
    known.sort_by_key(|fact| fact.time);
    let mut known = known.into_iter().peekable();
    let mut highest: Option<Fact<'_>> = None;
    let mut own: FxHashMap<u64, Fact<'_>> = FxHashMap::default();
    let mut seen = FxHashMap::default();
    for Write { source, .. } in &history.writes {
        while let Some(next) = known.next_if(|fact| fact.time < source.call) {
            highest = Some(highest.map_or(next, |highest| higher(highest, next)));
        }
        while let Some((_, next)) = turns.next_if(|(index, _)| *index < source.index) {
            let Some(turn) = next.turn else { continue };
            let own = own.entry(turn.process).or_insert(next);
            *own = higher(*own, next);
        }
        let own = own.get(&source.process).copied();
        let before = highest.into_iter().chain(own).reduce(higher);
        seen.extend(before.map(|before| (source.index, before)));
    }
    seen
}

fn tell<'a>(
    late: &str,
    operations: &[&'a Operation<'a>],
    before: &Fact<'a>,
    clock: Clock,
    findings: &mut Findings,
) {
    let Fact { time, revision, by, .. } = *before;
    let (mut sources, early) = match by {
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
    sources.extend(operations);
    let summary = format_args!("{late}, but {early} by {}", clock.moment(time));
    findings.violated(Rule::Revisions, &sources, summary);
}
