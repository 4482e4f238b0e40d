//! The operations between their calls and their returns.

use rustc_hash::FxHashMap;

use super::{
    bits::Bits,
    cost::{A_STEP, size},
    frontier::Config,
};
use crate::model::{Effect, Model, Turn};

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

/// Rounds in which updates are found that lead to somebody: more would take longer than they save.
const ROUNDS: usize = 4;

/// Of each process that has turns to take, the number of the next.
#[derive(Default)]
pub(super) struct NextTurns(FxHashMap<u64, usize>);

impl NextTurns {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of these comes before the turn.
    pub(super) fn precede(&self, turn: Turn) -> bool {
        self.0.get(&turn.process).is_some_and(|&next| next < turn.number)
    }
}

impl FromIterator<Turn> for NextTurns {
    fn from_iter<T: IntoIterator<Item = Turn>>(turns: T) -> Self {
        let mut next = Self::default();
        for Turn { process, number } in turns {
            let next = next.0.entry(process).or_insert(number);
            *next = number.min(*next);
        }
        next
    }
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Entry<M: Model> {
    pub(super) operation: M::Operation,
    pub(super) effect: Effect,
    ends: Ends,
    pub(super) position: usize,
    leaves: Option<Leaves<M::State>>,
}

/// The state that an operation leaves behind, if that is always the same.
#[derive(Clone, Debug)]
struct Leaves<S> {
    state: S,
    /// The slots of those that look at the state and are possible in it.
    possible: Bits,
}

impl<S: Clone + Eq + std::hash::Hash> Leaves<S> {
    /// Bytes that it owns beside itself.
    fn heap<M: Model<State = S>>(&self, model: &M) -> usize {
        model.heap(&self.state) + self.possible.heap()
    }
}

impl<M: Model> Entry<M> {
    /// Whether one of these may be possible in the state that it leaves behind.
    pub(super) fn serves(&self, looking: &Bits) -> bool {
        let possible = self.leaves.as_ref().map(|leaves| &leaves.possible);
        possible.map_or(!looking.is_empty(), |possible| possible.meets(looking))
    }
}

/// All of them, by slot.
#[derive(Debug)]
pub(super) struct Open<'a, M: Model> {
    pub(super) model: &'a M,
    /// Slots are used again.
    slots: Vec<Option<Entry<M>>>,
    free: Vec<Slot>,
    /// Those that change the state, by class, a number that equal operations share, and slot: equal
    /// operations side by side, among them the one that returns first at the front.
    order: Vec<(u64, Slot)>,
    /// Classes so far.
    classes: u64,
    /// Slots by effect.
    overwrites: Bits,
    updates: Bits,
    observers: Bits,
    /// Slots of those with a turn.
    turns: Bits,
    /// Bytes that what they leave behind owns.
    pub(super) heap: usize,
}

impl<'a, M: Model> Open<'a, M> {
    pub(super) fn new(model: &'a M) -> Self {
        Self {
            model,
            slots: Vec::new(),
            free: Vec::new(),
            order: Vec::new(),
            classes: 0,
            overwrites: Bits::default(),
            updates: Bits::default(),
            observers: Bits::default(),
            turns: Bits::default(),
            heap: 0,
        }
    }

    /// Forgets all, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.free.clear();
        self.order.clear();
        self.overwrites = Bits::default();
        self.updates = Bits::default();
        self.observers = Bits::default();
        self.turns = Bits::default();
        self.heap = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry<M>> {
        self.slots[slot].as_ref()
    }

    pub(super) fn position(&self, slot: Slot) -> Option<usize> {
        self.get(slot).map(|entry| entry.position)
    }

    /// Classes and slots of those that change the state, equal ones side by side.
    pub(super) fn order(&self) -> &[(u64, Slot)] {
        &self.order
    }

    pub(super) fn overwrites(&self) -> &Bits {
        &self.overwrites
    }

    /// What an operation does while it is open.
    pub(super) fn effect(&self, operation: &M::Operation) -> Effect {
        match self.model.effect(operation) {
            Effect::Overwrite if self.model.turn(operation).is_some() => Effect::Update,
            effect => effect,
        }
    }

