//! First in, first out: decides a queue whose values were each enqueued at most once, in
//! O(n log n).
//!
//! Henzinger, Sezgin and Vafeiadis ("Aspect-oriented linearizability proofs", 2013) name all that
//! can be wrong with such a history: a value is dequeued that was not enqueued before, or twice; a
//! value overtakes another that was enqueued before it; the queue was found empty while there was
//! always a value in it. Where nothing is wrong, an order is built:
//!
//! - each dequeue that found nothing takes place at the first moment of its time that no value
//!   spans, from the return of its enqueue to the call of its dequeue;
//! - such moments cut the history in blocks, and each value goes to the first block in which it
//!   can be dequeued;
//! - within a block, the next value is one that neither an enqueue nor a dequeue forbids; of two
//!   values that each forbid the other, one overtook.
//!
//! A dequeue without an answer may have taken any value, or none. When values that nobody is known
//! to have dequeued are in the way, such a dequeue is given one of them; that may be the wrong
//! one, so failure then proves nothing. An order is believed only once [`certificate::verify`]
//! has checked it.

use std::{cmp::Reverse, collections::BinaryHeap};

use rustc_hash::FxHashMap;

use super::{certificate, generic::Object};
use crate::model::{
    Interval,
    queue::{Operation, Queue},
};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Linearizable, in this order of positions; it has been verified.
    Linearizable(Vec<usize>),
    /// Not linearizable.
    Illegal(Conflict),
    /// Values are not distinct, or too many dequeues have no answer.
    Undecided,
}

/// Why no order of the operations is legal. Operations are named by their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A dequeue answered a value that nobody enqueued.
    NeverEnqueued(usize),
    /// Two dequeues answered the same value.
    Twice(usize, usize),
    /// A dequeue had returned its value when the enqueue was called.
    Backwards {
        /// The enqueue.
        enqueue: usize,
        /// The dequeue.
        dequeue: usize,
    },
    /// A value that came later was dequeued before one that came first.
    Overtaken {
        /// The enqueue of the first, and its dequeue if it had one.
        first: (usize, Option<usize>),
        /// The enqueue and the dequeue of the second.
        second: (usize, usize),
    },
    /// A dequeue found the queue empty, but these values, enqueue and dequeue, were in it one after
    /// the other all the time.
    Occupied {
        /// The dequeue.
        dequeue: usize,
        /// Enqueues and their dequeues, if they had one.
        values: Vec<(usize, Option<usize>)>,
    },
}

/// A value and the times between which it comes and goes, as tight as the other end makes them.
#[derive(Clone, Copy, Debug)]
struct Value {
    enqueue: usize,
    dequeue: Option<usize>,
    /// When the enqueue was called, and by when it was done.
    from: (u64, u64),
    /// When it could be dequeued, and by when it was.
    to: (u64, u64),
}

/// Decides a history that enqueues no value twice.
pub fn decide(intervals: &[Interval<Operation>]) -> Found {
    let Some(mut history) = History::of(intervals) else { return Found::Undecided };
    let mut guesses = 0;
    loop {
        let conflict = match history.order() {
            Ok(order) if certificate::verify(&Queue, intervals, &order) => {
                return Found::Linearizable(order);
            }
            Ok(_) => return Found::Undecided,
            Err(conflict) => conflict,
        };
        let lost = match &conflict {
            Conflict::Overtaken { first: (enqueue, None), .. } => Some(*enqueue),
            Conflict::Occupied { values, .. } => {
                values.iter().find(|value| value.1.is_none()).map(|value| value.0)
            }
            _ => None,
        };
        match (lost, history.takes.is_empty()) {
            // The value may have been taken by a dequeue that never answered.
            (Some(enqueue), false) if guesses < GUESSES => {
                if guesses == 0 {
                    history.take_lost();
                } else {
                    history.take(enqueue);
                }
                guesses += 1;
            }
            _ if guesses > 0 => return Found::Undecided,
            _ => return Found::Illegal(conflict),
        }
    }
}

/// Guesses after which it gives up: each costs as much as a history without any.
const GUESSES: usize = 64;

