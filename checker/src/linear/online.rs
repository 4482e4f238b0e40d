//! Checks registers while their history is recorded.
//!
//! [`Online`] takes the events of a history one after the other and says when an answer fits no
//! order of what was seen before. What it holds grows with the operations that are open, not with
//! time. It never accuses what [`check`](super::check) would not, as far as the search is right,
//! which nobody verifies here; and it may miss what only `check` sees. The verdict is that of
//! `check`: this is for ending a run that has failed already.
//!
//! The search must know how an operation ended when it is opened: what a read saw, whether a
//! compare-and-set was refused. So the events of a key wait until the first operation among them
//! has ended, or has been open for longer than the patience: from then on it counts as one whose
//! outcome nobody will learn. It may take place at any time or never, and an answer that comes
//! later is not looked at. Both only allow more, and so does going by times alone where one process
//! does several things at one moment.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use super::{
    explain::{list, say},
    search::{Ends, Search, Slot},
};
use crate::{
    budget::Budget,
    history::{Event, Kind, clock::seconds, operation},
    model::register::{self, Register},
};

static REGISTER: Register = Register;

/// Bytes of configurations for each key.
const MEMORY: usize = 16 << 20;
/// For how long all returns of a key are thought about. After that only what is decided at once is,
/// lest whoever records the history be held up.
const THOUGHT: Duration = Duration::from_secs(1);

/// An answer that fits no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offence {
    /// Index of the event.
    pub event: u64,
    /// Who answered what, when, and what was possible.
    pub summary: String,
}

/// A history that is checked while it is recorded.
#[derive(Debug)]
pub struct Online {
    patience: u64,
    keys: Vec<Key>,
    places: FxHashMap<String, usize>,
    /// The key whose turn it is to be looked at, though none of its events has come.
    turn: usize,
}

impl Default for Online {
    /// Waits half a second for an operation's end.
    fn default() -> Self {
        Self::new(Duration::from_millis(500))
    }
}

impl Online {
    /// Waits so long for an operation's end, in the time of the history.
    pub fn new(patience: Duration) -> Self {
        Self {
            patience: u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX),
            keys: Vec::new(),
            places: FxHashMap::default(),
            turn: 0,
        }
    }

    /// Takes in the next event of a well-formed history, and says what it, or what waited for it,
    /// shows. After that nothing more is found for the key.
    pub fn event(&mut self, event: &Event) -> Option<Offence> {
        let place = match self.places.get(event.key.as_str()) {
            Some(&place) => place,
            None => {
                self.places.insert(event.key.clone(), self.keys.len());
                self.keys.push(Key::new(&event.key));
                self.keys.len() - 1
            }
        };
        let late = event.time.saturating_sub(self.patience);
        let key = &mut self.keys[place];
        key.take(event);
        let found = key.advance(event.time, late);
        self.turn = (self.turn + 1) % self.keys.len();
        found.or_else(|| self.keys[self.turn].advance(event.time, late))
    }

    /// The history has ended: looks at all that waits still.
    pub fn finish(&mut self) -> Option<Offence> {
        self.keys.iter_mut().find_map(|key| key.advance(u64::MAX, u64::MAX))
    }

    /// The keys that are no longer looked at, each with the reason: the search took too much, or
    /// an offence was found.
    pub fn given_up(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().filter_map(|key| Some((key.name.as_str(), key.given_up.as_deref()?)))
    }

    /// Operations that are held, waiting or open.
    pub fn held(&self) -> usize {
        let held = |key: &Key| key.waiting.len() + key.search.as_ref().map_or(0, Search::open);
        self.keys.iter().map(held).sum()
    }
}

/// An operation that has been asked for and is not in the search yet.
#[derive(Debug)]
struct Waiting {
    invocation: Event,
    completion: Option<Event>,
}

/// An operation in the search whose return is to come.
#[derive(Debug)]
struct Returning {
    slot: Slot,
    completion: Event,
    operation: register::Operation,
}

#[derive(Debug)]
struct Key {
    name: String,
    /// In order of invocation.
    waiting: VecDeque<Waiting>,
    /// None: given up.
    search: Option<Search<'static, Register>>,
    given_up: Option<String>,
    /// Time that is left to think.
    thought: Duration,
    /// Times of the returns that are to come, and the indices of their invocations. Of those of one
    /// moment the operation that was asked for first returns first, as the search expects of equal
    /// operations.
    returns: BinaryHeap<Reverse<(u64, u64)>>,
    /// By the indices of their invocations.
    returning: FxHashMap<u64, Returning>,
}

