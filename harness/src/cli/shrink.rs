//! `harness shrink`.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use checker::verdict::{Outcome, Verdict};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    exit::{Exit, Usage},
    plan,
    test::{line, plural},
};
use crate::{
    campaign::shrink::{Minimal, Progress, Refused, SEEDS, Settings, page, shrink},
    cluster::simulate_observed,
    plan::Plan,
    run::{Stop, directory, simulation},
    story::{Extent, Shown, Spacetime, Teller},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory of a run that failed, or its plan.
    #[arg(value_name = "DIR|PLAN")]
    from: PathBuf,

    /// Directory for the minimal run; must be empty or not exist [default: `minimal` beside the
    /// plan]
    #[arg(long)]
    out: Option<PathBuf>,

    /// Try nothing more after so many seconds, and keep the smallest plan so far; the exit code is
    /// then 2.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    /// Keep this property violated, rather than the one that the verdict is about.
    #[arg(long, value_name = "NAME")]
    property: Option<String>,

    /// Seeds tried side by side; the minimal plan does not depend on it [default: as many as there
    /// are processors]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let plan = plan::load(&args.from)?;
    let verdict = recorded(&args.from.join("verdict.json"))?;
    if let Some(Verdict { outcome: Outcome::Ok, summary, .. }) = &verdict {
        let from = args.from.display();
        let error = anyhow!(
            "{from}: there is nothing to shrink, the recorded run did not fail: {summary} Give a \
             run that did, or the plan alone, whose run is then looked at"
        );
        return Err(Usage(error).into());
    }
    let headline = verdict.as_ref().and_then(Verdict::headline).map(|it| it.name.clone());
    let recorded: Vec<String> = args.property.or(headline).into_iter().collect();
    let beside = match args.from.is_dir() {
        true => Some(args.from.as_path()),
        false => args.from.parent(),
    };
    let out = args.out.unwrap_or_else(|| beside.unwrap_or(Path::new("")).join("minimal"));
    let stop = Stop::listen()?;
    directory::create(Some(&out), plan.workload.name(), plan.seed)?;
    let budget = Duration::from_secs(args.seconds);
    let settings = Settings { jobs: super::jobs(args.jobs), seeds: SEEDS, budget };
    let over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let bar = bar();
    let work = {
        let (over, bar, out) = (Arc::clone(&over), bar.clone(), out.clone());
        tokio::task::spawn_blocking(move || {
            match shrink(&plan, &recorded, &settings, &|progress| show(&bar, progress), &over) {
                Ok(minimal) => {
                    bar.set_message("writing the minimal run");
                    let violation = keep(&out, &minimal, &super::command_line())?;
                    Ok(Ok((minimal, violation)))
                }
                Err(refused) => anyhow::Ok(Err(refused)),
            }
        })
    };
    let Some(shrunk) = super::unless_stopped(work, &stop, &over).await else {
        // It may be empty.
        let _ = fs::remove_dir(&out);
        bail!("stopped at once; {} is not there, or not whole", out.display());
    };
    bar.finish_and_clear();
    let (minimal, violation) = match shrunk.context("shrinking panicked")?? {
        Ok(kept) => kept,
        Err(refused) => {
            // It is empty.
            let _ = fs::remove_dir(&out);
            let error = anyhow!("{}: {refused}", args.from.display());
            return match refused {
                Refused::Holds { .. } => Err(Usage(error).into()),
                Refused::Undecided { .. }
                | Refused::OnlyOnContainers { .. }
                | Refused::Another { .. }
                | Refused::Stopped => {
                    line(&format!("{error:#}"));
                    Ok(Exit::Unknown)
                }
            };
        }
    };
    summary(&minimal, &violation, &out, began.elapsed());
    if minimal.cut_short {
        match stop.asked() {
            Some(signal) => line(&format!("ended early by {signal}: the plan may not be minimal")),
            None => line("ended early by --seconds: the plan may not be minimal; give it more"),
        }
    }
    Ok(if minimal.cut_short { Exit::Unknown } else { Exit::Ok })
}

/// The verdict of a recorded run; a plan alone has none. One that cannot be read is refused: it
/// says which property must still be violated.
fn recorded(path: &Path) -> anyhow::Result<Option<Verdict>> {
    let read = match fs::read(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        read => read.map_err(anyhow::Error::from),
    };
    let verdict = read.and_then(|text| Ok(serde_json::from_slice(&text)?));
    let verdict = verdict.with_context(|| {
        format!(
            "cannot read {}, which says what the run violated; give the plan alone to shrink it \
             for what it violates now",
            path.display()
        )
    });
    Ok(Some(verdict.map_err(Usage)?))
}

/// Writes the minimal run and what is said about it, from the plan as its file has it. Returns the
/// violation in a sentence.
fn keep(out: &Path, minimal: &Minimal, command: &[String]) -> anyhow::Result<String> {
    minimal.plan.save(out)?;
    let plan = Plan::load(&out.join("plan.json"))?;
    let mut watched = (Teller::new(&plan), Spacetime::new(&plan));
    let simulation = simulate_observed(&plan, &AtomicBool::new(false), &mut watched);
    let (teller, picture) = watched;
    let (judgement, _page) = simulation::keep(out, &plan, &simulation, command)?;
    let Some(violation) = violation(&judgement.verdict, &minimal.property) else {
        bail!(
            "the minimal plan {} does not fail in {} when it is read back: simulation is not \
             deterministic, which is a bug",
            out.join("plan.json").display(),
            minimal.property
        );
    };
    let verdict = &judgement.verdict;
    write(out, "story.txt", teller.tell(verdict, &Shown::default()))?;
    let accused = Some(minimal.property.as_str());
    let svg = picture.draw(verdict, &simulation.evidence, &Extent::default(), accused);
    write(out, "spacetime.svg", svg)?;
    let program = command.first().map_or("harness", String::as_str);
    let page = page::page(minimal, &violation, program, &out.display().to_string());
    write(out, "minimal.md", page)?;
    Ok(violation)
}

fn write(dir: &Path, name: &str, text: String) -> anyhow::Result<()> {
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// What is said of a property that is not fine.
fn violation(verdict: &Verdict, property: &str) -> Option<String> {
    let mut doubts = verdict.doubts().into_iter();
    let found = doubts.find(|found| found.name == property)?;
    let first = found.violations.first();
    Some(first.map_or_else(|| found.detail.clone(), |violation| violation.summary.clone()))
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: &Progress) {
    let Progress { extent, runs } = progress;
    let operations = extent.operations.map_or("generated".to_owned(), |count| count.to_string());
    bar.set_message(format!(
        "{} faults, {operations} operations, {} clients, {} nodes, {} of virtual time; {runs} runs",
        extent.faults,
        extent.clients,
        extent.nodes,
        humantime::format_duration(extent.time),
    ));
    bar.tick();
}

fn summary(minimal: &Minimal, violation: &str, out: &Path, took: Duration) {
    line(&format!("{}: {}: {violation}", minimal.outcome(), minimal.property));
    for (what, before, after) in page::rows(&minimal.before, &minimal.after) {
        line(&format!("  {what:<13} {before:>10} → {after}"));
    }
    line(&format!("{} in {:.1} s", plural(minimal.runs, "run"), took.as_secs_f64()));
    line(&format!("minimal plan, its run and what it says: {}", out.display()));
}
