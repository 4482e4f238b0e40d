//! Which write of unknown outcome made which revision: a search with the store itself.
//!
//! Gaps are filled in ascending order. Between two gaps nothing is open: each write is executed at
//! its revision, and each answer must be the store's. Where one is not, an earlier gap was filled
//! wrongly, if any could have been filled otherwise. The search goes back to the last gap that the
//! contradiction depends on, not to the last one (conflict-directed backjumping, Prosser 1993): a
//! contradiction about some keys depends on the gaps whose candidates may change those keys, or
//! what these depend on.

use super::{
    open::Open,
    seen::Evidence,
    timeline::{FIRST, Timeline},
};
use crate::{
    budget::Budget,
    model::{
        Interval,
        etcd::{Answer, Bytes, KeyRange, Mismatch, Operation, Request, Store},
    },
};

/// Gaps, by number.
#[derive(Clone, Debug, Default)]
struct Gaps(Vec<u64>);

impl Gaps {
    fn add(&mut self, gap: usize) {
        if self.0.len() <= gap / 64 {
            self.0.resize(gap / 64 + 1, 0);
        }
        self.0[gap / 64] |= 1 << (gap % 64);
    }

    fn add_all(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(one, other)| *one |= other);
    }

    fn has(&self, gap: usize) -> bool {
        self.0.get(gap / 64).is_some_and(|bits| bits >> (gap % 64) & 1 == 1)
    }

    /// Takes out the last one before `end`.
    fn pop_before(&mut self, end: usize) -> Option<usize> {
        let last = (0..end).rev().find(|gap| self.has(*gap))?;
        self.0[last / 64] &= !(1 << (last % 64));
        Some(last)
    }
}

/// An answer that the store would not give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    /// The operation.
    pub(super) at: usize,
    /// The revision at which it stands.
    pub(super) revision: i64,
    /// What is wrong with it.
    pub(super) mismatch: Mismatch,
}

/// How the search ended.
pub(super) enum Filled {
    /// With an order of all operations.
    Order(Vec<usize>),
    /// There is none.
    Contradiction {
        /// Of all contradictions that were met, the latest.
        latest: Contradiction,
        /// How many ways to fill gaps were tried.
        tries: u64,
        /// There may be an order with more revisions than were answered.
        more: bool,
    },
    /// No write can have made the revision of a gap.
    Nobody(i64),
    /// The time ended.
    Spent(String),
}

/// A gap, the candidates that are left to try, and what those that failed depend on.
struct Choice {
    gap: usize,
    left: std::vec::IntoIter<usize>,
    conflicts: Gaps,
    chosen: Option<usize>,
}

