//! Cuts an illegal history down to its core: a few operations that are illegal by themselves.
//!
//! What may be left out, and why the core then speaks for the whole history, is said in
//! [`certificate`](super::certificate), which checks every core. Here one is looked for: first in
//! the operations just before the search got stuck, in ever longer stretches, so that the work
//! depends on how far back the reason lies and not on the length of the history; then what is left
//! is halved and thinned out as long as it stays illegal (Zeller and Hildebrandt, "Simplifying and
//! isolating failure-inducing input", 2002).

use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::model::{Effect, Interval, Model};

/// The shortest stretch that is looked at.
const STRETCH_MIN: usize = 8;

/// So few are left out one by one.
const FEW: usize = 16;

/// Writes that are added for the sake of one observation.
const ADDED_MAX: usize = 2;

/// Operations tried, all attempts together: so many, and so many for each of the history.
const TRIED_MAX: usize = 1 << 18;
const TRIED_MAX_EACH: usize = 16;

/// Operations looked at to make attempts whole, in the same way: what may have written what others
/// saw can be nearly everything.
const LOOKED_MAX: usize = 1 << 22;
const LOOKED_MAX_EACH: usize = 64;

/// What is left to find a core with.
struct Effort {
    tries: usize,
    looks: usize,
    deadline: Instant,
}

impl Effort {
    fn is_over(&self) -> bool {
        self.looks == 0 || Instant::now() >= self.deadline
    }

    /// Looks at so many operations; `None` where there are not as many looks left.
    fn look(&mut self, operations: usize) -> Option<()> {
        let enough = operations <= self.looks;
        self.looks = self.looks.saturating_sub(operations);
        enough.then_some(())
    }
}

/// A history up to the moment at which it became illegal.
pub(super) struct Minimizer<'a, M: Model> {
    model: &'a M,
    until: u64,
    deadline: Instant,
    /// The operations, by call, with what had been answered; and their positions.
    operations: Vec<Interval<M::Operation>>,
    positions: Vec<usize>,
    /// Whether every write leaves a state of its own, so that some can be left out.
    constant: bool,
    /// Who may have left a state; and all writes.
    writers: FxHashMap<M::State, Writers>,
    all: Writers,
}

/// What an operation that looks at the state may have seen: what was called until then, and had not
/// returned before what hides it was called.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    until: u64,
    hidden: u64,
}

/// Where an operation is while an attempt is made whole. It goes down this list only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Inside,
    /// It may have seen too much that is outside.
    LeftOut,
    /// It is the one that is stuck, or what a needed one may have seen.
    Needed,
}

/// Writes by call.
#[derive(Default)]
struct Writers {
    /// Those that were answered, each with the last return up to it.
    answered: Vec<(usize, u64)>,
    unanswered: Vec<usize>,
}

impl Writers {
    fn push(&mut self, at: usize, ret: Option<u64>) {
        match ret {
            Some(ret) => {
                let last = self.answered.last().map_or(0, |&(_, last)| last);
                self.answered.push((at, last.max(ret)));
            }
            None => self.unanswered.push(at),
        }
    }
}

impl<'a, M: Model> Minimizer<'a, M> {
    pub(super) fn new(
        model: &'a M,
        intervals: &[Interval<M::Operation>],
        until: u64,
        deadline: Instant,
    ) -> Self {
        let mut positions = Vec::with_capacity(intervals.len());
        positions.extend((0..intervals.len()).filter(|&at| intervals[at].call <= until));
        positions.sort_by_key(|&at| intervals[at].call);
        let mut cut = Self {
            model,
            until,
            deadline,
            operations: Vec::with_capacity(positions.len()),
            positions: Vec::with_capacity(positions.len()),
            constant: true,
            writers: FxHashMap::default(),
            all: Writers::default(),
        };
        for position in positions {
            let interval = &intervals[position];
            let ret = interval.ret.filter(|ret| *ret <= until);
            let at = cut.operations.len();
            if model.effect(&interval.operation) != Effect::Observe {
                cut.all.push(at, ret);
                match model.leaves(&interval.operation) {
                    Some(state) => cut.writers.entry(state).or_default().push(at, ret),
                    None => cut.constant = false,
                }
            } else if ret.is_none() {
                continue;
            }
            cut.operations.push(Interval { ret, ..interval.clone() });
            cut.positions.push(position);
        }
        cut
    }

