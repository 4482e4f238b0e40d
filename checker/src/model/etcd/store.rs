//! The store: every version of every key, and what requests do to it.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{
    bytes::{Bytes, Value},
    error::Refusal,
    keys::KeyRange,
    mismatch::Mismatch,
    request::{Compare, DeleteRange, Operand, Put, Range, Relation, Request, Target, Txn},
    response::{DeleteRangeResponse, KeyValue, PutResponse, RangeResponse, Response, TxnResponse},
    shown::{exactly, keys, order, same},
};

/// Revision of an empty store.
const FIRST: i64 = 1;

/// A key's state from one revision until its next version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Version {
    pub(super) create_revision: i64,
    pub(super) mod_revision: i64,
    /// Puts since the creation; 0: this is a deletion.
    pub(super) version: i64,
    pub(super) value: Value,
}

impl Version {
    fn is_deletion(&self) -> bool {
        self.version == 0
    }

    pub(super) fn to_key_value(&self, key: &Bytes) -> KeyValue {
        let Self { create_revision, mod_revision, version, ref value } = *self;
        let (key, value) = (key.clone(), value.clone());
        KeyValue { key, value, create_revision, mod_revision, version, lease: 0 }
    }
}

/// Every version of every key. The specification of etcd's KV, for the questions of
/// [`Request`]; each is executed together with the answer that was given to it, if it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// Each key's versions, by ascending revision of modification.
    keys: BTreeMap<Bytes, Vec<Version>>,
    revision: i64,
    /// The request that is being executed has made changes, at `revision + 1`.
    changed: bool,
}

impl Default for Store {
    fn default() -> Self {
        Self { keys: BTreeMap::new(), revision: FIRST, changed: false }
    }
}

impl Store {
    /// The latest revision.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Bytes that it takes, about.
    pub fn size(&self) -> usize {
        let each = size_of::<Version>() + 32;
        self.keys.values().map(|versions| versions.len() * each + 64).sum()
    }

    /// What a key is at a revision.
    pub fn get(&self, key: &Bytes, revision: i64) -> Option<KeyValue> {
        let version = at(self.keys.get(key)?, revision)?;
        (!version.is_deletion()).then(|| version.to_key_value(key))
    }

