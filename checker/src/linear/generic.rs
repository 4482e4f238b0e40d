//! Histories of any model: the operations of each object, decided one object at a time.
//!
//! Linearizability is a local property, so each key of a history is an object of its own. A model's
//! front end says what an operation of the history means, or that it means nothing; a decider says
//! of each object whether it is linearizable.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::{
    decide::{self, decide},
    explain,
    key::Key,
    process_order::{self, Ends, ProcessOrder},
    summary,
};
use crate::{
    budget::{Budget, Limits},
    history::{
        Clock,
        generic::{Datum, Operation, Outcome},
    },
    model::{Interval, Model, Unexpected},
    text::shorten,
    verdict::{Property, Refutation, Violation},
};

/// Decides a history of any model. `read` says what an operation of the history is to the model;
/// `None` where it says nothing: it did not happen, or it only observes and its answer never came.
///
/// # Errors
/// The first event that `read` does not understand.
pub fn check_model<'a, M: Model>(
    model: &M,
    operations: &'a [Operation<'a>],
    read: impl FnMut(&'a Operation<'a>) -> Result<Option<M::Operation>, Unexpected>,
    limits: &Limits,
) -> Result<Property, Unexpected> {
    let objects = Objects::of(operations, read)?;
    Ok(objects
        .check(limits, |object, budget| object.search(model, budget, |state| format!("{state:?}"))))
}

/// A history, sorted by object.
pub(crate) struct Objects<'a, O> {
    /// Operations of the history.
    operations: usize,
    objects: Vec<Object<'a, O>>,
}

/// What the operations of one key say.
pub(crate) struct Object<'a, O> {
    key: &'a Datum,
    pub(crate) intervals: Vec<Interval<O>>,
    /// Of each of them, the operation of the history.
    sources: Vec<&'a Operation<'a>>,
    turns: ProcessOrder,
    clock: Clock,
}

/// What a decider that needs no search has found.
pub(crate) struct Told {
    /// Why there is no order, in words.
    pub(crate) summary: String,
    /// What alone is looked at, if operations hold more.
    pub(crate) part: Option<String>,
}

/// What was found for an object.
pub(crate) enum Decision {
    /// Linearizable.
    Linearizable,
    /// Not linearizable.
    Illegal {
        /// Why, in a sentence.
        summary: String,
        /// The operations that it speaks of, by position.
        witnesses: Vec<usize>,
        /// That they have no order, where orders were tried.
        refutation: Option<Refutation>,
    },
    /// A budget ran out; which, in words.
    Undecided(String),
}

impl<'a, O> Objects<'a, O> {
    pub(crate) fn of(
        operations: &'a [Operation<'a>],
        mut read: impl FnMut(&'a Operation<'a>) -> Result<Option<O>, Unexpected>,
    ) -> Result<Self, Unexpected> {
        let clock = Clock::of(operations.iter().map(Operation::events));
        let mut objects: Vec<Object<O>> = Vec::new();
        let mut places: FxHashMap<&Datum, usize> = FxHashMap::default();
        let (mut ends, mut touch) = (Ends::default(), false);
        for source in operations {
            touch |= ends.touch(source.process, source.events());
            let Some(operation) = read(source)? else { continue };
            let place = *places.entry(source.key).or_insert(objects.len());
            if place == objects.len() {
                objects.push(Object {
                    key: source.key,
                    intervals: Vec::new(),
                    sources: Vec::new(),
                    turns: ProcessOrder::default(),
                    clock,
                });
            }
            let ret = match source.outcome {
                Outcome::Ok { time, .. } | Outcome::Failed { time, .. } => Some(time),
                Outcome::Unknown { .. } => None,
            };
            objects[place].intervals.push(Interval { operation, call: source.call, ret });
            objects[place].sources.push(source);
        }
        if touch {
            for object in &mut objects {
                let processes = object.sources.iter().map(|source| source.process);
                object.turns = ProcessOrder::of(&object.intervals, processes);
            }
        }
        objects.sort_unstable_by_key(|object| object.key);
        Ok(Self { operations: operations.len(), objects })
    }

    /// The objects, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Object<'a, O>> {
        self.objects.iter()
    }

    /// Decides each object and sums up.
    pub(crate) fn check(
        &self,
        limits: &Limits,
        decide: impl Fn(&Object<'a, O>, &Budget) -> Decision,
    ) -> Property
    where
        O: Clone,
    {
        summary::of(&self.objects, self.operations, limits, Object::to_string, |object, budget| {
            if !object.turns.is_empty()
                && let Decision::Linearizable = decide(&object.by_lines(), &budget.share(2))
            {
                return Key::Linearizable;
            }
            match decide(object, budget) {
                Decision::Linearizable => Key::Linearizable,
                Decision::Illegal { summary, witnesses, refutation } => {
                    Key::Illegal(Box::new(object.violation(summary, &witnesses, refutation)))
                }
                Decision::Undecided(reason) => Key::Undecided(reason),
            }
        })
    }
}

