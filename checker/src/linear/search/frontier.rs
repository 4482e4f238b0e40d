//! Configurations of which none dominates another.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::bits::Bits;
use crate::model::Model;

/// One explanation of the history so far.
#[derive(Clone, Debug)]
pub(super) struct Config<S> {
    pub(super) state: S,
    /// Open operations with an effect that may still take place.
    pub(super) can: Bits,
    /// Open operations that must still take place.
    pub(super) must: Bits,
    /// How it came to be.
    pub(super) trail: u32,
}

impl<S: Eq> Config<S> {
    /// Bytes that it owns beside itself.
    pub(super) fn heap<M: Model<State = S>>(&self, model: &M) -> usize {
        model.heap(&self.state) + self.can.heap() + self.must.heap()
    }

    /// Whether it dominates another of the same state.
    fn allows(&self, other: &Self) -> bool {
        other.can.is_subset(&self.can) && self.must.is_subset(&other.must)
    }
}

/// Configurations in order of discovery, and which of them are dominated.
#[derive(Debug)]
pub(super) struct Frontier<S> {
    pub(super) configs: Vec<Config<S>>,
    /// Whether the configuration of this position is dominated by a later one.
    pub(super) dominated: Vec<bool>,
    /// Positions by state, as lists through `next`; kept once there are more than a few.
    first: FxHashMap<S, u32>,
    next: Vec<u32>,
    /// Bytes that configurations own beside themselves.
    pub(super) heap: usize,
    /// Pairs compared.
    pub(super) compared: u64,
}

/// So few are looked through one by one.
const FEW: usize = 12;

/// The end of a list.
const END: u32 = u32::MAX;

impl<S: Clone + Eq + Hash> Frontier<S> {
    pub(super) fn new() -> Self {
        Self {
            configs: Vec::with_capacity(FEW),
            dominated: Vec::with_capacity(FEW),
            first: FxHashMap::default(),
            next: Vec::new(),
            heap: 0,
            compared: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.configs.clear();
        self.dominated.clear();
        self.first.clear();
        self.next.clear();
        self.heap = 0;
    }

    /// Adds a configuration, whose state owns so many bytes, unless one that is here dominates it.
    /// Where it was added, its place.
    pub(super) fn insert(&mut self, config: Config<S>, state_heap: usize) -> Option<usize> {
        let place = self.configs.len();
        let mut heap = state_heap + config.can.heap() + config.must.heap();
        if place < FEW {
            self.compared += place as u64;
            for (other, dominated) in self.configs.iter().zip(&mut self.dominated) {
                if gives_way(&config, other, dominated) {
                    return None;
                }
            }
        } else {
            if place == FEW {
                self.next.clear();
                self.first.clear();
                for at in 0..place {
                    let before = self.first.insert(self.configs[at].state.clone(), at as u32);
                    self.next.push(before.unwrap_or(END));
                }
            }
            let head = self.first.get(&config.state).copied().unwrap_or(END);
            let mut at = head;
            while at != END {
                let place = at as usize;
                self.compared += 1;
                if gives_way(&config, &self.configs[place], &mut self.dominated[place]) {
                    return None;
                }
                at = self.next[place];
            }
            self.first.insert(config.state.clone(), place as u32);
            self.next.push(head);
            heap += state_heap;
        }
        self.heap += heap;
        self.configs.push(config);
        self.dominated.push(false);
        Some(place)
    }

    /// Bytes held, those that the next insertion may ask for included.
    pub(super) fn bytes(&self) -> usize {
        let config = size_of::<Config<S>>() + size_of::<bool>() + size_of::<u32>();
        let entry = size_of::<(S, u32)>() + 1;
        // Containers grow by doubling, with the old one still there.
        let grown = |len: usize, capacity: usize| capacity * if len == capacity { 3 } else { 1 };
        self.heap
            + grown(self.configs.len(), self.configs.capacity()) * config
            + grown(self.first.len(), self.first.capacity()) * 2 * entry
    }

    /// Moves those that nobody dominates to `configs`, and is empty.
    pub(super) fn move_to(&mut self, configs: &mut Vec<Config<S>>) {
        configs.clear();
        let mut dominated = self.dominated.iter();
        self.configs.retain(|_| !dominated.next().is_some_and(|&dominated| dominated));
        std::mem::swap(configs, &mut self.configs);
        self.clear();
    }
}

/// Compares a new configuration with one that is here and may be `dominated`, by the new one too
/// from now on: whether the new one is dominated.
#[inline]
fn gives_way<S: Eq>(config: &Config<S>, other: &Config<S>, dominated: &mut bool) -> bool {
    if *dominated || config.state != other.state {
        return false;
    }
    if other.allows(config) {
        return true;
    }
    *dominated = config.allows(other);
    false
}
