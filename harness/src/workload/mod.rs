//! What clients do. A workload is a pure generator: from a seed, and what clients have seen so
//! far, to the next operation of a client. It knows no cluster, so that containers and simulation
//! share it.
//!
//! To add one: a module with its options and generator, a variant of [`Workload`]; where its
//! operations are of another kind, a variant of [`Operation`] and [`Answer`], and how a client
//! performs them.

pub mod etcd;
pub mod register;
pub mod script;

use std::time::Duration;

use checker::history::{self, Kind, generic, generic::Datum, lines::Line};
use node::kv;
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
    /// Everything that etcd's `KV` serves.
    Etcd(etcd::Options),
    /// Operations written down one by one.
    Script(script::Script),
}

impl Workload {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Etcd(_) => "etcd",
            Self::Script(_) => "script",
        }
    }

    /// Whether its operations are drawn, and another seed draws others.
    pub fn is_generated(&self) -> bool {
        !matches!(self, Self::Script(_))
    }

    /// The model that its history is judged by, by its name in [`checker::judge`].
    pub fn model(&self) -> &'static str {
        match self {
            Self::Register(_) | Self::Script(_) => "register",
            Self::Etcd(_) => "etcd",
        }
    }

    /// The generator of a run.
    pub fn generator(&self, seed: u64) -> Generator {
        match self {
            Self::Register(options) => {
                Generator::Register(Box::new(register::Register::new(options, seed)))
            }
            Self::Etcd(options) => Generator::Etcd(Box::new(etcd::Etcd::new(options, seed))),
            Self::Script(script) => Generator::Script(script::Remaining::new(script)),
        }
    }

    /// How many keys it may touch; at least one.
    pub fn keys(&self) -> usize {
        match self {
            Self::Register(register::Options { keys, .. })
            | Self::Etcd(etcd::Options { keys, .. }) => *keys as usize,
            Self::Script(script) => script.keys().len(),
        }
    }

    /// What shows whether a node serves: a read.
    pub fn probe(&self) -> Operation {
        match self {
            Self::Register(_) => register::read(&register::key(0)),
            Self::Etcd(_) => etcd::probe(),
            Self::Script(script) => {
                register::read(&script.keys().into_iter().next().unwrap_or_default())
            }
        }
    }

    /// What is read at the end, through a cluster of so many nodes.
    pub fn final_reads(&self, nodes: u64) -> Vec<FinalRead> {
        let of_key = |key: String| FinalRead { operation: register::read(&key), of: key, at: None };
        match self {
            Self::Register(options) => (0..options.keys).map(register::key).map(of_key).collect(),
            Self::Script(script) => script.keys().into_iter().map(of_key).collect(),
            Self::Etcd(_) => (1..=nodes).map(|node| etcd::whole_store(Some(node), 0)).collect(),
        }
    }
}

/// A read at the end of a run.
#[derive(Clone, Debug)]
pub struct FinalRead {
    /// What is read, in words.
    pub of: String,
    /// The read.
    pub operation: Operation,
    /// The node that must answer it, from 1; none: whichever does.
    pub at: Option<u64>,
}

/// Thinks of the operations of a run.
#[derive(Debug)]
pub enum Generator {
    /// See [`register`].
    Register(Box<register::Register>),
    /// See [`etcd`].
    Etcd(Box<etcd::Etcd>),
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
            Self::Register(register) => {
                Some((Operation::Register(register.operation()), Turn::Paced))
            }
            Self::Etcd(etcd) => Some((Operation::Etcd(Box::new(etcd.operation())), Turn::Paced)),
            Self::Script(left) => left.next(client).map(|(what, at)| (what, Turn::At(at))),
        }
    }

    /// What shows whether a node takes writes, of a workload that is not written down.
    pub fn write(&mut self) -> Option<Operation> {
        match self {
            Self::Register(register) => Some(Operation::Register(register.write())),
            Self::Etcd(etcd) => Some(Operation::Etcd(Box::new(etcd.write()))),
            Self::Script(_) => None,
        }
    }

    /// What else is read at the end, once everything was read and [learned](Self::learn).
    pub fn further_reads(&self) -> Vec<FinalRead> {
        match self {
            Self::Register(_) | Self::Script(_) => Vec::new(),
            Self::Etcd(etcd) => etcd.unexplained(),
        }
    }

    /// A client was given this answer.
    pub fn learn(&mut self, operation: &Operation, answer: &Answer) {
        match (self, operation, answer) {
            (Self::Register(register), Operation::Register(asked), Answer::Register(told)) => {
                if let Some(saw) = told.saw {
                    register.saw(&asked.key, saw);
                }
            }
            (Self::Etcd(etcd), Operation::Etcd(asked), Answer::Etcd(told)) => {
                etcd.learn(&asked.request, told);
            }
            _ => {}
        }
    }
}

/// An operation to perform.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Of one register.
    Register(register::Operation),
    /// A request to etcd's `KV`.
    Etcd(Box<etcd::Operation>),
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing, or an error alone.
    Nothing,
    /// Of a register.
    Register(register::Answer),
    /// By etcd's `KV`.
    Etcd(kv::Response),
}

/// Who has an event of the history, when, and with which node.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Nanoseconds since the load began.
    pub time: u64,
    /// The process.
    pub process: u64,
    /// The node's name.
    pub node: String,
}

impl Operation {
    /// When a client may send it a second time, if it can say that it is the same.
    pub fn retry(&self) -> etcd::Retry {
        match self {
            Self::Register(_) => etcd::Retry::Never,
            Self::Etcd(operation) => operation.retry,
        }
    }

    /// The line of the history with which it begins.
    pub fn begun(&self, stamp: Stamp) -> Line {
        self.line(stamp, Kind::Invoke, &Answer::Nothing, None)
    }

    /// The line of the history with which it ends.
    pub fn ended(&self, stamp: Stamp, kind: Kind, answer: &Answer, error: Option<String>) -> Line {
        self.line(stamp, kind, answer, error)
    }

    fn line(&self, stamp: Stamp, kind: Kind, answer: &Answer, error: Option<String>) -> Line {
        let Stamp { time, process, node } = stamp;
        match self {
            Self::Register(register::Operation { f, key, value }) => {
                let (value, revision) = match answer {
                    Answer::Register(told) => (told.value, told.revision),
                    Answer::Nothing | Answer::Etcd(_) => (*value, None),
                };
                let (index, f, key, node) = (0, *f, key.clone(), Some(node));
                Line::Register(history::Event {
                    index,
                    time,
                    process,
                    kind,
                    f,
                    key,
                    value,
                    error,
                    node,
                    revision,
                })
            }
            Self::Etcd(operation) => {
                let value = match (kind, answer) {
                    (Kind::Invoke, _) => etcd::record::request(&operation.request),
                    (_, Answer::Etcd(response)) => etcd::record::response(response),
                    _ => Datum::Nil,
                };
                Line::Generic(generic::Event {
                    index: 0,
                    time,
                    process,
                    kind,
                    f: etcd::record::function(&operation.request).into(),
                    key: Datum::Nil,
                    value,
                    error: error.map(Into::into),
                    node: Some(node.into()),
                    revision: None,
                })
            }
        }
    }
}
