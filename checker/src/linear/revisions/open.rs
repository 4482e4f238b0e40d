//! Writes of unknown outcome, and which revisions each may have made.

use crate::model::{
    Interval,
    etcd::{Bytes, KeyRange, Operation, Request, Txn, Value},
};

/// A write of unknown outcome.
pub(super) struct Open<'a> {
    /// The operation.
    pub(super) at: usize,
    /// It made a later revision than this, if any.
    pub(super) after: i64,
    /// What it may have done: one of these.
    pub(super) ways: Vec<Way<'a>>,
    /// What it looks at to choose.
    pub(super) looks: Vec<KeyRange<'a>>,
}

/// What a write may have done.
#[derive(Default)]
pub(super) struct Way<'a> {
    /// Keys that it put for certain, with the value; none: the one before.
    pub(super) puts: Vec<(&'a Bytes, Option<&'a Value>)>,
    /// What it deleted, so far as it was there.
    pub(super) deletes: Vec<KeyRange<'a>>,
    /// The same of nested transactions, which may have chosen otherwise.
    pub(super) perhaps_puts: Vec<(&'a Bytes, Option<&'a Value>)>,
    /// See [`perhaps_puts`](Self::perhaps_puts).
    pub(super) perhaps_deletes: Vec<KeyRange<'a>>,
}

/// Whether an operation of unknown outcome may have written anything.
pub(super) fn may_write(operation: &Operation) -> bool {
    !operation.request.is_read() && operation.request.malformed().is_none()
}

impl<'a> Open<'a> {
    pub(super) fn of(at: usize, after: i64, intervals: &'a [Interval<Operation>]) -> Self {
        let request = &intervals[at].operation.request;
        let mut open = Self { at, after, ways: Vec::new(), looks: Vec::new() };
        match request {
            Request::Txn(txn) => {
                let lists: &[&[Request]] = match txn.compare.is_empty() {
                    true => &[&txn.success],
                    false => &[&txn.success, &txn.failure],
                };
                for list in lists {
                    let mut way = Way::default();
                    list.iter().for_each(|request| way.add(request, true));
                    if way.writes() {
                        open.ways.push(way);
                    }
                }
                looks(txn, &mut open.looks);
            }
            other => {
                let mut way = Way::default();
                way.add(other, true);
                open.ways.push(way);
            }
        }
        open
    }

    /// Whether it may change any of these keys.
    pub(super) fn may_touch(&self, keys: &[KeyRange<'_>]) -> bool {
        self.changes().any(|range| keys.iter().any(|keys| keys.meets(&range)))
    }

    /// The keys that it may change.
    pub(super) fn changes(&self) -> impl Iterator<Item = KeyRange<'a>> {
        self.ways.iter().flat_map(|way| {
            let puts = way.puts.iter().chain(&way.perhaps_puts).map(|(key, _)| KeyRange::one(key));
            puts.chain(way.deletes.iter().chain(&way.perhaps_deletes).copied())
        })
    }

    /// The keys that what it does depends on.
    pub(super) fn depends(&self) -> impl Iterator<Item = KeyRange<'a>> {
        self.looks.iter().copied().chain(self.changes())
    }
}

fn looks<'a>(txn: &'a Txn, into: &mut Vec<KeyRange<'a>>) {
    into.extend(txn.compare.iter().map(|compare| KeyRange::new(&compare.key, &compare.range_end)));
    for request in txn.success.iter().chain(&txn.failure) {
        if let Request::Txn(nested) = request {
            looks(nested, into);
        }
    }
}

impl<'a> Way<'a> {
    fn add(&mut self, request: &'a Request, certain: bool) {
        let Self { puts, deletes, perhaps_puts, perhaps_deletes } = self;
        let (puts, deletes) =
            if certain { (puts, deletes) } else { (perhaps_puts, perhaps_deletes) };
        match request {
            Request::Put(put) => {
                puts.push((&put.key, Some(&put.value).filter(|_| !put.ignore_value)));
            }
            Request::DeleteRange(delete) => {
                deletes.push(KeyRange::new(&delete.key, &delete.range_end));
            }
            Request::Range(_) => {}
            Request::Txn(nested) => {
                let requests = nested.success.iter().chain(&nested.failure);
                requests.for_each(|request| self.add(request, false));
            }
        }
    }

    fn writes(&self) -> bool {
        let puts = self.puts.len() + self.perhaps_puts.len();
        puts + self.deletes.len() + self.perhaps_deletes.len() > 0
    }

    /// Whether it may have put this value; any, if none is given.
    pub(super) fn may_put(&self, key: &Bytes, value: Option<&Value>) -> bool {
        self.puts.iter().chain(&self.perhaps_puts).any(|(put, new)| {
            *put == key && new.is_none_or(|new| value.is_none_or(|value| value == new))
        })
    }
}
