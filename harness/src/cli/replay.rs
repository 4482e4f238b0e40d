//! `harness replay`.

use std::{path::PathBuf, sync::atomic::AtomicBool};

use checker::{linear::Limits, verdict};

use super::{
    exit::{Exit, Usage},
    test::{line, plural, print_verdict},
};
use crate::{
    cluster::sim::simulate,
    plan::{ClusterKind, Plan},
    run::{directory, simulation},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run directory, or a plan.
    #[arg(value_name = "DIR|PLAN")]
    from: PathBuf,

    /// Another seed than the plan's; the schedule of faults stays as it is.
    #[arg(long)]
    seed: Option<u64>,

    /// Keep the run in this directory; must be empty or not exist [default: it is not kept]
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let recorded = args.from.is_dir();
    let path = if recorded { args.from.join("plan.json") } else { args.from.clone() };
    let mut plan = Plan::load(&path).map_err(Usage)?;
    // A run on containers has its own timing, and other seeds have other ones.
    let comparable = recorded && plan.cluster == ClusterKind::Sim && args.seed.is_none();
    plan.cluster = ClusterKind::Sim;
    plan.seed = args.seed.unwrap_or(plan.seed);
    let out = match &args.out {
        Some(out) => Some(directory::create(Some(out), plan.workload.name(), plan.seed)?),
        None => None,
    };
    let simulation = simulate(&plan, &AtomicBool::new(false));
    if comparable {
        let lines = simulation::compare(&args.from, &simulation.evidence)?;
        line(&format!(
            "identical: {} of history, faults and traces, byte by byte",
            plural(lines as u64, "line")
        ));
    }
    let verdict = match &out {
        Some(out) => {
            let command = super::command_line();
            let (judgement, page) = simulation::keep(out, &plan, &simulation, &command)?;
            if let Ok(page) = page {
                line(&format!("report: {}", page.display()));
            }
            judgement.verdict
        }
        None => verdict::check(&simulation.evidence, &Limits::default()),
    };
    print_verdict(&verdict);
    Ok(verdict.outcome.into())
}