    /// The keys of some ranges that were changed at the latest revision.
    pub fn changed<'a>(&self, ranges: impl Iterator<Item = KeyRange<'a>>) -> Vec<Bytes> {
        let is_new = |versions: &[Version]| {
            versions.last().is_some_and(|last| last.mod_revision == self.revision)
        };
        ranges
            .flat_map(|range| range.of(&self.keys))
            .filter(|(_, versions)| is_new(versions))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Executes a request that was given this answer, if any answer is known. A request that
    /// changes anything makes one new revision.
    ///
    /// # Errors
    /// The store would have answered otherwise. It is not changed then.
    pub fn execute(
        &mut self,
        request: &Request,
        answer: Option<&Response>,
    ) -> Result<(), Mismatch> {
        let executed = self
            .admit(request, self.revision)
            .map_err(Mismatch::MustRefuse)
            .and_then(|path| self.run(request, answer, &mut path.iter().copied()));
        if executed.is_err() {
            self.undo_to(self.revision);
        } else {
            self.revision += i64::from(self.changed);
        }
        self.changed = false;
        executed
    }

    /// Answers a read of the past as the latest revision then would have been answered: what a
    /// serializable read may see.
    ///
    /// # Errors
    /// The store would have answered otherwise.
    pub fn read_at(
        &self,
        request: &Request,
        answer: &Response,
        revision: i64,
    ) -> Result<(), Mismatch> {
        let path = self.admit(request, revision).map_err(Mismatch::MustRefuse)?;
        self.read(request, answer, &mut path.iter().copied(), revision)
    }

    /// Whether a request is to be refused for this reason at a revision.
    pub fn refuses(&self, request: &Request, refusal: Refusal, revision: i64) -> bool {
        self.admit(request, revision).err() == Some(refusal)
    }

    /// Forgets all later revisions.
    pub fn undo_to(&mut self, revision: i64) {
        // Most histories have few keys, and this is for those that were guessed wrongly.
        for versions in self.keys.values_mut() {
            while versions.last().is_some_and(|last| last.mod_revision > revision) {
                versions.pop();
            }
        }
        self.revision = revision;
    }

    /// Checks a request, and chooses the list of requests that each of its transactions takes, in
    /// the order in which they are met.
    fn admit(&self, request: &Request, now: i64) -> Result<Vec<bool>, Refusal> {
        super::check::check(request)?;
        let mut path = Vec::new();
        self.choose(request, now, &mut path);
        // All puts are checked before all ranges.
        self.visit(request, &mut path.iter().copied(), &mut |request| match request {
            Request::Put(put) => self.can_put(put, now),
            _ => Ok(()),
        })?;
        self.visit(request, &mut path.iter().copied(), &mut |request| match request {
            Request::Range(range) if range.revision > now => Err(Refusal::FutureRevision),
            _ => Ok(()),
        })?;
        Ok(path)
    }

    fn can_put(&self, put: &Put, now: i64) -> Result<(), Refusal> {
        if (put.ignore_value || put.ignore_lease) && self.get(&put.key, now).is_none() {
            return Err(Refusal::KeyNotFound);
        }
        if put.lease == 0 { Ok(()) } else { Err(Refusal::LeaseNotFound) }
    }

    /// All compares, those of nested transactions too, are decided before anything is done.
    fn choose(&self, request: &Request, now: i64, path: &mut Vec<bool>) {
        let Request::Txn(txn) = request else { return };
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare, now));
        path.push(succeeded);
        branch(txn, succeeded).iter().for_each(|request| self.choose(request, now, path));
    }

    fn visit(
        &self,
        request: &Request,
        path: &mut impl Iterator<Item = bool>,
        check: &mut impl FnMut(&Request) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let Request::Txn(txn) = request else { return check(request) };
        let succeeded = path.next().unwrap_or_default();
        branch(txn, succeeded).iter().try_for_each(|request| self.visit(request, path, check))
    }

    /// Whether a compare holds for every key of its range; if there is none, for a key whose
    /// version and revisions are 0. A key that is not there has no value, equal or not.
    fn holds(&self, compare: &Compare, now: i64) -> bool {
        let mut live = self.live(KeyRange::new(&compare.key, &compare.range_end), now).peekable();
        if live.peek().is_none() {
            return compare.target != Target::Value && relation(compare, 0.cmp(&number(compare)));
        }
        live.all(|(_, version)| {
            let ordering = match compare.target {
                Target::Version => version.version.cmp(&number(compare)),
                Target::Create => version.create_revision.cmp(&number(compare)),
                Target::Mod => version.mod_revision.cmp(&number(compare)),
                Target::Lease => 0.cmp(&number(compare)),
                Target::Value => match &compare.operand {
                    Some(Operand::Value(value)) => order(&version.value, value),
                    _ => order(&version.value, &Value::default()),
                },
            };
            relation(compare, ordering)
        })
    }

    /// The keys of an interval that exist at a revision, ascending.
    fn live<'a>(
        &'a self,
        interval: KeyRange<'_>,
        revision: i64,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Version)> + use<'a> {
        interval.of(&self.keys).filter_map(move |(key, versions)| {
            let version = at(versions, revision)?;
            (!version.is_deletion()).then_some((key, version))
        })
    }

    /// The revision that an answer names at this point of a request.
    fn now(&self) -> i64 {
        self.revision + i64::from(self.changed)
    }

    fn run(
        &mut self,
        request: &Request,
        answer: Option<&Response>,
        path: &mut impl Iterator<Item = bool>,
    ) -> Result<(), Mismatch> {
        match (request, answer) {
            (Request::Put(put), None) => self.put(put, None),
            (Request::Put(put), Some(Response::Put(told))) => self.put(put, Some(told)),
            (Request::DeleteRange(delete), None) => self.delete(delete, None),
            (Request::DeleteRange(delete), Some(Response::DeleteRange(told))) => {
                self.delete(delete, Some(told))
            }
            (Request::Range(_), None) => Ok(()),
            (Request::Range(range), Some(Response::Range(told))) => {
                self.range(range, told, self.now())
            }
            (Request::Txn(txn), None) => {
                let succeeded = path.next().unwrap_or_default();
                let mut requests = branch(txn, succeeded).iter();
                requests.try_for_each(|request| self.run(request, None, path))
            }
            (Request::Txn(txn), Some(Response::Txn(told))) => {
                let requests = taken(txn, told, path)?;
                for (request, told) in requests.iter().zip(&told.responses) {
                    self.run(request, Some(told), path)?;
                }
                header(told.revision, self.now())
            }
            (_, Some(_)) => Err(Mismatch::Kind),
        }
    }

    fn read(
        &self,
        request: &Request,
        answer: &Response,
        path: &mut impl Iterator<Item = bool>,
        now: i64,
    ) -> Result<(), Mismatch> {
        match (request, answer) {
            (Request::Range(range), Response::Range(told)) => self.range(range, told, now),
            (Request::Txn(txn), Response::Txn(told)) => {
                let requests = taken(txn, told, path)?;
                for (request, told) in requests.iter().zip(&told.responses) {
                    self.read(request, told, path, now)?;
                }
                header(told.revision, now)
            }
            _ => Err(Mismatch::Kind),
        }
    }

    fn put(&mut self, put: &Put, told: Option<&PutResponse>) -> Result<(), Mismatch> {
        let revision = self.revision + 1;
        let previous = self.keys.get(&put.key).and_then(|versions| versions.last());
        let previous = previous.filter(|version| !version.is_deletion());
        if let Some(told) = told {
            let expected = previous.filter(|_| put.prev_kv);
            same(&put.key, expected, told.prev_kv.as_ref(), false)?;
        }
        let next = Version {
            create_revision: previous.map_or(revision, |version| version.create_revision),
            mod_revision: revision,
            version: previous.map_or(1, |version| version.version + 1),
            value: match previous {
                Some(version) if put.ignore_value => version.value.clone(),
                _ => put.value.clone(),
            },
        };
        match self.keys.get_mut(&put.key) {
            Some(versions) => versions.push(next),
            None => {
                self.keys.insert(put.key.clone(), vec![next]);
            }
        }
        self.changed = true;
        told.map_or(Ok(()), |told| header(told.revision, self.now()))
    }

    fn delete(
        &mut self,
        delete: &DeleteRange,
        told: Option<&DeleteRangeResponse>,
    ) -> Result<(), Mismatch> {
        let interval = KeyRange::new(&delete.key, &delete.range_end);
        let live: Vec<(&Bytes, &Version)> = self.live(interval, i64::MAX).collect();
        if let Some(told) = told {
            if delete.prev_kv {
                exactly(&live, &told.prev_kvs, false)?;
            } else if let Some(surplus) = told.prev_kvs.first() {
                return Err(Mismatch::surplus(surplus));
            }
            let expected = count(live.len());
            if told.deleted != expected {
                return Err(Mismatch::Deleted { expected, found: told.deleted });
            }
        }
        let keys: Vec<Bytes> = live.into_iter().map(|(key, _)| key.clone()).collect();
        let mod_revision = self.revision + 1;
        for key in keys {
            let (create_revision, version, value) = (0, 0, Value::default());
            let deletion = Version { create_revision, mod_revision, version, value };
            self.keys.entry(key).or_default().push(deletion);
            self.changed = true;
        }
        told.map_or(Ok(()), |told| header(told.revision, self.now()))
    }

    /// Whether a range that may be answered is answered so at a revision.
    fn range(&self, range: &Range, told: &RangeResponse, now: i64) -> Result<(), Mismatch> {
        header(told.revision, now)?;
        let revision = if range.revision > 0 { range.revision } else { now };
        let live: Vec<_> =
            self.live(KeyRange::new(&range.key, &range.range_end), revision).collect();
        let expected = count(live.len());
        if range.count_only {
            if let Some(surplus) = told.kvs.first() {
                return Err(Mismatch::surplus(surplus));
            }
            if told.more {
                return Err(Mismatch::More { expected: false });
            }
        } else {
            keys(range, live, told)?;
        }
        // The count is of all keys of the range: neither limit nor filters lower it.
        if told.count != expected {
            return Err(Mismatch::Count { expected, found: told.count });
        }
        Ok(())
    }
}

