//! Whether the cluster serves again after the last heal, within the bound the run states. One
//! operation that succeeds is service, whoever answered it.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{ok, open, unknown, violated},
    NAME,
};
use crate::{
    evidence::{Evidence, Stuck},
    fault::{Phase, Record},
    history::{Events, Request, clock::seconds},
    text::count,
    verdict::{Property, Violation},
};

/// Looks for a success within `run.expect.recovery` after `run.healed`.
pub(super) fn check(evidence: &Evidence, operations: &[impl Request]) -> Property {
    let run = &evidence.run;
    if !run.stuck.is_empty() {
        let violations = run.stuck.iter().map(stuck).collect();
        return violated(NAME, "nodes kept the run from going on", violations);
    }
    if run.unfinished {
        return unknown(NAME, "the run was killed before every fault was healed");
    }
    let Some(healed) = run.healed else {
        return unknown(NAME, "run.json does not say when every fault was healed");
    };
    if let Some(why) = still_faulty(&evidence.faults, healed) {
        return unknown(NAME, why);
    }
    let bound = nanoseconds(run.expect.recovery);
    let deadline = healed.saturating_add(bound);
    let answers = || {
        operations.iter().filter_map(|operation| {
            let time = operation.answered().filter(|time| *time >= healed)?;
            Some((time, operation.node()))
        })
    };
    let first = answers().map(|(time, _)| time).min();
    match first {
        Some(time) if time <= deadline => {
            let mut nodes: Vec<&str> = answers()
                .filter(|&(time, _)| time <= deadline)
                .filter_map(|(_, node)| node)
                .collect();
            nodes.sort_unstable();
            nodes.dedup();
            let after = seconds(time - healed);
            let (bound, served) = (seconds(bound), format!("served {after} after the last heal"));
            // A history need not say who answered.
            if nodes.is_empty() {
                return ok(NAME, format!("{served}, within the bound of {bound}"));
            }
            let (answered, of) = (nodes.len(), count(run.nodes, "node"));
            let nodes = format!("{answered} of {of} answered within the bound of {bound}");
            return ok(NAME, format!("{served}; {nodes}"));
        }
        Some(_) | None => {}
    }
    let asked: Vec<_> =
        operations.iter().filter(|o| (healed..=deadline).contains(&o.call())).collect();
    let end = run.duration.max(first.unwrap_or(0));
    if asked.is_empty() {
        return unknown(NAME, "nothing was asked of the cluster after the last heal");
    }
    if end < deadline {
        let (after, bound) = (seconds(end.saturating_sub(healed)), seconds(bound));
        return unknown(
            NAME,
            format!("the run ended {after} after the last heal, before the bound of {bound}"),
        );
    }
    // A cluster that was hardly asked may have recovered unseen.
    let waited = covered(&evidence.history, healed, deadline);
    if waited < bound / 2 {
        let (waited, bound) = (seconds(waited), seconds(bound));
        return unknown(
            NAME,
            format!(
                "no operation succeeded within the bound of {bound} after the last heal, but one \
                 was open for only {waited} of it"
            ),
        );
    }
    let summary = format!(
        "no operation succeeded within {} after the last heal at {}, although the cluster was asked {}; {}",
        seconds(bound),
        seconds(healed),
        count(asked.len(), "time"),
        first.map_or("none ever did".to_owned(), |time| format!(
            "the first did {} after the heal",
            seconds(time - healed)
        ))
    );
    let mut nodes: Vec<String> = asked.iter().filter_map(|o| o.node()).map(str::to_owned).collect();
    nodes.sort();
    nodes.dedup();
    let operations = asked.iter().take(10).map(|o| o.index()).collect();
    let violation = Violation {
        rule: NAME.into(),
        summary,
        nodes,
        operations,
        trace: Vec::new(),
        refutation: None,
    };
    violated(NAME, "the cluster did not recover in time", vec![violation])
}

fn stuck(Stuck { node, how }: &Stuck) -> Violation {
    Violation {
        rule: NAME.into(),
        summary: how.clone(),
        nodes: node.iter().map(|node| format!("n{node}")).collect(),
        operations: Vec::new(),
        trace: Vec::new(),
        refutation: None,
    }
}

/// Why faults may have lasted beyond that moment, if so.
fn still_faulty(faults: &[Record], healed: u64) -> Option<String> {
    let mut ends: BTreeMap<usize, (&Record, Option<u64>)> = BTreeMap::new();
    for record in faults {
        match record.phase {
            Phase::Applied => {
                ends.insert(record.fault, (record, None));
            }
            Phase::Healed | Phase::Skipped => {
                if let Some((_, end)) = ends.get_mut(&record.fault) {
                    *end = Some(record.time);
                }
            }
            _ => {}
        }
    }
    let (number, (fault, end)) =
        ends.into_iter().find(|(_, (_, end))| end.is_none_or(|end| end > healed))?;
    let name = format!("fault {number} ({} {})", fault.kind, fault.what);
    Some(match end {
        Some(end) => format!(
            "run.json says that every fault was healed at {}, but {name} was at {}",
            seconds(healed),
            seconds(end)
        ),
        None => format!("{name} was never seen healed"),
    })
}