impl<O> std::fmt::Display for Object<'_, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.key {
            Datum::Nil => f.write_str("the only object"),
            key => write!(f, "key {key}"),
        }
    }
}

/// States that are listed before "others" stands for the rest.
const LISTED: usize = 5;

impl<'a, O> Object<'a, O> {
    /// The operation of the history that stands at a position.
    pub(crate) fn source(&self, position: usize) -> &'a Operation<'a> {
        self.sources[position]
    }

    /// Searches for a linearization. `words` names a state.
    pub(crate) fn search<M: Model<Operation = O>>(
        &self,
        model: &M,
        budget: &Budget,
        words: impl Fn(&M::State) -> String,
    ) -> Decision {
        self.told(model, decide(model, &self.intervals, budget), budget, words)
    }

    /// A decision by times alone in words, once it is settled whether turns change it. `words`
    /// names a state.
    pub(crate) fn told<M: Model<Operation = O>>(
        &self,
        model: &M,
        decision: decide::Decision<M::State>,
        budget: &Budget,
        words: impl Fn(&M::State) -> String,
    ) -> Decision {
        match self.turns.settle(model, &self.intervals, decision, budget) {
            decide::Decision::Linearizable { .. } => Decision::Linearizable,
            decide::Decision::Undecided { reason } => Decision::Undecided(reason),
            decide::Decision::Illegal(core) => {
                let refutation =
                    core.refutation(|at| self.sources[at].index, |state| shorten(&words(state)));
                let mut names = refutation.possible.clone();
                if names.len() > LISTED {
                    names.truncate(LISTED);
                    names.push("others".into());
                }
                let states = match names.split_last() {
                    Some((last, rest)) if !rest.is_empty() => {
                        format!("{} or {last}", rest.join(", "))
                    }
                    Some((last, _)) => last.clone(),
                    None => "none at all".into(),
                };
                let summary = format!(
                    "{} although the state of {self} could only be {states}",
                    self.say(core.failed_at)
                );
                let refutation = Some(refutation);
                Decision::Illegal { summary, witnesses: core.operations, refutation }
            }
        }
    }

    /// The decision of a decider that needs no search, as it is told, once it is proved that the
    /// part of the object that it is about has no order: see [`refute_part`](decide::refute_part).
    /// `words` names a state.
    pub(crate) fn refuted<M: Model<Operation = O>>(
        &self,
        model: &M,
        told: Told,
        needed: &[usize],
        part: impl Fn(&O) -> Option<O>,
        budget: &Budget,
        words: impl Fn(&M::State) -> String,
    ) -> Decision {
        match decide::refute_part(model, &self.intervals, part, needed, budget) {
            Ok(core) => {
                let name = |state: &M::State| shorten(&words(state));
                let refutation = core.refutation(|at| self.sources[at].index, name);
                let refutation = Some(Refutation { part: told.part, ..refutation });
                // What the summary speaks of may be later than the core needs.
                let mut witnesses = core.operations;
                witnesses.extend(needed);
                witnesses.sort_unstable();
                witnesses.dedup();
                Decision::Illegal { summary: told.summary, witnesses, refutation }
            }
            Err(reason) => Decision::Undecided(reason),
        }
    }

