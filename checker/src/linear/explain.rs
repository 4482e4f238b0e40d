//! Says in a sentence why a key's operations are not linearizable.

use std::collections::BTreeSet;

use super::{search::Interval, zones::Conflict};
use crate::{
    history::{self, Outcome, Value, operation},
    model::register::Operation,
    verdict::Violation,
};

/// Name of the property.
pub(super) const RULE: &str = "linearizability";

/// States that are listed before "others" stands for the rest.
const LISTED: usize = 5;

/// The operations of one key that were searched; `intervals` and `sources` belong by place.
pub(super) struct Case<'a> {
    /// The key.
    pub(super) key: &'a str,
    /// What was observed. Values are as the history has them.
    pub(super) intervals: &'a [Interval<Operation>],
    /// The operations of the history.
    pub(super) sources: &'a [&'a history::Operation<'a>],
}

impl Case<'_> {
    /// The violation: `stuck` is the operation at whose return no order was left; `possible` are
    /// the values that the key could have had until then. `unseen` among them stands for every
    /// value that nobody looked for.
    pub(super) fn violation(
        &self,
        stuck: usize,
        possible: &[Option<i64>],
        unseen: Option<i64>,
    ) -> Violation {
        let (reason, witnesses) = self.reason(stuck).unzip();
        let mut witnesses = witnesses.unwrap_or_default();
        witnesses.push(stuck);
        let possible = list(possible, unseen);
        let summary = match reason {
            Some(reason) => {
                format!("{} although {reason}; the value could only be {possible}", self.say(stuck))
            }
            None => format!("{} although the value could only be {possible}", self.say(stuck)),
        };
        self.told(summary, &witnesses)
    }

    /// The violation that zones found.
    pub(super) fn conflict(&self, conflict: &Conflict) -> Violation {
        let say = |position| self.say(position);
        let (summary, witnesses) = match *conflict {
            Conflict::NeverWritten(position) => {
                (format!("{} although nobody ever wrote that value", say(position)), vec![position])
            }
            Conflict::SetTwice(first, second) => (
                format!(
                    "{} although that value, written once, was gone: {}",
                    say(second),
                    say(first)
                ),
                vec![first, second],
            ),
            Conflict::Circle(position) => (
                format!("{}, one of a circle of which each needs the one before", say(position)),
                vec![position],
            ),
            Conflict::Backwards(first, second) => (
                format!(
                    "{} although that can only have followed what was asked for later: {}",
                    say(second),
                    say(first)
                ),
                vec![first, second],
            ),
            Conflict::Interrupted { from, to, by } => {
                let mut between = say(by.0);
                if by.1 != by.0 {
                    between += &format!(", and {}", say(by.1));
                }
                let summary = format!(
                    "{} although in between {between}, which no order allows: {}",
                    say(to),
                    say(from)
                );
                (summary, vec![from, by.0, by.1, to])
            }
        };
        self.told(summary, &witnesses)
    }

    fn told(&self, summary: String, witnesses: &[usize]) -> Violation {
        let sources = witnesses.iter().map(|&position| self.sources[position]);
        let mut operations = BTreeSet::new();
        for source in sources.clone() {
            operations.insert(source.index);
            if let Outcome::Ok { index, .. } | Outcome::Mismatch { index, .. } = source.outcome {
                operations.insert(index);
            }
        }
        Violation {
            rule: RULE.into(),
            summary,
            nodes: operation::nodes(sources),
            operations: operations.into_iter().collect(),
            trace: Vec::new(),
        }
    }

    fn say(&self, position: usize) -> String {
        let source = self.sources[position];
        let who = source.node.map_or_else(|| format!("process {}", source.process), str::to_owned);
        let key = self.key;
        let at = seconds(self.intervals[position].ret.unwrap_or(source.call));
        match self.intervals[position].operation {
            Operation::Read(value) => {
                format!("{who} answered {} for key {key} at {at}", Value::from(value))
            }
            Operation::Write(value) => {
                format!("{who} wrote {} to key {key} at {at}", Value::from(value))
            }
            Operation::Cas(expected, new) => {
                format!("{who} set key {key} from {} to {new} at {at}", Value::from(expected))
            }
            Operation::Mismatch(expected) => format!(
                "{who} said at {at} that the value of key {key} was not {}",
                Value::from(expected)
            ),
        }
    }

    /// A simple reason, where there is one, and the operations it rests on.
    fn reason(&self, stuck: usize) -> Option<(String, Vec<usize>)> {
        let interval = &self.intervals[stuck];
        let value = match interval.operation {
            Operation::Read(value) | Operation::Cas(value, _) => value,
            Operation::Write(_) | Operation::Mismatch(_) => return None,
        };
        let mut writers = (0..self.intervals.len()).filter(|&position| {
            position != stuck && self.intervals[position].operation.written() == Some(value)
        });
        let writer = writers.next();
        if writers.next().is_some() {
            return None;
        }
        let since = match (writer, value) {
            (None, Some(value)) => return Some((format!("nobody ever wrote {value}"), Vec::new())),
            (None, None) => None,
            (Some(writer), _) => {
                let written = &self.intervals[writer];
                if interval.ret.is_some_and(|ret| ret < written.call) {
                    let value = Value::from(value);
                    let at = seconds(written.call);
                    return Some((format!("{value} was written only from {at} on"), vec![writer]));
                }
                // Absence is also where every key starts, so only its writer's end counts.
                Some(written.ret?)
            }
        };
        let (over, by, ret) = self
            .intervals
            .iter()
            .enumerate()
            .filter_map(|(position, other)| {
                let by = other.operation.written()?;
                let ret = other.ret?;
                let after = since.is_none_or(|since| since < other.call);
                (position != stuck && by != value && after && ret < interval.call)
                    .then_some((position, by, ret))
            })
            .max_by_key(|&(_, _, ret)| ret)?;
        let mut reason = match by {
            Some(by) => format!("{by} had been written and acknowledged by {}", seconds(ret)),
            None => format!("it had been deleted by {}", seconds(ret)),
        };
        if let Some(node) = self.sources[over].node {
            reason += &format!(" ({node})");
        }
        Some((reason, writer.into_iter().chain([over]).collect()))
    }
}

fn list(possible: &[Option<i64>], unseen: Option<i64>) -> String {
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

/// Nanoseconds as seconds, to the millisecond.
pub(crate) fn seconds(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}