struct History<'a> {
    intervals: &'a [Interval<Operation>],
    /// Places in `values` by value, and of each the dequeues.
    values: FxHashMap<usize, (Option<usize>, Option<usize>)>,
    /// Dequeues that found nothing, by call.
    empty: Vec<usize>,
    /// Dequeues without an answer, the last one called first.
    takes: Vec<usize>,
    /// What is wrong with a value by itself.
    conflict: Option<Conflict>,
}

impl<'a> History<'a> {
    /// `None` where values are not distinct.
    fn of(intervals: &'a [Interval<Operation>]) -> Option<Self> {
        let mut history = Self {
            intervals,
            values: FxHashMap::default(),
            empty: Vec::new(),
            takes: Vec::new(),
            conflict: None,
        };
        for (position, interval) in intervals.iter().enumerate() {
            match interval.operation {
                Operation::Enqueue(value) => {
                    let ends = history.values.entry(value).or_default();
                    if ends.0.replace(position).is_some() {
                        return None;
                    }
                }
                Operation::Dequeue(Some(value)) => {
                    let ends = history.values.entry(value).or_default();
                    if let Some(other) = ends.1.replace(position) {
                        history.conflict = Some(Conflict::Twice(other, position));
                    }
                }
                // Without an answer it says nothing.
                Operation::Dequeue(None) if interval.ret.is_none() => {}
                Operation::Dequeue(None) => history.empty.push(position),
                Operation::Take => history.takes.push(position),
            }
        }
        history.empty.sort_by_key(|&position| intervals[position].call);
        history.takes.sort_by_key(|&position| Reverse(intervals[position].call));
        Some(history)
    }

    /// Gives the value of `enqueue` to the first dequeue that was called of those that never
    /// answered.
    fn take(&mut self, enqueue: usize) {
        if let Operation::Enqueue(value) = self.intervals[enqueue].operation
            && let Some(ends) = self.values.get_mut(&value)
        {
            ends.1 = self.takes.pop();
        }
    }

    /// The same for all values that must be gone, in the order in which they came: a later one was
    /// dequeued, or the queue was found empty.
    fn take_lost(&mut self) {
        let Ok(values) = self.values() else { return };
        let empty = self.empty.last().map(|&dequeue| self.intervals[dequeue].call);
        let gone = values.iter().filter(|value| value.dequeue.is_some()).map(|value| value.from.0);
        let until = gone.max().max(empty).unwrap_or(0);
        for value in values {
            if value.dequeue.is_none() && value.from.1 < until {
                self.take(value.enqueue);
            }
        }
    }

    /// The values that were in the queue.
    fn values(&self) -> Result<Vec<Value>, Conflict> {
        let mut values = Vec::with_capacity(self.values.len());
        for &(enqueue, dequeue) in self.values.values() {
            let Some(enqueue) = enqueue else {
                return Err(Conflict::NeverEnqueued(dequeue.unwrap_or_default()));
            };
            let Interval { call, ret, .. } = self.intervals[enqueue];
            let mut from = (call, ret.unwrap_or(u64::MAX));
            let mut to = (u64::MAX, u64::MAX);
            if let Some(dequeue) = dequeue {
                let interval = &self.intervals[dequeue];
                to = (interval.call.max(call), interval.ret.unwrap_or(u64::MAX));
                from.1 = from.1.min(to.1);
                if to.1 < call {
                    return Err(Conflict::Backwards { enqueue, dequeue });
                }
            } else if ret.is_none() {
                // Nobody can tell whether it was ever there.
                continue;
            }
            values.push(Value { enqueue, dequeue, from, to });
        }
        values.sort_unstable_by_key(|value| (value.from, value.enqueue));
        Ok(values)
    }

    /// An order of all operations, or why there is none.
    fn order(&self) -> Result<Vec<usize>, Conflict> {
        if let Some(conflict) = &self.conflict {
            return Err(conflict.clone());
        }
        let values = self.values()?;
        let cuts = self.cuts(&values)?;
        let mut blocks = vec![Vec::new(); cuts.len() + 1];
        for value in &values {
            blocks[cuts.partition_point(|cut| cut.0 < value.to.0)].push(*value);
        }
        // Moment, block, place in the block, position: what stands first goes first.
        let mut order: Vec<(u64, usize, usize, usize)> = Vec::with_capacity(self.intervals.len());
        for (number, block) in blocks.iter().enumerate() {
            let mut enqueued = if number > 0 { cuts[number - 1].0 } else { 0 };
            let mut dequeued = enqueued;
            for (at, value) in first_in_first_out(block)?.into_iter().enumerate() {
                enqueued = enqueued.max(value.from.0);
                order.push((enqueued, number, 2 * at, value.enqueue));
                if let Some(dequeue) = value.dequeue {
                    dequeued = dequeued.max(enqueued).max(value.to.0);
                    order.push((dequeued, number, 2 * at + 1, dequeue));
                }
            }
            if let Some(&(moment, dequeue)) = cuts.get(number) {
                order.push((moment, number, usize::MAX, dequeue));
            }
        }
        order.sort_unstable();
        Ok(order.into_iter().map(|(.., position)| position).collect())
    }

