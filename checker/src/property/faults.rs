//! Whether every fault took effect and was healed, with proof. A fault without proof tested
//! nothing, so the run is undecided.

use std::collections::BTreeMap;

use super::{ok, unknown};
use crate::{
    fault::{Phase, Record},
    verdict::{Property, count},
};

/// Name of the property.
pub const NAME: &str = "faults";

/// The phases that a fault which took effect has gone through.
const LIFE: [(Phase, &str); 4] = [
    (Phase::Installed, "was never installed"),
    (Phase::Bitten, "was never seen to take effect"),
    (Phase::HealRequested, "was never asked to heal"),
    (Phase::Healed, "was never seen healed"),
];

/// Looks at each fault's life.
pub fn check(records: &[Record]) -> Property {
    let mut faults: BTreeMap<usize, Vec<&Record>> = BTreeMap::new();
    for record in records {
        faults.entry(record.fault).or_default().push(record);
    }
    let mut inert = Vec::new();
    let mut skipped = 0;
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
            skipped += 1;
            if record.detail.is_null() {
                inert.push(format!("{name} was skipped and nobody said why"));
            }
        } else if let Some((_, what)) = LIFE.iter().find(|(phase, _)| has(*phase).is_none()) {
            inert.push(format!("{name} {what}"));
        }
    }
    let took_effect = faults.len() - skipped;
    if !inert.is_empty() {
        unknown(NAME, inert.join("; "))
    } else if took_effect == 0 && skipped > 0 {
        unknown(
            NAME,
            format!(
                "nothing was tested: skipped for want of a target, {}",
                count(skipped, "fault")
            ),
        )
    } else {
        let mut detail =
            format!("{} took effect and healed, with proof", count(took_effect, "fault"));
        if skipped > 0 {
            detail += &format!("; {skipped} had no target and were skipped");
        }
        ok(NAME, detail)
    }
}

fn reason(record: &Record) -> String {
    match &record.detail {
        serde_json::Value::Null => "nobody said why".into(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Outcome;

    fn life(phases: &[Phase]) -> Vec<Record> {
        phases
            .iter()
            .map(|&phase| Record {
                fault: 4,
                time: 0,
                phase,
                kind: "partition".into(),
                what: "leader alone".into(),
                nodes: vec!["n2".into()],
                leader: Some("n2".into()),
                detail: serde_json::Value::Null,
            })
            .collect()
    }

    const WHOLE: [Phase; 5] =
        [Phase::Requested, Phase::Installed, Phase::Bitten, Phase::HealRequested, Phase::Healed];

    #[test]
    fn a_whole_life_is_ok() {
        assert_eq!(check(&life(&WHOLE)).outcome, Outcome::Ok);
        assert_eq!(check(&[]).outcome, Outcome::Ok);
    }

    #[test]
    fn each_missing_phase_makes_the_run_undecided() {
        for (missing, (_, what)) in (1..5).zip(LIFE) {
            let mut phases = WHOLE.to_vec();
            phases.remove(missing);
            let property = check(&life(&phases));
            assert_eq!(property.outcome, Outcome::Unknown);
            assert_eq!(property.detail, format!("fault 4 (partition leader alone, n2) {what}"));
        }
    }

    #[test]
    fn a_failed_fault_says_why() {
        let mut records = life(&[Phase::Requested, Phase::Installed, Phase::Failed]);
        records[2].detail = "iptables: no such chain".into();
        let property = check(&records);
        assert_eq!(property.outcome, Outcome::Unknown);
        assert!(property.detail.ends_with("failed: iptables: no such chain"));
    }

    #[test]
    fn a_skipped_fault_needs_a_reason_and_company() {
        let mut records = life(&[Phase::Requested, Phase::Skipped]);
        assert!(check(&records).detail.ends_with("nobody said why"));
        records[1].detail = "no leader is known".into();
        assert_eq!(
            check(&records).detail,
            "nothing was tested: skipped for want of a target, 1 fault"
        );
        for mut record in life(&WHOLE) {
            record.fault = 5;
            records.push(record);
        }
        assert_eq!(check(&records).outcome, Outcome::Ok);
    }
}