    /// The slot that the next operation gets.
    pub(super) fn next_slot(&self) -> Slot {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    /// Opens an operation in the [next slot](Self::next_slot); the work that it took.
    pub(super) fn insert(
        &mut self,
        slot: Slot,
        operation: M::Operation,
        effect: Effect,
        ends: Ends,
        position: usize,
    ) -> u64 {
        if self.free.pop().is_none() {
            self.slots.push(None);
        }
        if self.model.turn(&operation).is_some() {
            self.turns.insert(slot);
        }
        match effect {
            Effect::Observe => self.observers.insert(slot),
            Effect::Overwrite => self.overwrites.insert(slot),
            Effect::Update => self.updates.insert(slot),
        }
        let mut steps = steps_to_look_at(self.order.len());
        if effect != Effect::Overwrite {
            self.tell(slot, &operation, &mut steps);
        }
        let leaves = self.leaves(&operation, effect, &mut steps);
        self.heap += leaves.as_ref().map_or(0, |leaves| leaves.heap(self.model));
        let entry = Entry { operation, effect, ends, position, leaves };
        if effect != Effect::Observe {
            let (at, class) = self.rank(&entry);
            self.order.insert(at, (class, slot));
        }
        self.slots[slot] = Some(entry);
        steps
    }

    /// The place in `order` where it belongs, and its class.
    fn rank(&mut self, entry: &Entry<M>) -> (usize, u64) {
        let other = |&(_, slot): &(u64, Slot)| self.get(slot);
        // Which of equal operations goes first depends on which returns first.
        let equal = |at: &(u64, Slot)| {
            other(at).is_some_and(|o| o.ends != Ends::Later && o.operation == entry.operation)
        };
        if entry.ends != Ends::Later
            && let Some(last) = self.order.iter().rposition(equal)
        {
            let class = self.order[last].0;
            let goes_later = |at: &(u64, Slot)| {
                let later = |o: &Entry<M>| (o.ends, o.position) > (entry.ends, entry.position);
                at.0 == class && other(at).is_some_and(later)
            };
            let later = self.order[..=last].iter().rev().take_while(|at| goes_later(at)).count();
            return (last + 1 - later, class);
        }
        self.classes += 1;
        (self.order.len(), self.classes)
    }

    /// Forgets an operation that has returned; the work that it took.
    pub(super) fn remove(&mut self, slot: Slot) -> u64 {
        let Some(entry) = self.slots[slot].take() else { return 0 };
        self.free.push(slot);
        self.turns.remove(slot);
        self.heap -= entry.leaves.as_ref().map_or(0, |leaves| leaves.heap(self.model));
        match entry.effect {
            Effect::Observe => {
                self.observers.remove(slot);
                return 0;
            }
            Effect::Overwrite => self.overwrites.remove(slot),
            Effect::Update => self.updates.remove(slot),
        }
        // What was called last stands last.
        let Some(place) = self.order.iter().rposition(|&(_, other)| other == slot) else {
            return 0;
        };
        self.order.remove(place);
        steps_to_look_at(self.order.len() - place)
    }

    /// Puts every operation in its place that only observes and can: those in `seen`. The work that
    /// it took.
    pub(super) fn observe(&self, config: &mut Config<M::State>, seen: &mut Vec<Slot>) -> u64 {
        seen.clear();
        let mut steps = 0;
        if !config.must.meets(&self.observers) {
            return steps;
        }
        loop {
            let (before, next_turns) = (seen.len(), self.next_turns(&config.must));
            for slot in config.must.common(&self.observers) {
                let Some(entry) = self.get(slot) else { continue };
                steps += 1;
                if self.model.apply(&config.state, &entry.operation).is_some()
                    && !self.waits(&entry.operation, &next_turns)
                {
                    seen.push(slot);
                }
            }
            for &slot in &seen[before..] {
                config.must.remove(slot);
            }
            // It may have been the turn of one that another waited for.
            if next_turns.is_empty() || seen.len() == before {
                return steps;
            }
        }
    }

    /// The turns that must be taken next, where those in `must` have not taken place.
    pub(super) fn next_turns(&self, must: &Bits) -> NextTurns {
        let open = self.turns.common(must).filter_map(|slot| self.get(slot));
        open.filter_map(|entry| self.model.turn(&entry.operation)).collect()
    }

    /// Whether it is not the operation's turn yet.
    pub(super) fn waits(&self, operation: &M::Operation, next_turns: &NextTurns) -> bool {
        self.model.turn(operation).is_some_and(|turn| next_turns.precede(turn))
    }

    /// Tells those that leave a state of their own whether the new operation in `slot`, which looks
    /// at the state, is possible there.
    fn tell(&mut self, slot: Slot, operation: &M::Operation, steps: &mut u64) {
        for &(_, other) in &self.order {
            let other = self.slots[other].as_mut();
            if let Some(Leaves { state, possible }) = other.and_then(|other| other.leaves.as_mut())
            {
                *steps += size(self.model, state);
                self.heap -= possible.heap();
                if self.model.apply(state, operation).is_some() {
                    possible.insert(slot);
                } else {
                    possible.remove(slot);
                }
                self.heap += possible.heap();
            }
        }
    }

    /// What a new operation leaves behind.
    fn leaves(
        &self,
        operation: &M::Operation,
        effect: Effect,
        steps: &mut u64,
    ) -> Option<Leaves<M::State>> {
        let state = match effect {
            Effect::Observe => None,
            Effect::Overwrite => self.model.apply(&self.model.initial(), operation),
            Effect::Update => self.model.leaves(operation),
        }?;
        let mut possible = Bits::default();
        for slot in self.observers.members().chain(self.updates.members()) {
            *steps += size(self.model, &state);
            let entry = self.get(slot);
            if entry.is_some_and(|entry| self.model.apply(&state, &entry.operation).is_some()) {
                possible.insert(slot);
            }
        }
        Some(Leaves { state, possible })
    }

    /// Those for whose sake it matters in which state the object is: those that look at it and
    /// must still take place, and updates that need not, through which one of these may be served.
    /// Where these lead to each other in a long chain, all updates.
    pub(super) fn looking(&self, config: &Config<M::State>, steps: &mut u64) -> Bits {
        let mut looking = config.must.clone();
        looking.remove_all(&self.overwrites);
        let mut optional = config.can.clone();
        optional.remove_all(&self.overwrites);
        optional.remove_all(&config.must);
        for _ in 0..ROUNDS {
            let mut more = false;
            for slot in optional.members() {
                *steps += 1;
                if !looking.contains(slot)
                    && self.get(slot).is_some_and(|entry| entry.serves(&looking))
                {
                    looking.insert(slot);
                    more = true;
                }
            }
            if !more {
                return looking;
            }
        }
        looking.insert_all(&optional);
        looking
    }
}

/// Steps to look at so many places of an order.
fn steps_to_look_at(places: usize) -> u64 {
    (places * size_of::<(u64, Slot)>() / A_STEP) as u64
}
