//! Tests of real node processes on loopback, as users run them.
//!
//! Each cluster gets a loopback address of its own, so that tests run side by side without
//! fighting over ports.

#![allow(clippy::unwrap_used, reason = "a test may fail so")]

mod cluster;
mod elections;
mod etcdctl;
mod links;
mod requests;
mod starts;
