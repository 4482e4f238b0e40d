//! Decides from recorded evidence whether a run kept its promises. Pure: evidence in, verdict out.
//!
//! - [`history`]: operations that clients saw, and their codecs;
//! - [`fault`]: what was done to the cluster, and the proof that it took effect;
//! - [`evidence`]: a whole run directory;
//! - [`model`]: what a single server would answer;
//! - [`linear`]: whether the history could be one of the model's;
//! - [`raft`]: the Raft safety properties, from the nodes' traces;
//! - [`txn`]: whether transactions could have happened one at a time;
//! - [`property`]: what else a run must show, a small file each;
//! - [`judge`]: which model a bare history is checked against;
//! - [`weak`]: promises weaker than linearizability: sessions, sequential consistency;
//! - [`verdict`]: what a check says.

#![forbid(unsafe_code)]

pub mod evidence;
pub mod fault;
pub mod history;
pub mod jsonl;
pub mod judge;
pub mod linear;
pub mod model;
pub mod property;
pub mod raft;
pub mod txn;
pub mod verdict;
pub mod weak;
