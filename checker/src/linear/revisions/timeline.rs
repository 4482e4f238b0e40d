//! Where answers place their operations: at the revisions that they name.
//!
//! The points of an order are the revisions. A write that made revision 7 stands at 7; what changed
//! nothing and saw the store at 7 stands between the writes that made 7 and 8. So one sweep over
//! the times tells whether the named revisions agree with real time.

use rustc_hash::FxHashMap;

use crate::model::{
    Interval,
    etcd::{Operation, Step},
};

/// Revision of the empty store.
pub(super) const FIRST: i64 = 1;

/// An operation that no answer places, and that must have taken place: a refusal, or a read that
/// was answered without a revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Float {
    /// The operation.
    pub(super) at: usize,
    /// It saw this revision, or a later one.
    pub(super) from: i64,
    /// The last revision that had been seen before. Who reads an old state may see an earlier one.
    pub(super) after: i64,
    /// It saw this revision, or an earlier one.
    pub(super) until: i64,
    /// Nothing that came after it names a revision: it may have seen one that no answer names.
    pub(super) unbounded: bool,
}

/// Operations by the revisions that their answers name.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Who made each revision.
    pub(super) writers: FxHashMap<i64, usize>,
    /// Revisions that no known operation made, ascending.
    pub(super) gaps: Vec<i64>,
    /// Who saw the store without changing it: after which revision each stands, and who. Ascending.
    pub(super) readers: Vec<(i64, usize)>,
    /// What has no place of its own, by call.
    pub(super) floats: Vec<Float>,
    /// Writes of unknown outcome, by call, each with the last revision that had been made before.
    pub(super) open: Vec<(usize, i64)>,
    /// The last revision that anybody saw.
    pub(super) last: i64,
}

/// Why no order agrees with the revisions that were answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Breach {
    /// A write says that it made the revision of the empty store.
    First(usize),
    /// Two writes made one revision.
    Twice { revision: i64, one: usize, other: usize },
    /// An operation was answered before another was asked for, and a later revision.
    Backwards { before: usize, seen: i64, after: usize },
    /// More revisions had been made than writes had been asked for.
    TooMany { at: usize, revision: i64, missing: usize, open: usize },
}

impl Timeline {
    /// Places operations, which are in order of invocation, each of a process. `alone` says of an
    /// operation of unknown outcome whether it may write at all.
    pub(super) fn of(
        intervals: &[Interval<Operation>],
        process: impl Fn(usize) -> u64,
        may_write: impl Fn(usize) -> bool,
    ) -> Result<Self, Breach> {
        let mut timeline = Self { last: FIRST, ..Self::default() };
        let mut placed: Vec<(i64, usize)> = Vec::with_capacity(intervals.len());
        let mut sweep = Sweep::of(intervals);
        for (at, interval) in intervals.iter().enumerate() {
            let before = sweep.before(at, interval, process(at), &placed);
            let (seen, who) = before.unwrap_or((FIRST, usize::MAX));
            let backwards = |revision: i64| match revision < seen {
                true => Err(Breach::Backwards { before: who, seen, after: at }),
                false => Ok(()),
            };
            let revision = match interval.operation.step() {
                Step::Wrote(revision) => {
                    if revision <= FIRST {
                        return Err(Breach::First(at));
                    }
                    if let Some(other) = timeline.writers.insert(revision, at) {
                        return Err(Breach::Twice { revision, one: other, other: at });
                    }
                    backwards(revision - 1)?;
                    revision
                }
                Step::Saw(revision) => {
                    backwards(revision)?;
                    timeline.readers.push((revision, at));
                    revision
                }
                Step::SawOld(revision) => {
                    timeline.readers.push((revision.max(seen), at));
                    revision
                }
                Step::Floats { old } => {
                    let from = if old { FIRST } else { seen };
                    timeline.floats.push(Float {
                        at,
                        from,
                        after: seen,
                        until: i64::MAX,
                        unbounded: false,
                    });
                    0
                }
                Step::Open => {
                    if may_write(at) {
                        timeline.open.push((at, seen));
                    }
                    0
                }
                // Whoever has such an operation does not ask for a timeline.
                Step::Unplaced => 0,
            };
            timeline.last = timeline.last.max(revision);
            placed.push((revision, at));
        }
        timeline.readers.sort_unstable();
        timeline.close(intervals, &placed)?;
        timeline.bound(intervals, &placed, process);
        Ok(timeline)
    }