    /// For each dequeue that found nothing, a moment at which the queue can have been empty.
    fn cuts(&self, values: &[Value]) -> Result<Vec<(u64, usize)>, Conflict> {
        let spans = |value: &&Value| value.from.1 < value.to.0;
        let mut spans: Vec<&Value> = values.iter().filter(spans).collect();
        spans.sort_unstable_by_key(|value| value.from.1);
        // Times at which there always was a value, ascending and apart.
        let mut occupied: Vec<(u64, u64)> = Vec::new();
        for value in &spans {
            match occupied.last_mut() {
                Some((_, end)) if value.from.1 < *end => *end = value.to.0.max(*end),
                _ => occupied.push((value.from.1, value.to.0)),
            }
        }
        let mut cuts = Vec::with_capacity(self.empty.len());
        for &dequeue in &self.empty {
            let Interval { call, ret, .. } = self.intervals[dequeue];
            let last = occupied.partition_point(|(start, _)| *start < call).checked_sub(1);
            let moment = last.map_or(call, |last| occupied[last].1.max(call));
            if let Some(ret) = ret.filter(|ret| *ret < moment) {
                return Err(Conflict::Occupied { dequeue, values: covering(&spans, call, ret) });
            }
            cuts.push((moment, dequeue));
        }
        cuts.sort_unstable();
        Ok(cuts)
    }
}

/// Of values that leave no moment from `call` to `ret`, few that do so: always the one that stayed
/// longest of those that had come. They are sorted by the time by which they came.
fn covering(spans: &[&Value], call: u64, ret: u64) -> Vec<(usize, Option<usize>)> {
    let mut covering = Vec::new();
    let mut moment = call;
    let mut spans = spans.iter().peekable();
    let mut longest: Option<&Value> = None;
    while moment <= ret {
        while let Some(value) = spans.next_if(|value| value.from.1 < moment) {
            if longest.is_none_or(|longest| longest.to.0 <= value.to.0) {
                longest = Some(value);
            }
        }
        let Some(value) = longest.filter(|value| value.to.0 > moment) else { break };
        covering.push((value.enqueue, value.dequeue));
        moment = value.to.0;
    }
    covering
}

/// An order of values that neither enqueues nor dequeues forbid, or two that forbid each other.
/// `block` is sorted by call of the enqueues.
fn first_in_first_out(block: &[Value]) -> Result<Vec<Value>, Conflict> {
    let mut done = vec![false; block.len()];
    let heap = |key: fn(&Value) -> u64| -> BinaryHeap<Reverse<(u64, usize)>> {
        block.iter().enumerate().map(|(at, value)| Reverse((key(value), at))).collect()
    };
    let mut by_enqueue = heap(|value| value.from.1);
    let mut by_dequeue = heap(|value| value.to.1);
    // Values whose enqueue no other that is left must precede, by the call of their dequeue.
    let mut ready = BinaryHeap::new();
    let mut called = 0;
    let mut order = Vec::with_capacity(block.len());
    while order.len() < block.len() {
        let first = |heap: &mut BinaryHeap<Reverse<(u64, usize)>>| loop {
            let Reverse((time, at)) = *heap.peek()?;
            if !done[at] {
                return Some((time, at));
            }
            heap.pop();
        };
        let (Some((enqueued, waiting)), Some((dequeued, gone))) =
            (first(&mut by_enqueue), first(&mut by_dequeue))
        else {
            break;
        };
        while let Some(value) = block.get(called).filter(|value| value.from.0 <= enqueued) {
            ready.push(Reverse((value.to.0, called)));
            called += 1;
        }
        let Some(Reverse((call, at))) = ready.pop() else { break };
        if let (true, Some(dequeue)) = (dequeued < call, block[gone].dequeue) {
            return Err(Conflict::Overtaken {
                first: (block[waiting].enqueue, block[waiting].dequeue),
                second: (block[gone].enqueue, dequeue),
            });
        }
        done[at] = true;
        order.push(block[at]);
    }
    Ok(order)
}

