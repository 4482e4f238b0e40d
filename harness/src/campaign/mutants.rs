//! Whether ordinary campaigns find known bugs: each is put back into the node, and campaigns from
//! different seeds run until one violates a property. The correct node, and changes that are no
//! bugs, get campaigns over the same seeds and must not be reported.
//!
//! Nothing here knows how a bug shows itself: the plans are those of any campaign, but for the name
//! of the mutant.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use checker::verdict::Outcome;
use node::mutants::Mutant;
use serde::Serialize;

use super::{
    Judged,
    shrink::{self, Refused, Settings},
};
use crate::{cluster::sim::simulate, plan::Plan};

/// Makes the plan of a seed, of the correct node.
pub type Planner<'a> = &'a (dyn Fn(u64) -> anyhow::Result<Plan> + Sync);

/// Seeds of different starts are so far apart that they never meet.
const APART: u64 = 1_000_000;
/// At least so many seeds of a start the correct node must survive.
const SURVIVES: u64 = 50;
/// How long a failing seed is shrunk at most.
const SHRINKS: Duration = Duration::from_secs(60);

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Campaigns against each mutant, each from another seed.
    pub starts: u64,
    /// No campaign begins a seed after this time.
    pub limit: Duration,
    /// Seeds side by side, from 1.
    pub jobs: usize,
    /// Whether to shrink a failing seed of each bug.
    pub shrink: bool,
}

/// What one campaign came to.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// Its first seed.
    pub first: u64,
    /// Seeds up to the one that was violated; without one, all that were judged.
    pub seeds: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The first seed that was violated.
    pub found: Option<Found>,
    /// Seeds before that which were undecided.
    pub unknown: Vec<Undecided>,
}

/// A seed that was undecided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Undecided {
    /// The seed.
    pub seed: u64,
    /// The verdict in a sentence.
    pub summary: String,
}

/// A seed that was violated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// All properties that it violated, in the verdict's order.
    pub properties: Vec<String>,
    /// The verdict in a sentence.
    pub summary: String,
}

/// All campaigns against the same nodes.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What the nodes are; none: correct.
    #[serde(serialize_with = "name")]
    pub mutant: Option<Mutant>,
    /// One a start.
    pub hunts: Vec<Hunt>,
    /// What became of the first failing seed, where asked for.
    pub shrunk: Option<Shrunk>,
}

/// A failing seed, shrunk.
#[derive(Clone, Debug, Serialize)]
pub struct Shrunk {
    /// The seed.
    pub seed: u64,
    /// The property that the minimal plan violates, as the seed's did.
    pub property: String,
    /// Faults that are left.
    pub faults: usize,
    /// Operations of clients that are left; none: they are still generated.
    pub operations: Option<usize>,
    /// Nodes that are left.
    pub nodes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Time was up before nothing single could be taken away.
    pub cut_short: bool,
}

fn name<S: serde::Serializer>(mutant: &Option<Mutant>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(mutant.map_or("correct", Mutant::name))
}

impl Row {
    /// Whether the nodes have a bug that must be found.
    pub fn is_bug(&self) -> bool {
        self.mutant.is_some_and(|mutant| !mutant.is_equivalent())
    }

    /// The campaigns that found something.
    pub fn found(&self) -> impl Iterator<Item = &Found> {
        self.hunts.iter().filter_map(|hunt| hunt.found.as_ref())
    }

    /// Whether what was found is one of the properties that this bug breaks.
    pub fn is_right(&self, found: &Found) -> bool {
        let breaks = self.mutant.map_or(&[][..], |mutant| mutant.about().breaks);
        found.properties.iter().any(|property| breaks.contains(&property.as_str()))
    }

    /// How often each property was violated, by name.
    pub fn properties(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for property in self.found().flat_map(|found| &found.properties) {
            *counts.entry(property.as_str()).or_default() += 1;
        }
        counts
    }

