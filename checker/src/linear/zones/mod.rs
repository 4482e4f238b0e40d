//! Zones: decides a register whose values were each written at most once, in O(n log n) (Gibbons
//! and Korach, "Testing shared memories", 1997).
//!
//! Where each value has a single writer, a read names the write that it saw. A *cluster* is a
//! write with its reads; a successful compare-and-set welds the cluster of the value it expected
//! to that of the value it set. Such a *chain* of clusters stands in a linearization
//! side by side, nothing that changes the value in between. Its *zone* lies between its first
//! return `f` and its last call `s`:
//!
//! - *forward*, `f < s`: the register held the chain's values all that time;
//! - *backward*, `s <= f`: one moment between `s` and `f` is enough for all of it.
//!
//! Two forward zones that overlap, or a backward one inside a forward one, put each of two chains
//! before the other: the history is illegal, and those chains alone show it. Otherwise the order
//! of zones is a linearization.
//!
//! That is the paper's case. Deletes write the same "absent" again and again, and a compare-and-set
//! that was refused knows only what the value was not. They are laid in the gaps between forward
//! zones by `schedule`, which is thrifty with deletes but tries one order only. So its order is to
//! be believed only once [`certificate::verify`](super::certificate::verify) has checked it; where
//! that fails, or there is none, the history is passed on.

mod chains;
mod schedule;

use crate::model::{Interval, register::Operation};

/// What zones say of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Linearizable in this order of positions, if [`verify`](super::certificate::verify) says so.
    Linearizable(Vec<usize>),
    /// Not linearizable.
    Illegal(Conflict),
    /// Values are not distinct, or no order was found: another decider must say.
    Undecided,
}

/// Why no order of the operations is legal. Operations are named by their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// An operation found a value that nobody wrote.
    NeverWritten(usize),
    /// Two compare-and-sets took the same value away, which was written once.
    SetTwice(usize, usize),
    /// Compare-and-sets that each found what the next one wrote, round in a cycle; one of them.
    Cycle(usize),
    /// The second can only have followed the first, but it had returned when that was called.
    Backwards(usize, usize),
    /// The value cannot have changed hands between the return of `from` and the call of `to`.
    Interrupted {
        /// The first operation to return of a chain.
        from: usize,
        /// The last operation to be called of the same chain.
        to: usize,
        /// What must have happened in between: the first to return and the last to be called of
        /// another chain, or a delete or a read of an absent value.
        by: (usize, usize),
    },
}

impl Conflict {
    /// The operations that it speaks of, by their positions.
    pub fn operations(&self) -> Vec<usize> {
        match *self {
            Self::NeverWritten(at) | Self::Cycle(at) => vec![at],
            Self::SetTwice(one, other) | Self::Backwards(one, other) => vec![one, other],
            Self::Interrupted { from, to, by } => vec![from, by.0, by.1, to],
        }
    }
}

/// Decides a history of which no value but "absent" was written twice.
pub fn decide(intervals: &[Interval<Operation>]) -> Found {
    let chains = match chains::Chains::weld(intervals) {
        Ok(Some(chains)) => chains,
        Ok(None) => return Found::Undecided,
        Err(conflict) => return Found::Illegal(conflict),
    };
    match schedule::order(intervals, &chains) {
        Ok(Some(order)) => Found::Linearizable(order),
        Ok(None) => Found::Undecided,
        Err(conflict) => Found::Illegal(conflict),
    }
}
