//! What clients do. A workload is a pure generator: from a seed, and what clients have seen so
//! far, to the next operation of a client. It knows no cluster, so that containers and simulation
//! share it.
//!
//! To add one: a module with its options, which are a [`Kind`], and its [`Generator`]; a line in
//! the list of [`Workload`]s below. If its operations are of another kind, also a variant of
//! [`Operation`], and how a client performs them: see `client::steps`.

pub mod append;
pub mod bank;
pub mod etcd;
pub mod register;
pub mod script;
pub mod set;

use std::{fmt::Debug, time::Duration};

use checker::history::{self, Kind as Outcome, generic, generic::Datum, lines::Line};
use node::kv;
use serde::{Deserialize, Serialize};

/// Read for a value that is not a number, which nobody writes: so a store that returns garbage is
/// found by the checker as a read of a value that was never written.
pub const GARBAGE: i64 = i64::MIN;

/// Attempts at a write that is guarded by what was read before. Each fails because another client
/// wrote meanwhile; then the operation fails.
pub const ATTEMPTS_MAX: u32 = 4;

/// What a workload is, by its options.
pub trait Kind {
    /// The model that its history is judged by, by its name in [`checker::judge`].
    fn model(&self) -> &'static str;

    /// How many keys it may touch at one time; at least one.
    fn keys(&self) -> usize;

    /// Checks the options, for a run of so many clients that lasts so long.
    ///
    /// # Errors
    /// The first option that is impossible, and what is possible.
    fn validate(&self, _clients: u64, _time: Duration) -> anyhow::Result<()> {
        Ok(())
    }

    /// The generator of a run.
    fn generator(&self, seed: u64) -> Box<dyn Generator>;

    /// What shows whether a node serves: a read.
    fn probe(&self) -> Operation;

    /// What is read at the end, through a cluster of so many nodes; something always is.
    fn final_reads(&self, nodes: u64) -> Vec<FinalRead>;

    /// The most requests that an operation takes, one after the other.
    fn requests(&self) -> u32 {
        1
    }

    /// Whether clients may keep each other from succeeding: at least one of them does.
    fn contended(&self) -> bool {
        false
    }
}

/// Thinks of the operations of a run.
pub trait Generator: Debug + Send {
    /// What a client, numbered from 0, does next. None: nothing any more.
    fn next(&mut self, client: u64) -> Option<(Operation, Turn)>;

    /// What shows whether a node takes writes: one that no condition keeps from being executed, and
    /// that is sent once. None: the workload has no such writes.
    fn write(&mut self) -> Option<Operation> {
        None
    }

    /// A client was given this answer.
    fn learn(&mut self, _operation: &Operation, _answer: &Answer) {}

    /// What else is read at the end, once everything was read and [learned](Self::learn).
    fn further_reads(&self) -> Vec<FinalRead> {
        Vec::new()
    }
}

