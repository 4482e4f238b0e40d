//! What a leader knows of one follower, and how it paces what it sends there.

use super::{Index, NodeId, inflights::Inflights, log::Log};

/// A leader's view of its followers, by id.
#[derive(Debug)]
pub(super) struct ProgressMap(Vec<(NodeId, Progress)>);

impl ProgressMap {
    /// Followers of which nothing is known, under a leader whose next entry is `next`.
    pub(super) fn new(followers: impl Iterator<Item = NodeId>, next: Index) -> Self {
        Self(followers.map(|id| (id, Progress::new(next))).collect())
    }

    /// What is known of a follower.
    pub(super) fn get(&self, follower: NodeId) -> Option<&Progress> {
        self.0.iter().find(|(id, _)| *id == follower).map(|(_, progress)| progress)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, follower: NodeId) -> Option<&mut Progress> {
        self.0.iter_mut().find(|(id, _)| *id == follower).map(|(_, progress)| progress)
    }

    /// All followers, ascending by id.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Progress)> {
        self.0.iter_mut().map(|(id, progress)| (*id, progress))
    }
}

/// A leader's view of one follower.
///
/// - `matched < next`.
/// - While probing, nothing is in flight but at most one append, and `next` stands still.
/// - While replicating, `next` runs ahead of the acknowledgements by the appends in flight.
/// - How many may be in flight adapts to the network as TCP's window does (RFC 5681): a refusal
///   halves it, an acknowledgement adds one. Where messages overtake each other, each refusal makes
///   all that is in flight go out once more.
#[derive(Debug)]
pub(super) struct Progress {
    /// Last index at which the follower's durable log is known to equal the leader's.
    pub(super) matched: Index,
    /// Next index to send.
    pub(super) next: Index,
    /// Latest round of leadership confirmation that the follower answered.
    pub(super) round: u64,
    /// Commit index that was last sent.
    pub(super) commit_sent: Index,
    /// How entries are sent.
    pub(super) mode: Mode,
    /// How many appends may be in flight, as far as the network has shown.
    window: usize,
}

/// The window becomes no smaller than this.
const WINDOW_MIN: usize = 8;

/// How entries are sent to a follower.
#[derive(Debug)]
pub(super) enum Mode {
    /// Where the logs part is not known: one append, then wait for its answer.
    Probe {
        /// An append with entries waits for its answer.
        sent: bool,
    },
    /// The logs are known to agree before `next`: appends follow each other without waiting.
    Replicate {
        /// The appends that wait for their answers.
        inflights: Inflights,
    },
}

impl Progress {
    /// A follower of which nothing is known, under a leader whose next entry is `next`.
    fn new(next: Index) -> Self {
        let (mode, window) = (Mode::Probe { sent: false }, usize::MAX);
        Self { matched: 0, next, round: 0, commit_sent: 0, mode, window }
    }

    /// Whether an append with entries may be sent now; `most`: how many may be in flight at most.
    pub(super) fn may_send(&self, most: usize) -> bool {
        match &self.mode {
            Mode::Probe { sent } => !sent,
            Mode::Replicate { inflights } => !inflights.is_full(self.window.min(most)),
        }
    }

    /// Whether appends with entries wait for their answers.
    pub(super) fn waits(&self) -> bool {
        match &self.mode {
            Mode::Probe { sent } => *sent,
            Mode::Replicate { inflights } => !inflights.is_empty(),
        }
    }

    /// An append with entries up to `last` was sent.
    pub(super) fn sent(&mut self, last: Index) {
        match &mut self.mode {
            Mode::Probe { sent } => *sent = true,
            Mode::Replicate { inflights } => {
                inflights.add(last);
                self.next = last + 1;
            }
        }
    }

    /// The follower's log equals the leader's up to `matched`, durably.
    pub(super) fn accepted(&mut self, matched: Index) {
        if matched > self.matched {
            self.window = self.window.saturating_add(1);
        }
        self.matched = self.matched.max(matched);
        match &mut self.mode {
            Mode::Probe { .. } => {
                self.next = self.matched + 1;
                self.mode = Mode::Replicate { inflights: Inflights::default() };
            }
            Mode::Replicate { inflights } => {
                inflights.free_to(self.matched);
                self.next = self.next.max(self.matched + 1);
            }
        }
    }

    /// The follower's log parts from the leader's; `log` is the leader's (paper, end of section
    /// 5.3). A late or doubled conflict at most makes the leader send again what it sent before.
    /// `most`: how many appends may be in flight at most.
    pub(super) fn refused(&mut self, conflict: super::Conflict, log: &Log, most: usize) {
        let shared = match conflict.term {
            0 => conflict.index.saturating_sub(1),
            // The follower's entries of this term begin at `conflict.index`. A leader that has this
            // term there too may agree with it up to its own last entry of the term; otherwise
            // they part before.
            term => {
                let last = log.last_of_term(term);
                if log.term(conflict.index) == Ok(term) {
                    last
                } else {
                    last.min(conflict.index.saturating_sub(1))
                }
            }
        };
        // What is known to match cannot part: the conflict is a late one, or its sender lost what
        // it had acknowledged, which no resending heals.
        if shared < self.matched {
            return;
        }
        // The answer to a probe puts the parting before it. Other refusals that arrive meanwhile
        // tell nothing new: all appends after a lost one find the same gap, and one resending fills
        // it.
        if matches!(self.mode, Mode::Probe { sent: true }) && shared + 1 >= self.next {
            return;
        }
        self.window = (self.window.min(most) / 2).max(WINDOW_MIN);
        // Always back by one at least.
        self.next = (shared + 1).min(self.next - 1).max(self.matched + 1);
        self.mode = Mode::Probe { sent: false };
    }
}
