//! Linearizability (Herlihy and Wing, 1990), key by key: it is a local property, so a history is
//! linearizable when that of each key is.
//!
//! Per key the cheapest decider goes first: `witness` believes the server's revisions, [`zones`]
//! decides what writes each value once, [`search`] decides what is left. None of them is believed:
//! an order is verified, and an illegal key is `cut` down to a core, a few operations that are
//! illegal by themselves, which is verified too; [`certificate`] does both and shares nothing with
//! the deciders. A key that a budget leaves undecided is unknown, never ok.
//!
//! - [`check`] decides a history of the store;
//! - [`online`] looks at a history while it is recorded;
//! - [`decide()`] decides the operations of one object of any model;
//! - [`turns`] are for processes that ask for one operation at the very time another ends;
//! - `explain` says why a key is illegal, and [`explanation`](crate::explanation) shows it;
//! - [`objects`] decides a generic history, object by object: [`appends`], [`inclusion`] and [`fifo`]
//!   are to stores of texts, growing sets and queues what zones are to registers.

pub mod appends;
pub mod certificate;
mod cut;
mod decide;
pub(crate) mod explain;
pub mod fifo;
pub mod inclusion;
mod key;
pub mod objects;
pub mod online;
pub mod search;
pub mod turns;
pub mod witness;
pub mod zones;

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::{
    history::{Clock, Operation},
    verdict::{self, Property, Violation, count},
};
pub use decide::{Core, Decision, decide, refute_part};
use key::Subject;
pub use key::{Key, check_key, decide as decide_register};
pub use search::{Budget, Interval};
use turns::Ends;
pub use turns::Turn;

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

impl Limits {
    /// When the time is up that begins now.
    pub(crate) fn deadline(&self) -> Instant {
        /// Longer than anybody waits, and short enough for the clock to add.
        const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
        Instant::now() + self.timeout.min(LONGEST)
    }
}

/// Operations of the first key for which there is room at once.
const ROOM: usize = 1 << 10;

/// Violations that are told; more are counted.
const TOLD: usize = 10;

/// Decides each key and sums up.
pub fn check(operations: &[Operation<'_>], limits: &Limits) -> Property {
    let (keys, touch) = by_key(operations);
    let deadline = limits.deadline();
    let mut violations: Vec<Violation> = Vec::new();
    let mut illegal = 0;
    let mut doubts = Vec::new();
    let mut undecided = Vec::new();
    for (done, (key, subject)) in keys.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(keys.len() - done).unwrap_or(u32::MAX);
        let budget = Budget { memory: limits.memory, deadline: Instant::now() + share };
        match subject.decide(key, touch, &budget) {
            Key::Linearizable => {}
            Key::Illegal(violation) => {
                illegal += 1;
                let doubt = violation.refutation.as_ref().and_then(|why| why.doubt.as_ref());
                doubts.extend(doubt.map(|doubt| format!("key {key}: {doubt}")));
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
        let mut detail = format!("{examined}; not linearizable: {}", count(illegal, "key"));
        for doubt in doubts {
            detail += &format!("; {doubt}");
        }
        (verdict::Outcome::Violated, detail)
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

/// The operations of each key, keys ascending; and whether any of one process touch.
fn by_key<'a>(operations: &'a [Operation<'a>]) -> (Vec<(&'a str, Subject<'a>)>, bool) {
    let clock = Clock::of(operations.iter().map(Operation::events));
    let (mut ends, mut touch) = (Ends::default(), false);
    let mut keys: Vec<(&str, Subject)> = Vec::new();
    let mut places: FxHashMap<&str, usize> = FxHashMap::default();
    let mut place = 0;
    for operation in operations {
        // Most often the one before was of the same key, and they share its text.
        let same = |key: &str| std::ptr::eq(key, operation.key) || key == operation.key;
        if !keys.get(place).is_some_and(|(key, _)| same(key)) {
            place = *places.entry(operation.key).or_insert(keys.len());
        }
        if place == keys.len() {
            // Many a history has only one key.
            let room = if keys.is_empty() { operations.len().min(ROOM) } else { 0 };
            keys.push((operation.key, Subject::new(clock, room)));
        }
        keys[place].1.push(operation);
        // Places are all different.
        touch |= clock != Clock::Events && ends.touch(operation.process, operation.events());
    }
    keys.sort_unstable_by_key(|(key, _)| *key);
    (keys, touch)
}
