//! One plan, many seeds: does any violate the property?

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use checker::verdict::{Outcome, Property, Verdict};

use super::{finding::Finding, pieces};
use crate::{
    campaign::{self, verdict_of},
    cluster::{
        sim::{Simulation, Unobserved},
        simulate_guarded,
    },
    nemesis::NodeId,
    plan::Plan,
};

/// Looks for runs that violate a property.
pub(super) struct Search<'a> {
    /// One of these; none: any.
    wanted: Vec<String>,
    /// The property is a rule of Raft's safety: a run that breaks it ends there.
    ends_run: bool,
    /// The property is to be undecided, for this reason.
    undecided: Option<String>,
    /// What runs violated that violate none of those.
    others: Mutex<BTreeSet<String>>,
    jobs: usize,
    deadline: Instant,
    stop: &'a AtomicBool,
    runs: AtomicU64,
}

pub(super) fn is_over(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

impl<'a> Search<'a> {
    /// For what a run shows.
    pub(super) fn new(
        found: &Finding,
        jobs: usize,
        deadline: Instant,
        stop: &'a AtomicBool,
    ) -> Self {
        Self {
            ends_run: found.ended,
            undecided: found.undecided.clone(),
            ..Self::any(vec![found.property.clone()], jobs, deadline, stop)
        }
    }

    /// For any of these properties, or any at all where none is named.
    pub(super) fn any(
        wanted: Vec<String>,
        jobs: usize,
        deadline: Instant,
        stop: &'a AtomicBool,
    ) -> Self {
        let (others, runs) = (Mutex::default(), AtomicU64::new(0));
        let jobs = jobs.max(1);
        Self { wanted, ends_run: false, undecided: None, others, jobs, deadline, stop, runs }
    }

    /// The stop that it heeds.
    pub(super) fn stop(&self) -> &'a AtomicBool {
        self.stop
    }

    /// What runs violated that violate none of the properties.
    pub(super) fn others(&self) -> Vec<String> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.iter().cloned().collect()
    }

    /// Runs so far.
    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Whether the budget is spent, or a stop was asked for.
    pub(super) fn is_over(&self) -> bool {
        is_over(self.stop) || Instant::now() >= self.deadline
    }

    /// The first run of the plan that violates the property: with the plan's own seed, else with
    /// the smallest of so many.
    pub(super) fn hunt(&self, plan: &Plan, seeds: u64) -> Option<Finding> {
        if let Some(found) = self.run(plan, plan.seed) {
            return Some(found);
        }
        // The smallest seed that is known to fail; larger ones need not be tried.
        let smallest = AtomicU64::new(seeds);
        let found: Mutex<Option<(u64, Finding)>> = Mutex::new(None);
        self.side_by_side(&smallest, &|seed| {
            if let Some(finding) = self.run(plan, seed) {
                smallest.fetch_min(seed, Ordering::Relaxed);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                if found.as_ref().is_none_or(|(other, _)| seed < *other) {
                    *found = Some((seed, finding));
                }
            }
        });
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.map(|(_, finding)| finding)
    }

    /// Those of the seeds from 0 whose runs violate the property, ascending.
    pub(super) fn failing(&self, plan: &Plan, seeds: u64) -> Vec<u64> {
        let failing = Mutex::new(BTreeSet::new());
        self.side_by_side(&AtomicU64::new(seeds), &|seed| {
            if self.run(plan, seed).is_some() {
                failing.lock().unwrap_or_else(PoisonError::into_inner).insert(seed);
            }
        });
        failing.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
    }

    /// Calls `one` with the numbers from 0 to before `end`, which may come nearer meanwhile.
    fn side_by_side(&self, end: &AtomicU64, one: &(dyn Fn(u64) + Sync)) {
        let next = AtomicU64::new(0);
        let work = || {
            while !self.is_over() {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end.load(Ordering::Relaxed) {
                    break;
                }
                one(seed);
            }
        };
        thread::scope(|scope| {
            // This thread is one of them.
            for _ in 1..self.jobs {
                scope.spawn(work);
            }
            work();
        });
    }

    fn run(&self, plan: &Plan, seed: u64) -> Option<Finding> {
        let plan = Plan { seed, ..plan.clone() };
        let (simulation, _) = simulate_guarded(&plan, false, None::<Unobserved>, self.stop);
        self.runs.fetch_add(1, Ordering::Relaxed);
        // A run that was cut short is not the plan's.
        if is_over(self.stop) || (self.ends_run && simulation.violation.is_none()) {
            return None;
        }
        let verdict = verdict_of(&simulation);
        if self.undecided.is_some() {
            let found = undecided(&plan, &simulation, &verdict)?;
            let same = self.wanted.contains(&found.property) && found.undecided == self.undecided;
            return same.then_some(found);
        }
        let Some(property) = first_violated(&simulation, &verdict, &self.wanted) else {
            let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
            others.extend(violated(&verdict).map(|property| property.name.clone()));
            return None;
        };
        finding(&plan, &simulation, &verdict, &property)
    }
}

