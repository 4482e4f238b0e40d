//! Per-key registers: read, write and compare-and-set over many keys.
//!
//! Written values are unique by default, so that a read names the very write that it saw, and an
//! anomaly cannot hide behind two writes of the same value. A small domain is for the opposite:
//! it lets compare-and-sets succeed by chance, and writes that change nothing occur.
//!
//! A compare-and-set expects what some client last saw of the key, so that many succeed. Half of
//! the operations stay with the key of the one before, so that clients meet on a key.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use checker::history::{Function, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{FinalRead, Generator, Kind, Turn};

/// An operation of one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub f: Function,
    /// To which key.
    pub key: String,
    /// What it writes, and for a compare-and-set what it expects.
    pub value: Value,
    /// What a read may be answered with.
    pub reads: Reads,
}

/// What a read may be answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// What holds at some moment between its call and its return.
    #[default]
    Linearizable,
    /// What the node that is asked knows, however old: etcd's `serializable`. It is judged as if it
    /// were linearizable, so that a run shows what such reads may return.
    Serializable,
}

impl Reads {
    /// Whether they are [`Linearizable`](Self::Linearizable).
    pub(super) fn are_linearizable(&self) -> bool {
        *self == Self::Linearizable
    }
}

/// What a client was told of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For the history: as invoked, or what was read.
    pub value: Value,
    /// The read value's, or the write's.
    pub revision: Option<i64>,
    /// What is now known of the key: `Some(None)` that it does not exist.
    pub saw: Option<Option<i64>>,
}

/// A linearizable read of a key.
pub(super) fn read(key: &str) -> super::Operation {
    let (key, value, reads) = (key.to_owned(), Value::Nil, Reads::Linearizable);
    super::Operation::Register(Operation { f: Function::Read, key, value, reads })
}

/// Linearizable reads of these keys, whichever node answers.
pub(super) fn final_reads(keys: impl Iterator<Item = String>) -> Vec<FinalRead> {
    keys.map(|key| FinalRead { operation: read(&key), of: key, at: None }).collect()
}

/// Parameters of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Number of keys, from 1.
    pub keys: u32,
    /// Size of the domain of written values, from 1; none: every written value is unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<u32>,
    /// How the load reads. What shows whether a node serves, and what is read at the end, is
    /// linearizable.
    #[serde(default, skip_serializing_if = "Reads::are_linearizable")]
    pub reads: Reads,
}

impl Options {
    /// So many keys, unique values, linearizable reads.
    pub fn new(keys: u32) -> Self {
        Self { keys, values: None, reads: Reads::Linearizable }
    }
}

impl Kind for Options {
    fn model(&self) -> &'static str {
        "register"
    }

    fn keys(&self) -> usize {
        self.keys as usize
    }

    fn validate(&self, _: u64, _: Duration) -> anyhow::Result<()> {
        ensure!(self.values != Some(0), "the domain of written values cannot be empty");
        Ok(())
    }

    fn generator(&self, seed: u64) -> Box<dyn Generator> {
        Box::new(Register::new(self, seed))
    }

    fn probe(&self) -> super::Operation {
        read(&key(0))
    }

    fn final_reads(&self, _: u64) -> Vec<FinalRead> {
        final_reads((0..self.keys).map(key))
    }
}

impl Generator for Register {
    fn next(&mut self, _: u64) -> Option<(super::Operation, Turn)> {
        Some((super::Operation::Register(self.operation()), Turn::Paced))
    }

    fn write(&mut self) -> Option<super::Operation> {
        let key = key(self.rng.random_range(0..self.options.keys.max(1)));
        let value = Value::Int(self.value());
        Some(super::Operation::Register(Operation {
            f: Function::Write,
            key,
            value,
            reads: self.options.reads,
        }))
    }

    fn learn(&mut self, operation: &super::Operation, answer: &super::Answer) {
        if let (super::Operation::Register(asked), super::Answer::Register(told)) =
            (operation, answer)
            && let Some(saw) = told.saw
        {
            self.saw(&asked.key, saw);
        }
    }
}

