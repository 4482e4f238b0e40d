//! What a node keeps over a restart.

use super::{Configuration, Entry, NodeId, Position, Term};

/// Term and vote, which a node writes to its disk before it acts on them (paper, figure 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// Current term.
    pub term: Term,
    /// Vote in `term`.
    pub vote: Option<NodeId>,
}

/// What a snapshot stands for (paper, section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMetadata {
    /// The last entry whose effect the snapshot holds.
    pub last: Position,
    /// The members of the cluster as of that entry.
    pub configuration: Configuration,
}

/// What a node keeps over a restart: the persistent state of figure 2 of the paper, and of its
/// section 7 the snapshot after which the log begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistentState {
    /// Term and vote.
    pub hard_state: HardState,
    /// The snapshot after which the log begins; none: it begins at index 1.
    pub snapshot: Option<SnapshotMetadata>,
    /// The log.
    pub entries: Vec<Entry>,
}

impl PersistentState {
    /// The last entry that is not in the log but in the snapshot; all zero if there is none.
    pub fn base(&self) -> Position {
        self.snapshot.as_ref().map_or(Position::default(), |snapshot| snapshot.last)
    }

    /// The last entry of all; all zero if there is none.
    pub fn last(&self) -> Position {
        self.entries.last().map_or_else(|| self.base(), Entry::position)
    }
}
