//! From a failing run to a plan that a person understands at once.
//!
//! [`shrink`] takes faults, operations, clients, nodes, keys, time and bad weather away from a plan
//! as long as its simulated run still violates *the same property*, until nothing single can be
//! taken away. A run that is only undecided must stay undecided for the same reason. The idea is
//! delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
//! 2002).
//!
//! Every change of a plan changes all random choices that follow it: the run of a smaller plan is
//! another run, and its own seed may miss by luck what another seed shows. So a candidate counts
//! as failing if any of several seeds fails; the smallest one wins, and goes into the plan.
//!
//! - `search`: one candidate, many seeds, all processors;
//! - `size`: which of two plans is simpler;
//! - `pieces`: faults and operations, taken away in chunks and one by one;
//! - `variants`: the same events in a simpler form, on fewer nodes, in calmer weather;
//! - `times`: the same events sooner, and at rounder times;
//! - [`page`]: what came out, for a person.
//!
//! The minimal plan is a pure function of the plan. Only a budget of time, or a stop, makes it
//! depend on the machine, and then it says so. How many runs that takes depends on how many go on
//! side by side.

mod finding;
pub mod page;
mod pieces;
mod search;
mod size;
#[cfg(test)]
mod tests;
mod times;
mod variants;

pub(super) use search::first_violated;
pub use search::violated;

use std::{
    collections::BTreeSet,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use checker::verdict::Outcome;

use self::{finding::Finding, search::Search, size::Size};
use super::verdict_of;
use crate::{
    cluster::{sim::Unobserved, simulate_guarded},
    plan::{ClusterKind, Plan},
};

/// Seeds that a candidate is tried with before [`Settings::seeds`] have the last word: what a few
/// seeds show is taken away cheaply, before many are spent on what is left.
const LEVELS: [u64; 2] = [4, 20];

/// A run on containers has its own timing: so many seeds are simulated to find one that fails.
const SEEDS_FOR_CONTAINERS: u64 = 200;

/// Seeds that may save a fault or an operation from being taken away.
pub const SEEDS: u64 = 100;

/// How to shrink.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Seeds tried side by side, from 1. The minimal plan does not depend on it.
    pub jobs: usize,
    /// Seeds that each candidate is tried with, beside that of the plan, before it counts as fine.
    pub seeds: u64,
    /// No candidate is tried after this time.
    pub budget: Duration,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Of the smallest plan so far.
    pub extent: Extent,
    /// Runs that were simulated.
    pub runs: u64,
}

/// How much of everything a plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Faults injected.
    pub faults: usize,
    /// Operations that clients of the load begin; none: they are generated until the load ends.
    pub operations: Option<usize>,
    /// Clients.
    pub clients: u64,
    /// Nodes.
    pub nodes: u64,
    /// Keys.
    pub keys: usize,
    /// How long clients and faults run.
    pub time: Duration,
}

impl Extent {
    /// Of a plan.
    fn of(plan: &Plan) -> Self {
        Self {
            faults: plan.faults.len(),
            operations: plan.workload.script().map(|script| script.steps.len()),
            clients: plan.load.concurrency,
            nodes: plan.nodes,
            keys: plan.workload.keys(),
            time: plan.time,
        }
    }
}

/// What is left of a failing plan.
#[derive(Clone, Debug)]
pub struct Minimal {
    /// The plan.
    pub plan: Plan,
    /// The property that it violates, or leaves undecided, as the plan that it came from did.
    pub property: String,
    /// Whether the property is undecided, rather than violated.
    pub undecided: bool,
    /// What there was.
    pub before: Extent,
    /// What is left.
    pub after: Extent,
    /// Runs that were simulated to find it.
    pub runs: u64,
    /// Of [`Minimal::tried`] other seeds, so many violate the property too.
    pub failing: u64,
    /// See [`Minimal::failing`].
    pub tried: u64,
    /// The budget, or a stop, ended the search before nothing single could be taken away.
    pub cut_short: bool,
}

impl Minimal {
    /// What the plan's run says of the property.
    pub fn outcome(&self) -> Outcome {
        if self.undecided { Outcome::Unknown } else { Outcome::Violated }
    }
}

