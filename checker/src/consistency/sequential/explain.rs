//! Says in a sentence why there is no order.

use super::{
    super::operation::{Action, History, NIL, Operation},
    NAME,
    core::joined,
    program::Program,
    saturate::{Contradiction, Graph, Why},
};
use crate::verdict::Violation;

/// Operations that are listed as what each process did.
const LISTED: usize = 12;

/// The violation: operations that have no order by themselves.
pub(super) fn core(history: &History<'_>, operations: &[Operation<'_>]) -> Violation {
    let sources: Vec<_> = operations.iter().map(|operation| operation.source).collect();
    if let [read] = operations
        && let Some(seen) = read.action.seen()
    {
        let value = history.values[seen as usize];
        let summary = format!(
            "process {} {} although nobody wrote {value}",
            read.source.process,
            did(history, read)
        );
        return Violation::by(NAME, summary, &sources);
    }
    if operations.len() > LISTED {
        let summary = format!(
            "no order of these {} operations gives all their answers and keeps that of each process",
            operations.len()
        );
        return Violation::by(NAME, summary, &sources);
    }
    let mut processes: Vec<(u64, Vec<String>)> = Vec::new();
    for operation in operations {
        let process = operation.source.process;
        let what = did(history, operation);
        match processes.iter_mut().find(|(other, _)| *other == process) {
            Some((_, list)) => list.push(what),
            None => processes.push((process, vec![what])),
        }
    }
    let each: Vec<String> = processes
        .into_iter()
        .map(|(process, list)| format!("process {process} {}", list.join(", then ")))
        .collect();
    let summary = format!("no one order explains all of this: {}", each.join("; "));
    Violation::by(NAME, summary, &sources)
}

/// The violation: a cycle of operations each of which must be before the next.
pub(super) fn contradiction(
    history: &History<'_>,
    program: &Program<'_>,
    graph: &Graph<'_>,
    contradiction: &Contradiction,
) -> Violation {
    let operation = |at: u32| &program.operations[at as usize];
    let say = |at: u32| {
        format!("process {} {}", operation(at).source.process, did(history, operation(at)))
    };
    let cycle = match contradiction {
        Contradiction::Nobody(at) => {
            let summary =
                format!("{} although by then that value was always hidden by another", say(*at));
            return Violation::by(NAME, summary, &[operation(*at).source]);
        }
        Contradiction::Cycle(cycle) => cycle,
    };
    let mut sources = Vec::new();
    let mut steps = Vec::new();
    for (_, edge) in joined(graph, cycle) {
        let (from, to) = (say(edge.from), did(history, operation(edge.to)));
        let process = operation(edge.to).source.process;
        sources.extend([operation(edge.from).source, operation(edge.to).source]);
        steps.push(match edge.why {
            Why::Program => format!("{from}, and later {to}"),
            Why::Saw => format!("{from}, and process {process} {to}"),
            Why::Overwrites(_) => format!("{from} before process {process} {to}"),
            Why::Hidden(by) => {
                sources.push(operation(by).source);
                let by = say(by);
                format!("{from} before process {process} {to}, for {by} after it")
            }
        });
    }
    let summary = format!("no one order explains what must be in a cycle: {}", steps.join("; "));
    Violation::by(NAME, summary, &sources)
}

/// `read 5 of key k at 1.200 s from n2`
fn did(history: &History<'_>, operation: &Operation<'_>) -> String {
    let key = history.keys[operation.key as usize];
    let value = |value: u32| history.values[value as usize];
    let at = history.clock.moment(operation.ret.unwrap_or(operation.source.call));
    match operation.action {
        Action::Read(seen) => {
            let from = operation.source.node.map_or_else(String::new, |n| format!(" from {n}"));
            format!("read {} of key {key} at {at}{from}", value(seen))
        }
        Action::Write(NIL) => format!("deleted key {key} at {at}"),
        Action::Write(new) => format!("wrote {} to key {key} at {at}", value(new)),
        Action::Cas(seen, new) => {
            format!("set key {key} from {} to {} at {at}", value(seen), value(new))
        }
        Action::Mismatch(other) => {
            format!("was told at {at} that key {key} was not {}", value(other))
        }
    }
}
