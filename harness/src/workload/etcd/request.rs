//! Draws requests.

use bytes::Bytes;
use node::{kv, replica::Limits};
use proto::etcd::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    compare::{CompareResult, CompareTarget, TargetUnion},
    range_request::{SortOrder, SortTarget},
    request_op::Request,
};
use rand::RngExt;

use super::{Etcd, FROM_KEY};

/// A node's gRPC server does not even read what is so much larger than the largest request.
const UNREAD: usize = 1 << 20;
/// Far more revisions than a run makes.
const FAR: i64 = 1 << 40;
/// Deepest nesting of transactions that is drawn.
const NESTING_MAX: u32 = 2;

impl Etcd {
    /// Draws a request.
    pub(super) fn request(&mut self) -> kv::Request {
        if self.large > 0 && self.one_in(40) {
            self.large -= 1;
            return self.large_request();
        }
        match self.rng.random_range(0..100) {
            0..30 => kv::Request::Put(self.put()),
            30..60 => kv::Request::Range(self.range()),
            60..70 => kv::Request::DeleteRange(self.delete()),
            70..95 => {
                let txn = self.txn(0);
                kv::Request::Txn(if self.sparing { spared(txn) } else { txn })
            }
            _ => self.malformed(),
        }
    }

    fn one_in(&mut self, number: u32) -> bool {
        self.rng.random_ratio(1, number)
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.random_range(0..choices.len())]
    }

    /// Half of the time the key of the request before.
    fn key(&mut self) -> Bytes {
        if self.rng.random_bool(0.5) {
            self.last = self.any_key();
        }
        self.last.clone()
    }

    fn any_key(&mut self) -> Bytes {
        self.keys[self.rng.random_range(0..self.keys.len())].clone()
    }

    /// Unique and short.
    pub(super) fn short_value(&mut self) -> Bytes {
        self.writes += 1;
        Bytes::from(format!("v{}", self.writes))
    }

    /// Unique, but for the empty one.
    fn value(&mut self) -> Bytes {
        self.writes += 1;
        let short = format!("v{}", self.writes);
        match self.rng.random_range(0..60) {
            0..3 => Bytes::new(),
            3..6 => padded(&short, 63 + self.rng.random_range(0..3)),
            6..9 => padded(&short, 300),
            9..12 => Bytes::from([short.as_bytes(), b"\0\xff"].concat()),
            // More than a sector of a disk, and than a page.
            12 => padded(&short, self.rng.random_range(2000..20_000)),
            _ => Bytes::from(short),
        }
    }

    fn put(&mut self) -> PutRequest {
        let ignore_value = self.one_in(10);
        PutRequest {
            key: self.key(),
            value: if ignore_value { Bytes::new() } else { self.value() },
            prev_kv: self.one_in(2),
            ignore_value,
            ignore_lease: self.one_in(20),
            lease: 0,
        }
    }

    /// Where a range from a key ends.
    fn range_end(&mut self, key: &Bytes) -> Bytes {
        match self.rng.random_range(0..10) {
            0..2 => Bytes::new(),
            2 => [key.as_ref(), b"\0"].concat().into(),
            3..6 => prefix_end(key),
            // Inverted or empty half of the time.
            6..8 => self.any_key(),
            _ => Bytes::from_static(FROM_KEY),
        }
    }

    fn interval(&mut self) -> (Bytes, Bytes) {
        let key = match self.rng.random_range(0..8) {
            0 => Bytes::from_static(b"\0"),
            _ => self.key(),
        };
        let end = if self.one_in(3) { Bytes::new() } else { self.range_end(&key) };
        (key, end)
    }

    /// A revision that exists, or hardly ever one that does not yet.
    fn past(&mut self) -> i64 {
        match self.rng.random_range(0..20) {
            0 => FAR,
            1 => self.revision + self.rng.random_range(1..4),
            2 => -1,
            3..8 => self.rng.random_range(1..=self.revision),
            _ => (self.revision - self.rng.random_range(0..10)).max(1),
        }
    }

    fn range(&mut self) -> RangeRequest {
        let (key, range_end) = self.interval();
        let mut range = RangeRequest { key, range_end, ..RangeRequest::default() };
        if self.one_in(4) {
            range.revision = self.past();
        }
        range.serializable = self.one_in(8);
        if range.range_end.is_empty() {
            range.count_only = self.one_in(20);
            range.keys_only = self.one_in(20);
            return range;
        }
        if self.one_in(2) {
            range.limit = self.one_of(&[1, 1, 2, 3, 5, 100, -1]);
        }
        range.keys_only = self.one_in(6);
        range.count_only = self.one_in(8);
        if self.one_in(3) {
            range.sort_order = self.one_of(&[SortOrder::Ascend, SortOrder::Descend]).into();
        }
        if self.one_in(3) {
            range.sort_target = self
                .one_of(&[
                    SortTarget::Key,
                    SortTarget::Version,
                    SortTarget::Create,
                    SortTarget::Mod,
                    SortTarget::Value,
                ])
                .into();
        }
        if self.one_in(6) {
            let bound = (self.revision - self.rng.random_range(0..20)).max(1);
            match self.rng.random_range(0..4) {
                0 => range.min_mod_revision = bound,
                1 => range.max_mod_revision = bound,
                2 => range.min_create_revision = bound,
                _ => range.max_create_revision = bound,
            }
        }
        range
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        let key = self.key();
        let range_end = match self.rng.random_range(0..20) {
            0..14 => Bytes::new(),
            14..19 => prefix_end(&key),
            _ => self.range_end(&key),
        };
        DeleteRangeRequest { key, range_end, prev_kv: self.one_in(2) }
    }

    /// A transaction whose compares expect what was seen last, more or less.
    fn txn(&mut self, depth: u32) -> TxnRequest {
        let compares = self.one_of(&[0, 1, 1, 1, 1, 2, 3]);
        TxnRequest {
            compare: (0..compares).map(|_| self.compare()).collect(),
            success: self.branch(depth),
            failure: self.branch(depth),
        }
    }

    fn compare(&mut self) -> Compare {
        let key = self.key();
        let range_end = if self.one_in(8) { prefix_end(&key) } else { Bytes::new() };
        let known = self.known.get(&key).cloned().unwrap_or_default();
        let off = i64::from(self.one_in(4)) * self.one_of(&[-1, 1]);
        let (target, operand) = match self.rng.random_range(0..4) {
            0 => (CompareTarget::Version, TargetUnion::Version(known.version + off)),
            1 => (CompareTarget::Create, TargetUnion::CreateRevision(known.create + off)),
            2 => (CompareTarget::Mod, TargetUnion::ModRevision(known.modified + off)),
            _ => {
                let other = self.one_in(4).then(|| Bytes::from_static(b"v5"));
                (CompareTarget::Value, TargetUnion::Value(other.unwrap_or(known.value)))
            }
        };
        let result = self.one_of(&[
            CompareResult::Equal,
            CompareResult::Equal,
            CompareResult::Greater,
            CompareResult::Less,
            CompareResult::NotEqual,
        ]);
        let target_union = (!self.one_in(40)).then_some(operand);
        Compare { result: result.into(), target: target.into(), key, range_end, target_union }
    }

    /// The operations of a branch. No key is put twice, or put and deleted.
    fn branch(&mut self, depth: u32) -> Vec<RequestOp> {
        let size = self.one_of(&[0, 1, 1, 2, 2, 3]);
        let mut branch = Vec::new();
        for _ in 0..size {
            let request = match self.rng.random_range(0..10) {
                0..4 => Request::RequestPut(self.put()),
                4..7 => Request::RequestRange(self.range()),
                7..9 => Request::RequestDeleteRange(self.delete()),
                _ if depth < NESTING_MAX => Request::RequestTxn(self.txn(depth + 1)),
                _ => Request::RequestRange(self.range()),
            };
            branch.push(RequestOp { request: Some(request) });
            // Now and then a request that must be refused stays.
            let alone = TxnRequest { success: branch.clone(), ..TxnRequest::default() };
            if kv::Request::Txn(alone).check().is_err() && !self.one_in(20) {
                branch.pop();
            }
        }
        branch
    }

    /// A request about as large as a node takes them, then the ends of what it wrote.
    fn large_request(&mut self) -> kv::Request {
        let limit = Limits::default().request_bytes;
        let size = match self.rng.random_range(0..4) {
            0 => limit / 2,
            1 => limit,
            2 => limit + 1,
            _ => limit + UNREAD,
        };
        let key = self.any_key();
        self.writes += 1;
        let name = format!("v{}", self.writes);
        let mut put = PutRequest { key: key.clone(), prev_kv: true, ..PutRequest::default() };
        put.value = padded(&name, size);
        let over = kv::Request::Put(put.clone()).encoded_len() - size;
        put.value = padded(&name, size - over);
        let range = RangeRequest { key: key.clone(), ..RangeRequest::default() };
        // Gone soon, or every range of the whole store would carry it.
        let delete = DeleteRangeRequest { key, prev_kv: true, ..DeleteRangeRequest::default() };
        self.next.extend([kv::Request::Range(range), kv::Request::DeleteRange(delete)]);
        kv::Request::Put(put)
    }

    /// A request that every correct node refuses.
    fn malformed(&mut self) -> kv::Request {
        let (key, value) = (self.key(), self.value());
        let put = PutRequest { key: key.clone(), value, ..PutRequest::default() };
        let range = RangeRequest { key: key.clone(), ..RangeRequest::default() };
        let delete = DeleteRangeRequest { key: key.clone(), ..DeleteRangeRequest::default() };
        let op = |request| RequestOp { request: Some(request) };
        let txn = |success| kv::Request::Txn(TxnRequest { success, ..TxnRequest::default() });
        match self.rng.random_range(0..9) {
            0 => kv::Request::Put(PutRequest { key: Bytes::new(), ..put }),
            1 => kv::Request::Put(PutRequest {
                value: Bytes::from_static(b"v"),
                ignore_value: true,
                ..put
            }),
            2 => kv::Request::Put(PutRequest { lease: 7, ..put }),
            3 => kv::Request::Put(PutRequest { lease: 7, ignore_lease: true, ..put }),
            4 => kv::Request::Range(RangeRequest { key: Bytes::new(), ..range }),
            5 => kv::Request::DeleteRange(DeleteRangeRequest { key: Bytes::new(), ..delete }),
            6 => txn(vec![op(Request::RequestPut(put.clone())), op(Request::RequestPut(put))]),
            7 => txn(vec![op(Request::RequestPut(put)), op(Request::RequestDeleteRange(delete))]),
            _ => {
                let many = kv::OPERATIONS_MAX + 1;
                txn(vec![op(Request::RequestRange(range)); many])
            }
        }
    }
}

/// A value of this length, or of its name's if that is longer.
/// The transaction without old revisions in its own ranges, if it writes.
fn spared(mut txn: TxnRequest) -> TxnRequest {
    if kv::Request::Txn(txn.clone()).is_read() {
        return txn;
    }
    for operation in txn.success.iter_mut().chain(&mut txn.failure) {
        if let Some(Request::RequestRange(range)) = &mut operation.request {
            range.revision = 0;
        }
    }
    txn
}

fn padded(name: &str, length: usize) -> Bytes {
    let mut value = name.as_bytes().to_vec();
    value.push(b' ');
    value.resize(length.max(name.len()), b'x');
    value.into()
}

/// The end of all keys that begin with this one.
fn prefix_end(prefix: &Bytes) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end.into();
        }
    }
    Bytes::from_static(FROM_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_key_that_has_it_not() {
        for (prefix, end) in [
            (&b"a"[..], &b"b"[..]),
            (b"a\xff", b"b"),
            (b"\xff\xff", b"\0"),
            (b"", b"\0"),
            (b"a\0", b"a\x01"),
        ] {
            assert_eq!(prefix_end(&Bytes::from_static(prefix)), Bytes::from_static(end));
        }
    }
}
