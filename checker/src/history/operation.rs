//! Operations: an invocation and its completion, paired.

use std::collections::BTreeSet;

pub use super::pairing::Malformed;
use super::{
    Event, Function, Kind, Value,
    pairing::{self, Place, Recorded, Request},
};

/// What one client asked, and what it was told. Borrows names from the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation<'a> {
    /// Index of the invocation in the history.
    pub index: u64,
    /// The logical client.
    pub process: u64,
    /// What was asked.
    pub f: Function,
    /// The key.
    pub key: &'a str,
    /// The node that was asked.
    pub node: Option<&'a str>,
    /// The argument: what to write, or `[expected, new]`; nil for a read.
    pub argument: Value,
    /// Time of the invocation, nanoseconds since the start of the run.
    pub call: u64,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// It took effect and this was the answer.
    Ok {
        /// Time of the completion, nanoseconds since the start of the run.
        time: u64,
        /// Index of the completion in the history.
        index: u64,
        /// What was read; nil or the argument for others.
        value: Value,
        /// The store's revision, where the client was told.
        revision: Option<i64>,
    },
    /// A compare-and-set was refused since the key's value was another: an observation.
    Mismatch {
        /// Time of the completion, nanoseconds since the start of the run.
        time: u64,
        /// Index of the completion in the history.
        index: u64,
        /// The key's value, `None` inside where there is no such key; where the client was told.
        found: Option<Option<i64>>,
    },
    /// It certainly never takes effect, and says nothing about the key's value.
    Failed {
        /// Why.
        error: Option<&'a str>,
    },
    /// Unknown, or still open when the history ended.
    Unknown {
        /// Why, where the client was told anything.
        error: Option<&'a str>,
    },
}

impl Operation<'_> {
    /// Whether its answer says anything: that it took effect, or what it observed.
    pub fn is_told(&self) -> bool {
        matches!(self.outcome, Outcome::Ok { .. } | Outcome::Mismatch { .. })
    }

    /// Times and indices of the events that are known.
    pub(crate) fn events(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let end = match self.outcome {
            Outcome::Ok { time, index, .. } | Outcome::Mismatch { time, index, .. } => {
                Some((time, index))
            }
            Outcome::Failed { .. } | Outcome::Unknown { .. } => None,
        };
        std::iter::once((self.call, self.index)).chain(end)
    }
}

impl Request for Operation<'_> {
    fn index(&self) -> u64 {
        self.index
    }

    fn node(&self) -> Option<&str> {
        self.node
    }

    fn call(&self) -> u64 {
        self.call
    }

    fn answered(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Ok { time, .. } | Outcome::Mismatch { time, .. } => Some(time),
            Outcome::Failed { .. } | Outcome::Unknown { .. } => None,
        }
    }

    fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Ok { .. })
    }
}

/// The error of a compare-and-set that found another value than it expected.
pub const MISMATCH: &str = "mismatch";

/// The operation of an invocation and, once there is one, its completion.
pub(crate) fn of<'a>(
    invocation: &'a Event,
    completion: Option<&'a Event>,
) -> Result<Operation<'a>, Malformed> {
    let mut operation = invocation.invoke()?;
    if let Some(completion) = completion
        && !completion.complete(&mut operation)?
    {
        let (index, process, open) = (completion.index, completion.process, invocation.index);
        return Err(Malformed::Different { index, process, open });
    }
    Ok(operation)
}

/// Pairs the events of a history into operations, in order of invocation.
///
/// An operation without a completion has an unknown outcome.
///
/// # Errors
/// The first rule of well-formed histories that an event breaks.
pub fn pair(history: &[Event]) -> Result<Vec<Operation<'_>>, Malformed> {
    let mut operations: Vec<Operation<'_>> = pairing::pair(history)?;
    // Operations of one key, one after the other, share its text: who sorts them by key need not
    // fetch every copy from memory.
    let mut last = "";
    for operation in &mut operations {
        if operation.key == last {
            operation.key = last;
        }
        last = operation.key;
    }
    Ok(operations)
}

impl Recorded for Event {
    type Operation<'a> = Operation<'a>;

    fn place(&self) -> Place {
        Place { index: self.index, time: self.time, process: self.process, kind: self.kind }
    }

    fn invoke(&self) -> Result<Operation<'_>, Malformed> {
        check_argument(self)?;
        Ok(Operation {
            index: self.index,
            process: self.process,
            f: self.f,
            key: &self.key,
            node: self.node.as_deref(),
            argument: self.value,
            call: self.time,
            outcome: Outcome::Unknown { error: None },
        })
    }

    fn complete<'a>(&'a self, operation: &mut Operation<'a>) -> Result<bool, Malformed> {
        if self.f != operation.f || self.key != operation.key {
            return Ok(false);
        }
        // The client may have moved on to another node; the one that answered is what matters.
        operation.node = self.node.as_deref().or(operation.node);
        let (time, index, error) = (self.time, self.index, self.error.as_deref());
        operation.outcome = match self.kind {
            Kind::Ok => {
                if self.f == Function::Read
                    && matches!(self.value, Value::Pair(..) | Value::Found(_))
                {
                    let expected = "the value that was read";
                    return Err(Malformed::Value { index, expected, found: self.value });
                }
                if matches!(self.f, Function::Write | Function::Cas)
                    && ![Value::Nil, operation.argument].contains(&self.value)
                {
                    let (asked, found) = (operation.argument.to_string(), self.value.to_string());
                    return Err(Malformed::Repeated { index, open: operation.index, asked, found });
                }
                Outcome::Ok { time, index, value: self.value, revision: self.revision }
            }
            Kind::Fail if self.f == Function::Cas && error == Some(MISMATCH) => {
                let found = match self.value {
                    Value::Found(found) => Some(found),
                    Value::Nil | Value::Int(_) | Value::Pair(..) => None,
                };
                Outcome::Mismatch { time, index, found }
            }
            Kind::Fail => Outcome::Failed { error },
            Kind::Info | Kind::Invoke => Outcome::Unknown { error },
        };
        Ok(true)
    }
}

