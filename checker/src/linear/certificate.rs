//! Certificates: what a decider claims in proof of its verdict, and the check of that claim, which
//! shares nothing with the deciders.
//!
//! *Linearizable* is proved by an order of the operations: [`verify`]. *Not linearizable* is proved
//! by a core, a few operations that are illegal by themselves: [`refutes`]. That these few have no
//! order must imply that the whole history has none, and this is why it does.
//!
//! Suppose that the history has an order. What is cut away leaves an order of the core:
//!
//! 1. *Everything after a moment*: later calls are left out, and what returns later counts as
//!    unanswered. The beginning of an order is an order of the beginning.
//! 2. *An operation that only observes*: it changes no state, so the others do not miss it.
//! 3. *A write*, which is anything that changes the state, if each write leaves behind a state that
//!    does not depend on the one before. Then a kept operation that is not possible in every state
//!    saw what the last write before it had left. That write must be kept; so a write `w` may be
//!    left out if it cannot be the last before any kept operation `o` that looks at the state:
//!    - `o` is impossible in the state that `w` leaves; or
//!    - `o` had returned when `w` was called; or
//!    - a kept write was called after `w` had returned, and returned before `o` was called.
//!
//!    With the last write before each of them still in its place, all kept operations find the
//!    states that they found. This covers a compare-and-set that was refused, which any other value
//!    than one satisfies: the writes that it may have seen are those of all other values. A
//!    successful one is a write and looks at the state: kept, it needs the write that it saw; to be
//!    left out, it must not be what a kept one saw.
//!
//!    A kept one that was *not answered* need not be in the order of the core. So leave it out of
//!    that wherever the last write before it is not there: because it is not kept, or was left out
//!    of the order in this way. Then all that is lost is what it may have been seen by: an answered
//!    `o`, at the end of a chain of writes, each the last before the next, that begins with `w` and
//!    goes on with unanswered ones only. So `w` matters to an unanswered one only by way of such
//!    chains, and each of them is impossible
//!    - if its `o` had returned when `w` was called; or
//!    - if an answered write that was kept was called after `w` had returned, and returned before
//!      `o`, or any on the way to it, was called. It would stand between the two, and it is not in
//!      the chain, which goes through unanswered writes.
//!
//!    What an unanswered one may have seen is thus no more than what the answered ones may have
//!    seen that can be reached from it; where there are none, it matters to nobody what it saw.
//!
//! A whole *part* of an object may be left out too, where what is left of an order of the whole is
//! an order of the part: [`refutes_part`]. A queue without some of its values is still a queue of
//! the others, and a set without some of its elements one of the others; `part` of
//! [`queue`](super::queue::Conflict::part), [`grow_only_set`](super::grow_only_set::Conflict::part)
//! and [`append_text`](super::append_text::Part) say what is left of each operation.
//!
//! All this holds for any order by times, so for one that keeps [turns](super::process_order) too;
//! and what is left of that keeps them as well. So orders of the core that do not keep them need
//! not count.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Effect, Interval, Model};

/// Whether `order`, positions in `intervals`, is a linearization (Herlihy and Wing, 1990): the
/// model gives each operation its answer in this order, no operation stands before one that had
/// ended when it was asked for, none stands there twice, each that was answered stands there, and
/// each process takes its [turns](super::process_order) in their order.
///
/// Each operation is given the earliest moment that its call and those before it allow. When that
/// is no later than its return for all of them, the moments are what linearizability asks for.
pub fn verify<M: Model>(model: &M, intervals: &[Interval<M::Operation>], order: &[usize]) -> bool {
    let mut state = model.initial();
    let mut moment = 0;
    let mut turns = FxHashMap::default();
    let mut taken = vec![false; intervals.len()];
    for &position in order {
        let Some(interval) = intervals.get(position) else { return false };
        moment = moment.max(interval.call);
        if std::mem::replace(&mut taken[position], true)
            || interval.ret.is_some_and(|ret| ret < moment)
            || !model.advance(&mut state, &interval.operation)
        {
            return false;
        }
        if let Some(turn) = model.turn(&interval.operation)
            && turns.insert(turn.process, turn).is_some_and(|before| !turn.is_after(before))
        {
            return false;
        }
    }
    taken.iter().zip(intervals).all(|(taken, interval)| *taken || interval.ret.is_none())
}

