//! Whether the parts of a run agree: plan, faults, history, traces and what nodes said at the end.
//!
//! Each part was recorded by itself, so an edit of one part contradicts the others, even where
//! every digest was made to fit. What no other part knows of (a read that was left out, and its
//! event numbers closed up) is seen by its digest alone.

use std::collections::{BTreeMap, BTreeSet};

use proto::trace::{Event, Record as Step};

use crate::{
    evidence::{Evidence, FinalHash, plan::Plan},
    fault::{Kind as FaultKind, Phase, Record},
    history::{Events, Function, Kind},
    text::count,
};

/// Clocks of one machine, read by two processes, differ by less. Nanoseconds.
const SLACK: i128 = 100_000_000;

/// Where parts contradict each other, in sentences. Each names the files.
pub(super) fn contradictions(evidence: &Evidence) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(plan) = &evidence.plan {
        with_plan(evidence, plan, &mut found);
    }
    traced(evidence, &mut found);
    writes(evidence, &mut found);
    for fault in lives(&evidence.faults).values() {
        leader(evidence, fault, &mut found);
        silence(evidence, fault, &mut found);
        boots(evidence, fault, &mut found);
    }
    found
}

/// What was planned, and what was done.
fn with_plan(evidence: &Evidence, plan: &Plan, found: &mut Vec<String>) {
    let run = &evidence.run;
    if run.nodes != plan.nodes {
        let (of, planned) = (count(run.nodes, "node"), plan.nodes);
        found.push(format!("run.json tells of {of}, and plan.json of {planned}"));
    }
    if run.expect.faults != plan.faults.len() {
        let (of, planned) = (count(run.expect.faults, "fault"), plan.faults.len());
        found.push(format!("run.json expects {of}, and plan.json has {planned}"));
    }
    for (number, life) in lives(&evidence.faults) {
        let kind = life[0].kind;
        match plan.faults.get(number) {
            Some(planned) if life.iter().all(|record| record.kind == planned.kind) => {}
            Some(planned) => found.push(format!(
                "fault {number} is a {kind} in faults.jsonl, and a {} in plan.json",
                planned.kind
            )),
            None => found.push(format!("fault {number} of faults.jsonl is not in plan.json")),
        }
    }
    // Every key is read at the end.
    if let (Some(keys), "register", Some(healed)) =
        (plan.workload.keys, plan.workload.name.as_str(), run.healed)
        && run.incomplete.is_empty()
    {
        let read = reads(&evidence.history, healed);
        let unread =
            (0..keys).map(|key| format!("k{key}")).find(|key| !read.contains(key.as_str()));
        if let Some(key) = unread {
            found.push(format!(
                "plan.json has {}, and history.jsonl has no read of {key} after the last heal",
                count(usize::try_from(keys).unwrap_or(usize::MAX), "key")
            ));
        }
    }
}

/// The keys of which a read succeeded after this time.
fn reads(history: &Events, after: u64) -> BTreeSet<&str> {
    match history {
        Events::Register(events) => events
            .iter()
            .filter(|event| (event.kind, event.f) == (Kind::Ok, Function::Read))
            .filter(|event| event.time >= after)
            .map(|event| &*event.key)
            .collect(),
        Events::Generic(_) => BTreeSet::new(),
    }
}

/// Traces of nodes that are said to write none.
fn traced(evidence: &Evidence, found: &mut Vec<String>) {
    let traces = evidence.traces.iter().filter_map(|trace| trace.first());
    let nodes: Vec<String> = traces.map(|record| format!("n{}", record.node)).collect();
    if !evidence.run.traced && !nodes.is_empty() {
        let nodes = nodes.join(" ");
        found.push(format!(
            "run.json says that nodes write no trace, and there are traces of {nodes}"
        ));
    }
}

/// Writes of registers: acknowledged, and of unknown outcome.
#[derive(Clone, Copy, Default)]
struct Writes {
    /// Certainly took effect.
    acknowledged: u64,
    /// May have taken effect.
    unknown: u64,
    /// Compared and found another value: answered like the others, without an effect.
    refused: u64,
}

