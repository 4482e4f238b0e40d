//! Promises weaker than linearizability: hand-made histories that break exactly one, brute force
//! over small ones, and a store with lagging replicas that keeps all of them;
//! and watches, the same way.

#![allow(clippy::unwrap_used)]

mod script;
mod sequential;
mod session;
mod small;
mod store;
mod watch;