/// Why a core proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Its operations have an order.
    #[error("its operations have an order")]
    Legal,
    /// It lacks this operation of the history, by position, which one that it has may have seen.
    #[error("it lacks operation {0}")]
    Lacks(usize),
    /// It is no set of positions.
    #[error("it names operations that are not there")]
    Malformed,
    /// It is too large to try all orders.
    #[error("it is too large to try all orders")]
    TooLarge,
}

/// Whether `core`, positions in `intervals`, shows that the history up to the moment `until` has no
/// linearization: tries all orders of the core, in so many steps at most, and checks that what was
/// left out could be left out.
///
/// # Errors
/// What is wrong with it.
pub fn refutes<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    core: &[usize],
    until: u64,
    steps: usize,
) -> Result<(), Flaw> {
    let ret = |interval: &Interval<_>| interval.ret.filter(|ret| *ret <= until);
    let mut kept = vec![false; intervals.len()];
    let mut few = Vec::with_capacity(core.len());
    for &position in core {
        let interval =
            intervals.get(position).filter(|i| i.call <= until).ok_or(Flaw::Malformed)?;
        if std::mem::replace(&mut kept[position], true) {
            return Err(Flaw::Malformed);
        }
        few.push(Interval { ret: ret(interval), ..interval.clone() });
    }
    let writes = |interval: &Interval<_>| model.effect(&interval.operation) != Effect::Observe;
    let mut left = steps;
    let looking = looks(model, &few, &mut left).ok_or(Flaw::TooLarge)?;
    let constant = !intervals
        .iter()
        .any(|i| i.call <= until && writes(i) && model.leaves(&i.operation).is_none());
    for (position, write) in intervals.iter().enumerate() {
        if kept[position] || write.call > until || !writes(write) {
            continue;
        }
        left = left.checked_sub(looking.len()).ok_or(Flaw::TooLarge)?;
        let state = model.leaves(&write.operation).filter(|_| constant);
        let harmless = |look: &Look<M::Operation>| {
            look.until.is_none_or(|until| until < write.call)
                || write.ret.is_some_and(|ret| ret < look.hidden)
                || state.as_ref().is_some_and(|s| model.apply(s, &look.of.operation).is_none())
        };
        if state.is_none() || !looking.iter().all(harmless) {
            return Err(Flaw::Lacks(position));
        }
    }
    exhaust(model, &few, left)
}

/// A kept operation that looks at the state, and what it may have seen that matters.
struct Look<'a, O> {
    of: &'a Interval<O>,
    /// Nothing that was called later; nothing at all, if there is no such moment.
    until: Option<u64>,
    /// Nothing that had returned before this.
    hidden: u64,
}

