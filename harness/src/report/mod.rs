//! The report: one page about one run, from its run directory alone.
//!
//! [`write`] reads `history.jsonl`, `faults.jsonl`, `trace/n<i>.jsonl`, `plan.json`,
//! `environment.json`, `run.json` and `verdict.json`, and writes `report.html`, which needs
//! nothing but itself, and `timeline.svg`, the picture in it.
//!
//! A run that was cut short is the one that most needs a page. So no file is required: what is
//! missing or torn is said on the page. Large files are aggregated as they stream by, so that an
//! hour's run of millions of operations makes a page as small as a minute's.
//!
//! - `read`: files to lines, problems to notes;
//! - `operations`, `faults`, `nodes`: what each kind of line adds up to;
//! - `timeline`: the picture; `page`: the words; `proof`: what shows that a fault took effect.
//!
//! A violation's operations are drawn by [`checker::explanation`].

mod faults;
mod nodes;
mod operations;
mod page;
mod proof;
mod read;
#[cfg(test)]
mod sample;
pub(crate) mod svg;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod timeline;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Context;
use checker::{evidence::Run, history::lines::Line, verdict::Verdict};

use self::{faults::Fault, nodes::Lane, operations::Operations, read::Notes};

/// Events kept for the tables of violations; more than a person reads.
const NAMED_MAX: usize = 2_000;
/// The largest cluster there is.
const NODES_MAX: u64 = node::raft::VOTERS_MAX as u64;

/// Writes `report.html` and `timeline.svg` into a run directory and returns the page's path.
///
/// # Errors
/// Fails when the directory does not exist or the two files cannot be written. Evidence that is
/// missing or torn is no error.
pub fn write(dir: &Path) -> anyhow::Result<PathBuf> {
    place(dir, &dir.join("report.html"), Some(&dir.join("timeline.svg")))
}

/// The same, elsewhere: in the directory `out`, or in the one file `out` if its name ends in
/// `.html`, as the page needs no other.
///
/// # Errors
/// As [`write`]; or `out` cannot be created.
pub fn write_to(dir: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    if out.extension().is_some_and(|extension| extension == "html") && !out.is_dir() {
        return place(dir, out, None);
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    place(dir, &out.join("report.html"), Some(&out.join("timeline.svg")))
}

/// Draws a run's page, and its picture if that goes into a file of its own.
fn place(dir: &Path, page: &Path, picture: Option<&Path>) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(
        dir.is_dir(),
        "there is no run directory {}; give the path of a directory that a test wrote",
        dir.display()
    );
    let account = Account::read(dir);
    let timeline = timeline::draw(&account);
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(picture) = picture {
        write(picture, timeline.standalone())?;
    }
    write(page, page::render(&account, &timeline, dir)?)?;
    Ok(page.to_owned())
}

/// The version of `environment.json`; another one is not shown.
pub(crate) const ENVIRONMENT_VERSION: u64 = 1;

/// All that picture and page are made of.
#[derive(Debug)]
struct Account {
    run: Option<Run>,
    verdict: Option<Verdict>,
    /// Whether this was a scenario, and not a test under load.
    scenario: bool,
    /// `plan.json` or `scenario.json`.
    plan: Option<serde_json::Value>,
    environment: Option<serde_json::Value>,
    operations: Operations,
    faults: Vec<Fault>,
    /// By the node's number.
    lanes: BTreeMap<u64, Lane>,
    /// Unix time in nanoseconds at time 0, where known.
    epoch: Option<u64>,
    /// The last moment on the time axis, in nanoseconds; never 0.
    end: u64,
    notes: Vec<String>,
}

