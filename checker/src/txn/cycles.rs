//! Cycles of dependencies: a short one of each component, of the most telling class there is.
//!
//! Components are looked for along more and more kinds of edges: appends alone, with reads that saw
//! them, with reads that did not; and then the same with time. A component that holds transactions
//! of one that was told before is not told again: what ties it may be the same.

use std::collections::VecDeque;

use super::{
    anomaly::{Claim, Edge, Place, Why},
    findings::Findings,
    graph::{Graph, Mask, PASS, RT, RW, WR, WW},
    history::{History, NONE, Step},
    scc::Components,
};
use crate::budget::{Budget, Spent};

/// In this order, the edges that tie a component, and the searches for a cycle in it: the edge that
/// it must have, and the edges of the rest. The last search finds one in every component.
const LEVELS: [(Mask, &[(Mask, Mask)]); 6] = [
    (WW | PASS, &[(WW, WW | PASS)]),
    (WW | WR | PASS, &[(WR, WW | WR | PASS)]),
    (WW | WR | RW | PASS, &[(RW, WW | WR | PASS), (RW, WW | WR | RW | PASS)]),
    (WW | PASS | RT, &[(WW, WW | PASS | RT)]),
    (WW | WR | PASS | RT, &[(WR, WW | WR | PASS | RT)]),
    (WW | WR | RW | PASS | RT, &[(RW, WW | WR | PASS | RT), (RW, WW | WR | RW | PASS | RT)]),
];

/// Edges that are followed to find a shorter cycle of a component, or one of a more telling class.
const WORK_PER_COMPONENT: u64 = 2_000_000;

/// Edges that are followed in all; components after that are only counted.
const WORK: u64 = 100_000_000;

/// Edges between two looks at the clock.
const BETWEEN: u64 = 1 << 16;

/// Cycles longer than this are told as they are.
const SHORTENED: usize = 256;

/// A cycle: each transaction, and the kind of the edge from it to the next.
type Cycle = Vec<(u32, Mask)>;

struct Search<'a> {
    history: &'a History,
    graph: &'a Graph,
    budget: &'a Budget,
    /// Of each node, whether it was in a component that was told.
    told: Vec<bool>,
    /// Of each node the search that came there last, and by which edge.
    reached: Vec<u32>,
    from: Vec<(u32, Mask)>,
    searches: u32,
    work: u64,
}

/// Tells a cycle of each component of the `left` nodes.
pub(super) fn find(
    history: &History,
    graph: &Graph,
    left: &[bool],
    findings: &mut Findings,
    budget: &Budget,
) -> Result<(), Spent> {
    let nodes = graph.nodes() as usize;
    let mut search = Search {
        history,
        graph,
        budget,
        told: vec![false; nodes],
        reached: vec![0; nodes],
        from: vec![(NONE, 0); nodes],
        searches: 0,
        work: 0,
    };
    for (mask, searches) in LEVELS {
        let components = Components::find(graph, left, mask, budget)?;
        for &(one, other) in &findings.entangled {
            if components.of[one as usize] != NONE
                && components.of[one as usize] == components.of[other as usize]
            {
                search.told[one as usize] = true;
            }
        }
        for (number, component) in (0..).zip(&components.components) {
            let told = component.iter().any(|&node| search.told[node as usize]);
            component.iter().for_each(|&node| search.told[node as usize] = true);
            if told {
                continue;
            }
            if search.work > WORK {
                findings.components += 1;
                continue;
            }
            let mut cycle = None;
            for (last, &(start, rest)) in (1..).zip(searches) {
                let must = last == searches.len();
                cycle = search.shortest(component, &components.of, number, (start, rest), must)?;
                if cycle.is_some() {
                    break;
                }
            }
            findings.add(cycle.and_then(|cycle| search.claim(&cycle)));
        }
    }
    Ok(())
}