/// The looks at the state among the operations of a core. Those of the unanswered grow, beginning
/// with nothing, until they are as large as all that can see what they left asks for. `None` where
/// it takes more steps than are `left` to find out.
fn looks<'a, M: Model>(
    model: &M,
    few: &'a [Interval<M::Operation>],
    left: &mut usize,
) -> Option<Vec<Look<'a, M::Operation>>> {
    let writes = |i: &&Interval<_>| model.effect(&i.operation) != Effect::Observe;
    // The last call of a write that returned before: what returned before that call is hidden.
    let hidden = |before: u64| {
        let returned = few.iter().filter(writes).filter(|i| i.ret.is_some_and(|ret| ret < before));
        returned.map(|i| i.call).max().unwrap_or(0)
    };
    // Without an answer, an observation says nothing.
    let says = |i: &&Interval<_>| i.ret.is_some() || writes(i);
    let looks = |i: &&Interval<_>| model.effect(&i.operation) != Effect::Overwrite && says(i);
    *left = left.checked_sub(few.len() * few.len())?;
    let look = |of: &'a Interval<_>| Look {
        of,
        until: of.ret,
        hidden: of.ret.map_or(u64::MAX, |_| hidden(of.call)),
    };
    let mut looks: Vec<_> = few.iter().filter(looks).map(look).collect();
    let mut changed = true;
    while std::mem::take(&mut changed) {
        *left = left.checked_sub(looks.len() * few.len())?;
        for at in 0..looks.len() {
            let Interval { operation, call, ret: None } = looks[at].of else { continue };
            let state = model.leaves(operation);
            let sees = |look: &&Look<_>| {
                look.until.is_some_and(|until| *call <= until)
                    && state.as_ref().is_none_or(|s| model.apply(s, &look.of.operation).is_some())
            };
            let until = looks.iter().filter(sees).filter_map(|look| look.until).max();
            let least = looks.iter().filter(sees).map(|look| look.hidden).min();
            let hidden = least.map_or(u64::MAX, |least| least.max(hidden(*call)));
            changed |= (until, hidden) != (looks[at].until, looks[at].hidden);
            (looks[at].until, looks[at].hidden) = (until, hidden);
        }
    }
    Some(looks)
}

/// Whether `core`, positions in `intervals`, shows in the same way that a part of the object has no
/// order up to the moment `until`. `part` says what is left of an operation, or that nothing is; of
/// one that only observes, nothing that does more. All that changes the part must be in the core;
/// what only observes it need not.
///
/// # Errors
/// What is wrong with it.
pub fn refutes_part<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    part: impl Fn(&M::Operation) -> Option<M::Operation>,
    core: &[usize],
    until: u64,
    steps: usize,
) -> Result<(), Flaw> {
    let mut kept = vec![false; intervals.len()];
    for &position in core {
        let kept = kept.get_mut(position).filter(|kept| !**kept).ok_or(Flaw::Malformed)?;
        *kept = true;
    }
    let mut few = Vec::with_capacity(core.len());
    for (position, &Interval { ref operation, call, ret }) in intervals.iter().enumerate() {
        if !kept[position] && model.effect(operation) == Effect::Observe {
            continue;
        }
        match part(operation).filter(|_| call <= until) {
            Some(operation) if kept[position] => {
                few.push(Interval { operation, call, ret: ret.filter(|ret| *ret <= until) });
            }
            Some(operation) if model.effect(&operation) != Effect::Observe => {
                return Err(Flaw::Lacks(position));
            }
            None if kept[position] => return Err(Flaw::Malformed),
            Some(_) | None => {}
        }
    }
    exhaust(model, &few, steps)
}

