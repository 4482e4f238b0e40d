//! Decides the operations of one object, whatever its model, and proves what it says.

use std::time::Instant;

use rustc_hash::FxHashSet;

use super::{
    certificate::{self, Flaw},
    minimize::Minimizer,
    search::{Found, Search, Stop},
};
use crate::{
    budget::Budget,
    model::{Effect, Interval, Model},
};

/// What was found, with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<S> {
    /// The operations are linearizable.
    Linearizable {
        /// In this order of positions, which has been verified: all that were answered, and those
        /// unanswered that took place.
        order: Vec<usize>,
    },
    /// They are not.
    Illegal(Box<Core<S>>),
    /// A budget ran out, or the checker has a bug.
    Undecided {
        /// Which, in words.
        reason: String,
    },
}

/// A few operations that show that a history is illegal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core<S> {
    /// Their positions, by call. Illegal by themselves, and what was left out could be left out:
    /// [`certificate::refutes`] has checked it unless there is a [reason not to
    /// be](Self::unverified_reason).
    pub operations: Vec<usize>,
    /// What was called later is no part of it, and what returned later counts as unanswered.
    pub until: u64,
    /// The operation of the core at whose return no order was left.
    pub failed_at: usize,
    /// An order of its operations that explains all until then, as far as they took place.
    pub tried: Vec<usize>,
    /// The states in which the whole history could have been until then; none if nobody knows.
    pub possible: Vec<S>,
    /// Why the core could not be verified. The history is illegal all the same: the decider that
    /// said so is sound, but nobody has looked over its shoulder.
    pub unverified_reason: Option<String>,
}

/// Bytes of configurations for a search that only explains what another has decided.
pub(super) const TO_EXPLAIN: usize = 1 << 18;

/// Steps to verify a core: so many, and so many for each operation of the history.
const TO_VERIFY: usize = 1 << 20;
const TO_VERIFY_EACH: usize = 64;

/// Whether the operations of one object are linearizable.
///
/// A verdict comes with its proof: an order of the operations, or a core of them that has none. The
/// proof has been checked by [`certificate`], and one that fails is a reason to be undecided.
///
/// ```
/// use checker::{
///     budget::Budget,
///     linear::{Decision, decide},
///     model::{Interval, register::{Operation::{Read, Write}, Register}},
/// };
/// use std::time::{Duration, Instant};
///
/// let interval = |operation, call, ret| Interval { operation, call, ret: Some(ret) };
/// let history = [
///     interval(Write(Some(1)), 0, 1),
///     interval(Read(Some(1)), 2, 3),
///     interval(Write(Some(2)), 4, 5),
///     interval(Read(Some(1)), 6, 7),
/// ];
/// let budget = Budget { memory: 1 << 20, deadline: Instant::now() + Duration::from_secs(1) };
/// match decide(&Register, &history, &budget) {
///     // The stale read and the write that it ought to have seen are enough to show it.
///     Decision::Illegal(core) => assert_eq!(core.operations, [2, 3]),
///     other => panic!("{other:?}"),
/// }
/// ```
pub fn decide<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    budget: &Budget,
) -> Decision<M::State> {
    decide_with(model, intervals, budget, |_| None)
}

/// The same. `quick` says whether a few operations are linearizable, where it can tell faster than
/// the search.
pub(super) fn decide_with<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    budget: &Budget,
    quick: impl Fn(&[Interval<M::Operation>]) -> Option<bool>,
) -> Decision<M::State> {
    let mut search = Search::new(model, *budget).with_order();
    match search.run(intervals) {
        Ok(None) => accept(model, intervals, search.order()),
        Ok(Some(failed_at)) => {
            let reason = Reason { failed_at, possible: search.possible(), hint: &[] };
            refute(model, intervals, reason, budget, search, quick)
        }
        Err((stop, time)) => Decision::Undecided { reason: search.reason(stop, time) },
    }
}

/// The decision that an order proves, if it does.
pub(super) fn accept<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    order: Vec<usize>,
) -> Decision<M::State> {
    if certificate::verify(model, intervals, &order) {
        return Decision::Linearizable { order };
    }
    let reason = "a bug of the checker: the order that the search found is no linearization".into();
    Decision::Undecided { reason }
}

/// Why a decider says that a history is illegal.
pub(super) struct Reason<'a, S> {
    /// An operation at whose return no order was left.
    pub(super) failed_at: usize,
    /// The states that were possible until then, if the decider knows.
    pub(super) possible: Vec<S>,
    /// Operations that are likely to show it.
    pub(super) hint: &'a [usize],
}

