//! The consensus core: Raft as in figure 2 and sections 5 and 8 of the paper ("In Search of an
//! Understandable Consensus Algorithm", extended version), and reads as in section 6.4 of the
//! dissertation ("Consensus: Bridging Theory and Practice").
//!
//! [`Raft`] is a value that is given events (a message, the time, a durable write, a proposal, a
//! read) and returns [`Effects`]. It has no clock, no I/O, no threads and no randomness: the
//! caller passes in the time and the election timeouts it drew.
//!
//! # Layout
//! - `node`: [`Raft`], its role, and what moves it from one role to the next; a candidate is
//!   little and lives here too.
//! - `core`: what a node has in every role; `follower`, `leader`: what it has in one.
//! - `config`: what it is given once; `state`: what it keeps over a restart; `message`: what nodes
//!   say to each other, and entries.
//! - `log`: the entries; `durability`: what of them, and of term and vote, the disk holds.
//! - `configuration`: voters, learners, and what a quorum of them is; `quorum`, `votes`: counting.
//! - `progress`, `inflights`: what a leader knows of one follower.
//! - `reads`: rounds of leadership confirmation.
//!
//! # Durability
//! The caller takes what must be written with [`Raft::stage`] and says [`Raft::durable`] when it
//! is. Until then:
//! - no message of a new term or vote leaves: requests and replies wait in the core, and those of
//!   a term that passed meanwhile are dropped;
//! - a follower acknowledges, and a leader counts for itself, only durable entries. A durable
//!   index is kept *for the present log*: when entries are replaced, it falls, and the writes in
//!   flight that carried them confirm no more than what was kept.
//!
//! A leader sends entries to its followers while its own disk still writes them.
//!
//! # Messages that no correct peer sends
//! are ignored: from strangers, of impossible terms, with entries that do not follow each other,
//! or that would remove what is committed. Assertions are for this node's own state alone.
//!
//! # Caveats
//! - The whole log is in memory, and replayed at a start: no snapshots are taken or sent yet. A log
//!   may begin after a snapshot; a follower that lacks what such a leader has compacted stays
//!   behind.
//! - Membership is fixed: a [`Configuration`] may be joint and have learners, but no entry changes
//!   it.
//! - No pre-vote and no check-quorum: a node that was cut off disturbs the cluster once when it
//!   comes back, and a leader that was cut off goes on believing (it can neither commit nor
//!   serve linearizable reads).

mod config;
mod configuration;
mod core;
mod durability;
mod follower;
mod inflights;
mod leader;
mod log;
mod message;
mod node;
mod progress;
mod quorum;
mod reads;
mod state;
mod votes;

pub use config::Config;
pub use configuration::{Configuration, Invalid as InvalidConfiguration};
pub use core::Effects;
pub use log::Missing;
pub(crate) use message::READ_BITS;
pub use message::{Body, Conflict, Entry, EntryKind, Message};
pub use node::{Raft, Staged};
pub use proto::trace::{Hash, Position, Role};
pub use quorum::VOTERS_MAX;
pub use state::{HardState, PersistentState, SnapshotMetadata};

/// Names a node of the cluster, from 1.
pub type NodeId = u64;
/// A term of Raft, from 1; 0 before the first election (paper, section 5.1).
pub type Term = u64;
/// Index of a log entry, from 1; 0 stands before the first.
pub type Index = u64;