    /// Whether these campaigns did what they must: a bug is found by each, as a property that it
    /// breaks; of other nodes nothing is reported, and nothing undecided either.
    pub fn is_fine(&self) -> bool {
        if self.is_bug() {
            self.found().count() == self.hunts.len() && self.found().all(|f| self.is_right(f))
        } else {
            self.found().count() == 0 && self.hunts.iter().all(|hunt| hunt.unknown.is_empty())
        }
    }
}

/// Is told how it goes.
pub trait Watch {
    /// A campaign begins, against these nodes, with this number from 0.
    fn begins(&self, mutant: Option<Mutant>, start: u64);
    /// All campaigns against the same nodes are over.
    fn done(&self, row: &Row);
}

/// Runs campaigns against each of `mutants` and then the correct node. When `stop` becomes true,
/// what is complete by then is returned.
///
/// # Errors
/// A plan cannot be made.
pub fn run(
    trial: &Trial,
    mutants: &[Mutant],
    plan: Planner<'_>,
    watch: &dyn Watch,
    stop: &AtomicBool,
) -> anyhow::Result<Vec<Row>> {
    let (bugs, equivalent): (Vec<Mutant>, Vec<Mutant>) =
        mutants.iter().partition(|mutant| !mutant.is_equivalent());
    let nodes = bugs.into_iter().chain(equivalent).map(Some).chain([None]);
    let mut rows: Vec<Row> = Vec::new();
    // Seeds that the longest campaign of a start took: what the others must survive.
    let mut longest = vec![SURVIVES; trial.starts as usize];
    for mutant in nodes {
        let mut row = Row { mutant, hunts: Vec::new(), shrunk: None };
        for (start, longest) in (0..).zip(&mut longest) {
            watch.begins(mutant, start);
            let first = start * APART;
            let end = first + if row.is_bug() { APART } else { *longest };
            let hunt = hunt(trial, first..end, plan, mutant, stop)?;
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if row.is_bug() {
                *longest = hunt.seeds.max(*longest);
            }
            row.hunts.push(hunt);
        }
        let failing = row.found().next().map(|found| found.seed);
        if trial.shrink
            && row.is_bug()
            && let Some(seed) = failing
        {
            row.shrunk = shrunk(trial, plan, mutant, seed, stop)?;
        }
        if !row.hunts.is_empty() {
            watch.done(&row);
            rows.push(row);
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(rows)
}

/// One campaign: seeds in order, side by side, until one is violated. The first one of all is
/// told, whichever thread was faster.
fn hunt(
    trial: &Trial,
    seeds: Range<u64>,
    plan: Planner<'_>,
    mutant: Option<Mutant>,
    stop: &AtomicBool,
) -> anyhow::Result<Hunt> {
    let began = Instant::now();
    let (next, end) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let done = AtomicU64::new(0);
    let found: Mutex<Option<Found>> = Mutex::new(None);
    let unknown = Mutex::new(Vec::new());
    let work = || -> anyhow::Result<()> {
        while !stop.load(Ordering::Relaxed) && began.elapsed() < trial.limit {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                break;
            }
            let plan = Plan { mutant, ..plan(seed)? };
            let simulation = simulate(&plan, stop);
            let Judged { verdict, outcome, .. } = Judged::of(&simulation);
            done.fetch_add(1, Ordering::Relaxed);
            match outcome {
                Outcome::Ok => {}
                Outcome::Unknown => {
                    let undecided = Undecided { seed, summary: verdict.summary };
                    unknown.lock().unwrap_or_else(PoisonError::into_inner).push(undecided);
                }
                Outcome::Violated => {
                    end.fetch_min(seed, Ordering::Relaxed);
                    let violated =
                        verdict.properties.iter().filter(|p| p.outcome == Outcome::Violated);
                    let properties = violated.map(|property| property.name.clone()).collect();
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    if found.as_ref().is_none_or(|known| seed < known.seed) {
                        *found = Some(Found { seed, properties, summary: verdict.summary });
                    }
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..trial.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow!("a simulation panicked")))
        })
    })?;
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut unknown = unknown.into_inner().unwrap_or_else(PoisonError::into_inner);
    unknown.retain(|it: &Undecided| found.as_ref().is_none_or(|found| it.seed < found.seed));
    unknown.sort_unstable();
    let seeds_until = found.as_ref().map(|found| found.seed - seeds.start + 1);
    Ok(Hunt {
        first: seeds.start,
        seeds: seeds_until.unwrap_or_else(|| done.into_inner()),
        seconds: began.elapsed().as_secs_f64(),
        found,
        unknown,
    })
}

