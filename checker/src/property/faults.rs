//! Whether every fault took effect and was healed, with proof, on each node that it is said to have
//! hit. A fault without proof tested nothing, so the run is undecided.

use std::collections::{BTreeMap, BTreeSet};

use super::{ok, proof, unknown};
use crate::{
    evidence::Run,
    fault::{Detail, Kind, Phase, Record},
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
            inert.push(format!("{name} failed: {}", failed.reason()));
        } else if let Some(record) = has(Phase::Skipped) {
            // One may wait in vain for what it acts on after it was installed.
            if has(Phase::Confirmed).is_some() {
                inert.push(format!("{name} took effect and was then skipped"));
            } else if !matches!(record.detail, Some(Detail::Reason(_))) {
                inert.push(format!("{name} was skipped, and no reason was recorded"));
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
        } else if let Some(lacks) = life.iter().find_map(|record| proof::lacks(record)) {
            inert.push(format!("{name} is not proved by what was recorded: {lacks}"));
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
            Phase::Confirmed | Phase::Healed => hit = record.observed.ends(),
            // More may be hit while it lasts.
            Phase::HealRequested => hit.extend(record.observed.ends()),
            Phase::Requested | Phase::Applied | Phase::Failed | Phase::Skipped => continue,
        }
        if let Some(node) = record.nodes.iter().find(|node| !hit.contains(*node)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{property::proof::samples, verdict::Outcome};

    /// A partition with every proof, in these phases of its life.
    fn life(phases: &[Phase]) -> Vec<Record> {
        let of = |phase: &Phase| Record { fault: 4, ..samples::record(Kind::Partition, *phase) };
        phases.iter().map(of).collect()
    }

    fn because(why: &str) -> Option<Detail> {
        Some(Detail::Reason(why.into()))
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
            records[at].observed = crate::fault::Observed::default();
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
        for kind in [Kind::Kill, Kind::Pause, Kind::Disk, Kind::Clock] {
            for at in 2..5 {
                let mut records: Vec<Record> =
                    WHOLE.iter().map(|phase| samples::record(kind, *phase)).collect();
                assert_eq!(judge(&records).outcome, Outcome::Ok, "{kind}");
                records[at].nodes.push("n12".into());
                let property = judge(&records);
                assert_eq!(property.outcome, Outcome::Unknown, "{kind}");
                assert!(property.detail.contains("to have hit n12"), "{}", property.detail);
            }
        }
    }

    #[test]
    fn what_is_hit_while_it_lasts_counts() {
        let mut records: Vec<Record> =
            WHOLE.iter().map(|phase| samples::record(Kind::Network, *phase)).collect();
        let first = records[2].clone();
        let more = Detail::Struck(
            [("n2→n1", 3), ("n3→n2", 1)].map(|(l, n)| (l.parse().unwrap(), n)).into(),
        );
        records[3].observed.links.push("n3→n2".parse().unwrap());
        records[3].detail = Some(more);
        for record in &mut records[3..] {
            record.nodes = vec!["n2".into(), "n3".into()];
        }
        records[4].observed.links.push("n3→n2".parse().unwrap());
        let Some(Detail::Passed { probes, .. }) = &mut records[4].detail else { panic!() };
        probes.push("n3→n2".parse().unwrap());
        let property = judge(&records);
        assert_eq!(property.outcome, Outcome::Ok, "{}", property.detail);
        records[2] = Record { nodes: vec!["n3".into()], ..first };
        assert_eq!(judge(&records).outcome, Outcome::Unknown);
    }

    #[test]
    fn a_proof_of_nothing_is_none() {
        let mut records = life(&WHOLE);
        let Some(Detail::Dropped { counters, .. }) = &mut records[2].detail else { panic!() };
        counters[1].packets = 0;
        let property = judge(&records);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert_eq!(
            property.detail,
            "fault 4 (partition leader alone, n2) is not proved by what was recorded: no packet met \
             the rule at n2: drop n1→n2"
        );
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
        records[2].detail = because("iptables: no such chain");
        let property = judge(&records);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert!(property.detail.ends_with("failed: iptables: no such chain"));
    }

    #[test]
    fn a_skipped_fault_needs_a_reason_and_company() {
        let mut records = life(&[Phase::Requested, Phase::Skipped]);
        assert!(judge(&records).detail.ends_with("no reason was recorded"));
        let mut confirmed =
            life(&[Phase::Requested, Phase::Applied, Phase::Confirmed, Phase::Skipped]);
        confirmed[3].detail = because("no leader is known");
        let property = judge(&confirmed);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert!(property.detail.ends_with("took effect and was then skipped"));
        records[1].detail = because("no leader is known");
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