impl Key {
    fn new(name: &str) -> Self {
        let budget = Budget { memory: MEMORY, deadline: Instant::now() };
        Self {
            name: name.to_owned(),
            waiting: VecDeque::new(),
            search: Some(Search::new(&REGISTER, budget)),
            given_up: None,
            thought: THOUGHT,
            returns: BinaryHeap::new(),
            returning: FxHashMap::default(),
        }
    }

    fn take(&mut self, event: &Event) {
        if self.search.is_none() {
            return;
        }
        if event.kind == Kind::Invoke {
            self.waiting.push_back(Waiting { invocation: event.clone(), completion: None });
            return;
        }
        // Where there is none, patience has ended.
        let asked = |waiting: &&mut Waiting| {
            waiting.invocation.process == event.process && waiting.completion.is_none()
        };
        if let Some(waiting) = self.waiting.iter_mut().find(asked) {
            waiting.completion = Some(event.clone());
        }
    }

    /// Goes on as far as is known by `now`; what was asked for before `late` is not waited for.
    fn advance(&mut self, now: u64, late: u64) -> Option<Offence> {
        while self.search.is_some() {
            let Some(Waiting { invocation, completion }) = self.waiting.front() else { break };
            let call = invocation.time;
            if completion.is_none() && call >= late {
                break;
            }
            // On equal times calls come before returns.
            if let Some(offence) = self.settle(call) {
                return Some(offence);
            }
            let Some(waiting) = self.waiting.pop_front() else { break };
            self.open(waiting);
        }
        // Who is asked for later than this is not known yet.
        let known = self.waiting.front().map_or(now, |first| first.invocation.time);
        self.settle(known)
    }

    /// Opens an operation.
    fn open(&mut self, Waiting { invocation, completion }: Waiting) {
        let paired = match operation::of(&invocation, completion.as_ref()) {
            Ok(paired) => paired,
            Err(malformed) => return self.give_up(malformed.to_string()),
        };
        let Some(operation) = register::Operation::of(&paired) else { return };
        let answered = completion.filter(|completion| completion.kind != Kind::Info);
        let Some(search) = &mut self.search else { return };
        let ends = answered.as_ref().map_or(Ends::Never, |completion| Ends::At(completion.time));
        let position = usize::try_from(invocation.index).unwrap_or(usize::MAX);
        let slot = search.call(operation, ends, position);
        if let Some((slot, completion)) = slot.zip(answered) {
            self.returns.push(Reverse((completion.time, invocation.index)));
            self.returning.insert(invocation.index, Returning { slot, completion, operation });
        }
    }

    /// Returns what returned before a moment.
    fn settle(&mut self, before: u64) -> Option<Offence> {
        while let Some(&Reverse((time, index))) = self.returns.peek() {
            if time >= before {
                return None;
            }
            self.returns.pop();
            let Some(returning) = self.returning.remove(&index) else { continue };
            let search = self.search.as_mut()?;
            let start = Instant::now();
            search.set_budget(Budget { memory: MEMORY, deadline: start + self.thought });
            let explained = search.ret(returning.slot);
            self.thought = self.thought.saturating_sub(start.elapsed());
            match explained {
                Ok(true) => {}
                Ok(false) => {
                    let possible = search.possible();
                    return Some(self.offence(&returning, &possible));
                }
                Err(stop) => {
                    let reason = search.reason(stop, time);
                    self.give_up(reason);
                }
            }
        }
        None
    }

    fn offence(&mut self, returning: &Returning, possible: &[Option<i64>]) -> Offence {
        let Returning { completion, operation, .. } = returning;
        let Event { node, process, f, time, .. } = completion;
        let what = say(node.as_deref(), *process, *f, &self.name, *operation, &seconds(*time));
        let summary = format!("{what} although the value could only be {}", list(possible, None));
        self.give_up("an offence was found".to_owned());
        Offence { event: completion.index, summary }
    }

    fn give_up(&mut self, reason: String) {
        self.search = None;
        self.given_up = Some(reason);
        self.waiting = VecDeque::new();
        self.returns = BinaryHeap::new();
        self.returning = FxHashMap::default();
    }
}
