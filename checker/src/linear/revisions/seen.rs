//! What answers show of the revisions that no known operation made.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{open::Open, timeline::Timeline};
use crate::model::{
    Interval,
    etcd::{Answer, Bytes, KeyRange, KeyValue, Operation, Request, Response, Value},
};

/// What a key was at a revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// The revision.
    pub(super) at: i64,
    /// What the key was; none: it was not there.
    pub(super) pair: Option<&'a KeyValue>,
    /// Whether its value was shown too.
    with_value: bool,
}

impl Seen<'_> {
    /// Whether a key that is this now was seen so.
    pub(super) fn is(&self, now: Option<&KeyValue>) -> bool {
        match (self.pair, now) {
            (None, None) => true,
            (Some(seen), Some(now)) => {
                let versions = |it: &KeyValue| (it.create_revision, it.mod_revision, it.version);
                versions(seen) == versions(now) && (!self.with_value || seen.value == now.value)
            }
            _ => false,
        }
    }
}

/// A put that a revision must have done: of which key, and which value if that was seen.
type Put<'a> = (&'a Bytes, Option<&'a Value>);

/// What answers show of gaps.
#[derive(Default)]
pub(super) struct Evidence<'a> {
    gaps: Vec<i64>,
    /// Keys that writes of unknown outcome may change.
    keys: FxHashMap<&'a Bytes, usize>,
    /// The first observation of a key from a gap on and before the next one, by key and by the
    /// number of gaps until then.
    seen: BTreeMap<(usize, usize), Seen<'a>>,
    /// Puts that gaps must have done.
    puts: FxHashMap<i64, FxHashSet<Put<'a>>>,
    /// Revisions at which a key is known to have been put by others.
    known: Vec<Vec<i64>>,
}

impl<'a> Evidence<'a> {
    /// Reads all answers.
    pub(super) fn of(
        intervals: &'a [Interval<Operation>],
        timeline: &Timeline,
        open: &[Open<'a>],
    ) -> Self {
        let mut evidence = Self { gaps: timeline.gaps.clone(), ..Self::default() };
        if evidence.gaps.is_empty() {
            return evidence;
        }
        let ranges: Vec<KeyRange<'a>> = open.iter().flat_map(Open::changes).collect();
        let answers = || {
            let writers = timeline.writers.iter().map(|(revision, at)| (*revision, *at, true));
            let readers = timeline.readers.iter().map(|(_, at)| (0, *at, false));
            writers.chain(readers).filter_map(|(revision, at, wrote)| {
                let Operation { request, answer } = &intervals[at].operation;
                let Answer::Told(response) = answer else { return None };
                let at = if wrote { revision } else { response.revision() };
                Some((request, response, at, wrote))
            })
        };
        let mut keys = BTreeSet::new();
        for (request, response, ..) in answers() {
            named(request, response, &mut |key| {
                keys.insert(key);
            });
        }
        keys.extend(
            open.iter()
                .flat_map(|open| {
                    open.ways.iter().flat_map(|way| way.puts.iter().chain(&way.perhaps_puts))
                })
                .map(|(key, _)| *key),
        );
        keys.retain(|key| ranges.iter().any(|range| range.contains(key)));
        let ordered: BTreeMap<Bytes, &'a Bytes> =
            keys.iter().map(|key| ((*key).clone(), *key)).collect();
        for key in keys {
            evidence.keys.insert(key, evidence.known.len());
            evidence.known.push(Vec::new());
        }
        for (request, response, at, wrote) in answers() {
            evidence.read(request, response, at, wrote, wrote, &ordered);
        }
        evidence.known.iter_mut().for_each(|known| known.sort_unstable());
        evidence
    }

    fn read(
        &mut self,
        request: &'a Request,
        response: &'a Response,
        at: i64,
        wrote: bool,
        whole: bool,
        ordered: &BTreeMap<Bytes, &'a Bytes>,
    ) {
        match (request, response) {
            (Request::Put(put), Response::Put(told)) => {
                if let Some(&key) = self.keys.get(&put.key) {
                    self.known[key].push(at);
                }
                if put.prev_kv && (whole || told.prev_kv.is_some()) {
                    self.pair(&put.key, told.prev_kv.as_ref(), at - 1, true);
                }
            }
            (Request::DeleteRange(_), Response::DeleteRange(told)) => {
                told.prev_kvs
                    .iter()
                    .for_each(|pair| self.pair(&pair.key, Some(pair), at - 1, true));
            }
            (Request::Range(range), Response::Range(told)) => {
                let past = range.revision > 0;
                // Within a write the store is what it was before, but for what was just done.
                let then = if past { range.revision } else { at - i64::from(wrote) };
                for pair in told.kvs.iter().filter(|pair| pair.mod_revision <= then) {
                    self.pair(&pair.key, Some(pair), then, !range.keys_only);
                }
                let complete = !range.count_only
                    && !told.more
                    && range.min_mod_revision == 0
                    && range.max_mod_revision == 0
                    && range.min_create_revision == 0
                    && range.max_create_revision == 0;
                if complete && (past || !wrote) {
                    let there: FxHashSet<&Bytes> = told.kvs.iter().map(|pair| &pair.key).collect();
                    let asked = KeyRange::new(&range.key, &range.range_end);
                    for (key, original) in asked.of(ordered) {
                        if !there.contains(key) {
                            self.pair(original, None, then, true);
                        }
                    }
                }
            }
            (Request::Txn(txn), Response::Txn(told)) => {
                let requests = if told.succeeded { &txn.success } else { &txn.failure };
                for (request, response) in requests.iter().zip(&told.responses) {
                    self.read(request, response, at, wrote, false, ordered);
                }
            }
            _ => {}
        }
    }

    /// Notes what a key was at a revision.
    fn pair(&mut self, key: &'a Bytes, pair: Option<&'a KeyValue>, at: i64, with_value: bool) {
        if let Some(pair) = pair {
            let value = Some(&pair.value).filter(|_| with_value);
            for (revision, value) in [(pair.mod_revision, value), (pair.create_revision, None)] {
                if self.gaps.binary_search(&revision).is_ok() {
                    self.puts.entry(revision).or_default().insert((&pair.key, value));
                }
            }
        }
        let Some(&key) = self.keys.get(key) else { return };
        if pair.is_some_and(|pair| pair.mod_revision > at) {
            return;
        }
        let gaps = self.gaps.partition_point(|gap| *gap <= at);
        if gaps > 0 {
            let seen = Seen { at, pair, with_value };
            let first = self.seen.entry((key, gaps)).or_insert(seen);
            if (at, !with_value) < (first.at, !first.with_value) {
                *first = seen;
            }
        }
    }

    /// What a key was first seen as, from a gap on, given by its number.
    fn next(&self, key: &Bytes, gap: usize) -> Option<Seen<'a>> {
        let key = *self.keys.get(key)?;
        self.seen.range((key, gap + 1)..=(key, usize::MAX)).next().map(|(_, seen)| *seen)
    }

