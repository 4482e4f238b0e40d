//! Recorded evidence to a verdict: at the end of a run, and again whenever one likes.

use std::{collections::BTreeSet, fs, io::ErrorKind, path::Path};

use anyhow::Context;
use checker::{
    budget::Limits,
    evidence::{self, Evidence, Run, sums},
    fault::Phase,
    history::Kind,
    judge,
    linear::{self, online::Offence},
    property::measures,
    verdict::{Outcome, Verdict, Violation},
};
use proto::trace::{Event, Role};
use serde::Serialize;

use super::{progress, record::Counts};
use crate::{
    exercise::limits::expect,
    plan::{ClusterKind, Plan},
};

/// A verdict, and how much it rests on.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Operations by outcome.
    pub counts: Counts,
    /// Faults that were seen to bite.
    pub faults: usize,
    /// Terms that had a leader.
    pub leaders: usize,
    /// Whether `verdict.json` was written.
    pub saved: bool,
}

/// Checks a run directory, and writes `verdict.json` into it; see [`save`].
///
/// # Errors
/// The directory holds no run, or its evidence is damaged.
pub fn judge(dir: &Path) -> anyhow::Result<Judgement> {
    let mut evidence = evidence::load(dir)?;
    let differs = against_plan(dir, &evidence.run)?;
    evidence.run.incomplete.extend(differs);
    Ok(Judgement::saved(dir, &evidence, verdict(&evidence)))
}

/// What is known of a run that has just ended, and that its directory may lack: its disk was full.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// What `run.json` was to say, if it could not be written.
    pub(super) run: Option<Run>,
    /// A violation that was found while the run went on, if the history was cut short.
    pub(super) found: Option<Offence>,
}

/// The same, of a run that has just ended.
///
/// # Errors
/// The evidence is damaged, and nothing that is known beside it is a violation.
pub(super) fn judge_ended(dir: &Path, ended: Ended) -> anyhow::Result<Judgement> {
    let loaded = evidence::load(dir);
    let (mut evidence, damaged) = match loaded {
        Ok(evidence) => (evidence, None),
        Err(error) => (Evidence::default(), Some(error)),
    };
    if let Some(run) = ended.run {
        let mut incomplete = run.incomplete.clone();
        let found = std::mem::take(&mut evidence.run);
        incomplete.extend(found.incomplete.into_iter().filter(|it| !run.incomplete.contains(it)));
        evidence.run = Run { incomplete, lost: found.lost, ..run };
    }
    if damaged.is_none() {
        evidence.run.incomplete.extend(against_plan(dir, &evidence.run)?);
    }
    let mut judgement = verdict(&evidence);
    if let Some(found) = ended.found {
        judgement.verdict = violated(judgement.verdict, found, evidence.history.len());
    }
    match damaged {
        Some(error) if judgement.verdict.outcome != Outcome::Violated => Err(error.into()),
        _ => Ok(Judgement::saved(dir, &evidence, judgement)),
    }
}

fn verdict(evidence: &Evidence) -> Judgement {
    Judgement::of(judge::run(evidence, &Limits::default()), evidence)
}

/// A verdict with a violation that the recorded part of the history does not show. That part has
/// `recorded` events.
fn violated(verdict: Verdict, found: Offence, recorded: usize) -> Verdict {
    let mut properties = verdict.properties;
    let property = properties.iter_mut().find(|property| property.name == linear::NAME);
    if let Some(property) = property
        && property.outcome != Outcome::Violated
    {
        property.outcome = Outcome::Violated;
        property.detail = "found while the run went on, in what could not be recorded".to_owned();
        property.violations = vec![Violation {
            rule: linear::NAME.into(),
            summary: found.summary,
            nodes: Vec::new(),
            operations: Some(found.event)
                .filter(|event| *event < recorded as u64)
                .into_iter()
                .collect(),
            trace: Vec::new(),
            refutation: None,
        }];
    }
    let Verdict { not_tested, not_judged, .. } = verdict;
    Verdict { not_tested, not_judged, ..Verdict::of(properties) }
}

