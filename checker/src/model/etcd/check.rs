//! What makes a request malformed, whatever the store holds: etcd's checks, in etcd's order.

use std::collections::BTreeSet;

use super::{
    bytes::Bytes,
    error::Refusal,
    keys::KeyRange,
    request::{Request, Txn},
};

/// Largest number of compares, and of requests in a list of a transaction; a nested transaction has
/// what its parent leaves over.
const OPERATIONS_MAX: usize = 128;

/// Why a request is malformed, if it is. An inverted range is not: it is empty.
pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    match request {
        Request::Txn(txn) => {
            shape(txn, OPERATIONS_MAX)?;
            changes(&txn.success)?;
            changes(&txn.failure)?;
            Ok(())
        }
        other => alone(other),
    }
}

fn key_given(key: &Bytes) -> Result<(), Refusal> {
    if key.0.is_empty() { Err(Refusal::EmptyKey) } else { Ok(()) }
}

fn alone(request: &Request) -> Result<(), Refusal> {
    match request {
        Request::Put(put) => {
            key_given(&put.key)?;
            if put.ignore_value && !put.value.is_empty() {
                return Err(Refusal::ValueProvided);
            }
            if put.ignore_lease && put.lease != 0 {
                return Err(Refusal::LeaseProvided);
            }
            Ok(())
        }
        Request::Range(range) => key_given(&range.key),
        Request::DeleteRange(delete) => key_given(&delete.key),
        Request::Txn(_) => Ok(()),
    }
}

fn shape(txn: &Txn, operations_max: usize) -> Result<(), Refusal> {
    let operations = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    let left = operations_max.checked_sub(operations).ok_or(Refusal::TooManyOperations)?;
    txn.compare.iter().try_for_each(|compare| key_given(&compare.key))?;
    txn.success.iter().chain(&txn.failure).try_for_each(|request| match request {
        Request::Txn(nested) => shape(nested, left),
        other => alone(other),
    })
}

/// The keys that a list of requests may put and delete, both lists of nested transactions included.
#[derive(Default)]
struct Changes<'a> {
    puts: BTreeSet<&'a Bytes>,
    deletes: Vec<KeyRange<'a>>,
}

impl<'a> Changes<'a> {
    fn put(&mut self, key: &'a Bytes, exclusive_with: &BTreeSet<&Bytes>) -> Result<(), Refusal> {
        let twice = self.puts.contains(key) && !exclusive_with.contains(key);
        if twice || self.deletes.iter().any(|interval| interval.contains(key)) {
            return Err(Refusal::DuplicateKey);
        }
        self.puts.insert(key);
        Ok(())
    }
}

/// No key is put twice, or put and deleted, in one list of requests. Deletions may overlap, and the
/// two lists of a nested transaction exclude each other.
fn changes(requests: &[Request]) -> Result<Changes<'_>, Refusal> {
    let mut all = Changes::default();
    for request in requests {
        if let Request::DeleteRange(delete) = request {
            all.deletes.push(KeyRange::new(&delete.key, &delete.range_end));
        }
    }
    for request in requests {
        if let Request::Txn(nested) = request {
            let (success, failure) = (changes(&nested.success)?, changes(&nested.failure)?);
            success.puts.iter().try_for_each(|key| all.put(key, &BTreeSet::new()))?;
            failure.puts.iter().try_for_each(|key| all.put(key, &success.puts))?;
            all.deletes.extend(success.deletes);
            all.deletes.extend(failure.deletes);
        }
    }
    for request in requests {
        if let Request::Put(put) = request {
            all.put(&put.key, &BTreeSet::new())?;
        }
    }
    Ok(all)
}
