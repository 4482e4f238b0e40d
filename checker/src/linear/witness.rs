//! The cheapest decider: believe the server's revisions, then check that the belief is consistent.
//!
//! Replies carry the store's revision, which says in which order the writes took place. Replaying
//! them in that order, each at the earliest moment that its call and its predecessors allow, either
//! gives a linearization or fails. A linearization is a proof whatever the revisions are
//! worth; a failure proves nothing, and the search decides.

use rustc_hash::FxHashMap;

use crate::model::{Effect, Interval, Model};

/// An operation of the presumed order. Sorted, they are that order: by revision, the write before
/// those who saw it, and those by call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    revision: i64,
    saw: bool,
    call: u64,
    position: usize,
}

/// The revision of what every key starts from.
const FIRST: i64 = i64::MIN;

/// The order that the revisions tell, if they tell one. `revisions` belong to `intervals` by place.
/// It is a linearization if [`verify`](super::certificate::verify) says so.
pub fn order<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    revisions: &[Option<i64>],
) -> Option<Vec<usize>> {
    // Where answers carry none there is nothing to believe.
    revisions.iter().find(|revision| revision.is_some())?;
    let mut entries = Vec::with_capacity(intervals.len());
    // Observations that no revision puts in a place; writes without an answer, by the state that
    // they leave: a read may tell when one of them took place.
    let mut free = Vec::new();
    let mut unanswered: FxHashMap<M::State, Vec<usize>> = FxHashMap::default();
    for (position, interval) in intervals.iter().enumerate() {
        let Interval { operation, call, ret } = interval;
        let call = *call;
        let saw = model.effect(operation) == Effect::Observe;
        match (ret, revisions[position]) {
            (None, _) if saw => {}
            (None, _) => {
                if let Some(state) = model.leaves(operation) {
                    unanswered.entry(state).or_default().push(position);
                }
            }
            (Some(_), Some(revision)) if !saw || is_read(model, operation) => {
                entries.push(Entry { revision, saw, call, position });
            }
            (Some(_), _) if saw => free.push(position),
            (Some(_), _) => return None,
        }
    }
    entries.sort_unstable();
    let mut found = Vec::new();
    // When each state began, and its revision.
    let mut states = vec![(0, model.initial(), FIRST)];
    let mut time = 0;
    for block in entries.chunk_by(|one, other| one.revision == other.revision) {
        let Entry { revision, saw, position, .. } = block[0];
        let writer = if saw {
            let state = model.needs(&intervals[position].operation)?;
            unanswered.get_mut(&state).and_then(Vec::pop)
        } else {
            Some(position)
        };
        if let Some(writer) = writer {
            let Interval { operation, call, .. } = &intervals[writer];
            if saw {
                found.push(Entry { revision, saw: false, call: *call, position: writer });
            }
            time = time.max(*call);
            let state = model.apply(&states.last()?.1, operation)?;
            states.push((time, state, revision));
        }
        // In order of calls, so the last one is the latest.
        time = time.max(block[block.len() - 1].call);
    }
    if !found.is_empty() || !free.is_empty() {
        entries.append(&mut found);
        for position in free {
            let revision = fits(model, &intervals[position], &states)?;
            let call = intervals[position].call;
            entries.push(Entry { revision, saw: true, call, position });
        }
        entries.sort_unstable();
    }
    Some(entries.into_iter().map(|entry| entry.position).collect())
}

/// Whether it tells the state, and does not write what is there already: that has a revision of its
/// own.
fn is_read<M: Model>(model: &M, operation: &M::Operation) -> bool {
    model.needs(operation).is_some() && model.leaves(operation).is_none()
}

/// States that are gone through for one observation; if none of so many will do, another decider
/// must say.
const STATES: usize = 256;

/// The revision of the first state that an observation touches and that it is possible in.
fn fits<M: Model>(
    model: &M,
    interval: &Interval<M::Operation>,
    states: &[(u64, M::State, i64)],
) -> Option<i64> {
    let first = states.partition_point(|&(start, ..)| start < interval.call).saturating_sub(1);
    states[first..]
        .iter()
        .take(STATES)
        .take_while(|&&(start, ..)| interval.ret.is_none_or(|ret| start <= ret))
        .find(|(_, state, _)| model.apply(state, &interval.operation).is_some())
        .map(|&(_, _, revision)| revision)
}

#[cfg(test)]
mod tests {
    use Operation::{Mismatch, Read, Write};

    use super::*;
    use crate::{
        linear::certificate::verify,
        model::register::{Operation, Register},
    };

    fn decide(operations: &[(Operation, u64, Option<u64>, Option<i64>)]) -> bool {
        let intervals: Vec<_> = operations
            .iter()
            .map(|&(operation, call, ret, _)| Interval { operation, call, ret })
            .collect();
        let revisions: Vec<_> = operations.iter().map(|o| o.3).collect();
        order(&Register, &intervals, &revisions)
            .is_some_and(|order| verify(&Register, &intervals, &order))
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
