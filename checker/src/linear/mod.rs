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
//! - [`process_order`] are for processes that ask for one operation at the very time another ends;
//! - `explain` says why a key is illegal, and [`explanation`](crate::explanation) shows it;
//! - [`check_model`] decides a generic history, object by object: [`append_text`],
//!   [`grow_only_set`] and [`queue`] are to stores of texts, growing sets and queues what zones are
//!   to registers;
//! - `revisions` decides a store whose answers name the revision that each write made.

pub mod append_text;
pub mod certificate;
mod decide;
pub mod elements;
pub(crate) mod explain;
pub(crate) mod generic;
pub mod grow_only_set;
mod key;
mod minimize;
pub mod online;
pub mod process_order;
pub mod queue;
pub(crate) mod revisions;
pub mod search;
mod store;
mod summary;
pub mod witness;
pub mod zones;

pub use decide::{Core, Decision, decide, refute_part};
pub use explain::NAME;
pub use generic::check_model;
pub use key::{Key, check_key, decide as decide_register};
pub use store::check;
