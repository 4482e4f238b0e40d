//! Why the write-ahead log cannot go on. All of these stop the node.

use std::io;

use super::Identity;

/// Why the write-ahead log cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        file: String,
        /// The refusal.
        source: io::Error,
    },
    /// No space is left.
    #[error(
        "cannot {action} {file}: the disk is full; nothing acknowledged is lost, \
         free some space and start the node again"
    )]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// With which file.
        file: String,
    },
    /// Something that was synced is damaged or missing.
    #[error(
        "the write-ahead log is corrupt: {file} at offset {offset}: {what}. The node does not start, \
         for it may have acknowledged what is lost here. Restore the data directory from a copy of \
         the same disk, or replace this node by one with a new id; never start it with its \
         directory emptied"
    )]
    Corrupt {
        /// The damaged file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The log is another's.
    #[error(
        "{file} is the write-ahead log of node {} of cluster {:x}, but this is node {} of \
         cluster {:x}; check the data directory, the id and the initial cluster",
        found.node, found.cluster, expected.node, expected.cluster
    )]
    Foreign {
        /// A file of the log.
        file: String,
        /// Whose log it is.
        found: Identity,
        /// Who asked for it.
        expected: Identity,
    },
    /// The log was written by another version of this program.
    #[error(
        "{file} is of format {found} of the write-ahead log, and this program reads format {known} \
         alone. Start the node with the version of raft-node that wrote the file. To move to this \
         version, begin a new cluster with empty data directories and copy the keys into it"
    )]
    Format {
        /// A file of the log.
        file: String,
        /// The file's format.
        found: u32,
        /// This program's format.
        known: u32,
    },
    /// Another process uses the directory.
    #[error(
        "{directory} is in use by another process; stop it first, or choose another data directory"
    )]
    Locked {
        /// The directory.
        directory: String,
    },
    /// A record is too large for the format.
    #[error("a record of {bytes} bytes is too large for the write-ahead log")]
    TooLarge {
        /// The record's size.
        bytes: usize,
    },
    /// An earlier write or sync failed.
    #[error("an earlier write or sync of the write-ahead log failed; it is not tried again")]
    Poisoned,
}

impl Error {
    /// Whether the log was read, and what it holds is refused.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::Foreign { .. } | Self::Format { .. } => true,
            Self::Io { .. }
            | Self::DiskFull { .. }
            | Self::Locked { .. }
            | Self::TooLarge { .. }
            | Self::Poisoned => false,
        }
    }

    /// The error of an operation on a file.
    pub(super) fn io(action: &'static str, file: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { action, file }
            }
            _ => Self::Io { action, file, source },
        }
    }
}
