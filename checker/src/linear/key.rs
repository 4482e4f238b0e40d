//! Decides one key of the store.

use std::collections::hash_map::Entry;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    certificate,
    decide::{Decision, Reason, TO_EXPLAIN, accept, decide_with, refute},
    explain::Case,
    process_order::{self, Ends, ProcessOrder},
    search::{self, Found, Search, Stuck},
    witness, zones,
};
use crate::{
    budget::Budget,
    history::{Clock, Operation, Outcome},
    model::{
        Interval,
        register::{self, Register},
    },
    verdict::Violation,
};

/// What was found for one key.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// Linearizable: an order has been verified.
    Linearizable,
    /// Not linearizable, and why.
    Illegal(Box<Violation>),
    /// A budget ran out; which, in words.
    Undecided(String),
}

/// Decides the operations of one key, given in order of invocation.
pub fn check_key(key: &str, operations: &[&Operation<'_>], budget: &Budget) -> Key {
    let clock = Clock::of(operations.iter().map(|operation| operation.events()));
    let (mut ends, mut touch) = (Ends::default(), false);
    let mut subject = Subject::new(clock, operations.len());
    for &operation in operations {
        subject.push(operation);
        touch |= ends.touch(operation.process, operation.events());
    }
    subject.decide(key, touch, budget)
}

/// The operations of one key that say something about it.
pub(super) struct Subject<'a> {
    clock: Clock,
    intervals: Vec<Interval<register::Operation>>,
    /// Of each of them, the operation of the history, and its revision.
    sources: Vec<&'a Operation<'a>>,
    revisions: Vec<Option<i64>>,
}

impl<'a> Subject<'a> {
    /// No operation yet, of a history with this clock; but room for so many.
    pub(super) fn new(clock: Clock, room: usize) -> Self {
        Self {
            clock,
            intervals: Vec::with_capacity(room),
            sources: Vec::with_capacity(room),
            revisions: Vec::with_capacity(room),
        }
    }

    pub(super) fn push(&mut self, source: &'a Operation<'a>) {
        let Some(operation) = register::Operation::of(source) else { return };
        let (ret, revision) = match source.outcome {
            Outcome::Ok { time, revision, .. } => (Some(time), revision),
            Outcome::Mismatch { time, .. } => (Some(time), None),
            Outcome::Failed { .. } | Outcome::Unknown { .. } => (None, None),
        };
        self.intervals.push(Interval { operation, call: source.call, ret });
        self.sources.push(source);
        self.revisions.push(revision);
    }

    fn decision(&self, touch: bool, budget: &Budget) -> (Decision<Option<i64>>, Option<i64>) {
        let Self { intervals, sources, revisions, .. } = self;
        let processes = sources.iter().map(|source| source.process);
        let turns =
            if touch { ProcessOrder::of(intervals, processes) } else { ProcessOrder::default() };
        if !turns.is_empty() {
            let by_lines =
                process_order::by_lines(intervals, sources.iter().map(|source| source.events()));
            let found = decide(&by_lines, revisions, &budget.share(2));
            if let (Decision::Linearizable { .. }, _) = found {
                return found;
            }
        }
        let (decision, unseen) = decide(intervals, revisions, budget);
        (turns.settle(&Register, intervals, decision, budget), unseen)
    }

    /// Decides them; operations of one process may `touch`.
    pub(super) fn decide(&self, key: &str, touch: bool, budget: &Budget) -> Key {
        let (decision, unseen) = self.decision(touch, budget);
        match decision {
            Decision::Linearizable { .. } => Key::Linearizable,
            Decision::Undecided { reason } => Key::Undecided(reason),
            Decision::Illegal(core) => {
                let Self { clock, ref intervals, ref sources, .. } = *self;
                let case = Case { key, clock, intervals, sources };
                Key::Illegal(Box::new(case.violation(&core, unseen)))
            }
        }
    }
}

/// Decides a register; and the value that stands, among those that were possible, for all that
/// nobody looks for. `revisions` are those of the answers, by place: hints that prove nothing.
pub fn decide(
    intervals: &[Interval<register::Operation>],
    revisions: &[Option<i64>],
    budget: &Budget,
) -> (Decision<Option<i64>>, Option<i64>) {
    let verify = |order: &[usize]| certificate::verify(&Register, intervals, order);
    if let Some(order) = witness::order(&Register, intervals, revisions)
        && verify(&order)
    {
        return (Decision::Linearizable { order }, None);
    }
    let conflict = match zones::decide(intervals) {
        zones::Found::Linearizable(order) if verify(&order) => {
            return (Decision::Linearizable { order }, None);
        }
        // The order was a guess: it proves nothing that there might not be a better one.
        zones::Found::Linearizable(_) | zones::Found::Undecided => None,
        zones::Found::Illegal(conflict) => Some(conflict),
    };
    // Names the values that were possible, where a short search of the history as it is can
    // tell. Its limit is one of memory, so that the same history nearly always gets the same words,
    // but half of the time is left to find a core.
    let explain = || {
        let memory = budget.memory.min(TO_EXPLAIN);
        let brief = Budget { memory, ..budget.share(2) };
        search::search(&Register, intervals, &brief)
    };
    let refute = |failed_at, possible, hint: &[usize]| {
        let search = Search::new(&Register, *budget).with_order();
        refute(&Register, intervals, Reason { failed_at, possible, hint }, budget, search, quick)
    };
    if let Some(conflict) = conflict {
        let hint = conflict.operations();
        let decision = match explain() {
            Found::Illegal(Stuck { at, possible, .. }) => refute(at, possible, &hint),
            Found::Undecided { .. } => {
                let last = |at: &&usize| (intervals[**at].ret.unwrap_or(0), **at);
                let last = hint.iter().max_by_key(last).copied().unwrap_or(0);
                refute(last, Vec::new(), &hint)
            }
            Found::Linearizable(_) => Decision::Undecided {
                reason: format!(
                    "a bug of the checker: zones found {conflict:?}, the search an order"
                ),
            },
        };
        return (decision, None);
    }
    let Some(Simple { intervals: simple, positions, unseen }) = simplify(intervals) else {
        return (decide_with(&Register, intervals, budget, quick), None);
    };
    match search::search(&Register, &simple, budget) {
        Found::Linearizable(order) => {
            let order = order.into_iter().map(|at| positions[at]).collect();
            (accept(&Register, intervals, order), None)
        }
        Found::Undecided { reason } => (Decision::Undecided { reason }, None),
        Found::Illegal(Stuck { at, possible, .. }) => match explain() {
            Found::Illegal(Stuck { at, possible, .. }) => (refute(at, possible, &[]), None),
            _ => (refute(positions[at], possible, &[]), unseen),
        },
    }
}

