//! Chains: a write, the compare-and-sets that followed it value by value, and all their readers.

use rustc_hash::FxHashMap;

use super::Conflict;
use crate::model::{Interval, register::Operation};

/// No operation.
pub(super) const NOBODY: usize = usize::MAX;

/// A moment and the operation whose call or return it is.
pub(super) type Mark = (u64, usize);

/// Those who read what one operation wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readers {
    /// The first return.
    pub(super) first_return: Mark,
    /// The last call.
    pub(super) last_call: Mark,
}

/// A maximal run of writers, each but the first a compare-and-set of what the one before wrote.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// Its writers, as a range of [`Chains::writers`].
    pub(super) start: usize,
    pub(super) end: usize,
    /// The first return and the last call of all its operations: the ends of its zone.
    pub(super) first_return: Mark,
    pub(super) last_call: Mark,
    /// Whether it begins with a compare-and-set that found no value.
    pub(super) from_absent: bool,
}

impl Chain {
    /// Whether the register held its values from the first return to the last call.
    pub(super) fn is_forward(&self) -> bool {
        self.first_return.0 < self.last_call.0
    }
}

/// The chains of a history.
#[derive(Debug)]
pub(super) struct Chains {
    /// Chain after chain, in order of the position of their first writer.
    pub(super) chains: Vec<Chain>,
    /// The writers of all chains, one chain after the other.
    pub(super) writers: Vec<usize>,
    /// For each operation, the one that wrote what it read or replaced.
    pub(super) source: Vec<usize>,
    /// For each operation, those who read what it wrote.
    pub(super) readers: Vec<Readers>,
}

impl Chains {
    /// Welds the operations into chains; `None` where a value has two writers.
    pub(super) fn weld(intervals: &[Interval<Operation>]) -> Result<Option<Self>, Conflict> {
        let Some(writer_of) = writers(intervals) else { return Ok(None) };
        let nobody = Readers { first_return: (u64::MAX, NOBODY), last_call: (0, NOBODY) };
        let mut readers = vec![nobody; intervals.len()];
        let mut source = vec![NOBODY; intervals.len()];
        let mut follower = vec![NOBODY; intervals.len()];
        // An operation without an answer took place if somebody found what it wrote.
        let mut happened: Vec<bool> = intervals.iter().map(|i| i.ret.is_some()).collect();
        let mut found_out = Vec::new();
        let mut next = 0;
        loop {
            let position = match found_out.pop() {
                Some(position) => position,
                None if next == intervals.len() => break,
                None => {
                    next += 1;
                    // Those found out before their turn came have been dealt with.
                    if intervals[next - 1].ret.is_none() {
                        continue;
                    }
                    next - 1
                }
            };
            let interval = &intervals[position];
            let (found, sets) = match interval.operation {
                Operation::Read(Some(value)) => (value, false),
                Operation::Cas(Some(value), new) => (value, value != new),
                Operation::Read(None)
                | Operation::Cas(None, _)
                | Operation::Write(_)
                | Operation::Mismatch(_) => continue,
                // No chain holds it; the search will say that nothing does.
                Operation::Contradiction(_) => return Ok(None),
            };
            let Some(&writer) = writer_of.get(&found) else {
                return Err(Conflict::NeverWritten(position));
            };
            source[position] = writer;
            if !std::mem::replace(&mut happened[writer], true) {
                found_out.push(writer);
            }
            if !sets {
                let readers = &mut readers[writer];
                let first_return = (interval.ret.unwrap_or(u64::MAX), position);
                readers.first_return = readers.first_return.min(first_return);
                readers.last_call = readers.last_call.max((interval.call, position));
            } else if follower[writer] == NOBODY {
                follower[writer] = position;
            } else {
                return Err(Conflict::SetTwice(follower[writer], position));
            }
        }
        let mut chains = Self { chains: Vec::new(), writers: Vec::new(), source, readers };
        for (first, interval) in intervals.iter().enumerate() {
            match interval.operation {
                Operation::Write(Some(_)) | Operation::Cas(None, _) if happened[first] => {
                    chains.follow(intervals, &follower, first)?;
                }
                _ => {}
            }
        }
        match chains.cycle(intervals, &happened) {
            Some(conflict) => Err(conflict),
            None => Ok(Some(chains)),
        }
    }

    /// Adds the chain that begins with `first`. Each operation of it must come after all that
    /// stand before it in the chain.
    fn follow(
        &mut self,
        intervals: &[Interval<Operation>],
        follower: &[usize],
        first: usize,
    ) -> Result<(), Conflict> {
        let start = self.writers.len();
        let mut first_return = (u64::MAX, NOBODY);
        let mut last_call = (0, NOBODY);
        let mut writer = first;
        while writer != NOBODY {
            self.writers.push(writer);
            let interval = &intervals[writer];
            let Readers { first_return: read, last_call: asked } = self.readers[writer];
            let written = (interval.ret.unwrap_or(u64::MAX), writer);
            if written.0 < last_call.0 {
                return Err(Conflict::Backwards(last_call.1, writer));
            }
            last_call = last_call.max((interval.call, writer));
            if read.0 < last_call.0 {
                return Err(Conflict::Backwards(last_call.1, read.1));
            }
            if asked.1 != NOBODY {
                last_call = last_call.max(asked);
            }
            first_return = first_return.min(written).min(read);
            writer = follower[writer];
        }
        let end = self.writers.len();
        let from_absent = matches!(intervals[first].operation, Operation::Cas(None, _));
        self.chains.push(Chain { start, end, first_return, last_call, from_absent });
        Ok(())
    }

    /// A compare-and-set that took place and belongs to no chain: following what each found leads
    /// back to it.
    fn cycle(&self, intervals: &[Interval<Operation>], happened: &[bool]) -> Option<Conflict> {
        let writes = |operation| {
            matches!(operation, Operation::Write(Some(_)) | Operation::Cas(None, _))
                || matches!(operation, Operation::Cas(Some(value), new) if value != new)
        };
        let happened = |at: &usize| happened[*at] && writes(intervals[*at].operation);
        let all = (0..intervals.len()).filter(happened);
        if all.clone().count() == self.writers.len() {
            return None;
        }
        let mut chained = vec![false; intervals.len()];
        for &writer in &self.writers {
            chained[writer] = true;
        }
        all.clone().find(|&at| !chained[at]).map(Conflict::Cycle)
    }
}

/// The writer of each value; `None` where one has two. Absence is no value.
fn writers(intervals: &[Interval<Operation>]) -> Option<FxHashMap<i64, usize>> {
    let mut writers = FxHashMap::default();
    writers.reserve(intervals.len() / 2);
    for (position, interval) in intervals.iter().enumerate() {
        let value = match interval.operation {
            Operation::Write(Some(value)) => value,
            Operation::Cas(expected, new) if expected != Some(new) => new,
            _ => continue,
        };
        if writers.insert(value, position).is_some() {
            return None;
        }
    }
    Some(writers)
}
