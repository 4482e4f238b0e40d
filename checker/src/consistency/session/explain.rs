//! Says in a sentence which guarantee was broken, by whom, and against what.

use std::fmt;

use super::{
    super::operation::{Action, History, NIL, Operation, Value},
    edges::Guarantee,
    order::Step,
    versions::Versions,
};
use crate::{history::generic, verdict::Violation};

/// The operations of one key.
pub(super) struct Case<'a> {
    pub(super) history: &'a History<'a>,
    pub(super) key: &'a generic::Datum,
    pub(super) versions: &'a Versions<'a>,
}

impl<'a> Case<'a> {
    /// A read of what nobody had written.
    pub(super) fn unwritten(&self, rule: &str, read: usize) -> Violation {
        let Action::Read(value) = self.operation(read).action else { unreachable!("a read") };
        let writer = self.versions.writers(value).next();
        let why = match writer {
            Some(writer) => format!(
                "{} was asked for only at {}",
                self.value(value),
                self.history.clock.moment(self.operation(writer).source.call)
            ),
            None => "nobody wrote that value".into(),
        };
        let summary = format!("{} although {why}", self.read(read));
        self.told(rule, summary, [Some(read), writer].into_iter().flatten())
    }

    /// A read of what was gone when its session did something else before.
    pub(super) fn gone(&self, rule: &str, read: usize, earlier: usize) -> Violation {
        let Action::Read(value) = self.operation(read).action else { unreachable!("a read") };
        let made = self.versions.made[earlier];
        let overwriter = made.map_or_else(|| self.writer(earlier), |_| Some(earlier));
        let until = self.operation(read).ret;
        let last = self
            .versions
            .writers(value)
            .filter(|&at| Some(self.operation(at).source.call) <= until)
            .max_by_key(|&at| self.operation(at).ret);
        let after = match last.and_then(|at| self.operation(at).ret) {
            None => "nobody had deleted it".into(),
            Some(ret) if value == NIL => {
                format!(
                    "the last deletion until then had been acknowledged by {}",
                    self.history.clock.moment(ret)
                )
            }
            Some(ret) => format!(
                "the last write of {} until then had been acknowledged by {}",
                self.value(value),
                self.history.clock.moment(ret)
            ),
        };
        let mut summary =
            format!("{} after it had {}, and {after}", self.read(read), self.did(earlier));
        if let Some(writer) = overwriter.filter(|_| last.is_some()) {
            let value = self.operation(writer).action.written().unwrap_or(NIL);
            summary += &format!(
                ", before {} was asked for at {}",
                self.write_of(value),
                self.history.clock.moment(self.operation(writer).source.call)
            );
        }
        self.told(
            rule,
            summary,
            [Some(read), Some(earlier), overwriter, last].into_iter().flatten(),
        )
    }

