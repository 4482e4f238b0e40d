//! Lists: transactions that append to several of them and read them, all at one moment. The checker
//! finds every order that no serial store could have shown.
//!
//! Elements are unique, so that a list names the very transactions that made it. A list grows for a
//! while and then makes room for a new one: it stays short enough to be read often, and some keys
//! are always young. Half of the steps stay with the list of the step before, so that clients meet.

use checker::history::generic::Datum;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{FinalRead, Generator, Kind, Operation, Turn};

/// Steps of a transaction at most.
const STEPS_MAX: usize = 4;
/// A list that clients wanted to append to so often is replaced by a new one: each append writes
/// the whole list.
const APPENDS_MAX: u32 = 16;
/// Lists that one transaction reads at the end.
const READ_TOGETHER: usize = 16;
/// Requests of a transaction at most: a read, and each attempt to write.
const REQUESTS_MAX: u32 = 1 + super::ATTEMPTS_MAX;

/// Parameters of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Number of lists in use at one time, from 1.
    pub keys: u32,
}

/// Steps that take place together, in their order. At most one of them appends to the same list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The steps, at least one.
    pub steps: Vec<Step>,
}

/// A step of a transaction. Lists have numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appends an element to a list.
    Append {
        /// Which list.
        list: u64,
        /// The element, which nothing else appends.
        element: i64,
    },
    /// Reads a list as it is after the steps before this one.
    Read {
        /// Which list.
        list: u64,
    },
}

impl Step {
    /// Which list.
    pub fn list(self) -> u64 {
        match self {
            Self::Append { list, .. } | Self::Read { list } => list,
        }
    }

    /// The step in the words of the history, with what was read if it is known.
    pub(crate) fn words(self, read: Datum) -> Datum {
        let (f, value) = match self {
            Self::Append { element, .. } => ("append", Datum::Int(element)),
            Self::Read { .. } => ("r", read),
        };
        Datum::List(vec![Datum::Text(f.into()), Datum::Text(name(self.list()).into()), value])
    }
}

impl Transaction {
    /// Whether it appends nothing.
    pub fn is_read(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Read { .. }))
    }

    /// What it is asked with, as the history has it.
    pub(super) fn argument(&self) -> Datum {
        Datum::List(self.steps.iter().map(|step| step.words(Datum::Nil)).collect())
    }
}

/// The name of a list.
pub fn name(list: u64) -> String {
    format!("l{list}")
}

/// Reads these lists at one moment.
fn read(lists: impl Iterator<Item = u64>) -> Operation {
    Operation::Append(Transaction { steps: lists.map(|list| Step::Read { list }).collect() })
}

/// Reads these lists, some at a time.
fn read_all(lists: std::ops::Range<u64>) -> Vec<FinalRead> {
    let chunk = |from: u64| {
        let lists = from..lists.end.min(from + READ_TOGETHER as u64);
        let names: Vec<String> = lists.clone().map(name).collect();
        FinalRead { of: names.join(" "), operation: read(lists), at: None }
    };
    lists.clone().step_by(READ_TOGETHER).map(chunk).collect()
}

impl Kind for Options {
    fn model(&self) -> &'static str {
        "list-append"
    }

    fn keys(&self) -> usize {
        self.keys as usize
    }

    fn generator(&self, seed: u64) -> Box<dyn Generator> {
        Box::new(Append::new(self, seed))
    }

    fn probe(&self) -> Operation {
        read(std::iter::once(0))
    }

    /// The first lists; the later ones are known to the generator alone.
    fn final_reads(&self, _: u64) -> Vec<FinalRead> {
        read_all(0..u64::from(self.keys.max(1)))
    }

    fn requests(&self) -> u32 {
        REQUESTS_MAX
    }

    fn contended(&self) -> bool {
        true
    }
}

/// A list in use.
#[derive(Clone, Copy, Debug)]
struct Life {
    list: u64,
    appends: u32,
}

/// The generator.
#[derive(Debug)]
pub struct Append {
    rng: ChaCha8Rng,
    /// The lists in use.
    lives: Vec<Life>,
    /// Number of the next new list.
    next: u64,
    /// The last element.
    element: i64,
    /// Place of the list of the step before.
    last: usize,
}

