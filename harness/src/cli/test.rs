//! `harness test`.

use std::{io::Write, path::PathBuf, time::Duration};

use checker::verdict::{Outcome, Verdict};
use clap::ValueEnum;

use super::exit::{Exit, Usage};
use crate::{
    nemesis::Menu,
    plan::{self, ClusterKind, Load, Plan, Storage, Timings},
    run::{self, Counts, Finished, Judgement, Settings, Stop},
    system::System,
    workload::{Workload, register},
};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WorkloadName {
    /// Reads, writes and compare-and-sets of single keys.
    Register,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of nodes, 1 to 9.
    #[arg(long, default_value_t = 5)]
    nodes: u64,

    /// How long clients and faults run, such as 30s or 5m. Start, recovery and checking come on
    /// top.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    time: Duration,

    /// What clients do.
    #[arg(long, value_enum, default_value_t = WorkloadName::Register)]
    workload: WorkloadName,

    /// Faults to choose from, separated by commas: `kill`, `pause`, `partition`, or `none`.
    ///
    /// Narrower: kill:TARGET and pause:TARGET with a target of one, minority, majority, all,
    /// leader, followers, random, or a node n1 to n9; partition:SHAPE with a shape of one, halves,
    /// minority, leader-minority, leader-alone, majorities-ring, bridge, deaf, mute; and
    /// partition:SHAPE:TARGET for one, deaf and mute.
    #[arg(long, default_value = "kill,pause,partition")]
    faults: Menu,

    /// Time between two faults, more or less; they last half as long to one and a half times as
    /// long, so that some overlap [default: 5s, or a fifth of --time where that is shorter]
    #[arg(long, value_parser = humantime::parse_duration)]
    interval: Option<Duration>,

    /// Clients, each with one operation open at most.
    #[arg(long, default_value_t = 10)]
    concurrency: u64,

    /// Operations started per second by all clients together; 0: as many as they can.
    #[arg(long, default_value_t = 0)]
    rate: u64,

    /// Number of keys.
    #[arg(long, default_value_t = 20)]
    keys: u32,

    /// Written values: `unique`, or the size of a domain from which they are drawn, such as 5.
    #[arg(long, default_value = "unique", value_parser = values)]
    values: Values,

    /// A client gives up an operation after this time.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    operation_timeout: Duration,

    /// Seed of every random choice [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u64>,

    /// Where the nodes live [default: docker, where its daemon can be reached]
    #[arg(long, value_enum)]
    cluster: Option<ClusterKind>,

    /// Shortest election timeout of a node; each is drawn between it and its double.
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    election_timeout: Duration,

    /// Time between two heartbeats of a leader.
    #[arg(long, default_value = "100ms", value_parser = humantime::parse_duration)]
    heartbeat_interval: Duration,

    /// Where nodes keep their data.
    #[arg(long, value_enum, default_value_t)]
    storage: Storage,

    /// Run directory; must be empty or not exist [default: results/<time>-<workload>-<seed>]
    #[arg(long)]
    out: Option<PathBuf>,

    /// Run the test of this file (a run directory's plan.json) again: same schedule, same choices.
    #[arg(long, conflicts_with_all = [
        "nodes", "time", "workload", "faults", "interval", "concurrency", "rate", "keys", "values",
        "operation_timeout", "seed", "cluster", "election_timeout", "heartbeat_interval",
        "storage",
    ])]
    plan: Option<PathBuf>,

    /// First of the ports of 127.0.0.1 at which clients reach the nodes [default: free ones]
    #[arg(long)]
    base_port: Option<u16>,
}

/// None: unique.
type Values = Option<u32>;

fn values(text: &str) -> Result<Values, String> {
    match text {
        "unique" => Ok(None),
        _ => text
            .parse()
            .map(Some)
            .map_err(|_| "choose `unique`, or the size of a domain, such as 5".to_owned()),
    }
}

