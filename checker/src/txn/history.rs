//! The compact form of a history of transactions: flat tables, names as numbers, and of a read
//! that agrees with the key's longest list only its length.
//!
//! A million transactions whose reads return hundreds of elements would fill gigabytes if every
//! answer were kept. But lists only grow, so in a legal history every answer is a prefix of the
//! longest one. [`Builder`] compares each answer element by element when it arrives and keeps its
//! length; an answer that is no such prefix is kept whole, since it is evidence.

use rustc_hash::FxHashMap;

use super::{
    anomaly::Place,
    transaction::{Fate, Transaction, Unfit},
    verify,
};
use crate::history::generic::Datum;

/// No transaction, no position.
pub(super) const NONE: u32 = u32::MAX;

/// Numbers of transactions, steps and elements stay below this, so that a graph's nodes leave two
/// bits for the kind of an edge.
const LARGEST: usize = 1 << 28;

/// Bytes of answers that are no prefixes. More of them are only counted: the first are proof
/// enough.
const ODD_BYTES: usize = 16 << 20;

/// One step of a transaction; keys and elements by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Append {
        key: u32,
        element: u32,
    },
    /// Saw the first `length` elements of the key's order.
    Read {
        key: u32,
        length: u32,
    },
    /// Saw what is no prefix of the key's order: the list of this number.
    Odd {
        key: u32,
        number: u32,
    },
    /// Saw another such, which was not kept.
    Forgotten {
        key: u32,
    },
    /// A read without an answer.
    Asked,
}

impl Step {
    /// The key.
    pub(super) fn key(self) -> Option<u32> {
        match self {
            Self::Append { key, .. }
            | Self::Read { key, .. }
            | Self::Odd { key, .. }
            | Self::Forgotten { key } => Some(key),
            Self::Asked => None,
        }
    }
}

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: Datum,
    /// The longest list that was read, and who read it.
    pub(super) order: Vec<u32>,
    pub(super) longest: Option<Place>,
}

/// An element of a key's list.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) value: Datum,
    /// The step that appended it: the transaction, or [`NONE`], and its place there.
    pub(super) appender: u32,
    pub(super) step: u32,
    /// The first transaction of the history that read it, or [`NONE`].
    pub(super) reader: u32,
    /// Its place in the key's order, or [`NONE`].
    pub(super) position: u32,
}

/// A history of transactions that append to lists and read them. Made by a [`Builder`].
#[derive(Debug, Default)]
pub struct History {
    pub(super) transactions: Vec<Transaction>,
    /// Where in `steps` those of each transaction begin, and the end.
    starts: Vec<u32>,
    steps: Vec<Step>,
    pub(super) keys: Vec<Key>,
    pub(super) elements: Vec<Element>,
    odd: Vec<Box<[u32]>>,
}

