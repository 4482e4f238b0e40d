//! Turns: the order in which a process took its operations, where times do not tell it.
//!
//! Operations whose times only touch count as concurrent: the events of several processes may have
//! been put together by a clock so coarse that one moment holds many of them, in any order. But a
//! process does one thing after the other, so of two operations of *one* process the first comes
//! first, even where it was answered at the very time at which the second was asked for.
//!
//! That is no order of intervals any more, and it is rare. So all deciders go by times alone, which
//! allows more than it should: where they find no order, there is none. An order that they find may
//! not keep the turns. Then one is looked for with a model that knows them, [`InTurn`], which the
//! [search](super::search) and its [proofs](super::certificate) obey. It has a hard task where many
//! processes do much at one moment, so the order of the lines is tried first: it is one that keeps
//! the turns, and most likely the true one.

use rustc_hash::FxHashMap;

use super::decide::{Decision, decide};
use crate::{
    budget::Budget,
    model::{InTurn, Interval, Model, Turn},
};

/// When each process last ended an operation.
#[derive(Default)]
pub(super) struct Ends(FxHashMap<u64, u64>);

impl Ends {
    /// Whether a process asks for its next operation, with the times and lines of these events, at
    /// the very time at which it last ended one.
    pub(super) fn touch(
        &mut self,
        process: u64,
        mut events: impl Iterator<Item = (u64, u64)>,
    ) -> bool {
        let (call, ret) = (events.next(), events.next());
        let end = self.0.entry(process).or_insert(u64::MAX);
        let touch = call.is_some_and(|(call, _)| call == *end);
        if let Some((ret, _)) = ret {
            *end = ret;
        }
        touch
    }
}

/// The turns of those operations of an object that touch another one of their process; of all
/// others none. Empty where there is no such operation.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessOrder(Vec<Option<Turn>>);

impl ProcessOrder {
    /// The turns of operations in order of invocation, of which each has its process.
    pub(super) fn of<O>(intervals: &[Interval<O>], processes: impl Iterator<Item = u64>) -> Self {
        let mut turns = Self::default();
        let mut last: FxHashMap<u64, usize> = FxHashMap::default();
        for (number, process) in processes.enumerate() {
            if let Some(before) = last.insert(process, number)
                && intervals[before].ret == Some(intervals[number].call)
            {
                turns.0.resize(intervals.len(), None);
                for number in [before, number] {
                    turns.0[number] = Some(Turn { process, number });
                }
            }
        }
        turns
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every process takes its turns in this order of operations.
    pub(super) fn keep(&self, order: &[usize]) -> bool {
        let mut last: FxHashMap<u64, Turn> = FxHashMap::default();
        let turns = order.iter().filter_map(|&position| self.0.get(position).copied().flatten());
        turns
            .into_iter()
            .all(|turn| last.insert(turn.process, turn).is_none_or(|before| turn.is_after(before)))
    }

    /// The decision by times and turns, given that by times alone.
    pub(super) fn settle<M: Model>(
        &self,
        model: &M,
        intervals: &[Interval<M::Operation>],
        by_times: Decision<M::State>,
        budget: &Budget,
    ) -> Decision<M::State> {
        match by_times {
            Decision::Linearizable { order } if !self.keep(&order) => {
                let give = |(interval, turn): (&Interval<M::Operation>, &Option<Turn>)| Interval {
                    operation: (interval.operation.clone(), *turn),
                    call: interval.call,
                    ret: interval.ret,
                };
                let in_turn: Vec<_> = intervals.iter().zip(&self.0).map(give).collect();
                match decide(&InTurn(model), &in_turn, budget) {
                    Decision::Undecided { reason } => Decision::Undecided {
                        reason: format!(
                            "the clock is too coarse: times allow an order, but whether one lets \
                             each process do one thing after the other at one moment was not \
                             found out: {reason}"
                        ),
                    },
                    decision => decision,
                }
            }
            decision => decision,
        }
    }
}

/// The operations by the order of their lines alone, given the times and lines of the events of
/// each. That is one order of all that happened at one moment, most likely the true one, and it
/// leaves less concurrent: an order of the operations then is one by their times and turns too.
/// That there is none says nothing.
pub(super) fn by_lines<O: Clone>(
    intervals: &[Interval<O>],
    events: impl Iterator<Item = impl Iterator<Item = (u64, u64)>>,
) -> Vec<Interval<O>> {
    let by_lines = intervals.iter().zip(events).filter_map(|(interval, mut events)| {
        let (_, call) = events.next()?;
        let ret = events.next().filter(|_| interval.ret.is_some()).map(|(_, line)| line);
        Some(Interval { operation: interval.operation.clone(), call, ret })
    });
    by_lines.collect()
}
