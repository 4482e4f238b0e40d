//! Decides from recorded evidence whether a run kept its promises. Pure: evidence in, verdict out.
//!
//! - [`history`]: operations that clients saw, and their codec;
//! - [`fault`]: what was done to the cluster, and the proof that it took effect;
//! - [`raft`]: the Raft safety properties, from the nodes' traces;
//! - [`evidence`]: a whole run directory;
//! - [`verdict`]: what a check says.

pub mod evidence;
pub mod fault;
pub mod history;
pub mod raft;
pub mod verdict;
