//! Just-in-time linearization: a search over the operations that are open, not over the history.
//!
//! The search walks through the calls and returns in order of time and keeps the set of all
//! *configurations* that explain the history so far: a state of the model, and for each open
//! operation whether it has been put in its place. An operation is put in its place as late as
//! possible: only when one returns do configurations branch, over the orders of open operations
//! that end with it (Lowe, "Testing for linearizability", 2017). So the cost is linear in the
//! length of the history and exponential in concurrency alone, and these keep the exponent small:
//!
//! - An operation that only observes takes its place the first time it can.
//! - An operation without a return need not take place. An overwrite that another one follows need
//!   not be put in its place either: it may have happened just before the other, unseen. Both
//!   *can* take place but no longer *must*.
//! - So each open operation has two bits, `can` and `must`, and a configuration dominates another
//!   of the same state if it can do all that the other can and must do nothing that the other need
//!   not. Dominated configurations are dropped.
//! - Of equal operations the one that returns first goes first.
//! - An overwrite, or an update that need not take place, is not tried before the operation that
//!   returns unless somebody looks at the state that it leaves: an operation that must still take
//!   place, or an update through which one may be served.
//!
//! An operation with a [turn](super::process_order) waits for those of its process that are open
//! and come before it. So it is like no other, and where it is an overwrite it is taken for an
//! update, which takes its place for all to see. Of two configurations of one state, the one that
//! must do less has less to wait for, too. At one time, calls are taken in their turns.
//!
//! Sets are compared member by member, so a hash collision costs time and never a wrong verdict.
//!
//! # Layout
//! [`Search`] takes one call or return after the other; [`search`] feeds it a whole history. What
//! is `open` it keeps by slots, its set of configurations is a `frontier`, and `trail` remembers
//! how each came to be: that is the order it hands out as a proof.

mod bits;
mod cost;
mod frontier;
mod open;
mod trail;

use std::time::Instant;

use rustc_hash::FxHashSet;

use crate::{
    budget::Budget,
    model::{Effect, Interval, Model},
};
use bits::Bits;
use cost::{A_STEP, size};
use frontier::{Config, Frontier};
use open::Open;
pub use open::{Ends, Slot};
use trail::{How, START, Trails};

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<S> {
    /// The history is linearizable, in this order of positions. Nobody has verified it yet.
    Linearizable(Vec<usize>),
    /// It is not.
    Illegal(Stuck<S>),
    /// The budget did not suffice.
    Undecided {
        /// What ran out, and where.
        reason: String,
    },
}

/// Where a search ended that found no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck<S> {
    /// The operation at whose return no configuration remained, by its position.
    pub at: usize,
    /// The states that were possible until then, in order of discovery, each once.
    pub possible: Vec<S>,
    /// An order of positions that explains everything until then.
    pub tried: Vec<usize>,
}

/// Decides whether the operations of one object are linearizable. On equal times calls are taken
/// before returns, so operations that touch count as concurrent.
pub fn search<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    budget: &Budget,
) -> Found<M::State> {
    Search::new(model, *budget).with_order().decide(intervals)
}

/// Why a search stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The memory budget was used up by so many configurations.
    Memory(usize),
    /// The time was up.
    Time,
}

/// A search that is fed one call or return after the other. What it holds grows with the operations
/// that are open; with the history only if it is asked to keep the order.
#[derive(Debug)]
pub struct Search<'a, M: Model> {
    budget: Budget,
    /// All explanations of what has been seen. Never empty.
    configs: Vec<Config<M::State>>,
    /// Bytes that they own beside themselves.
    heap: usize,
    /// How they came to be, if somebody wants to know.
    trails: Option<Trails>,
    /// Operations between their calls and their returns.
    open: Open<'a, M>,
    /// Buffers for the work of one return; taken while that goes on.
    scratch: Option<Box<Scratch<M::State>>>,
    seen: Vec<Slot>,
    events: Events,
    /// Work done, and how much of it when the clock is looked at again.
    steps: u64,
    look: u64,
}

/// The events of a history.
#[derive(Debug, Default)]
struct Events {
    /// Positions of operations, by call.
    calls: Vec<usize>,
    /// When operations return, ascending, and their positions.
    returns: Vec<(u64, usize)>,
    /// The slot of each operation that is open.
    slots: Vec<Option<Slot>>,
}

