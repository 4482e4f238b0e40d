//! `harness replay`.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use anyhow::{Context, anyhow};
use checker::{budget::Limits, evidence::Evidence, judge, verdict::Outcome};

use super::{
    exit::{Exit, Usage},
    plan::{self, MutantOptions},
    test::{line, plural, print_verdict},
};
use crate::{
    cluster::{sim::Unobserved, simulate_guarded, simulate_observed},
    plan::ClusterKind,
    run::{directory, simulation},
    story::{Extent, Shown, Spacetime, Teller, Window},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run directory, or a plan.
    #[arg(value_name = "DIR|PLAN")]
    run: PathBuf,

    /// Another seed than the plan's; the schedule of faults stays as it is.
    #[arg(long)]
    seed: Option<u64>,

    #[command(flatten)]
    mutants: MutantOptions,

    /// Tell the story of the run, an event a line.
    #[arg(long, short)]
    verbose: bool,

    /// Draw the end of the run, or the end of the part between --from and --to, as a space-time
    /// diagram into this file.
    #[arg(long, value_name = "FILE.svg")]
    diagram: Option<PathBuf>,

    /// Where the story begins, in time since the start of the load, such as 4.2s [default: with
    /// the nodes]
    #[arg(long, value_parser = moment)]
    from: Option<Duration>,

    /// Where the story ends [default: with the run]
    #[arg(long, value_parser = moment)]
    to: Option<Duration>,

    /// Tell heartbeats and their answers even where they change nothing.
    #[arg(long, requires = "verbose")]
    heartbeats: bool,

    /// Keep the run in this directory; must be empty or not exist [default: it is not kept]
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let window = window(args)?;
    let mut plan = args.mutants.applied_to(plan::load(&args.run)?).map_err(Usage)?;
    let recorded = args.run.is_dir() && args.seed.is_none() && args.mutants.is_empty();
    let comparable = recorded && plan.cluster == ClusterKind::Sim;
    match plan.cluster {
        ClusterKind::Docker if recorded => line(
            "recorded on containers, which have their own timing: what follows is a simulation of \
             the same plan, and another run",
        ),
        ClusterKind::InProcess if recorded => line(
            "recorded with whole servers, which may choose otherwise: what follows is the same \
             plan again, and may be another run",
        ),
        _ => {}
    }
    plan.cluster = plan.cluster.in_virtual_time();
    plan.seed = args.seed.unwrap_or(plan.seed);
    let out = match &args.out {
        Some(out) => Some(directory::create(Some(out), plan.workload.name(), plan.seed)?),
        None => None,
    };
    let mut watched = (Teller::new(&plan), Spacetime::new(&plan));
    let stop = AtomicBool::new(false);
    let mut simulation = if args.verbose || args.diagram.is_some() {
        simulate_observed(&plan, &stop, &mut watched)
    } else {
        simulate_guarded(&plan, false, None::<Unobserved>, &stop).0
    };
    let (teller, picture) = watched;
    let compared = match comparable {
        true => compare(&args.run, &simulation.evidence),
        false => Ok(()),
    };
    // Below whole servers are libraries whose choices no seed decides.
    if compared.is_err() && plan.cluster != ClusterKind::InProcess {
        // Is it this node, or was the run recorded by another?
        let (again, _) = simulate_guarded(&plan, false, None::<Unobserved>, &stop);
        simulation.evidence.run.differs =
            simulation::difference(&simulation.evidence, &again.evidence);
    }
    let mut saved = true;
    let verdict = match &out {
        Some(out) => {
            let command = super::command_line();
            let (judgement, page) = simulation::keep_or_tell(out, &plan, &simulation, &command);
            if let Ok(page) = page {
                line(&format!("report: {}", page.display()));
            }
            saved = judgement.saved;
            judgement.verdict
        }
        None => judge::run(&simulation.evidence, &Limits::default()),
    };
    if args.verbose {
        let shown = Shown { window, heartbeats: args.heartbeats };
        line(teller.tell(&verdict, &shown).trim_end());
    } else {
        print_verdict(&verdict);
    }
    let drawn = args.diagram.as_ref().map_or(Ok(()), |file| {
        let extent = Extent { window, ..Extent::default() };
        let svg = picture.draw(&verdict, &simulation.evidence, &extent, None);
        std::fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))
    });
    for done in [compared, drawn] {
        match done {
            // A violation outranks everything.
            Err(error) if verdict.outcome == Outcome::Violated => {
                line(&format!("error: {error:#}"));
            }
            done => done?,
        }
    }
    Ok(Exit::from(verdict.outcome).unless_lost(saved))
}

/// Compares a simulation with what was recorded of the same one.
fn compare(recorded: &Path, evidence: &Evidence) -> anyhow::Result<()> {
    if ["run.json", "history.jsonl", "faults.jsonl", "trace"]
        .iter()
        .all(|name| !recorded.join(name).exists())
    {
        line(&format!(
            "{} has a plan and no recorded run: there is nothing to compare with",
            recorded.display()
        ));
        return Ok(());
    }
    let same = simulation::compare(recorded, evidence)?;
    let lines = plural(same.lines as u64, "line");
    line(&match same.whole {
        true => format!("identical: {lines} of history, faults and traces, byte by byte"),
        false => format!(
            "identical as far as it was recorded: {lines} of history, faults and traces, byte by \
             byte; the recorded run was stopped then, what follows is of the whole one"
        ),
    });
    Ok(())
}

/// The part of the run that is asked for.
fn window(args: &Args) -> Result<Window, Usage> {
    let shown = args.verbose || args.diagram.is_some();
    if !shown && (args.from.is_some() || args.to.is_some()) {
        return Err(Usage(anyhow!("--from and --to are for --verbose and --diagram: add one")));
    }
    if let (Some(from), Some(to)) = (args.from, args.to)
        && to < from
    {
        return Err(Usage(anyhow!("the part from {from:?} to {to:?} ends before it begins")));
    }
    Ok(Window { from: args.from, to: args.to })
}

/// A moment of a run: `4.2`, `4.2s`, or as other times on the command line: `1m 4s`.
fn moment(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).trim().parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .or_else(|| humantime::parse_duration(text).ok())
        .ok_or_else(|| format!("`{text}` is no time of a run: write it like 4.2s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_or_times() {
        let ms = |ms| Ok(Duration::from_millis(ms));
        assert_eq!(moment("4.25"), ms(4_250));
        assert_eq!(moment("4.25s"), ms(4_250));
        assert_eq!(moment("80ms"), ms(80));
        assert_eq!(moment("1m 4s"), ms(64_000));
        assert!(moment("-1").is_err() && moment("soon").is_err());
    }
}
