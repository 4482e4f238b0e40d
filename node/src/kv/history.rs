//! Every version of every key, and what is asked of one revision of them.

use std::{cmp::Ordering, collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use proto::{
    etcd::{
        DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
        RangeResponse, ResponseHeader,
        range_request::{SortOrder, SortTarget},
    },
    mvcc::KeyValue,
};
use xxhash_rust::xxh3::Xxh3;

use super::{Change, Error};

/// Revision of an empty store, as in etcd.
const FIRST_REVISION: i64 = 1;

/// The keys that a request names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval<'a> {
    start: &'a [u8],
    end: Bound<&'a [u8]>,
}

impl<'a> Interval<'a> {
    /// etcd's convention: an empty `range_end` means `key` alone, `"\0"` all keys from `key` on.
    pub(super) fn new(key: &'a Bytes, range_end: &'a Bytes) -> Self {
        let end = match range_end.as_ref() {
            [] => Bound::Included(key.as_ref()),
            [0] => Bound::Unbounded,
            end => Bound::Excluded(end),
        };
        Self { start: key, end }
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.start <= key
            && match self.end {
                Bound::Included(end) => key <= end,
                Bound::Excluded(end) => key < end,
                Bound::Unbounded => true,
            }
    }

    /// An inverted range, which etcd takes for an empty one.
    fn is_empty(&self) -> bool {
        matches!(self.end, Bound::Excluded(end) if end <= self.start)
    }
}

/// A key's state from one revision until its next version.
#[derive(Debug)]
struct Version {
    create_revision: i64,
    mod_revision: i64,
    /// Number of modifications since the creation; 0: this is a deletion (a tombstone).
    version: i64,
    value: Bytes,
}

impl Version {
    fn is_deletion(&self) -> bool {
        self.version == 0
    }

    fn to_key_value(&self, key: &Bytes) -> KeyValue {
        KeyValue {
            key: key.clone(),
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            value: self.value.clone(),
            lease: 0,
        }
    }
}

/// All versions of all keys.
#[derive(Debug)]
pub(super) struct History {
    /// Each key's versions, by ascending modification revision.
    keys: BTreeMap<Bytes, Vec<Version>>,
    /// The latest committed revision.
    revision: i64,
    /// The command that is being applied has made changes, at `revision + 1`.
    changed: bool,
    /// Changes since they were last taken; none: they are not noted.
    changes: Option<Vec<Change>>,
}

impl Default for History {
    fn default() -> Self {
        Self { keys: BTreeMap::new(), revision: FIRST_REVISION, changed: false, changes: None }
    }
}

impl History {
    /// The latest revision that can be read; inside a command, with the command's changes so far.
    pub(super) fn revision(&self) -> i64 {
        self.revision + i64::from(self.changed)
    }

    /// Notes changes from now on, or no more.
    pub(super) fn note_changes(&mut self, noted: bool) {
        self.changes = noted.then(|| self.changes.take().unwrap_or_default());
    }

    /// The changes that were noted, oldest first.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Ends a command: its changes, if any, are the next revision.
    pub(super) fn commit(&mut self) {
        self.revision = self.revision();
        self.changed = false;
    }

    pub(super) fn header(&self) -> Option<ResponseHeader> {
        Some(ResponseHeader { revision: self.revision(), ..Default::default() })
    }

    /// The revision that a request means by `asked`: 0 (or less, as in etcd) is the latest.
    pub(super) fn resolve(&self, asked: i64) -> Result<i64, Error> {
        match asked {
            ..=0 => Ok(self.revision()),
            _ if asked > self.revision() => Err(Error::FutureRevision),
            _ => Ok(asked),
        }
    }