/// The properties that were violated.
pub fn violated(verdict: &Verdict) -> impl Iterator<Item = &Property> {
    verdict.properties.iter().filter(|property| property.outcome == Outcome::Violated)
}

/// The property that was violated first, of those that are wanted, or of all where none is: the one
/// at which the run ended, else the first of the verdict.
pub(in crate::campaign) fn first_violated(
    simulation: &Simulation,
    verdict: &Verdict,
    wanted: &[String],
) -> Option<String> {
    let violated = || violated(verdict).filter(|p| wanted.is_empty() || wanted.contains(&p.name));
    let ended_at = simulation.violation.as_ref().and_then(|summary| {
        violated().find(|p| p.violations.iter().any(|violation| violation.summary == *summary))
    });
    ended_at.or_else(|| violated().next()).map(|property| property.name.clone())
}

/// What an undecided run shows: the property that its verdict is about, and why.
pub(super) fn undecided(
    plan: &Plan,
    simulation: &Simulation,
    verdict: &Verdict,
) -> Option<Finding> {
    let headline = verdict.headline().filter(|it| it.outcome == Outcome::Unknown)?;
    let reason = Some(campaign::reason(&headline.detail));
    Some(Finding { undecided: reason, ..shown(plan, simulation, headline) })
}

/// What a run shows of a property, if it violates it.
pub(super) fn finding(
    plan: &Plan,
    simulation: &Simulation,
    verdict: &Verdict,
    property: &str,
) -> Option<Finding> {
    let found = violated(verdict).find(|found| found.name == property)?;
    Some(shown(plan, simulation, found))
}

/// What a run shows of a property that is not fine.
fn shown(plan: &Plan, simulation: &Simulation, found: &Property) -> Finding {
    let evidence = &simulation.evidence;
    let history = &evidence.history;
    let end = simulation.virtual_time.saturating_sub(Duration::from_nanos(evidence.run.started));
    // A rule of Raft ends the run when it is broken. What clients saw is known with their last
    // answer that it concerns.
    let ended = simulation.violation.as_ref().is_some_and(|summary| {
        found.violations.iter().any(|violation| violation.summary == *summary)
    });
    let operations = found.violations.first().map_or(&[][..], |violation| &violation.operations);
    let answered = operations
        .iter()
        .filter_map(|index| {
            let mut rest = history.places().skip(usize::try_from(*index).ok()?);
            let named = rest.next()?;
            Some(rest.find(|place| place.process == named.process).unwrap_or(named))
        })
        .map(|place| Duration::from_nanos(place.time))
        .max();
    let at = if ended { end } else { answered.unwrap_or(end).min(end) };
    let mut hit = vec![BTreeSet::new(); plan.faults.len()];
    for record in &evidence.faults {
        if let Some(nodes) = hit.get_mut(record.fault) {
            let ids = record.nodes.iter().filter_map(|node| node.strip_prefix('n')?.parse().ok());
            nodes.extend::<Vec<NodeId>>(ids.collect());
        }
    }
    let begun = pieces::begun(plan, history.places());
    let (plan, property) = (plan.clone(), found.name.clone());
    Finding { plan, property, undecided: None, at, ended, begun, hit }
}
