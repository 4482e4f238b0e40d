//! Whether every fault took effect and was healed, with proof, on each node that it is said to have
//! hit. A fault without proof tested nothing, so the run is undecided.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{ok, unknown};
use crate::{
    evidence::Run,
    fault::{Kind, Phase, Record},
    text::count,
    verdict::Property,
};

/// Name of the property.
pub const NAME: &str = "faults";

/// The phases that a fault which took effect has gone through.
const LIFE: [(Phase, &str); 5] = [
    (Phase::Requested, "was never requested"),
    (Phase::Applied, "was never applied"),
    (Phase::Confirmed, "was never confirmed"),
    (Phase::HealRequested, "was never asked to heal"),
    (Phase::Healed, "was never seen healed"),
];

/// What became of the faults of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fates<'a> {
    /// The kind of each that took effect and healed, with proof.
    pub proved: Vec<&'a str>,
    /// The kind of each that had nobody to act on.
    pub skipped: Vec<&'a str>,
    /// What is wrong with the others, in sentences.
    pub inert: Vec<String>,
}

/// Looks at each fault's life; there must be as many as the run expects.
pub fn fates<'a>(records: &'a [Record], run: &Run) -> Fates<'a> {
    let mut faults: BTreeMap<usize, Vec<&Record>> = BTreeMap::new();
    for record in records {
        faults.entry(record.fault).or_default().push(record);
    }
    let mut fates = Fates::default();
    let Fates { proved, skipped, inert } = &mut fates;
    for (number, life) in &faults {
        let first = life[0];
        // A target is resolved after the fault is asked for, and not at all where that fails.
        let nodes = life.iter().map(|record| &record.nodes).find(|nodes| !nodes.is_empty());
        let nodes = nodes.map_or_else(String::new, |nodes| format!(", {}", nodes.join(" ")));
        let name = format!("fault {number} ({} {}{nodes})", first.kind, first.what);
        let has = |phase| life.iter().find(|record| record.phase == phase);
        if let Some(failed) = has(Phase::Failed) {
            inert.push(format!("{name} failed: {}", reason(failed)));
        } else if let Some(record) = has(Phase::Skipped) {
            // One may wait in vain for what it acts on after it was installed.
            if has(Phase::Confirmed).is_some() {
                inert.push(format!("{name} took effect and was then skipped"));
            } else if record.detail.is_null() {
                inert.push(format!("{name} was skipped and nobody said why"));
            } else {
                skipped.push(first.kind.name());
            }
        } else if let Some((_, what)) = LIFE.iter().find(|(phase, _)| has(*phase).is_none()) {
            inert.push(format!("{name} {what}"));
        } else if !life.is_sorted_by_key(|record| record.phase)
            || !life.is_sorted_by_key(|record| record.time)
        {
            inert.push(format!("the records of {name} are out of order"));
        } else if life.iter().any(|record| lacks_proof(record)) {
            inert.push(format!("{name} is said to have taken effect and healed, without proof"));
        } else if let Some(node) = unproved(life) {
            inert.push(format!("{name} is said to have hit {node}, without proof of that"));
        } else {
            proved.push(first.kind.name());
        }
    }
    let planned = run.expect.faults;
    if let Some(missing) = (0..planned).find(|number| !faults.contains_key(number)) {
        inert.push(format!("of {} there is no record of number {missing}", of(planned)));
    }
    if let Some(stranger) = faults.keys().find(|number| planned > 0 && **number >= planned) {
        inert.push(format!("fault {stranger} is none of {}", of(planned)));
    }
    fates
}

fn of(planned: usize) -> String {
    let were = if planned == 1 { "was" } else { "were" };
    format!("{} that {were} planned", count(planned, "fault"))
}

/// Whether it says that something was seen, and not where.
fn lacks_proof(record: &Record) -> bool {
    matches!(record.phase, Phase::Confirmed | Phase::Healed) && record.observed.is_empty()
}