impl History {
    /// The steps of a transaction, in its own order.
    pub(super) fn steps(&self, transaction: u32) -> &[Step] {
        let at = transaction as usize;
        &self.steps[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// The step at a place.
    pub(super) fn step(&self, at: Place) -> Option<Step> {
        self.steps(at.transaction).get(at.step as usize).copied()
    }

    /// What a step read: its key and the elements.
    pub(super) fn answer(&self, step: Step) -> Option<(u32, &[u32])> {
        match step {
            Step::Read { key, length } => {
                Some((key, &self.keys[key as usize].order[..length as usize]))
            }
            Step::Odd { key, number } => Some((key, &self.odd[number as usize])),
            Step::Append { .. } | Step::Forgotten { .. } | Step::Asked => None,
        }
    }

    pub(super) fn transaction_count(&self) -> u32 {
        number(self.transactions.len())
    }

    pub(super) fn step_count(&self) -> usize {
        self.steps.len()
    }

    /// Where a transaction read an element, and where in the list it stood.
    pub(super) fn read_of(&self, transaction: u32, element: u32) -> Option<(Place, u32)> {
        (0..).zip(self.steps(transaction)).find_map(|(step, &read)| {
            let (_, list) = self.answer(read)?;
            let at = list.iter().position(|&other| other == element)?;
            Some((Place { transaction, step }, number(at)))
        })
    }

    /// Where the element was appended.
    pub(super) fn appended(&self, element: u32) -> Place {
        let element = &self.elements[element as usize];
        Place { transaction: element.appender, step: element.step }
    }

    /// Who appended the element, where its appender has not aborted.
    pub(super) fn writer(&self, element: u32) -> Option<u32> {
        let writer = self.elements[element as usize].appender;
        (writer != NONE && self.transactions[writer as usize].fate != Fate::Aborted)
            .then_some(writer)
    }

    /// Whether `first` ended before `second` was asked for. Moments that only touch are concurrent,
    /// unless both transactions are of one process.
    pub(super) fn precedes(&self, first: u32, second: u32) -> bool {
        let (one, other) =
            (&self.transactions[first as usize], &self.transactions[second as usize]);
        one.fate == Fate::Committed
            && (one.ret < other.call
                || one.ret == other.call && one.process == other.process && first < second)
    }

    /// Bytes that it takes, but for the texts of keys and elements.
    pub(super) fn bytes(&self) -> usize {
        let order: usize = self.keys.iter().map(|key| key.order.capacity() * 4).sum();
        let odd: usize = self.odd.iter().map(|list| list.len() * 4).sum();
        self.transactions.capacity() * size_of::<Transaction>()
            + self.starts.capacity() * 4
            + self.steps.capacity() * size_of::<Step>()
            + self.keys.capacity() * size_of::<Key>()
            + self.elements.capacity() * size_of::<Element>()
            + order
            + odd
    }
}

impl verify::Subject for History {
    type Name = u32;

    fn transactions(&self) -> usize {
        self.transactions.len()
    }

    fn span(&self, transaction: u32) -> verify::Span {
        let Transaction { process, call, ret, fate, .. } = self.transactions[transaction as usize];
        verify::Span { process, call, ret, fate }
    }

    fn step(&self, transaction: u32, step: u32) -> Option<verify::Step<'_, u32>> {
        let step = self.steps(transaction).get(step as usize)?;
        Some(match (step, self.answer(*step)) {
            (Step::Append { key, element }, _) => verify::Step::Append(key, element),
            (Step::Read { key, .. } | Step::Odd { key, .. }, Some((_, list))) => {
                verify::Step::Read(key, list)
            }
            // Nothing that a list could ever be.
            (Step::Forgotten { key }, _) => verify::Step::Read(key, &[NONE]),
            _ => verify::Step::Unanswered,
        })
    }
}

/// What a step of a transaction was, for [`Builder::push`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Micro<'a> {
    /// Appended to this key this element.
    Append(&'a Datum, &'a Datum),
    /// Read this key: the answer, or none where there was none.
    Read(&'a Datum, Option<&'a [Datum]>),
}

/// Makes a [`History`] of transactions that are told in order of invocation:
///
/// ```
/// use checker::{
///     history::generic::Datum,
///     budget::Limits,
///     txn::{Builder, Fate, Micro, Transaction},
/// };
///
/// let (x, one, fate) = (Datum::Text("x".into()), Datum::Int(1), Fate::Committed);
/// let writer = Transaction { process: 0, index: 0, completion: Some(1), call: 0, ret: 1, fate };
/// let reader = Transaction { process: 0, index: 2, completion: Some(3), call: 2, ret: 3, fate };
/// let mut builder = Builder::default();
/// builder.push(writer, [Micro::Append(&x, &one)])?;
/// builder.push(reader, [Micro::Read(&x, Some(&[]))])?;
/// let property = builder.finish().check(&Limits::default());
/// assert_eq!(property.violations[0].rule, "G-single-realtime");
/// # Ok::<(), checker::txn::Unfit>(())
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    history: History,
    keys: FxHashMap<Datum, u32>,
    elements: FxHashMap<(u32, Datum), u32>,
    odd_bytes: usize,
}

