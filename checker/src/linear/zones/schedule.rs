//! Lays chains, deletes and observations on one line of time.
//!
//! A forward chain is laid at its first return, where it must have begun. Everything else waits
//! until its deadline: its own return or, where a forward zone holds that, the beginning of that
//! zone. What waits and is seen by nobody later is laid just before the next thing that hides it:
//! there it can do no harm. Deletes wait longest, since a read of an absent value, or a
//! compare-and-set that found none, may need one; the one with the nearest deadline goes first.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::{
    Conflict,
    chains::{Chain, Chains, Mark, NOBODY},
};
use crate::model::{Interval, register::Operation};

/// A time at which the register has one value.
#[derive(Clone, Copy, Debug)]
struct Period {
    start: u64,
    writer: usize,
    value: Option<i64>,
}

/// What must have its place by a deadline; at equal deadlines in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A backward chain.
    Backward(usize),
    Delete(usize),
    /// A read of an absent value.
    Absent(usize),
    /// A forward chain begins.
    Forward(usize),
    /// A compare-and-set that was refused.
    Mismatch(usize),
}

/// An order of all operations that took place; `None` where none was found.
pub(super) fn order(
    intervals: &[Interval<Operation>],
    chains: &Chains,
) -> Result<Option<Vec<usize>>, Conflict> {
    let forward = forward(chains)?;
    let mut schedule = Schedule {
        intervals,
        chains,
        periods: vec![Period { start: 0, writer: NOBODY, value: None }],
        changes: Vec::new(),
        period: vec![NOBODY; intervals.len()],
        now: 0,
        laid: vec![false; chains.chains.len()],
        backward: VecDeque::new(),
        from_absent: BinaryHeap::new(),
        deletes: VecDeque::new(),
        open_deletes: BinaryHeap::new(),
    };
    let due = schedule.due(&forward)?;
    for (deadline, due) in due {
        if schedule.lay(deadline, due).is_none() {
            return Ok(None);
        }
    }
    Ok(Some(schedule.into_order()))
}

/// The forward zones, ascending; no two may overlap.
fn forward(chains: &Chains) -> Result<Vec<&Chain>, Conflict> {
    let mut forward: Vec<&Chain> = chains.chains.iter().filter(|c| c.is_forward()).collect();
    forward.sort_unstable_by_key(|chain| chain.first_return);
    for pair in forward.windows(2) {
        if pair[1].first_return.0 < pair[0].last_call.0 {
            return Err(interrupted(pair[0], (pair[1].first_return.1, pair[1].last_call.1)));
        }
    }
    Ok(forward)
}

fn interrupted(chain: &Chain, by: (usize, usize)) -> Conflict {
    Conflict::Interrupted { from: chain.first_return.1, to: chain.last_call.1, by }
}

/// When something called at `call` and over at `ret` must have its place: before the forward zone
/// that holds `ret`, if there is one. `by` is what it consists of.
fn deadline(forward: &[&Chain], call: u64, ret: u64, by: (usize, usize)) -> Result<u64, Conflict> {
    let zone = forward.partition_point(|chain| chain.first_return.0 < ret).checked_sub(1);
    match zone.map(|zone| forward[zone]) {
        Some(chain) if ret < chain.last_call.0 => {
            if chain.first_return.0 < call {
                return Err(interrupted(chain, by));
            }
            Ok(chain.first_return.0)
        }
        _ => Ok(ret),
    }
}