/// With fewer operations than these the search is as fast as zones.
const QUICK_MIN: usize = 32;

/// Whether a few operations are linearizable, where zones can tell.
fn quick(few: &[Interval<register::Operation>]) -> Option<bool> {
    if few.len() < QUICK_MIN {
        return None;
    }
    match zones::decide(few) {
        zones::Found::Illegal(_) => Some(false),
        zones::Found::Linearizable(order) if certificate::verify(&Register, few, &order) => {
            Some(true)
        }
        zones::Found::Linearizable(_) | zones::Found::Undecided => None,
    }
}

/// A history that is easier to search than another, and equivalent.
struct Simple {
    intervals: Vec<Interval<register::Operation>>,
    /// The place in the other history of each operation.
    positions: Vec<usize>,
    /// The value that stands for all that nobody looks for.
    unseen: Option<i64>,
}

/// An easier history, if there is one.
///
/// Values that nobody looks for are one value: no answer tells them apart. And where no
/// compare-and-set was refused, so that no operation is served by just *any other* value, an
/// unanswered write of such a value explains nothing and can be left out.
fn simplify(intervals: &[Interval<register::Operation>]) -> Option<Simple> {
    let looked = |i: &Interval<register::Operation>| i.operation.looked_for();
    let written = |i: &Interval<register::Operation>| i.operation.written();
    let refused = intervals.iter().any(|i| matches!(i.operation, register::Operation::Mismatch(_)));
    let can_be_left_out = |i: &Interval<_>| !refused && i.ret.is_none();
    // Nearly always there is nothing to do.
    let mut values: FxHashSet<Option<i64>> = FxHashSet::default();
    for value in intervals.iter().filter_map(looked) {
        // Most are there, which is soon seen.
        if !values.contains(&value) {
            values.insert(value);
        }
    }
    let says_nothing = |i: &Interval<_>| match written(i) {
        Some(value) => !values.contains(&value) && (value.is_some() || can_be_left_out(i)),
        None => can_be_left_out(i),
    };
    if !intervals.iter().any(says_nothing) {
        return None;
    }
    // How many look for each value, and who may have written it without an answer.
    let mut looked_for: FxHashMap<Option<i64>, usize> = FxHashMap::default();
    let mut unanswered: FxHashMap<Option<i64>, Vec<usize>> = FxHashMap::default();
    let mut left_out = Vec::new();
    for (at, interval) in intervals.iter().enumerate() {
        if let Some(value) = looked(interval) {
            *looked_for.entry(value).or_default() += 1;
        }
        if can_be_left_out(interval) {
            match written(interval) {
                Some(value) => unanswered.entry(value).or_default().push(at),
                None => left_out.push(at),
            }
        }
    }
    for (value, writers) in &unanswered {
        if !looked_for.contains_key(value) {
            left_out.extend(writers);
        }
    }
    let mut kept = vec![true; intervals.len()];
    while let Some(at) = left_out.pop() {
        kept[at] = false;
        // It may have been all that looked for another value.
        if let Some(value) = intervals[at].operation.looked_for()
            && let Entry::Occupied(mut count) = looked_for.entry(value)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
                left_out.extend(unanswered.get(&value).into_iter().flatten());
            }
        }
    }
    let positions: Vec<usize> = (0..intervals.len()).filter(|&at| kept[at]).collect();
    let is_unseen = |at: &usize| {
        let value = intervals[*at].operation.written().flatten();
        value.filter(|_| !looked_for.contains_key(&value))
    };
    let unseen = positions.iter().find_map(is_unseen);
    if unseen.is_none() && positions.len() == intervals.len() {
        return None;
    }
    let simple = positions
        .iter()
        .map(|at| {
            let mut interval = intervals[*at].clone();
            if let Some(unseen) = unseen.filter(|_| is_unseen(at).is_some()) {
                interval.operation = interval.operation.with_written(unseen);
            }
            interval
        })
        .collect();
    Some(Simple { intervals: simple, positions, unseen })
}
