//! The part of a history that has no order by itself.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::{
    super::operation::{Action, Operation, Value},
    Decision, decide,
    program::Program,
    saturate::{Contradiction, Edge, Graph, Why},
};
use crate::budget::Budget;

/// Operations up to which every one is tried to be left out.
const SMALL: usize = 200;

/// Configurations that are tried to find out whether a part has an order.
const STEPS: u64 = 2_000;

/// Positions of operations that have no order by themselves, such that all of the history has none
/// either: as few as leaving out one after the other makes them. `None` where the part that
/// follows from the contradiction is too large, or rests on more than itself.
pub(super) fn core(
    operations: &[Operation<'_>],
    program: &Program<'_>,
    graph: &Graph<'_>,
    contradiction: Option<&Contradiction>,
    keys: usize,
    budget: &Budget,
) -> Option<Vec<usize>> {
    let writers = writers(operations);
    let illegal = |part: &[usize]| {
        let part: Vec<Operation> = part.iter().map(|&at| operations[at]).collect();
        part.len() <= SMALL && matches!(decide(&part, keys, budget, STEPS).0, Decision::Violated)
    };
    let all: Vec<usize> = (0..operations.len()).collect();
    let part = contradiction.map(|found| {
        let found: BTreeSet<usize> =
            closure(graph, found).into_iter().map(|at| program.origin[at as usize]).collect();
        close(operations, &writers, found)
    });
    let mut part =
        part.filter(|part| illegal(part)).or_else(|| Some(all).filter(|a| illegal(a)))?;
    loop {
        let before = part.len();
        for place in (0..part.len()).rev() {
            let mut less = part.clone();
            let left_out = less.remove(place);
            if can_go(operations, &less, left_out) && illegal(&less) {
                part = less;
            }
        }
        if part.len() == before {
            return Some(part);
        }
    }
}

/// Whether what is left has an order wherever the whole has one: nobody misses what this wrote.
fn can_go(operations: &[Operation<'_>], left: &[usize], at: usize) -> bool {
    let gone = &operations[at];
    let Some(written) = gone.action.written() else { return true };
    !left.iter().map(|&at| &operations[at]).any(|other| {
        let misses =
            other.action.seen() == Some(written) || matches!(other.action, Action::Mismatch(_));
        other.key == gone.key && misses
    })
}

fn writers(operations: &[Operation<'_>]) -> FxHashMap<(u32, Value), Vec<usize>> {
    let mut writers: FxHashMap<(u32, Value), Vec<usize>> = FxHashMap::default();
    for (at, operation) in operations.iter().enumerate() {
        if let Some(value) = operation.action.written() {
            writers.entry((operation.key, value)).or_default().push(at);
        }
    }
    writers
}

/// Adds whoever can have written what these saw.
fn close(
    operations: &[Operation<'_>],
    writers: &FxHashMap<(u32, Value), Vec<usize>>,
    mut part: BTreeSet<usize>,
) -> Vec<usize> {
    let mut fresh: Vec<usize> = part.iter().copied().collect();
    while let Some(at) = fresh.pop() {
        let operation = &operations[at];
        let seen = operation.action.seen().map(|seen| (operation.key, seen));
        for &writer in seen.and_then(|seen| writers.get(&seen)).into_iter().flatten() {
            if part.len() <= SMALL && part.insert(writer) {
                fresh.push(writer);
            }
        }
    }
    part.into_iter().collect()
}

/// The operations that a contradiction speaks of, with all that its edges follow from.
fn closure(graph: &Graph<'_>, contradiction: &Contradiction) -> BTreeSet<u32> {
    let mut part = BTreeSet::new();
    let mut fresh: Vec<(u32, u32, usize)> = Vec::new();
    let mut edges: Vec<usize> = match contradiction {
        Contradiction::Nobody(at) => return BTreeSet::from([*at]),
        Contradiction::Cycle(cycle) => cycle.clone(),
    };
    let mut looked_at = BTreeSet::new();
    loop {
        for (_, edge) in joined(graph, &edges) {
            part.extend([edge.from, edge.to]);
        }
        for place in edges.drain(..) {
            if !looked_at.insert(place) {
                continue;
            }
            let edge = graph.edges[place];
            match edge.why {
                Why::Overwrites(Some(write)) => fresh.push((write, edge.to, place)),
                Why::Hidden(by) => fresh.push((edge.from, by, place)),
                Why::Program | Why::Saw | Why::Overwrites(None) => {}
            }
        }
        let Some((from, to, until)) = fresh.pop() else { return part };
        part.extend([from, to]);
        edges = graph.path(from, to, until).unwrap_or_default();
    }
}

/// A way with what one process did joined into one step; each with the number of its last edge.
pub(super) fn joined(graph: &Graph<'_>, path: &[usize]) -> Vec<(usize, Edge)> {
    let mut steps: Vec<(usize, Edge)> = Vec::new();
    for &place in path {
        let edge = graph.edges[place];
        match steps.last_mut() {
            Some((last, step)) if step.why == Why::Program && edge.why == Why::Program => {
                (*last, step.to) = (place, edge.to);
            }
            _ => steps.push((place, edge)),
        }
    }
    steps
}