impl Search<'_> {
    /// A short cycle of a component with an edge of the kind `start` and the rest of the kinds
    /// `rest`. Tried for a while, and if there `must` be one, until it is found.
    fn shortest(
        &mut self,
        component: &[u32],
        components: &[u32],
        number: u32,
        (start, rest): (Mask, Mask),
        must: bool,
    ) -> Result<Option<Cycle>, Spent> {
        let enough = self.work + WORK_PER_COMPONENT;
        let graph = self.graph;
        let mut best: Option<Vec<(u32, Mask)>> = None;
        for &node in component {
            for (kind, to) in graph.edges(node) {
                if kind & start == 0 || components[to as usize] != number {
                    continue;
                }
                if self.work > enough && (best.is_some() || !must) {
                    return Ok(best.map(|path| self.cycle(&path)));
                }
                let shorter = best.as_ref().map_or(usize::MAX, Vec::len);
                if let Some(path) = self.path(to, node, rest, components, shorter)? {
                    best = Some([&[(node, kind)], &path[..]].concat());
                }
            }
        }
        Ok(best.map(|path| self.cycle(&path)))
    }

    /// The shortest way between two nodes of one component, each node with the edge that leads on,
    /// `to` not included; none that has `limit - 1` nodes or more.
    fn path(
        &mut self,
        from: u32,
        to: u32,
        mask: Mask,
        components: &[u32],
        limit: usize,
    ) -> Result<Option<Vec<(u32, Mask)>>, Spent> {
        self.searches += 1;
        self.reached[from as usize] = self.searches;
        let mut queue = VecDeque::from([(from, 1)]);
        while let Some((node, length)) = queue.pop_front() {
            if length + 1 >= limit {
                return Ok(None);
            }
            for (kind, next) in self.graph.edges(node) {
                self.work += 1;
                if self.work.is_multiple_of(BETWEEN) {
                    self.budget.time()?;
                }
                let next_at = next as usize;
                if kind & mask == 0
                    || components[next_at] != components[from as usize]
                    || self.reached[next_at] == self.searches
                {
                    continue;
                }
                self.reached[next_at] = self.searches;
                self.from[next_at] = (node, kind);
                if next == to {
                    return Ok(Some(self.back(from, to)));
                }
                queue.push_back((next, length + 1));
            }
        }
        Ok(None)
    }

    fn back(&self, from: u32, to: u32) -> Vec<(u32, Mask)> {
        let mut path = Vec::new();
        let mut at = to;
        while at != from {
            path.push(self.from[at as usize]);
            at = self.from[at as usize].0;
        }
        path.reverse();
        path
    }

    /// Of a way through nodes that ends where it starts, the transactions.
    fn cycle(&self, path: &[(u32, Mask)]) -> Cycle {
        let transaction = |&(node, _): &(u32, Mask)| self.graph.is_transaction(node);
        let mut cycle: Cycle = path.iter().copied().filter(transaction).collect();
        if cycle.len() <= SHORTENED && cycle.iter().any(|(_, kind)| *kind == RT) {
            while let Some(shorter) = self.shortcut(&cycle) {
                cycle = shorter;
            }
        }
        cycle
    }

    /// A shorter cycle, of one that needs time: where of two transactions the one had ended before
    /// the other was asked for, nothing else need lead there.
    fn shortcut(&self, cycle: &[(u32, Mask)]) -> Option<Cycle> {
        let count = cycle.len();
        let (from, skipped) = (0..count)
            .flat_map(|from| (2..count).rev().map(move |skipped| (from, skipped)))
            .filter(|&(from, skipped)| {
                let to = cycle[(from + skipped) % count].0;
                self.history.precedes(cycle[from].0, to)
            })
            .max_by_key(|(_, skipped)| *skipped)?;
        let rest = (skipped..count).map(|at| cycle[(from + at) % count]);
        Some([(cycle[from].0, RT)].into_iter().chain(rest).collect())
    }

    fn claim(&self, cycle: &[(u32, Mask)]) -> Option<Claim> {
        let next = cycle.iter().cycle().skip(1);
        cycle
            .iter()
            .zip(next)
            .map(|(&(from, kind), &(to, _))| {
                Some(Edge { from, to, why: why(self.history, from, to, kind)? })
            })
            .collect::<Option<_>>()
            .map(Claim::Cycle)
    }
}

/// Where an edge shows.
fn why(history: &History, from: u32, to: u32, kind: Mask) -> Option<Why> {
    if kind == RT {
        return Some(Why::Earlier);
    }
    let position = |element: u32| history.elements[element as usize].position;
    let appends = |transaction| {
        (0..).zip(history.steps(transaction)).filter_map(move |(step, of)| match *of {
            Step::Append { key, element } => Some((Place { transaction, step }, key, element)),
            _ => None,
        })
    };
    let reads = |transaction| {
        (0..).zip(history.steps(transaction)).filter_map(move |(step, of)| match *of {
            Step::Read { key, length } => Some((Place { transaction, step }, key, length)),
            _ => None,
        })
    };
    match kind {
        WR => reads(to)
            .flat_map(|read| appends(from).map(move |append| (read, append)))
            .filter(|&((_, key, length), (_, of, element))| key == of && position(element) < length)
            .max_by_key(|(_, (.., element))| position(*element))
            .map(|((read, ..), (append, ..))| Why::Seen { append, read }),
        RW => reads(from)
            .flat_map(|read| appends(to).map(move |append| (read, append)))
            .filter(|&((_, key, length), (_, of, element))| {
                key == of && position(element) >= length
            })
            .min_by_key(|(_, (.., element))| position(*element))
            .map(|((read, ..), (append, ..))| Why::Unseen { read, append }),
        _ => appends(from)
            .flat_map(|first| appends(to).map(move |second| (first, second)))
            .filter(|((_, key, _), (_, of, _))| key == of)
            .find_map(|((first, key, one), (second, _, other))| {
                let read = if position(one) < position(other) {
                    history.keys[key as usize].longest
                } else if position(one) == NONE {
                    let lacks = |length| position(other) >= length;
                    reads(from).find(|&(_, of, length)| of == key && lacks(length)).map(|of| of.0)
                } else {
                    None
                };
                read.map(|read| Why::Appended { first, second, read })
            }),
    }
}
