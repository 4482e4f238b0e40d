//! Per-key registers: read, write and compare-and-set over many keys.
//!
//! Written values are unique by default, so that a read names the very write that it saw, and an
//! anomaly cannot hide behind two writes of the same value. A small domain is for the opposite:
//! it lets compare-and-sets succeed by chance, and writes that change nothing occur.
//!
//! A compare-and-set expects what some client last saw of the key, so that many succeed. Half of
//! the operations stay with the key of the one before, so that clients meet on a key.

use std::collections::BTreeMap;

use checker::history::{Function, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// An operation of one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub f: Function,
    /// To which key.
    pub key: String,
    /// What it writes, and for a compare-and-set what it expects.
    pub value: Value,
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

/// A read of a key.
pub(super) fn read(key: &str) -> super::Operation {
    let (key, value) = (key.to_owned(), Value::Nil);
    super::Operation::Register(Operation { f: Function::Read, key, value })
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
        match self.rng.random_range(0..10) {
            0..5 => Operation { f: Function::Read, key, value: Value::Nil },
            5..8 => {
                let value = Value::Int(self.value());
                Operation { f: Function::Write, key, value }
            }
            _ => {
                let expected = self.seen.get(&key).copied().flatten();
                let value = Value::Pair(expected, self.value());
                Operation { f: Function::Cas, key, value }
            }
        }
    }

    /// A write to some key.
    pub fn write(&mut self) -> Operation {
        let key = key(self.rng.random_range(0..self.options.keys.max(1)));
        Operation { f: Function::Write, key, value: Value::Int(self.value()) }
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
        let mut register = Register::new(&Options { keys: 10, values }, seed);
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
        let mut register = Register::new(&Options { keys: 1, values: None }, 1);
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