    /// A cycle, the broken demand first.
    pub(super) fn cycle(&self, rule: &str, steps: &[Step<'_>]) -> Violation {
        let mut summary = String::new();
        let mut witnesses = Vec::new();
        for (place, &(from, to, edge)) in steps.iter().enumerate() {
            summary += match place {
                0 => "",
                1 => ", and ",
                _ => "; and ",
            };
            summary += &match edge {
                Some(edge) => {
                    witnesses.extend([edge.earlier, edge.later]);
                    self.demand(edge.guarantee, edge.earlier, edge.later)
                }
                None => self.in_time(from, to),
            };
            let versions = [from, to];
            witnesses.extend(versions.iter().filter_map(|&v| self.versions.all[v as usize].by));
            // Where the next step goes on from another version of the same block.
            let (next, ..) = steps[(place + 1) % steps.len()];
            if next != to {
                summary += &format!(
                    " ({} and {} are one chain of compare-and-sets)",
                    self.version(to),
                    self.version(next)
                );
                let block = self.versions.block(to).map_or(0, |block| block as usize);
                let members = self.versions.blocks[block].iter();
                witnesses.extend(members.filter_map(|&v| self.versions.all[v as usize].by));
            }
        }
        self.told(rule, summary, witnesses)
    }

    fn demand(&self, guarantee: Guarantee, earlier: usize, later: usize) -> String {
        match guarantee {
            Guarantee::MonotonicReads | Guarantee::ReadYourWrites => {
                format!("{} after it had {}", self.read(later), self.did(earlier))
            }
            Guarantee::MonotonicWrites | Guarantee::WritesFollowReads => {
                let value = self.operation(later).action.written().unwrap_or(NIL);
                format!(
                    "process {} wrote {} at {} after it had {}",
                    self.operation(later).source.process,
                    self.value(value),
                    self.history.clock.moment(self.operation(later).source.call),
                    self.did(earlier)
                )
            }
        }
    }

    fn in_time(&self, from: u32, to: u32) -> String {
        let ends =
            |version: u32| self.versions.all[version as usize].by.map(|at| self.operation(at));
        match (ends(from), ends(to)) {
            (Some(from), Some(to)) => format!(
                "{} was asked for at {} when {} had been acknowledged, at {}",
                self.write_of(to.action.written().unwrap_or(NIL)),
                self.history.clock.moment(to.source.call),
                self.write_of(from.action.written().unwrap_or(NIL)),
                self.history.clock.moment(from.ret.unwrap_or(from.source.call)),
            ),
            _ => "nobody had deleted it".into(),
        }
    }

    /// `process 3 read 5 of key k at 1.200 s from n2`
    fn read(&self, at: usize) -> String {
        let operation = self.operation(at);
        let key = self.key;
        let process = operation.source.process;
        let (value, from) = (self.seen(operation), From(operation));
        let time = self.history.clock.moment(operation.ret.unwrap_or(operation.source.call));
        format!("process {process} read {value} of key {key} at {time}{from}")
    }

    /// `read 5 at 1.200 s from n2`, `written 5, acknowledged at 1.200 s by n2`
    fn did(&self, at: usize) -> String {
        let operation = self.operation(at);
        let time = self.history.clock.moment(operation.ret.unwrap_or(operation.source.call));
        match (operation.action, operation.source.node) {
            (Action::Read(_), _) => {
                format!("read {} at {time}{}", self.seen(operation), From(operation))
            }
            (action, node) => {
                let what = match action.written() {
                    Some(NIL) | None => "deleted it".into(),
                    Some(value) => format!("written {}", self.value(value)),
                };
                let by = node.map_or_else(String::new, |node| format!(" by {node}"));
                format!("{what}, acknowledged at {time}{by}")
            }
        }
    }

    fn seen(&self, operation: &Operation<'_>) -> &generic::Datum {
        self.value(operation.action.seen().unwrap_or(NIL))
    }

    fn version(&self, version: u32) -> String {
        let by = self.versions.all[version as usize].by;
        let value = by.and_then(|at| self.operation(at).action.written()).unwrap_or(NIL);
        self.value(value).to_string()
    }

    fn write_of(&self, value: Value) -> String {
        match value {
            NIL => "a deletion".into(),
            value => format!("the write of {}", self.value(value)),
        }
    }

    /// Whoever wrote what this read saw, where that is one.
    fn writer(&self, read: usize) -> Option<usize> {
        let mut writers = self.versions.writers(self.operation(read).action.seen()?);
        writers.next().filter(|_| writers.next().is_none())
    }

    fn value(&self, value: Value) -> &'a generic::Datum {
        self.history.values[value as usize]
    }

    fn operation(&self, at: usize) -> &Operation<'a> {
        &self.versions.operations[at]
    }

    fn told(
        &self,
        rule: &str,
        summary: String,
        witnesses: impl IntoIterator<Item = usize>,
    ) -> Violation {
        let sources: Vec<_> = witnesses.into_iter().map(|at| self.operation(at).source).collect();
        Violation::by(rule, summary, &sources)
    }
}

/// ` from n2`
struct From<'a>(&'a Operation<'a>);

impl fmt::Display for From<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source.node {
            Some(node) => write!(f, " from {node}"),
            None => Ok(()),
        }
    }
}
