//! A store whose answers name revisions, which are a witness of the order: each write that changes
//! something makes exactly one new revision, and every answer says at which revision it was given.
//!
//! # What is decided
//! Whether the whole store is linearizable, which for transactions means strictly serializable, and
//! whether its revisions are those of [the model](crate::model::etcd): dense, each of one write,
//! unchanged by what changes nothing. A *serializable* read may see an old state, but the state of
//! exactly the revision that its header names, which must have existed by the time of the answer:
//! what is asked for later stands no earlier than that revision. Nothing more is asked of those
//! reads: etcd does not promise that a node's state never goes back, and it does if the node is
//! restarted.
//!
//! # How
//! 1. `timeline` puts every operation at the revision that its answer names, and holds that against
//!    real time. Revisions that no known operation made are *gaps*.
//! 2. Gaps are filled by writes of unknown outcome, exactly one each. `seen` gathers what
//!    answers show of them: what was put there, and which keys were not touched.
//! 3. `fill` executes everything in order on the store itself, and searches where several writes
//!    may have filled a gap. Without gaps there is nothing to search.
//!
//! *Linearizable* is proved by an order of all operations, which
//! [`certificate`](super::certificate) replays on the model. That there is *no* order follows
//! from the revisions: without gaps the order is known, and the first answer that the store would
//! not give contradicts it. With gaps it follows from a search of all ways to fill them, which
//! no verifier checks. So a violation has no refutation as those of other models have: a few
//! operations by themselves cannot be illegal, as others may have made the revisions between.
//!
//! What was refused names no revision, so it may show that writes of unknown outcome made further
//! revisions after the last that was answered. If need be, the search adds them, one at a time.
//!
//! What changes the store and is answered without a revision has no place. A history with such an
//! answer is searched as that of any other model.
//!
//! The time is near to linear in the operations, and quadratic in the writes of unknown outcome.

mod fill;
mod open;
mod seen;
mod timeline;
mod words;

use std::collections::VecDeque;

use self::{
    fill::{Filled, Search},
    open::Open,
    seen::Evidence,
    timeline::Timeline,
};
use super::{
    certificate,
    generic::{Decision, Object},
};
use crate::{
    budget::Budget,
    model::etcd::{Etcd, Operation, Step},
    text::count,
};

/// Decides the operations of a store.
pub(crate) fn decide(object: &Object<'_, Operation>, budget: &Budget) -> Decision {
    let intervals = &object.intervals;
    if intervals.iter().any(|interval| interval.operation.step() == Step::Unplaced) {
        return object.search(&Etcd, budget, |state| format!("revision {}", state.revision()));
    }
    let processes: Vec<u64> = (0..intervals.len()).map(|at| object.process(at)).collect();
    let may_write = |at: usize| open::may_write(&intervals[at].operation);
    let mut timeline = match Timeline::of(intervals, |at| processes[at], may_write) {
        Ok(timeline) => timeline,
        Err(breach) => return words::breach(object, &breach),
    };
    let open: Vec<Open<'_>> =
        timeline.open.iter().map(|&(at, after)| Open::of(at, after, intervals)).collect();
    let answered = timeline.last;
    let mut first = None;
    loop {
        let evidence = Evidence::of(intervals, &timeline, &open);
        let filled = match candidates(&timeline, &open, &evidence, budget) {
            Ok(candidates) => {
                Search::new(intervals, &timeline, &open, candidates, evidence, &processes, budget)
                    .run()
            }
            Err(unfilled) => unfilled,
        };
        match filled {
            Filled::Order(order) => return accept(object, &order),
            Filled::Spent(reason) => {
                return Decision::Undecided(format!(
                    "{} were made by writes of unknown outcome, and which by which of {} was not \
                     found out: {reason}",
                    count(timeline.gaps.len(), "revision"),
                    open.len()
                ));
            }
            Filled::Nobody(gap) if gap <= answered => return words::nobody(object, &timeline, gap),
            // No further revision helps.
            Filled::Nobody(_) => break,
            Filled::Contradiction { latest, tries, more } => {
                first.get_or_insert((latest, tries));
                if !more || timeline.gaps.len() == open.len() {
                    break;
                }
                timeline.extend();
            }
        }
    }
    match first {
        Some((latest, tries)) => words::contradiction(object, &timeline, &latest, tries),
        None => Decision::Undecided("a bug of the checker: no order, and no reason".into()),
    }
}

