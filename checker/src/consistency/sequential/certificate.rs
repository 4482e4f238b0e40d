//! Checks an order of operations against what each of them saw. Shares nothing with what found it.

use rustc_hash::FxHashMap;

use super::super::operation::{Action, NIL, Operation, Value};

/// Whether `order`, positions in `operations`, is one in which a store that does one thing at a
/// time gives these answers: every answered operation stands there, none twice, and those of each
/// process in its own order.
pub(super) fn verify(operations: &[Operation<'_>], order: &[usize]) -> bool {
    let mut keys: FxHashMap<u32, Value> = FxHashMap::default();
    let mut reached: FxHashMap<u64, u64> = FxHashMap::default();
    let mut taken = vec![false; operations.len()];
    for &at in order {
        let Some(operation) = operations.get(at) else { return false };
        let (process, index) = (operation.source.process, operation.source.index);
        let before = reached.insert(process, index);
        if std::mem::replace(&mut taken[at], true) || before.is_some_and(|before| before > index) {
            return false;
        }
        let value = keys.entry(operation.key).or_insert(NIL);
        let possible = match operation.action {
            Action::Read(seen) | Action::Cas(seen, _) => *value == seen,
            Action::Mismatch(other) => *value != other,
            Action::Write(_) => true,
        };
        if !possible {
            return false;
        }
        *value = operation.action.written().unwrap_or(*value);
    }
    taken.iter().zip(operations).all(|(taken, operation)| *taken || operation.ret.is_none())
}
