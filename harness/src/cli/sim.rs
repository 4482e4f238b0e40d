//! `harness sim`.

use std::{path::PathBuf, str::FromStr, time::Instant};

use checker::verdict::Outcome;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    exit::{Exit, Usage},
    plan::PlanOptions,
    test::{line, plural},
};
use crate::{
    campaign::{self, Campaign, Failure, Total},
    plan::ClusterKind,
    run::directory,
};

/// Operations per second of a campaign: enough to see what happens, few enough for many seeds.
const RATE: u64 = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Seeds to simulate: from the first to before the last, such as 0..1000.
    #[arg(long, default_value = "0..100")]
    seeds: Seeds,

    /// Seeds simulated side by side [default: as many as there are processors]
    #[arg(long)]
    jobs: Option<usize>,

    /// Go on after a seed that failed.
    #[arg(long)]
    keep_going: bool,

    /// Directory below which the runs of failing seeds are kept; must be empty or not exist
    /// [default: results/<time>-sim-<first seed>, where a seed fails]
    #[arg(long)]
    out: Option<PathBuf>,

    #[command(flatten)]
    options: PlanOptions,
}

#[derive(Clone, Copy, Debug)]
struct Seeds {
    first: u64,
    end: u64,
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seeds = text.split_once("..").and_then(|(first, end)| {
            Some(Self { first: first.trim().parse().ok()?, end: end.trim().parse().ok()? })
        });
        seeds
            .filter(|seeds| seeds.first < seeds.end)
            .ok_or_else(|| format!("`{text}` is no range of seeds: write it like 0..1000"))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Seeds { first, end } = args.seeds;
    let plan = |seed| args.options.plan(ClusterKind::Sim, seed, RATE);
    // What is impossible for one seed is so for all: found out before any runs.
    plan(first).map_err(Usage)?;
    let jobs =
        args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let bar = ProgressBar::with_draw_target(Some(end - first), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{wide_bar} {pos} of {len} seeds, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    let command = super::command_line();
    let place = || directory::create(args.out.as_deref(), "sim", first);
    let campaign = Campaign { first, end, jobs: jobs.max(1), keep_going: args.keep_going };
    let began = Instant::now();
    let total = campaign::run(
        &campaign,
        &plan,
        &place,
        &command,
        &|failure| {
            bar.suspend(|| tell(failure));
        },
        &|| bar.inc(1),
    )?;
    bar.finish_and_clear();
    summary(&total, began);
    Ok(total.outcome().into())
}

fn tell(failure: &Failure) {
    let word = match failure.outcome {
        Outcome::Violated => "violated",
        _ => "unknown",
    };
    line(&format!("{word}: seed {}: {}", failure.seed, failure.summary));
    line(&format!("  kept in {}", failure.directory.display()));
}

fn summary(total: &Total, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    line(&format!(
        "{} in {seconds:.1} s ({:.1} a second): {} ok, {} violated, {} unknown",
        plural(total.seeds, "seed"),
        total.seeds as f64 / seconds.max(f64::MIN_POSITIVE),
        total.seeds - total.violated - total.unknown,
        total.violated,
        total.unknown,
    ));
    line(&format!(
        "{}, {} by the nodes, {} of virtual time",
        plural(total.operations, "operation"),
        plural(total.steps, "step"),
        humantime::format_duration(std::time::Duration::from_secs(total.virtual_time.as_secs())),
    ));
}
