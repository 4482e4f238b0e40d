//! Many seeds of one test in simulation, side by side.
//!
//! Each seed is simulated, judged and forgotten, so memory does not grow with their number. One
//! that fails is kept as a run directory.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use checker::{
    budget::Limits,
    history::Kind,
    judge,
    property::faults::{self, Fates},
    surface::Tested,
    verdict::{Outcome, Verdict},
};

use crate::{
    cluster::{
        sim::{Simulation, Unobserved},
        simulate_guarded,
    },
    panics::words,
    plan::{ClusterKind, Plan},
    run::simulation,
};

pub use digest::Digest;
pub use fault_tally::{FaultTally, OfKind};
pub use situations::{Detector, Situation, Tally};

mod digest;
mod fault_tally;
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
    /// Behind the last seed; none: there is none.
    pub end: Option<u64>,
    /// Seeds side by side, from 1.
    pub jobs: usize,
    /// Whether to go on after a seed that violated a property. After one that is undecided it goes
    /// on anyway.
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
    /// The harness itself panicked over a seed, and said so.
    fn panicked(&self, seed: u64, words: &str);
    /// A seed is done; this is the sum so far.
    fn done(&self, total: &Total);
}

/// What a campaign comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Seeds that were simulated.
    pub seeds: u64,
    /// Those that were simulated twice, to see whether the nodes do the same again.
    pub repeated: u64,
    /// Those that violated a property.
    pub violated: u64,
    /// Those that were undecided.
    pub unknown: u64,
    /// Those over which the harness itself panicked, so that they were not judged.
    pub panicked: u64,
    /// Those that were judged and not ok, and could not be kept as run directories.
    pub unkept: u64,
    /// Operations that clients began.
    pub operations: u64,
    /// Steps that nodes traced.
    pub steps: u64,
    /// Events that happened in the simulated worlds.
    pub events: u64,
    /// Virtual time of all seeds.
    pub virtual_time: Duration,
    /// Their faults.
    pub faults: FaultTally,
    /// What the seeds met.
    pub situations: Tally,
    /// What of the API the seeds tested, all together.
    pub tested: Tested,
    /// Of everything recorded, where asked for.
    pub digest: Option<Digest>,
}