fn check_argument(event: &Event) -> Result<(), Malformed> {
    let expected = match (event.f, event.value) {
        (Function::Read | Function::Delete, Value::Nil)
        | (Function::Write, Value::Int(_))
        | (Function::Cas, Value::Pair(..)) => return Ok(()),
        (Function::Read | Function::Delete, _) => "null",
        (Function::Write, _) => "the value to write",
        (Function::Cas, _) => "a pair [expected, new]",
    };
    Err(Malformed::Value { index: event.index, expected, found: event.value })
}

/// The nodes that the operations were asked of, ascending.
pub fn nodes<'a>(operations: impl IntoIterator<Item = &'a Operation<'a>>) -> Vec<String> {
    let names: BTreeSet<&str> = operations.into_iter().filter_map(|o| o.node).collect();
    names.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(index: u64, time: u64, process: u64, kind: Kind, f: Function, value: Value) -> Event {
        Event {
            index,
            time,
            process,
            kind,
            f,
            key: "k".into(),
            value,
            error: None,
            node: Some("n1".into()),
            revision: None,
        }
    }

    fn write(index: u64, time: u64, process: u64, kind: Kind) -> Event {
        event(index, time, process, kind, Function::Write, Value::Int(1))
    }

    #[test]
    fn invocations_find_their_completions() {
        let mut mismatch = event(5, 5, 2, Kind::Fail, Function::Cas, Value::Found(Some(6)));
        mismatch.error = Some(MISMATCH.into());
        mismatch.node = Some("n2".into());
        let history = [
            write(0, 0, 0, Kind::Invoke),
            write(1, 1, 1, Kind::Invoke),
            event(2, 2, 2, Kind::Invoke, Function::Cas, Value::Pair(None, 4)),
            write(3, 3, 1, Kind::Ok),
            write(4, 4, 0, Kind::Info),
            mismatch,
            write(6, 6, 1, Kind::Invoke),
        ];
        let operations = pair(&history).unwrap();
        let ends: Vec<_> = operations.iter().map(|o| (o.index, o.outcome.clone())).collect();
        assert_eq!(
            ends,
            [
                (0, Outcome::Unknown { error: None }),
                (1, Outcome::Ok { time: 3, index: 3, value: Value::Int(1), revision: None }),
                (2, Outcome::Mismatch { time: 5, index: 5, found: Some(Some(6)) }),
                (6, Outcome::Unknown { error: None }),
            ]
        );
        assert_eq!(nodes(&operations), ["n1", "n2"]);
    }

    #[test]
    fn broken_rules_are_named() {
        let invoke = write(0, 5, 7, Kind::Invoke);
        let cases: Vec<(Vec<Event>, &str)> = vec![
            (
                vec![invoke.clone(), write(1, 6, 7, Kind::Invoke)],
                "event 1: process 7 invokes an operation while that of event 0 is open",
            ),
            (
                vec![write(0, 5, 7, Kind::Ok)],
                "event 0: process 7 completes an operation that it has not invoked",
            ),
            (
                vec![invoke.clone(), write(1, 6, 7, Kind::Info), write(2, 7, 7, Kind::Invoke)],
                "event 2: process 7 is used again after the unknown outcome of event 1",
            ),
            (
                vec![invoke.clone(), write(1, 4, 7, Kind::Ok)],
                "event 1: its time 4 ns is before that of the event before, 5 ns",
            ),
            (
                vec![invoke.clone(), write(2, 6, 7, Kind::Ok)],
                "event 1 has index 2: events are missing or out of order",
            ),
            (
                vec![invoke, event(1, 6, 7, Kind::Ok, Function::Read, Value::Int(1))],
                "event 1: process 7 completes another operation than it invoked in event 0",
            ),
            (
                vec![event(0, 0, 0, Kind::Invoke, Function::Write, Value::Nil)],
                "event 0: expected the value to write, found nil",
            ),
            (
                vec![event(0, 0, 0, Kind::Invoke, Function::Cas, Value::Int(3))],
                "event 0: expected a pair [expected, new], found 3",
            ),
            (
                vec![
                    event(0, 0, 0, Kind::Invoke, Function::Read, Value::Nil),
                    event(1, 0, 0, Kind::Ok, Function::Read, Value::Pair(Some(1), 2)),
                ],
                "event 1: expected the value that was read, found [1, 2]",
            ),
            (
                vec![
                    write(0, 0, 0, Kind::Invoke),
                    Event { value: Value::Int(2), ..write(1, 1, 0, Kind::Ok) },
                ],
                "event 1: expected 1, as in event 0, or nil, found 2",
            ),
        ];
        for (history, text) in cases {
            assert_eq!(pair(&history).unwrap_err().to_string(), text);
        }
    }
}
