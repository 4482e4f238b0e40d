//! Which transaction comes before which.
//!
//! Nodes are transactions, and two kinds that stand for many edges at once so that their number
//! stays linear in the history:
//! - a *joint* of a key, behind all that was read of it and before all appends that nobody read;
//! - *moments*: a transaction leads to the first moment after its end at which another one was
//!   asked for, a moment to the next moment and to all that were asked for from it until then.
//!
//! Where a process asked for a transaction at the very moment at which its last one ended, there is
//! no moment in between, so the one leads to the other at once.
//!
//! With the edges that [`super::observe`] allows for, an order of all transactions that obeys every
//! edge is a strict serialization: appends that were read stand in the order in which they were
//! read, a read comes after the last append that it saw and before the next one, and appends that
//! nobody read come after all reads. So there is one exactly when there is no cycle.

use rustc_hash::FxHashMap;

use super::{
    history::{History, NONE},
    observe::{External, Observations},
    transaction::Fate,
};
use crate::budget::{Budget, Spent};

/// Nodes between two looks at the clock.
const BETWEEN: usize = 1 << 16;

/// Kinds of edges, as bits of a [`Mask`].
pub(super) type Mask = u8;

/// What was appended is followed by what the other appended.
pub(super) const WW: Mask = 1;
/// What was appended was read by the other.
pub(super) const WR: Mask = 2;
/// What was read lacks what the other appended.
pub(super) const RW: Mask = 4;
/// Of time: from and to moments, and from one transaction of a process to the next.
pub(super) const RT: Mask = 8;
/// From a joint: of the kind of the edge that led there.
pub(super) const PASS: Mask = 16;

/// The kind of an edge takes the two upper bits of its target.
const KINDS: [Mask; 4] = [WW, WR, RW, PASS];
const KIND_AT: u32 = 30;

/// The dependencies of a history.
pub(super) struct Graph {
    transactions: u32,
    joints: u32,
    /// Where in `targets` the edges of each transaction and joint begin, and the end.
    starts: Vec<u32>,
    targets: Vec<u32>,
    /// The moment after each transaction, or [`NONE`].
    after: Vec<u32>,
    /// The transaction that a process asked for at the very moment at which this one ended.
    next: FxHashMap<u32, u32>,
    /// The first transaction that was asked for at each moment, and the end.
    moments: Vec<u32>,
}

impl Graph {
    /// Bytes that it takes at most, with the tables that [`Graph::order`] needs.
    pub(super) fn bytes(history: &History, observations: &Observations) -> usize {
        let keys = history.keys.len();
        let edges = history.elements.len()
            + 2 * observations.reads.len()
            + 2 * observations.unread.len()
            + 2 * keys;
        // Of each transaction: its end, sorted; what comes after it; its edges; what an order
        // needs, as of joints and moments too; and what is next of its process.
        edges * 4
            + history.transactions.len() * (16 + 4 + 4 + 2 * 12 + 2 * 12)
            + keys * (4 + 4 + 12)
    }

    /// The dependencies that the reads and the times tell.
    pub(super) fn of(
        history: &History,
        observations: &Observations,
        budget: &Budget,
    ) -> Result<Self, Spent> {
        let transactions = history.transaction_count();
        let mut joint = vec![NONE; history.keys.len()];
        let mut joints = 0;
        for &(key, _) in &observations.unread {
            let joint = &mut joint[key as usize];
            if *joint == NONE {
                *joint = transactions + joints;
                joints += 1;
            }
        }
        let edges = Edges { history, observations, joint };
        let mut starts = vec![0u32; (transactions + joints) as usize + 1];
        edges.each(|from, _, _| starts[from as usize + 1] += 1);
        budget.time()?;
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut targets = vec![0u32; starts[starts.len() - 1] as usize];
        let mut filled = starts.clone();
        edges.each(|from, kind, to| {
            let place = &mut filled[from as usize];
            targets[*place as usize] = kind << KIND_AT | to;
            *place += 1;
        });
        drop(filled);
        budget.time()?;
        let (after, moments) = moments(history, observations, transactions + joints);
        let next = next_of_process(history);
        Ok(Self { transactions, joints, starts, targets, after, next, moments })
    }

    /// How many nodes there are.
    pub(super) fn nodes(&self) -> u32 {
        self.first_moment() + self.moment_count()
    }

    /// Whether the node is a transaction.
    pub(super) fn is_transaction(&self, node: u32) -> bool {
        node < self.transactions
    }

    fn first_moment(&self) -> u32 {
        self.transactions + self.joints
    }

    fn moment_count(&self) -> u32 {
        self.moments.len() as u32 - 1
    }

    /// The edge of this number that leads away from a node: its kind and where it leads. Edges of
    /// other kinds than the mask's count, but are not given.
    pub(super) fn edge(&self, node: u32, number: u32) -> Option<(Mask, u32)> {
        let first_moment = self.first_moment();
        if node < first_moment {
            let (start, end) = (self.starts[node as usize], self.starts[node as usize + 1]);
            if number < end - start {
                let target = self.targets[(start + number) as usize];
                return Some((KINDS[(target >> KIND_AT) as usize], target & ((1 << KIND_AT) - 1)));
            }
            let after = self.after.get(node as usize).copied().filter(|&after| after != NONE);
            let mut timed = after.into_iter().chain(self.next.get(&node).copied());
            return timed.nth((number - (end - start)) as usize).map(|to| (RT, to));
        }
        let moment = (node - first_moment) as usize;
        let (first, end) = (self.moments[moment], self.moments[moment + 1]);
        if number < end - first {
            return Some((RT, first + number));
        }
        let next = node + 1 < self.nodes() && number == end - first;
        next.then_some((RT, node + 1))
    }

