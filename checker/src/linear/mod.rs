//! Linearizability (Herlihy and Wing, 1990), key by key: it is a local property, so a history is
//! linearizable when that of each key is.
//!
//! Per key the cheapest decider goes first: `witness` believes the server's revisions, [`zones`]
//! decides what writes each value once, [`search`] decides what is left. None of them is believed:
//! an order is verified, and an illegal key is `cut` down to a core, a few operations that are
//! illegal by themselves, which is verified too; [`certificate`] does both and shares nothing with
//! the deciders. A key that a budget leaves undecided is unknown, never ok.
//!
//! - [`check()`] decides a history of the store;
//! - [`online`] looks at a history while it is recorded;
//! - [`decide()`] decides the operations of one object of any model;
//! - [`turns`] are for processes that ask for one operation at the very time another ends;
//! - `explain` says why a key is illegal, and [`explanation`](crate::explanation) shows it;
//! - [`objects`] decides a generic history, object by object: [`appends`], [`inclusion`] and [`fifo`]
//!   are to stores of texts, growing sets and queues what zones are to registers.

pub mod appends;
pub mod certificate;
mod cut;
mod decide;
pub(crate) mod explain;
pub mod fifo;
pub mod inclusion;
mod key;
pub mod objects;
pub mod online;
pub mod search;
mod store;
mod summary;
pub mod turns;
pub mod witness;
pub mod zones;

pub use decide::{Core, Decision, decide, refute_part};
pub use key::{Key, check_key, decide as decide_register};
pub use store::check;
