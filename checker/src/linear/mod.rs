//! Linearizability (Herlihy and Wing, 1990), key by key: it is a local property, so a history is
//! linearizable when that of each key is.
//!
//! Per key the cheapest decider goes first: [`witness`] believes the server's revisions and
//! verifies them, [`zones`] decides what writes each value once, [`search`] decides what is left.
//! A key that a budget leaves undecided is unknown, never ok. [`certificate`] checks the order that
//! a decider found, [`explain`] says why a key is illegal.

mod bits;
pub mod certificate;
pub(crate) mod explain;
pub mod search;
mod witness;
pub mod zones;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use crate::{
    history::{Operation, Outcome},
    model::register::{self, Register},
    verdict::{self, Property, Violation, count},
};
use search::{Budget, Found, Interval};

/// What a check may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of configurations that the search holds at any time.
    pub memory: usize,
    /// Time for all keys together. A hard key gets an equal share of what is left, so that it
    /// cannot keep others from being decided.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 1 << 30, timeout: Duration::from_secs(60) }
    }
}

/// Longer than anybody waits, and short enough for the clock to add.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Bytes of configurations for a search that only explains what another has decided.
const TO_EXPLAIN: usize = 1 << 18;

/// Violations that are told; more are counted.
const TOLD: usize = 10;

/// What was found for one key.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// Linearizable.
    Linearizable,
    /// Not linearizable, and why.
    Illegal(Box<Violation>),
    /// A budget ran out; which, in words.
    Undecided(String),
}

/// Decides each key and sums up.
pub fn check(operations: &[Operation<'_>], limits: &Limits) -> Property {
    let keys = by_key(operations);
    let deadline = Instant::now() + limits.timeout.min(LONGEST);
    let mut violations = Vec::new();
    let mut illegal = 0;
    let mut undecided = Vec::new();
    for (done, (key, subject)) in keys.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(keys.len() - done).unwrap_or(u32::MAX);
        let budget = Budget { memory: limits.memory, deadline: Instant::now() + share };
        match subject.decide(key, &budget) {
            Key::Linearizable => {}
            Key::Illegal(violation) => {
                illegal += 1;
                if violations.len() < TOLD {
                    violations.push(*violation);
                }
            }
            Key::Undecided(reason) => undecided.push(format!("key {key}: {reason}")),
        }
    }
    let examined =
        format!("{} on {}", count(operations.len(), "operation"), count(keys.len(), "key"));
    let (outcome, detail) = if illegal > 0 {
        (
            verdict::Outcome::Violated,
            format!("{examined}; not linearizable: {}", count(illegal, "key")),
        )
    } else if let Some(first) = undecided.first() {
        let keys = count(undecided.len(), "key");
        let detail = format!("{examined}; undecided: {keys}, the first of them {first}");
        (verdict::Outcome::Unknown, detail)
    } else if operations.is_empty() {
        (verdict::Outcome::Unknown, "the history has no operation".into())
    } else {
        (verdict::Outcome::Ok, examined)
    };
    Property { name: explain::RULE.into(), outcome, detail, violations }
}

/// Decides the operations of one key, given in order of invocation.
pub fn check_key(key: &str, operations: &[&Operation<'_>], budget: &Budget) -> Key {
    let mut subject = Subject::default();
    for &operation in operations {
        subject.push(operation);
    }
    subject.decide(key, budget)
}

/// The operations of each key, keys ascending.
fn by_key<'a>(operations: &'a [Operation<'a>]) -> Vec<(&'a str, Subject<'a>)> {
    let mut keys: Vec<(&str, Subject)> = Vec::new();
    let mut places: FxHashMap<&str, usize> = FxHashMap::default();
    for operation in operations {
        let place = *places.entry(operation.key).or_insert(keys.len());
        if place == keys.len() {
            keys.push((operation.key, Subject::default()));
        }
        keys[place].1.push(operation);
    }
    keys.sort_unstable_by_key(|(key, _)| *key);
    keys
}

/// The operations of one key that say something about it.
#[derive(Default)]
struct Subject<'a> {
    intervals: Vec<Interval<register::Operation>>,
    /// Of each of them, the operation of the history, and its revision.
    sources: Vec<&'a Operation<'a>>,
    revisions: Vec<Option<i64>>,
}

