//! What the reads say, transaction by transaction and key by key: all anomalies that are no cycle
//! of dependencies, and what is left for those.
//!
//! - Which transactions of unknown outcome committed: those of which an append was read.
//! - What each transaction read of others: the length of a key's list before its own appends. A
//!   read that is an anomaly by itself says nothing any more.
//! - Which appends nobody read. Lists only grow, so whoever read the key without them came before
//!   them, and they come after all that was read. Of these, the one by a transaction that read all
//!   that anybody read comes first.

use rustc_hash::FxHashMap;

use super::{
    anomaly::{Anomaly, Claim, Place},
    findings::Findings,
    history::{History, NONE, Step},
    transaction::Fate,
};
use crate::budget::{Budget, Spent};

/// Transactions between two looks at the clock.
const BETWEEN: u32 = 1 << 16;

/// A transaction saw the first `length` elements of a key, before its own appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct External {
    pub(super) transaction: u32,
    pub(super) key: u32,
    pub(super) length: u32,
}

/// What the reads say.
#[derive(Debug, Default)]
pub(super) struct Observations {
    /// Whether each transaction took effect, as far as anybody can know or needs to.
    pub(super) committed: Vec<bool>,
    /// What was read of others, in order of transactions.
    pub(super) reads: Vec<External>,
    /// Committed transactions with appends to a key that are not in its order, but for those that
    /// `next` has and the last writer of the order.
    pub(super) unread: Vec<(u32, u32)>,
    /// By key, the transaction whose appends follow the order, where a read says so; or [`NONE`].
    pub(super) next: Vec<u32>,
}

impl Observations {
    /// Bytes that it takes at most for a history.
    pub(super) fn bytes(history: &History) -> usize {
        let (steps, elements) = (history.step_count(), history.elements.len());
        history.transactions.len()
            + steps * size_of::<External>()
            + elements * (size_of::<(u32, u32)>() + size_of::<External>() + 1)
            + history.keys.len() * (size_of::<OfKey>() + 4)
    }
}

/// What a transaction has done to one key so far.
#[derive(Clone, Copy)]
struct OfKey {
    /// Whose this is, or [`NONE`].
    transaction: u32,
    /// Its appends; the last of them; and how many of these follow each other in the order.
    appends: u32,
    last: u32,
    run: u32,
    /// The length that it saw before its own appends, or [`NONE`].
    length: u32,
    /// Nothing that it read of this key says anything.
    broken: bool,
    /// Its own appends are not in its own order.
    disorder: bool,
}

struct Observer<'a> {
    history: &'a History,
    observations: Observations,
    findings: &'a mut Findings,
    keys: Vec<OfKey>,
    /// The keys of the transaction at hand.
    touched: Vec<u32>,
    /// Elements whose appender appended to the same key again.
    superseded: Vec<bool>,
    /// Of elements with which reads end, the later append to the key that those did not see.
    later: FxHashMap<u32, Option<u32>>,
    /// Reads by transactions that also append to the key.
    updates: Vec<External>,
}

/// Looks at every read.
pub(super) fn observe(
    history: &History,
    findings: &mut Findings,
    budget: &Budget,
) -> Result<Observations, Spent> {
    let none = OfKey {
        transaction: NONE,
        appends: 0,
        last: NONE,
        run: 0,
        length: NONE,
        broken: false,
        disorder: false,
    };
    let mut observer = Observer {
        history,
        observations: Observations::default(),
        findings,
        keys: vec![none; history.keys.len()],
        touched: Vec::new(),
        superseded: vec![false; history.elements.len()],
        later: FxHashMap::default(),
        updates: Vec::new(),
    };
    observer.elements();
    observer.supersede();
    let all = history.transaction_count();
    for transaction in 0..all {
        if transaction % BETWEEN == 0 {
            budget.time()?;
        }
        if observer.observations.committed[transaction as usize] {
            observer.transaction(transaction);
        }
    }
    observer.follow();
    observer.lost_updates();
    Ok(observer.observations)
}

