//! `harness sim`.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs,
    io::Write,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use checker::verdict::Outcome;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    exit::{Exit, Usage},
    plan::{Defaults, MutantOptions, PlanOptions},
    test::{line, plural},
};
use crate::{
    campaign::{self, Campaign, Failure, OfKind, Situation, Tally, Total, Watch},
    cluster,
    plan::{ClusterKind, Plan},
    run::{Stop, directory},
};

/// Of a campaign whose seeds are all alike. The rate is enough to see what happens, and low enough
/// for many seeds.
const ALIKE: Defaults = Defaults {
    faults: "kill,restart,pause,partition,network,disk,clock",
    rate: 20,
    interval: Duration::from_secs(5),
    extreme: false,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Seeds to simulate: from the first to before the last, such as 0..1000, or 0.. for all that
    /// --minutes leaves time for [default: 0..100; with --minutes 0..]
    #[arg(long)]
    seeds: Option<Seeds>,

    /// Stop starting new seeds after this many minutes; 0.5 is half a minute.
    #[arg(long, value_parser = minutes)]
    minutes: Option<Duration>,

    /// Seeds simulated side by side [default: as many as there are processors]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Go on after a seed that violated a property. After one that is undecided a campaign goes on
    /// anyway.
    #[arg(long)]
    keep_going: bool,

    /// Print a digest of all that was recorded: the same seeds must give the same one whenever,
    /// and by whatever build of one version, they are simulated.
    #[arg(long)]
    digest: bool,

    /// Where the nodes live: `sim`, replicas alone, or `in-process`, with their whole servers
    /// [default: one seed of fifty in-process]
    #[arg(long, value_enum)]
    cluster: Option<ClusterKind>,

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

    #[command(flatten)]
    mutants: MutantOptions,
}

impl Args {
    fn plan(&self, seed: u64) -> anyhow::Result<Plan> {
        let plan = if self.no_swarm {
            self.options.plan(self.cluster.unwrap_or(ClusterKind::Sim), seed, ALIKE)?
        } else {
            self.options.drawn(self.cluster, seed)?
        };
        ensure!(
            plan.cluster != ClusterKind::Docker,
            "containers have no virtual time: `harness test` runs plans on them"
        );
        cluster::check(&plan)?;
        self.mutants.applied_to(plan)
    }
}

#[derive(Clone, Copy, Debug)]
struct Seeds {
    first: u64,
    /// Behind the last; none: there is none.
    end: Option<u64>,
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seeds = text.split_once("..").and_then(|(first, end)| {
            let end = match end.trim() {
                "" => None,
                end => Some(end.parse().ok()?),
            };
            Some(Self { first: first.trim().parse().ok()?, end })
        });
        seeds
            .filter(|seeds| seeds.end.is_none_or(|end| seeds.first < end))
            .ok_or_else(|| format!("`{text}` is no range of seeds: write it like 0..1000"))
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let Seeds { first, end } = match (args.seeds, args.minutes) {
        (Some(seeds), _) => seeds,
        (None, None) => Seeds { first: 0, end: Some(100) },
        (None, Some(_)) => Seeds { first: 0, end: None },
    };
    if end.is_none() && args.minutes.is_none() {
        return Err(Usage(anyhow!("seeds without end need an end in time: add --minutes")).into());
    }
    // What is impossible for one seed is so for all: found out before any runs.
    args.plan(first).map_err(Usage)?;
    // Found out now rather than after hours, with the first failure.
    let out = match &args.out {
        Some(out) => Some(directory::create(Some(out), "sim", first)?),
        None => None,
    };
    let began = Instant::now();
    let campaign = Campaign {
        first,
        end,
        jobs: super::jobs(args.jobs),
        keep_going: args.keep_going,
        deadline: args.minutes.map(|minutes| began + minutes),
        digest: args.digest,
    };
    let stop = Stop::listen()?;
    let over = Arc::new(AtomicBool::new(false));
    let command = super::command_line();
    let kinds = args.options.kinds();
    let screen = Screen::new(&campaign);
    let violated = Arc::clone(&screen.violated);
    let work = {
        let (over, out) = (Arc::clone(&over), out.clone());
        tokio::task::spawn_blocking(move || {
            let plan = |seed| args.plan(seed);
            let place = || match &out {
                Some(out) => Ok(out.clone()),
                None => directory::create(None, "sim", first),
            };
            let total = campaign::run(&campaign, &plan, &place, &command, &screen, &over);
            screen.bar.finish_and_clear();
            (total, screen.groups())
        })
    };
    let Some(total) = super::unless_stopped(work, &stop, &over).await else {
        return super::stopped_at_once(violated.load(Ordering::Relaxed));
    };
    let ((total, ended), undecided) = total.context("the campaign panicked")?;
    if let Some(out) = out {
        // Where no seed failed it is empty.
        let _ = fs::remove_dir(out);
    }
    summary(&total, &kinds, began);
    for group in undecided {
        line(&group);
    }
    let early = ended_early(&campaign, &total, stop.asked());
    if let Some(why) = &early {
        line(why);
    }
    let outcome = total.outcome();
    match ended {
        // A violation outranks everything.
        Err(error) if outcome == Outcome::Violated => line(&format!("ended early: {error:#}")),
        ended => ended?,
    }
    Ok(match outcome {
        // What failed cannot be looked at: no evidence is the environment's failure, a panic the
        // harness's.
        Outcome::Unknown if total.unkept + total.panicked > 0 => Exit::Failed,
        // It found no violation, but did not do what it was asked for.
        Outcome::Ok if stop.asked().is_some() && early.is_some() => Exit::Unknown,
        outcome => outcome.into(),
    })
}