impl Args {
    fn into_settings(self) -> anyhow::Result<Settings> {
        let (out, base_port) = (self.out.clone(), self.base_port);
        let plan = match &self.plan {
            Some(path) => Plan::load(path)?,
            None => self.into_plan()?,
        };
        Ok(Settings {
            plan,
            out,
            base_port,
            images: None,
            command: super::command_line(),
            inert: false,
        })
    }

    fn into_plan(self) -> anyhow::Result<Plan> {
        let WorkloadName::Register = self.workload;
        Plan::generate(plan::Options {
            system: System::RaftNode,
            cluster: self.cluster.unwrap_or(ClusterKind::Docker),
            nodes: self.nodes,
            // Short enough to be typed.
            seed: self.seed.unwrap_or_else(|| rand::random::<u32>().into()),
            time: self.time,
            interval: self.interval,
            menu: self.faults,
            workload: Workload::Register(register::Options {
                keys: self.keys,
                values: self.values,
            }),
            load: Load {
                concurrency: self.concurrency,
                rate: self.rate,
                operation_timeout: self.operation_timeout,
            },
            timings: Timings {
                election_timeout: self.election_timeout,
                heartbeat_interval: self.heartbeat_interval,
            },
            storage: self.storage,
        })
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let settings = args.into_settings().map_err(Usage)?;
    let stop = Stop::listen()?;
    let plan = &settings.plan;
    let _ = writeln!(
        std::io::stderr(),
        "{}, {}, {} in {}, seed {}",
        plural(plan.nodes, "node"),
        plural(plan.load.concurrency, "client"),
        plural(plan.faults.len() as u64, "fault"),
        humantime::format_duration(plan.time),
        plan.seed
    );
    let finished = run::run(&settings, &stop).await?;
    print_judgement(&finished.judgement);
    print_end(&settings, &finished);
    let exit = Exit::from(finished.judgement.verdict.outcome);
    Ok(if finished.left.is_some() && exit != Exit::Violated { Exit::Failed } else { exit })
}

/// What is wrong, then the verdict in one sentence, then the counts.
pub(super) fn print_judgement(judgement: &Judgement) {
    print_verdict(&judgement.verdict);
    let Counts { ok, fail, info } = judgement.counts;
    line(&format!(
        "{}: {ok} ok, {fail} failed, {info} unknown; {} took effect; {} had a leader",
        plural(ok + fail + info, "operation"),
        plural(judgement.faults as u64, "fault"),
        plural(judgement.leaders as u64, "term"),
    ));
}

fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Violations of one property that the terminal shows; the report and `verdict.json` have all.
const SHOWN: usize = 3;

/// What is wrong, then the verdict in one sentence.
pub(super) fn print_verdict(verdict: &Verdict) {
    for property in &verdict.properties {
        let word = match property.outcome {
            Outcome::Ok => continue,
            Outcome::Unknown => "unknown",
            Outcome::Violated => "violated",
        };
        line(&format!("{word}: {}: {}", property.name, property.detail));
        for violation in property.violations.iter().take(SHOWN) {
            line(&format!("  {}", violation.summary));
        }
        if let Some(more) = property.violations.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            line(&format!("  and {more} more, see the report"));
        }
    }
    line(&verdict.summary);
}

fn print_end(settings: &Settings, finished: &Finished) {
    let directory = finished.directory.display();
    let program = settings.command.first().map_or("harness", String::as_str);
    line(&format!("seed: {}", settings.plan.seed));
    line(&format!("again: {program} test --plan {directory}/plan.json"));
    match &finished.page {
        Ok(page) => line(&format!("report: {}", page.display())),
        Err(why) => line(&format!("report: none, {why}; the evidence is in {directory}")),
    }
    if let Some(left) = &finished.left {
        line(&format!("not cleaned up: {left}; run `{program} gc`"));
    }
}

/// Standard output may be closed; the exit code still tells.
fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