    /// The positions of a core that has `stuck`, in order of call. `illegal` may be wrong only in
    /// saying no. The operations of `hint` are tried first.
    pub(super) fn core(
        &self,
        stuck: usize,
        hint: &[usize],
        mut illegal: impl FnMut(&[Interval<M::Operation>]) -> bool,
    ) -> Vec<usize> {
        let mut places = vec![None; self.positions.iter().max().map_or(0, |last| last + 1)];
        for (place, &position) in self.positions.iter().enumerate() {
            places[position] = Some(place);
        }
        let place = |position: usize| places.get(position).copied().flatten();
        let Some(stuck) = place(stuck) else { return self.positions.clone() };
        let all = self.operations.len();
        let effort = &mut Effort {
            tries: TRIED_MAX + TRIED_MAX_EACH * all,
            looks: LOOKED_MAX + LOOKED_MAX_EACH * all,
            deadline: self.deadline,
        };
        let mut few = Vec::new();
        let mut tries = |kept: &[usize], effort: &mut Effort| {
            let Some(rest) = effort.tries.checked_sub(kept.len()) else { return false };
            effort.tries = rest;
            few.clear();
            few.extend(kept.iter().map(|&at| self.operations[at].clone()));
            illegal(&few)
        };
        let hint = hint.iter().filter_map(|&position| place(position)).collect();
        // What was called last, up to the one that is stuck and those that overlap it.
        let stretches = std::iter::successors(Some(STRETCH_MIN), |stretch| stretch.checked_mul(4))
            .take_while(|&stretch| stretch < all)
            .map(|stretch| (all - stretch..all).collect());
        let guesses = [hint].into_iter().chain(self.hides(stuck).map(|write| vec![write]));
        let core = guesses.filter(|guess| !guess.is_empty()).chain(stretches).find_map(
            |guess: Vec<usize>| {
                let kept = self.whole(guess.into_iter().chain([stuck]), stuck, ADDED_MAX, effort);
                kept.filter(|kept| tries(kept, effort))
            },
        );
        let mut core = core.unwrap_or_else(|| (0..all).collect());
        self.thin(&mut core, stuck, tries, effort);
        core.into_iter().map(|at| self.positions[at]).collect()
    }

    /// Of the writes that had returned when an operation was called, the one that was called last:
    /// it hides most of what came before it. If it looked at the state itself, much may be needed
    /// for its sake, so the last that did not comes next.
    fn hides(&self, at: usize) -> impl Iterator<Item = usize> {
        let call = self.operations[at].call;
        let blind = |&write: &usize| {
            self.model.effect(&self.operations[write].operation) == Effect::Overwrite
        };
        let answered = self.all.answered.iter().rev().map(|&(write, _)| write);
        let mut before =
            answered.filter(move |&write| self.operations[write].ret.is_some_and(|ret| ret < call));
        let last = before.next();
        let again = last.filter(|last| !blind(last)).and_then(|_| before.find(blind));
        last.into_iter().chain(again)
    }

    /// An operation as it is until then.
    pub(super) fn interval(
        &self,
        intervals: &[Interval<M::Operation>],
        position: usize,
    ) -> Interval<M::Operation> {
        let interval = &intervals[position];
        Interval { ret: interval.ret.filter(|ret| *ret <= self.until), ..interval.clone() }
    }

    /// Leaves out what can be left out: of many operations chunks of half the size, of a quarter,
    /// down to single operations, round and round until no single one can or the effort is over.
    fn thin(
        &self,
        core: &mut Vec<usize>,
        stuck: usize,
        mut tries: impl FnMut(&[usize], &mut Effort) -> bool,
        effort: &mut Effort,
    ) {
        let mut chunk = if core.len() > FEW { core.len().div_ceil(2) } else { 1 };
        let (mut start, mut failed) = (0, 0);
        while failed < core.len() && !effort.is_over() {
            let end = core.len().min(start + chunk);
            let fewer = if self.is_needed(&core[start..end]) {
                None
            } else {
                let rest = core[..start].iter().chain(&core[end..]).copied();
                self.whole(rest.chain([stuck]), stuck, 0, effort)
                    .filter(|kept| kept.len() < core.len() && tries(kept, effort))
            };
            match fewer {
                Some(fewer) => (*core, failed) = (fewer, 0),
                None => (start, failed) = (end, failed + (end - start)),
            }
            if start >= core.len() {
                start = 0;
                if chunk > 1 {
                    (chunk, failed) = (chunk.div_ceil(2), 0);
                }
            }
        }
    }

