//! Whether all evidence is there. What is missing may hide a violation, so the run is undecided.

use std::collections::BTreeSet;

use proto::trace::{Event, Record};

use super::{agreement, ok, unknown};
use crate::{evidence::Evidence, history::operation::Malformed, text::count, verdict::Property};

/// Name of the property.
pub const NAME: &str = "completeness";

/// Looks for gaps: what the harness or the loader reported, a history that breaks its own rules,
/// nodes without a trace, parts that contradict each other, writes of which no trace knows.
pub fn check(evidence: &Evidence, malformed: Option<&Malformed>) -> Property {
    let mut gaps = evidence.run.incomplete.clone();
    if let Some(malformed) = malformed {
        gaps.push(format!("the history contradicts itself, {malformed}"));
    }
    let run = &evidence.run;
    let nodes = run.nodes as u64;
    let strangers: Vec<String> = known(&evidence.traces)
        .into_iter()
        .filter(|node| *node > nodes)
        .map(|node| format!("n{node}"))
        .collect();
    if nodes > 0 && !strangers.is_empty() {
        let nodes = count(run.nodes, "node");
        gaps.push(format!("the traces tell of {}, and run.json of {nodes}", strangers.join(" ")));
    }
    if run.traced {
        let traced: BTreeSet<u64> =
            evidence.traces.iter().filter_map(|trace| trace.first()).map(|r| r.node).collect();
        let owed = (1..=nodes).filter(|node| !run.never_started.contains(node));
        for node in owed.filter(|node| !traced.contains(node)) {
            gaps.push(format!("n{node} left no trace"));
        }
    }
    gaps.extend(agreement::contradictions(evidence));
    if run.traced {
        // A node notes an answer before it leaves. So traces with fewer leave out what the rules
        // examine, and would pass for having kept them.
        let (told, answered) = (evidence.history.writes(), answers(&evidence.traces));
        if gaps.is_empty() && answered < told {
            gaps.push(format!(
                "clients were told of {}, and the traces know of {answered}",
                count(told, "successful write"),
            ));
        }
    }
    if gaps.is_empty() {
        let lines: usize = evidence.traces.iter().map(Vec::len).sum();
        let events = evidence.history.len();
        return ok(NAME, format!("{events} events of clients and {lines} steps of nodes, no gap"));
    }
    unknown(NAME, gaps.join("; "))
}

/// The same of a history alone, of which `gaps` are known.
pub fn check_history(events: usize, gaps: &[String], malformed: Option<&Malformed>) -> Property {
    let contradicts = malformed.map(|rule| format!("the history contradicts itself, {rule}"));
    let gaps: Vec<String> = gaps.iter().cloned().chain(contradicts).collect();
    if gaps.is_empty() {
        return ok(NAME, format!("{}, no gap", count(events, "event")));
    }
    unknown(NAME, gaps.join("; "))
}

/// The nodes that wrote traces, and those that vote.
fn known(traces: &[Vec<Record>]) -> BTreeSet<u64> {
    let mut known = BTreeSet::new();
    for trace in traces {
        known.extend(trace.first().map(|record| record.node));
        for record in trace {
            if let Event::Started { voters, .. } = &record.event {
                known.extend(voters);
            }
        }
    }
    known
}

fn answers(traces: &[Vec<Record>]) -> usize {
    let answered = |r: &&Record| matches!(r.event, Event::Answered { .. });
    traces.iter().flatten().filter(answered).count()
}

#[cfg(test)]
mod tests {
    use proto::trace::Position;

    use super::*;
    use crate::{
        history::{self, Function, Kind, Value},
        verdict::Outcome,
    };

    fn trace(node: u64) -> Vec<Record> {
        vec![Record { node, boot: 1, seq: 0, clock: 1, time: 0, event: Event::Stopped {} }]
    }

    #[test]
    fn complete_evidence_is_ok() {
        let mut evidence = Evidence { traces: vec![trace(1), trace(2)], ..Evidence::default() };
        evidence.run.nodes = 2;
        evidence.run.traced = true;
        assert_eq!(check(&evidence, None).outcome, Outcome::Ok);
    }

    #[test]
    fn a_node_without_a_trace_is_named() {
        let mut evidence = Evidence { traces: vec![trace(1), vec![]], ..Evidence::default() };
        evidence.run.nodes = 2;
        evidence.run.traced = true;
        let property = check(&evidence, None);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert_eq!(property.detail, "n2 left no trace");
        evidence.run.never_started = vec![2];
        assert_eq!(check(&evidence, None).outcome, Outcome::Ok);
        evidence.run.never_started.clear();
        evidence.run.traced = false;
        evidence.traces.clear();
        assert_eq!(check(&evidence, None).outcome, Outcome::Ok);
    }

    #[test]
    fn nodes_of_which_the_run_knows_nothing_are_named() {
        let mut evidence = Evidence { traces: vec![trace(1)], ..Evidence::default() };
        (evidence.run.traced, evidence.run.nodes) = (true, 1);
        let (last, voters) = (Position::default(), vec![1, 2, 3]);
        evidence.traces[0][0].event = Event::Started { term: 0, vote: None, last, voters };
        let property = check(&evidence, None);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert_eq!(property.detail, "the traces tell of n2 n3, and run.json of 1 node");
        (evidence.run.nodes, evidence.run.never_started) = (3, vec![2, 3]);
        assert_eq!(check(&evidence, None).outcome, Outcome::Ok);
    }

    #[test]
    fn a_write_that_no_trace_knows_is_a_gap() {
        let write = history::Event {
            index: 0,
            time: 0,
            process: 0,
            kind: Kind::Ok,
            f: Function::Write,
            key: "k".into(),
            value: Value::Int(1),
            error: None,
            node: Some("n1".into()),
            revision: None,
        };
        let mut evidence =
            Evidence { traces: vec![trace(1)], history: vec![write].into(), ..Evidence::default() };
        evidence.run.traced = true;
        evidence.run.nodes = 1;
        let property = check(&evidence, None);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert_eq!(
            property.detail,
            "trace/n1.jsonl has 0 answers, and history.jsonl has 1 write that n1 acknowledged, 0 that \
             it refused and 0 of unknown outcome"
        );
        evidence.traces[0][0].event = Event::Answered { index: 1 };
        assert_eq!(check(&evidence, None).outcome, Outcome::Ok);
    }

    #[test]
    fn what_was_reported_is_passed_on() {
        let mut evidence = Evidence::default();
        evidence.run.incomplete.push("stopped by Ctrl-C".into());
        let malformed = Malformed::NotInvoked { index: 3, process: 4 };
        let property = check(&evidence, Some(&malformed));
        assert_eq!(property.outcome, Outcome::Unknown);
        assert_eq!(
            property.detail,
            "stopped by Ctrl-C; the history contradicts itself, event 3: process 4 completes an \
             operation that it has not invoked"
        );
    }
}
