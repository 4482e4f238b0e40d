//! Whether ordinary campaigns find known bugs: each is put back into the node, and campaigns from
//! different seeds run until one violates a property. The correct node, and changes that are no
//! bugs, get campaigns over the same seeds and must not be reported.
//!
//! Nothing here knows how a bug shows itself: the plans are those of any campaign, but for the name
//! of the mutant.

use std::{
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
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
use crate::{
    cluster::{sim::Unobserved, simulate_guarded},
    panics::words,
    plan::{PlacedMutant, Plan},
};

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
    /// So many must be judged for their silence to mean anything; 0 of a bug, which must be found.
    pub wanted: u64,
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
    /// The property that it violated first.
    pub property: String,
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

    /// Whether what a seed violated first is one of the properties that this bug breaks.
    pub fn is_right(&self, found: &Found) -> bool {
        let breaks = self.mutant.map_or(&[][..], |mutant| mutant.about().breaks);
        breaks.contains(&found.property.as_str())
    }

    /// How often each property was the first violated, by name.
    pub fn properties(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for found in self.found() {
            *counts.entry(found.property.as_str()).or_default() += 1;
        }
        counts
    }

    /// The fewest seeds of a campaign.
    pub fn fewest(&self) -> u64 {
        self.hunts.iter().map(|hunt| hunt.seeds).min().unwrap_or_default()
    }

    /// Whether these campaigns did what they must: a bug is found by each, as a property that it
    /// breaks; of other nodes nothing is reported, in as many seeds as were wanted. Where too few
    /// were judged, or some were undecided, nobody knows.
    pub fn outcome(&self) -> Outcome {
        let silent = self.found().count() == 0;
        let caught = self.found().count() == self.hunts.len();
        let decided = |hunt: &Hunt| hunt.unknown.is_empty() && hunt.wanted <= hunt.seeds;
        match self.is_bug() {
            true if caught && self.found().all(|found| self.is_right(found)) => Outcome::Ok,
            true => Outcome::Violated,
            false if !silent => Outcome::Violated,
            false if self.hunts.iter().all(decided) => Outcome::Ok,
            false => Outcome::Unknown,
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
/// what is complete by then is returned, and what was found.
///
/// The error is why it ended early: a plan could not be made, or the harness panicked. What was
/// complete until then, and what was found, is returned nevertheless.
pub fn run(
    trial: &Trial,
    mutants: &[Mutant],
    plan: Planner<'_>,
    watch: &dyn Watch,
    stop: &AtomicBool,
) -> (Vec<Row>, anyhow::Result<()>) {
    let (bugs, equivalent): (Vec<Mutant>, Vec<Mutant>) =
        mutants.iter().partition(|mutant| !mutant.is_equivalent());
    let nodes = bugs.into_iter().chain(equivalent).map(Some).chain([None]);
    let mut rows: Vec<Row> = Vec::new();
    // Seeds that the longest campaign of a start took: what the others must survive.
    let mut longest = vec![SURVIVES; trial.starts as usize];
    for mutant in nodes {
        let mut row = Row { mutant, hunts: Vec::new(), shrunk: None };
        let ended = fill(&mut row, trial, &mut longest, plan, watch, stop);
        if !row.hunts.is_empty() {
            watch.done(&row);
            rows.push(row);
        }
        if ended.is_err() || stop.load(Ordering::Relaxed) {
            return (rows, ended);
        }
    }
    (rows, Ok(()))
}

/// Runs the campaigns of a row.
fn fill(
    row: &mut Row,
    trial: &Trial,
    longest: &mut [u64],
    plan: Planner<'_>,
    watch: &dyn Watch,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let mutant = row.mutant;
    for (start, longest) in (0..).zip(longest) {
        watch.begins(mutant, start);
        let first = start * APART;
        let wanted = if row.is_bug() { 0 } else { *longest };
        let end = first + if row.is_bug() { APART } else { wanted };
        let (hunt, ended) = hunt(trial, first..end, plan, mutant, stop);
        let cut_short = ended.is_err() || stop.load(Ordering::Relaxed);
        if row.is_bug() {
            *longest = hunt.seeds.max(*longest);
        }
        // One that was cut short counts for nothing but for what it found.
        if !cut_short || hunt.found.is_some() {
            row.hunts.push(Hunt { wanted, ..hunt });
        }
        ended?;
        if cut_short {
            return Ok(());
        }
    }
    let failing = row.found().next().cloned();
    if trial.shrink
        && row.is_bug()
        && let Some(found) = failing
    {
        row.shrunk = shrunk(trial, plan, mutant, &found, stop)?;
    }
    Ok(())
}

/// One campaign: seeds in order, side by side, until one is violated. The first one of all is
/// told, whichever thread was faster. Seeds that a stop cut short count for nothing.
///
/// The error is why it ended early.
fn hunt(
    trial: &Trial,
    seeds: Range<u64>,
    plan: Planner<'_>,
    mutant: Option<Mutant>,
    stop: &AtomicBool,
) -> (Hunt, anyhow::Result<()>) {
    let began = Instant::now();
    let (next, end) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let (done, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let found: Mutex<Option<Found>> = Mutex::new(None);
    let unknown = Mutex::new(Vec::new());
    let one = |seed| -> anyhow::Result<()> {
        let plan = Plan { mutants: everywhere(mutant), ..plan(seed)? };
        let (simulation, _) = simulate_guarded(&plan, false, None::<Unobserved>, stop);
        let Judged { verdict, outcome, .. } = Judged::of(&simulation);
        if stop.load(Ordering::Relaxed) && outcome != Outcome::Violated {
            return Ok(());
        }
        done.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Ok => {}
            Outcome::Unknown => {
                let undecided = Undecided { seed, summary: verdict.summary };
                unknown.lock().unwrap_or_else(PoisonError::into_inner).push(undecided);
            }
            Outcome::Violated => {
                end.fetch_min(seed, Ordering::Relaxed);
                let property = shrink::first_violated(&simulation, &verdict, &[]);
                let properties = shrink::violated(&verdict).map(|it| it.name.clone()).collect();
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                if found.as_ref().is_none_or(|known| seed < known.seed) {
                    let property = property.unwrap_or_default();
                    *found = Some(Found { seed, property, properties, summary: verdict.summary });
                }
            }
        }
        Ok(())
    };
    let goes_on = || {
        let over = stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
        !over && began.elapsed() < trial.limit
    };
    let work = || -> anyhow::Result<()> {
        while goes_on() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                break;
            }
            let judged = catch_unwind(AssertUnwindSafe(|| one(seed)))
                .unwrap_or_else(|panic| Err(anyhow!("the harness panicked: {}", words(&*panic))));
            if let Err(error) = judged {
                failed.store(true, Ordering::Relaxed);
                let nodes = mutant.map_or("the correct node", Mutant::name);
                return Err(error.context(format!("seed {seed} of {nodes}")));
            }
        }
        Ok(())
    };
    let ended = thread::scope(|scope| {
        let workers: Vec<_> = (0..trial.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|_| Err(anyhow!("a worker panicked")))
        };
        // All of them, before the first error.
        workers.into_iter().map(join).fold(Ok(()), anyhow::Result::and)
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut unknown = unknown.into_inner().unwrap_or_else(PoisonError::into_inner);
    unknown.retain(|it: &Undecided| found.as_ref().is_none_or(|found| it.seed < found.seed));
    unknown.sort_unstable();
    let seeds_until = found.as_ref().map(|found| found.seed - seeds.start + 1);
    let hunt = Hunt {
        first: seeds.start,
        seeds: seeds_until.unwrap_or_else(|| done.into_inner()),
        wanted: 0,
        seconds: began.elapsed().as_secs_f64(),
        found,
        unknown,
    };
    (hunt, ended)
}

/// Nodes that are all the mutant, or correct.
fn everywhere(mutant: Option<Mutant>) -> Vec<PlacedMutant> {
    mutant.into_iter().map(PlacedMutant::everywhere).collect()
}

/// Shrinks a failing seed; none when a stop was asked for.
fn shrunk(
    trial: &Trial,
    plan: Planner<'_>,
    mutant: Option<Mutant>,
    found: &Found,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Shrunk>> {
    let began = Instant::now();
    let seed = found.seed;
    let plan = Plan { mutants: everywhere(mutant), ..plan(seed)? };
    let settings = Settings { jobs: trial.jobs, seeds: shrink::SEEDS, budget: SHRINKS };
    let recorded = std::slice::from_ref(&found.property);
    Ok(match shrink::shrink(&plan, recorded, &settings, &|_| (), stop) {
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
    use std::{cell::RefCell, collections::BTreeSet};

    use super::*;
    use crate::{
        plan::{self, ClusterKind, Load, Storage, Timings, World},
        system::System,
        workload::{Workload, register},
    };

    fn row(mutant: Option<Mutant>, found: &[Option<&str>]) -> Row {
        let hunt = |property: &Option<&str>| Hunt {
            first: 0,
            seeds: 9,
            wanted: 9,
            seconds: 1.0,
            found: property.map(|property| Found {
                seed: 0,
                property: property.to_owned(),
                properties: vec![property.to_owned(), "commit-monotonic".to_owned()],
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
        assert_eq!(row(bug, &[right, right]).outcome(), Outcome::Ok);
        assert_eq!(row(bug, &[right, None]).outcome(), Outcome::Violated);
        let first = "what is violated first, and shrunk for, is something else";
        assert_eq!(row(bug, &[right, Some("liveness")]).outcome(), Outcome::Violated, "{first}");
        assert_eq!(row(bug, &[right, None, right]).properties()["commit-monotonic"], 2);
    }

    #[test]
    fn of_nodes_without_a_bug_nothing_may_be_reported() {
        for mutant in [None, Some(Mutant::SmallAppends)] {
            assert_eq!(row(mutant, &[None, None]).outcome(), Outcome::Ok);
            let mut reported = row(mutant, &[None, Some("liveness")]);
            assert_eq!(reported.outcome(), Outcome::Violated);
            let seven = Undecided { seed: 7, summary: String::new() };
            reported.hunts[0].unknown.push(seven.clone());
            assert_eq!(reported.outcome(), Outcome::Violated, "whatever else is undecided");
            let mut undecided = row(mutant, &[None]);
            undecided.hunts[0].unknown.push(seven);
            assert_eq!(undecided.outcome(), Outcome::Unknown);
            let mut few = row(mutant, &[None, None]);
            few.hunts[1].seeds -= 1;
            assert_eq!(few.outcome(), Outcome::Unknown, "too few seeds mean nothing");
            assert_eq!(few.fewest(), 8);
        }
    }

    /// Three nodes, a second, no faults.
    fn tiny(seed: u64) -> anyhow::Result<Plan> {
        Plan::generate(plan::Options {
            system: System::raft_node(),
            cluster: ClusterKind::Sim,
            nodes: 3,
            seed,
            time: Duration::from_secs(1),
            interval: None,
            menu: "none".parse().map_err(|error: String| anyhow!(error))?,
            workload: Workload::Register(register::Options::new(1)),
            load: Load::steady(1, 5, Duration::from_secs(1)),
            timings: Timings {
                election_timeout: Duration::from_millis(300),
                heartbeat_interval: Duration::from_millis(60),
            },
            storage: Storage::Durable,
            world: World::default(),
        })
    }

    /// Notes what it is told.
    #[derive(Default)]
    struct Noted(RefCell<Vec<String>>);

    impl Watch for Noted {
        fn begins(&self, mutant: Option<Mutant>, start: u64) {
            let name = mutant.map_or("correct", Mutant::name);
            self.0.borrow_mut().push(format!("{name} {start}"));
        }

        fn done(&self, row: &Row) {
            self.0.borrow_mut().push(format!("{:?}", row.outcome()));
        }
    }

    fn tried(limit: u64, plan: Planner<'_>) -> (Vec<Row>, anyhow::Result<()>, Vec<String>) {
        let limit = Duration::from_secs(limit);
        let trial = Trial { starts: 2, limit, jobs: 2, shrink: false };
        let noted = Noted::default();
        let calm = AtomicBool::new(false);
        let (rows, ended) = run(&trial, &[Mutant::SmallAppends], plan, &noted, &calm);
        (rows, ended, noted.0.into_inner())
    }

    #[test]
    fn the_correct_node_is_fine_after_as_many_seeds_as_are_wanted() {
        let (rows, ended, noted) = tried(600, &tiny);
        ended.unwrap();
        let told = ["small-appends 0", "small-appends 1", "Ok", "correct 0", "correct 1", "Ok"];
        assert_eq!(noted, told);
        for hunt in rows.iter().flat_map(|row| &row.hunts) {
            assert_eq!((hunt.seeds, hunt.wanted), (SURVIVES, SURVIVES));
        }
    }

    #[test]
    fn without_time_nobody_knows_whether_the_correct_node_survives() {
        let (rows, ended, _) = tried(0, &tiny);
        ended.unwrap();
        let outcomes: Vec<_> = rows.iter().map(Row::outcome).collect();
        assert_eq!(outcomes, [Outcome::Unknown, Outcome::Unknown]);
    }

    #[test]
    fn an_error_and_a_panic_say_where_and_end_it_all() {
        let bad = APART + 3;
        let error = |seed| match seed {
            seed if seed == bad => Err(anyhow!("no such plan")),
            seed => tiny(seed),
        };
        let panic = |seed| match seed {
            seed if seed == bad => panic!("this test wants it"),
            seed => tiny(seed),
        };
        let plans: [(Planner<'_>, &str); 2] =
            [(&error, "no such plan"), (&panic, "the harness panicked: this test wants it")];
        for (plan, why) in plans {
            let (rows, ended, noted) = tried(600, plan);
            let error = format!("{:#}", ended.unwrap_err());
            assert_eq!(error, format!("seed {bad} of small-appends: {why}"));
            assert_eq!(rows.len(), 1, "the correct node is not tried any more");
            assert_eq!(rows[0].hunts.len(), 1, "what was complete is kept");
            assert_eq!(noted, ["small-appends 0", "small-appends 1", "Ok"]);
        }
    }

    #[test]
    fn a_report_of_the_correct_node_outranks_an_error_of_another_seed() {
        // Seed 0 fails when seed 1, whose nodes panic as they start, is under way.
        let under_way = AtomicBool::new(false);
        let plan = |seed| match seed {
            0 => {
                while !under_way.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                Err(anyhow!("no such plan"))
            }
            seed => {
                under_way.store(true, Ordering::Relaxed);
                let mut plan = tiny(seed)?;
                plan.timings.election_timeout = Duration::ZERO;
                Ok(plan)
            }
        };
        let trial = Trial { starts: 1, limit: Duration::from_secs(600), jobs: 2, shrink: false };
        let calm = AtomicBool::new(false);
        let (rows, ended) = run(&trial, &[], &plan, &Noted::default(), &calm);
        assert_eq!(format!("{:#}", ended.unwrap_err()), "seed 0 of the correct node: no such plan");
        assert_eq!(rows[0].found().next().map(|found| found.seed), Some(1));
        assert_eq!(rows[0].outcome(), Outcome::Violated);
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
