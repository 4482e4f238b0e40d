//! Whether the cluster serves again after the last heal, within the bound the run states.
//!
//! Raft promises progress only while a majority can talk to each other, so nothing is asked while
//! faults last. The property is the cluster's: one operation that succeeds is service. How many
//! nodes answered is told, not judged.

use std::time::Duration;

use super::{ok, unknown, violated};
use crate::{
    evidence::Run,
    history::{Operation, Outcome, clock::seconds},
    verdict::{Property, Violation, count},
};

/// Name of the property.
pub const NAME: &str = "liveness";

/// Looks for a success within `run.expect.recovery` after `run.healed`.
pub fn check(operations: &[Operation<'_>], run: &Run) -> Property {
    let Some(healed) = run.healed else {
        return unknown(NAME, "run.json does not say when every fault was healed");
    };
    let bound = nanoseconds(run.expect.recovery);
    let deadline = healed.saturating_add(bound);
    let answers = || {
        operations.iter().filter_map(|operation| match operation.outcome {
            Outcome::Ok { time, .. } | Outcome::Mismatch { time, .. } if time >= healed => {
                Some((time, operation.node))
            }
            _ => None,
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
            let (count, bound) = (nodes.len(), seconds(bound));
            let of = run.nodes;
            return ok(
                NAME,
                format!(
                    "served {after} after the last heal; {count} of {of} nodes answered within \
                     the bound of {bound}"
                ),
            );
        }
        Some(_) | None => {}
    }
    let asked: Vec<&Operation> =
        operations.iter().filter(|o| o.call >= healed && o.call <= deadline).collect();
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
    let mut nodes: Vec<String> = asked.iter().filter_map(|o| o.node).map(str::to_owned).collect();
    nodes.sort();
    nodes.dedup();
    let operations = asked.iter().take(10).map(|o| o.index).collect();
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

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::{Function, Value},
        verdict,
    };

    const SECOND: u64 = 1_000_000_000;

    fn write(call: u64, end: Option<u64>) -> Operation<'static> {
        Operation {
            index: 0,
            process: 0,
            f: Function::Write,
            key: "k",
            node: Some("n1"),
            argument: Value::Int(1),
            call: call * SECOND,
            outcome: match end {
                Some(end) => {
                    Outcome::Ok { time: end * SECOND, index: 1, value: Value::Nil, revision: None }
                }
                None => Outcome::Unknown { error: None },
            },
        }
    }

    fn run(duration: u64) -> Run {
        Run { healed: Some(10 * SECOND), duration: duration * SECOND, nodes: 3, ..Run::default() }
    }

    #[test]
    fn service_within_the_bound_is_ok() {
        let property = check(&[write(1, Some(2)), write(9, Some(12))], &run(30));
        assert_eq!(property.outcome, verdict::Outcome::Ok);
        assert_eq!(
            property.detail,
            "served 2.000 s after the last heal; 1 of 3 nodes answered within the bound of 10.000 s"
        );
    }

    #[test]
    fn no_service_is_a_violation() {
        let property = check(&[write(1, Some(2)), write(11, None)], &run(30));
        assert_eq!(property.outcome, verdict::Outcome::Violated);
        assert_eq!(
            property.violations[0].summary,
            "no operation succeeded within 10.000 s after the last heal at 10.000 s, although \
             the cluster was asked 1 time; none ever did"
        );
    }

    #[test]
    fn late_service_is_a_violation() {
        let property = check(&[write(11, None), write(20, Some(25))], &run(30));
        assert!(
            property.violations[0].summary.ends_with("the first did 15.000 s after the heal"),
            "{property:?}"
        );
    }

    #[test]
    fn what_was_not_tried_long_enough_is_undecided() {
        let undecided = |property: Property, text: &str| {
            assert_eq!(property.outcome, verdict::Outcome::Unknown);
            assert_eq!(property.detail, text);
        };
        undecided(
            check(&[write(1, Some(2))], &run(30)),
            "nothing was asked of the cluster after the last heal",
        );
        undecided(
            check(&[write(11, None)], &run(15)),
            "the run ended 5.000 s after the last heal, before the bound of 10.000 s",
        );
        undecided(
            check(&[write(11, Some(12))], &Run::default()),
            "run.json does not say when every fault was healed",
        );
    }
}