    /// Whether none of these can be left out, as all writes are kept.
    fn is_needed(&self, operations: &[usize]) -> bool {
        !self.constant && operations.iter().all(|&at| self.writes(at))
    }

    fn writes(&self, at: usize) -> bool {
        self.model.effect(&self.operations[at].operation) != Effect::Observe
    }

    /// These operations, made whole: one that may have seen a write that is not among them is left
    /// out, or the write is added, if at most `added` are needed. What `stuck` may have seen is not
    /// left out, nor what that may have seen. Ascending. `None` where `stuck` had to be left out,
    /// or finding out takes more than is left of the effort.
    fn whole(
        &self,
        these: impl Iterator<Item = usize>,
        stuck: usize,
        added: usize,
        effort: &mut Effort,
    ) -> Option<Vec<usize>> {
        effort.look(self.operations.len() / size_of::<usize>())?;
        let mut places = vec![Place::Outside; self.operations.len()];
        let mut core = Vec::with_capacity(these.size_hint().1.unwrap_or_default());
        let mut enters =
            |at: usize| std::mem::replace(&mut places[at], Place::Inside) == Place::Outside;
        core.extend(these.filter(|&at| enters(at)));
        effort.look(core.len())?;
        if !self.constant {
            effort.look(self.all.answered.len() + self.all.unanswered.len())?;
            let answered = self.all.answered.iter().map(|(at, _)| at);
            let writes = answered.chain(&self.all.unanswered).copied();
            core.extend(writes.filter(|&at| enters(at)));
            core.sort_unstable();
            return Some(core);
        }
        places[stuck] = Place::Needed;
        loop {
            effort.look(core.len())?;
            let hiding = self.hiding(&core);
            let mut unanswered = self.unanswered(&core, &hiding, effort)?.into_iter();
            let (mut more, mut again) = (Vec::new(), false);
            core.retain(|&at| {
                let observer = &self.operations[at];
                let effect = self.model.effect(&observer.operation);
                if effect == Effect::Overwrite {
                    return true;
                }
                let look = match observer.ret {
                    Some(until) => Some(Look { until, hidden: hidden(&hiding, observer.call) }),
                    None => unanswered.next().flatten(),
                };
                let needed = places[at] == Place::Needed;
                let limit = if needed { None } else { Some(added) };
                let sources = look.and_then(|look| self.sources(at, look, &places, limit, effort));
                let Some(sources) = sources else {
                    places[at] = Place::LeftOut;
                    // Others may have seen it.
                    again |= effect == Effect::Update && look.is_some();
                    return false;
                };
                for source in sources {
                    if places[source] != Place::Inside {
                        more.push(source);
                    }
                    places[source] = if needed { Place::Needed } else { Place::Inside };
                }
                true
            });
            if effort.looks == 0 || places[stuck] != Place::Needed {
                return None;
            }
            if more.is_empty() && !again {
                core.sort_unstable();
                return Some(core);
            }
            core.extend(more);
        }
    }

    /// Returns of kept writes in order, each with the last call of a write that returned by then.
    fn hiding(&self, core: &[usize]) -> Vec<(u64, u64)> {
        let writes = core.iter().filter(|&&at| self.writes(at));
        let times = |&at: &usize| Some((self.operations[at].ret?, self.operations[at].call));
        let mut hiding = Vec::with_capacity(core.len());
        hiding.extend(writes.filter_map(times));
        hiding.sort_unstable();
        let mut last = 0;
        for (_, call) in &mut hiding {
            last = last.max(*call);
            *call = last;
        }
        hiding
    }