/// The decision that an order proves, if it does.
fn accept(object: &Object<'_, Operation>, order: &[usize]) -> Decision {
    if certificate::verify(&Etcd, &object.intervals, order) && object.in_turn(order) {
        return Decision::Linearizable;
    }
    let reason = "a bug of the checker: the order of the revisions is no linearization";
    Decision::Undecided(reason.into())
}

/// Of each gap, the writes that may have made it, by position in `open`, the likely first.
fn candidates(
    timeline: &Timeline,
    open: &[Open<'_>],
    evidence: &Evidence<'_>,
    budget: &Budget,
) -> Result<Vec<Vec<usize>>, Filled> {
    let mut candidates = Vec::with_capacity(timeline.gaps.len());
    for (gap, revision) in timeline.gaps.iter().enumerate() {
        budget.time().map_err(|spent| Filled::Spent(spent.0))?;
        // The latest first: most writes take effect soon, or never.
        let fits: Vec<usize> =
            (0..open.len()).rev().filter(|at| evidence.allows(&open[*at], gap)).collect();
        if fits.is_empty() {
            return Err(Filled::Nobody(*revision));
        }
        candidates.push(fits);
    }
    settle(&mut candidates, open.len());
    match unmatched(&candidates, open.len()) {
        Some(gap) => Err(Filled::Nobody(timeline.gaps[gap])),
        None => Ok(candidates),
    }
}

/// A write that alone may have filled some gap has filled no other.
fn settle(candidates: &mut [Vec<usize>], open: usize) {
    let mut gaps_of = vec![Vec::new(); open];
    for (gap, fits) in candidates.iter().enumerate() {
        fits.iter().for_each(|at| gaps_of[*at].push(gap));
    }
    let mut settled: Vec<usize> =
        (0..candidates.len()).filter(|gap| candidates[*gap].len() == 1).collect();
    while let Some(gap) = settled.pop() {
        let &[write] = candidates[gap].as_slice() else { continue };
        for other in std::mem::take(&mut gaps_of[write]) {
            if other != gap && candidates[other].len() > 1 {
                candidates[other].retain(|at| *at != write);
                if candidates[other].len() == 1 {
                    settled.push(other);
                }
            }
        }
    }
}

/// A gap for which no write is left, however the others are filled: there is none if the gaps and
/// their candidates have a matching.
fn unmatched(candidates: &[Vec<usize>], open: usize) -> Option<usize> {
    let mut gap_of: Vec<Option<usize>> = vec![None; open];
    let mut write_of: Vec<Option<usize>> = vec![None; candidates.len()];
    (0..candidates.len()).find(|&root| {
        // Breadth first to a write that is free. Each step takes a write from another gap, which
        // then needs another one.
        let mut reached: Vec<Option<usize>> = vec![None; open];
        let mut queue = VecDeque::from([root]);
        while let Some(gap) = queue.pop_front() {
            for &write in &candidates[gap] {
                if reached[write].is_some() {
                    continue;
                }
                reached[write] = Some(gap);
                if let Some(other) = gap_of[write] {
                    queue.push_back(other);
                    continue;
                }
                let mut free = Some(write);
                while let Some(write) = free
                    && let Some(gap) = reached[write]
                {
                    gap_of[write] = Some(gap);
                    free = write_of[gap].replace(write);
                }
                return false;
            }
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_need_a_write_each() {
        // The first two are of one write between them.
        assert_eq!(unmatched(&[vec![0], vec![0], vec![1]], 2), Some(1));
        // Each step takes a write from another gap: 0 goes to the last, 1 to the first, and 2 to
        // the second.
        assert_eq!(unmatched(&[vec![0, 1], vec![1, 2], vec![0]], 3), None);
        assert_eq!(unmatched(&[], 0), None);
    }

    #[test]
    fn a_write_that_a_gap_needs_is_no_other_s() {
        let mut candidates = vec![vec![0, 1, 2], vec![0], vec![0, 1]];
        settle(&mut candidates, 3);
        assert_eq!(candidates, [vec![2], vec![0], vec![1]]);
    }
}
