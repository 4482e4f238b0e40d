//! Known bugs, put back on purpose: a test of the test.
//!
//! A *mutant* is this node with a bug that a real implementation of Raft shipped, with one that it
//! had itself until campaigns found it (a *mended* one), with one that would hold up the laboratory
//! or mislead it (an *unruly* one), or with a change that breaks nothing (an *equivalent* one,
//! which must never be reported). Each is a line at its place in the code that
//! asks the [`Mutants`] of the node's configuration; an assertion that would stop the bug gives way
//! to it. What a mutant traces is what it does: no mutant lies. Nodes of one process may be
//! different mutants.
//!
//! Only the cargo feature `mutants` makes them real. Without it [`Mutants`] is always empty, the
//! compiler removes what depends on it, and [`Chosen`] has no values.
//!
//! - here: the list, and the question that the code asks;
//! - `table`, with the feature alone: names, sources, and what each breaks.

#[cfg(feature = "mutants")]
mod table;

#[cfg(feature = "mutants")]
pub use table::About;

/// What to do, if a build without mutants is asked for one.
pub const NONE_HERE: &str =
    "this build has no mutants: cargo run --release --features mutants -- mutants";

/// The bugs, in the order of their rows in the table, those that this node once had, then the
/// changes that are none.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "mutants", derive(Debug))]
#[cfg_attr(not(feature = "mutants"), allow(dead_code, reason = "they cannot be chosen"))]
pub enum Mutant {
    /// A vote is promised before it is durable.
    VotesBeforeSync,
    /// A candidate that finds a leader in its term forgets its vote.
    ForgetsVote,
    /// Votes of earlier terms count.
    CountsOldVotes,
    /// Each arrival of a vote counts.
    CountsVoterTwice,
    /// A vote does not depend on the candidate's log.
    VotesForLaggards,
    /// A leader commits what an earlier one began by counting its copies.
    CommitsOldTerms,
    /// Half of the voters pass for a majority.
    QuorumOfHalf,
    /// A follower commits what it has, not what it knows to be the leader's.
    CommitsUnverified,
    /// A follower takes a lower commit index from its leader.
    CommitGoesBack,
    /// An append replaces all entries after its beginning, though they are the same.
    ErasesMatchingSuffix,
    /// Entries are acknowledged before they are durable.
    AcknowledgesBeforeSync,
    /// A leader serves reads without asking whether it still leads.
    ReadsWithoutQuorum,
    /// Mended: the refusal of an append of an earlier term repeats its read round.
    EchoesOldRounds,
    /// Unruly: a node whose clients wait asks to be woken at once, again and again.
    IgnoresDeadline,
    /// Unruly: a leader answers each acknowledgement with an append.
    EchoesReplies,
    /// Unruly: the ninth command never returns.
    NeverReturns,
    /// Unruly: election timeouts come from the operating system.
    RollsDice,
    /// Equivalent: heartbeats come twice as often.
    HeartbeatsTwice,
    /// Equivalent: an append carries a hundred bytes at most.
    SmallAppends,
    /// Equivalent: elections begin later.
    SlowElections,
}

/// The mutants that one node is. In normal builds there are none, and this takes no space.
#[cfg(not(feature = "mutants"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutants(());

#[cfg(not(feature = "mutants"))]
impl Mutants {
    /// The correct node.
    pub const NONE: Self = Self(());

    /// Whether the node has the bug: never, in normal builds.
    #[inline(always)]
    pub(crate) const fn has(self, _: Mutant) -> bool {
        false
    }
}

/// The mutants that one node is.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutants(u64);

#[cfg(feature = "mutants")]
impl Mutants {
    /// The correct node.
    pub const NONE: Self = Self(0);

    /// Whether the node has the bug.
    pub(crate) const fn has(self, mutant: Mutant) -> bool {
        self.0 & 1 << mutant as u32 != 0
    }
}

impl FromIterator<Chosen> for Mutants {
    #[cfg(feature = "mutants")]
    fn from_iter<I: IntoIterator<Item = Chosen>>(mutants: I) -> Self {
        Self(mutants.into_iter().fold(0, |bits, mutant| bits | 1 << mutant as u32))
    }

    #[cfg(not(feature = "mutants"))]
    fn from_iter<I: IntoIterator<Item = Chosen>>(mutants: I) -> Self {
        match mutants.into_iter().next() {
            Some(mutant) => match mutant {},
            None => Self::NONE,
        }
    }
}

/// A mutant that a plan names. Builds without mutants have no value of this type, so they can run
/// no such plan.
#[cfg(not(feature = "mutants"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {}

/// A mutant that a plan names.
#[cfg(feature = "mutants")]
pub type Chosen = Mutant;

#[cfg(not(feature = "mutants"))]
mod none {
    use std::{fmt, str::FromStr};

    use super::{Chosen, NONE_HERE};

    impl FromStr for Chosen {
        type Err = String;

        fn from_str(_: &str) -> Result<Self, String> {
            Err(NONE_HERE.to_owned())
        }
    }

    impl fmt::Display for Chosen {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            match *self {}
        }
    }
}
