//! What makes a request malformed, whatever the state: etcd's checks (`v3rpc/key.go`), in etcd's
//! order.

use std::collections::BTreeSet;

use bytes::Bytes;
use proto::etcd::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    range_request::{SortOrder, SortTarget},
    request_op,
};

use super::{Error, Request, history::Interval};

/// Largest number of compares, and of operations in each branch of a transaction; a nested
/// transaction has what its parent leaves over. etcd's default.
pub const OPERATIONS_MAX: usize = 128;

/// Deepest nesting of transactions. Messages are decoded up to a fixed depth, and a request stands
/// deeper in the command that is replicated than by itself: what is taken here must be decodable
/// there.
const NESTING_MAX: usize = 32;

/// Whether a request is well-formed, before it is proposed: etcd's checks and status texts.
///
/// An inverted range is well-formed and empty, as in etcd. The size of a request is the server's
/// concern.
///
/// # Errors
///
/// The first fault found. None depends on the state of the store.
pub fn check(request: &Request) -> Result<(), Error> {
    match request {
        Request::Range(range) => self::range(range),
        Request::Put(put) => self::put(put),
        Request::DeleteRange(delete) => delete_range(delete),
        Request::Txn(txn) => self::txn(txn),
    }
}

/// Whether a request writes nothing whatever its compares say.
pub fn is_read(request: &Request) -> bool {
    match request {
        Request::Range(_) => true,
        Request::Put(_) | Request::DeleteRange(_) => false,
        Request::Txn(txn) => reads_only(txn),
    }
}

fn reads_only(txn: &TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).all(|op| match &op.request {
        Some(request_op::Request::RequestRange(_)) => true,
        Some(request_op::Request::RequestTxn(nested)) => reads_only(nested),
        _ => false,
    })
}

fn key(key: &Bytes) -> Result<(), Error> {
    if key.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
}

fn range(range: &RangeRequest) -> Result<(), Error> {
    key(&range.key)?;
    if SortOrder::try_from(range.sort_order).is_err()
        || SortTarget::try_from(range.sort_target).is_err()
    {
        return Err(Error::InvalidSortOption);
    }
    Ok(())
}

pub(super) fn put(put: &PutRequest) -> Result<(), Error> {
    key(&put.key)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(Error::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(Error::LeaseProvided);
    }
    Ok(())
}

pub(super) fn delete_range(delete: &DeleteRangeRequest) -> Result<(), Error> {
    key(&delete.key)
}

pub(super) fn txn(txn: &TxnRequest) -> Result<(), Error> {
    shape(txn, OPERATIONS_MAX, NESTING_MAX)?;
    changes(&txn.success)?;
    changes(&txn.failure)?;
    Ok(())
}

fn shape(txn: &TxnRequest, operations_max: usize, nesting_max: usize) -> Result<(), Error> {
    let operations = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    if operations > operations_max || nesting_max == 0 {
        return Err(Error::TooManyOperations);
    }
    for compare in &txn.compare {
        key(&compare.key)?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match &op.request {
            Some(request_op::Request::RequestRange(op)) => range(op)?,
            Some(request_op::Request::RequestPut(op)) => put(op)?,
            Some(request_op::Request::RequestDeleteRange(op)) => delete_range(op)?,
            Some(request_op::Request::RequestTxn(op)) => {
                shape(op, operations_max - operations, nesting_max - 1)?;
            }
            None => return Err(Error::KeyNotFound),
        }
    }
    Ok(())
}

/// The keys that a list of operations may put and delete, nested branches included.
#[derive(Default)]
struct Changes<'a> {
    puts: BTreeSet<&'a Bytes>,
    deletes: Vec<Interval<'a>>,
}

impl<'a> Changes<'a> {
    /// A put of a key that is not yet put and not deleted.
    fn put(&mut self, key: &'a Bytes, exclusive_with: &BTreeSet<&'a Bytes>) -> Result<(), Error> {
        let duplicate = self.puts.contains(key) && !exclusive_with.contains(key);
        if duplicate || self.deletes.iter().any(|interval| interval.contains(key)) {
            return Err(Error::DuplicateKey);
        }
        self.puts.insert(key);
        Ok(())
    }
}

/// etcd's `checkIntervals`: no key is put twice, or put and deleted, in one list of operations;
/// deletions may overlap. The two branches of a nested transaction exclude each other, so they may
/// put the same key.
///
/// As in etcd, a nested transaction may delete what an earlier sibling puts; the deletion is then
/// the key's last version of that revision.
fn changes(operations: &[RequestOp]) -> Result<Changes<'_>, Error> {
    let mut all = Changes::default();
    for op in operations {
        if let Some(request_op::Request::RequestDeleteRange(op)) = &op.request {
            all.deletes.push(Interval::new(&op.key, &op.range_end));
        }
    }
    for op in operations {
        if let Some(request_op::Request::RequestTxn(op)) = &op.request {
            let success = changes(&op.success)?;
            let failure = changes(&op.failure)?;
            for key in &success.puts {
                all.put(key, &BTreeSet::new())?;
            }
            for key in &failure.puts {
                all.put(key, &success.puts)?;
            }
            all.deletes.extend(success.deletes);
            all.deletes.extend(failure.deletes);
        }
    }
    for op in operations {
        if let Some(request_op::Request::RequestPut(op)) = &op.request {
            all.put(&op.key, &BTreeSet::new())?;
        }
    }
    Ok(all)
}
