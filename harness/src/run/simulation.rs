//! Simulated runs as run directories, like any other.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use checker::{
    budget::Limits,
    evidence::{self, Differs, Evidence, Run},
    history::{Events, lines::Line},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Finished, Judgement, Settings, Stop, directory,
    files::Files,
    judge,
    progress::{self, Progress},
};
use crate::{
    cluster::{
        sim::{STOPPED, Simulation, Unobserved},
        simulate_guarded,
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
            let (simulation, _) = simulate_guarded(&plan, inert, None::<Unobserved>, &stopped);
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
    let (judgement, page) = kept.context("the simulation panicked")?;
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
    let mut files = Files::new(dir);
    files.json("plan.json", &plan)?;
    let environment = json!({
        "version": report::ENVIRONMENT_VERSION,
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
    files.json("environment.json", &environment)?;
    for (name, bytes) in self::files(&simulation.evidence)? {
        files.write(&name, &bytes)?;
    }
    files.seal(&simulation.evidence.run)?;
    let judgement = judge(dir)?;
    ensure!(judgement.saved, "cannot write {}", dir.join("verdict.json").display());
    Ok((judgement, report::write(dir).map_err(|error| format!("{error:#}"))))
}

/// The same, but that the run cannot be written is only printed: there is a verdict all the same.
pub fn keep_or_tell(
    dir: &Path,
    plan: &Plan,
    simulation: &Simulation,
    command: &[String],
) -> (Judgement, Result<PathBuf, String>) {
    keep(dir, plan, simulation, command).unwrap_or_else(|error| {
        let verdict = checker::judge::run(&simulation.evidence, &Limits::default());
        progress::print(&format!("{error:#}"));
        let none = "the run could not be written".to_owned();
        (Judgement::of(verdict, &simulation.evidence), Err(none))
    })
}

/// The files of the evidence that are the same whenever the plan is simulated: name and bytes.
///
/// # Errors
/// Something has no form in JSON.
pub fn files(evidence: &Evidence) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = vec![
        (
            "history.jsonl".to_owned(),
            match &evidence.history {
                Events::Register(events) => lines(events)?,
                Events::Generic(events) => lines(events)?,
            },
        ),
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

/// What differs first in virtual time between two simulations of one plan. All randomness of the
/// simulated world comes from the plan, so that the cause is the node that did something else.
pub fn difference(one: &Evidence, two: &Evidence) -> Option<Differs> {
    let traces = one.traces.iter().zip(&two.traces).zip(1..).filter_map(|((one, two), node)| {
        let at = place(one, two)?;
        let (one, two) = (one.get(at), two.get(at));
        let time = one.iter().chain(&two).map(|record| record.time).min()?;
        Some((time, Some(node), format!("step {}", at + 1), shown(one), shown(two)))
    });
    let (ours, theirs) = (events(&one.history), events(&two.history));
    let event = place(&ours, &theirs).and_then(|at| {
        let (ours, theirs) = (ours.get(at), theirs.get(at));
        let first = ours.iter().chain(&theirs).min_by_key(|event| event.place().time)?;
        let node = first.node().and_then(|name| name.strip_prefix('n')?.parse().ok());
        let time = first.place().time.saturating_add(one.run.started);
        Some((time, node, format!("event {at} of the history"), shown(ours), shown(theirs)))
    });
    let first = traces.chain(event).min_by_key(|(time, ..)| *time)?;
    let (time, node, what, ours, theirs) = first;
    let who = node.map_or("the cluster".to_owned(), |node: u64| format!("n{node}"));
    let time = Duration::from_nanos(time);
    let how = format!(
        "{who} is not deterministic: simulated twice, {what} at {time:?} was {ours} and then {theirs}"
    );
    Some(Differs { node, how })
}

/// All events of a history.
fn events(history: &Events) -> Vec<Line> {
    (0..).map_while(|index| history.get(index)).collect()
}

/// The first place at which two lists differ.
fn place<T: PartialEq>(one: &[T], two: &[T]) -> Option<usize> {
    let same = one.iter().zip(two).take_while(|(one, two)| one == two).count();
    (same < one.len().max(two.len())).then_some(same)
}

fn shown(value: Option<&impl Serialize>) -> String {
    let text = value.map(|value| serde_json::to_string(value).unwrap_or_default());
    text.unwrap_or_else(|| "nothing".to_owned())
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
    // What was changed since it was recorded.
    let known: BTreeSet<&String> = recorded.incomplete.iter().collect();
    let now = evidence::load(dir)?.run.incomplete;
    differing.extend(now.into_iter().filter(|gap| !known.contains(gap)));
    for (name, bytes) in files(evidence)? {
        let path = dir.join(&name);
        if !path.exists() {
            continue;
        }
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
    // Of a run that was cut short it tells another end.
    let replayed = Run { differs: recorded.differs.clone(), ..evidence.run.clone() };
    if !cut_short && serde_json::from_slice::<Value>(&text)? != serde_json::to_value(replayed)? {
        differing.push("run.json".to_owned());
    }
    ensure!(
        differing.is_empty(),
        "the replay differs from what {} has: {}. The run was recorded by another build, or changed \
         since, or a node is not deterministic",
        dir.display(),
        differing.join("; ")
    );
    Ok(same)
}