/// Writes `measures.json`: what the run cost and how well it served.
fn measure(dir: &Path, evidence: &Evidence) -> anyhow::Result<()> {
    let path = dir.join("measures.json");
    let measures = measures::of(evidence);
    let mut text = serde_json::to_string_pretty(&measures).context("measures.json")?;
    text.push('\n');
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// In what `run.json` is not as the run's plan has it, in sentences: an edit of what was promised
/// or expected would change what the verdict means.
///
/// # Errors
/// `plan.json` cannot be read.
fn against_plan(dir: &Path, run: &Run) -> anyhow::Result<Vec<String>> {
    let path = dir.join("plan.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        // A history that another program recorded has no plan; a run with faults or traces has one.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let planned = run.traced || run.expect.faults > 0;
            let missing = planned.then(|| "plan.json is missing".to_owned());
            let known = missing.filter(|gap| !run.incomplete.contains(gap));
            return Ok(known.into_iter().collect());
        }
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let plan: Plan = match serde_json::from_slice(&text) {
        Ok(plan) => plan,
        Err(error) => return Ok(vec![format!("plan.json is no plan of this build: {error}")]),
    };
    let planned = Run {
        model: plan.workload.model().into(),
        traced: plan.system.traced(),
        simulated: match plan.cluster {
            ClusterKind::Docker => false,
            ClusterKind::Sim => true,
            ClusterKind::InProcess => run.simulated,
        },
        expect: expect(&plan),
        ..run.clone()
    };
    // As JSON has them: times there are rounded.
    let (said, planned) = (serde_json::to_value(run)?, serde_json::to_value(planned)?);
    let names = ["model", "traced", "simulated", "expect"];
    let differs = names.into_iter().filter(|name| said.get(name) != planned.get(name));
    // A field that is false may be left out.
    let shown =
        |of: &serde_json::Value, name| of.get(name).map_or("false".into(), ToString::to_string);
    let sentence = |name| {
        let (said, planned) = (shown(&said, name), shown(&planned, name));
        format!("run.json has {name} {said}, and by plan.json that is {planned}")
    };
    Ok(differs.map(sentence).collect())
}

impl Judgement {
    /// A verdict that is not written, and what it rests on.
    pub(crate) fn of(verdict: Verdict, evidence: &Evidence) -> Self {
        Self {
            verdict,
            counts: counts(evidence),
            faults: confirmed(evidence),
            leaders: leaders(evidence),
            saved: false,
        }
    }

    fn saved(dir: &Path, evidence: &Evidence, judgement: Self) -> Self {
        // Whoever compares runs can do without.
        if let Err(error) = measure(dir, evidence) {
            progress::print(&format!("{error:#}"));
        }
        Self { saved: save(dir, &judgement.verdict), ..judgement }
    }
}

/// Writes `verdict.json`, if the directory lets it: a verdict that cannot be written is one all the
/// same, and the terminal shows it. It names the evidence that it was made from: see
/// [`sums::seal`]. Returns whether the file was written.
pub(crate) fn save(dir: &Path, verdict: &Verdict) -> bool {
    let path = dir.join("verdict.json");
    let evidence = sums::seal(dir).map(|digest| digest.to_string());
    let text = serde_json::to_string_pretty(&Judged { verdict, evidence }).context("verdict.json");
    let saved = text.and_then(|text| {
        fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    });
    if let Err(error) = &saved {
        progress::print(&format!("warning: {error:#}; the verdict is printed only"));
    }
    saved.is_ok()
}

/// `verdict.json`.
#[derive(Serialize)]
struct Judged<'a> {
    #[serde(flatten)]
    verdict: &'a Verdict,
    /// The digest of `SHA256SUMS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
}

fn counts(evidence: &Evidence) -> Counts {
    let mut counts = Counts::default();
    for place in evidence.history.places() {
        match place.kind {
            Kind::Invoke => {}
            Kind::Ok => counts.ok += 1,
            Kind::Fail => counts.fail += 1,
            Kind::Info => counts.info += 1,
        }
    }
    counts
}

fn confirmed(evidence: &Evidence) -> usize {
    let confirmed = evidence.faults.iter().filter(|record| record.phase == Phase::Confirmed);
    confirmed.map(|record| record.fault).collect::<BTreeSet<_>>().len()
}

fn leaders(evidence: &Evidence) -> usize {
    let terms = evidence.traces.iter().flatten().filter_map(|record| match record.event {
        Event::Role { term, role: Role::Leader, .. } => Some(term),
        _ => None,
    });
    terms.collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_that_cannot_be_written_is_one_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let event = |index, kind, value| {
            format!(
                "{{\"index\":{index},\"time\":{index},\"process\":0,\"type\":\"{kind}\",\"f\":\"read\",\
                 \"key\":\"k\",\"value\":{value}}}\n"
            )
        };
        let read = |value| event(0, "invoke", "null") + &event(1, "ok", value);
        let history = dir.path().join("history.jsonl");
        fs::create_dir(dir.path().join("verdict.json")).unwrap();
        fs::write(&history, read("null")).unwrap();
        let judgement = judge(dir.path()).unwrap();
        assert_eq!((judgement.verdict.outcome, judgement.saved), (Outcome::Unknown, false));
        fs::write(&history, read("7")).unwrap();
        assert_eq!(judge(dir.path()).unwrap().verdict.outcome, Outcome::Violated);
    }

    fn found() -> Offence {
        Offence { event: 700, summary: "n1 lost a write".into() }
    }

    #[test]
    fn what_a_full_disk_did_not_take_convicts_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("history.jsonl"), "").unwrap();
        let of = |ended| judge_ended(dir.path(), ended).unwrap().verdict;
        assert_eq!(of(Ended::default()).outcome, Outcome::Unknown);
        let lost = of(Ended { found: Some(found()), ..Ended::default() });
        assert_eq!(lost.outcome, Outcome::Violated);
        assert!(lost.summary.contains("n1 lost a write"), "{}", lost.summary);
        let crash = evidence::Crash {
            node: 2,
            ending: evidence::Ending::Defect,
            how: "exited with code 101".into(),
        };
        let run = Run { crashes: vec![crash], ..Run::default() };
        let crashed = of(Ended { run: Some(run), ..Ended::default() });
        assert!(crashed.summary.starts_with("Violated (crash-free)"), "{}", crashed.summary);
    }

    #[test]
    fn damaged_evidence_hides_no_violation_that_is_known() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("history.jsonl"), "nonsense\n{}\n").unwrap();
        assert!(judge_ended(dir.path(), Ended::default()).is_err());
        let known = Ended { found: Some(found()), ..Ended::default() };
        assert_eq!(judge_ended(dir.path(), known).unwrap().verdict.outcome, Outcome::Violated);
    }
}
