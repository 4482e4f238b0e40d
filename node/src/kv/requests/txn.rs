//! Transactions: compares choose the branches, then the operations run in order.
//!
//! As in etcd, the compares of nested transactions too are decided before the first operation
//! runs, and everything that can fail is checked before the first change, so that a refused
//! transaction has changed nothing. A range sees the writes before it in its transaction.

use std::{cmp::Ordering, collections::BTreeSet};

use bytes::Bytes;
use proto::{
    etcd::{
        Compare, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
        compare::{CompareResult, CompareTarget, TargetUnion},
        request_op::Request,
        response_op::Response,
    },
    mvcc::KeyValue,
};

use super::{Call, key_given};
use crate::kv::{
    Error,
    history::{History, Interval},
};

/// Largest number of compares, and of operations in each branch of a transaction; a nested
/// transaction has what its parent leaves over. etcd's default.
pub const OPERATIONS_MAX: usize = 128;

/// Deepest nesting of transactions. Messages are decoded up to a fixed depth, and a request stands
/// deeper in the command that is replicated than by itself: what is taken here must be decodable
/// there.
const NESTING_MAX: usize = 32;

impl Call for TxnRequest {
    type Response = TxnResponse;

    fn check(&self) -> Result<(), Error> {
        shape(self, OPERATIONS_MAX, NESTING_MAX)?;
        changes(&self.success)?;
        changes(&self.failure)?;
        Ok(())
    }

    /// Without any write, whatever its compares say.
    fn is_read(&self) -> bool {
        self.success.iter().chain(&self.failure).all(|op| match &op.request {
            Some(Request::RequestRange(_)) => true,
            Some(Request::RequestTxn(nested)) => nested.is_read(),
            _ => false,
        })
    }

    /// When all of its ranges are. One that only compares has no say in it: it is not.
    fn is_serializable(&self) -> bool {
        let mut operations = self.success.iter().chain(&self.failure).peekable();
        operations.peek().is_some()
            && operations.all(|operation| match &operation.request {
                Some(Request::RequestRange(range)) => range.is_serializable(),
                _ => false,
            })
    }

    fn read(&self, history: &History) -> Result<TxnResponse, Error> {
        let path = plan(history, self)?;
        let mut succeeded = path.iter().copied();
        run(self, &mut succeeded, history.header(), &mut |op| match op {
            Request::RequestRange(range) => history.range(range).map(Response::ResponseRange),
            _ => Err(Error::NotARead),
        })
    }

    fn apply(&self, history: &mut History, effects: &mut Vec<u8>) -> Result<TxnResponse, Error> {
        let path = plan(history, self)?;
        let mut succeeded = path.iter().copied();
        let mut response = run(self, &mut succeeded, None, &mut |op| match op {
            Request::RequestRange(range) => history.range(range).map(Response::ResponseRange),
            Request::RequestPut(put) => Ok(Response::ResponsePut(history.put(put, effects))),
            Request::RequestDeleteRange(delete) => {
                Ok(Response::ResponseDeleteRange(history.delete_range(delete, effects)))
            }
            // `run` goes into nested transactions itself.
            Request::RequestTxn(_) => Err(Error::KeyNotFound),
        })?;
        response.header = history.header();
        Ok(response)
    }
}