    /// Finds the gaps, unless they are more than there are writes for.
    fn close(
        &mut self,
        intervals: &[Interval<Operation>],
        placed: &[(i64, usize)],
    ) -> Result<(), Breach> {
        let mut made: Vec<i64> = self.writers.keys().copied().collect();
        made.sort_unstable();
        // What one operation saw had been made by its end, by writes that had been asked for.
        let too_many = placed.iter().filter(|(revision, _)| *revision > FIRST).filter_map(
            |&(revision, at)| {
                let ret = intervals[at].ret?;
                let known = made.partition_point(|made| *made <= revision);
                let missing = usize::try_from(revision - FIRST).ok()?.checked_sub(known)?;
                let open = self.open.partition_point(|&(open, _)| intervals[open].call <= ret);
                (missing > open).then_some(Breach::TooMany { at, revision, missing, open })
            },
        );
        let least = too_many.min_by_key(|breach| match breach {
            Breach::TooMany { revision, .. } => *revision,
            _ => 0,
        });
        if let Some(breach) = least {
            return Err(breach);
        }
        self.gaps = (FIRST + 1..=self.last).filter(|gap| !self.writers.contains_key(gap)).collect();
        Ok(())
    }

    /// Adds a revision after all that were answered, for what may have seen one.
    pub(super) fn extend(&mut self) {
        self.last += 1;
        self.gaps.push(self.last);
        for float in self.floats.iter_mut().filter(|float| float.unbounded) {
            float.until = self.last;
        }
    }

    /// Until when each of those that float took place: before the first that came after it.
    fn bound(
        &mut self,
        intervals: &[Interval<Operation>],
        placed: &[(i64, usize)],
        process: impl Fn(usize) -> u64,
    ) {
        // The revision up to which an operation that comes before another may stand.
        let limit = |at: usize| match intervals[at].operation.step() {
            Step::Wrote(revision) => revision - 1,
            Step::Saw(revision) => revision,
            // An old state may have been read at any time.
            _ => i64::MAX,
        };
        // From each operation on, in order of calls, the least of these.
        let mut least = vec![i64::MAX; placed.len() + 1];
        for at in (0..placed.len()).rev() {
            least[at] = least[at + 1].min(limit(at));
        }
        for float in &mut self.floats {
            let Some(ret) = intervals[float.at].ret else { continue };
            let after = intervals.partition_point(|interval| interval.call <= ret);
            float.until = least[after];
            let touching = float.at + 1..after;
            let own = process(float.at);
            for at in touching.filter(|&at| process(at) == own) {
                float.until = float.until.min(limit(at));
            }
            float.unbounded = float.until == i64::MAX;
            float.until = float.until.min(self.last);
        }
    }
}

/// The last revisions that had been seen when operations are asked for, one after the other.
struct Sweep {
    /// Operations by return.
    returns: Vec<(u64, usize)>,
    next: usize,
    highest: Option<(i64, usize)>,
    /// The last operation of each process: it comes first, even if it returned at this moment.
    processes: FxHashMap<u64, (i64, usize)>,
    last: Option<(u64, usize)>,
}

impl Sweep {
    fn of(intervals: &[Interval<Operation>]) -> Self {
        let mut returns: Vec<(u64, usize)> = intervals
            .iter()
            .enumerate()
            .filter_map(|(at, interval)| Some((interval.ret?, at)))
            .collect();
        returns.sort_unstable();
        Self { returns, next: 0, highest: None, processes: FxHashMap::default(), last: None }
    }

    /// The last revision that was seen before an operation, and by whom. `placed` has a revision
    /// for each operation before it.
    fn before(
        &mut self,
        at: usize,
        interval: &Interval<Operation>,
        process: u64,
        placed: &[(i64, usize)],
    ) -> Option<(i64, usize)> {
        if let Some((process, at)) = self.last.replace((process, at)) {
            let highest = self.processes.get(&process).copied().max(Some(placed[at]));
            self.processes.extend(highest.map(|highest| (process, highest)));
        }
        while let Some(&(ret, returned)) = self.returns.get(self.next)
            && ret < interval.call
        {
            self.highest = self.highest.max(Some(placed[returned]));
            self.next += 1;
        }
        let own = self.processes.get(&process).copied();
        self.highest.max(own).filter(|(revision, _)| *revision > FIRST)
    }
}