impl Builder {
    /// Adds the next transaction.
    ///
    /// # Errors
    /// It is asked for before the one before it, ends before that, there are too many, or it
    /// appends what another has appended to the same key, so that a list that holds it would not
    /// say whose it is. What a failed one wanted to append may be tried again.
    pub fn push<'a>(
        &mut self,
        transaction: Transaction,
        steps: impl IntoIterator<Item = Micro<'a>>,
    ) -> Result<(), Unfit> {
        let Transaction { index, call, ret, fate, .. } = transaction;
        let history = &mut self.history;
        if history.transactions.last().is_some_and(|before| call < before.call) {
            return Err(Unfit::new(index, "transactions in order of their invocation"));
        }
        if fate == Fate::Committed && ret < call {
            return Err(Unfit::new(index, "a completion that is not before the invocation"));
        }
        let largest =
            history.transactions.len().max(history.steps.len()).max(history.elements.len());
        if largest >= LARGEST {
            return Err(Unfit::new(index, "a history of fewer than 268,435,456 steps"));
        }
        history.transactions.push(transaction);
        history.starts.push(number(history.steps.len()));
        for step in steps {
            let step = match step {
                Micro::Append(key, value) => self.append(key, value)?,
                Micro::Read(key, Some(values)) if fate == Fate::Committed => self.seen(key, values),
                Micro::Read(..) => Step::Asked,
            };
            self.history.steps.push(step);
        }
        Ok(())
    }

    fn append(&mut self, key: &Datum, value: &Datum) -> Result<Step, Unfit> {
        let key = self.key(key);
        let element = self.element(key, value);
        let place = self.here();
        let History { transactions, keys, elements, .. } = &mut self.history;
        let entry = &mut elements[element as usize];
        let mine = &transactions[place.transaction as usize];
        match transactions.get(entry.appender as usize) {
            Some(other) if other.fate != Fate::Aborted && mine.fate != Fate::Aborted => {
                let (name, first) = (&keys[key as usize].name, other.index);
                return Err(Unfit::new(
                    mine.index,
                    format!(
                        "every element of a key to be appended once, but {value} goes to key \
                         {name} here and in event {first}"
                    ),
                ));
            }
            Some(_) if mine.fate == Fate::Aborted => {}
            _ => (entry.appender, entry.step) = (place.transaction, place.step),
        }
        Ok(Step::Append { key, element })
    }

    /// The history.
    pub fn finish(mut self) -> History {
        self.history.starts.push(number(self.history.steps.len()));
        self.history
    }

    /// Bytes that were taken so far, about.
    pub(super) fn bytes(&self) -> usize {
        // Of the tables; the orders, which are walked to be summed, are at most the elements.
        let history = &self.history;
        self.elements.capacity() * (size_of::<(u32, Datum)>() + 5)
            + history.transactions.capacity() * (size_of::<Transaction>() + 4)
            + history.steps.capacity() * size_of::<Step>()
            + history.elements.capacity() * (size_of::<Element>() + 4)
            + self.odd_bytes
    }

    fn key(&mut self, name: &Datum) -> u32 {
        if let Some(&key) = self.keys.get(name) {
            return key;
        }
        let key = number(self.history.keys.len());
        self.keys.insert(name.clone(), key);
        self.history.keys.push(Key { name: name.clone(), order: Vec::new(), longest: None });
        key
    }

    fn element(&mut self, key: u32, value: &Datum) -> u32 {
        let history = &mut self.history;
        *self.elements.entry((key, value.clone())).or_insert_with(|| {
            history.elements.push(Element {
                value: value.clone(),
                appender: NONE,
                step: NONE,
                reader: NONE,
                position: NONE,
            });
            number(history.elements.len() - 1)
        })
    }

    /// Compares an answer with the key's order, which it may extend.
    fn seen(&mut self, key: &Datum, values: &[Datum]) -> Step {
        let key = self.key(key);
        let History { keys, elements, .. } = &self.history;
        let order = &keys[key as usize].order;
        let known = order.len();
        let shared = order
            .iter()
            .zip(values)
            .take_while(|(element, value)| elements[**element as usize].value == **value)
            .count();
        if shared == values.len() {
            return Step::Read { key, length: number(shared) };
        }
        if shared == known && self.extend(key, &values[known..]) {
            let place = self.here();
            self.history.keys[key as usize].longest = Some(place);
            return Step::Read { key, length: number(values.len()) };
        }
        self.odd_bytes += values.len() * 4;
        if self.odd_bytes > ODD_BYTES && !self.history.odd.is_empty() {
            return Step::Forgotten { key };
        }
        let list: Box<[u32]> = values.iter().map(|value| self.element(key, value)).collect();
        for &element in &list {
            self.note(element);
        }
        self.history.odd.push(list);
        Step::Odd { key, number: number(self.history.odd.len() - 1) }
    }

    /// Adds new elements to the key's order; none where one of them stands there already.
    fn extend(&mut self, key: u32, values: &[Datum]) -> bool {
        let known = self.history.keys[key as usize].order.len();
        for value in values {
            let element = self.element(key, value);
            let History { keys, elements, .. } = &mut self.history;
            let order = &mut keys[key as usize].order;
            let position = &mut elements[element as usize].position;
            if *position != NONE {
                for element in order.drain(known..) {
                    elements[element as usize].position = NONE;
                }
                return false;
            }
            *position = number(order.len());
            order.push(element);
        }
        for at in known..known + values.len() {
            self.note(self.history.keys[key as usize].order[at]);
        }
        true
    }

    fn note(&mut self, element: u32) {
        let reader = number(self.history.transactions.len() - 1);
        let entry = &mut self.history.elements[element as usize];
        if entry.reader == NONE {
            entry.reader = reader;
        }
    }

    /// The place of the step that comes next.
    fn here(&self) -> Place {
        let History { transactions, starts, steps, .. } = &self.history;
        let start = starts.last().copied().unwrap_or_default();
        Place { transaction: number(transactions.len() - 1), step: number(steps.len()) - start }
    }
}

/// A number in a table. [`Builder::push`] keeps tables small enough; one transaction of more steps
/// than fit cannot exist in memory.
fn number(at: usize) -> u32 {
    u32::try_from(at).expect("tables are kept smaller than this")
}
