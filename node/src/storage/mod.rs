//! Durable state: a write-ahead log of hard state (term, vote), boot numbers and entries.

use std::io;

use crate::raft::{Entry, NodeId, Term};

/// One record of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The node starts for the `n`-th time.
    Boot(u64),
    /// Term and vote from now on.
    HardState {
        /// Current term.
        term: Term,
        /// Vote in `term`.
        vote: Option<NodeId>,
    },
    /// An entry of the log. An index that exists already replaces that entry and removes
    /// all behind it. (The prefix hash is not stored: it is computed again at recovery.)
    Entry(Entry),
}

/// What a write-ahead log holds when it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Number of this start, from 1 (already one more than the last recorded one).
    pub boot: u64,
    /// Current term.
    pub term: Term,
    /// Vote in `term`.
    pub vote: Option<NodeId>,
    /// The log, from index 1 on.
    pub entries: Vec<Entry>,
    /// Bytes of a torn tail that were cut, for the log line that says so.
    pub cut: u64,
}

/// All I/O of the write-ahead log goes through this: real files in the server, virtual disks
/// that forget, tear and fail in simulation. File names are flat (no directories).
pub trait Disk {
    /// Names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// The whole content of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Creates a file of `len` zero bytes, or replaces it.
    fn create(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Overwrites bytes at `offset`; the file does not grow.
    fn write(&mut self, name: &str, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Makes the content of a file durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_dir(&mut self) -> io::Result<()>;
    /// Renames a file; replaces an existing one atomically.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}