/// The first node that a fault is said to have hit, or to have healed, and that was not observed. A
/// partition is observed on links: its nodes are one of the sides, or the bridge between.
fn unproved<'a>(life: &[&'a Record]) -> Option<&'a str> {
    let mut hit = BTreeSet::new();
    for record in life.iter().filter(|record| record.kind != Kind::Partition) {
        match record.phase {
            Phase::Confirmed => hit = record.observed.ends().collect(),
            // More may be hit while it lasts.
            Phase::HealRequested => hit.extend(record.observed.ends()),
            Phase::Healed => hit = record.observed.ends().collect(),
            Phase::Requested | Phase::Applied | Phase::Failed | Phase::Skipped => continue,
        }
        if let Some(node) = record.nodes.iter().find(|node| !hit.contains(node.as_str())) {
            return Some(node);
        }
    }
    None
}

/// Whether every fault of a run proved itself, and any did where there were some.
pub fn check(records: &[Record], run: &Run) -> Property {
    let Fates { proved, skipped, inert } = fates(records, run);
    if !inert.is_empty() {
        unknown(NAME, inert.join("; "))
    } else if proved.is_empty() && skipped.is_empty() {
        ok(NAME, "there were no faults")
    } else if proved.is_empty() {
        unknown(
            NAME,
            format!(
                "nothing was tested: skipped for want of a target, {}",
                count(skipped.len(), "fault")
            ),
        )
    } else {
        let mut detail =
            format!("{} took effect and healed, with proof", count(proved.len(), "fault"));
        if !skipped.is_empty() {
            detail += &format!("; {} had no target and were skipped", skipped.len());
        }
        ok(NAME, detail)
    }
}

