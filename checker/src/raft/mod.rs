//! Raft's safety, decided from what the nodes wrote down ([`proto::trace`]).
//!
//! [`check`] merges the traces of a run by cause and gives one property per rule. [`Checker`] is
//! the same without recorded evidence: one line after the other, so that a simulation can stop at
//! the first step that breaks a rule.
//!
//! Each rule is a file in `rules/`, a judgement of one line by what was known before it
//! (`state`). Two steps that did not cause each other may be observed in either order, so a rule
//! may rely only on what *must* have come before: the lines of the same node, and the lines that
//! caused this one. What may be learnt late (a stale leader's commit, say) is judged when it comes.
//! Where something is found, `causes` looks whether the clocks can be believed; if not, what
//! rests on them alone is no violation, and nothing is green.
//!
//! # Caveats
//!
//! - The judgement is as good as the account. A node that traces a sync that it never made is
//!   caught only when a crash loses the data.
//! - Members are fixed: joint configurations and snapshots have no steps in the trace yet.
//! - Traces must be collected after the nodes have stopped, or in one go: a leader's trace that
//!   is newer than its followers' claims acknowledgements that nobody sent.

mod causes;
mod checker;
mod integrity;
mod log;
mod merge;
mod rules;
mod state;
mod step;

use std::collections::BTreeMap;

use proto::trace::Record;

pub use checker::{Checker, Passed};
pub use state::Line;
pub use step::Finding;

use crate::{
    evidence::Run,
    verdict::{Fold, Outcome, Property, VIOLATIONS_MAX, Violation},
};

/// Checks every rule on the nodes' traces. One property per rule, in a fixed order, the integrity
/// of the evidence itself first; none at all for a system that writes no traces.
///
/// Where evidence is missing or contradicts itself, no rule is better than
/// [`Outcome::Unknown`], but what the rest of the evidence proves is still
/// [`Outcome::Violated`].
pub fn check(traces: &[Vec<Record>], run: &Run) -> Vec<Property> {
    check_after(traces, run, None)
}

/// The same, where a checker may have observed all lines of these traces already, while they were
/// written, in an order of causes and effects, and found nothing. It is believed where the traces
/// are whole and as long as what it saw: no such order leads to another verdict. Anything else is
/// judged from the traces.
pub fn check_after(traces: &[Vec<Record>], run: &Run, passed: Option<&Passed>) -> Vec<Property> {
    if !run.traced && traces.iter().all(Vec::is_empty) {
        return Vec::new();
    }
    let evidence = integrity::examine(traces, run);
    match passed {
        Some(passed) if evidence.flaws.is_empty() && passed.lines == evidence.lines() as u64 => {
            let rules = passed.rules.iter().map(|(name, examined)| Property {
                name: (*name).to_owned(),
                outcome: Outcome::Ok,
                detail: examined.clone(),
                violations: Vec::new(),
            });
            [evidence.property()].into_iter().chain(rules).collect()
        }
        _ => judge(evidence),
    }
}

/// The names of all properties that are judged by traces.
pub fn names() -> Vec<String> {
    let rules = Checker::new();
    let rules = rules.rules().map(|(name, _)| name.to_owned());
    [integrity::NAME.to_owned()].into_iter().chain(rules).collect()
}

/// The rules that are undecided for no other reason than that traces are missing or flawed, folded
/// into one; what is wrong with the traces is told by `trace-integrity`.
pub fn undecided(properties: &[Property], traces: &[Vec<Record>]) -> Option<Fold> {
    let (integrity, rules) = properties.split_first()?;
    if integrity.outcome == Outcome::Ok {
        return None;
    }
    let undecided = rules.iter().filter(|it| it.outcome == Outcome::Unknown);
    let names: Vec<String> = undecided.map(|it| it.name.clone()).collect();
    let whole = traces.iter().filter(|trace| !trace.is_empty()).count();
    let detail = match whole {
        0 => "there is no trace".to_owned(),
        1 => "no violation in the one trace there is".to_owned(),
        n => format!("no violation in the {n} traces there are, as far as they go"),
    };
    (names.len() > 1).then(|| Fold { names, what: "trace properties".to_owned(), detail })
}

/// Takes the lines in order of their clocks to a checker.
fn judge(mut evidence: integrity::Evidence<'_>) -> Vec<Property> {
    let mut checker = Checker::new();
    for node in &evidence.lost {
        checker.lost(*node);
    }
    // Violations cite lines by their position in the merged order.
    let mut order = Vec::with_capacity(evidence.lines());
    for record in merge::Merge::new(evidence.intact.iter().copied()) {
        checker.observe(record);
        order.push(record);
    }

    // Whoever finds nothing has found an order of causes and effects.
    let contradiction = match checker.findings() {
        [] => None,
        _ => causes::contradiction(&order),
    };
    let ordered = contradiction.is_none();
    evidence.flaws.extend(contradiction);
    let mut violations: BTreeMap<&str, Vec<Violation>> = BTreeMap::new();
    for finding in checker.findings().iter().filter(|finding| ordered || !finding.by_order) {
        let line = |line: &Line| Some((*order.get(usize::try_from(*line).ok()?)?).clone());
        violations.entry(finding.rule).or_default().push(Violation {
            rule: finding.rule.to_owned(),
            summary: finding.summary.clone(),
            nodes: finding.nodes.iter().map(|node| format!("n{node}")).collect(),
            operations: Vec::new(),
            trace: finding.lines.iter().filter_map(line).collect(),
            refutation: None,
        });
    }
    let broken = !evidence.flaws.is_empty();
    let mut properties = vec![evidence.property()];
    for (name, examined) in checker.rules() {
        let violations = violations.remove(name).unwrap_or_default();
        let (outcome, detail) = match violations.len() {
            0 if broken => (
                Outcome::Unknown,
                match ordered {
                    true => format!("nothing wrong in {examined}, but the traces are incomplete"),
                    false => format!("{examined}, in an order that is not that of causes"),
                },
            ),
            0 => (Outcome::Ok, examined),
            VIOLATIONS_MAX => {
                (Outcome::Violated, format!("the first {VIOLATIONS_MAX} violations in {examined}"))
            }
            1 => (Outcome::Violated, format!("1 violation in {examined}")),
            n => (Outcome::Violated, format!("{n} violations in {examined}")),
        };
        properties.push(Property { name: name.to_owned(), outcome, detail, violations });
    }
    properties
}
