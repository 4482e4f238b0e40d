//! Many seeds of one test in simulation, side by side.
//!
//! Each seed is simulated, judged and forgotten, so memory does not grow with their number. One
//! that fails is kept as a run directory.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use checker::{
    history::Kind,
    linear::Limits,
    verdict::{self, Outcome, Verdict},
};

use crate::{
    cluster::sim::{Simulation, simulate_observed},
    plan::Plan,
    run::simulation,
};

pub use digest::Digest;
pub use situations::{Detector, Situation, Tally};

mod digest;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod shrink;
mod situations;
pub mod swarm;

/// Which seeds, and how.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub first: u64,
    /// Behind the last seed.
    pub end: u64,
    /// Seeds side by side, from 1.
    pub jobs: usize,
    /// Whether to go on after a seed that failed.
    pub keep_going: bool,
    /// No seed begins after this moment.
    pub deadline: Option<Instant>,
    /// Whether to digest what the seeds recorded; that takes as long as writing it.
    pub digest: bool,
}

/// Is told how a campaign goes, by any of its threads.
pub trait Watch: Sync {
    /// A seed was not ok.
    fn failed(&self, failure: &Failure);
    /// A seed is done; this is the sum so far.
    fn done(&self, total: &Total);
}

/// What a campaign comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Seeds that were judged.
    pub seeds: u64,
    /// Those that violated a property.
    pub violated: u64,
    /// Those that were undecided.
    pub unknown: u64,
    /// Operations that clients began.
    pub operations: u64,
    /// Steps that nodes traced.
    pub steps: u64,
    /// Events that happened in the simulated worlds.
    pub events: u64,
    /// Virtual time of all seeds.
    pub virtual_time: Duration,
    /// What the seeds met.
    pub situations: Tally,
    /// Of everything recorded, where asked for.
    pub digest: Option<Digest>,
}

impl Total {
    /// The weightiest outcome.
    pub fn outcome(&self) -> Outcome {
        if self.violated > 0 {
            Outcome::Violated
        } else if self.unknown > 0 || self.seeds == 0 {
            Outcome::Unknown
        } else {
            Outcome::Ok
        }
    }
}

/// A seed that was not ok.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Its outcome.
    pub outcome: Outcome,
    /// The verdict in one sentence.
    pub summary: String,
    /// Its run directory.
    pub directory: PathBuf,
}

/// Judges a simulated run.
fn verdict_of(simulation: &Simulation) -> Verdict {
    let passed = simulation.passed.as_ref();
    verdict::check_after(&simulation.evidence, passed, &Limits::default())
}

/// Runs a campaign. `plan` makes the plan of a seed; `place` the directory for failing seeds, and
/// is called for the first. It ends early when `over` becomes true, and makes it so at the first
/// failure unless it is to go on. A seed that is cut short counts for nothing.
///
/// # Errors
/// A plan cannot be made, or a run cannot be written.
pub fn run(
    campaign: &Campaign,
    plan: &(dyn Fn(u64) -> anyhow::Result<Plan> + Sync),
    place: &(dyn Fn() -> anyhow::Result<PathBuf> + Sync),
    command: &[String],
    watch: &dyn Watch,
    over: &AtomicBool,
) -> anyhow::Result<Total> {
    let next = AtomicU64::new(campaign.first);
    let digest = campaign.digest.then(Digest::default);
    let total = Mutex::new(Total { digest, ..Total::default() });
    let root: Mutex<Option<PathBuf>> = Mutex::new(None);
    let one = |seed| -> anyhow::Result<()> {
        let plan = plan(seed)?;
        let mut detector = Detector::new(&plan);
        let simulation = simulate_observed(&plan, over, &mut detector);
        let verdict = verdict_of(&simulation);
        if over.load(Ordering::Relaxed) {
            // Perhaps cut short: another seed ended the campaign.
            return Ok(());
        }
        let outcome = verdict.outcome;
        let digest = match campaign.digest {
            true => Digest::of(seed, &simulation.evidence)?,
            false => Digest::default(),
        };
        let sum = {
            let evidence = &simulation.evidence;
            let begun = evidence.history.iter().filter(|event| event.kind == Kind::Invoke);
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.seeds += 1;
            total.violated += u64::from(outcome == Outcome::Violated);
            total.unknown += u64::from(outcome == Outcome::Unknown);
            total.operations += begun.count() as u64;
            total.steps += evidence.traces.iter().map(Vec::len).sum::<usize>() as u64;
            total.events += simulation.events;
            total.situations += detector.finish();
            total.virtual_time += simulation.virtual_time;
            total.digest = total.digest.map(|sum| sum + digest);
            *total
        };
        if outcome != Outcome::Ok {
            let mut root = root.lock().unwrap_or_else(PoisonError::into_inner);
            let below = match root.take() {
                Some(below) => below,
                None => place()?,
            };
            let directory = below.join(format!("seed-{seed}"));
            *root = Some(below);
            std::fs::create_dir_all(&directory)?;
            // A page that cannot be drawn now can be later, from the same directory.
            let (_, _page) = simulation::keep(&directory, &plan, &simulation, command)?;
            watch.failed(&Failure { seed, outcome, summary: verdict.summary, directory });
            if !campaign.keep_going {
                over.store(true, Ordering::Relaxed);
            }
        }
        watch.done(&sum);
        Ok(())
    };
    let time_is_up = || campaign.deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let work = || -> anyhow::Result<()> {
        while !over.load(Ordering::Relaxed) && !time_is_up() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= campaign.end {
                break;
            }
            if let Err(error) = one(seed) {
                over.store(true, Ordering::Relaxed);
                return Err(error.context(format!("seed {seed}")));
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..campaign.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow!("a simulation panicked")))
        })
    })?;
    Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner))
}
