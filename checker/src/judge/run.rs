//! Judges a whole run: every property, from everything that was recorded.

use super::{
    clients::{self, Checked},
    models::{self, Check, Model},
    online::{Chunks, Online},
};
use crate::{
    budget::Limits,
    evidence::Evidence,
    history::{Events, Operation, Request, generic, operation},
    linear::online::Online as Registers,
    property::{
        completeness, coverage, crash_free, determinism, faults, final_state, limits, liveness,
        revisions,
    },
    raft,
    surface::Tested,
    verdict::{Outcome, Property, Verdict},
};

/// What other properties cannot judge without traces.
const UNTRACED: [&str; 2] = ["liveness of what nodes apply", "liveness of elections"];

/// Name of the property of a history that no decider could read.
const NAME: &str = "model";

/// Checks every property of a run.
pub fn run(evidence: &Evidence, limits: &Limits) -> Verdict {
    let verdict = run_after(evidence, None, limits);
    if evidence.run.simulated { verdict.of_simulation() } else { verdict }
}

/// The same, where Raft's safety may have been checked while the run went on: see
/// [`raft::check_after`]. The summary does not repeat that a run was simulated.
pub fn run_after(evidence: &Evidence, passed: Option<&raft::Passed>, limits: &Limits) -> Verdict {
    let name = &evidence.run.model;
    let model = Model::named(name);
    let unknown = || Err(format!("run.json names the model {name}; {}", models::known()));
    let converted;
    let events = match model {
        Some(model) if !clients::is_typed(&evidence.history, model) => {
            converted = clients::typed(evidence.history.clone(), model);
            &converted
        }
        _ => &evidence.history,
    };
    match (events, model) {
        (Events::Register(events), Some(_)) => {
            let mut checked = clients::registers(events, limits);
            let revisions = revisions::check(&checked.operations);
            if let (Ok(properties), Some(revisions)) = (&mut checked.properties, revisions) {
                properties.push(revisions);
            }
            sum_up(evidence, checked, passed)
        }
        (Events::Generic(events), Some(model)) => {
            sum_up(evidence, clients::generic(events, model, limits), passed)
        }
        (Events::Register(events), None) => {
            let operations = operation::pair(events);
            sum_up(evidence, Checked::of(operations, Operation::is_told, |_| unknown()), passed)
        }
        (Events::Generic(events), None) => {
            let operations = generic::pair(events);
            let is_told = generic::Operation::is_told;
            sum_up(evidence, Checked::of(operations, is_told, |_| unknown()), passed)
        }
    }
}

/// What looks at a history while it is recorded, to end a run that has failed already; `None` for
/// models that only whole histories are checked against.
pub fn online(model: &str) -> Option<Online> {
    match Model::named(model)? {
        Model { check: Check::Register, .. } => Some(Online::Registers(Registers::default())),
        Model { name: "etcd", .. } => Some(Online::Store(Chunks::default())),
        _ => None,
    }
}

fn sum_up(
    evidence: &Evidence,
    clients: Checked<impl Request>,
    passed: Option<&raft::Passed>,
) -> Verdict {
    let Checked { operations, malformed, properties } = clients;
    let mut properties = properties.unwrap_or_else(|problem| {
        let model = &evidence.run.model;
        let detail = format!("the history was not checked as {model}: {problem}");
        let violations = Vec::new();
        vec![Property { name: NAME.into(), outcome: Outcome::Unknown, detail, violations }]
    });
    let rules = raft::check_after(&evidence.traces, &evidence.run, passed);
    let fold = raft::undecided(&rules, &evidence.traces);
    properties.extend(rules);
    properties.extend(limits::check(&evidence.run));
    properties.extend([
        final_state::check(&evidence.run),
        crash_free::check(&evidence.run, &evidence.history),
        liveness::check(evidence, &operations),
        coverage::check(evidence, &operations),
        faults::check(&evidence.faults, &evidence.run),
        completeness::check(evidence, malformed.as_ref()),
    ]);
    properties.extend(determinism::check(&evidence.run));
    // The models of a store that speaks etcd's `KV`.
    let not_tested = match evidence.run.model.as_str() {
        "register" | "etcd" => Tested::of(&evidence.history).missing(),
        _ => Vec::new(),
    };
    let not_tested = not_tested.into_iter().map(str::to_owned).collect();
    let verdict = Verdict { not_tested, ..Verdict::folded(properties, fold) };
    // Where there are none, nobody promised any.
    match evidence.run.traced || !evidence.traces.iter().all(Vec::is_empty) {
        true => verdict,
        false => {
            verdict.without(raft::names().into_iter().chain(UNTRACED.map(str::to_owned)).collect())
        }
    }
}
