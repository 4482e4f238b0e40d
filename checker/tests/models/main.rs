//! Each model and its decider against brute force, each decider's verdict by its own proof, and
//! histories that a person can read.

#![allow(clippy::unwrap_used)]

mod bank;
mod collisions;
mod front;
mod kv;
mod lock;
mod porcupine;
mod queue;
mod set;
mod small;
#[path = "../taken/mod.rs"]
mod taken;
mod turns;
