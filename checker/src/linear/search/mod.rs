//! Just-in-time linearization: a search over the operations that are open, not over the history.
//!
//! The search walks through the calls and returns in order of time and keeps the set of all
//! *configurations* that explain the history so far: a state of the model, and for each open
//! operation whether it has been put in its place. An operation is put in its place as late as
//! possible: only when one returns do configurations branch, over the orders of open operations
//! that end with it (Lowe, "Testing for linearizability", 2017). So the cost is linear in the length of the
//! history and exponential in concurrency alone, and these keep the exponent small:
//!
//! - An operation that only observes takes its place the first time it can.
//! - An operation without a return need not take place. An overwrite that another one follows need
//!   not be put in its place either: it may have happened just before the other, unseen. Both
//!   *can* take place but no longer *must*.
//! - So each open operation has two bits, `can` and `must`, and a configuration dominates another
//!   of the same state if it can do all that the other can and must do nothing that the other need
//!   not. Dominated configurations are dropped.
//! - Of equal operations the one that returns first goes first.
//! - An overwrite that nobody looks at is not tried before the operation that returns.
//!
//! An operation with a [turn](super::turns) waits for those of its process that are open and come
//! before it. So it is like no other, and where it is an overwrite it is taken for an update, which
//! takes its place for all to see. Of two configurations of one state, the one that must do less has
//! less to wait for, too. At one time, calls are taken in their turns.
//!
//! Sets are compared member by member, so a hash collision costs time and never a wrong verdict.
//!
//! # Layout
//! [`Search`] takes one call or return after the other and owns what is open, nothing else;
//! [`search`] feeds it a whole history. Its set of configurations is a `frontier`, and
//! `trail` remembers how each came to be: that is the order it hands out as a proof.

mod bits;
mod frontier;
mod trail;

use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};

use super::turns::NextTurns;
use crate::model::{Effect, Model};
use bits::Bits;
use frontier::{Config, Frontier};
use trail::{How, START, Trails};

/// An operation with the time in which it must have taken place.
#[derive(Clone, Debug)]
pub struct Interval<O> {
    /// The operation and its answer.
    pub operation: O,
    /// When it was asked for.
    pub call: u64,
    /// When it was answered; `None` where the outcome is unknown: it may take place at any time
    /// after its call, or never. An operation that only observes must have one, or it says nothing.
    pub ret: Option<u64>,
}

/// What a search may use.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes of configurations held at any time.
    pub memory: usize,
    /// When to give up.
    pub deadline: Instant,
}

impl Budget {
    /// Half of the time that is left, for what may be needless.
    pub(super) fn half(&self) -> Self {
        let now = Instant::now();
        Self { deadline: now + self.deadline.saturating_duration_since(now) / 2, ..*self }
    }
}

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

/// When an open operation will return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ends {
    /// At this time.
    At(u64),
    /// Never: its outcome is unknown for good.
    Never,
    /// Nobody knows yet.
    Later,
}

/// The place of an open operation in a search.
pub type Slot = usize;

/// Why a search stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The memory budget was used up by so many configurations.
    Memory(usize),
    /// The time was up.
    Time,
}

/// An operation between its call and its return.
#[derive(Clone, Debug)]
struct Open<O> {
    operation: O,
    effect: Effect,
    ends: Ends,
    position: usize,
    /// The number that all equal operations share that are open and change the state.
    class: u64,
}

/// A search that is fed one call or return after the other. What it holds grows with the operations
/// that are open; with the history only if it is asked to keep the order.
#[derive(Debug)]
pub struct Search<'a, M: Model> {
    model: &'a M,
    budget: Budget,
    /// All explanations of what has been seen. Never empty.
    configs: Vec<Config<M::State>>,
    /// Bytes that they own beside themselves.
    heap: usize,
    /// How they came to be, if somebody wants to know.
    trails: Option<Trails>,
    /// Open operations by slot; slots are used again.
    open: Vec<Option<Open<M::Operation>>>,
    free: Vec<Slot>,
    /// Slots of open operations that change the state: equal operations side by side, among them
    /// the one that returns first at the front.
    order: Vec<Slot>,
    /// For each operation of `order`, its class and how many belong to it.
    classes: FxHashMap<M::Operation, (u64, usize)>,
    next_class: u64,
    /// Slots of open overwrites and updates.
    overwrites: Bits,
    updates: Bits,
    /// Slots of open operations with a turn.
    turns: Bits,
    /// Room for the work of one return.
    before: Frontier<M::State>,
    after: Frontier<M::State>,
    seen: Vec<Slot>,
    /// Work done, and how much of it when the clock is looked at again.
    steps: u64,
    look: u64,
}

