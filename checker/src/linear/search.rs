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
//! Sets are compared member by member, so a hash collision costs time and never a wrong verdict.

use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};

use super::bits::Bits;
use crate::model::{Effect, Model};

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

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<S> {
    /// The history is linearizable.
    Linearizable,
    /// It is not.
    Illegal {
        /// The operation at whose return no configuration remained, by its position.
        stuck: usize,
        /// The states that were possible until then, in order of discovery, each once.
        possible: Vec<S>,
    },
    /// The budget did not suffice.
    Undecided {
        /// What ran out, and where.
        reason: String,
    },
}

/// Decides whether the operations of one object are linearizable. On equal times calls are taken
/// before returns, so operations that touch count as concurrent.
pub fn search<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    budget: &Budget,
) -> Found<M::State> {
    Search::new(model, intervals, budget).run()
}

/// One explanation of the history so far.
#[derive(Clone, Debug)]
struct Config<S> {
    state: S,
    /// Open operations with an effect that may still take place.
    can: Bits,
    /// Open operations that must still take place.
    must: Bits,
}

impl<S: Eq> Config<S> {
    fn dominates(&self, other: &Self) -> bool {
        self.state == other.state
            && other.can.is_subset(&self.can)
            && self.must.is_subset(&other.must)
    }
}

/// Configurations of which none dominates another, in order of discovery.
#[derive(Debug)]
struct Frontier<S> {
    configs: Vec<Config<S>>,
    /// Whether the configuration of this position is dominated by a later one.
    dominated: Vec<bool>,
    /// Positions by state, as lists through `next`.
    first: FxHashMap<S, usize>,
    next: Vec<Option<usize>>,
    heap: usize,
}

impl<S: Clone + Eq + std::hash::Hash> Frontier<S> {
    fn new() -> Self {
        Self {
            configs: Vec::new(),
            dominated: Vec::new(),
            first: FxHashMap::default(),
            next: Vec::new(),
            heap: 0,
        }
    }

    /// Adds a configuration unless one that is here dominates it.
    fn insert(&mut self, config: Config<S>) -> bool {
        let head = self.first.get(&config.state).copied();
        let mut cursor = head;
        while let Some(at) = cursor {
            if !self.dominated[at] {
                if self.configs[at].dominates(&config) {
                    return false;
                }
                self.dominated[at] = config.dominates(&self.configs[at]);
            }
            cursor = self.next[at];
        }
        self.first.insert(config.state.clone(), self.configs.len());
        self.heap += config.can.heap() + config.must.heap();
        self.configs.push(config);
        self.dominated.push(false);
        self.next.push(head);
        true
    }

    fn bytes(&self) -> usize {
        self.heap + self.configs.len() * (size_of::<Config<S>>() + 4 * size_of::<usize>())
    }

    fn into_configs(self) -> Vec<Config<S>> {
        let dominated = self.dominated;
        self.configs
            .into_iter()
            .zip(dominated)
            .filter_map(|(config, dominated)| (!dominated).then_some(config))
            .collect()
    }
}

/// An operation between its call and its return.
#[derive(Clone, Copy, Debug)]
struct Open {
    position: usize,
    effect: Effect,
}

struct Search<'a, M: Model> {
    model: &'a M,
    intervals: &'a [Interval<M::Operation>],
    budget: &'a Budget,
    /// Open operations by slot; slots are used again.
    open: Vec<Option<Open>>,
    /// Slots of open operations that change the state: equal operations side by side, among them
    /// the one that returns first at the front.
    order: Vec<usize>,
    /// For each operation, the number that all operations equal to it share.
    class: Vec<usize>,
    /// Slots of open overwrites and updates.
    overwrites: Bits,
    updates: Bits,
    steps: u64,
}

/// Configurations looked at to say which states were possible.
const MAX_EXPLORED: usize = 10_000;