/// Why there is nothing to shrink.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// The plan's run is fine.
    #[error(
        "this run does not fail in simulation: {summary} A run that was recorded by another build \
         needs that build; `harness sim` looks for seeds that fail with this one"
    )]
    Holds {
        /// The verdict.
        summary: String,
    },
    /// It failed in containers, and not in simulation.
    #[error(
        "no run of this plan fails in simulation, with its own and {seeds} other seeds{}: what \
         containers showed may need their timing. Look at the report of the recorded run, or \
         repeat the plan there with `harness test --plan`",
        if *cut_short { ", more than which --seconds left no time for" } else { "" }
    )]
    OnlyOnContainers {
        /// Other seeds that were tried.
        seeds: u64,
        /// Time was up before all were tried that should have been.
        cut_short: bool,
    },
    /// It violates something, and nothing that the recorded run violated.
    #[error(
        "the recorded run violated {}, its plan in simulation only {}: that is another failure. A \
         run that was recorded by another build needs that build; give the plan alone to shrink it \
         for what it violates now",
        recorded.join(", "),
        met.join(", ")
    )]
    Another {
        /// What the recorded run violated.
        recorded: Vec<String>,
        /// What simulation showed.
        met: Vec<String>,
    },
    /// There is no violation where one was recorded, and no proof that there is none.
    #[error(
        "the recorded run violated {}, and this plan violates nothing in simulation, it is only \
         undecided: {summary} Give the plan alone to shrink it for that",
        recorded.join(", ")
    )]
    Undecided {
        /// What the recorded run violated.
        recorded: Vec<String>,
        /// The verdict.
        summary: String,
    },
    /// A stop was asked for before anything was found.
    #[error("stopped before the failing run was simulated")]
    Stopped,
}

/// Shrinks a plan for the first property that its run violates of those that were `recorded`, of
/// all where none was. `watch` is told how far it is. When `stop` becomes true, the smallest plan
/// so far is the result.
///
/// # Errors
/// The plan does not fail in simulation, or not as it was recorded.
pub fn shrink(
    plan: &Plan,
    recorded: &[String],
    settings: &Settings,
    watch: &dyn Fn(&Progress),
    stop: &AtomicBool,
) -> Result<Minimal, Refused> {
    let deadline = Instant::now() + settings.budget;
    let first = failing(plan, recorded, settings, deadline, stop)?;
    let before = Extent { operations: Some(first.begun), ..Extent::of(&first.plan) };
    let search = Search::new(&first, settings.jobs, deadline, stop);
    let mut reduction =
        Reduction { search, best: first, seeds: LEVELS[1], tried: BTreeSet::new(), watch };
    reduction.shorten();
    reduction.write_down();
    for seeds in LEVELS.into_iter().filter(|few| *few < settings.seeds).chain([settings.seeds]) {
        reduction.seeds = seeds;
        while reduction.round() {}
    }
    Ok(reduction.end(before, settings.seeds))
}

/// The run that shows what the plan violates.
fn failing(
    plan: &Plan,
    recorded: &[String],
    settings: &Settings,
    deadline: Instant,
    stop: &AtomicBool,
) -> Result<Finding, Refused> {
    let cluster = plan.cluster;
    let plan = Plan { cluster: cluster.in_virtual_time(), ..plan.clone() };
    let (simulation, _) = simulate_guarded(&plan, false, None::<Unobserved>, stop);
    if search::is_over(stop) {
        return Err(Refused::Stopped);
    }
    let verdict = verdict_of(&simulation);
    if let Some(property) = first_violated(&simulation, &verdict, recorded)
        && let Some(finding) = search::finding(&plan, &simulation, &verdict, &property)
    {
        return Ok(finding);
    }
    let another = |met| Refused::Another { recorded: recorded.to_vec(), met };
    if cluster == ClusterKind::Docker {
        let any = Search::any(recorded.to_vec(), settings.jobs, deadline, stop);
        if let Some(finding) = any.hunt(&plan, SEEDS_FOR_CONTAINERS) {
            return Ok(finding);
        }
        // One run is that of the plan's own seed.
        let seeds = any.runs().saturating_sub(1);
        let cut_short = seeds < SEEDS_FOR_CONTAINERS;
        return Err(match any.others() {
            _ if search::is_over(stop) => Refused::Stopped,
            others if others.is_empty() => Refused::OnlyOnContainers { seeds, cut_short },
            others => another(others),
        });
    }
    let summary = verdict.summary.clone();
    Err(match verdict.outcome {
        Outcome::Ok => Refused::Holds { summary },
        Outcome::Unknown => {
            let found = search::undecided(&plan, &simulation, &verdict);
            let same = |found: &Finding| recorded.is_empty() || recorded.contains(&found.property);
            match found.filter(same) {
                Some(found) => return Ok(found),
                None => Refused::Undecided { recorded: recorded.to_vec(), summary },
            }
        }
        Outcome::Violated => another(violated(&verdict).map(|it| it.name.clone()).collect()),
    })
}