impl Conflict {
    /// The operations that it speaks of, by position.
    pub fn operations(&self) -> Vec<usize> {
        let both =
            |&(enqueue, dequeue): &(usize, Option<usize>)| std::iter::once(enqueue).chain(dequeue);
        match self {
            Self::NeverEnqueued(dequeue) => vec![*dequeue],
            Self::Twice(first, second) => vec![*first, *second],
            Self::Backwards { enqueue, dequeue } => vec![*enqueue, *dequeue],
            Self::Overtaken { first, second } => both(first).chain([second.0, second.1]).collect(),
            Self::Occupied { dequeue, values } => {
                values.iter().flat_map(both).chain([*dequeue]).collect()
            }
        }
    }

    /// What is left of an operation where only the values are looked at that the conflict is about.
    ///
    /// Of an order of the whole this leaves an order of the part: the queue keeps these values in
    /// their order whatever else it holds, and is empty of them where it is empty. A dequeue
    /// without an answer may have taken one of them, unless as many dequeues answered each of them
    /// as enqueues put it there: then these took them all.
    pub fn part(
        &self,
        intervals: &[Interval<Operation>],
    ) -> impl Fn(&Operation) -> Option<Operation> + use<> {
        // By value, how many more were enqueued than dequeues answered.
        let mut left: FxHashMap<usize, isize> = FxHashMap::default();
        for at in self.operations() {
            if let Operation::Enqueue(value) | Operation::Dequeue(Some(value)) =
                intervals[at].operation
            {
                left.insert(value, 0);
            }
        }
        for Interval { operation, ret, .. } in intervals {
            match operation {
                Operation::Enqueue(value) => {
                    left.entry(*value).and_modify(|left| *left += 1);
                }
                Operation::Dequeue(Some(value)) if ret.is_some() => {
                    left.entry(*value).and_modify(|left| *left -= 1);
                }
                Operation::Dequeue(_) | Operation::Take => {}
            }
        }
        let may_be_taken = left.values().any(|&left| left > 0);
        move |operation| {
            let stays = match operation {
                Operation::Enqueue(value) | Operation::Dequeue(Some(value)) => {
                    left.contains_key(value)
                }
                Operation::Dequeue(None) => true,
                Operation::Take => may_be_taken,
            };
            stays.then_some(*operation)
        }
    }

    /// The conflict in words.
    pub(crate) fn told(&self, object: &Object<'_, Operation>) -> String {
        let say = |position: &usize| object.say(*position);
        match self {
            Self::NeverEnqueued(dequeue) => {
                format!("{} although nobody ever enqueued that", say(dequeue))
            }
            Self::Twice(first, second) => {
                format!("{} although it was gone: {}", say(second), say(first))
            }
            Self::Backwards { enqueue, dequeue } => {
                format!("{} although it was enqueued only later: {}", say(dequeue), say(enqueue))
            }
            Self::Overtaken { first, second } => {
                let fate = match &first.1 {
                    Some(dequeue) => format!("only later {}", say(dequeue)),
                    None => "nobody ever dequeued that".into(),
                };
                format!(
                    "{} although that came later than what was enqueued first: {}, and {fate}",
                    say(&second.1),
                    say(&first.0)
                )
            }
            Self::Occupied { dequeue, values } => {
                let there = match values.as_slice() {
                    [(enqueue, None)] => {
                        format!("{}, and nobody ever dequeued that", say(enqueue))
                    }
                    [(enqueue, Some(dequeue))] => {
                        format!("{}, and only later {}", say(enqueue), say(dequeue))
                    }
                    _ => format!(
                        "one of {} values was always there, the first of them: {}",
                        values.len(),
                        values.first().map(|value| say(&value.0)).unwrap_or_default()
                    ),
                };
                format!("{} although the queue was not empty: {there}", say(dequeue))
            }
        }
    }
}
