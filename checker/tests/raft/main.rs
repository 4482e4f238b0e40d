//! The Raft safety properties on traces made by hand, right and wrong, and on random right ones.

#![allow(clippy::unwrap_used, reason = "a test may fail so")]

mod holds;
mod integrity;
mod numbers;
mod random;
mod script;
mod violations;
