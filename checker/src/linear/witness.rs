//! The cheapest decider: believe the server's revisions, then check that the belief is consistent.
//!
//! Replies carry the store's revision, which says in which order the writes took place. Replaying
//! them in that order, each at the earliest moment that its call and its predecessors allow, either
//! gives a linearization or fails. A linearization is a proof whatever the revisions are
//! worth; a failure proves nothing, and the search decides.

use std::collections::BTreeMap;

use super::search::Interval;
use crate::model::{
    Effect, Model,
    register::{Operation, Register},
};

/// A write of the presumed order, and the reads that say they saw it.
#[derive(Debug, Default)]
struct Block {
    writer: Option<usize>,
    readers: Vec<usize>,
}

/// Whether the order of revisions is a linearization. `revisions` belong to `intervals` by place.
pub(super) fn explains(intervals: &[Interval<Operation>], revisions: &[Option<i64>]) -> bool {
    let Some((blocks, free)) = arrange(intervals, revisions) else { return false };
    let mut state = Register.initial();
    let mut time = 0;
    // When each state began.
    let mut states = vec![(0, state)];
    let take = |time: &mut u64, state: &mut Option<i64>, position: usize| {
        let interval = &intervals[position];
        *time = (*time).max(interval.call);
        let next = Register.apply(state, &interval.operation);
        match next {
            Some(next) if interval.ret.is_none_or(|ret| *time <= ret) => *state = next,
            _ => return false,
        }
        true
    };
    for block in blocks.into_values() {
        if let Some(writer) = block.writer {
            if !take(&mut time, &mut state, writer) {
                return false;
            }
            states.push((time, state));
        }
        for reader in block.readers {
            if !take(&mut time, &mut state, reader) {
                return false;
            }
        }
    }
    free.into_iter().all(|position| fits(&intervals[position], &states))
}

/// Blocks by revision, and the observations that belong to none. `None` where an acknowledged
/// write has no revision of its own.
fn arrange(
    intervals: &[Interval<Operation>],
    revisions: &[Option<i64>],
) -> Option<(BTreeMap<i64, Block>, Vec<usize>)> {
    let mut blocks: BTreeMap<i64, Block> = BTreeMap::new();
    // Writes without an answer, by value: a read may tell when one of them took place.
    let mut unanswered: BTreeMap<Option<i64>, Vec<usize>> = BTreeMap::new();
    let mut observers = Vec::new();
    for (position, interval) in intervals.iter().enumerate() {
        match (Register.effect(&interval.operation), interval.ret) {
            (Effect::Observe, Some(_)) => observers.push(position),
            (Effect::Observe, None) => {}
            (_, None) => {
                unanswered
                    .entry(interval.operation.written().flatten())
                    .or_default()
                    .push(position);
            }
            (_, Some(_)) => {
                let block = blocks.entry(revisions[position]?).or_default();
                if block.writer.replace(position).is_some() {
                    return None;
                }
            }
        }
    }
    observers.sort_by_key(|&position| intervals[position].call);
    let mut free = Vec::new();
    for position in observers {
        let Operation::Read(value) = intervals[position].operation else {
            free.push(position);
            continue;
        };
        let Some(revision) = revisions[position] else {
            free.push(position);
            continue;
        };
        let block = blocks.entry(revision).or_default();
        if block.writer.is_none() {
            block.writer = unanswered.get_mut(&value).and_then(Vec::pop);
        }
        block.readers.push(position);
    }
    Some((blocks, free))
}

/// Whether an observation is possible in one of the states that its time touches.
fn fits(interval: &Interval<Operation>, states: &[(u64, Option<i64>)]) -> bool {
    let first = states.partition_point(|&(start, _)| start < interval.call).saturating_sub(1);
    states[first..]
        .iter()
        .take_while(|&&(start, _)| interval.ret.is_none_or(|ret| start <= ret))
        .any(|(_, state)| Register.apply(state, &interval.operation).is_some())
}

#[cfg(test)]
mod tests {
    use Operation::{Mismatch, Read, Write};

    use super::*;

    fn decide(operations: &[(Operation, u64, Option<u64>, Option<i64>)]) -> bool {
        let intervals: Vec<_> = operations
            .iter()
            .map(|&(operation, call, ret, _)| Interval { operation, call, ret })
            .collect();
        let revisions: Vec<_> = operations.iter().map(|o| o.3).collect();
        explains(&intervals, &revisions)
    }

    #[test]
    fn revisions_order_concurrent_writes() {
        let history = |first, second| {
            [
                (Write(Some(1)), 0, Some(10), Some(first)),
                (Write(Some(2)), 0, Some(10), Some(second)),
                (Read(Some(1)), 11, Some(12), Some(first)),
                (Mismatch(Some(7)), 1, Some(2), None),
            ]
        };
        assert!(decide(&history(3, 2)));
        assert!(!decide(&history(2, 3)), "the wrong order proves nothing, so it says no");
    }

    #[test]
    fn a_read_tells_of_an_unanswered_write() {
        let write = (Write(Some(1)), 0, None, None);
        assert!(decide(&[write, (Read(Some(1)), 5, Some(6), Some(2))]));
        assert!(!decide(&[write, (Read(Some(2)), 5, Some(6), Some(2))]));
    }

    #[test]
    fn lying_revisions_do_not_prove_a_stale_read() {
        assert!(!decide(&[
            (Write(Some(1)), 0, Some(1), Some(2)),
            (Write(Some(2)), 2, Some(3), Some(3)),
            (Read(Some(1)), 4, Some(5), Some(2)),
        ]));
    }

    #[test]
    fn a_write_without_revision_is_not_ordered() {
        assert!(!decide(&[(Write(Some(1)), 0, Some(1), None)]));
    }
}