/// Shrinks a failing seed; none when a stop was asked for.
fn shrunk(
    trial: &Trial,
    plan: Planner<'_>,
    mutant: Option<Mutant>,
    seed: u64,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Shrunk>> {
    let began = Instant::now();
    let plan = Plan { mutant, ..plan(seed)? };
    let settings = Settings { jobs: trial.jobs, seeds: shrink::SEEDS, budget: SHRINKS };
    Ok(match shrink::shrink(&plan, &[], &settings, &|_| (), stop) {
        Ok(minimal) => Some(Shrunk {
            seed,
            property: minimal.property,
            faults: minimal.after.faults,
            operations: minimal.after.operations,
            nodes: minimal.after.nodes,
            seconds: began.elapsed().as_secs_f64(),
            cut_short: minimal.cut_short,
        }),
        Err(Refused::Stopped) => None,
        Err(refused) => return Err(refused.into()),
    })
}

/// Three bugs and an equivalent mutant: others with each `turn`, all of them after a few turns.
pub fn rotation(turn: u64) -> Vec<Mutant> {
    let (bugs, equivalent): (Vec<Mutant>, Vec<Mutant>) =
        Mutant::ALL.into_iter().partition(|mutant| !mutant.is_equivalent());
    let at = |list: &[Mutant], number: u64| list[(number % list.len() as u64) as usize];
    let first = turn % bugs.len() as u64 * 3;
    let bugs = (first..first + 3).map(|number| at(&bugs, number));
    bugs.chain([at(&equivalent, turn)]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn row(mutant: Option<Mutant>, found: &[Option<&str>]) -> Row {
        let hunt = |property: &Option<&str>| Hunt {
            first: 0,
            seeds: 1,
            seconds: 1.0,
            found: property.map(|property| Found {
                seed: 0,
                properties: vec![property.to_owned()],
                summary: String::new(),
            }),
            unknown: Vec::new(),
        };
        Row { mutant, hunts: found.iter().map(hunt).collect(), shrunk: None }
    }

    #[test]
    fn a_bug_must_be_found_by_every_start_and_as_what_it_is() {
        let bug = Some(Mutant::CommitGoesBack);
        let right = Some("commit-monotonic");
        assert!(row(bug, &[right, right]).is_fine());
        assert!(!row(bug, &[right, None]).is_fine());
        assert!(!row(bug, &[right, Some("liveness")]).is_fine());
        assert_eq!(row(bug, &[right, None, right]).properties()["commit-monotonic"], 2);
    }

    #[test]
    fn of_nodes_without_a_bug_nothing_may_be_reported() {
        for mutant in [None, Some(Mutant::SmallAppends)] {
            assert!(row(mutant, &[None, None]).is_fine());
            assert!(!row(mutant, &[None, Some("liveness")]).is_fine());
            let mut undecided = row(mutant, &[None]);
            let seven = Undecided { seed: 7, summary: String::new() };
            undecided.hunts[0].unknown.push(seven);
            assert!(!undecided.is_fine());
        }
    }

    #[test]
    fn a_rotation_has_three_bugs_and_comes_to_all() {
        let mut seen = BTreeSet::new();
        for turn in 0..4 {
            let chosen = rotation(turn);
            assert_eq!(chosen.iter().filter(|mutant| !mutant.is_equivalent()).count(), 3);
            seen.extend(chosen.iter().map(|mutant| mutant.name()));
        }
        assert_eq!(seen.len(), Mutant::ALL.len());
        assert_eq!(rotation(u64::MAX).len(), 4);
    }
}