fn shape(txn: &TxnRequest, operations_max: usize, nesting_max: usize) -> Result<(), Error> {
    let operations = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    if operations > operations_max || nesting_max == 0 {
        return Err(Error::TooManyOperations);
    }
    for compare in &txn.compare {
        key_given(&compare.key)?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match &op.request {
            Some(Request::RequestRange(op)) => op.check()?,
            Some(Request::RequestPut(op)) => op.check()?,
            Some(Request::RequestDeleteRange(op)) => op.check()?,
            Some(Request::RequestTxn(op)) => {
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
        if let Some(Request::RequestDeleteRange(op)) = &op.request {
            all.deletes.push(Interval::new(&op.key, &op.range_end));
        }
    }
    for op in operations {
        if let Some(Request::RequestTxn(op)) = &op.request {
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
        if let Some(Request::RequestPut(op)) = &op.request {
            all.put(&op.key, &BTreeSet::new())?;
        }
    }
    Ok(all)
}

/// Which branches are taken, in the order in which [`run`] meets the transactions. Fails if an
/// operation on the way would.
fn plan(history: &History, txn: &TxnRequest) -> Result<Vec<bool>, Error> {
    let mut path = Vec::new();
    choose(history, txn, &mut path);
    let mut succeeded = path.iter().copied();
    // etcd checks all puts before all ranges, which decides which of two errors is reported.
    visit(txn, &mut succeeded, &mut |op| match op {
        Request::RequestPut(put) => history.can_put(put),
        _ => Ok(()),
    })?;
    let mut succeeded = path.iter().copied();
    visit(txn, &mut succeeded, &mut |op| match op {
        Request::RequestRange(range) => history.resolve(range.revision).map(|_| ()),
        _ => Ok(()),
    })?;
    Ok(path)
}

fn choose(history: &History, txn: &TxnRequest, path: &mut Vec<bool>) {
    let succeeded = txn.compare.iter().all(|compare| holds(history, compare));
    path.push(succeeded);
    for op in branch(txn, succeeded) {
        if let Some(Request::RequestTxn(nested)) = &op.request {
            choose(history, nested, path);
        }
    }
}

fn branch(txn: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    if succeeded { &txn.success } else { &txn.failure }
}

/// Calls `check` with each operation on the way.
fn visit(
    txn: &TxnRequest,
    path: &mut impl Iterator<Item = bool>,
    check: &mut impl FnMut(&Request) -> Result<(), Error>,
) -> Result<(), Error> {
    let succeeded = path.next().unwrap_or_default();
    for op in branch(txn, succeeded) {
        match &op.request {
            Some(Request::RequestTxn(nested)) => visit(nested, path, check)?,
            Some(op) => check(op)?,
            None => {}
        }
    }
    Ok(())
}

/// Calls `execute` with each operation on the way and gathers the responses. The header of a
/// nested response is empty, as in etcd.
fn run(
    txn: &TxnRequest,
    path: &mut impl Iterator<Item = bool>,
    header: Option<ResponseHeader>,
    execute: &mut impl FnMut(&Request) -> Result<Response, Error>,
) -> Result<TxnResponse, Error> {
    let succeeded = path.next().unwrap_or_default();
    let mut responses = Vec::new();
    for op in branch(txn, succeeded) {
        let response = match &op.request {
            Some(Request::RequestTxn(nested)) => {
                let nested = run(nested, path, Some(ResponseHeader::default()), execute)?;
                Some(Response::ResponseTxn(nested))
            }
            Some(op) => Some(execute(op)?),
            None => None,
        };
        responses.push(ResponseOp { response });
    }
    Ok(TxnResponse { header, succeeded, responses })
}

/// Whether a compare holds for every key of its range; for a range without keys, whether it holds
/// for a key that has version and revisions 0. No value equals or differs from that of a missing
/// key.
fn holds(history: &History, compare: &Compare) -> bool {
    let mut pairs = history.latest(Interval::new(&compare.key, &compare.range_end)).peekable();
    if pairs.peek().is_none() {
        return compare.target != CompareTarget::Value as i32
            && holds_for(compare, &KeyValue::default());
    }
    pairs.all(|pair| holds_for(compare, &pair))
}

/// etcd's `compareKV`: an absent or mismatched operand is 0 or empty, an unknown target equal, an
/// unknown relation true.
fn holds_for(compare: &Compare, pair: &KeyValue) -> bool {
    let operand = compare.target_union.as_ref();
    let ordering = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Version) => pair.version.cmp(&match operand {
            Some(TargetUnion::Version(version)) => *version,
            _ => 0,
        }),
        Ok(CompareTarget::Create) => pair.create_revision.cmp(&match operand {
            Some(TargetUnion::CreateRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Mod) => pair.mod_revision.cmp(&match operand {
            Some(TargetUnion::ModRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Value) => pair.value.as_ref().cmp(match operand {
            Some(TargetUnion::Value(value)) => value.as_ref(),
            _ => &[],
        }),
        Ok(CompareTarget::Lease) => pair.lease.cmp(&match operand {
            Some(TargetUnion::Lease(lease)) => *lease,
            _ => 0,
        }),
        Err(_) => Ordering::Equal,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}