/// Writes in the history, against what nodes said at the end and against the answers in traces.
fn writes(evidence: &Evidence, found: &mut Vec<String>) {
    let Events::Register(events) = &evidence.history else { return };
    // Of a run that was killed, the history may lack what nodes answered last.
    if evidence.run.unfinished {
        return;
    }
    // A delete of nothing makes no revision.
    if events.iter().any(|event| event.f == Function::Delete) {
        return;
    }
    let mut nodes: BTreeMap<&str, Writes> = BTreeMap::new();
    let mut open: BTreeMap<u64, &str> = BTreeMap::new();
    for event in events.iter().filter(|event| event.f != Function::Read) {
        match event.kind {
            Kind::Invoke => {
                open.insert(event.process, event.node.as_deref().unwrap_or_default());
            }
            kind => {
                let node =
                    open.remove(&event.process).or(event.node.as_deref()).unwrap_or_default();
                let writes = nodes.entry(node).or_default();
                writes.acknowledged += u64::from(kind == Kind::Ok);
                writes.unknown += u64::from(kind == Kind::Info);
                let mismatch = event.error.as_deref() == Some("mismatch");
                writes.refused += u64::from(kind == Kind::Fail && mismatch);
            }
        }
    }
    for node in open.into_values() {
        nodes.entry(node).or_default().unknown += 1;
    }
    let acknowledged: u64 = nodes.values().map(|writes| writes.acknowledged).sum();
    let most = acknowledged + nodes.values().map(|writes| writes.unknown).sum::<u64>();
    // Revision 1 is the empty store's; each write makes the next one.
    for FinalHash { node, revision, .. } in &evidence.run.final_hashes {
        let took_effect = u64::try_from(revision.saturating_sub(1)).unwrap_or(0);
        if took_effect < acknowledged || took_effect > most {
            found.push(format!(
                "run.json says that {node} ended at revision {revision}, after {took_effect} writes, \
                 and history.jsonl has {acknowledged} that were acknowledged and {} that may have \
                 taken effect",
                most - acknowledged
            ));
            break;
        }
    }
    applied(evidence, found);
    let lost = &evidence.run.lost;
    let traces = evidence.traces.iter().filter(|trace| !trace.is_empty());
    for trace in traces.filter(|trace| !lost.contains(&trace[0].node)) {
        let node = format!("n{}", trace[0].node);
        let Writes { acknowledged, unknown, refused } =
            nodes.get(node.as_str()).copied().unwrap_or_default();
        let answered = answered(trace, evidence.run.started);
        if answered < acknowledged + refused || answered > acknowledged + unknown + refused {
            found.push(format!(
                "trace/{node}.jsonl has {}, and history.jsonl has {} that {node} acknowledged, \
                 {refused} that it refused and {unknown} of unknown outcome",
                count(answered as usize, "answer"),
                count(acknowledged as usize, "write"),
            ));
        }
    }
}

/// A node that ended at a revision applied as many entries: each write is one.
fn applied(evidence: &Evidence, found: &mut Vec<String>) {
    for FinalHash { node: name, applied: said, revision, .. } in &evidence.run.final_hashes {
        let writes = u64::try_from(revision.saturating_sub(1)).unwrap_or(0);
        if writes > *said {
            found.push(format!(
                "run.json says that {name} ended at revision {revision}, and after {said} entries"
            ));
        }
        let Some(trace) = trace_of(evidence, name) else { continue };
        let applied = trace.iter().rev().find_map(|step| match step.event {
            Event::Applied { last, .. } => Some(last.index),
            _ => None,
        });
        let applied = applied.unwrap_or(0);
        if *said > applied {
            found.push(format!(
                "run.json says that {name} ended after {said} entries, and trace/{name}.jsonl shows \
                 only {applied} applied"
            ));
        }
    }
}

/// Answers since this time: what was answered before it, in the nodes' past, no client asked.
fn answered(trace: &[Step], since: u64) -> u64 {
    let answers = trace.iter().filter(|step| matches!(step.event, Event::Answered { .. }));
    answers.filter(|step| step.time >= since).count() as u64
}