/// The list of requests that a transaction takes, if the answer is one to it.
fn taken<'a>(
    txn: &'a Txn,
    told: &TxnResponse,
    path: &mut impl Iterator<Item = bool>,
) -> Result<&'a [Request], Mismatch> {
    let expected = path.next().unwrap_or_default();
    if told.succeeded != expected {
        return Err(Mismatch::Branch { expected });
    }
    let requests = branch(txn, expected);
    if told.responses.len() != requests.len() {
        return Err(Mismatch::Kind);
    }
    Ok(requests)
}

/// An answer without a header says nothing of the revision: one within another may have none.
fn header(found: i64, expected: i64) -> Result<(), Mismatch> {
    if found == expected || found == 0 {
        return Ok(());
    }
    Err(Mismatch::Revision { expected, found })
}

fn branch(txn: &Txn, succeeded: bool) -> &[Request] {
    if succeeded { &txn.success } else { &txn.failure }
}

fn number(compare: &Compare) -> i64 {
    match compare.operand {
        Some(Operand::Number(number)) => number,
        _ => 0,
    }
}

fn relation(compare: &Compare, ordering: Ordering) -> bool {
    match compare.result {
        Relation::Equal => ordering.is_eq(),
        Relation::NotEqual => ordering.is_ne(),
        Relation::Greater => ordering.is_gt(),
        Relation::Less => ordering.is_lt(),
    }
}

/// The version that holds at a revision.
fn at(versions: &[Version], revision: i64) -> Option<&Version> {
    match versions.last() {
        Some(last) if last.mod_revision <= revision => Some(last),
        _ => {
            let until = versions.partition_point(|version| version.mod_revision <= revision);
            versions.get(until.checked_sub(1)?)
        }
    }
}

fn count(keys: usize) -> i64 {
    i64::try_from(keys).unwrap_or(i64::MAX)
}
