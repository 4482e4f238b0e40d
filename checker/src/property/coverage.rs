//! Whether enough happened for the verdict to mean something.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proto::trace::{Event, Role};

use super::{ok, unknown};
use crate::{
    evidence::Evidence,
    fault::{Phase, Record},
    history::{Operation, Outcome},
    verdict::{Property, count},
};

/// Name of the property.
pub const NAME: &str = "coverage";

/// A leader that is gone for this long is replaced, with election timeouts of up to a second.
pub const DEPOSING: Duration = Duration::from_secs(3);

/// Looks at how many operations succeeded, and whether attacks on leaders led to new leaders.
pub fn check(evidence: &Evidence, operations: &[Operation<'_>]) -> Property {
    let succeeded = operations.iter().filter(|o| matches!(o.outcome, Outcome::Ok { .. })).count();
    let wanted = evidence.run.expect.operations.max(1);
    if succeeded == 0 {
        return unknown(NAME, "no operation succeeded, so nothing was tested");
    }
    if (succeeded as u64) < wanted {
        return unknown(
            NAME,
            format!("{} succeeded, fewer than {wanted}", count(succeeded, "operation")),
        );
    }
    let mut detail = format!("{} succeeded", count(succeeded, "operation"));
    if evidence.traces.iter().any(|trace| !trace.is_empty()) {
        let attacks = attacks_on_leaders(&evidence.faults, evidence.run.nodes);
        let terms = terms_led(evidence);
        if attacks > 0 && terms < 2 {
            return unknown(
                NAME,
                format!(
                    "leaders were cut off, stopped or killed {attacks} times for seconds, but the \
                     traces show {terms} terms with a leader: no election was tested"
                ),
            );
        }
        detail += &format!(
            ", {terms} terms had a leader, leaders were attacked {attacks} times for seconds"
        );
    }
    ok(NAME, detail)
}

fn terms_led(evidence: &Evidence) -> usize {
    let terms: BTreeSet<u64> = evidence
        .traces
        .iter()
        .flatten()
        .filter_map(|record| match record.event {
            Event::Role { term, role: Role::Leader, .. } => Some(term),
            _ => None,
        })
        .collect();
    terms.len()
}

/// Faults that took the leader of that moment from the majority, for at least [`DEPOSING`] in which
/// no other fault was in force: several together may leave nobody who could elect another.
fn attacks_on_leaders(records: &[Record], nodes: usize) -> usize {
    let mut lives: BTreeMap<usize, Vec<&Record>> = BTreeMap::new();
    for record in records {
        lives.entry(record.fault).or_default().push(record);
    }
    let at = |fault: usize, wanted: &[Phase]| {
        let life = lives.get(&fault)?;
        life.iter().find(|record| wanted.contains(&record.phase)).map(|record| record.time)
    };
    let long = u64::try_from(DEPOSING.as_nanos()).unwrap_or(u64::MAX);
    let alone_for_long = |fault: usize| {
        let (Some(from), Some(to)) =
            (at(fault, &[Phase::Bitten]), at(fault, &[Phase::HealRequested]))
        else {
            return false;
        };
        let mut others: Vec<(u64, u64)> = lives
            .keys()
            .filter(|other| **other != fault)
            .filter_map(|other| {
                let over = [Phase::Healed, Phase::Failed, Phase::Skipped];
                Some((at(*other, &[Phase::Installed])?, at(*other, &over).unwrap_or(u64::MAX)))
            })
            .collect();
        others.sort_unstable();
        let mut free_from = from;
        for (installed, over) in others {
            if installed.min(to).saturating_sub(free_from) >= long {
                return true;
            }
            free_from = free_from.max(over);
        }
        to.saturating_sub(free_from) >= long
    };
    let takes_leader = |life: &[&Record]| {
        life.iter().any(|record| record.phase == Phase::Bitten && deposes(record, nodes))
    };
    lives.iter().filter(|(fault, life)| takes_leader(life) && alone_for_long(**fault)).count()
}

/// Whether a fault leaves the others able, and with reason, to elect a leader.
///
/// A killed leader comes back as a follower. One that is frozen or cut off is replaced only where
/// a majority is left. One that is deaf goes on sending heartbeats, and in a bridge or a ring it
/// sees a majority: these may stay.
fn deposes(record: &Record, nodes: usize) -> bool {
    let aimed = record.leader.as_ref().is_some_and(|leader| record.nodes.contains(leader));
    let minority = record.nodes.len() * 2 < nodes;
    let stays = ["deaf", "bridge", "ring"].iter().any(|shape| record.what.contains(shape));
    let breaks = match record.kind.as_str() {
        "kill" => true,
        "pause" => minority,
        "partition" => minority && !stays,
        _ => false,
    };
    aimed && breaks
}

#[cfg(test)]
mod tests {
    use proto::trace::{self, Position};

    use super::*;
    use crate::{
        history::{Function, Value},
        verdict,
    };

    fn success() -> Operation<'static> {
        Operation {
            index: 0,
            process: 0,
            f: Function::Read,
            key: "k",
            node: None,
            argument: Value::Nil,
            call: 0,
            outcome: Outcome::Ok { time: 1, index: 1, value: Value::Nil, revision: None },
        }
    }

    fn leads(term: u64) -> trace::Record {
        let event =
            Event::Role { term, role: Role::Leader, leader: Some(1), last: Position::default() };
        trace::Record { node: 1, boot: 1, seq: 0, clock: 0, time: 0, event }
    }

    fn attack(nodes: &[&str], seconds: u64) -> Vec<Record> {
        [(Phase::Bitten, 0), (Phase::HealRequested, seconds * 1_000_000_000)]
            .map(|(phase, time)| Record {
                fault: 0,
                time,
                phase,
                kind: "kill".into(),
                what: "leader".into(),
                nodes: nodes.iter().map(|&n| n.into()).collect(),
                leader: Some("n1".into()),
                detail: serde_json::Value::Null,
            })
            .to_vec()
    }

    fn outcome(faults: Vec<Record>, terms: &[u64]) -> verdict::Outcome {
        let traces = vec![terms.iter().map(|&term| leads(term)).collect()];
        let mut evidence = Evidence { faults, traces, ..Evidence::default() };
        evidence.run.nodes = 5;
        check(&evidence, &[success()]).outcome
    }

    #[test]
    fn leaders_that_are_attacked_must_change() {
        assert_eq!(outcome(attack(&["n1"], 5), &[1]), verdict::Outcome::Unknown);
        assert_eq!(outcome(attack(&["n1"], 5), &[1, 2]), verdict::Outcome::Ok);
    }

    #[test]
    fn an_attack_beside_another_fault_proves_nothing_until_it_is_alone() {
        let beside = |from: u64, to: u64| {
            let mut records = attack(&["n1"], 5);
            let (first, last) = (records[0].clone(), records[1].clone());
            let other = |phase, seconds: u64| Record {
                fault: 1,
                time: seconds * 1_000_000_000,
                phase,
                nodes: vec!["n2".into(), "n3".into()],
                ..first.clone()
            };
            records = vec![other(Phase::Installed, from), first.clone(), last];
            records.push(other(Phase::Healed, to));
            outcome(records, &[1])
        };
        assert_eq!(beside(0, 9), verdict::Outcome::Ok);
        assert_eq!(beside(0, 3), verdict::Outcome::Ok);
        assert_eq!(beside(2, 9), verdict::Outcome::Ok);
        assert_eq!(beside(0, 2), verdict::Outcome::Unknown);
        assert_eq!(beside(3, 9), verdict::Outcome::Unknown);
    }

    #[test]
    fn short_attacks_and_attacks_on_others_prove_nothing() {
        assert_eq!(outcome(attack(&["n1"], 1), &[1]), verdict::Outcome::Ok);
        assert_eq!(outcome(attack(&["n2"], 5), &[1]), verdict::Outcome::Ok);
    }

    #[test]
    fn faults_that_a_leader_may_outlive_prove_nothing() {
        let after = |kind: &str, what: &str, nodes: &[&str]| {
            let mut faults = attack(nodes, 5);
            for record in &mut faults {
                (record.kind, record.what) = (kind.into(), what.into());
            }
            outcome(faults, &[1])
        };
        assert_eq!(after("partition", "leader alone", &["n1"]), verdict::Outcome::Unknown);
        assert_eq!(after("partition", "one-way mute: leader", &["n1"]), verdict::Outcome::Unknown);
        assert_eq!(after("pause", "minority", &["n1", "n2"]), verdict::Outcome::Unknown);
        assert_eq!(after("partition", "one-way deaf: leader", &["n1"]), verdict::Outcome::Ok);
        assert_eq!(after("partition", "bridge", &["n1"]), verdict::Outcome::Ok);
        assert_eq!(after("pause", "majority", &["n1", "n2", "n3"]), verdict::Outcome::Ok);
        assert_eq!(after("delay", "leader", &["n1"]), verdict::Outcome::Ok);
    }

    #[test]
    fn too_few_operations_are_undecided() {
        let mut evidence = Evidence::default();
        let none = check(&evidence, &[]);
        assert_eq!(none.detail, "no operation succeeded, so nothing was tested");
        assert_eq!(none.outcome, verdict::Outcome::Unknown);
        assert_eq!(check(&evidence, &[success()]).outcome, verdict::Outcome::Ok);
        evidence.run.expect.operations = 2;
        let few = check(&evidence, &[success()]);
        assert_eq!(few.outcome, verdict::Outcome::Unknown);
        assert_eq!(few.detail, "1 operation succeeded, fewer than 2");
    }
}