impl Observer<'_> {
    /// Whether each element that was read had a right to be there, and who committed therefore.
    fn elements(&mut self) {
        let history = self.history;
        let committed = &mut self.observations.committed;
        committed.extend(history.transactions.iter().map(|t| t.fate == Fate::Committed));
        for (number, element) in (0..).zip(&history.elements) {
            if element.reader == NONE {
                continue;
            }
            if element.appender == NONE {
                self.findings.seen(Anomaly::GarbageRead, || {
                    let (read, at) = history.read_of(element.reader, number)?;
                    Some(Claim::Garbage { read, at })
                });
            } else if history.transactions[element.appender as usize].fate == Fate::Aborted {
                self.findings.seen(Anomaly::G1a, || {
                    let (read, _) = history.read_of(element.reader, number)?;
                    Some(Claim::Aborted { read, append: history.appended(number) })
                });
            } else {
                committed[element.appender as usize] = true;
            }
        }
    }

    fn supersede(&mut self) {
        for transaction in 0..self.history.transaction_count() {
            for &step in self.history.steps(transaction) {
                if let Step::Append { key, element } = step
                    && self.history.elements[element as usize].appender == transaction
                {
                    let of = &mut self.keys[key as usize];
                    if of.transaction == transaction {
                        self.superseded[of.last as usize] = true;
                    }
                    (of.transaction, of.last) = (transaction, element);
                }
            }
        }
        for of in &mut self.keys {
            (of.transaction, of.last) = (NONE, NONE);
        }
    }

    fn transaction(&mut self, transaction: u32) {
        let history = self.history;
        for (at, &step) in (0..).zip(history.steps(transaction)) {
            let place = Place { transaction, step: at };
            match step {
                Step::Append { key, element } => self.append(place, key, element),
                Step::Read { key, length } => self.read(place, key, length),
                Step::Odd { key, .. } => {
                    self.of(transaction, key).broken = true;
                    self.odd(place, step);
                }
                Step::Forgotten { key } => {
                    self.of(transaction, key).broken = true;
                    self.findings.forgotten += 1;
                }
                Step::Asked => {}
            }
        }
        for key in std::mem::take(&mut self.touched) {
            self.leave(transaction, key);
        }
    }

    fn of(&mut self, transaction: u32, key: u32) -> &mut OfKey {
        let of = &mut self.keys[key as usize];
        if of.transaction != transaction {
            *of = OfKey {
                transaction,
                appends: 0,
                last: NONE,
                run: 0,
                length: NONE,
                broken: false,
                disorder: false,
            };
            self.touched.push(key);
        }
        of
    }

    fn append(&mut self, place: Place, key: u32, element: u32) {
        let history = self.history;
        let of = self.of(place.transaction, key);
        let position = history.elements[element as usize].position;
        let last = std::mem::replace(&mut of.last, element);
        let before = history.elements.get(last as usize).map(|last| last.position);
        of.appends += 1;
        of.run = match before {
            Some(before) if before != NONE && before + 1 == position => of.run + 1,
            _ => 1,
        };
        let seen = of.length != NONE && position < of.length;
        of.broken |= seen;
        // NONE is the largest, and rightly: what is not in the order comes after it.
        let disorder = before.is_some_and(|before| position < before);
        of.disorder |= disorder;
        if seen {
            self.findings.seen(Anomaly::Internal, || {
                let (read, _) = history.read_of(place.transaction, element)?;
                Some(Claim::Foreseen { read, append: place })
            });
        }
        if disorder {
            self.findings.add(history.keys[key as usize].longest.map(|read| Claim::Disorder {
                first: history.appended(last),
                second: place,
                read,
            }));
        }
    }

    fn read(&mut self, place: Place, key: u32, length: u32) {
        let history = self.history;
        let of = self.of(place.transaction, key);
        if of.broken {
            // What is wrong is told already, and what should follow from it nobody can say.
            return;
        }
        let own = of.appends;
        let ends = own == 0
            || of.run == own
                && length.checked_sub(1) == Some(history.elements[of.last as usize].position);
        match ends.then(|| length - own) {
            Some(before) if of.length == NONE || of.length == before => of.length = before,
            _ => {
                of.broken = true;
                self.findings.add(Some(Claim::Internal { read: place }));
            }
        }
    }

    /// Why a read is no prefix of the key's order.
    fn odd(&mut self, read: Place, step: Step) {
        let Some((key, list)) = self.history.answer(step) else { return };
        let mut places: Vec<u32> = (0..).take(list.len()).collect();
        places.sort_by_key(|&at| list[at as usize]);
        let twice = places.windows(2).find(|two| list[two[0] as usize] == list[two[1] as usize]);
        let other = self.history.keys[key as usize].longest;
        self.findings.add(match twice {
            Some(two) => Some(Claim::Duplicate { read, at: (two[0], two[1]) }),
            None => other.map(|other| Claim::Incompatible { read, other }),
        });
    }

    /// The transaction is done with a key.
    fn leave(&mut self, transaction: u32, key: u32) {
        let history = self.history;
        let of = self.keys[key as usize];
        let unread =
            of.appends > 0 && history.elements[of.last as usize].position == NONE && !of.disorder;
        if unread {
            self.observations.unread.push((key, transaction));
        }
        if of.broken || of.length == NONE {
            return;
        }
        let read = External { transaction, key, length: of.length };
        if let Some((append, later)) = self.intermediate(read) {
            self.findings.seen(Anomaly::G1b, || {
                let last = history.keys[key as usize].order[of.length.checked_sub(1)? as usize];
                let (read, _) = history.read_of(transaction, last)?;
                Some(Claim::Intermediate { read, append, later })
            });
            return;
        }
        self.observations.reads.push(read);
        if of.appends > 0 {
            self.updates.push(read);
        }
    }

    /// The append that the read ends with and a later one to the key by the same transaction, where
    /// that went unseen.
    fn intermediate(&mut self, read: External) -> Option<(Place, Place)> {
        let External { transaction, key, length } = read;
        let history = self.history;
        let last = history.keys[key as usize].order[length.checked_sub(1)? as usize];
        let writer = history.writer(last).filter(|&writer| writer != transaction)?;
        if !self.superseded[last as usize] {
            return None;
        }
        let append = history.appended(last);
        let unseen = |step: &Step| match *step {
            Step::Append { key: of, element } => {
                of == key && history.elements[element as usize].position >= length
            }
            _ => false,
        };
        // All reads that end with this element have the same length.
        let later = *self.later.entry(last).or_insert_with(|| {
            let mut steps = (0..).zip(history.steps(writer)).skip(append.step as usize + 1);
            steps.find(|(_, other)| unseen(other)).map(|(step, _)| step)
        });
        Some((append, Place { transaction: writer, step: later? }))
    }

    /// Whose appends follow the orders that were read.
    fn follow(&mut self) {
        let history = self.history;
        let Observations { unread, next, .. } = &mut self.observations;
        *next = vec![NONE; history.keys.len()];
        // Of a transaction that appended last of all that was read, the rest follows at once.
        let last = |key: u32| {
            let mut order = history.keys[key as usize].order.iter().rev();
            order.find_map(|&element| history.writer(element))
        };
        unread.retain(|&(key, transaction)| last(key) != Some(transaction));
        unread.sort_unstable();
        for read in &self.updates {
            let place = &mut next[read.key as usize];
            if *place == NONE
                && read.length as usize == history.keys[read.key as usize].order.len()
                && unread.binary_search(&(read.key, read.transaction)).is_ok()
            {
                *place = read.transaction;
            }
        }
        unread.retain(|&(key, transaction)| next[key as usize] != transaction);
    }

    /// Transactions that read the same list and appended to it: only one of them can have.
    fn lost_updates(&mut self) {
        let history = self.history;
        self.updates.sort_unstable_by_key(|read| (read.key, read.length, read.transaction));
        let same =
            |one: &External, other: &External| (one.key, one.length) == (other.key, other.length);
        for group in self.updates.chunk_by(same) {
            let place = |of: &External| {
                let steps = || (0..).zip(history.steps(of.transaction));
                let reads =
                    |step: &Step| history.answer(*step).is_some_and(|(key, _)| key == of.key);
                let appends =
                    |step: &Step| matches!(step, Step::Append { key, .. } if *key == of.key);
                let place = |step| Place { transaction: of.transaction, step };
                let read = steps().find(|(_, step)| reads(step))?.0;
                let append = steps().find(|(_, step)| appends(step))?.0;
                Some((place(read), place(append)))
            };
            for other in &group[1..] {
                self.findings.entangled.push((group[0].transaction, other.transaction));
                self.findings.seen(Anomaly::LostUpdate, || {
                    Some(Claim::LostUpdate { one: place(&group[0])?, other: place(other)? })
                });
            }
        }
    }
}