/// Seeds that were not ok.
fn failed(total: &Total) -> u64 {
    total.violated + total.unknown + total.panicked
}

/// Why not all seeds were simulated, in a sentence.
fn ended_early(campaign: &Campaign, total: &Total, signal: Option<&str>) -> Option<String> {
    let asked = campaign.end.map(|end| end - campaign.first);
    match (signal, asked) {
        // Whatever came after the last one.
        (_, Some(asked)) if total.seeds >= asked => None,
        (Some(signal), _) => Some(format!("ended early by {signal}")),
        (None, _) if total.violated + total.panicked > 0 && !campaign.keep_going => {
            Some("ended at the first failure; --keep-going goes on".to_owned())
        }
        (None, Some(asked)) if campaign.deadline.is_some() => {
            Some(format!("ended early by --minutes: {asked} seeds were asked for"))
        }
        _ => None,
    }
}

/// How often a line is printed where no bar can be drawn.
const EVERY: Duration = Duration::from_secs(60);

/// The progress bar, and failures above it.
struct Screen {
    bar: ProgressBar,
    began: Instant,
    /// When a line was last printed, where no bar can be drawn.
    printed: Mutex<Instant>,
    /// How long the campaign may take, where that is what ends it.
    time: Option<Duration>,
    /// Whether a seed violated a property.
    violated: Arc<AtomicBool>,
    /// Undecided seeds by reason: how many, and the first that was seen.
    undecided: Mutex<BTreeMap<String, (u64, Failure)>>,
}

impl Screen {
    fn new(campaign: &Campaign) -> Self {
        let began = Instant::now();
        // A campaign that has an end in time and many seeds mostly ends in time.
        let time = campaign.deadline.map(|deadline| deadline.saturating_duration_since(began));
        let seeds = campaign.end.map(|end| end - campaign.first);
        let length = time.map(milliseconds).or(seeds).unwrap_or(0);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let template = match time {
            Some(_) => "{wide_bar} {msg}, {elapsed}",
            None => "{wide_bar} {msg} of {len}, {eta} left",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let printed = Mutex::new(began);
        Self { bar, began, printed, time, violated: Arc::default(), undecided: Mutex::default() }
    }

    /// Counts an undecided seed. Whether it is the first for its reason.
    fn is_new(&self, failure: &Failure) -> bool {
        let mut undecided = self.undecided.lock().unwrap_or_else(PoisonError::into_inner);
        let known = undecided.entry(failure.reason.clone());
        let (count, _) = known.or_insert_with(|| (0, failure.clone()));
        *count += 1;
        *count == 1
    }

    /// Undecided seeds, a line for each reason, the most frequent first.
    fn groups(&self) -> Vec<String> {
        let undecided = self.undecided.lock().unwrap_or_else(PoisonError::into_inner);
        let mut groups: Vec<&(u64, Failure)> = undecided.values().collect();
        groups.sort_by_key(|(count, first)| (Reverse(*count), first.seed));
        let line = |(count, first): &&(u64, Failure)| {
            let seeds = plural(*count, "undecided seed");
            format!("{seeds}, such as {}: {}", first.seed, first.summary)
        };
        groups.iter().map(line).collect()
    }
}

impl Watch for Screen {
    fn failed(&self, failure: &Failure) {
        if failure.outcome == Outcome::Violated {
            self.violated.store(true, Ordering::Relaxed);
        } else if !self.is_new(failure) {
            return;
        }
        self.bar.suspend(|| {
            line(&format!("{}: seed {}: {}", failure.outcome, failure.seed, failure.summary));
            match &failure.kept {
                Ok(Some(directory)) => line(&format!("  kept in {}", directory.display())),
                Ok(None) => {}
                Err(why) => line(&format!("  not kept: {why}")),
            }
        });
    }

    fn panicked(&self, seed: u64, words: &str) {
        self.bar.suspend(|| line(&format!("error: seed {seed}: the harness panicked: {words}")));
    }