/// The list of workloads: variant, options, name.
macro_rules! workloads {
    ($($(#[$doc:meta])* $variant:ident($options:ty) = $name:literal;)*) => {
        /// Which workload, with its parameters.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum Workload {
            $($(#[$doc])* #[serde(rename = $name)] $variant($options),)*
        }

        impl Workload {
            /// Its name on the command line.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            fn kind(&self) -> &dyn Kind {
                match self {
                    $(Self::$variant(options) => options,)*
                }
            }
        }
    };
}

workloads! {
    /// Reads, writes and compare-and-sets, each of one key.
    Register(register::Options) = "register";
    /// Everything that etcd's `KV` serves.
    Etcd(etcd::Options) = "etcd";
    /// Transactions that append to lists and read them.
    Append(append::Options) = "append";
    /// Unique elements, added one by one and read together.
    Set(set::Options) = "set";
    /// Transfers between accounts, whose total stays.
    Bank(bank::Options) = "bank";
    /// Operations written down one by one.
    Script(script::Script) = "script";
}

/// The workloads whose operations are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Drawn {
    /// Reads, writes and compare-and-sets of single keys.
    Register,
    /// Everything that etcd's KV serves, with every option, and requests that must be refused.
    Etcd,
    /// Transactions over several keys that append to lists and read them.
    Append,
    /// Adds of unique elements, and reads of all.
    Set,
    /// Transfers between accounts, and reads of all accounts: their total never changes.
    Bank,
}

impl Workload {
    /// Whether its operations are drawn, and another seed draws others.
    pub fn is_generated(&self) -> bool {
        self.script().is_none()
    }

    /// The script, if its operations are written down.
    pub fn script(&self) -> Option<&script::Script> {
        match self {
            Self::Script(script) => Some(script),
            _ => None,
        }
    }

    /// The script, to change it.
    pub fn script_mut(&mut self) -> Option<&mut script::Script> {
        match self {
            Self::Script(script) => Some(script),
            _ => None,
        }
    }

    /// See [`Kind::model`].
    pub fn model(&self) -> &'static str {
        self.kind().model()
    }

    /// See [`Kind::keys`].
    pub fn keys(&self) -> usize {
        self.kind().keys()
    }

    /// See [`Kind::validate`].
    ///
    /// # Errors
    /// The first option that is impossible, and what is possible.
    pub fn validate(&self, clients: u64, time: Duration) -> anyhow::Result<()> {
        self.kind().validate(clients, time)
    }

    /// See [`Kind::generator`].
    pub fn generator(&self, seed: u64) -> Box<dyn Generator> {
        self.kind().generator(seed)
    }

    /// See [`Kind::probe`].
    pub fn probe(&self) -> Operation {
        self.kind().probe()
    }

    /// See [`Kind::final_reads`].
    pub fn final_reads(&self, nodes: u64) -> Vec<FinalRead> {
        self.kind().final_reads(nodes)
    }

    /// See [`Kind::requests`].
    pub fn requests(&self) -> u32 {
        self.kind().requests()
    }

    /// See [`Kind::contended`].
    pub fn contended(&self) -> bool {
        self.kind().contended()
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

/// When an operation may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// When the pace of all clients together allows it.
    Paced,
    /// So long after the start of the load.
    At(Duration),
}

/// An operation to perform.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Of one register.
    Register(register::Operation),
    /// A request to etcd's `KV`.
    Etcd(Box<etcd::Operation>),
    /// A transaction on lists.
    Append(append::Transaction),
    /// Of a set.
    Set(set::Operation),
    /// Of a bank.
    Bank(bank::Operation),
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
    /// In the words of the history.
    Told(Datum),
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
            Self::Etcd(operation) => operation.retry,
            // Nothing would say that it is the same.
            _ => etcd::Retry::Never,
        }
    }

    /// Whether it changes nothing, whatever becomes of it.
    pub fn is_read(&self) -> bool {
        match self {
            Self::Register(operation) => operation.f == history::Function::Read,
            Self::Etcd(operation) => operation.request.is_read(),
            Self::Append(transaction) => transaction.is_read(),
            Self::Set(operation) => operation.is_read(),
            Self::Bank(operation) => operation.is_read(),
        }
    }

    /// How the history calls it, and what it is asked with: function, key and argument. None of a
    /// register, whose lines have a form of their own.
    fn words(&self) -> Option<(&'static str, Datum, Datum)> {
        Some(match self {
            Self::Register(_) => return None,
            Self::Etcd(operation) => {
                let request = &operation.request;
                (etcd::record::function(request), Datum::Nil, etcd::record::request(request))
            }
            Self::Append(transaction) => ("txn", Datum::Nil, transaction.argument()),
            Self::Set(operation) => operation.words(),
            Self::Bank(operation) => operation.words(),
        })
    }

    /// The line of the history with which it begins.
    pub fn begun(&self, stamp: Stamp) -> Line {
        self.line(stamp, Outcome::Invoke, &Answer::Nothing, None)
    }

    /// The line of the history with which it ends.
    pub fn ended(
        &self,
        stamp: Stamp,
        kind: Outcome,
        answer: &Answer,
        error: Option<String>,
    ) -> Line {
        self.line(stamp, kind, answer, error)
    }

    fn line(&self, stamp: Stamp, kind: Outcome, answer: &Answer, error: Option<String>) -> Line {
        let Stamp { time, process, node } = stamp;
        let index = 0;
        if let Self::Register(register::Operation { f, key, value, .. }) = self {
            let (value, revision) = match answer {
                Answer::Register(told) => (told.value, told.revision),
                _ => (*value, None),
            };
            let (f, key, node) = (*f, key.clone(), Some(node));
            let event =
                history::Event { index, time, process, kind, f, key, value, error, node, revision };
            return Line::Register(event);
        }
        let (f, key, argument) = self.words().unwrap_or_default();
        let value = match (kind, answer) {
            (Outcome::Invoke, _) => argument,
            (_, Answer::Etcd(response)) => etcd::record::response(response),
            (_, Answer::Told(told)) => told.clone(),
            _ => Datum::Nil,
        };
        Line::Generic(generic::Event {
            index,
            time,
            process,
            kind,
            f: f.into(),
            key,
            value,
            error: error.map(Into::into),
            node: Some(node.into()),
            revision: None,
        })
    }
}
