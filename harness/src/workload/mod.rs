//! What clients do. A workload is a pure generator: from a seed, and what clients have seen so
//! far, to the next operation. It knows no cluster, so that containers and simulation share it.
//!
//! To add one: a module with its options and generator, a variant of [`Workload`].

pub mod register;

use checker::history::{Function, Value};
use serde::{Deserialize, Serialize};

/// Which workload, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Workload {
    /// Reads, writes and compare-and-sets, each of one key.
    Register(register::Options),
}

impl Workload {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
        }
    }

    /// The generator of a run.
    pub fn generator(&self, seed: u64) -> register::Register {
        match self {
            Self::Register(options) => register::Register::new(options, seed),
        }
    }

    /// Every key that the workload may touch.
    pub fn keys(&self) -> Vec<String> {
        match self {
            Self::Register(options) => (0..options.keys).map(register::key).collect(),
        }
    }
}

/// An operation to perform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub f: Function,
    /// To which key.
    pub key: String,
    /// What it writes, and for a compare-and-set what it expects.
    pub value: Value,
}