/// For how much of a time any operation was open.
fn covered(history: &Events, from: u64, to: u64) -> u64 {
    let mut spans = open(history);
    spans.sort_by_key(|span| span.start);
    let mut covered = 0;
    let mut until = from;
    for span in spans {
        let end = span.end.min(to);
        covered += end.saturating_sub(span.start.max(until));
        until = until.max(end);
    }
    covered
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::Run,
        fault::{Kind as FaultKind, Observed},
        history::{Event, Function, Kind, Value, operation::pair},
        verdict,
        version::Version,
    };

    const SECOND: u64 = 1_000_000_000;

    /// Writes from one second to another, or for ever; each of a client of its own.
    fn history(writes: &[(f64, Option<(f64, Kind)>)]) -> Vec<Event> {
        let mut events = Vec::new();
        for (process, &(call, end)) in (0..).zip(writes) {
            let event = |at: f64, kind| Event {
                index: 0,
                time: (at * 1e9) as u64,
                process,
                kind,
                f: Function::Write,
                key: "k".into(),
                value: Value::Int(1),
                error: None,
                node: Some("n1".into()),
                revision: None,
            };
            events.push(event(call, Kind::Invoke));
            events.extend(end.map(|(end, kind)| event(end, kind)));
        }
        events.sort_by_key(|event| event.time);
        for (index, event) in (0..).zip(&mut events) {
            event.index = index;
        }
        events
    }

    fn ok(call: f64, end: f64) -> (f64, Option<(f64, Kind)>) {
        (call, Some((end, Kind::Ok)))
    }

    /// Of a run that ended at that second, and was healed at the tenth.
    fn evidence(duration: u64, writes: &[(f64, Option<(f64, Kind)>)]) -> Evidence {
        let run = Run {
            healed: Some(10 * SECOND),
            duration: duration * SECOND,
            nodes: 3,
            ..Run::default()
        };
        Evidence { history: history(writes).into(), run, ..Evidence::default() }
    }

    fn judge(evidence: &Evidence) -> Property {
        check(evidence, &pair(evidence.history.registers()).unwrap())
    }

    fn undecided(evidence: &Evidence, text: &str) {
        let property = judge(evidence);
        assert_eq!((property.outcome, &*property.detail), (verdict::Outcome::Unknown, text));
    }

    #[test]
    fn service_within_the_bound_is_ok() {
        let mut evidence = evidence(30, &[ok(1.0, 2.0), ok(9.0, 12.0)]);
        let property = judge(&evidence);
        assert_eq!(property.outcome, verdict::Outcome::Ok);
        assert_eq!(
            property.detail,
            "served 2.000 s after the last heal; 1 of 3 nodes answered within the bound of 10.000 s"
        );
        let mut events = evidence.history.registers().to_vec();
        events.iter_mut().for_each(|event| event.node = None);
        evidence.history = events.into();
        assert_eq!(
            judge(&evidence).detail,
            "served 2.000 s after the last heal, within the bound of 10.000 s"
        );
    }

    #[test]
    fn no_service_is_a_violation() {
        let property = judge(&evidence(30, &[ok(1.0, 2.0), (11.0, None)]));
        assert_eq!(property.outcome, verdict::Outcome::Violated);
        assert_eq!(
            property.violations[0].summary,
            "no operation succeeded within 10.000 s after the last heal at 10.000 s, although \
             the cluster was asked 1 time; none ever did"
        );
    }

    #[test]
    fn late_service_is_a_violation() {
        let property = judge(&evidence(30, &[(11.0, None), ok(20.0, 25.0)]));
        assert!(
            property.violations[0].summary.ends_with("the first did 15.000 s after the heal"),
            "{property:?}"
        );
    }

    #[test]
    fn a_cluster_that_was_hardly_asked_may_have_served() {
        let late = ok(19.95, 20.05);
        let gave_up = |call, end| (call, Some((end, Kind::Info)));
        undecided(
            &evidence(30, &[late]),
            "no operation succeeded within the bound of 10.000 s after the last heal, but one was \
             open for only 0.050 s of it",
        );
        // Two that overlap count once.
        undecided(
            &evidence(30, &[gave_up(9.0, 12.0), gave_up(11.0, 13.0), late]),
            "no operation succeeded within the bound of 10.000 s after the last heal, but one was \
             open for only 3.050 s of it",
        );
        let asked = [gave_up(10.0, 13.0), gave_up(15.0, 17.0), late];
        assert_eq!(judge(&evidence(30, &asked)).outcome, verdict::Outcome::Violated);
    }

    #[test]
    fn a_fault_that_lasts_longer_than_the_run_says_leaves_it_open() {
        let fault = |seconds: u64, phase| Record {
            fault: 3,
            time: seconds * SECOND,
            phase,
            version: Version,
            kind: FaultKind::Pause,
            what: "majority".into(),
            nodes: vec!["n1".into(), "n2".into()],
            links: Vec::new(),
            leader: None,
            severs_leader: false,
            observed: Observed::default(),
            detail: None,
        };
        let mut evidence = evidence(60, &[(11.0, None), ok(14.0, 15.0)]);
        evidence.faults = vec![fault(5, Phase::Applied), fault(35, Phase::Healed)];
        undecided(
            &evidence,
            "run.json says that every fault was healed at 10.000 s, but fault 3 (pause majority) \
             was at 35.000 s",
        );
        evidence.faults[1].phase = Phase::Failed;
        undecided(&evidence, "fault 3 (pause majority) was never seen healed");
        evidence.faults[1] = fault(10, Phase::Healed);
        assert_eq!(judge(&evidence).outcome, verdict::Outcome::Ok);
    }

    #[test]
    fn what_was_not_tried_long_enough_is_undecided() {
        undecided(
            &evidence(30, &[ok(1.0, 2.0)]),
            "nothing was asked of the cluster after the last heal",
        );
        undecided(
            &evidence(15, &[(11.0, None)]),
            "the run ended 5.000 s after the last heal, before the bound of 10.000 s",
        );
        undecided(
            &Evidence { run: Run::default(), ..evidence(30, &[ok(11.0, 12.0)]) },
            "run.json does not say when every fault was healed",
        );
    }
}
