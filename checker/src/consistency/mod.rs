//! Promises weaker than linearizability, from generic histories.
//!
//! - [`session`]: what a client may rely on whose reads are *serializable* in etcd's sense, which
//!   means possibly stale: never backwards, never without its own writes;
//! - [`sequential`]: sequential consistency, one order for all that keeps each process's own.
//!
//! What is said is sound both ways. A violation rests on operations that no order explains, and
//! names them. `ok` rests on an order that a small verifier, which shares nothing with what found
//! it, has replayed. Everything else is unknown, with the reason.

mod operation;
pub mod sequential;
pub mod session;