impl Account {
    fn read(dir: &Path) -> Self {
        let mut notes = Notes::default();
        let run: Option<Run> = read::json(dir, "run.json", &mut notes);
        let verdict: Option<Verdict> = read::json(dir, "verdict.json", &mut notes);
        // A scenario's file is its plan.
        let scenario = dir.join("scenario.json").exists();
        let plan = if scenario { "scenario.json" } else { "plan.json" };
        let plan = read::json(dir, plan, &mut notes);
        let environment = read::json(dir, "environment.json", &mut notes);
        let environment = environment.filter(|it: &serde_json::Value| {
            let version = it.get("version").and_then(serde_json::Value::as_u64);
            let known = version == Some(ENVIRONMENT_VERSION);
            if !known {
                let version = version.map_or("no version".to_owned(), |it| format!("version {it}"));
                notes.add(format!(
                    "environment.json has {version}, and this build reads version \
                     {ENVIRONMENT_VERSION}: it is left out."
                ));
            }
            known
        });

        let named: BTreeSet<u64> = verdict
            .iter()
            .flat_map(|v| &v.properties)
            .flat_map(|p| &p.violations)
            .flat_map(|v| v.operations.iter().take(page::EVENTS_MAX).copied())
            .take(NAMED_MAX)
            .collect();
        let mut operations = Operations::new(named);
        read::lines(dir, "history.jsonl", &mut notes, |line| {
            operations.take(Line::of(line)?);
            Ok(())
        });
        let finished = run.as_ref().filter(|run| !run.unfinished);
        operations.finish(finished.map(|run| run.duration));

        let mut faults = BTreeMap::new();
        read::lines(dir, "faults.jsonl", &mut notes, |line| {
            faults::take(&mut faults, serde_json::from_slice(line)?);
            Ok(())
        });
        let faults: Vec<Fault> = faults.into_values().collect();

        let mut epoch = run.as_ref().map(|run| run.started);
        let mut lanes: BTreeMap<u64, Lane> = BTreeMap::new();
        let expected = run.as_ref().map_or(0, |run| run.nodes as u64);
        let traced = run.as_ref().is_none_or(|run| run.traced);
        let never_started = run.as_ref().map_or(&[][..], |run| &run.never_started);
        for node in 1..=NODES_MAX {
            // The node's name or its bare number.
            let mut names = [format!("trace/n{node}.jsonl"), format!("trace/{node}.jsonl")];
            if !dir.join(&names[0]).exists() && dir.join(&names[1]).exists() {
                names.swap(0, 1);
            }
            let mut lane = Lane::default();
            if dir.join(&names[0]).exists()
                || (traced && node <= expected && !never_started.contains(&node))
            {
                read::lines(dir, &names[0], &mut notes, |line| lane.take(line, &mut epoch));
            } else if node > expected {
                continue;
            }
            lanes.insert(node, lane);
        }
        if run.is_none() && lanes.values().any(|lane| lane.traced) {
            notes.add("Without run.json the clock of the traces cannot be aligned with that of the history: roles are shown as if the first trace line had been written at time 0.");
        }
        if let Some(run) = &run {
            if run.unfinished {
                notes.add("The run was killed: this is what was recorded until then.");
            }
            notes.0.extend(run.incomplete.iter().cloned());
        }

        let last_fault = faults.iter().map(|fault| fault.span().1).max().unwrap_or(0);
        let end = match run.as_ref().map(|run| run.duration) {
            Some(duration) if duration > 0 => duration.max(last_fault),
            _ => operations.end.max(last_fault).max(
                lanes
                    .values()
                    .filter_map(|lane| lane.segments.last())
                    .map(|s| s.start)
                    .max()
                    .unwrap_or(0),
            ),
        }
        .max(1);
        Self {
            run,
            verdict,
            scenario,
            plan,
            environment,
            operations,
            faults,
            lanes,
            epoch,
            end,
            notes: notes.0,
        }
    }

    /// Whether the run was simulated, as far as is known.
    fn simulated(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.simulated)
    }

    /// Every node that led a term, in order of time: (time, term, node).
    fn leaders(&self) -> Vec<(u64, u64, u64)> {
        let mut leaders: Vec<_> = self
            .lanes
            .iter()
            .flat_map(|(node, lane)| {
                lane.segments
                    .iter()
                    .filter(|s| s.role == proto::trace::Role::Leader && !s.stopped)
                    .map(|s| (s.start, s.term, *node))
            })
            .collect();
        leaders.sort_unstable();
        let mut seen = BTreeSet::new();
        leaders.retain(|(_, term, node)| seen.insert((*term, *node)));
        leaders
    }

    /// Faults that may have had an effect within an interval.
    fn active_between(&self, start: u64, end: u64) -> impl Iterator<Item = &Fault> {
        self.faults
            .iter()
            .filter(move |f| f.active(self.end).is_some_and(|(from, to)| from < end && to > start))
    }

    /// Where the violations lie on the time axis: (time, rule).
    fn marks(&self) -> Vec<(u64, &str)> {
        let mut marks = BTreeSet::new();
        for violation in
            self.verdict.iter().flat_map(|v| &v.properties).flat_map(|p| &p.violations).take(200)
        {
            let operations = violation
                .operations
                .iter()
                .filter_map(|index| self.operations.named.get(index))
                .map(|event| event.time);
            let steps = violation
                .trace
                .iter()
                .map(|step| step.time.saturating_sub(self.epoch.unwrap_or(0)));
            // One mark a violation: where its last event makes it complete.
            if let Some(time) = operations.chain(steps).max() {
                marks.insert((time.min(self.end), violation.rule.as_str()));
            }
        }
        marks.into_iter().collect()
    }
}