/// Why a search stopped early.
enum Stop {
    Memory(usize),
    Time,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, intervals: &'a [Interval<M::Operation>], budget: &'a Budget) -> Self {
        let mut classes = FxHashMap::default();
        let mut class = Vec::with_capacity(intervals.len());
        for interval in intervals {
            let number = classes.len();
            class.push(*classes.entry(&interval.operation).or_insert(number));
        }
        Self {
            model,
            intervals,
            budget,
            open: Vec::new(),
            order: Vec::new(),
            class,
            overwrites: Bits::default(),
            updates: Bits::default(),
            steps: 0,
        }
    }

    fn run(mut self) -> Found<M::State> {
        let mut configs = vec![Config {
            state: self.model.initial(),
            can: Bits::default(),
            must: Bits::default(),
        }];
        let events = self.events();
        let mut slots = vec![0; self.intervals.len()];
        for &(time, is_return, position) in &events {
            if !is_return {
                slots[position] = self.call(position, &mut configs);
                continue;
            }
            let slot = slots[position];
            match self.ret(slot, &configs) {
                Ok(after) if after.is_empty() => {
                    return Found::Illegal { stuck: position, possible: self.possible(configs) };
                }
                Ok(after) => configs = after,
                Err(stop) => {
                    let open = self.open.iter().flatten().count();
                    let reason = match stop {
                        Stop::Memory(held) => format!(
                            "the memory budget of {} MiB was used up at {time} ns of the history, \
                             by {held} configurations of {open} open operations",
                            self.budget.memory >> 20
                        ),
                        Stop::Time => format!(
                            "the time budget was used up at {time} ns of the history, with {open} \
                             open operations"
                        ),
                    };
                    return Found::Undecided { reason };
                }
            }
            self.close(slot);
        }
        Found::Linearizable
    }

    /// Calls and returns in order of time, calls first: (time, is a return, position).
    fn events(&self) -> Vec<(u64, bool, usize)> {
        let mut events = Vec::with_capacity(2 * self.intervals.len());
        for (position, interval) in self.intervals.iter().enumerate() {
            events.push((interval.call, false, position));
            if let Some(ret) = interval.ret {
                events.push((ret, true, position));
            }
        }
        events.sort_unstable();
        events
    }

    fn operation(&self, slot: usize) -> Option<&'a M::Operation> {
        self.open[slot].map(|open| &self.intervals[open.position].operation)
    }

    /// Opens an operation and gives it a slot.
    fn call(&mut self, position: usize, configs: &mut [Config<M::State>]) -> usize {
        let interval = &self.intervals[position];
        let effect = self.model.effect(&interval.operation);
        if effect == Effect::Observe && interval.ret.is_none() {
            return 0;
        }
        let slot = self.open.iter().position(Option::is_none).unwrap_or(self.open.len());
        if slot == self.open.len() {
            self.open.push(None);
        }
        self.open[slot] = Some(Open { position, effect });
        match effect {
            Effect::Observe => {
                for config in configs {
                    if self.model.apply(&config.state, &interval.operation).is_none() {
                        config.must.insert(slot);
                    }
                }
            }
            Effect::Overwrite | Effect::Update => {
                let kind = if effect == Effect::Overwrite {
                    &mut self.overwrites
                } else {
                    &mut self.updates
                };
                kind.insert(slot);
                // The same order in which returns are taken, so that the operation that returns
                // now is the first of its class.
                let rank = |position: usize| {
                    let ret = self.intervals[position].ret.unwrap_or(u64::MAX);
                    (self.class[position], ret, position)
                };
                let at = self.order.partition_point(|&other| {
                    self.open[other].is_some_and(|other| rank(other.position) <= rank(position))
                });
                self.order.insert(at, slot);
                for config in configs {
                    config.can.insert(slot);
                    if interval.ret.is_some() {
                        config.must.insert(slot);
                    }
                }
            }
        }
        slot
    }

    /// Forgets an operation that has returned.
    fn close(&mut self, slot: usize) {
        self.open[slot] = None;
        self.order.retain(|&other| other != slot);
        self.overwrites.remove(slot);
        self.updates.remove(slot);
    }

    /// The configurations after the return of the operation in `slot`.
    fn ret(
        &mut self,
        slot: usize,
        configs: &[Config<M::State>],
    ) -> Result<Vec<Config<M::State>>, Stop> {
        let mut after = Frontier::new();
        let mut before = Frontier::new();
        for config in configs {
            if !config.must.contains(slot) {
                let mut config = config.clone();
                config.can.remove(slot);
                after.insert(config);
            }
            if config.must.contains(slot) || config.can.contains(slot) {
                before.insert(config.clone());
            }
        }
        let mut at = 0;
        while at < before.configs.len() {
            if !before.dominated[at] {
                let config = before.configs[at].clone();
                self.expand(&config, Some(slot), &mut before, &mut after)?;
            }
            at += 1;
        }
        Ok(after.into_configs())
    }

    /// Puts each open operation that `config` allows in its place: where that settles the
    /// operation in slot `until` the result goes to `after`, else to `before`.
    fn expand(
        &mut self,
        config: &Config<M::State>,
        until: Option<usize>,
        before: &mut Frontier<M::State>,
        after: &mut Frontier<M::State>,
    ) -> Result<(), Stop> {
        let mut last_class = None;
        for index in 0..self.order.len() {
            let slot = self.order[index];
            let Some(open) = self.open[slot] else { continue };
            let class = self.class[open.position];
            if last_class == Some(class) || !config.can.contains(slot) {
                continue;
            }
            last_class = Some(class);
            self.steps += 1;
            if self.steps.is_multiple_of(1024) && Instant::now() >= self.budget.deadline {
                return Err(Stop::Time);
            }
            let operation = &self.intervals[open.position].operation;
            let Some(state) = self.model.apply(&config.state, operation) else { continue };
            let mut next = Config { state, can: config.can.clone(), must: config.must.clone() };
            next.can.remove(slot);
            next.must.remove(slot);
            if open.effect == Effect::Overwrite {
                next.must.remove_all(&self.overwrites);
            }
            let observed = self.observe(&mut next);
            if until.is_some_and(|until| settled(config, &next, slot, until)) {
                let until = until.unwrap_or(slot);
                next.can.remove(until);
                after.insert(next);
            } else if until.is_none()
                || open.effect == Effect::Update
                || observed
                || self.enables_update(&next)
            {
                before.insert(next);
            }
            if before.bytes() + after.bytes() > self.budget.memory {
                return Err(Stop::Memory(before.configs.len() + after.configs.len()));
            }
        }
        Ok(())
    }

    /// Puts every operation in its place that only observes and can. Says whether there was any.
    fn observe(&self, config: &mut Config<M::State>) -> bool {
        let mut seen: Vec<usize> = Vec::new();
        for slot in config.must.iter() {
            let Some(open) = self.open[slot] else { continue };
            let operation = &self.intervals[open.position].operation;
            if open.effect == Effect::Observe
                && self.model.apply(&config.state, operation).is_some()
            {
                seen.push(slot);
            }
        }
        for &slot in &seen {
            config.must.remove(slot);
        }
        !seen.is_empty()
    }

    /// Whether the state makes an open update possible.
    fn enables_update(&self, config: &Config<M::State>) -> bool {
        config.can.intersects(&self.updates)
            && self.updates.iter().any(|slot| {
                config.can.contains(slot)
                    && self.operation(slot).is_some_and(|operation| {
                        self.model.apply(&config.state, operation).is_some()
                    })
            })
    }

    /// Every state that the open operations can lead to from these configurations.
    fn possible(&mut self, configs: Vec<Config<M::State>>) -> Vec<M::State> {
        let mut reached = Frontier::new();
        for config in configs {
            reached.insert(config);
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
}

/// Whether the step from `config` to `next`, which put `slot` in its place, settles `until`: the
/// operation itself, or an observation that it made possible.
fn settled<S>(config: &Config<S>, next: &Config<S>, slot: usize, until: usize) -> bool {
    slot == until
        || (!config.can.contains(until)
            && config.must.contains(until)
            && !next.must.contains(until))
}
