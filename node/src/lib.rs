//! The node: our own Raft and an etcd-compatible key-value store on it.
//!
//! - [`raft`]: the consensus core. No clock, no I/O, no threads, no randomness of its own.
//! - [`storage`]: the write-ahead log over a small [`storage::Disk`] trait.
//! - [`kv`]: the replicated state machine, an etcd-style revisioned store.
//! - [`replica`]: the three as one deterministic machine. Containers and simulation run the same.
//! - [`server`]: the thin shell around it: timers, gRPC, peer links, real files;
//! - [`mutants`]: known bugs, put back on purpose; normal builds contain none.

pub mod kv;
pub mod mutants;
pub mod raft;
pub mod replica;
pub mod server;
pub mod storage;
