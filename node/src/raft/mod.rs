//! The consensus core.

mod message;

pub use message::{Body, Conflict, Entry, Message};
pub use proto::trace::{Hash, Position, Role};

/// Names a node of the cluster, from 1.
pub type NodeId = u64;
/// A term of Raft, from 1; 0 before the first election (paper, section 5.1).
pub type Term = u64;
/// Index of a log entry, from 1; 0 stands before the first.
pub type Index = u64;