/// The decision that a history is illegal, with a core that shows it, which `search` looks for;
/// `quick` as in [`decide_with`].
pub(super) fn refute<'a, M: Model>(
    model: &'a M,
    intervals: &[Interval<M::Operation>],
    reason: Reason<'_, M::State>,
    budget: &Budget,
    mut search: Search<'a, M>,
    quick: impl Fn(&[Interval<M::Operation>]) -> Option<bool>,
) -> Decision<M::State> {
    let brief = Budget { memory: budget.memory.min(TO_EXPLAIN), ..*budget };
    let illegal = |search: &mut Search<'a, M>, few: &[Interval<M::Operation>]| match quick(few) {
        Some(linearizable) => !linearizable,
        None => match search.run(few) {
            // Buffers kept from earlier operations count as its memory: retry with an empty search.
            Err((Stop::Memory(_), _)) => {
                *search = Search::new(model, brief).with_order();
                search.is_illegal(few)
            }
            found => matches!(found, Ok(Some(_))),
        },
    };
    let Reason { mut failed_at, possible, hint } = reason;
    let mut hint = hint.to_vec();
    let mut possible = Some(possible);
    loop {
        let until =
            intervals[failed_at].ret.map_or(u64::MAX, |ret| ret.max(intervals[failed_at].call));
        search.set_budget(brief);
        let cut = Minimizer::new(model, intervals, until, budget.deadline);
        let operations = cut.core(failed_at, &hint, |few| illegal(&mut search, few));
        let few: Vec<_> = operations.iter().map(|&at| cut.interval(intervals, at)).collect();
        let mut core = Core {
            operations,
            until,
            failed_at,
            tried: Vec::new(),
            possible: possible.take().unwrap_or_default(),
            unverified_reason: None,
        };
        // Even out of time there is a moment to look at a few operations.
        let deadline = brief.deadline.max(Instant::now() + TO_LOOK);
        let brief = Budget { deadline, ..brief };
        search.set_budget(brief);
        let mut found = search.decide(&few);
        if let Found::Undecided { .. } = found {
            search = Search::new(model, brief).with_order();
            found = search.decide(&few);
        }
        match found {
            Found::Illegal(found) => {
                let at = core.operations[found.at];
                if few[found.at].ret < intervals[failed_at].ret {
                    // It shows already earlier, so less is needed.
                    (failed_at, hint) = (at, core.operations);
                    continue;
                }
                core.failed_at = at;
                core.tried = found.tried.into_iter().map(|at| core.operations[at]).collect();
            }
            Found::Undecided { .. } => {}
            Found::Linearizable(_) => {
                return bug(format!(
                    "operations {:?} are no core: they have an order",
                    core.operations
                ));
            }
        }
        let steps = TO_VERIFY + TO_VERIFY_EACH * intervals.len();
        match certificate::refutes(model, intervals, &core.operations, until, steps) {
            Ok(()) => {}
            Err(flaw @ Flaw::TooLarge) => {
                core.unverified_reason = Some(not_verified(&core.operations, flaw))
            }
            Err(flaw) => {
                return bug(format!("operations {:?} are no core: {flaw}", core.operations));
            }
        }
        return Decision::Illegal(Box::new(core));
    }
}

/// The core that shows that a part of an object has no order: `part` says what is left of an
/// operation, as in [`certificate::refutes_part`], which has checked the core unless there is a
/// [reason not to be](Core::unverified_reason). Of operations that only observe, it has none but
/// those of `needed`.
///
/// # Errors
/// The part has an order, or what was left out could not be.
pub fn refute_part<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    part: impl Fn(&M::Operation) -> Option<M::Operation>,
    needed: &[usize],
    budget: &Budget,
) -> Result<Core<M::State>, String> {
    let needed: FxHashSet<usize> = needed.iter().copied().collect();
    let (mut few, mut operations) = (Vec::new(), Vec::new());
    for (position, &Interval { ref operation, call, ret }) in intervals.iter().enumerate() {
        // Of what only observes, nothing is left that does more.
        let is_needed = |operation: &M::Operation| {
            needed.contains(&position) || model.effect(operation) != Effect::Observe
        };
        if is_needed(operation)
            && let Some(operation) = part(operation).filter(is_needed)
        {
            few.push(Interval { operation, call, ret });
            operations.push(position);
        }
    }
    let deadline = budget.deadline.max(Instant::now() + TO_LOOK);
    let brief = Budget { memory: budget.memory.min(TO_EXPLAIN), deadline };
    let mut search = Search::new(model, brief).with_order();
    let mut core = match search.decide(&few) {
        Found::Illegal(found) => Core {
            until: few[found.at].ret.unwrap_or(u64::MAX).max(few[found.at].call),
            failed_at: operations[found.at],
            tried: found.tried.into_iter().map(|at| operations[at]).collect(),
            possible: found.possible,
            operations: Vec::new(),
            unverified_reason: None,
        },
        Found::Linearizable(_) => {
            return Err(format!("a bug of the checker: operations {operations:?} have an order"));
        }
        Found::Undecided { .. } => {
            let last = needed.iter().copied().max_by_key(|&at| (intervals[at].ret, at));
            let (until, failed_at) = (u64::MAX, last.unwrap_or_default());
            let (tried, possible) = (Vec::new(), Vec::new());
            Core {
                until,
                failed_at,
                tried,
                possible,
                operations: Vec::new(),
                unverified_reason: None,
            }
        }
    };
    operations.retain(|&at| intervals[at].call <= core.until);
    let steps = TO_VERIFY + TO_VERIFY_EACH * intervals.len();
    core.operations = operations;
    match certificate::refutes_part(model, intervals, part, &core.operations, core.until, steps) {
        Ok(()) => {}
        Err(flaw @ Flaw::TooLarge) => {
            core.unverified_reason = Some(not_verified(&core.operations, flaw))
        }
        Err(flaw) => {
            return Err(format!(
                "a bug of the checker: operations {:?} are no core: {flaw}",
                core.operations
            ));
        }
    }
    Ok(core)
}

fn not_verified(core: &[usize], flaw: Flaw) -> String {
    format!("the core of {} operations was not verified: {flaw}", core.len())
}

/// Time to look at a core when all other time is used up.
const TO_LOOK: std::time::Duration = std::time::Duration::from_millis(100);

fn bug<S>(what: String) -> Decision<S> {
    Decision::Undecided { reason: format!("a bug of the checker: {what}") }
}