/// A plan on its way to being minimal.
struct Reduction<'a> {
    search: Search<'a>,
    /// The smallest failing plan so far, and what its run showed.
    best: Finding,
    /// Seeds that each candidate is tried with.
    seeds: u64,
    /// Candidates that do not fail, at the present number of seeds.
    tried: BTreeSet<(u64, String)>,
    watch: &'a dyn Fn(&Progress),
}

impl Reduction<'_> {
    /// Takes a candidate if it is a possible plan, simpler, and fails.
    fn take(&mut self, mut candidate: Plan) -> bool {
        candidate.seed = self.best.plan.seed;
        if self.search.is_over()
            || Size::of(&candidate) >= Size::of(&self.best.plan)
            || candidate.validate().is_err()
        {
            return false;
        }
        // Two plans that differ in their seed alone are tried with the same other seeds.
        let name = serde_json::to_string(&Plan { seed: 0, ..candidate.clone() });
        let name = (self.seeds, name.unwrap_or_default());
        if self.tried.contains(&name) {
            return false;
        }
        let found = self.search.hunt(&candidate, self.seeds);
        let extent = Extent::of(found.as_ref().map_or(&self.best.plan, |found| &found.plan));
        (self.watch)(&Progress { extent, runs: self.search.runs() });
        match found {
            Some(found) => {
                self.best = found;
                true
            }
            None => {
                self.tried.insert(name);
                false
            }
        }
    }

    /// Takes one variant after the other until none is simpler and fails. Whether any was taken.
    fn take_any_of(&mut self, variants: fn(&Finding) -> Vec<Plan>) -> bool {
        let mut any = false;
        while variants(&self.best).into_iter().any(|variant| self.take(variant)) {
            any = true;
        }
        any
    }

    /// One look at everything that could be taken away. Whether anything was.
    fn round(&mut self) -> bool {
        let calmed = self.take_any_of(variants::calm);
        let passes = [
            self.take_any_of(times::cut),
            self.drop_operations(),
            self.drop_faults(),
            self.take_any_of(variants::fewer_nodes),
            self.take_any_of(variants::fewer_clients),
            self.take_any_of(variants::fewer_keys),
            self.take_any_of(variants::plainer_operations),
            self.take_any_of(variants::plainer_faults),
            self.take_any_of(times::shorter),
            self.take_any_of(times::rounder),
        ];
        calmed || passes.contains(&true)
    }

    /// The result, with the smallest seed that shows it, and how many do.
    fn end(self, before: Extent, seeds: u64) -> Minimal {
        let Self { search, best, .. } = self;
        let finished = !search.is_over();
        let failing = if finished { search.failing(&best.plan, seeds) } else { Vec::new() };
        // The count is of no use either where time was up meanwhile.
        let cut_short = search.is_over();
        let (plan, failing, tried) = match failing.first() {
            Some(&seed) if !cut_short => (Plan { seed, ..best.plan }, failing.len() as u64, seeds),
            _ => (best.plan, 0, if cut_short { 0 } else { seeds }),
        };
        Minimal {
            after: Extent::of(&plan),
            plan,
            property: best.property,
            undecided: best.undecided.is_some(),
            before,
            runs: search.runs(),
            failing,
            tried,
            cut_short,
        }
    }
}
