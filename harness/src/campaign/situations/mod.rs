//! Named situations: what a campaign should have met before its silence means anything. A campaign
//! that never had a split vote has not tested split votes.
//!
//! A [`Detector`] watches a run and counts; a [`Tally`] sums up a campaign's runs. A situation is
//! not a violation: a correct cluster meets all of them and survives.

mod detect;
mod extremes;
mod reigns;
#[cfg(test)]
mod tests;

use std::ops::AddAssign;

pub use detect::Detector;

/// Declares the situations: a name in code, and the name that a summary prints.
macro_rules! situations {
    ($($(#[$doc:meta])* $name:ident: $text:literal,)*) => {
        /// A situation, in the order in which summaries list them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Situation {
            $($(#[$doc])* $name,)*
        }

        impl Situation {
            /// All of them.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// Its name in summaries.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

situations! {
    /// A leader other than that of the terms before is elected.
    LeaderChange: "a new leader",
    /// A second node stands in a term.
    TwoCandidates: "two candidates in one term",
    /// A majority votes in a term, for different candidates, so that none of them has a majority.
    SplitVote: "a split vote: a majority votes, and no candidate gets one",
    /// A voter refuses a candidate for nothing but that its log is behind the voter's (paper,
    /// section 5.4.1): its vote is free, and it knows no leader of the term.
    VoteRefusedForLog: "a vote refused for an out-of-date log",
    /// A node decides its vote and dies before that is on disk, and has forgotten it afterwards.
    VoteLost: "a vote lost by a crash before it was durable",
    /// A node comes back while another one stands for election.
    RestartInElection: "a restart in the middle of an election",
    /// Cuts leave a leader connected to a minority, both ways, and it still believes that it leads.
    LeaderInMinority: "a leader cut off with a minority that believes it leads",
    /// A leader of an earlier term learns that there is another.
    StaleLeaderDeposed: "a stale leader deposed",
    /// The same, after it took in a request for a linearizable read while it was stale.
    StaleLeaderAsked: "a stale leader deposed after it was asked for a read",
    /// A leader is paused for longer than the shortest election timeout.
    LeaderPaused: "a leader paused for longer than an election timeout",
    /// A majority holds an entry of an earlier term before the leader commits one of its own term,
    /// and nobody knows whether it is committed. Often it is: a majority acknowledged it in its own
    /// term.
    OldOnMajority: "an earlier term's entry on a majority, not known to be committed",
    /// The window of the paper's figure 8, (c): of those, an entry that is not committed, and that
    /// a node whose log ends in a term between could be elected to overwrite.
    Figure8: "figure 8: an entry on a majority that a later leader could still overwrite",
    /// A leader commits entries of earlier terms by committing one of its own (section 5.4.2).
    CommittedThroughNoOp: "entries of earlier terms committed through a leader's no-op",
    /// A follower removes entries that are not its leader's, as in the paper's figure 7.
    TailTruncated: "figure 7: a diverged tail truncated",
    /// Entries of an earlier term reach a node that has gone on to a later one.
    StaleAppend: "a delayed append of an earlier term refused",
    /// A message arrives after one that was sent later on the same link.
    Overtaken: "a message overtaken by a later one",
    /// A message arrives that arrived before.
    Doubled: "a message taken in twice",
    /// The receiver of a client's command refuses it.
    CommandRefused: "a forwarded command refused",
    /// A read is confirmed by a leader after one of another leader's.
    ReadAfterChange: "a read confirmed after a leader change",
    /// A client never learnt that its write took effect.
    UnknownHappened: "a write of unknown outcome that took effect",
    /// A client never learnt that its write did not take effect.
    UnknownDidNot: "a write of unknown outcome that did not take effect",
    /// A process dies while something that it wrote is not on disk.
    CrashUnsynced: "a crash with unsynced writes",
    /// A start finds a torn tail of its log and cuts it off.
    TornTail: "a torn tail recovered",
    /// A write-ahead log goes on in another file.
    SegmentRolled: "a full segment rolled",
    /// A node refuses a request since as many are in flight as may be.
    RequestsAtLimit: "the limit of requests in flight reached",
    /// A leader refuses a command since as many bytes are uncommitted as may be.
    UncommittedAtLimit: "the limit of uncommitted bytes reached",
    /// As many appends to a peer are in flight as may be.
    WindowFull: "a full window of appends",
    /// A node refuses a request for its size.
    RequestTooLarge: "a request refused for its size",
    /// A node answers that a request took too long.
    NodeGaveUp: "a request given up by the node",
    /// A client waits no longer for an answer.
    ClientGaveUp: "a request given up by the client",
    /// After several election timeouts in which nothing was asked, an operation succeeds.
    ServedAfterIdle: "service after an idle stretch",
    /// Three faults are in force at once.
    Burst: "three faults at once",
    /// Clients and faults run for more than two minutes.
    LongRun: "a run of minutes",
    /// A term above 255.
    TermAbove255: "a term above 255",
    /// A node starts more than 255 times.
    StartAbove255: "a node's start above the 255th",
    /// An index above 65,535.
    IndexAbove65535: "an index above 65535",
    /// A cluster of one node.
    OneNode: "a cluster of one node",
    /// A cluster of two nodes.
    TwoNodes: "a cluster of two nodes",
    /// A cluster of six nodes.
    SixNodes: "a cluster of six nodes",
    /// A cluster of eight nodes.
    EightNodes: "a cluster of eight nodes",
    /// A cluster of nine nodes.
    NineNodes: "a cluster of nine nodes",
}

const COUNT: usize = Situation::ALL.len();

/// How often each situation was met in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts([u64; COUNT]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; COUNT])
    }
}

impl Counts {
    /// How often a situation was met.
    pub fn of(&self, situation: Situation) -> u64 {
        self.0[situation as usize]
    }

    fn met(&mut self, situation: Situation) {
        self.0[situation as usize] += 1;
    }
}

/// What the runs of a campaign met. The order in which they are added does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    times: Counts,
    runs: Counts,
}

impl AddAssign<Counts> for Tally {
    fn add_assign(&mut self, run: Counts) {
        for situation in Situation::ALL {
            self.times.0[situation as usize] += run.of(situation);
            self.runs.0[situation as usize] += u64::from(run.of(situation) > 0);
        }
    }
}

impl Tally {
    /// How often a situation was met in all.
    pub fn times(&self, situation: Situation) -> u64 {
        self.times.of(situation)
    }

    /// In how many runs it was met.
    pub fn runs(&self, situation: Situation) -> u64 {
        self.runs.of(situation)
    }

    /// The situations that no run met.
    pub fn never_met(&self) -> impl Iterator<Item = Situation> {
        Situation::ALL.into_iter().filter(|situation| self.times(*situation) == 0)
    }
}