/// Configurations looked at to say which states were possible.
const MAX_EXPLORED: usize = 10_000;

/// Steps between two looks at the clock.
const LOOK: u64 = 1 << 12;

/// What is copied or moved of larger things counts as a step for so many bytes.
const A_STEP: usize = 64;

/// Steps to copy a state.
fn size<M: Model>(model: &M, state: &M::State) -> u64 {
    1 + (model.heap(state) / A_STEP) as u64
}

impl<'a, M: Model> Search<'a, M> {
    /// Begins with the model's first state and nothing open.
    pub fn new(model: &'a M, budget: Budget) -> Self {
        let mut search = Self {
            model,
            budget,
            configs: Vec::new(),
            heap: 0,
            trails: None,
            open: Vec::new(),
            free: Vec::new(),
            order: Vec::new(),
            classes: FxHashMap::default(),
            next_class: 0,
            overwrites: Bits::default(),
            updates: Bits::default(),
            turns: Bits::default(),
            before: Frontier::new(),
            after: Frontier::new(),
            seen: Vec::new(),
            steps: 0,
            look: LOOK,
        };
        search.restart();
        search
    }

    /// Begins again, in the room that it has.
    fn restart(&mut self) {
        let (can, must) = (Bits::default(), Bits::default());
        self.configs.clear();
        self.configs.push(Config { state: self.model.initial(), can, must, trail: START });
        self.heap = 0;
        self.trails.iter_mut().for_each(Trails::clear);
        self.open.clear();
        self.free.clear();
        self.order.clear();
        self.classes.clear();
        self.overwrites = Bits::default();
        self.updates = Bits::default();
        self.turns = Bits::default();
    }

    /// Decides a whole history, in the room that an earlier one took.
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

    /// Takes all calls and returns of a history from its beginning; the position of the operation at whose return no
    /// explanation was left, if there is one.
    fn run(&mut self, intervals: &[Interval<M::Operation>]) -> Result<Option<usize>, (Stop, u64)> {
        self.restart();
        let mut calls: Vec<usize> = (0..intervals.len()).collect();
        let number = |at: usize| self.model.turn(&intervals[at].operation).map(|turn| turn.number);
        calls.sort_by_key(|&position| (intervals[position].call, number(position)));
        let mut returns: Vec<(u64, usize)> = Vec::with_capacity(intervals.len());
        let ends = intervals.iter().enumerate();
        returns.extend(ends.filter_map(|(at, interval)| Some((interval.ret?, at))));
        returns.sort_unstable();
        let mut calls = calls.into_iter().peekable();
        let mut slots = vec![None; intervals.len()];
        for (time, position) in returns {
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
        self.open.len() - self.free.len()
    }

    /// Opens an operation, to be known in an order by its position, and gives it a slot. None
    /// where an operation without a return only observes: it says nothing.
    pub fn call(&mut self, operation: M::Operation, ends: Ends, position: usize) -> Option<Slot> {
        let mut effect = self.model.effect(&operation);
        if effect == Effect::Observe && ends == Ends::Never {
            return None;
        }
        let turn = self.model.turn(&operation);
        if turn.is_some() && effect == Effect::Overwrite {
            effect = Effect::Update;
        }
        let slot = self.free.pop().unwrap_or(self.open.len());
        if slot == self.open.len() {
            self.open.push(None);
        }
        if turn.is_some() {
            self.turns.insert(slot);
        }
        self.steps += self.configs.len() as u64;
        if effect == Effect::Observe {
            let mut configs = std::mem::take(&mut self.configs);
            for config in &mut configs {
                self.steps += size(self.model, &config.state);
                if self.model.apply(&config.state, &operation).is_none()
                    || turn.is_some_and(|turn| self.next_turns(config).precede(turn))
                {
                    config.must.insert(slot);
                } else if let Some(trails) = &mut self.trails {
                    config.trail = trails.push(config.trail, How::Placed, position);
                }
            }
            self.configs = configs;
            self.open[slot] = Some(Open { operation, effect, ends, position, class: 0 });
            return Some(slot);
        }
        let kind =
            if effect == Effect::Overwrite { &mut self.overwrites } else { &mut self.updates };
        kind.insert(slot);
        for config in &mut self.configs {
            config.can.insert(slot);
            if ends != Ends::Never {
                config.must.insert(slot);
            }
        }
        self.next_class += 1;
        let mut class = self.next_class;
        if ends != Ends::Later {
            // Which of equal operations goes first depends on which returns first.
            let entry = self.classes.entry(operation.clone()).or_insert((class, 0));
            entry.1 += 1;
            class = entry.0;
        }
        let open = Open { operation, effect, ends, position, class };
        let at = self.rank(&open);
        self.order.insert(at, slot);
        self.steps += ((self.order.len() - at) * size_of::<Slot>() / A_STEP) as u64;
        self.open[slot] = Some(open);
        Some(slot)
    }

    /// The place in `order` of what stands there or belongs there.
    fn rank(&self, open: &Open<M::Operation>) -> usize {
        let rank = (open.class, open.ends, open.position);
        self.order.partition_point(|&other| {
            self.open[other].as_ref().is_some_and(|o| (o.class, o.ends, o.position) < rank)
        })
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
            let mut before = std::mem::replace(&mut self.before, Frontier::new());
            let mut after = std::mem::replace(&mut self.after, Frontier::new());
            before.clear();
            after.clear();
            let explained = self.settle(slot, &mut before, &mut after);
            if explained == Ok(true) {
                after.drain_to(&mut self.configs);
                self.heap = self.configs.iter().map(|config| config.heap(self.model)).sum();
            }
            (self.before, self.after) = (before, after);
            if explained != Ok(true) {
                return explained;
            }
        }
        self.close(slot);
        if let Some(trails) = self.trails.as_mut().filter(|trails| trails.is_full()) {
            trails.clear_up(self.configs.iter_mut().map(|config| &mut config.trail));
        }
        Ok(true)
    }

