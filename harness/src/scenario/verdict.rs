//! The verdict on a scenario: its steps, and Raft's safety in the traces.

use checker::{
    evidence::Evidence,
    raft,
    verdict::{Outcome, Property, Verdict, Violation},
};

use super::play::Record;

/// Judges the steps as they were recorded, and the traces anew.
pub(super) fn of(record: &Record, evidence: &Evidence) -> Verdict {
    let (scenario, steps) = (&record.scenario, &record.account.steps);
    let mut properties: Vec<Property> = scenario
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| {
            let name = format!("step-{}", i + 1);
            let Some(account) = steps.get(i) else {
                let detail = format!("not reached: {}", step.name);
                return Property {
                    name,
                    outcome: Outcome::Unknown,
                    detail,
                    violations: Vec::new(),
                };
            };
            let violations: Vec<Violation> = account
                .failure
                .iter()
                .map(|reason| Violation {
                    rule: name.clone(),
                    summary: format!("step {} ({}): {reason}", i + 1, step.name),
                    nodes: vec![format!("n{}", account.node)],
                    operations: Vec::new(),
                    trace: Vec::new(),
                    refutation: None,
                })
                .collect();
            let held = account.held_ms >= Some(hold_ms(record, i));
            let outcome = match (violations.is_empty(), held) {
                (false, _) => Outcome::Violated,
                (true, true) => Outcome::Ok,
                (true, false) => Outcome::Unknown,
            };
            Property { name, outcome, detail: step.name.clone(), violations }
        })
        .collect();
    let rules = raft::check(&evidence.traces, &evidence.run);
    let safety = rules.len();
    properties.extend(rules);
    for gap in &evidence.run.incomplete {
        properties.push(Property {
            name: "completeness".into(),
            outcome: Outcome::Unknown,
            detail: gap.clone(),
            violations: Vec::new(),
        });
    }
    let mut verdict = Verdict::of(properties);
    if verdict.outcome == Outcome::Ok {
        verdict.summary = format!(
            "All {} steps of {} went as expected, and the traces of {} nodes keep Raft's {safety} safety rules.",
            steps.len(),
            scenario.name,
            evidence.traces.len(),
        );
    }
    if evidence.run.simulated { verdict.of_simulation() } else { verdict }
}

fn hold_ms(record: &Record, step: usize) -> u64 {
    let hold = record.election_timeout * record.scenario.steps[step].hold_timeouts;
    u64::try_from(hold.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{
            data::Scenario,
            machine::{Account, StepAccount},
        },
        *,
    };

    fn record(reached: usize, failure: Option<&str>) -> Record {
        let scenario = Scenario::load("leader-election").unwrap();
        let steps = (0..reached)
            .map(|i| StepAccount {
                number: i + 1,
                name: scenario.steps[i].name.clone(),
                done: String::new(),
                node: 1,
                crashed: false,
                began: 0,
                acted: 0,
                reached_ms: Some(1),
                held_ms: Some(1500),
                leader: None,
                failure: failure.filter(|_| i + 1 == reached).map(str::to_owned),
            })
            .collect();
        let account = Account { steps, observations: Vec::new() };
        Record { scenario, election_timeout: Duration::from_millis(100), seed: 1, account }
    }

    fn verdict(record: &Record) -> Verdict {
        // No traces are asked for here: the steps alone decide.
        of(record, &Evidence::default())
    }

    #[test]
    fn all_steps_hold() {
        let verdict = verdict(&record(8, None));
        assert_eq!(verdict.outcome, Outcome::Ok);
        assert!(
            verdict.summary.starts_with("All 8 steps of leader-election"),
            "{}",
            verdict.summary
        );
    }

    #[test]
    fn a_failed_step_is_a_violation_that_names_it() {
        let verdict = verdict(&record(4, Some("the leader changed from n3 to n4")));
        assert_eq!(verdict.outcome, Outcome::Violated);
        assert!(verdict.summary.contains("step 4 (the fourth joins"), "{}", verdict.summary);
        assert_eq!(verdict.properties[4].outcome, Outcome::Unknown);
    }

    #[test]
    fn a_scenario_cut_short_is_undecided() {
        assert_eq!(verdict(&record(7, None)).outcome, Outcome::Unknown);
        let mut short = record(8, None);
        short.account.steps[7].held_ms = Some(1499);
        assert_eq!(verdict(&short).outcome, Outcome::Unknown);
        let mut evidence = Evidence::default();
        evidence.run.incomplete.push("n2 wrote no trace".into());
        assert_eq!(of(&record(8, None), &evidence).outcome, Outcome::Unknown);
    }

    #[test]
    fn traces_that_violate_raft_outrank_steps_that_went_well() {
        use proto::trace::{Event, Position, Record as Line, Role};
        let trace = |node| {
            let last = Position::default();
            let event = |seq, event| Line { node, boot: 1, seq, clock: seq + 1, time: 0, event };
            let voters = vec![1, 2];
            vec![
                event(0, Event::Started { term: 0, vote: None, last, voters }),
                event(1, Event::Term { term: 1 }),
                event(2, Event::Role { term: 1, role: Role::Leader, leader: Some(node), last }),
            ]
        };
        let mut evidence = Evidence { traces: vec![trace(1), trace(2)], ..Evidence::default() };
        evidence.run.traced = true;
        evidence.run.nodes = 2;
        assert_eq!(of(&record(8, None), &evidence).outcome, Outcome::Violated);
    }
}
