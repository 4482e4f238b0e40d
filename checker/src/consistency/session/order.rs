//! An order of a key's versions, or a cycle of demands that leaves none.
//!
//! Blocks of versions are ordered by demands and by time: one is before another when it has a
//! member that ended before a member of the other was asked for. There can be quadratically many
//! such pairs, so they are never listed: the block whose first member ended first says for all
//! others whether they may come next.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::{
    super::operation::number,
    edges::Edge,
    versions::{INITIAL, Versions},
};
use crate::budget::{Budget, Spent};

/// The blocks of a key, with when their last member was asked for and their first ended.
pub(super) struct Blocks<'a> {
    versions: &'a Versions<'a>,
    called: Vec<u64>,
    ended: Vec<u64>,
}

/// One of a cycle: the first version is before the second, by this demand, or else by time.
pub(super) type Step<'a> = (u32, u32, Option<&'a Edge>);

impl<'a> Blocks<'a> {
    /// The blocks of a key. Where they are not ordered `by_time`, only the initial version is,
    /// which is before all others.
    pub(super) fn of(versions: &'a Versions<'a>, by_time: bool) -> Self {
        let blocks = 0..number(versions.blocks.len());
        let called = blocks.clone().map(|block| versions.last_called(block).0).collect();
        let initial = versions.block(INITIAL);
        let ended = blocks
            .map(|block| match by_time || initial == Some(block) {
                true => versions.first_ended(block).0,
                false => u64::MAX,
            })
            .collect();
        Self { versions, called, ended }
    }

    /// The demand as one between blocks; `None` where it is met whatever their order.
    fn ends(&self, edge: &Edge) -> Option<(usize, usize)> {
        let (from, to) = (self.versions.block(edge.from)?, self.versions.block(edge.to)?);
        (from != to || !self.versions.in_place(edge.from, edge.to))
            .then_some((from as usize, to as usize))
    }

    /// Operations in an order that meets all demands; or the blocks that have none.
    pub(super) fn sort(&self, edges: &[&Edge]) -> Result<Vec<usize>, Vec<bool>> {
        let count = self.called.len();
        let mut missing = vec![0_u32; count];
        let mut first = vec![usize::MAX; count];
        let mut list: Vec<(usize, usize)> = Vec::new();
        for (from, to) in edges.iter().filter_map(|edge| self.ends(edge)) {
            missing[to] += 1;
            list.push((to, first[from]));
            first[from] = list.len() - 1;
        }
        let mut by_end: Vec<usize> = (0..count).collect();
        by_end.sort_unstable_by_key(|&block| self.ended[block]);
        let mut ready: BinaryHeap<Reverse<(u64, usize)>> = (0..count)
            .filter(|&block| missing[block] == 0)
            .map(|block| Reverse((self.called[block], block)))
            .collect();
        let mut waiting = vec![true; count];
        // The two that wait and ended first: the second is what binds the first.
        let (mut front, mut second) = (0, 1);
        let mut order = Vec::with_capacity(self.versions.operations.len());
        while let Some(&Reverse((called, candidate))) = ready.peek() {
            if !waiting[candidate] {
                // It was placed out of turn.
                ready.pop();
                continue;
            }
            while !waiting[by_end[front]] {
                front += 1;
            }
            second = second.max(front + 1);
            while second < count && !waiting[by_end[second]] {
                second += 1;
            }
            let ended = |place: usize| by_end.get(place).map_or(u64::MAX, |&b| self.ended[b]);
            let earliest = by_end[front];
            let next = if candidate != earliest && called <= self.ended[earliest] {
                candidate
            } else if missing[earliest] == 0 && self.called[earliest] <= ended(second) {
                earliest
            } else {
                break;
            };
            waiting[next] = false;
            order.extend(
                self.versions.blocks[next].iter().filter_map(|&v| self.versions.all[v as usize].by),
            );
            let mut at = first[next];
            while at != usize::MAX {
                let (to, more) = list[at];
                missing[to] -= 1;
                if missing[to] == 0 {
                    ready.push(Reverse((self.called[to], to)));
                }
                at = more;
            }
        }
        if waiting.contains(&true) { Err(waiting) } else { Ok(order) }
    }

    /// The shortest cycle, of those that there was time to try, that goes through one of the
    /// demands `through`, among blocks that no order was found for.
    pub(super) fn cycle<'e>(
        &self,
        edges: &[&'e Edge],
        waiting: &[bool],
        through: impl Fn(&Edge) -> bool,
        budget: &Budget,
    ) -> Result<Option<Vec<Step<'e>>>, Spent> {
        /// Demands from which a cycle is looked for.
        const TRIED: usize = 64;
        let among = |edge: &Edge| self.ends(edge).filter(|&(a, b)| waiting[a] && waiting[b]);
        let mut from: Vec<Vec<(usize, &'e Edge)>> = vec![Vec::new(); self.called.len()];
        for &edge in edges {
            if let Some((a, b)) = among(edge) {
                from[a].push((b, edge));
            }
        }
        let mut by_call: Vec<usize> = (0..waiting.len()).filter(|&block| waiting[block]).collect();
        by_call.sort_unstable_by_key(|&block| Reverse(self.called[block]));
        let mut best: Option<Vec<Step<'e>>> = None;
        let candidates = edges.iter().filter(|edge| through(edge) && among(edge).is_some());
        for &start in candidates.take(TRIED) {
            match budget.time() {
                Err(_) if best.is_some() => break,
                time => time?,
            }
            let found = self.path(&from, &by_call, start);
            if let Some(found) = found
                && best.as_ref().is_none_or(|best| found.len() < best.len())
            {
                best = Some(found);
            }
            if best.as_ref().is_some_and(|best| best.len() <= 2) {
                break;
            }
        }
        Ok(best)
    }

    /// The shortest way from where a demand ends back to where it starts, the demand first.
    fn path<'e>(
        &self,
        from: &[Vec<(usize, &'e Edge)>],
        by_call: &[usize],
        start: &'e Edge,
    ) -> Option<Vec<Step<'e>>> {
        let (goal, origin) = self.ends(start)?;
        let mut came: Vec<Option<(usize, Option<&'e Edge>)>> = vec![None; self.called.len()];
        let mut queue = VecDeque::from([origin]);
        let mut later = by_call.iter().copied().peekable();
        while let Some(block) = queue.pop_front() {
            if block == goal {
                break;
            }
            for &(to, edge) in &from[block] {
                if to != origin && came[to].is_none() {
                    came[to] = Some((block, Some(edge)));
                    queue.push_back(to);
                }
            }
            while let Some(to) = later.next_if(|&to| self.called[to] > self.ended[block]) {
                if to != origin && to != block && came[to].is_none() {
                    came[to] = Some((block, None));
                    queue.push_back(to);
                }
            }
        }
        let mut steps = Vec::new();
        let mut at = goal;
        while at != origin {
            let (before, edge) = came[at]?;
            steps.push(match edge {
                Some(edge) => (edge.from, edge.to, Some(edge)),
                None => {
                    let from = self.versions.first_ended(number(before)).1;
                    (from, self.versions.last_called(number(at)).1, None)
                }
            });
            at = before;
        }
        steps.push((start.from, start.to, Some(start)));
        steps.reverse();
        Some(steps)
    }
}