impl Events {
    fn arrange<M: Model>(&mut self, model: &M, intervals: &[Interval<M::Operation>]) {
        let number = |at: usize| model.turn(&intervals[at].operation).map(|turn| turn.number);
        self.calls.clear();
        self.calls.extend(0..intervals.len());
        self.calls.sort_by_key(|&at| (intervals[at].call, number(at)));
        self.returns.clear();
        self.returns.reserve(intervals.len());
        let ends = intervals.iter().enumerate();
        self.returns.extend(ends.filter_map(|(at, interval)| Some((interval.ret?, at))));
        self.returns.sort_unstable();
        self.slots.clear();
        self.slots.resize(intervals.len(), None);
    }
}

/// What becomes of the configurations as an operation returns.
#[derive(Debug)]
struct Scratch<S> {
    /// Those in which it has not been settled yet.
    before: Frontier<S>,
    /// Those in which it has.
    after: Frontier<S>,
}

/// Configurations looked at to say which states were possible.
const MAX_EXPLORED: usize = 10_000;

/// Steps between two looks at the clock.
const LOOK: u64 = 1 << 12;

impl<'a, M: Model> Search<'a, M> {
    /// Begins with the model's first state and nothing open.
    pub fn new(model: &'a M, budget: Budget) -> Self {
        let mut search = Self {
            budget,
            configs: Vec::new(),
            heap: 0,
            trails: None,
            open: Open::new(model),
            scratch: None,
            seen: Vec::new(),
            events: Events::default(),
            steps: 0,
            look: LOOK,
        };
        search.restart();
        search
    }

    /// Begins again, in the buffers that it has.
    fn restart(&mut self) {
        let (can, must) = (Bits::default(), Bits::default());
        let state = self.open.model.initial();
        self.configs.clear();
        self.configs.push(Config { state, can, must, trail: START });
        self.heap = 0;
        self.trails.iter_mut().for_each(Trails::clear);
        self.open.clear();
    }

    /// Decides a whole history, in the buffers that an earlier one took.
    pub(super) fn decide(&mut self, intervals: &[Interval<M::Operation>]) -> Found<M::State> {
        match self.run(intervals) {
            Ok(None) => Found::Linearizable(self.order()),
            Ok(Some(at)) => {
                let possible = self.possible();
                Found::Illegal(Stuck { at, possible, tried: self.order() })
            }
            Err((stop, time)) => Found::Undecided { reason: self.reason(stop, time) },
        }
    }

    /// Whether a whole history is illegal. When a budget is used up, nobody knows.
    pub(super) fn is_illegal(&mut self, intervals: &[Interval<M::Operation>]) -> bool {
        matches!(self.run(intervals), Ok(Some(_)))
    }

    /// Takes all calls and returns of a history from its beginning. The position of the operation
    /// at whose return no explanation was left, if there is one.
    ///
    /// # Errors
    /// Why it stopped, and at what time of the history.
    pub(super) fn run(
        &mut self,
        intervals: &[Interval<M::Operation>],
    ) -> Result<Option<usize>, (Stop, u64)> {
        self.restart();
        let mut events = std::mem::take(&mut self.events);
        events.arrange(self.open.model, intervals);
        let found = self.take(&mut events, intervals);
        self.events = events;
        found
    }