struct Schedule<'a> {
    intervals: &'a [Interval<Operation>],
    chains: &'a Chains,
    periods: Vec<Period>,
    /// Periods before which the value was absent and is not any more, or the other way round.
    changes: Vec<usize>,
    /// For each writer, delete and observation, the period that it begins or belongs to.
    period: Vec<usize>,
    /// The end of what has been laid.
    now: u64,
    /// Chains that have been laid.
    laid: Vec<bool>,
    /// Backward chains not yet called, in order of their last call.
    backward: VecDeque<(u64, usize)>,
    /// Those called that must follow an absent value, by first return.
    from_absent: BinaryHeap<Reverse<(Mark, usize)>>,
    /// Deletes not yet called, in order of call, with their deadlines.
    deletes: VecDeque<(u64, u64, usize)>,
    /// Those called, by deadline.
    open_deletes: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Schedule<'_> {
    /// Everything that must be laid, in order of deadline. Fills the queues on the way.
    fn due(&mut self, forward: &[&Chain]) -> Result<Vec<(u64, Due)>, Conflict> {
        let mut due = Vec::with_capacity(self.chains.chains.len());
        for (number, chain) in self.chains.chains.iter().enumerate() {
            let (ret, by) = chain.first_return;
            let (call, last) = chain.last_call;
            if chain.is_forward() {
                due.push((ret, Due::Forward(number)));
            } else {
                due.push((deadline(forward, call, ret, (by, last))?, Due::Backward(number)));
                self.backward.push_back((call, number));
            }
        }
        for (at, Interval { operation, call, ret }) in self.intervals.iter().enumerate() {
            match (operation, *ret) {
                (Operation::Write(None), None) => self.deletes.push_back((*call, u64::MAX, at)),
                (Operation::Write(None), Some(ret)) => {
                    let deadline = deadline(forward, *call, ret, (at, at))?;
                    due.push((deadline, Due::Delete(at)));
                    self.deletes.push_back((*call, deadline, at));
                }
                (Operation::Read(None), Some(ret)) => {
                    due.push((deadline(forward, *call, ret, (at, at))?, Due::Absent(at)));
                }
                (Operation::Mismatch(_), Some(ret)) => due.push((ret, Due::Mismatch(at))),
                _ => {}
            }
        }
        due.sort_unstable();
        self.backward.make_contiguous().sort_unstable();
        self.deletes.make_contiguous().sort_unstable();
        Ok(due)
    }

    /// Gives one thing its place; `None` where none is left.
    fn lay(&mut self, time: u64, due: Due) -> Option<()> {
        match due {
            Due::Backward(number) if self.laid[number] => {}
            Due::Backward(number) if self.chains.chains[number].from_absent => {
                self.make_absent(time)?;
                self.lay_chain(number, time);
            }
            Due::Backward(_) => self.flush(time),
            Due::Forward(number) => {
                if self.chains.chains[number].from_absent {
                    self.make_absent(time)?;
                } else {
                    self.flush(time);
                }
                self.lay_chain(number, time);
            }
            Due::Delete(position) => {
                if self.period[position] == NOBODY {
                    self.flush(time);
                    self.begin(time, position, None);
                }
            }
            Due::Absent(position) => {
                if !self.observe(position, true, |value| value.is_none()) {
                    self.make_absent(time)?;
                    self.period[position] = self.periods.len() - 1;
                }
            }
            Due::Mismatch(position) => {
                let Operation::Mismatch(unlike) = self.intervals[position].operation else {
                    return None;
                };
                if !self.observe(position, unlike.is_none(), |value| value != unlike) {
                    if self.now > time {
                        return None;
                    }
                    self.flush(time);
                    if self.value() == unlike {
                        self.make_absent(time)?;
                    }
                    if self.value() == unlike {
                        return None;
                    }
                    self.period[position] = self.periods.len() - 1;
                }
            }
        }
        Some(())
    }

    fn value(&self) -> Option<i64> {
        self.periods.last().and_then(|period| period.value)
    }

    /// Begins a period.
    fn begin(&mut self, time: u64, writer: usize, value: Option<i64>) {
        self.now = self.now.max(time);
        if self.value().is_none() != value.is_none() {
            self.changes.push(self.periods.len());
        }
        self.period[writer] = self.periods.len();
        self.periods.push(Period { start: self.now, writer, value });
    }

    /// Lays a chain from `time` on, each operation as early as can be.
    fn lay_chain(&mut self, number: usize, time: u64) {
        let chains = self.chains;
        let chain = &chains.chains[number];
        self.now = self.now.max(time);
        for &writer in &chains.writers[chain.start..chain.end] {
            let interval = &self.intervals[writer];
            self.begin(interval.call, writer, interval.operation.written().flatten());
            self.now = self.now.max(chains.readers[writer].last_call.0);
        }
        self.laid[number] = true;
    }

    /// Lays all backward chains that can be had by now: what follows hides them. One of those
    /// that must follow an absent value, if the value is absent.
    fn flush(&mut self, time: u64) {
        let mut others = Vec::new();
        while let Some((_, number)) = self.backward.pop_front_if(|(call, _)| *call <= time) {
            if self.laid[number] {
                continue;
            }
            if self.chains.chains[number].from_absent {
                let first_return = self.chains.chains[number].first_return;
                self.from_absent.push(Reverse((first_return, number)));
            } else {
                others.push(number);
            }
        }
        while let Some(&Reverse((_, number))) = self.from_absent.peek() {
            if !self.laid[number] {
                if self.value().is_none() {
                    self.from_absent.pop();
                    self.lay_chain(number, time);
                }
                break;
            }
            self.from_absent.pop();
        }
        for number in others {
            self.lay_chain(number, time);
        }
    }

    /// Sees to it that the value is absent: by a delete, if need be.
    fn make_absent(&mut self, time: u64) -> Option<()> {
        if self.value().is_none() {
            return Some(());
        }
        while let Some((_, deadline, position)) = self.deletes.pop_front_if(|d| d.0 <= time) {
            self.open_deletes.push(Reverse((deadline, position)));
        }
        loop {
            let Reverse((_, position)) = self.open_deletes.pop()?;
            if self.period[position] == NOBODY {
                self.flush(time);
                self.begin(time, position, None);
                return Some(());
            }
        }
    }

    /// Puts an observation in the last period that it overlaps and whose value fits, if there is
    /// one. `absence` is whether only that counts, and not which value.
    fn observe(
        &mut self,
        position: usize,
        absence: bool,
        fits: impl Fn(Option<i64>) -> bool,
    ) -> bool {
        let Interval { call, ret, .. } = self.intervals[position];
        let begun = |time: u64| self.periods.partition_point(|period| period.start < time);
        let first = begun(call).saturating_sub(1);
        let end = ret.map_or(self.periods.len(), |ret| begun(ret.saturating_add(1)));
        let mut number = end.wrapping_sub(1);
        while let Some(period) = self.periods.get(number).filter(|_| number >= first) {
            if fits(period.value) {
                self.period[position] = number;
                return true;
            }
            let change = if absence {
                let before = self.changes.partition_point(|change| *change <= number);
                before.checked_sub(1).map_or(0, |last| self.changes[last])
            } else {
                number
            };
            number = change.wrapping_sub(1);
        }
        false
    }

    /// Writers in order, each with the observations of its period in order of their calls.
    fn into_order(mut self) -> Vec<usize> {
        let mut sizes = vec![0; self.periods.len() + 1];
        let mut observers = Vec::new();
        for (position, interval) in self.intervals.iter().enumerate() {
            let source = self.chains.source[position];
            if self.period[position] == NOBODY && source != NOBODY && interval.ret.is_some() {
                self.period[position] = self.period[source];
            }
        }
        for (position, &period) in self.period.iter().enumerate() {
            if period != NOBODY && self.periods[period].writer != position {
                observers.push(position);
                sizes[period] += 1;
            }
        }
        // Calls come in order already, but for histories made by hand.
        observers.sort_by_key(|&position| self.intervals[position].call);
        let mut total = 0;
        for (size, period) in sizes.iter_mut().zip(&self.periods) {
            let start = total;
            total += *size + usize::from(period.writer != NOBODY);
            *size = start;
        }
        let mut order = vec![NOBODY; total];
        for (next, period) in sizes.iter_mut().zip(&self.periods) {
            if period.writer != NOBODY {
                order[*next] = period.writer;
                *next += 1;
            }
        }
        for position in observers {
            let next = &mut sizes[self.period[position]];
            order[*next] = position;
            *next += 1;
        }
        order
    }
}