/// The generator.
#[derive(Debug)]
pub struct Register {
    options: Options,
    rng: ChaCha8Rng,
    /// Written so far.
    writes: i64,
    /// Last value that a client saw of a key; `None` within: no such key.
    seen: BTreeMap<String, Option<i64>>,
    last: String,
}

/// The name of a key.
pub fn key(number: u32) -> String {
    format!("k{number}")
}

impl Register {
    /// A generator that has seen nothing yet.
    pub fn new(options: &Options, seed: u64) -> Self {
        Self {
            options: options.clone(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            writes: 0,
            seen: BTreeMap::new(),
            last: key(0),
        }
    }

    /// The next operation: of ten about five reads, three writes and two compare-and-sets.
    pub fn operation(&mut self) -> Operation {
        if self.rng.random_bool(0.5) {
            self.last = key(self.rng.random_range(0..self.options.keys.max(1)));
        }
        let key = self.last.clone();
        let (f, value) = match self.rng.random_range(0..10) {
            0..5 => (Function::Read, Value::Nil),
            5..8 => (Function::Write, Value::Int(self.value())),
            _ => {
                let expected = self.seen.get(&key).copied().flatten();
                (Function::Cas, Value::Pair(expected, self.value()))
            }
        };
        Operation { f, key, value, reads: self.options.reads }
    }

    /// A client saw this value of a key.
    pub fn saw(&mut self, key: &str, value: Option<i64>) {
        match self.seen.get_mut(key) {
            Some(seen) => *seen = value,
            None => {
                self.seen.insert(key.to_owned(), value);
            }
        }
    }

    fn value(&mut self) -> i64 {
        match self.options.values {
            Some(size) => i64::from(self.rng.random_range(0..size.max(1))),
            None => {
                self.writes += 1;
                self.writes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn operations(values: Option<u32>, seed: u64) -> Vec<Operation> {
        let mut register = Register::new(&Options { values, ..Options::new(10) }, seed);
        (0..2000).map(|_| register.operation()).collect()
    }

    fn written(operation: &Operation) -> Option<i64> {
        match operation.value {
            Value::Int(value) | Value::Pair(_, value) => Some(value),
            Value::Nil | Value::Found(_) => None,
        }
    }

    #[test]
    fn it_is_a_function_of_the_seed_and_of_what_was_seen() {
        assert_eq!(operations(None, 1), operations(None, 1));
        assert_ne!(operations(None, 1), operations(None, 2));
    }

    #[test]
    fn values_are_unique_by_default() {
        let written: Vec<i64> = operations(None, 1).iter().filter_map(written).collect();
        assert_eq!(written.iter().collect::<BTreeSet<_>>().len(), written.len());
    }

    #[test]
    fn a_small_domain_is_small() {
        let written: BTreeSet<i64> = operations(Some(3), 1).iter().filter_map(written).collect();
        assert_eq!(written, BTreeSet::from([0, 1, 2]));
    }

    #[test]
    fn every_key_and_every_function_occurs() {
        let operations = operations(None, 1);
        let keys: BTreeSet<_> = operations.iter().map(|operation| &operation.key).collect();
        assert_eq!(keys.len(), 10);
        for f in [Function::Read, Function::Write, Function::Cas] {
            let count = operations.iter().filter(|operation| operation.f == f).count();
            assert!(count > 300, "{f:?}: {count}");
        }
    }

    #[test]
    fn a_compare_and_set_expects_what_was_seen_last() {
        let mut register = Register::new(&Options::new(1), 1);
        let expected = |register: &mut Register| loop {
            if let Value::Pair(expected, _) = register.operation().value {
                break expected;
            }
        };
        assert_eq!(expected(&mut register), None);
        register.saw("k0", Some(7));
        assert_eq!(expected(&mut register), Some(7));
        register.saw("k0", None);
        assert_eq!(expected(&mut register), None);
    }
}
