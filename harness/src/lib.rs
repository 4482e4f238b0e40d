//! The harness.

pub mod cli;
pub mod client;
pub mod cluster;
pub mod doctor;
pub mod images;
pub mod nemesis;
pub mod plan;
pub mod report;
pub mod run;
pub mod scenario;
pub mod system;
pub mod workload;