/// The records of each fault.
fn lives(records: &[Record]) -> BTreeMap<usize, Vec<&Record>> {
    let mut lives: BTreeMap<usize, Vec<&Record>> = BTreeMap::new();
    for record in records {
        lives.entry(record.fault).or_default().push(record);
    }
    lives
}

/// The trace of a node (`n1`), unless it is none that was recorded.
fn trace_of<'a>(evidence: &'a Evidence, name: &str) -> Option<&'a [Step]> {
    let node: u64 = name.strip_prefix('n')?.parse().ok()?;
    let trace =
        evidence.traces.iter().find(|trace| trace.first().is_some_and(|it| it.node == node));
    trace.filter(|_| !evidence.run.lost.contains(&node)).map(Vec::as_slice)
}

/// Who is said to have led when the fault was requested led a term in its own trace.
fn leader(evidence: &Evidence, life: &[&Record], found: &mut Vec<String>) {
    let Some((record, name)) = life.iter().find_map(|it| Some((it, it.leader.as_deref()?))) else {
        return;
    };
    let id = name.strip_prefix('n').and_then(|id| id.parse().ok());
    if evidence.traces.is_empty() || id.is_some_and(|id| evidence.run.lost.contains(&id)) {
        return;
    }
    let trace = trace_of(evidence, name).unwrap_or_default();
    let until = i128::from(evidence.run.started) + i128::from(record.time) + SLACK;
    let led = trace.iter().any(|step| {
        let leads = matches!(step.event, Event::Role { role: proto::trace::Role::Leader, .. });
        leads && i128::from(step.time) <= until
    });
    if !led {
        found.push(format!(
            "faults.jsonl says that {name} led when fault {} was requested, and trace/{name}.jsonl \
             shows no term that it led until then",
            record.fault
        ));
    }
}

/// A node that a signal ended, or that is frozen, takes no step.
fn silence(evidence: &Evidence, life: &[&Record], found: &mut Vec<String>) {
    let at = |phase| life.iter().find(|record| record.phase == phase);
    let (Some(from), Some(to)) = (at(Phase::Confirmed), at(Phase::HealRequested)) else { return };
    let stops = matches!(from.kind, FaultKind::Kill | FaultKind::Restart | FaultKind::Pause);
    let killed = match at(Phase::Healed).and_then(|record| record.detail.as_ref()) {
        Some(crate::fault::Detail::Answered { killed, .. }) => killed.as_slice(),
        _ => &[],
    };
    for name in from.nodes.iter().filter(|name| stops && !killed.contains(name)) {
        let Some(trace) = trace_of(evidence, name) else { continue };
        let started = i128::from(evidence.run.started);
        let from = started + i128::from(from.time) + SLACK;
        let to = started + i128::from(to.time) - SLACK;
        if let Some(step) = trace.iter().find(|step| (from..to).contains(&i128::from(step.time))) {
            found.push(format!(
                "faults.jsonl says that fault {} ({}) held {name}, and trace/{name}.jsonl has a step \
                 meanwhile (boot {}, line {})",
                life[0].fault, life[0].kind, step.boot, step.seq
            ));
        }
    }
}

/// A node that is said to have started again has a boot of that number in its trace.
fn boots(evidence: &Evidence, life: &[&Record], found: &mut Vec<String>) {
    let healed = life.iter().find(|record| record.phase == Phase::Healed);
    let Some(crate::fault::Detail::Answered { nodes, .. }) =
        healed.and_then(|record| record.detail.as_ref())
    else {
        return;
    };
    for (name, answered) in nodes {
        let (Some([_, boot]), Some(trace)) = (answered.boots, trace_of(evidence, name)) else {
            continue;
        };
        if !trace.iter().any(|step| step.boot == boot) {
            found.push(format!(
                "faults.jsonl says that {name} answered as boot {boot} after fault {}, and \
                 trace/{name}.jsonl has no such boot",
                life[0].fault
            ));
        }
    }
}
