//! Scenarios: short plays with a fixed script. A step starts or crashes a node, then the nodes' own
//! accounts must come to say what the script expects, and go on saying so.
//!
//! A scenario is a small JSON file; [`Scenario`] documents it and `leader-election.json` is one to
//! copy. To add one to the harness, put the file beside that one and name it in [`data`].
//!
//! - [`data`]: the file;
//! - [`judge`]: decides from what nodes say whether a step succeeded, without a clock or a network;
//! - [`machine`]: plays the steps, on any cluster;
//! - [`play()`]: on containers or in simulation, with evidence, verdict and page; [`check`]: judges
//!   again;
//! - `table`: what is printed.

pub mod data;
pub mod judge;
pub mod machine;
mod play;
mod table;
mod verdict;

pub use data::Scenario;
pub use play::{Finished, Record, Settings, check, is_scenario, play};