/// Tries all orders. Two beginnings with the same operations and the same state are tried once.
fn exhaust<M: Model>(
    model: &M,
    few: &[Interval<M::Operation>],
    mut left: usize,
) -> Result<(), Flaw> {
    let turn = |at: usize| model.turn(&few[at].operation);
    let precedes = |one: usize, other: usize| {
        few[one].ret.is_some() && turn(other).zip(turn(one)).is_some_and(|(t, u)| t.is_after(u))
    };
    let all = 0..few.len();
    let before: Vec<Vec<usize>> =
        all.clone().map(|at| all.clone().filter(|&one| precedes(one, at)).collect()).collect();
    let mut tried = FxHashSet::default();
    let mut open = vec![(vec![false; few.len()], model.initial())];
    while let Some((mut taken, state)) = open.pop() {
        let missing = taken.iter().zip(few).filter(|(taken, _)| !**taken);
        let Some(first) = missing.filter_map(|(_, interval)| interval.ret).min() else {
            return Err(Flaw::Legal);
        };
        left = left.checked_sub(few.len()).ok_or(Flaw::TooLarge)?;
        // Nothing goes before what had returned when it was called, or out of turn.
        let free = |at: &usize| {
            !taken[*at] && few[*at].call <= first && before[*at].iter().all(|&one| taken[one])
        };
        let apply = |at: usize| model.apply(&state, &few[at].operation);
        let observes = |at: usize| model.effect(&few[at].operation) == Effect::Observe;
        // What only observes, and can, loses nothing by going first, and is in nobody's way.
        let seen = (0..few.len()).filter(free).find(|&at| observes(at) && apply(at).is_some());
        if let Some(at) = seen {
            taken[at] = true;
            open.push((taken, state));
            continue;
        }
        for at in (0..few.len()).filter(free) {
            let Some(state) = apply(at) else { continue };
            let mut taken = taken.clone();
            taken[at] = true;
            if tried.insert((taken.clone(), state.clone())) {
                open.push((taken, state));
            }
            // Each of those that are open takes as many steps.
            if open.len().saturating_mul(few.len()) > left {
                return Err(Flaw::TooLarge);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::register::{
        Operation::{self, Cas, Read, Write},
        Register,
    };

    fn interval(operation: Operation, call: u64, ret: Option<u64>) -> Interval<Operation> {
        Interval { operation, call, ret }
    }

    #[test]
    fn an_order_must_be_legal_whole_and_true_to_time() {
        let history = [
            interval(Write(Some(1)), 0, Some(4)),
            interval(Write(Some(2)), 3, Some(6)),
            interval(Read(Some(1)), 5, Some(8)),
            interval(Write(Some(3)), 7, None),
        ];
        let accepts = |order: &[usize]| verify(&Register, &history, order);
        assert!(!accepts(&[0, 1, 2]), "the read sees the other write");
        assert!(!accepts(&[1, 2, 0]), "the read comes before what it saw");
        assert!(!accepts(&[0, 2]), "an answered write is missing");
        assert!(!accepts(&[1, 0, 0, 2]), "a write stands there twice");
        assert!(!accepts(&[1, 0, 2, 4]), "there is no such operation");
        assert!(!accepts(&[3, 1, 0, 2]), "the last write is called only after the first returned");
        assert!(accepts(&[1, 0, 2]) && accepts(&[1, 0, 2, 3]));
        // Moments that only touch are concurrent.
        let touching = [interval(Read(Some(1)), 0, Some(4)), interval(Write(Some(1)), 4, Some(5))];
        assert!(verify(&Register, &touching, &[1, 0]));
    }

    #[test]
    fn what_an_unanswered_one_saw_matters_only_to_who_may_have_seen_it() {
        let mut history = vec![
            interval(Write(Some(1)), 0, Some(1)),
            interval(Cas(Some(1), 2), 2, None),
            interval(Write(Some(1)), 3, Some(4)),
            interval(Write(Some(3)), 5, Some(6)),
            interval(Read(Some(2)), 7, Some(8)),
        ];
        let check = |history: &[_], core: &[usize]| refutes(&Register, history, core, 8, 1000);
        assert_eq!(check(&history, &[3, 4]), Err(Flaw::Lacks(1)));
        // The writes of 1 were hidden when it read 2, whenever that was written.
        assert_eq!(check(&history, &[1, 3, 4]), Ok(()));
        assert_eq!(check(&history, &[1, 4]), Err(Flaw::Lacks(0)));
        history[2].ret = Some(5);
        assert_eq!(check(&history, &[1, 3, 4]), Err(Flaw::Lacks(2)));
        // Nor is what hides them hidden behind what may not have taken place.
        history[2].ret = Some(4);
        history[3].ret = None;
        assert_eq!(check(&history, &[1, 3, 4]), Err(Flaw::Lacks(0)));
    }
}