impl Total {
    /// The weightiest outcome. Where no fault of any seed took effect, nothing was tested.
    pub fn outcome(&self) -> Outcome {
        if self.violated > 0 {
            Outcome::Violated
        } else if self.unknown + self.panicked > 0 || self.seeds == 0 || self.faults.all_in_vain() {
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
    /// What all seeds have in common that failed like this one.
    pub reason: String,
    /// Its run directory; none: earlier seeds that are undecided for the same reason are kept. Or
    /// why there is none.
    pub kept: Result<Option<PathBuf>, String>,
}

/// Seeds that are kept of those that are undecided for one reason.
const KEPT_MAX: u64 = 3;

/// A sentence without its numbers, so that what happened to other nodes at other times is alike.
pub fn reason(sentence: &str) -> String {
    let mut reason = String::new();
    let mut number = false;
    for character in sentence.chars() {
        let goes_on = character.is_ascii_digit() || (number && character == '.');
        if goes_on && !number {
            reason.push('#');
        } else if !goes_on {
            reason.push(character);
        }
        number = goes_on;
    }
    reason
}

/// One seed of so many is simulated twice, the first one always.
const REPEATED: u64 = 16;

/// Simulates a plan again, and notes what differs. Whether it came to its end.
fn repeat(plan: &Plan, simulation: &mut Simulation, over: &AtomicBool) -> bool {
    let (again, _) = simulate_guarded(plan, false, None::<Unobserved>, over);
    let whole = !over.load(Ordering::Relaxed);
    if whole {
        simulation.evidence.run.differs =
            simulation::difference(&simulation.evidence, &again.evidence);
    }
    whole
}

/// Judges a simulated run.
fn verdict_of(simulation: &Simulation) -> Verdict {
    let passed = simulation.passed.as_ref();
    judge::run_after(&simulation.evidence, passed, &Limits::default())
}

/// A simulated run as one seed of many.
struct Judged<'a> {
    verdict: Verdict,
    fates: Fates<'a>,
    /// Whether its faults found anybody to act on is a question to the campaign as a whole: a seed
    /// in which none did is as good as one that was drawn without faults, where nothing else is in
    /// doubt.
    outcome: Outcome,
}

impl<'a> Judged<'a> {
    fn of(simulation: &'a Simulation) -> Self {
        let verdict = verdict_of(simulation);
        let evidence = &simulation.evidence;
        let fates = faults::fates(&evidence.faults, &evidence.run);
        let in_vain = fates.proved.is_empty() && fates.inert.is_empty();
        let mut doubts = verdict.properties.iter().filter(|it| it.outcome != Outcome::Ok);
        let nothing_else = doubts.all(|it| it.name == faults::NAME);
        let outcome = match verdict.outcome {
            Outcome::Unknown if in_vain && nothing_else => Outcome::Ok,
            outcome => outcome,
        };
        Self { verdict, fates, outcome }
    }
}

/// Runs a campaign. `plan` makes the plan of a seed; `place` the directory for failing seeds, and
/// is called for the first. It ends early when `over` becomes true, and makes it so at the first
/// failure unless it is to go on. A seed that is cut short counts for nothing, unless what it did
/// until then violates a property.
///
/// The error is why it ended early: a plan could not be made. What was found until then is told
/// nevertheless.
pub fn run(
    campaign: &Campaign,
    plan: &(dyn Fn(u64) -> anyhow::Result<Plan> + Sync),
    place: &(dyn Fn() -> anyhow::Result<PathBuf> + Sync),
    command: &[String],
    watch: &dyn Watch,
    over: &AtomicBool,
) -> (Total, anyhow::Result<()>) {
    let next = AtomicU64::new(campaign.first);
    let digest = campaign.digest.then(Digest::default);
    let total = Mutex::new(Total { digest, ..Total::default() });
    let root: Mutex<Option<PathBuf>> = Mutex::new(None);
    let undecided: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let keep = |seed, plan: &Plan, simulation: &Simulation| -> anyhow::Result<PathBuf> {
        let mut root = root.lock().unwrap_or_else(PoisonError::into_inner);
        let below = match root.take() {
            Some(below) => below,
            None => place()?,
        };
        let directory = below.join(format!("seed-{seed}"));
        *root = Some(below);
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        // A page that cannot be drawn now can be later, from the same directory.
        let (_, _page) = simulation::keep(&directory, plan, simulation, command)?;
        Ok(directory)
    };
    let one = |seed| -> anyhow::Result<()> {
        let plan = plan(seed)?;
        let detector = Some(Detector::new(&plan));
        let (mut simulation, detector) = simulate_guarded(&plan, false, detector, over);
        let repeated = (seed - campaign.first).is_multiple_of(REPEATED)
            && simulation.evidence.run.stuck.is_empty()
            // Below whole servers are libraries whose choices no seed decides.
            && plan.cluster != ClusterKind::InProcess
            && repeat(&plan, &mut simulation, over);
        let evidence = &simulation.evidence;
        let Judged { verdict, fates, outcome } = Judged::of(&simulation);
        if over.load(Ordering::Relaxed) && outcome != Outcome::Violated {
            // Perhaps cut short: another seed ended the campaign.
            return Ok(());
        }
        let digest = match campaign.digest {
            true => Digest::of(seed, evidence)?,
            false => Digest::default(),
        };
        let tested = Tested::of(&evidence.history);
        let failure = (outcome != Outcome::Ok).then(|| {
            let reason = reason(&verdict.summary);
            let alike = |reason: &str| {
                let mut undecided = undecided.lock().unwrap_or_else(PoisonError::into_inner);
                let alike = undecided.entry(reason.to_owned()).or_default();
                *alike += 1;
                *alike
            };
            let enough = outcome == Outcome::Unknown && alike(&reason) > KEPT_MAX;
            // What is drawn of a run that went wrong may go wrong too, and must not hide it.
            let kept = || {
                catch_unwind(AssertUnwindSafe(|| keep(seed, &plan, &simulation).map(Some)))
                    .unwrap_or_else(|panic| {
                        Err(anyhow!("the harness panicked: {}", words(&*panic)))
                    })
                    .map_err(|error| format!("{error:#}"))
            };
            let kept = if enough { Ok(None) } else { kept() };
            Failure { seed, outcome, summary: verdict.summary, reason, kept }
        });
        let sum = {
            let begun = evidence.history.places().filter(|place| place.kind == Kind::Invoke);
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.seeds += 1;
            total.repeated += u64::from(repeated);
            total.violated += u64::from(outcome == Outcome::Violated);
            total.unknown += u64::from(outcome == Outcome::Unknown);
            total.unkept += u64::from(failure.as_ref().is_some_and(|it| it.kept.is_err()));
            total.operations += begun.count() as u64;
            total.steps += evidence.traces.iter().map(Vec::len).sum::<usize>() as u64;
            total.events += simulation.events;
            total.faults.add(&evidence.faults, &fates);
            total.situations += detector.map(Detector::finish).unwrap_or_default();
            total.tested |= tested;
            total.virtual_time += simulation.virtual_time;
            total.digest = total.digest.map(|sum| sum + digest);
            *total
        };
        if let Some(failure) = failure {
            watch.failed(&failure);
            if failure.outcome == Outcome::Violated && !campaign.keep_going {
                over.store(true, Ordering::Relaxed);
            }
        }
        watch.done(&sum);
        Ok(())
    };
    // No reason to lose the other seeds, and this one is not to be forgotten.
    let panicked = |seed, words: &str| {
        let sum = {
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.seeds += 1;
            total.panicked += 1;
            *total
        };
        watch.panicked(seed, words);
        if !campaign.keep_going {
            over.store(true, Ordering::Relaxed);
        }
        watch.done(&sum);
    };
    let time_is_up = || campaign.deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let take = || {
        let taken =
            next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| seed.checked_add(1));
        taken.ok().filter(|seed| campaign.end.is_none_or(|end| *seed < end))
    };
    let work = || -> anyhow::Result<()> {
        while !over.load(Ordering::Relaxed)
            && !time_is_up()
            && let Some(seed) = take()
        {
            match catch_unwind(AssertUnwindSafe(|| one(seed))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    over.store(true, Ordering::Relaxed);
                    return Err(error.context(format!("seed {seed}")));
                }
                Err(panic) => panicked(seed, words(&*panic)),
            }
        }
        Ok(())
    };
    let ended = thread::scope(|scope| {
        let workers: Vec<_> = (0..campaign.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        // All of them, before the first error.
        workers.into_iter().map(join).fold(Ok(()), anyhow::Result::and)
    });
    (total.into_inner().unwrap_or_else(PoisonError::into_inner), ended)
}
