//! The harness.

pub mod client;
pub mod cluster;
pub mod images;
pub mod nemesis;
pub mod report;
pub mod system;
pub mod workload;
