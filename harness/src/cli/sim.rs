//! `harness sim`.

use std::{
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use checker::verdict::Outcome;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    exit::{Exit, Usage},
    plan::{Defaults, PlanOptions},
    test::{line, plural},
};
use crate::{
    campaign::{self, Campaign, Failure, Situation, Tally, Total, Watch},
    plan::{ClusterKind, Plan},
    run::{Stop, directory},
};

/// Of a campaign whose seeds are all alike. The rate is enough to see what happens, and low enough
/// for many seeds.
const ALIKE: Defaults = Defaults { faults: "kill,pause,partition,network,disk,clock", rate: 20 };

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Seeds to simulate: from the first to before the last, such as 0..1000, or 0.. for all that
    /// --minutes leaves time for [default: 0..100; with --minutes 0..]
    #[arg(long)]
    seeds: Option<Seeds>,

    /// Begin no seed after so many minutes; 0.5 is half a minute.
    #[arg(long, value_parser = minutes)]
    minutes: Option<Duration>,

    /// Seeds simulated side by side [default: as many as there are processors]
    #[arg(long)]
    jobs: Option<usize>,

    /// Go on after a seed that failed.
    #[arg(long)]
    keep_going: bool,

    /// Print a digest of all that was recorded: the same seeds must give the same one whenever,
    /// and by whatever build of one version, they are simulated.
    #[arg(long)]
    digest: bool,

    /// Directory below which the runs of failing seeds are kept; must be empty or not exist
    /// [default: results/<time>-sim-<first seed>, where a seed fails]
    #[arg(long)]
    out: Option<PathBuf>,

    /// Give every seed the same options, each with its default. Without this, what is not asked for
    /// is drawn for each seed: faults and how often they come, the network, disks and clocks, the
    /// number of nodes, clients and keys.
    #[arg(long)]
    no_swarm: bool,

    #[command(flatten)]
    options: PlanOptions,
}

impl Args {
    fn plan(&self, seed: u64) -> anyhow::Result<Plan> {
        if self.no_swarm {
            self.options.plan(ClusterKind::Sim, seed, ALIKE)
        } else {
            self.options.drawn(seed)
        }
    }
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
            let end = match end.trim() {
                "" => u64::MAX,
                end => end.parse().ok()?,
            };
            Some(Self { first: first.trim().parse().ok()?, end })
        });
        seeds
            .filter(|seeds| seeds.first < seeds.end)
            .ok_or_else(|| format!("`{text}` is no range of seeds: write it like 0..1000"))
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let Seeds { first, end } = match (args.seeds, args.minutes) {
        (Some(seeds), _) => seeds,
        (None, None) => Seeds { first: 0, end: 100 },
        (None, Some(_)) => Seeds { first: 0, end: u64::MAX },
    };
    if end == u64::MAX && args.minutes.is_none() {
        return Err(Usage(anyhow!("seeds without end need an end in time: add --minutes")).into());
    }
    // What is impossible for one seed is so for all: found out before any runs.
    args.plan(first).map_err(Usage)?;
    let jobs =
        args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let began = Instant::now();
    let campaign = Campaign {
        first,
        end,
        jobs: jobs.max(1),
        keep_going: args.keep_going,
        deadline: args.minutes.map(|minutes| began + minutes),
        digest: args.digest,
    };
    let stop = Stop::listen()?;
    let over = Arc::new(AtomicBool::new(false));
    let command = super::command_line();
    let screen = Screen::new(&campaign);
    let work = {
        let over = Arc::clone(&over);
        tokio::task::spawn_blocking(move || {
            let plan = |seed| args.plan(seed);
            let place = || directory::create(args.out.as_deref(), "sim", first);
            let total = campaign::run(&campaign, &plan, &place, &command, &screen, &over);
            screen.bar.finish_and_clear();
            total
        })
    };
    tokio::pin!(work);
    let total = tokio::select! {
        total = &mut work => total,
        () = stop.first() => {
            over.store(true, Ordering::Relaxed);
            work.await
        }
    };
    let total = total.context("the campaign panicked")??;
    summary(&total, began);
    let failed = total.violated + total.unknown > 0;
    match stop.asked() {
        Some(signal) => line(&format!("ended early by {signal}")),
        None if failed && !campaign.keep_going => {
            line("ended at the first failure; --keep-going goes on");
        }
        None => {}
    }
    // A campaign that was cut short found no violation, but did not do what it was asked for.
    let outcome = total.outcome();
    let cut_short = stop.asked().is_some() && outcome == Outcome::Ok;
    Ok(if cut_short { Outcome::Unknown } else { outcome }.into())
}

/// The progress bar, and failures above it.
struct Screen {
    bar: ProgressBar,
    began: Instant,
    /// How long the campaign may take, where that is what ends it.
    time: Option<Duration>,
}

impl Screen {
    fn new(campaign: &Campaign) -> Self {
        let began = Instant::now();
        let time = campaign
            .deadline
            .filter(|_| campaign.end == u64::MAX)
            .map(|deadline| deadline.saturating_duration_since(began));
        let length = time.map_or(campaign.end - campaign.first, milliseconds);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let template = match time {
            Some(_) => "{wide_bar} {msg}, {elapsed}",
            None => "{wide_bar} {msg} of {len}, {eta} left",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, began, time }
    }
}

impl Watch for Screen {
    fn failed(&self, failure: &Failure) {
        let word = match failure.outcome {
            Outcome::Violated => "violated",
            _ => "unknown",
        };
        self.bar.suspend(|| {
            line(&format!("{word}: seed {}: {}", failure.seed, failure.summary));
            line(&format!("  kept in {}", failure.directory.display()));
        });
    }

    fn done(&self, total: &Total) {
        let elapsed = self.began.elapsed();
        let rate = total.seeds as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        self.bar.set_position(match self.time {
            Some(time) => milliseconds(elapsed.min(time)),
            None => total.seeds,
        });
        let failed = match total.violated + total.unknown {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        self.bar.set_message(format!("{} ({rate:.0}/s){failed}", plural(total.seeds, "seed")));
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0);
    minutes
        .and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok())
        .ok_or_else(|| format!("`{text}` is no number of minutes: write it like 10 or 0.5"))
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
        "{}, {}, {} by the nodes, {} of virtual time",
        plural(total.operations, "operation"),
        plural(total.events, "event"),
        plural(total.steps, "step"),
        humantime::format_duration(Duration::from_secs(total.virtual_time.as_secs())),
    ));
    situations(&total.situations);
    if let Some(digest) = total.digest {
        line(&format!("digest: {digest}"));
    }
}

/// What the seeds met, in a fixed order, and what none of them did.
fn situations(met: &Tally) {
    line("situations met:");
    let width =
        Situation::ALL.iter().map(|situation| met.times(*situation).to_string().len()).max();
    let width = width.unwrap_or(0);
    for situation in Situation::ALL.into_iter().filter(|situation| met.times(*situation) > 0) {
        let (times, runs) = (met.times(situation), plural(met.runs(situation), "seed"));
        line(&format!("  {times:>width$}  {} (in {runs})", situation.name()));
    }
    for situation in met.never_met() {
        line(&format!("  {:>width$}  {}: never met", 0, situation.name()));
    }
}
