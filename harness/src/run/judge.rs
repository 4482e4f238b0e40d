//! Recorded evidence to a verdict: at the end of a run, and again whenever one likes.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Context;
use checker::{
    budget::Limits,
    evidence::{self, Evidence},
    fault::Phase,
    history::Kind,
    judge,
    property::measures,
    verdict::{Outcome, Verdict},
};
use proto::trace::{Event, Role};

use super::{progress, record::Counts};

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
}

/// Checks a run directory, and writes `verdict.json` into it.
///
/// # Errors
/// The directory holds no run, its evidence is damaged, or the verdict cannot be written; but see
/// [`save`].
pub fn judge(dir: &Path) -> anyhow::Result<Judgement> {
    let evidence = evidence::load(dir)?;
    let verdict = judge::run(&evidence, &Limits::default());
    save(dir, &verdict)?;
    // Whoever compares runs can do without; a verdict that was written is worth more.
    if let Err(error) = measure(dir, &evidence) {
        progress::print(&format!("{error:#}"));
    }
    Ok(Judgement::of(verdict, &evidence))
}

/// Writes `measures.json`: what the run cost and how well it served.
fn measure(dir: &Path, evidence: &Evidence) -> anyhow::Result<()> {
    let path = dir.join("measures.json");
    let measures = measures::of(evidence);
    let mut text = serde_json::to_string_pretty(&measures).context("measures.json")?;
    text.push('\n');
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

impl Judgement {
    /// A verdict, and what it rests on.
    pub(crate) fn of(verdict: Verdict, evidence: &Evidence) -> Self {
        Self {
            verdict,
            counts: counts(evidence),
            faults: confirmed(evidence),
            leaders: leaders(evidence),
        }
    }
}

/// Writes `verdict.json`. That a violation cannot be written is only printed: it outranks
/// everything, a full disk included.
///
/// # Errors
/// Another verdict cannot be written.
pub(crate) fn save(dir: &Path, verdict: &Verdict) -> anyhow::Result<()> {
    let path = dir.join("verdict.json");
    let mut text = serde_json::to_string_pretty(verdict).context("verdict.json")?;
    text.push('\n');
    let saved = fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()));
    match saved {
        Err(error) if verdict.outcome == Outcome::Violated => {
            progress::print(&format!("{error:#}"));
            Ok(())
        }
        saved => saved,
    }
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
    fn a_violation_outranks_a_verdict_that_cannot_be_written() {
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
        let error = judge(dir.path()).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("verdict.json"), "{error}");
        fs::write(&history, read("7")).unwrap();
        assert_eq!(judge(dir.path()).unwrap().verdict.outcome, Outcome::Violated);
    }
}