fn reason(record: &Record) -> String {
    match &record.detail {
        Value::Null => "nobody said why".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::{Link, Observed},
        verdict::Outcome,
        version::Version,
    };

    fn on(nodes: &[&str]) -> Observed {
        Observed { nodes: nodes.iter().map(|&node| node.into()).collect(), links: Vec::new() }
    }

    fn life(phases: &[Phase]) -> Vec<Record> {
        phases
            .iter()
            .map(|&phase| Record {
                fault: 4,
                time: 0,
                phase,
                version: Version,
                kind: Kind::Partition,
                what: "leader alone".into(),
                nodes: vec!["n2".into()],
                links: Vec::new(),
                leader: Some("n2".into()),
                severs_leader: true,
                observed: match phase {
                    Phase::Confirmed | Phase::Healed => on(&["n2"]),
                    _ => Observed::default(),
                },
                detail: Value::Null,
            })
            .collect()
    }

    fn judge(records: &[Record]) -> Property {
        check(records, &Run::default())
    }

    const WHOLE: [Phase; 5] =
        [Phase::Requested, Phase::Applied, Phase::Confirmed, Phase::HealRequested, Phase::Healed];

    #[test]
    fn a_whole_life_is_ok() {
        let whole = judge(&life(&WHOLE));
        assert_eq!(whole.outcome, Outcome::Ok);
        assert_eq!(whole.detail, "1 fault took effect and healed, with proof");
        let none = judge(&[]);
        assert_eq!((none.outcome, &*none.detail), (Outcome::Ok, "there were no faults"));
    }

    #[test]
    fn what_is_said_without_proof_is_not_proved() {
        for at in [2, 4] {
            let mut records = life(&WHOLE);
            records[at].observed = Observed::default();
            let property = judge(&records);
            assert_eq!(property.outcome, Outcome::Unknown);
            assert_eq!(
                property.detail,
                "fault 4 (partition leader alone, n2) is said to have taken effect and healed, \
                 without proof"
            );
        }
    }

    #[test]
    fn what_was_not_hit_is_not_proved() {
        let with = |kind: Kind, nodes: [&[&str]; 3], seen: [Observed; 3]| {
            let mut records = life(&WHOLE);
            let last = records[2..].iter_mut().zip(nodes.into_iter().zip(seen));
            for (record, (nodes, observed)) in last {
                record.nodes = nodes.iter().map(|&node| node.into()).collect();
                record.observed = observed;
            }
            records.iter_mut().for_each(|record| record.kind = kind);
            judge(&records)
        };
        let (one, both): (&[&str], &[&str]) = (&["n1"], &["n1", "n12"]);
        let (n1, n12, none) = (|| on(one), || on(both), Observed::default);
        let refused = |property: Property| {
            assert_eq!(property.outcome, Outcome::Unknown);
            property.detail
        };
        let more_later = with(Kind::Disk, [one, both, both], [n1(), n12(), n12()]);
        assert_eq!(more_later.outcome, Outcome::Ok);
        assert_eq!(
            refused(with(Kind::Disk, [both, both, both], [n1(), n12(), n12()])),
            "fault 4 (disk leader alone, n2) is said to have hit n12, without proof of that"
        );
        refused(with(Kind::Kill, [one, both, both], [n1(), n1(), n12()]));
        refused(with(Kind::Pause, [both, both, both], [n12(), none(), n1()]));
        // A link speaks of its ends.
        let link = Link { from: "n12".into(), to: "n1".into() };
        let link = Observed { nodes: Vec::new(), links: vec![link] };
        let links = [link.clone(), none(), link];
        assert_eq!(with(Kind::Network, [both, both, both], links.clone()).outcome, Outcome::Ok);
        // The bridge of two sides has part in none of the links that are cut.
        let bridge: &[&str] = &["n3"];
        assert_eq!(with(Kind::Partition, [bridge, bridge, bridge], links).outcome, Outcome::Ok);
    }

    #[test]
    fn each_missing_phase_makes_the_run_undecided() {
        for (missing, (_, what)) in (0..).zip(LIFE) {
            let mut phases = WHOLE.to_vec();
            phases.remove(missing);
            let property = judge(&life(&phases));
            assert_eq!(property.outcome, Outcome::Unknown);
            assert_eq!(property.detail, format!("fault 4 (partition leader alone, n2) {what}"));
        }
    }

    #[test]
    fn a_fault_without_any_record_is_missed() {
        let mut run = Run::default();
        run.expect.faults = 1;
        let mut first = life(&WHOLE);
        first.iter_mut().for_each(|record| record.fault = 0);
        assert_eq!(check(&first, &run).outcome, Outcome::Ok);
        run.expect.faults = 2;
        let property = check(&first, &run);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert_eq!(property.detail, "of 2 faults that were planned there is no record of number 1");
        assert_eq!(check(&[], &run).outcome, Outcome::Unknown);
    }

    #[test]
    fn a_fault_that_was_not_planned_is_no_substitute() {
        let mut run = Run::default();
        run.expect.faults = 1;
        let property = check(&life(&WHOLE), &run);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert_eq!(
            property.detail,
            "of 1 fault that was planned there is no record of number 0; fault 4 is none of 1 fault \
             that was planned"
        );
    }

    #[test]
    fn a_life_must_go_forward() {
        let mut records = life(&WHOLE);
        records.swap(2, 4);
        let property = judge(&records);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert!(property.detail.ends_with("are out of order"), "{}", property.detail);
        let mut records = life(&WHOLE);
        records[0].time = 7;
        assert_eq!(judge(&records).outcome, Outcome::Unknown);
    }

    #[test]
    fn a_failed_fault_says_why() {
        let mut records = life(&[Phase::Requested, Phase::Applied, Phase::Failed]);
        records[2].detail = "iptables: no such chain".into();
        let property = judge(&records);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert!(property.detail.ends_with("failed: iptables: no such chain"));
    }

    #[test]
    fn a_skipped_fault_needs_a_reason_and_company() {
        let mut records = life(&[Phase::Requested, Phase::Skipped]);
        assert!(judge(&records).detail.ends_with("nobody said why"));
        let mut confirmed =
            life(&[Phase::Requested, Phase::Applied, Phase::Confirmed, Phase::Skipped]);
        confirmed[3].detail = "no leader is known".into();
        let property = judge(&confirmed);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert!(property.detail.ends_with("took effect and was then skipped"));
        records[1].detail = "no leader is known".into();
        assert_eq!(
            judge(&records).detail,
            "nothing was tested: skipped for want of a target, 1 fault"
        );
        for mut record in life(&WHOLE) {
            record.fault = 5;
            records.push(record);
        }
        assert_eq!(judge(&records).outcome, Outcome::Ok);
        let fates = fates(&records, &Run::default());
        assert_eq!((fates.proved, fates.skipped), (vec!["partition"], vec!["partition"]));
        assert!(fates.inert.is_empty());
    }
}
