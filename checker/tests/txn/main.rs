//! Transactions on lists.

#![allow(clippy::unwrap_used)]

mod anomalies;
mod brute_force;
#[path = "../generator/txn.rs"]
mod generator;
mod random;
mod refused;
mod script;
#[path = "../taken/mod.rs"]
mod taken;
