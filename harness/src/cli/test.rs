//! `harness test`.

use std::{io::Write, path::PathBuf, time::Duration};

use anyhow::ensure;
use checker::{
    evidence::sums,
    surface::Tested,
    verdict::{Outcome, Verdict},
};

use super::{
    exit::{Exit, Usage},
    plan::{Defaults, MutantOptions, PlanOptions},
};
use crate::{
    cluster,
    daemon::{self, NoDaemon},
    plan::{ClusterKind, Plan},
    run::{self, Counts, Finished, Judgement, Settings, Stop},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    options: PlanOptions,

    #[command(flatten)]
    mutants: MutantOptions,

    /// Seed of every random choice [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u64>,

    /// Where the nodes live [default: what --plan says, else docker; without a daemon, sim]
    #[arg(long, value_enum)]
    cluster: Option<ClusterKind>,

    /// Run directory; must be empty or not exist [default: results/<time>-<workload>-<seed>]
    #[arg(long)]
    out: Option<PathBuf>,

    /// Run the test of this file (a run directory's plan.json) again: same schedule, same choices.
    #[arg(long, conflicts_with_all = [
        "nodes", "time", "workload", "faults", "interval", "concurrency", "rate", "keys", "values",
        "operation_timeout", "seed", "election_timeout", "heartbeat_interval",
        "storage", "system", "reads", "known_defects",
    ])]
    plan: Option<PathBuf>,

    /// Go on after a violation of linearizability, which is looked for while the run goes on
    /// [default: the run ends at the first]
    #[arg(long)]
    keep_going: bool,

    /// First of the ports of 127.0.0.1 at which clients reach the nodes [default: free ones]
    #[arg(long)]
    base_port: Option<u16>,
}

impl Args {
    fn into_settings(self) -> anyhow::Result<Settings> {
        let (out, base_port, keep_going) = (self.out.clone(), self.base_port, self.keep_going);
        let plan = match &self.plan {
            Some(path) => Plan::load(path)?,
            None => self.to_plan()?,
        };
        let mut plan = self.mutants.applied_to(plan)?;
        plan.cluster = self.cluster.unwrap_or(plan.cluster);
        plan.validate()?;
        cluster::check(&plan)?;
        ensure!(
            plan.cluster == ClusterKind::Docker || base_port.is_none(),
            "--base-port is for containers: simulated nodes have no ports"
        );
        Ok(Settings {
            plan,
            out,
            base_port,
            images: None,
            command: super::command_line(),
            keep_going,
            inert: false,
            panics_at: None,
        })
    }

    fn to_plan(&self) -> anyhow::Result<Plan> {
        // Short enough to be typed.
        let seed = self.seed.unwrap_or_else(|| rand::random::<u32>().into());
        let defaults = Defaults {
            faults: "kill,pause,partition",
            rate: 0,
            interval: Duration::from_millis(2500),
            extreme: true,
        };
        self.options.plan(self.cluster.unwrap_or(ClusterKind::Docker), seed, defaults)
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let asked_for = args.cluster;
    let mut settings = args.into_settings().map_err(Usage)?;
    if settings.plan.cluster == ClusterKind::Docker && asked_for.is_none() {
        fall_back(&mut settings).await?;
    }
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
    let Finished { judgement, left, .. } = &finished;
    Ok(Exit::from(judgement.verdict.outcome).unless_lost(judgement.saved && left.is_none()))
}

/// Without a daemon the plan is simulated, unless containers were asked for. Not where `CI` is set,
/// as every CI system does: a job on a runner that has lost its daemon must not stay green.
async fn fall_back(settings: &mut Settings) -> anyhow::Result<()> {
    match daemon::connect().await {
        Ok(_) => Ok(()),
        Err(error) if error.downcast_ref::<NoDaemon>().is_some() && in_ci() => Err(error.context(
            "CI is set, so that the plan is not simulated in place of containers; ask for \
                 simulation with --cluster sim",
        )),
        Err(error) if error.downcast_ref::<NoDaemon>().is_some() => {
            let _ = writeln!(
                std::io::stderr(),
                "{error}\nNo containers, then: the plan runs in simulation, in virtual time. Ask for \
                 containers with --cluster docker."
            );
            settings.plan.cluster = ClusterKind::Sim;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Whether this is a job of a CI system. `CI=false` is how one says that it is not.
fn in_ci() -> bool {
    std::env::var_os("CI")
        .is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// The verdict in one sentence, then what is wrong, then the counts.
pub(super) fn print_judgement(judgement: &Judgement) {
    print_verdict(&judgement.verdict);
    let Counts { ok, fail, info } = judgement.counts;
    let leaders = match judgement.verdict.not_judged.is_empty() {
        true => format!("; {} had a leader", plural(judgement.leaders as u64, "term")),
        false => String::new(),
    };
    line(&format!(
        "{}: {ok} ok, {fail} failed, {info} unknown; {} took effect{leaders}",
        plural(ok + fail + info, "operation"),
        plural(judgement.faults as u64, "fault"),
    ));
    if !judgement.verdict.not_judged.is_empty() {
        line(&format!("not judged: {}", judgement.verdict.not_judged.join(", ")));
    }
    print_not_tested(judgement.verdict.not_tested.iter().map(String::as_str));
}

/// Parts of the API that the terminal names when many were not tested.
const NOT_TESTED_SHOWN: usize = 6;

/// What of the API nothing tested.
pub(super) fn print_not_tested<'a>(parts: impl ExactSizeIterator<Item = &'a str>) {
    let (missing, all) = (parts.len(), Tested::count());
    if missing == 0 {
        return;
    }
    let shown: Vec<&str> = parts.take(NOT_TESTED_SHOWN).collect();
    let more = match missing - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    line(&format!("not tested: {missing} of {all} parts of the API: {}{more}", shown.join(", ")));
}

pub(super) fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Violations of one property that the terminal shows; the report and `verdict.json` have all.
const SHOWN: usize = 3;

/// The verdict in one sentence, then what is wrong: what the sentence is about first, and
/// properties that are undecided for one reason in one line.
pub(super) fn print_verdict(verdict: &Verdict) {
    line(&verdict.summary);
    for property in verdict.doubts() {
        line(&format!("{}: {}: {}", property.outcome, property.name, property.detail));
        for violation in property.violations.iter().take(SHOWN) {
            line(&format!("  {}", violation.summary));
        }
        if let Some(more) = property.violations.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            line(&format!("  and {more} more, see the report"));
        }
    }
    if let Some(fold) = &verdict.fold {
        line(&format!("{}: {} {}: {}", Outcome::Unknown, fold.names.len(), fold.what, fold.detail));
    }
}

fn print_end(settings: &Settings, finished: &Finished) {
    let directory = finished.directory.display();
    let program = settings.command.first().map_or("harness", String::as_str);
    line(&format!("seed: {}", settings.plan.seed));
    line(&format!("again: {program} test --plan {directory}/plan.json"));
    match &finished.page {
        Ok(page) => line(&format!("report: {}", page.display())),
        Err(why) => {
            line(&format!("report: none, {why}; what there is of the evidence is in {directory}"))
        }
    }
    if let Some(digest) = sums::seal(&finished.directory) {
        line(&format!("evidence: {}, sha256 {digest}", sums::NAME));
    }
    if let Some(left) = &finished.left {
        line(&format!("not cleaned up: {left}; run `{program} gc`"));
    }
}

/// Standard output may be closed; the exit code still tells.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