    fn done(&self, total: &Total) {
        let elapsed = self.began.elapsed();
        let rate = total.seeds as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        self.bar.set_position(match self.time {
            Some(time) => milliseconds(elapsed.min(time)),
            None => total.seeds,
        });
        let failed = match failed(total) {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let message = format!("{} ({rate:.0}/s){failed}", plural(total.seeds, "seed"));
        if self.bar.is_hidden() {
            let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
            if printed.elapsed() >= EVERY {
                *printed = Instant::now();
                let elapsed = humantime::format_duration(Duration::from_secs(elapsed.as_secs()));
                let _ = writeln!(std::io::stderr(), "{message}, {elapsed}");
            }
        }
        self.bar.set_message(message);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn minutes(text: &str) -> Result<Duration, String> {
    const YEAR: f64 = 365.0 * 24.0 * 60.0;
    let minutes = text.parse::<f64>().ok().filter(|minutes| (0.0..=YEAR).contains(minutes));
    minutes
        .and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| format!("`{text}` is no number of minutes: write it like 10 or 0.5"))
}

fn summary(total: &Total, kinds: &[&str], began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let panicked = match total.panicked {
        0 => String::new(),
        panicked => format!(", {panicked} not judged as the harness panicked"),
    };
    line(&format!(
        "{} in {seconds:.1} s ({:.1} a second): {} ok, {} violated, {} unknown{panicked}",
        plural(total.seeds, "seed"),
        total.seeds as f64 / seconds.max(f64::MIN_POSITIVE),
        total.seeds - failed(total),
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
    // The first of them that did not do the same is a violation.
    line(&format!(
        "simulated twice, to see whether nodes are deterministic: {}",
        plural(total.repeated, "seed")
    ));
    faults(total, kinds);
    situations(&total.situations);
    super::test::print_not_tested(total.tested.missing().into_iter());
    if let Some(digest) = total.digest {
        line(&format!("digest: {digest}"));
    }
}

/// What was done to the nodes, of these kinds.
fn faults(total: &Total, kinds: &[&str]) {
    let effective = total.faults.kinds().filter(|(_, of)| of.proved > 0);
    let words: Vec<String> = effective
        .map(|(kind, of)| match of.skipped {
            0 => format!("{kind} {}", of.proved),
            skipped => format!("{kind} {} ({skipped})", of.proved),
        })
        .collect();
    let skipped = total.faults.kinds().any(|(_, of)| of.proved > 0 && of.skipped > 0);
    let note = if skipped { "; in brackets those skipped for want of a target" } else { "" };
    if !words.is_empty() {
        line(&format!("faults that took effect, with proof: {}{note}", words.join(", ")));
    }
    for (kind, OfKind { tried, proved, skipped }) in total.faults.kinds() {
        if proved > 0 || !kinds.contains(&kind) {
            continue;
        }
        line(&match tried {
            0 => format!("  {kind}: never tried"),
            _ if skipped == tried => {
                format!("  {kind}: skipped whenever it was tried, and so never tested")
            }
            _ => format!(
                "  {kind}: tried {}, {skipped} skipped, and never seen to take effect and heal",
                plural(tried, "time")
            ),
        });
    }
    match total.faults.idle() {
        0 => {}
        idle => {
            line(&format!("  {} had faults and all of them were skipped", plural(idle, "seed")))
        }
    }
    // A run ends at a violation, and its faults with it, without proof.
    if total.faults.all_in_vain() && total.violated == 0 {
        line("unknown: faults were asked for, and none took effect in any seed");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_campaign_ended_early_is_said_only_if_it_did() {
        let campaign = |end| Campaign {
            first: 3,
            end,
            jobs: 1,
            keep_going: false,
            deadline: None,
            digest: false,
        };
        let total = |seeds, violated| Total { seeds, violated, ..Total::default() };
        let why = |end, total, signal| ended_early(&campaign(end), &total, signal);
        assert_eq!(why(Some(7), total(4, 0), None), None);
        assert_eq!(why(Some(7), total(4, 0), Some("Ctrl-C")), None, "it came too late");
        assert_eq!(why(Some(7), total(4, 1), None), None, "the last seed failed");
        let signal = Some("ended early by Ctrl-C".to_owned());
        assert_eq!(why(Some(7), total(3, 0), Some("Ctrl-C")), signal);
        assert_eq!(why(None, total(9, 0), Some("Ctrl-C")), signal);
        assert!(why(Some(7), total(3, 1), None).unwrap().contains("--keep-going"));
        let deadline = Some(Instant::now());
        let timed = Campaign { deadline, ..campaign(Some(7)) };
        assert!(ended_early(&timed, &total(3, 0), None).unwrap().contains("4 seeds"));
        assert_eq!(ended_early(&timed, &total(4, 0), None), None);
    }
}
