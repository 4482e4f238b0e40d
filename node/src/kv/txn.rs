//! Transactions: compares choose the branches, then the operations run in order.
//!
//! As in etcd, the compares of nested transactions too are decided before the first operation
//! runs, and everything that can fail is checked before the first change, so that a refused
//! transaction has changed nothing. A range sees the writes before it in its transaction.

use std::cmp::Ordering;

use proto::{
    etcd::{
        Compare, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
        compare::{CompareResult, CompareTarget, TargetUnion},
        request_op::Request,
        response_op::Response,
    },
    mvcc::KeyValue,
};

use super::{
    Error,
    history::{History, Interval},
};

/// Runs a well-formed transaction of ranges.
pub(super) fn read(history: &History, txn: &TxnRequest) -> Result<TxnResponse, Error> {
    let path = plan(history, txn)?;
    let mut succeeded = path.iter().copied();
    run(txn, &mut succeeded, history.header(), &mut |op| match op {
        Request::RequestRange(range) => history.range(range).map(Response::ResponseRange),
        _ => Err(Error::NotARead),
    })
}

/// Runs a well-formed transaction.
pub(super) fn write(
    history: &mut History,
    txn: &TxnRequest,
    effects: &mut Vec<u8>,
) -> Result<TxnResponse, Error> {
    let path = plan(history, txn)?;
    let mut succeeded = path.iter().copied();
    let mut response = run(txn, &mut succeeded, None, &mut |op| match op {
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

/// Which branches are taken, in the order in which [`run`] meets the transactions. Fails if an
/// operation on the way would.
fn plan(history: &History, txn: &TxnRequest) -> Result<Vec<bool>, Error> {
    let mut path = Vec::new();
    choose(history, txn, &mut path);
    let mut succeeded = path.iter().copied();
    // etcd checks all puts before all ranges, which decides which of two errors is told.
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