    /// Forgets an operation that has returned.
    fn close(&mut self, slot: Slot) {
        let Some(open) = &self.open[slot] else { return };
        let place = (open.effect != Effect::Observe).then(|| self.rank(open));
        let Some(open) = self.open[slot].take() else { return };
        self.free.push(slot);
        self.turns.remove(slot);
        let Some(place) = place else { return };
        self.order.remove(place);
        self.steps += ((self.order.len() - place) * size_of::<Slot>() / A_STEP) as u64;
        self.overwrites.remove(slot);
        self.updates.remove(slot);
        if open.ends != Ends::Later
            && let Some(class) = self.classes.get_mut(&open.operation)
        {
            class.1 -= 1;
            if class.1 == 0 {
                self.classes.remove(&open.operation);
            }
        }
    }

    /// Fills `after` with the configurations after the return of the operation in `slot`.
    fn settle(
        &mut self,
        slot: Slot,
        before: &mut Frontier<M::State>,
        after: &mut Frontier<M::State>,
    ) -> Result<bool, Stop> {
        let Some(open) = &self.open[slot] else { return Ok(true) };
        let position = open.position;
        let configs = std::mem::take(&mut self.configs);
        for config in &configs {
            if !config.must.contains(slot) {
                let mut without = config.clone();
                without.can.remove(slot);
                let hidden = config.can.contains(slot);
                let heap = self.model.heap(&without.state);
                if let Some(place) = after.insert(without, heap)
                    && hidden
                    && let Some(trails) = &mut self.trails
                {
                    after.configs[place].trail = trails.push(config.trail, How::Hidden, position);
                }
            }
            if config.must.contains(slot) || config.can.contains(slot) {
                before.insert(config.clone(), self.model.heap(&config.state));
            }
        }
        self.configs = configs;
        self.check_memory(before, after)?;
        let mut at = 0;
        while at < before.configs.len() {
            if !before.dominated[at] {
                let config = before.configs[at].clone();
                self.expand(&config, Some(slot), before, after)?;
            }
            at += 1;
        }
        Ok(!after.configs.is_empty())
    }