    /// The edges that lead away from a node.
    pub(super) fn edges(&self, node: u32) -> impl Iterator<Item = (Mask, u32)> {
        (0..).map_while(move |number| self.edge(node, number))
    }

    /// The nodes in an order that obeys every edge; where there is none, which nodes are left when
    /// all that can be ordered is.
    pub(super) fn order(&self, budget: &Budget) -> Result<Result<Vec<u32>, Vec<bool>>, Spent> {
        let nodes = self.nodes();
        let mut waits = vec![0u32; nodes as usize];
        for node in 0..nodes {
            self.edges(node).for_each(|(_, to)| waits[to as usize] += 1);
        }
        budget.time()?;
        let mut order: Vec<u32> = Vec::with_capacity(nodes as usize);
        order.extend((0..nodes).filter(|&node| waits[node as usize] == 0));
        let mut done = 0;
        while done < order.len() {
            if done % BETWEEN == 0 {
                budget.time()?;
            }
            for (_, to) in self.edges(order[done]) {
                let waits = &mut waits[to as usize];
                *waits -= 1;
                if *waits == 0 {
                    order.push(to);
                }
            }
            done += 1;
        }
        Ok(if done == nodes as usize {
            Ok(order)
        } else {
            Err(waits.iter().map(|&waits| waits > 0).collect())
        })
    }
}

/// What is needed to tell the edges but those of time.
struct Edges<'a> {
    history: &'a History,
    observations: &'a Observations,
    /// By key, its joint, or [`NONE`].
    joint: Vec<u32>,
}

impl Edges<'_> {
    /// Tells each edge: from where, the number of its kind, where to.
    fn each(&self, mut tell: impl FnMut(u32, u32, u32)) {
        let (ww, wr, rw, pass) = (0, 1, 2, 3);
        let Observations { reads, unread, next, .. } = self.observations;
        for (at, key) in self.history.keys.iter().enumerate() {
            let mut last = NONE;
            let read = key.order.iter().filter_map(|&element| self.history.writer(element));
            let following = [next[at], self.joint[at]].into_iter().filter(|&to| to != NONE);
            for writer in read.chain(following) {
                if last != NONE && last != writer {
                    tell(last, ww, writer);
                }
                last = writer;
            }
        }
        for &(key, transaction) in unread {
            tell(self.joint[key as usize], pass, transaction);
        }
        for &External { transaction, key, length } in reads {
            let order = &self.history.keys[key as usize].order;
            if let Some(at) = length.checked_sub(1)
                && let Some(writer) = self.history.writer(order[at as usize])
                && writer != transaction
            {
                tell(writer, wr, transaction);
            }
            let following = match order.get(length as usize) {
                Some(&element) => self.history.writer(element),
                None => [next[key as usize], self.joint[key as usize]]
                    .into_iter()
                    .find(|&following| following != NONE),
            };
            if let Some(following) = following
                && following != transaction
            {
                tell(transaction, rw, following);
            }
        }
    }
}

/// Of transactions that ended at the very moment at which their process asked for another, that
/// one.
fn next_of_process(history: &History) -> FxHashMap<u32, u32> {
    let mut next = FxHashMap::default();
    let mut last: FxHashMap<u64, u32> = FxHashMap::default();
    for (transaction, of) in (0..).zip(&history.transactions) {
        if of.fate == Fate::Aborted {
            continue;
        }
        if let Some(&before) = last.get(&of.process)
            && history.transactions[before as usize].ret == of.call
        {
            next.insert(before, transaction);
        }
        if of.fate == Fate::Committed {
            last.insert(of.process, transaction);
        }
    }
    next
}

/// The moment after each transaction, and the first transaction of each moment.
fn moments(history: &History, observations: &Observations, first: u32) -> (Vec<u32>, Vec<u32>) {
    let mut ends: Vec<(u64, u32)> = (0..)
        .zip(&history.transactions)
        .zip(&observations.committed)
        .filter(|((_, of), committed)| **committed && of.fate == Fate::Committed)
        .map(|((transaction, of), _)| (of.ret, transaction))
        .collect();
    ends.sort_unstable();
    let mut ends = ends.into_iter().peekable();
    let mut after = vec![NONE; history.transactions.len()];
    let mut moments = Vec::new();
    for (transaction, of) in (0..).zip(&history.transactions) {
        let moment = first + moments.len() as u32;
        let before = moments.len();
        while let Some((_, ended)) = ends.next_if(|(ret, _)| *ret < of.call) {
            after[ended as usize] = moment;
            if moments.len() == before {
                moments.push(transaction);
            }
        }
    }
    moments.push(history.transaction_count());
    (after, moments)
}
