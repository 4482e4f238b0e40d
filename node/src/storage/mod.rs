//! Durable state: a write-ahead log of hard state (term, vote), boot numbers, entries, and of what
//! snapshots stand for.
//!
//! - [`Wal`]: the log, over any [`Disk`];
//! - `segment`: the format of its files, byte by byte;
//! - `recovery`: what a torn tail is, and what is corruption;
//! - [`FileDisk`]: real files;
//! - [`MemoryDisk`]: a disk that forgets, tears and fails, for tests and simulation.
//!
//! The rules: nothing counts before [`Wal::sync`] returned; a failed write or sync is never
//! retried, for what it left on the disk is unknown; and what once was synced is never cut,
//! so that a node refuses to start rather than forget a vote or an entry that it acknowledged.

mod disk;
mod error;
mod file;
mod memory;
mod recovery;
mod segment;
mod wal;

use crate::raft::{Entry, HardState, NodeId, PersistentState, SnapshotMetadata};

pub use self::{
    disk::Disk,
    error::Error,
    file::FileDisk,
    memory::{Failure, MemoryDisk, Piece, SECTOR_BYTES},
    recovery::{Place, guarded},
    wal::{Options, Wal},
};

/// Whose log it is. A log that belongs to another node or cluster is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: u64,
    /// The node.
    pub node: NodeId,
}

/// One record of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The node starts for the `n`-th time; [`Wal::open`] writes it.
    Boot(u64),
    /// Term and vote from now on.
    HardState(HardState),
    /// An entry of the log. An index that exists already replaces that entry and removes
    /// all after it. (The prefix hash is not stored: it is computed again at recovery.)
    Entry(Entry),
    /// A snapshot holds the effect of all entries up to its last one, and is durable: the log need
    /// not hold those entries any more. It keeps what follows them.
    Snapshot(SnapshotMetadata),
}

/// What a write-ahead log holds when it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Number of this start, from 1. It is durable already, so that no two starts ever share one.
    pub boot: u64,
    /// What the core goes on with.
    pub state: PersistentState,
    /// Bytes of a torn tail that were cut, for the log line that says so.
    pub cut: u64,
}

#[cfg(test)]
mod format_test;
#[cfg(test)]
mod test;