    fn take(
        &mut self,
        Events { calls, returns, slots }: &mut Events,
        intervals: &[Interval<M::Operation>],
    ) -> Result<Option<usize>, (Stop, u64)> {
        let mut calls = calls.iter().copied().peekable();
        for &mut (time, position) in returns {
            while let Some(position) = calls.next_if(|&next| intervals[next].call <= time) {
                let interval = &intervals[position];
                let ends = interval.ret.map_or(Ends::Never, Ends::At);
                slots[position] = self.call(interval.operation.clone(), ends, position);
                self.check_time().map_err(|stop| (stop, time))?;
            }
            // An operation that returns before its call makes no sense, and cannot take place.
            let Some(slot) = slots[position] else { return Ok(Some(position)) };
            if !self.ret(slot).map_err(|stop| (stop, time))? {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Keeps the order that explains the history.
    pub(super) fn with_order(mut self) -> Self {
        self.trails = Some(Trails::new());
        self
    }

    /// Changes the budget for what follows.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// Operations that are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Opens an operation, to be known in an order by its position, and gives it a slot. None
    /// where an operation without a return only observes: it says nothing.
    pub fn call(&mut self, operation: M::Operation, ends: Ends, position: usize) -> Option<Slot> {
        let effect = self.open.effect(&operation);
        if effect == Effect::Observe && ends == Ends::Never {
            return None;
        }
        self.steps += self.configs.len() as u64;
        let slot = self.open.next_slot();
        if effect == Effect::Observe {
            for config in &mut self.configs {
                self.steps += size(self.open.model, &config.state);
                let possible = self.open.model.apply(&config.state, &operation).is_some();
                let next_turns = self.open.next_turns(&config.must);
                if !possible || self.open.waits(&operation, &next_turns) {
                    config.must.insert(slot);
                } else if let Some(trails) = &mut self.trails {
                    config.trail = trails.push(config.trail, How::Placed, position);
                }
            }
        } else {
            for config in &mut self.configs {
                config.can.insert(slot);
                if ends != Ends::Never {
                    config.must.insert(slot);
                }
            }
        }
        self.steps += self.open.insert(slot, operation, effect, ends, position);
        Some(slot)
    }

    /// Returns the operation in `slot` and says whether any explanation is left. When none is, the
    /// search stays where it was: just before. Equal operations that end at one moment must return
    /// in order of their positions.
    ///
    /// # Errors
    /// A budget was used up. The search cannot go on.
    pub fn ret(&mut self, slot: Slot) -> Result<bool, Stop> {
        self.steps += 1 + (self.configs.len() * size_of::<Config<M::State>>() / A_STEP) as u64;
        self.check_time()?;
        let concerns = |c: &Config<_>| c.must.contains(slot) || c.can.contains(slot);
        if self.configs.iter().any(concerns) {
            let mut scratch = self.scratch.take().unwrap_or_default();
            let explained = self.settle(slot, &mut scratch);
            if explained == Ok(true) {
                scratch.after.move_to(&mut self.configs);
                self.heap = self.configs.iter().map(|config| config.heap(self.open.model)).sum();
            }
            self.scratch = Some(scratch);
            if explained != Ok(true) {
                return explained;
            }
        }
        self.steps += self.open.remove(slot);
        if let Some(trails) = self.trails.as_mut().filter(|trails| trails.is_full()) {
            trails.clear_up(self.configs.iter_mut().map(|config| &mut config.trail));
        }
        Ok(true)
    }

    /// Fills the buffers with the configurations before and after the return of the operation in
    /// `slot`.
    fn settle(&mut self, slot: Slot, scratch: &mut Scratch<M::State>) -> Result<bool, Stop> {
        scratch.before.clear();
        scratch.after.clear();
        let Some(position) = self.open.position(slot) else { return Ok(true) };
        for config in &self.configs {
            if !config.must.contains(slot) {
                let mut without = config.clone();
                without.can.remove(slot);
                let hidden = config.can.contains(slot);
                let heap = self.open.model.heap(&without.state);
                if let Some(place) = scratch.after.insert(without, heap)
                    && hidden
                    && let Some(trails) = &mut self.trails
                {
                    scratch.after.configs[place].trail =
                        trails.push(config.trail, How::Hidden, position);
                }
            }
            if config.must.contains(slot) || config.can.contains(slot) {
                scratch.before.insert(config.clone(), self.open.model.heap(&config.state));
            }
        }
        self.check_memory(scratch)?;
        let mut at = 0;
        while at < scratch.before.configs.len() {
            if !scratch.before.dominated[at] {
                let config = scratch.before.configs[at].clone();
                self.expand(&config, Some(slot), scratch)?;
            }
            at += 1;
        }
        Ok(!scratch.after.configs.is_empty())
    }

    /// Puts each open operation that `config` allows in its place: where that settles the
    /// operation in slot `until` the result goes to those after, else to those before.
    fn expand(
        &mut self,
        config: &Config<M::State>,
        until: Option<Slot>,
        scratch: &mut Scratch<M::State>,
    ) -> Result<(), Stop> {
        let model = self.open.model;
        let next_turns = self.open.next_turns(&config.must);
        let size = size(model, &config.state);
        let looking = until.map(|until| (until, self.open.looking(config, &mut self.steps)));
        self.check_time()?;
        let mut last_class = None;
        let mut seen = std::mem::take(&mut self.seen);
        for index in 0..self.open.order().len() {
            let (class, slot) = self.open.order()[index];
            if last_class == Some(class) || !config.can.contains(slot) {
                continue;
            }
            let Some(open) = self.open.get(slot) else { continue };
            if self.open.waits(&open.operation, &next_turns) {
                continue;
            }
            last_class = Some(class);
            // What may take place later is tried only for somebody's sake.
            let due = open.effect == Effect::Update && config.must.contains(slot);
            if let Some((until, looking)) = &looking
                && !(due || *until == slot || open.serves(looking))
            {
                continue;
            }
            self.steps += size;
            if let Some(state) = model.apply(&config.state, &open.operation) {
                let (effect, position) = (open.effect, open.position);
                let (mut can, mut must) = (config.can.clone(), config.must.clone());
                can.remove(slot);
                must.remove(slot);
                if effect == Effect::Overwrite {
                    must.remove_all(self.open.overwrites());
                }
                let mut next = Config { state, can, must, trail: config.trail };
                self.steps += self.open.observe(&mut next, &mut seen);
                let settles = until.is_some_and(|until| settled(config, &next, slot, until));
                let target = if settles { &mut scratch.after } else { &mut scratch.before };
                let heap = model.heap(&next.state);
                if let Some(place) = target.insert(next, heap) {
                    if let Some(trails) = &mut self.trails {
                        let overwrites = effect == Effect::Overwrite;
                        let how = if overwrites { How::Overwrote } else { How::Placed };
                        let mut trail = trails.push(config.trail, how, position);
                        for position in seen.iter().filter_map(|&slot| self.open.position(slot)) {
                            trail = trails.push(trail, How::Placed, position);
                        }
                        target.configs[place].trail = trail;
                    }
                    self.check_memory(scratch)?;
                }
            }
            self.check_time()?;
        }
        self.seen = seen;
        self.check_memory(scratch)
    }

    /// Whether there is memory to go on.
    fn check_memory(&mut self, scratch: &mut Scratch<M::State>) -> Result<(), Stop> {
        let Scratch { before, after } = scratch;
        self.steps += std::mem::take(&mut before.compared) + std::mem::take(&mut after.compared);
        let trails = self.trails.as_ref().map_or(0, Trails::bytes);
        let owned = self.heap + self.open.heap;
        let held = self.configs.capacity() * size_of::<Config<M::State>>() + owned + trails;
        if before.bytes() + after.bytes() + held > self.budget.memory {
            return Err(Stop::Memory(before.configs.len() + after.configs.len()));
        }
        Ok(())
    }

    /// Whether there is time to go on.
    fn check_time(&mut self) -> Result<(), Stop> {
        if self.steps >= self.look {
            self.look = self.steps + LOOK;
            if Instant::now() >= self.budget.deadline {
                return Err(Stop::Time);
            }
        }
        Ok(())
    }

    /// Every state that the open operations can lead to from here.
    pub fn possible(&mut self) -> Vec<M::State> {
        let mut scratch = self.scratch.take().unwrap_or_default();
        scratch.before.clear();
        for config in &self.configs {
            scratch.before.insert(config.clone(), self.open.model.heap(&config.state));
        }
        let mut at = 0;
        while at < scratch.before.configs.len().min(MAX_EXPLORED) {
            let config = scratch.before.configs[at].clone();
            // Out of budget the list is merely shorter: the verdict does not depend on it.
            if self.expand(&config, None, &mut scratch).is_err() {
                break;
            }
            at += 1;
        }
        let mut known = FxHashSet::default();
        let states = scratch.before.configs.iter().map(|config| &config.state);
        let states = states.filter(|state| known.insert(*state)).cloned().collect();
        self.scratch = Some(scratch);
        states
    }

    /// An order that explains all that has been seen.
    pub(super) fn order(&self) -> Vec<usize> {
        let trails = self.trails.as_ref().zip(self.configs.first());
        trails.map_or_else(Vec::new, |(trails, config)| trails.order(config.trail))
    }

    /// In words, why it stopped.
    pub fn reason(&self, stop: Stop, time: u64) -> String {
        let open = self.open();
        match stop {
            Stop::Memory(held) => format!(
                "the memory budget of {} MiB was used up at {time} ns of the history, by {held} \
                 configurations of {open} open operations",
                self.budget.memory >> 20
            ),
            Stop::Time => format!(
                "the time budget was used up at {time} ns of the history, with {open} open \
                 operations"
            ),
        }
    }
}

impl<S: Clone + Eq + std::hash::Hash> Default for Scratch<S> {
    fn default() -> Self {
        Self { before: Frontier::new(), after: Frontier::new() }
    }
}

/// Whether the step from `config` to `next`, which put `slot` in its place, settles `until`: the
/// operation itself, or an observation that it made possible.
fn settled<S>(config: &Config<S>, next: &Config<S>, slot: Slot, until: Slot) -> bool {
    slot == until
        || (!config.can.contains(until)
            && config.must.contains(until)
            && !next.must.contains(until))
}