    /// Whether every process takes its turns in an order that times allow.
    pub(crate) fn in_turn(&self, order: &[usize]) -> bool {
        self.turns.keep(order)
    }

    /// The same by the order of its lines alone.
    fn by_lines(&self) -> Self
    where
        O: Clone,
    {
        let events = self.sources.iter().map(|source| source.events());
        let intervals = process_order::by_lines(&self.intervals, events);
        Self { intervals, sources: self.sources.clone(), turns: ProcessOrder::default(), ..*self }
    }

    /// The store's revisions in the answers, by position: hints that prove nothing.
    pub(crate) fn revisions(&self) -> Vec<Option<i64>> {
        let revision = |source: &&Operation<'_>| match source.outcome {
            Outcome::Ok { revision, .. } => revision,
            Outcome::Failed { .. } | Outcome::Unknown { .. } => None,
        };
        self.sources.iter().map(revision).collect()
    }

    /// The process that asked for an operation.
    pub(crate) fn process(&self, position: usize) -> u64 {
        self.sources[position].process
    }

    /// Who answered an operation, or was asked.
    pub(crate) fn who(&self, position: usize) -> String {
        let source = self.sources[position];
        source.node.map_or_else(|| format!("process {}", source.process), str::to_owned)
    }

    /// When an operation was answered, or asked for: `at 5.070 s`.
    pub(crate) fn when(&self, position: usize) -> String {
        let interval = &self.intervals[position];
        self.at(interval.ret.unwrap_or(interval.call))
    }

    /// Who did what, when: the operation at `position`, in words.
    pub(crate) fn say(&self, position: usize) -> String {
        let source = self.sources[position];
        let who = self.who(position);
        let mut what = source.f.to_owned();
        if *source.argument != Datum::Nil {
            what += &format!(" {}", show(source.argument));
        }
        match source.outcome {
            Outcome::Ok { time, value, .. } => {
                let at = self.at(time);
                if value == source.argument || *value == Datum::Nil {
                    format!("{who} acknowledged {what} {at}")
                } else {
                    format!("{who} answered {} to {what} {at}", show(value))
                }
            }
            Outcome::Failed { time, error, .. } => {
                let at = self.at(time);
                if let Some(found) = source.found() {
                    let same = source.contradicts_itself();
                    let just = if same { ", just what it looked for," } else { "" };
                    return format!(
                        "{who} refused {what} {at} since it found {}{just}",
                        show(found)
                    );
                }
                let error = error.map(|error| format!(": {error}")).unwrap_or_default();
                format!("{who} refused {what} {at}{error}")
            }
            Outcome::Unknown { .. } => {
                format!("{who} was asked to {what} {}", self.at(source.call))
            }
        }
    }

    fn at(&self, time: u64) -> String {
        format!("at {}", self.clock.moment(time))
    }

    fn violation(
        &self,
        summary: String,
        witnesses: &[usize],
        refutation: Option<Refutation>,
    ) -> Violation {
        let mut nodes = BTreeSet::new();
        let mut operations = BTreeSet::new();
        for &position in witnesses {
            let source = self.sources[position];
            nodes.extend(source.node.map(str::to_owned));
            operations.extend(source.events().map(|(_, index)| index));
        }
        Violation {
            rule: explain::NAME.into(),
            summary,
            nodes: nodes.into_iter().collect(),
            operations: operations.into_iter().collect(),
            trace: Vec::new(),
            refutation,
        }
    }
}

/// A value in words.
fn show(value: &Datum) -> String {
    match value {
        Datum::Text(text) => format!("\"{}\"", shorten(text)),
        value => shorten(&value.to_string()),
    }
}