    /// Whether a write of unknown outcome may have made the revision of a gap, as far as single
    /// answers tell.
    pub(super) fn allows(&self, open: &Open<'a>, gap: usize) -> bool {
        let revision = self.gaps[gap];
        let puts = self.puts.get(&revision);
        open.after < revision
            && open.ways.iter().any(|way| {
                let puts = || puts.into_iter().flatten();
                // Of what was seen at this very revision, all that was put is there.
                let missing = |key: &Bytes| {
                    let seen = self.next(key, gap).filter(|seen| seen.at == revision);
                    seen.is_some_and(|seen| seen.pair.is_none_or(|it| it.mod_revision != revision))
                };
                // At this revision nothing was done to a key that was seen later, as it was before.
                let untouched = |key: &Bytes| {
                    let seen = self.next(key, gap).and_then(|seen| seen.pair);
                    seen.is_some_and(|pair| pair.mod_revision < revision)
                };
                puts().all(|(key, value)| way.may_put(key, *value))
                    && !way.puts.iter().any(|(key, _)| untouched(key) || missing(key))
                    && !way.deletes.iter().any(|range| match range.single() {
                        Some(key) => untouched(&key),
                        None => self.keys.keys().any(|key| range.contains(key) && untouched(key)),
                    })
            })
    }

    /// What keys were seen as at the very revision of a gap.
    pub(super) fn exact(&self, gap: usize) -> impl Iterator<Item = (&'a Bytes, Seen<'a>)> {
        let revision = self.gaps[gap];
        self.keys.keys().filter_map(move |&key| {
            let seen = self.next(key, gap).filter(|seen| seen.at == revision)?;
            Some((key, seen))
        })
    }

    /// Whether a key that was changed at a gap, and then is this, may become what was seen next.
    pub(super) fn leads_on(&self, key: &Bytes, now: Option<&KeyValue>, gap: usize) -> bool {
        let revision = self.gaps[gap];
        let Some(seen) = self.next(key, gap) else { return true };
        let Some(next) = seen.pair else { return true };
        if next.mod_revision <= revision {
            return next.mod_revision == revision && seen.is(now);
        }
        let Some(now) = now else { return next.create_revision > revision };
        if next.create_revision > revision {
            // It was deleted and put again.
            return true;
        }
        let between = |revisions: &[i64]| {
            let until = revisions.partition_point(|at| *at <= next.mod_revision);
            until.saturating_sub(revisions.partition_point(|at| *at <= revision))
        };
        let known = self.keys.get(key).map_or(0, |&key| between(&self.known[key]));
        let least = now.version.saturating_add_unsigned(known as u64);
        let most = least.saturating_add_unsigned(between(&self.gaps) as u64);
        next.create_revision == now.create_revision && (least..=most).contains(&next.version)
    }
}

/// Calls `found` with each key that a request or its answer names.
fn named<'a>(request: &'a Request, response: &'a Response, found: &mut impl FnMut(&'a Bytes)) {
    match (request, response) {
        (Request::Put(put), _) => found(&put.key),
        (_, Response::Range(told)) => told.kvs.iter().for_each(|pair| found(&pair.key)),
        (_, Response::DeleteRange(told)) => told.prev_kvs.iter().for_each(|pair| found(&pair.key)),
        (Request::Txn(txn), Response::Txn(told)) => {
            let requests = if told.succeeded { &txn.success } else { &txn.failure };
            for (request, response) in requests.iter().zip(&told.responses) {
                named(request, response, found);
            }
        }
        _ => {}
    }
}
