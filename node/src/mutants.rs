//! Known bugs, put back on purpose: a test of the test.
//!
//! A *mutant* is this node with a bug that a real implementation of Raft shipped, with one that it had
//! itself until campaigns found it (a *mended* one), or with a change that breaks nothing (an
//! *equivalent* one, which must never be reported). Each is a line at its place in the code that asks
//! [`mutant`]; an assertion that would stop the bug gives way to it. What a mutant traces is what it
//! does: no mutant lies.
//!
//! Only the cargo feature `mutants` makes them real. Without it [`mutant`] is a constant false,
//! the compiler removes what depends on it, and [`Chosen`] has no values.
//!
//! - here: the list, and the question that the code asks;
//! - `table`, with the feature alone: names, sources, what each breaks, and how one is chosen.

#[cfg(feature = "mutants")]
mod table;

#[cfg(feature = "mutants")]
pub use table::{About, Choice, choose};

/// What to do instead, for whoever asks a build for mutants that has none.
pub const NONE_HERE: &str =
    "this build has no mutants: cargo run --release --features mutants -- mutants";

/// The bugs, in the order of their rows in the table, those that this node once had, then the changes
/// that are none.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "mutants", derive(Debug))]
#[cfg_attr(not(feature = "mutants"), allow(dead_code, reason = "nobody can choose them"))]
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
    /// An append replaces all behind its beginning, though it is the same.
    ErasesMatchingSuffix,
    /// Entries are acknowledged before they are durable.
    AcknowledgesBeforeSync,
    /// A leader serves reads without asking whether it still leads.
    ReadsWithoutQuorum,
    /// Mended: the refusal of an append of an earlier term repeats its read round.
    EchoesOldRounds,
    /// Equivalent: heartbeats come twice as often.
    HeartbeatsTwice,
    /// Equivalent: an append carries one entry.
    SmallAppends,
    /// Equivalent: elections begin later.
    SlowElections,
}

/// Whether the node that this thread runs has the bug: never, in normal builds.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn mutant(_: Mutant) -> bool {
    false
}

/// Whether the node that this thread runs has the bug.
#[cfg(feature = "mutants")]
pub(crate) fn mutant(mutant: Mutant) -> bool {
    table::chosen() == Some(mutant)
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