    /// Of the operations of `core` that look at the state and were not answered, in the same order,
    /// what those may have seen that an answered one may have seen the outcome of, by way of others
    /// that were not answered. `None` where the effort is over.
    fn unanswered(
        &self,
        core: &[usize],
        hiding: &[(u64, u64)],
        effort: &mut Effort,
    ) -> Option<Vec<Option<Look>>> {
        let looks =
            |&&at: &&usize| self.model.effect(&self.operations[at].operation) != Effect::Overwrite;
        let is_answered = |&at: &usize| self.operations[at].ret.is_some();
        let unanswered: Vec<usize> =
            core.iter().filter(looks).copied().filter(|at| !is_answered(at)).collect();
        let mut found = vec![None; unanswered.len()];
        if unanswered.is_empty() {
            return Some(found);
        }
        let answered = core.iter().filter(looks).copied().filter(is_answered);
        let mut open: Vec<(usize, Look)> = answered
            .filter_map(|at| {
                let Interval { call, ret, .. } = self.operations[at];
                Some((at, Look { until: ret?, hidden: hidden(hiding, call) }))
            })
            .collect();
        // Whatever is seen more of is looked at again.
        while let Some((at, look)) = open.pop() {
            effort.look(unanswered.len())?;
            let observer = &self.operations[at].operation;
            for (&write, found) in unanswered.iter().zip(&mut found) {
                let Interval { ref operation, call, .. } = self.operations[write];
                let sees = call <= look.until
                    && self
                        .model
                        .leaves(operation)
                        .is_some_and(|state| self.model.apply(&state, observer).is_some());
                if !sees || write == at {
                    continue;
                }
                let before: Look = found.unwrap_or(Look { until: 0, hidden: u64::MAX });
                let after = Look {
                    until: before.until.max(look.until),
                    hidden: before.hidden.min(look.hidden.max(hidden(hiding, call))),
                };
                if *found != Some(after) {
                    *found = Some(after);
                    open.push((write, after));
                }
            }
        }
        Some(found)
    }

    /// The writes outside that an operation may have seen in such a look, and where there is no
    /// limit those inside that are not known to be needed; `None` where there are more than
    /// `limit`, one that has been left out among them, or the effort is over.
    fn sources(
        &self,
        observer: usize,
        look: Look,
        places: &[Place],
        limit: Option<usize>,
        effort: &mut Effort,
    ) -> Option<Vec<usize>> {
        let mut sources = Vec::new();
        let observer = &self.operations[observer].operation;
        let needs = self.model.needs(observer);
        let writers = match &needs {
            Some(state) => match self.writers.get(state) {
                Some(writers) => writers,
                None => return Some(sources),
            },
            None => &self.all,
        };
        let early = |at: usize| self.operations[at].call <= look.until;
        let answered = writers.answered.partition_point(|&(at, _)| early(at));
        let unanswered = writers.unanswered.partition_point(|&at| early(at));
        let candidates = writers.answered[..answered]
            .iter()
            .rev()
            .take_while(|(_, last)| *last >= look.hidden)
            .map(|&(at, _)| at)
            .chain(writers.unanswered[..unanswered].iter().copied());
        for at in candidates {
            effort.look(1)?;
            let write = &self.operations[at];
            let is_kept = match places[at] {
                Place::Needed => true,
                Place::Inside => limit.is_some(),
                Place::Outside | Place::LeftOut => false,
            };
            if is_kept || write.ret.is_some_and(|ret| ret < look.hidden) {
                continue;
            }
            let fits = needs.is_some() || {
                let state = self.model.leaves(&write.operation);
                state.is_none_or(|state| self.model.apply(&state, observer).is_some())
            };
            if fits {
                if limit.is_some_and(|limit| sources.len() == limit || places[at] == Place::LeftOut)
                {
                    return None;
                }
                sources.push(at);
            }
        }
        Some(sources)
    }
}

/// The call before which nothing returned that an operation called at `call` may have seen, as
/// [`Minimizer::hiding`] has it.
fn hidden(hiding: &[(u64, u64)], call: u64) -> u64 {
    let before = hiding.partition_point(|&(ret, _)| ret < call);
    before.checked_sub(1).map_or(0, |last| hiding[last].1)
}