    /// The keys of an interval that exist at a revision, ascending.
    fn live<'a>(
        &'a self,
        interval: Interval<'a>,
        revision: i64,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Version)> {
        // A map refuses inverted bounds with a panic, so an empty interval gets harmless ones.
        let bounds = match interval.is_empty() {
            true => (Bound::Included(interval.start), Bound::Excluded(interval.start)),
            false => (Bound::Included(interval.start), interval.end),
        };
        self.keys.range::<[u8], _>(bounds).filter_map(move |(key, versions)| {
            let version = at(versions, revision)?;
            (!version.is_deletion()).then_some((key, version))
        })
    }

    /// The latest state of the keys of an interval, ascending.
    pub(super) fn latest<'a>(
        &'a self,
        interval: Interval<'a>,
    ) -> impl Iterator<Item = KeyValue> + 'a {
        self.live(interval, i64::MAX).map(|(key, version)| version.to_key_value(key))
    }

    /// Every value of a key, oldest first.
    pub(super) fn values(&self, key: &[u8]) -> impl Iterator<Item = &[u8]> {
        let versions = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        versions
            .iter()
            .filter(|version| !version.is_deletion())
            .map(|version| version.value.as_ref())
    }

    fn latest_of(&self, key: &Bytes) -> Option<&Version> {
        self.keys.get(key)?.last().filter(|version| !version.is_deletion())
    }

    /// Answers a well-formed range.
    pub(super) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        let revision = self.resolve(request.revision)?;
        let live = self.live(Interval::new(&request.key, &request.range_end), revision);
        if request.count_only {
            let count = count(live.count());
            return Ok(RangeResponse { header: self.header(), count, ..Default::default() });
        }
        let filtered = request.min_mod_revision != 0
            || request.max_mod_revision != 0
            || request.min_create_revision != 0
            || request.max_create_revision != 0;
        let ordered = request.sort_order != SortOrder::None as i32;
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        // As etcd: without order and filters, no more than one key beyond the limit is looked at,
        // though a sort target without an order sorts those.
        let fetch = match limit {
            Some(limit) if !filtered && !ordered => limit.saturating_add(1),
            _ => usize::MAX,
        };
        let mut total = 0;
        let mut found = Vec::new();
        for (key, version) in live {
            total += 1;
            if total <= fetch && passes(request, version) {
                found.push((key, version));
            }
        }
        sort(&mut found, request);
        let more = limit.is_some_and(|limit| found.len() > limit);
        found.truncate(limit.unwrap_or(usize::MAX));
        let kvs = found.into_iter().map(|(key, version)| {
            let mut pair = version.to_key_value(key);
            if request.keys_only {
                pair.value = Bytes::new();
            }
            pair
        });
        // The count is of all keys of the range: neither limit nor filters lower it.
        let count = count(total);
        Ok(RangeResponse { header: self.header(), kvs: kvs.collect(), more, count })
    }

    /// Whether the state allows a well-formed put.
    pub(super) fn can_put(&self, request: &PutRequest) -> Result<(), Error> {
        if (request.ignore_value || request.ignore_lease) && self.latest_of(&request.key).is_none()
        {
            return Err(Error::KeyNotFound);
        }
        if request.lease != 0 {
            return Err(Error::LeaseNotFound);
        }
        Ok(())
    }

    /// Does a put that [`History::can_put`] allows.
    pub(super) fn put(&mut self, request: &PutRequest, effects: &mut Vec<u8>) -> PutResponse {
        let revision = self.revision + 1;
        // Most puts are of a key that is there, and look it up once.
        let known = self.keys.get_mut(&request.key);
        let previous =
            known.as_ref().and_then(|versions| versions.last()).filter(|last| !last.is_deletion());
        let prev_kv = match request.prev_kv {
            true => previous.map(|version| version.to_key_value(&request.key)),
            false => None,
        };
        let value = match previous {
            Some(version) if request.ignore_value => version.value.clone(),
            _ => request.value.clone(),
        };
        let next = Version {
            create_revision: previous.map_or(revision, |version| version.create_revision),
            mod_revision: revision,
            version: previous.map_or(1, |version| version.version + 1),
            value,
        };
        encode(&request.key, &next, effects);
        if let Some(changes) = &mut self.changes {
            let (key, value) = (request.key.clone(), Some(next.value.clone()));
            changes.push(Change { revision, key, value });
        }
        match known {
            Some(versions) => versions.push(next),
            None => {
                self.keys.insert(request.key.clone(), vec![next]);
            }
        }
        self.changed = true;
        PutResponse { header: self.header(), prev_kv }
    }

    /// Does a well-formed deletion.
    pub(super) fn delete_range(
        &mut self,
        request: &DeleteRangeRequest,
        effects: &mut Vec<u8>,
    ) -> DeleteRangeResponse {
        let interval = Interval::new(&request.key, &request.range_end);
        let prev_kvs = match request.prev_kv {
            true => self.latest(interval).collect(),
            false => Vec::new(),
        };
        let keys: Vec<Bytes> = self.live(interval, i64::MAX).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            let tombstone = Version {
                create_revision: 0,
                mod_revision: self.revision + 1,
                version: 0,
                value: Bytes::new(),
            };
            encode(key, &tombstone, effects);
            if let Some(changes) = &mut self.changes {
                let (revision, key) = (tombstone.mod_revision, key.clone());
                changes.push(Change { revision, key, value: None });
            }
            self.keys.entry(key.clone()).or_default().push(tombstone);
            self.changed = true;
        }
        DeleteRangeResponse { header: self.header(), deleted: count(keys.len()), prev_kvs }
    }

    /// A hash of all versions up to a revision.
    pub(super) fn hash(&self, revision: i64) -> Result<u32, Error> {
        let revision = self.resolve(revision)?;
        let mut hasher = Xxh3::new();
        let mut buffer = Vec::new();
        for (key, versions) in &self.keys {
            for version in versions.iter().take_while(|version| version.mod_revision <= revision) {
                buffer.clear();
                encode(key, version, &mut buffer);
                hasher.update(&buffer);
            }
        }
        let hash = hasher.digest();
        Ok((hash ^ (hash >> 32)) as u32)
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

fn passes(request: &RangeRequest, version: &Version) -> bool {
    let within =
        |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(version.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(version.create_revision, request.min_create_revision, request.max_create_revision)
}

/// Sorts what is in ascending order of keys. A target other than the key implies an order.
fn sort(found: &mut [(&Bytes, &Version)], request: &RangeRequest) {
    let target = SortTarget::try_from(request.sort_target).unwrap_or(SortTarget::Key);
    let descending = request.sort_order == SortOrder::Descend as i32;
    if target == SortTarget::Key && !descending {
        return;
    }
    let compare = |a: &(&Bytes, &Version), b: &(&Bytes, &Version)| -> Ordering {
        match target {
            SortTarget::Key => a.0.cmp(b.0),
            SortTarget::Version => a.1.version.cmp(&b.1.version),
            SortTarget::Create => a.1.create_revision.cmp(&b.1.create_revision),
            SortTarget::Mod => a.1.mod_revision.cmp(&b.1.mod_revision),
            SortTarget::Value => a.1.value.cmp(&b.1.value),
        }
    };
    found.sort_by(|a, b| if descending { compare(b, a) } else { compare(a, b) });
}

/// A version's canonical encoding, for hashes.
fn encode(key: &Bytes, version: &Version, into: &mut Vec<u8>) {
    into.extend_from_slice(&(key.len() as u64).to_le_bytes());
    into.extend_from_slice(key);
    into.extend_from_slice(&(version.value.len() as u64).to_le_bytes());
    into.extend_from_slice(&version.value);
    for number in [version.create_revision, version.mod_revision, version.version] {
        into.extend_from_slice(&number.to_le_bytes());
    }
}

/// A number of keys as the wire has it.
fn count(keys: usize) -> i64 {
    i64::try_from(keys).unwrap_or(i64::MAX)
}