    /// Puts each open operation that `config` allows in its place: where that settles the
    /// operation in slot `until` the result goes to `after`, else to `before`.
    fn expand(
        &mut self,
        config: &Config<M::State>,
        until: Option<Slot>,
        before: &mut Frontier<M::State>,
        after: &mut Frontier<M::State>,
    ) -> Result<(), Stop> {
        let next_turns = self.next_turns(config);
        let mut last_class = None;
        let mut seen = std::mem::take(&mut self.seen);
        for index in 0..self.order.len() {
            self.check_time()?;
            let slot = self.order[index];
            let Some(open) = &self.open[slot] else { continue };
            if last_class == Some(open.class) || !config.can.contains(slot) {
                continue;
            }
            if self.model.turn(&open.operation).is_some_and(|turn| next_turns.precede(turn)) {
                continue;
            }
            last_class = Some(open.class);
            self.steps += size(self.model, &config.state);
            let Some(state) = self.model.apply(&config.state, &open.operation) else { continue };
            let overwrites = open.effect == Effect::Overwrite;
            let position = open.position;
            let mut next = Config { state, ..config.clone() };
            next.can.remove(slot);
            next.must.remove(slot);
            if overwrites {
                next.must.remove_all(&self.overwrites);
            }
            self.observe(&mut next, &mut seen);
            let target = if until.is_some_and(|until| settled(config, &next, slot, until)) {
                &mut *after
            } else if until.is_none()
                || !overwrites
                || !seen.is_empty()
                || self.enables_update(&next)
            {
                &mut *before
            } else {
                continue;
            };
            let heap = self.model.heap(&next.state);
            if let Some(place) = target.insert(next, heap) {
                if let Some(trails) = &mut self.trails {
                    let how = if overwrites { How::Overwrote } else { How::Placed };
                    let mut trail = trails.push(config.trail, how, position);
                    for open in seen.iter().filter_map(|&slot| self.open[slot].as_ref()) {
                        trail = trails.push(trail, How::Placed, open.position);
                    }
                    target.configs[place].trail = trail;
                }
                self.check_memory(before, after)?;
            }
        }
        self.seen = seen;
        self.check_memory(before, after)
    }

    /// Whether there is memory to go on.
    fn check_memory(
        &mut self,
        before: &mut Frontier<M::State>,
        after: &mut Frontier<M::State>,
    ) -> Result<(), Stop> {
        self.steps += std::mem::take(&mut before.compared) + std::mem::take(&mut after.compared);
        let trails = self.trails.as_ref().map_or(0, Trails::bytes);
        let held = self.configs.capacity() * size_of::<Config<M::State>>() + self.heap + trails;
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

    /// Puts every operation in its place that only observes and can: those in `seen`.
    fn observe(&mut self, config: &mut Config<M::State>, seen: &mut Vec<Slot>) {
        seen.clear();
        loop {
            let (before, next_turns) = (seen.len(), self.next_turns(config));
            for slot in config.must.iter() {
                let Some(open) = &self.open[slot] else { continue };
                self.steps += u64::from(open.effect == Effect::Observe);
                if open.effect == Effect::Observe
                    && self.model.apply(&config.state, &open.operation).is_some()
                    && !self
                        .model
                        .turn(&open.operation)
                        .is_some_and(|turn| next_turns.precede(turn))
                {
                    seen.push(slot);
                }
            }
            for &slot in &seen[before..] {
                config.must.remove(slot);
            }
            // It may have been the turn of one that another waited for.
            if next_turns.is_empty() || seen.len() == before {
                return;
            }
        }
    }

    /// The turns that must be taken next.
    fn next_turns(&self, config: &Config<M::State>) -> NextTurns {
        let must = self.turns.iter().filter(|&slot| config.must.contains(slot));
        let open = must.filter_map(|slot| self.open[slot].as_ref());
        open.filter_map(|open| self.model.turn(&open.operation)).collect()
    }

    /// Whether the state makes an open update possible.
    fn enables_update(&self, config: &Config<M::State>) -> bool {
        config.can.intersects(&self.updates)
            && self.updates.iter().any(|slot| {
                config.can.contains(slot)
                    && self.open[slot].as_ref().is_some_and(|open| {
                        self.model.apply(&config.state, &open.operation).is_some()
                    })
            })
    }

    /// Every state that the open operations can lead to from here.
    pub fn possible(&mut self) -> Vec<M::State> {
        let mut reached = Frontier::new();
        for config in &self.configs {
            reached.insert(config.clone(), self.model.heap(&config.state));
        }
        let mut ignored = Frontier::new();
        let mut at = 0;
        while at < reached.configs.len().min(MAX_EXPLORED) {
            let config = reached.configs[at].clone();
            // Out of budget the list is merely shorter: the verdict does not depend on it.
            if self.expand(&config, None, &mut reached, &mut ignored).is_err() {
                break;
            }
            at += 1;
        }
        let mut known = FxHashSet::default();
        let states = reached.configs.into_iter().map(|config| config.state);
        states.filter(|state| known.insert(state.clone())).collect()
    }

    /// An order that explains all that has been seen.
    fn order(&self) -> Vec<usize> {
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

/// Whether the step from `config` to `next`, which put `slot` in its place, settles `until`: the
/// operation itself, or an observation that it made possible.
fn settled<S>(config: &Config<S>, next: &Config<S>, slot: Slot, until: Slot) -> bool {
    slot == until
        || (!config.can.contains(until)
            && config.must.contains(until)
            && !next.must.contains(until))
}