impl Append {
    /// A generator that has thought of nothing yet.
    pub fn new(options: &Options, seed: u64) -> Self {
        let keys = u64::from(options.keys.max(1));
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            lives: (0..keys).map(|list| Life { list, appends: 0 }).collect(),
            next: keys,
            element: 0,
            last: 0,
        }
    }

    /// The next transaction: of ten about three only read.
    pub fn transaction(&mut self) -> Transaction {
        let count = self.rng.random_range(1..=STEPS_MAX);
        let only_reads = self.rng.random_ratio(3, 10);
        let mut steps: Vec<Step> = Vec::with_capacity(count);
        for _ in 0..count {
            if self.rng.random_bool(0.5) {
                self.last = self.rng.random_range(0..self.lives.len());
            }
            let list = self.lives[self.last].list;
            let again =
                |step: &Step| matches!(step, Step::Append { list: other, .. } if *other == list);
            if only_reads || self.rng.random_bool(0.4) || steps.iter().any(again) {
                steps.push(Step::Read { list });
            } else {
                self.element += 1;
                steps.push(Step::Append { list, element: self.element });
                self.lives[self.last].appends += 1;
            }
        }
        for life in &mut self.lives {
            if life.appends >= APPENDS_MAX {
                *life = Life { list: self.next, appends: 0 };
                self.next += 1;
            }
        }
        Transaction { steps }
    }
}

impl Generator for Append {
    fn next(&mut self, _: u64) -> Option<(Operation, Turn)> {
        Some((Operation::Append(self.transaction()), Turn::Paced))
    }

    /// The lists that took the place of others.
    fn further_reads(&self) -> Vec<FinalRead> {
        read_all(self.lives.len() as u64..self.next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn transactions(keys: u32, seed: u64) -> Vec<Transaction> {
        let mut append = Append::new(&Options { keys }, seed);
        (0..2000).map(|_| append.transaction()).collect()
    }

    #[test]
    fn it_is_a_function_of_the_seed() {
        assert_eq!(transactions(5, 1), transactions(5, 1));
        assert_ne!(transactions(5, 1), transactions(5, 2));
    }

    #[test]
    fn elements_are_unique_and_lists_are_appended_to_once_a_transaction() {
        let mut elements = BTreeSet::new();
        let mut appends: BTreeMap<u64, u32> = BTreeMap::new();
        for Transaction { steps } in transactions(3, 1) {
            assert!((1..=STEPS_MAX).contains(&steps.len()));
            let mut lists = BTreeSet::new();
            for step in steps {
                if let Step::Append { list, element } = step {
                    assert!(elements.insert(element) && lists.insert(list));
                    *appends.entry(list).or_default() += 1;
                }
            }
        }
        assert!(appends.len() > 20, "lists are replaced: {appends:?}");
        assert!(appends.values().all(|count| *count < APPENDS_MAX + STEPS_MAX as u32));
    }

    #[test]
    fn some_transactions_only_read_and_most_do_both() {
        let all = transactions(5, 1);
        let reads = all.iter().filter(|transaction| transaction.is_read()).count();
        assert!((600..1100).contains(&reads), "{reads}");
    }

    #[test]
    fn every_list_is_read_at_the_end() {
        let options = Options { keys: 3 };
        let mut append = Append::new(&options, 1);
        for _ in 0..500 {
            append.transaction();
        }
        let mut read = BTreeSet::new();
        for last in options.final_reads(3).into_iter().chain(append.further_reads()) {
            let Operation::Append(Transaction { steps }) = last.operation else { panic!() };
            read.extend(steps.into_iter().map(Step::list));
        }
        assert!(append.next > 5);
        assert_eq!(read, (0..append.next).collect());
    }

    #[test]
    fn a_transaction_reads_aloud() {
        let steps = vec![Step::Read { list: 3 }, Step::Append { list: 0, element: 7 }];
        let words = Transaction { steps }.argument().to_string();
        assert_eq!(words, "[[r l3 nil] [append l0 7]]");
    }
}
