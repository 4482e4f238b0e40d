//! What clients do. A workload is a pure generator: from a seed, and what clients have seen so
//! far, to the next operation of a client. It knows no cluster, so that containers and simulation
//! share it.
//!
//! To add one: a module with its options and generator, a variant of [`Workload`].

pub mod register;
pub mod script;

use std::time::Duration;

use checker::history::{Function, Value};
use serde::{Deserialize, Serialize};

/// Read for a value that is not a number, which nobody writes: so a store that returns garbage is
/// found by the checker as a read of a value that was never written.
pub const GARBAGE: i64 = i64::MIN;

/// Which workload, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Workload {
    /// Reads, writes and compare-and-sets, each of one key.
    Register(register::Options),
    /// Operations written down one by one.
    Script(script::Script),
}

impl Workload {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Script(_) => "script",
        }
    }

    /// The model that its history is judged by, by its name in [`checker::judge`].
    pub fn model(&self) -> &'static str {
        match self {
            Self::Register(_) | Self::Script(_) => "register",
        }
    }

    /// The generator of a run.
    pub fn generator(&self, seed: u64) -> Generator {
        match self {
            Self::Register(options) => {
                Generator::Register(Box::new(register::Register::new(options, seed)))
            }
            Self::Script(script) => Generator::Script(script::Remaining::new(script)),
        }
    }

    /// Every key that the workload may touch; at least one.
    pub fn keys(&self) -> Vec<String> {
        match self {
            Self::Register(options) => (0..options.keys).map(register::key).collect(),
            Self::Script(script) => script.keys(),
        }
    }
}

/// Thinks of the operations of a run.
#[derive(Debug)]
pub enum Generator {
    /// See [`register`].
    Register(Box<register::Register>),
    /// See [`script`].
    Script(script::Remaining),
}

/// When an operation may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// When the pace of all clients together allows it.
    Paced,
    /// So long after the start of the load.
    At(Duration),
}

impl Generator {
    /// What a client, numbered from 0, does next. None: nothing any more.
    pub fn next(&mut self, client: u64) -> Option<(Operation, Turn)> {
        match self {
            Self::Register(register) => Some((register.operation(), Turn::Paced)),
            Self::Script(left) => left.next(client).map(|(what, at)| (what, Turn::At(at))),
        }
    }

    /// A client saw this value of a key.
    pub fn saw(&mut self, key: &str, value: Option<i64>) {
        if let Self::Register(register) = self {
            register.saw(key, value);
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
