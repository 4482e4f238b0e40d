//! Shows why a property is violated: the operations that a violation speaks of, each a [`Told`], on
//! a time axis; and where orders were tried, which one came furthest.
//!
//! [`of`] gathers what is shown from violations and the history that they are of. [`drawing()`] is
//! the picture, the order and the table of one violation, with its [`STYLE`], for any page.
//! [`page()`] is a page of nothing else.

mod drawing;
mod page;

use std::collections::{BTreeMap, BTreeSet};

pub use drawing::{STYLE, drawing};
pub use page::page;

use crate::{
    history::{
        Clock, Events, Function, Kind, Operation, Place, Recorded, Value,
        generic::{self, Datum},
    },
    model::register,
    text::shorten,
    verdict::{Refutation, Violation},
};

/// Why a property is violated.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The rule, and the key if it is one: `linearizability of key k4`.
    pub title: String,
    /// One sentence: who, what, when, against what.
    pub summary: String,
    /// What the times of the operations count.
    pub clock: Clock,
    /// The operations that the violation speaks of, those of the core first, each by call.
    pub operations: Vec<Told>,
    /// What was tried, where orders were.
    pub refutation: Option<Refutation>,
}

/// An operation as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Indices of its events in the history, its invocation's first.
    pub events: Vec<u64>,
    /// The logical client.
    pub process: u64,
    /// The node that was asked, or that answered.
    pub node: Option<String>,
    /// The key, if it has one.
    pub key: Option<String>,
    /// What it did: `read 7`.
    pub what: String,
    /// When it was called.
    pub call: u64,
    /// When it was answered.
    pub ret: Option<u64>,
}

/// An operation that can be told.
trait Tell {
    /// The operation in words.
    fn tell(&self) -> Told;

    /// Time and index of its events, its invocation's first.
    fn moments(&self) -> impl Iterator<Item = (u64, u64)>;
}

/// An explanation of each violation, from the events of the history, or only from those that
/// violations name and the other halves of their operations; none of a violation without
/// operations.
pub fn of<'v>(
    violations: impl IntoIterator<Item = &'v Violation>,
    events: &Events,
) -> Vec<Option<Explanation>> {
    match events {
        Events::Register(events) => all(violations, &pairs(events)),
        Events::Generic(events) => all(violations, &pairs(events)),
    }
}

fn all<'v, O: Tell>(
    violations: impl IntoIterator<Item = &'v Violation>,
    operations: &[O],
) -> Vec<Option<Explanation>> {
    let clock = Clock::of(operations.iter().map(Tell::moments));
    let explain = |violation: &Violation| {
        let named: BTreeSet<u64> = violation.operations.iter().copied().collect();
        let is_named = |operation: &&O| operation.moments().any(|(_, at)| named.contains(&at));
        let told = operations.iter().filter(is_named).map(Tell::tell).collect();
        Explanation::new(violation, told, clock)
    };
    violations.into_iter().map(explain).collect()
}

/// The operations of some events. What does not fit is left out: a verdict says so.
fn pairs<E: Recorded>(events: &[E]) -> Vec<E::Operation<'_>> {
    let mut operations = Vec::new();
    let mut open = BTreeMap::new();
    for event in events {
        let Place { process, kind, .. } = event.place();
        if kind == Kind::Invoke {
            if let Ok(operation) = event.invoke() {
                open.insert(process, operations.len());
                operations.push(operation);
            }
        } else if let Some(at) = open.remove(&process) {
            let _ = event.complete(&mut operations[at]);
        }
    }
    operations
}

impl Explanation {
    fn new(violation: &Violation, mut operations: Vec<Told>, clock: Clock) -> Option<Self> {
        let key = operations.first()?.key.clone();
        let of_one_key = operations.iter().all(|told| told.key == key);
        let refutation = violation.refutation.clone();
        let beside = |told: &Told| refutation.as_ref().is_some_and(|of| !of.has(told.events[0]));
        operations.sort_by_key(|told| (beside(told), told.call));
        Some(Self {
            title: match key.filter(|_| of_one_key) {
                Some(key) => format!("{} of key {key}", violation.rule),
                None => violation.rule.clone(),
            },
            summary: violation.summary.clone(),
            clock,
            operations,
            refutation,
        })
    }
}

impl Tell for Operation<'_> {
    fn tell(&self) -> Told {
        let moments: Vec<(u64, u64)> = self.events().collect();
        let what = match register::Operation::of(self) {
            Some(operation) => in_words(self.f, operation),
            // It says nothing about a register, but perhaps something about liveness.
            None => format!("{} {}", self.f.name(), self.argument),
        };
        Told {
            events: moments.iter().map(|(_, index)| *index).collect(),
            process: self.process,
            node: self.node.map(str::to_owned),
            key: Some(self.key.to_owned()),
            what,
            call: self.call,
            ret: moments.get(1).map(|(time, _)| *time),
        }
    }

    fn moments(&self) -> impl Iterator<Item = (u64, u64)> {
        self.events()
    }
}

/// What an operation did to a register, or saw.
fn in_words(f: Function, operation: register::Operation) -> String {
    use register::Operation::{Cas, Contradiction, Mismatch, Read, Write};
    match operation {
        Read(value) if f == Function::Cas => format!("found {}", Value::from(value)),
        Read(value) => format!("read {}", Value::from(value)),
        Write(Some(value)) => format!("write {value}"),
        Write(None) => "delete".into(),
        Cas(expected, new) => format!("set {} to {new}", Value::from(expected)),
        Mismatch(expected) => format!("not {}", Value::from(expected)),
        Contradiction(value) => format!("not {0} but {0}", Value::from(value)),
    }
}

impl Tell for generic::Operation<'_> {
    fn tell(&self) -> Told {
        let moments: Vec<(u64, u64)> = self.events().collect();
        let mut what = self.f.to_owned();
        if *self.argument != Datum::Nil {
            what += &format!(" {}", shorten(&self.argument.to_string()));
        }
        let (answer, mark) = match self.outcome {
            generic::Outcome::Ok { value, .. } => (Some(value), "→"),
            generic::Outcome::Failed { value, .. } => (Some(value), "refused"),
            generic::Outcome::Unknown { .. } => (None, ""),
        };
        let refused = matches!(self.outcome, generic::Outcome::Failed { .. });
        let is_told = |answer: &&Datum| **answer != *self.argument && **answer != Datum::Nil;
        match answer.filter(is_told) {
            Some(answer) => what += &format!(" {mark} {}", shorten(&answer.to_string())),
            None if refused => what += " refused",
            // Nothing is what such an operation saw, not what it was asked with.
            None if *self.argument == Datum::Nil && answer.is_some() => what += " → nil",
            None => {}
        }
        Told {
            events: moments.iter().map(|(_, index)| *index).collect(),
            process: self.process,
            node: self.node.map(str::to_owned),
            key: (*self.key != Datum::Nil).then(|| self.key.to_string()),
            what,
            call: self.call,
            ret: moments.get(1).map(|(time, _)| *time),
        }
    }

    fn moments(&self) -> impl Iterator<Item = (u64, u64)> {
        self.events()
    }
}