pub(super) struct Search<'a> {
    intervals: &'a [Interval<Operation>],
    processes: &'a [u64],
    timeline: &'a Timeline,
    open: &'a [Open<'a>],
    /// Of each gap, the writes that may have made it, by position in `open`, the likely first.
    candidates: Vec<Vec<usize>>,
    evidence: Evidence<'a>,
    budget: &'a Budget,
    /// Writes that may change what others of the group change or look at are in one group.
    group_of: Vec<usize>,
    /// Of each group, the gaps that any of it may have filled.
    groups: Vec<Gaps>,
    store: Store,
    /// Of each of those that float, the revision at which it was found to be possible.
    floated: Vec<Option<i64>>,
    /// Gaps that are filled, by write.
    used: Vec<Option<usize>>,
    /// Those that float, by the revision that they saw at the earliest, and the next of them.
    by_from: Vec<usize>,
    next: usize,
    /// Those that could have had their place before, and have none yet, by call.
    floating: Vec<usize>,
    /// The latest contradiction.
    latest: Option<Contradiction>,
    /// Something that may have seen a later revision did not see the last one.
    more: bool,
    tries: u64,
    steps: u64,
    spent: Option<String>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        intervals: &'a [Interval<Operation>],
        timeline: &'a Timeline,
        open: &'a [Open<'a>],
        candidates: Vec<Vec<usize>>,
        evidence: Evidence<'a>,
        processes: &'a [u64],
        budget: &'a Budget,
    ) -> Self {
        let mut by_from: Vec<usize> = (0..timeline.floats.len()).collect();
        by_from.sort_by_key(|number| timeline.floats[*number].from);
        let (group_of, groups) = match candidates.is_empty() {
            true => (Vec::new(), Vec::new()),
            false => groups(open, &candidates),
        };
        Self {
            intervals,
            processes,
            timeline,
            open,
            candidates,
            evidence,
            budget,
            group_of,
            groups,
            store: Store::default(),
            floated: vec![None; timeline.floats.len()],
            used: vec![None; open.len()],
            by_from,
            next: 0,
            floating: Vec::new(),
            latest: None,
            more: false,
            tries: 0,
            steps: 0,
            spent: None,
        }
    }

    pub(super) fn run(mut self) -> Filled {
        let mut choices: Vec<Choice> = Vec::new();
        let mut failed = self.stretch(FIRST).err();
        loop {
            if let Some(spent) = self.spent.take() {
                return Filled::Spent(spent);
            }
            match failed.take() {
                None if choices.len() == self.timeline.gaps.len() => return self.order(&choices),
                None => {
                    let gap = choices.len();
                    let left = self.candidates[gap].clone().into_iter();
                    let conflicts = Gaps::default();
                    choices.push(Choice { gap, left, conflicts, chosen: None });
                }
                Some(mut conflicts) => {
                    // Back to the last gap that matters.
                    let Some(back) = conflicts.pop_before(choices.len()) else {
                        return self.contradiction();
                    };
                    while choices.len() > back + 1 {
                        let mut choice = choices.pop();
                        self.take_back(choice.as_mut());
                    }
                    self.take_back(choices.last_mut());
                    if let Some(choice) = choices.last_mut() {
                        choice.conflicts.add_all(&conflicts);
                    }
                }
            }
            let Some(choice) = choices.last_mut() else { return self.contradiction() };
            failed = self.choose(choice);
        }
    }

    /// Undoes what was chosen for a gap, and all that came after it.
    fn take_back(&mut self, choice: Option<&mut Choice>) {
        let Some(choice) = choice else { return };
        let revision = self.timeline.gaps[choice.gap];
        if let Some(chosen) = choice.chosen.take() {
            self.used[chosen] = None;
        }
        self.store.undo_to(revision - 1);
        for floated in &mut self.floated {
            *floated = floated.filter(|at| *at < revision);
        }
        let floats = &self.timeline.floats;
        self.next = self.by_from.partition_point(|number| floats[*number].from < revision);
        self.floating = self.by_from[..self.next].to_vec();
        self.floating.retain(|number| self.floated[*number].is_none());
        self.floating.sort_unstable();
    }

    /// Whether there is time left. If not, the search ends.
    fn is_spent(&mut self) -> bool {
        self.steps += 1;
        if self.steps.is_multiple_of(64)
            && let Err(spent) = self.budget.time()
        {
            self.spent = Some(spent.0);
        }
        self.spent.is_some()
    }

    /// Whether an operation had ended when another was asked for.
    fn precedes(&self, one: usize, other: usize) -> bool {
        self.intervals[one].ret.is_some_and(|ret| ret < self.intervals[other].call)
            || one < other && self.processes[one] == self.processes[other]
    }

    /// Fills a gap with the next candidate that fits, and goes on to the next gap; or says what it
    /// depends on that none does.
    fn choose(&mut self, choice: &mut Choice) -> Option<Gaps> {
        let revision = self.timeline.gaps[choice.gap];
        while let Some(candidate) = choice.left.next() {
            if self.is_spent() {
                return Some(Gaps::default());
            }
            self.tries += 1;
            if let Err(conflicts) = self.try_candidate(candidate, choice.gap) {
                choice.conflicts.add_all(&conflicts);
                continue;
            }
            self.used[candidate] = Some(choice.gap);
            choice.chosen = Some(candidate);
            let Err(conflicts) = self.stretch(revision) else { return None };
            self.take_back(Some(choice));
            if !conflicts.has(choice.gap) {
                // However this gap is filled.
                return Some(conflicts);
            }
            choice.conflicts.add_all(&conflicts);
        }
        Some(std::mem::take(&mut choice.conflicts))
    }

    /// Executes a candidate at a gap, or says which gaps it depends on that it does not fit.
    fn try_candidate(&mut self, candidate: usize, gap: usize) -> Result<(), Gaps> {
        let mut conflicts = Gaps::default();
        if let Some(other) = self.used[candidate] {
            conflicts.add(other);
            return Err(conflicts);
        }
        let open = &self.open[candidate];
        let interval = &self.intervals[open.at];
        // What came before it must have had its place.
        let floats = &self.timeline.floats;
        let waits = self.floating.iter().any(|float| self.precedes(floats[*float].at, open.at));
        if waits {
            (0..gap).for_each(|gap| conflicts.add(gap));
            return Err(conflicts);
        }
        let revision = self.timeline.gaps[gap];
        let before = self.store.revision();
        let executed = self.store.execute(&interval.operation.request, None);
        if executed.is_err() || self.store.revision() != revision {
            self.store.undo_to(before);
            return Err(self.groups[self.group_of[candidate]].clone());
        }
        let changed = self.store.changed(open.changes());
        let leads_on =
            |key: &Bytes| self.evidence.leads_on(key, self.store.get(key, revision).as_ref(), gap);
        let fits = changed.iter().all(leads_on);
        let mut other = self
            .evidence
            .exact(gap)
            .filter(|(key, seen)| !seen.is(self.store.get(key, revision).as_ref()));
        let other = other.next();
        if fits && other.is_none() {
            return Ok(());
        }
        self.store.undo_to(before);
        let mut conflicts = self.groups[self.group_of[candidate]].clone();
        if let Some((key, _)) = other {
            conflicts.add_all(&self.depends(&[KeyRange::one(key)]));
        }
        Err(conflicts)
    }

    /// The gaps on which the state of some keys depends.
    fn depends(&self, keys: &[KeyRange<'_>]) -> Gaps {
        let mut gaps = Gaps::default();
        if !self.groups.is_empty() {
            let touching = (0..self.open.len()).filter(|at| self.open[*at].may_touch(keys));
            touching.for_each(|at| gaps.add_all(&self.groups[self.group_of[at]]));
        }
        gaps
    }

    /// Goes on from the write that made `revision`, which has been executed, to the next gap.
    fn stretch(&mut self, revision: i64) -> Result<(), Gaps> {
        let timeline = self.timeline;
        let gap = timeline.gaps.partition_point(|gap| *gap <= revision);
        let end = timeline.gaps.get(gap).map_or(timeline.last, |gap| gap - 1);
        for now in revision..=end {
            if now > revision {
                let Some(&at) = timeline.writers.get(&now) else { continue };
                self.execute(at, now)?;
            }
            let first = timeline.readers.partition_point(|(at, _)| *at < now);
            let readers = timeline.readers[first..].iter().take_while(|(at, _)| *at == now);
            for &(_, at) in readers {
                self.execute(at, now)?;
            }
            self.float(now, gap)?;
        }
        Ok(())
    }

    fn execute(&mut self, at: usize, now: i64) -> Result<(), Gaps> {
        if self.is_spent() {
            return Err(Gaps::default());
        }
        match self.intervals[at].operation.execute(&mut self.store) {
            Ok(()) => Ok(()),
            Err(mismatch) => Err(self.contradicted(at, now, mismatch)),
        }
    }

    /// Notes a contradiction, and says which gaps it depends on.
    fn contradicted(&mut self, at: usize, revision: i64, mismatch: Mismatch) -> Gaps {
        let operation = &self.intervals[at].operation;
        let mut keys = Vec::new();
        footprint(&operation.request, &mut keys);
        if self.latest.as_ref().is_none_or(|latest| latest.revision < revision) {
            self.latest = Some(Contradiction { at, revision, mismatch });
        }
        self.depends(&keys)
    }

    /// Gives a place to those that float, as early as they can have one: that leaves most to those
    /// that come after them.
    fn float(&mut self, now: i64, gap: usize) -> Result<(), Gaps> {
        let floats = &self.timeline.floats;
        while let Some(&number) = self.by_from.get(self.next)
            && floats[number].from <= now
        {
            let place = self.floating.partition_point(|other| *other < number);
            self.floating.insert(place, number);
            self.next += 1;
        }
        for number in self.floating.clone() {
            let float = floats[number];
            let operation = &self.intervals[float.at].operation;
            let waits = !operation.request.is_serializable()
                && self
                    .floating
                    .iter()
                    .any(|other| *other < number && self.precedes(floats[*other].at, float.at));
            if !waits && operation.saw(&self.store, now) {
                self.floated[number] = Some(now);
                self.floating.retain(|other| *other != number);
            } else if float.until <= now {
                self.more |= float.unbounded;
                let mismatch = match (&operation.answer, waits) {
                    (Answer::Refused(refusal), false) => Mismatch::MustNotRefuse(*refusal),
                    (Answer::Told(response), false) => {
                        let read = self.store.read_at(&operation.request, response, now);
                        read.err().unwrap_or(Mismatch::Kind)
                    }
                    _ => Mismatch::Late,
                };
                let mut conflicts = self.contradicted(float.at, now, mismatch);
                (0..gap).for_each(|gap| conflicts.add(gap));
                return Err(conflicts);
            }
        }
        Ok(())
    }

    fn contradiction(self) -> Filled {
        match self.latest {
            Some(latest) => Filled::Contradiction { latest, tries: self.tries, more: self.more },
            None => Filled::Nobody(self.timeline.gaps.first().copied().unwrap_or(FIRST)),
        }
    }

    /// All operations, each where it was found to fit.
    fn order(&self, choices: &[Choice]) -> Filled {
        let mut placed: Vec<(i64, bool, usize)> = Vec::new();
        placed.extend(self.timeline.writers.iter().map(|(revision, at)| (*revision, false, *at)));
        placed.extend(self.timeline.readers.iter().map(|(revision, at)| (*revision, true, *at)));
        for choice in choices {
            if let Some(chosen) = choice.chosen {
                let revision = self.timeline.gaps[choice.gap];
                placed.push((revision, false, self.open[chosen].at));
            }
        }
        let floats: Vec<(i64, usize)> = (self.timeline.floats.iter().zip(&self.floated))
            .map(|(float, at)| (at.unwrap_or(FIRST).max(float.after), float.at))
            .collect();
        placed.extend(floats.iter().map(|&(revision, at)| (revision, true, at)));
        // Who reads an old state stands no earlier than what came before.
        for (revision, _, at) in &mut placed {
            if self.intervals[*at].operation.request.is_serializable() {
                let before = floats.iter().filter(|(_, float)| self.precedes(*float, *at));
                *revision = before.map(|(revision, _)| *revision).fold(*revision, i64::max);
            }
        }
        placed.sort_unstable();
        Filled::Order(placed.into_iter().map(|(_, _, at)| at).collect())
    }
}