impl<'a> Subject<'a> {
    fn push(&mut self, source: &'a Operation<'a>) {
        let Some(operation) = register::Operation::of(source) else { return };
        let (ret, revision) = match source.outcome {
            Outcome::Ok { time, revision, .. } => (Some(time), revision),
            Outcome::Mismatch { time, .. } => (Some(time), None),
            Outcome::Failed { .. } | Outcome::Unknown { .. } => (None, None),
        };
        self.intervals.push(Interval { operation, call: source.call, ret });
        self.sources.push(source);
        self.revisions.push(revision);
    }

    fn decide(&self, key: &str, budget: &Budget) -> Key {
        if witness::explains(&self.intervals, &self.revisions) {
            return Key::Linearizable;
        }
        let case = explain::Case { key, intervals: &self.intervals, sources: &self.sources };
        // Names the values that were possible, where a short search of the history as it is can
        // tell. Its limit is one of memory, so that the same history always gets the same words.
        let brief = Budget { memory: budget.memory.min(TO_EXPLAIN), ..*budget };
        let explain = || search::search(&Register, &self.intervals, &brief);
        match zones::decide(&self.intervals) {
            zones::Found::Linearizable(_) => return Key::Linearizable,
            zones::Found::Illegal(conflict) => {
                return match explain() {
                    Found::Illegal { stuck, possible } => {
                        Key::Illegal(Box::new(case.violation(stuck, &possible, None)))
                    }
                    Found::Undecided { .. } => Key::Illegal(Box::new(case.conflict(&conflict))),
                    Found::Linearizable => Key::Undecided(format!(
                        "a bug of the checker: zones found {conflict:?}, the search a linearization"
                    )),
                };
            }
            zones::Found::Undecided => {}
        }
        let (simple, positions, unseen) = simplify(&self.intervals);
        match search::search(&Register, &simple, budget) {
            Found::Linearizable => Key::Linearizable,
            Found::Undecided { reason } => Key::Undecided(reason),
            Found::Illegal { stuck, possible } => Key::Illegal(Box::new(match explain() {
                Found::Illegal { stuck, possible } => case.violation(stuck, &possible, None),
                _ => case.violation(positions[stuck], &possible, unseen),
            })),
        }
    }
}

type Simple = (Vec<Interval<register::Operation>>, Vec<usize>, Option<i64>);

/// An equivalent history that is easier to search; the place in `intervals` of each operation
/// left; and the value that stands for all that nobody looks for.
///
/// Values that nobody looks for are one value: no answer tells them apart. And where no
/// compare-and-set was refused, so that no operation is served by just *any other* value, an
/// unanswered write of such a value explains nothing and can be left out.
fn simplify(intervals: &[Interval<register::Operation>]) -> Simple {
    let refused = intervals.iter().any(|i| matches!(i.operation, register::Operation::Mismatch(_)));
    let mut positions: Vec<usize> = (0..intervals.len()).collect();
    let looked_for = loop {
        let looked_for: BTreeSet<Option<i64>> =
            positions.iter().filter_map(|&at| intervals[at].operation.looked_for()).collect();
        let before = positions.len();
        if !refused {
            positions.retain(|&at| {
                intervals[at].ret.is_some()
                    || intervals[at].operation.written().is_some_and(|v| looked_for.contains(&v))
            });
        }
        // What was left out may have been all that looked for another value.
        if positions.len() == before {
            break looked_for;
        }
    };
    let mut unseen = None;
    let simple = positions
        .iter()
        .map(|&at| {
            let mut interval = intervals[at].clone();
            if let Some(Some(value)) = interval.operation.written()
                && !looked_for.contains(&Some(value))
            {
                let unseen = *unseen.get_or_insert(value);
                interval.operation = interval.operation.with_written(unseen);
            }
            interval
        })
        .collect();
    (simple, positions, unseen)
}
