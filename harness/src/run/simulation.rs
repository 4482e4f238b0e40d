//! Simulated runs as run directories, like any other.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, bail, ensure};
use checker::{
    budget::Limits,
    evidence::{self, Evidence, Run},
    verdict::Outcome,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Finished, Judgement, Settings, Stop, directory, judge,
    progress::{self, Progress},
    save,
};
use crate::{
    cluster::{
        sim::{STOPPED, Simulation},
        simulate, simulate_inert,
    },
    plan::Plan,
    report,
};

/// Simulates a plan, and writes and judges the run directory.
pub(super) async fn run(settings: &Settings, stop: &Stop) -> anyhow::Result<Finished> {
    let plan = &settings.plan;
    let dir = directory::create(settings.out.as_deref(), plan.workload.name(), plan.seed)?;
    let mut progress = Progress::new();
    progress.step("Simulating");
    let stopped = Arc::new(AtomicBool::new(false));
    let work = {
        let (plan, dir, command) = (plan.clone(), dir.clone(), settings.command.clone());
        let (stopped, inert) = (Arc::clone(&stopped), settings.inert);
        tokio::task::spawn_blocking(move || {
            let simulate = if inert { simulate_inert } else { simulate };
            let simulation = simulate(&plan, &stopped);
            keep_or_tell(&dir, &plan, &simulation, &command)
        })
    };
    tokio::pin!(work);
    let kept = tokio::select! {
        kept = &mut work => kept,
        () = stop.first() => {
            stopped.store(true, Ordering::Relaxed);
            progress.step("Stopping, and judging what was recorded until now");
            tokio::select! {
                kept = work => kept,
                () = stop.second() => bail!("stopped at once; the run was not judged"),
            }
        }
    };
    progress.end();
    let (judgement, page) = kept.context("the simulation panicked")??;
    Ok(Finished { directory: dir, judgement, page, left: None })
}

/// Writes a simulated run into a directory, judges it and draws its page. The error within is why
/// there is no page.
///
/// # Errors
/// The directory cannot be written to.
pub fn keep(
    dir: &Path,
    plan: &Plan,
    simulation: &Simulation,
    command: &[String],
) -> anyhow::Result<(Judgement, Result<PathBuf, String>)> {
    let plan = Plan { cluster: plan.cluster.in_virtual_time(), ..plan.clone() };
    plan.save(dir)?;
    let environment = json!({
        "version": 1,
        "harness": {
            "version": env!("CARGO_PKG_VERSION"),
            "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        },
        "command": command,
        "simulation": {
            "events": simulation.events,
            "virtual_time_ms": simulation.virtual_time.as_millis(),
        },
    });
    write(dir, "environment.json", format!("{environment:#}\n").as_bytes())?;
    fs::create_dir_all(dir.join("trace")).with_context(|| dir.display().to_string())?;
    for (name, bytes) in files(&simulation.evidence)? {
        write(dir, &name, &bytes)?;
    }
    let files = evidence::sizes(dir).with_context(|| dir.display().to_string())?;
    save(dir, &Run { files, ..simulation.evidence.run.clone() })?;
    let judgement = judge(dir)?;
    Ok((judgement, report::write(dir).map_err(|error| format!("{error:#}"))))
}

/// The same, but that a violation cannot be written is only printed: it outranks everything, a full
/// disk included.
///
/// # Errors
/// The directory cannot be written to, and nothing was violated.
pub fn keep_or_tell(
    dir: &Path,
    plan: &Plan,
    simulation: &Simulation,
    command: &[String],
) -> anyhow::Result<(Judgement, Result<PathBuf, String>)> {
    keep(dir, plan, simulation, command).or_else(|error| {
        let verdict = checker::judge::run(&simulation.evidence, &Limits::default());
        if verdict.outcome != Outcome::Violated {
            return Err(error);
        }
        progress::print(&format!("{error:#}"));
        let none = "the run could not be written".to_owned();
        Ok((Judgement::of(verdict, &simulation.evidence), Err(none)))
    })
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The files of the evidence that are the same whenever the plan is simulated: name and bytes.
///
/// # Errors
/// Something has no form in JSON.
pub fn files(evidence: &Evidence) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = vec![
        ("history.jsonl".to_owned(), lines(evidence.history.registers())?),
        ("faults.jsonl".to_owned(), lines(&evidence.faults)?),
    ];
    for (number, trace) in (1..).zip(&evidence.traces) {
        files.push((format!("trace/n{number}.jsonl"), lines(trace)?));
    }
    Ok(files)
}

fn lines(values: &[impl Serialize]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for value in values {
        serde_json::to_writer(&mut bytes, value)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// How far a run that was recorded is the same as one that was simulated again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Same {
    /// Lines that are the same.
    pub lines: usize,
    /// Whether that is all of both. Else the recorded run was cut short, and says so.
    pub whole: bool,
}

/// Compares evidence with what a run directory holds.
///
/// # Errors
/// A file cannot be read, or something differs: says what all does, and in which line first.
pub fn compare(dir: &Path, evidence: &Evidence) -> anyhow::Result<Same> {
    let path = dir.join("run.json");
    let text = fs::read(&path).with_context(|| path.display().to_string())?;
    let recorded: Run =
        serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    // Whether it says itself that it did not go on to its end.
    let cut_short = recorded.incomplete.iter().any(|why| why.starts_with(STOPPED));
    let mut same = Same { lines: 0, whole: true };
    let mut differing = Vec::new();
    let mut sizes = evidence::sizes(dir).with_context(|| dir.display().to_string())?;
    if sizes != recorded.files {
        differing.push("what run.json says of the files' sizes".to_owned());
    }
    for (name, bytes) in files(evidence)? {
        if sizes.remove(&name).is_none() {
            differing.push(format!("{name}, which is missing"));
            continue;
        }
        let path = dir.join(&name);
        let recorded = fs::read(&path).with_context(|| path.display().to_string())?;
        if recorded != bytes {
            if !cut_short || !bytes.starts_with(&recorded) {
                let pairs = recorded.split(|b| *b == b'\n').zip(bytes.split(|b| *b == b'\n'));
                let line = pairs.take_while(|(old, new)| old == new).count() + 1;
                differing.push(format!("{name} from line {line} on"));
            }
            same.whole = false;
        }
        same.lines += recorded.iter().filter(|byte| **byte == b'\n').count();
    }
    differing.extend(sizes.into_keys().map(|name| format!("{name}, which the replay has not")));
    // Of a run that was cut short it tells another end.
    let replayed = Run { files: recorded.files.clone(), ..evidence.run.clone() };
    if !cut_short && serde_json::from_slice::<Value>(&text)? != serde_json::to_value(replayed)? {
        differing.push("run.json".to_owned());
    }
    ensure!(
        differing.is_empty(),
        "the replay differs from what {} has: {}. The run was recorded by another build, or changed \
         since, or simulation is not deterministic, which would be a bug",
        dir.display(),
        differing.join("; ")
    );
    Ok(same)
}
