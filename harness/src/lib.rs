//! Runs clusters under faults and client load, and says whether they kept their promises.
//!
//! From the command line inwards:
//!
//! - [`cli`]: the command line and its exit codes;
//! - [`plan`]: what a test is, as plain data;
//! - [`workload`], [`nemesis`]: what clients do and what is done to nodes; pure, no cluster known;
//! - [`exercise`]: how a test proceeds: stages, clients, the life of each fault; pure as well;
//! - [`run`]: one run, its evidence and its verdict; [`scenario`]: plays a short script;
//! - [`campaign`]: many seeds in simulation; [`story`]: one of them, told and drawn;
//! - [`client`]: one operation against one node; [`system`]: what a node is;
//! - [`cluster`], [`images`], [`daemon`], [`doctor`]: where nodes live, from what, by whom, and
//!   whether that works here;
//! - [`report`]: a page about a run, from its directory alone.

pub mod campaign;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod daemon;
pub mod doctor;
pub mod exercise;
pub mod images;
pub mod nemesis;
mod panics;
pub mod plan;
pub mod report;
pub mod run;
pub mod scenario;
pub mod story;
pub mod system;
pub mod workload;
