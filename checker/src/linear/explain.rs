//! Says why operations are not linearizable.

use std::collections::BTreeSet;

use super::decide::Core;
use crate::{
    history::{self, Clock, Function, Value, operation},
    model::{Interval, register::Operation},
    verdict::{Refutation, Violation},
};

/// Name of the property.
pub const NAME: &str = "linearizability";

/// States that are listed before "others" stands for the rest.
const LISTED: usize = 5;

impl<S> Core<S> {
    /// The core by the events of the history: `event` is the index of a position's invocation,
    /// `name` names a state.
    pub fn refutation(
        &self,
        event: impl Fn(usize) -> u64,
        name: impl FnMut(&S) -> String,
    ) -> Refutation {
        let events = |positions: &[usize]| positions.iter().map(|&at| event(at)).collect();
        Refutation {
            core: events(&self.operations),
            until: self.until,
            failed_at: event(self.failed_at),
            tried: events(&self.tried),
            possible: self.possible.iter().map(name).collect(),
            unverified_reason: self.unverified_reason.clone(),
            part: None,
        }
    }
}

/// The operations of one key that were decided; `intervals` and `sources` belong by place.
pub(super) struct Case<'a> {
    /// The key.
    pub(super) key: &'a str,
    /// What times count.
    pub(super) clock: Clock,
    /// What was observed. Values are as the history has them.
    pub(super) intervals: &'a [Interval<Operation>],
    /// The operations of the history.
    pub(super) sources: &'a [&'a history::Operation<'a>],
}

impl Case<'_> {
    /// The violation that a core shows. `unseen` among the values that were possible stands for
    /// every value that nobody looked for.
    pub(super) fn violation(&self, core: &Core<Option<i64>>, unseen: Option<i64>) -> Violation {
        let (reason, beside) = self.reason(core);
        let mut summary = self.say(core.failed_at);
        summary += &match (reason, core.possible.is_empty()) {
            (Some(reason), true) => format!(" although {reason}"),
            (Some(reason), false) => format!(
                " although {reason}; the value could only be {}",
                list(&core.possible, unseen)
            ),
            _ if core.operations.len() == 1 => ", which is impossible".into(),
            (None, false) => {
                format!(" although the value could only be {}", list(&core.possible, unseen))
            }
            (None, true) => {
                let others = core.operations.len() - 1;
                format!(", which no order of it and {others} others allows")
            }
        };
        let name = |value: &Option<i64>| Value::from(*value).to_string();
        let mut refutation = core.refutation(|at| self.sources[at].index, name);
        if unseen.is_some() {
            let seen = core.possible.iter().filter(|value| **value != unseen);
            refutation.possible = seen.map(name).collect();
            if refutation.possible.len() < core.possible.len() {
                refutation.possible.push("others that nobody looked for".into());
            }
        }
        let told = core.operations.iter().copied().chain(beside).map(|at| self.sources[at]);
        let events: BTreeSet<u64> =
            told.clone().flat_map(|source| source.events().map(|(_, index)| index)).collect();
        Violation {
            rule: NAME.into(),
            summary,
            nodes: operation::nodes(told),
            operations: events.into_iter().collect(),
            trace: Vec::new(),
            refutation: Some(refutation),
        }
    }

    fn say(&self, position: usize) -> String {
        let source = self.sources[position];
        let Interval { operation, ret, .. } = self.intervals[position];
        let history::Operation { node, process, f, call, .. } = *source;
        say(node, process, f, self.key, operation, &self.clock.moment(ret.unwrap_or(call)))
    }

    /// A simple reason, where the core has one, and an operation beside the core that helps to
    /// understand it: the one that wrote what was found.
    fn reason(&self, core: &Core<Option<i64>>) -> (Option<String>, Option<usize>) {
        let stuck = &self.intervals[core.failed_at];
        let (Operation::Read(value) | Operation::Cas(value, _)) = stuck.operation else {
            return (None, None);
        };
        let mut writers = (0..self.intervals.len()).filter(|&at| {
            at != core.failed_at && self.intervals[at].operation.written() == Some(value)
        });
        let writer = writers.next();
        let beside = if writers.next().is_some() { None } else { writer };
        match (writer.map(|at| self.intervals[at].call), value) {
            (None, Some(value)) => return (Some(format!("nobody ever wrote {value}")), None),
            // Absence is also where every key starts.
            (Some(call), Some(value)) if stuck.ret.is_some_and(|ret| ret < call) => {
                let at = self.clock.moment(call);
                return (Some(format!("{value} was written only from {at} on")), beside);
            }
            _ => {}
        }
        // Another value that a write of the core had left, after all of those that left this one.
        let mut since = Some(0);
        for &at in &core.operations {
            let other = &self.intervals[at];
            if at != core.failed_at && other.operation.written() == Some(value) {
                since = since.zip(other.ret).map(|(since, ret)| since.max(ret));
            }
        }
        let over = core
            .operations
            .iter()
            .filter_map(|&at| {
                let other = &self.intervals[at];
                let by = other.operation.written().filter(|by| *by != value)?;
                let ret = other.ret.filter(|ret| *ret < stuck.call)?;
                (at != core.failed_at && (since? == 0 || since? < other.call))
                    .then_some((ret, at, by))
            })
            .max();
        let reason = over.map(|(ret, at, by)| {
            let mut reason = match by {
                Some(by) => {
                    format!("{by} had been written and acknowledged by {}", self.clock.moment(ret))
                }
                None => format!("it had been deleted by {}", self.clock.moment(ret)),
            };
            if let Some(node) = self.sources[at].node {
                reason += &format!(" ({node})");
            }
            reason
        });
        (reason, beside)
    }
}

/// Who did what to a key, and at what moment: the beginning of a sentence.
pub(super) fn say(
    node: Option<&str>,
    process: u64,
    f: Function,
    key: &str,
    operation: Operation,
    at: &str,
) -> String {
    let who = node.map_or_else(|| format!("process {process}"), str::to_owned);
    match operation {
        Operation::Read(value) if f == Function::Cas => {
            format!(
                "{who} refused a compare-and-set of key {key} at {at} since it found {}",
                Value::from(value)
            )
        }
        Operation::Read(value) => {
            format!("{who} answered {} for key {key} at {at}", Value::from(value))
        }
        Operation::Write(Some(value)) => format!("{who} wrote {value} to key {key} at {at}"),
        Operation::Write(None) => format!("{who} deleted key {key} at {at}"),
        Operation::Cas(expected, new) => {
            format!("{who} set key {key} from {} to {new} at {at}", Value::from(expected))
        }
        Operation::Mismatch(expected) => format!(
            "{who} said at {at} that the value of key {key} was not {}",
            Value::from(expected)
        ),
        Operation::Contradiction(value) => format!(
            "{who} said at {at} that the value of key {key} was not {0} but {0}",
            Value::from(value)
        ),
    }
}

/// Values that were possible, in words.
pub(super) fn list(possible: &[Option<i64>], unseen: Option<i64>) -> String {
    let mut names: Vec<String> = possible
        .iter()
        .filter(|value| unseen.is_none() || **value != unseen)
        .map(|value| Value::from(*value).to_string())
        .collect();
    let mut others = names.len() < possible.len();
    if names.len() > LISTED {
        names.truncate(LISTED);
        others = true;
    }
    if others {
        names.push(if names.is_empty() { "one that nobody looked for" } else { "others" }.into());
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "none at all".into(),
    }
}
