//! Sets: unique elements, added one by one. What was acknowledged must be in every later read, and
//! what is in a read must stay.
//!
//! Each read returns the whole set, so the larger the set is, the rarer are reads: together they
//! show each element a few dozen times, however long a run is. At the end each node is asked.

use checker::history::generic::Datum;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{FinalRead, Generator, Kind, Turn};

/// Of a small set one operation in so many is a read,
const READS: u32 = 6;
/// and for so many elements more of a larger one.
const ELEMENTS: u32 = 32;

/// Parameters of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Number of sets, from 1.
    pub keys: u32,
}

/// An operation of one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The name of the set.
    pub set: String,
    /// What it does.
    pub action: Action,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Adds this element, which nothing else adds.
    Add(i64),
    /// Reads all elements.
    Read,
}

impl Operation {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        self.action == Action::Read
    }

    pub(super) fn words(&self) -> (&'static str, Datum, Datum) {
        let key = Datum::Text(self.set.as_str().into());
        match self.action {
            Action::Add(element) => ("add", key, Datum::Int(element)),
            Action::Read => ("read", key, Datum::Nil),
        }
    }
}

/// The name of a set.
fn name(number: u32) -> String {
    format!("s{number}")
}

fn read(set: String) -> super::Operation {
    super::Operation::Set(Operation { set, action: Action::Read })
}

impl Kind for Options {
    fn model(&self) -> &'static str {
        "set"
    }

    fn keys(&self) -> usize {
        self.keys as usize
    }

    fn generator(&self, seed: u64) -> Box<dyn Generator> {
        Box::new(Set::new(self, seed))
    }

    /// A set of its own, which stays empty: the others may be large.
    fn probe(&self) -> super::Operation {
        read("empty".to_owned())
    }

    /// Every set at every node.
    fn final_reads(&self, nodes: u64) -> Vec<FinalRead> {
        let sets = (0..self.keys.max(1)).map(name);
        let at_nodes = |set: String| {
            (1..=nodes).map(move |node| {
                let of = format!("set {set} at n{node}");
                FinalRead { of, operation: read(set.clone()), at: Some(node) }
            })
        };
        let mut reads: Vec<FinalRead> = sets.flat_map(at_nodes).collect();
        // A client that need not move to another node after each read is done sooner.
        reads.sort_by_key(|read| read.at);
        reads
    }
}

/// The generator.
#[derive(Debug)]
pub struct Set {
    rng: ChaCha8Rng,
    /// Elements of each set so far.
    sizes: Vec<u32>,
    /// The last element.
    element: i64,
}

impl Set {
    /// A generator that has thought of nothing yet.
    pub fn new(options: &Options, seed: u64) -> Self {
        let sizes = vec![0; options.keys.max(1) as usize];
        Self { rng: ChaCha8Rng::seed_from_u64(seed), sizes, element: 0 }
    }

    /// The next operation.
    pub fn operation(&mut self) -> Operation {
        let number = self.rng.random_range(0..self.sizes.len());
        let size = &mut self.sizes[number];
        let action = if self.rng.random_ratio(1, READS + *size / ELEMENTS) {
            Action::Read
        } else {
            *size += 1;
            self.element += 1;
            Action::Add(self.element)
        };
        Operation { set: name(u32::try_from(number).unwrap_or_default()), action }
    }
}

impl Generator for Set {
    fn next(&mut self, _: u64) -> Option<(super::Operation, Turn)> {
        Some((super::Operation::Set(self.operation()), Turn::Paced))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn operations(keys: u32, seed: u64, count: usize) -> Vec<Operation> {
        let mut set = Set::new(&Options { keys }, seed);
        (0..count).map(|_| set.operation()).collect()
    }

    #[test]
    fn it_is_a_function_of_the_seed_and_elements_are_unique() {
        assert_eq!(operations(2, 1, 500), operations(2, 1, 500));
        assert_ne!(operations(2, 1, 500), operations(2, 2, 500));
        let operations = operations(2, 1, 500);
        let added: Vec<i64> = operations
            .iter()
            .filter_map(|operation| match operation.action {
                Action::Add(element) => Some(element),
                Action::Read => None,
            })
            .collect();
        assert_eq!(added.iter().collect::<BTreeSet<_>>().len(), added.len());
        assert!(operations.iter().any(|operation| operation.set == "s1"));
    }

    #[test]
    fn reads_show_a_few_dozen_times_what_was_added() {
        for count in [1_000, 30_000] {
            let (mut size, mut shown) = (0, 0);
            for operation in operations(1, 1, count) {
                if operation.is_read() { shown += size } else { size += 1 }
            }
            assert!(shown > 5 * size && shown < 60 * size, "{shown} of {size}");
        }
    }

    #[test]
    fn every_set_is_read_at_every_node_at_the_end() {
        let reads = Options { keys: 2 }.final_reads(3);
        let of: Vec<&str> = reads.iter().map(|read| read.of.as_str()).collect();
        assert_eq!(of[..3], ["set s0 at n1", "set s1 at n1", "set s0 at n2"]);
        assert_eq!(of.len(), 6);
    }
}