/// The group of each write, and the gaps of each group.
fn groups(open: &[Open<'_>], candidates: &[Vec<usize>]) -> (Vec<usize>, Vec<Gaps>) {
    let mut group_of: Vec<Option<usize>> = vec![None; open.len()];
    let depends: Vec<Vec<KeyRange<'_>>> = open.iter().map(|o| o.depends().collect()).collect();
    let mut groups = 0;
    for first in 0..open.len() {
        if group_of[first].is_some() {
            continue;
        }
        group_of[first] = Some(groups);
        let mut reached = vec![first];
        while let Some(at) = reached.pop() {
            for other in 0..open.len() {
                if group_of[other].is_none()
                    && (open[other].may_touch(&depends[at]) || open[at].may_touch(&depends[other]))
                {
                    group_of[other] = Some(groups);
                    reached.push(other);
                }
            }
        }
        groups += 1;
    }
    let group_of: Vec<usize> = group_of.into_iter().map(Option::unwrap_or_default).collect();
    let mut gaps = vec![Gaps::default(); groups];
    for (gap, fits) in candidates.iter().enumerate() {
        fits.iter().for_each(|at| gaps[group_of[*at]].add(gap));
    }
    (group_of, gaps)
}

/// The keys that a request looks at or changes.
fn footprint<'a>(request: &'a Request, keys: &mut Vec<KeyRange<'a>>) {
    match request {
        Request::Put(put) => keys.push(KeyRange::one(&put.key)),
        Request::Range(range) => keys.push(KeyRange::new(&range.key, &range.range_end)),
        Request::DeleteRange(delete) => keys.push(KeyRange::new(&delete.key, &delete.range_end)),
        Request::Txn(txn) => {
            let compares = txn.compare.iter();
            keys.extend(compares.map(|compare| KeyRange::new(&compare.key, &compare.range_end)));
            let requests = txn.success.iter().chain(&txn.failure);
            requests.for_each(|request| footprint(request, keys));
        }
    }
}
