//! Processes for small histories that were made without any: which process took which operations,
//! and in which order the lines of a file could tell them.

use std::collections::{BTreeMap, VecDeque};

use checker::model::{Interval, Turn};
use rand::{Rng, RngExt, seq::SliceRandom};

/// Of each operation, its place among those of its process, at random. Where they can, processes
/// take an operation at the very time at which the one before was answered.
pub(crate) fn processes<O>(intervals: &[Interval<O>], random: &mut impl Rng) -> Vec<Turn> {
    let mut order: Vec<usize> = (0..intervals.len()).collect();
    order.shuffle(random);
    order.sort_by_key(|&at| (intervals[at].call, intervals[at].ret.unwrap_or(u64::MAX)));
    let mut taken = vec![Turn { process: 0, number: 0 }; intervals.len()];
    // Of each process, when it is idle again, and the number of its next turn.
    let mut idle: Vec<(u64, usize)> = Vec::new();
    for at in order {
        let touching = random.random_bool(0.7);
        let fits = |&process: &usize| match intervals[at].call {
            call if touching => idle[process].0 == call,
            call => idle[process].0 <= call && random.random_bool(0.5),
        };
        let process = (0..idle.len()).find(fits).unwrap_or(idle.len());
        if process == idle.len() {
            idle.push((0, 0));
        }
        let number = idle[process].1;
        taken[at] = Turn { process: process as u64, number };
        idle[process] = (intervals[at].ret.unwrap_or(u64::MAX), number + 1);
    }
    taken
}

/// Gives turns to all operations, or to those only that touch another one of their process.
#[allow(dead_code, reason = "transactions have no intervals")]
pub(crate) fn give<O: Clone>(
    intervals: &[Interval<O>],
    taken: &[Turn],
    all: bool,
) -> Vec<Interval<(O, Option<Turn>)>> {
    let touch = |one: usize, other: usize| {
        taken[other].is_after(taken[one]) && intervals[one].ret == Some(intervals[other].call)
    };
    let touches = |at: usize| (0..intervals.len()).any(|one| touch(one, at) || touch(at, one));
    intervals
        .iter()
        .enumerate()
        .map(|(at, Interval { operation, call, ret })| {
            let turn = (all || touches(at)).then_some(taken[at]);
            Interval { operation: (operation.clone(), turn), call: *call, ret: *ret }
        })
        .collect()
}

/// A call or a return: the operation, and whether it is the return.
type Line = (usize, bool);

/// The lines of a file: true to time and to each process, and else in any order.
pub(crate) fn lines<O>(
    intervals: &[Interval<O>],
    taken: &[Turn],
    random: &mut impl Rng,
) -> Vec<Line> {
    let mut order: Vec<usize> = (0..intervals.len()).collect();
    order.sort_by_key(|&at| taken[at].number);
    let mut moments: BTreeMap<u64, BTreeMap<u64, VecDeque<Line>>> = BTreeMap::new();
    for at in order {
        let mut add = |time, line| {
            let processes = moments.entry(time).or_default();
            processes.entry(taken[at].process).or_default().push_back(line);
        };
        add(intervals[at].call, (at, false));
        if let Some(ret) = intervals[at].ret {
            add(ret, (at, true));
        }
    }
    let mut lines = Vec::new();
    for mut processes in moments.into_values() {
        while !processes.is_empty() {
            let place = random.random_range(0..processes.len());
            let process = processes.values_mut().nth(place);
            lines.extend(process.and_then(VecDeque::pop_front));
            processes.retain(|_, lines| !lines.is_empty());
        }
    }
    lines
}
