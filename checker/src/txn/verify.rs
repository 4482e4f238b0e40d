//! The check of what the checker claims: of an order by carrying it out, of an anomaly by looking
//! at the steps that it points at. Shares no code with what found them, and reads the history
//! through a trait, so that the operations as they were told can be asked instead of the tables
//! that the checker made of them (`super::parse`).

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::{
    anomaly::{Claim, Edge, Place, Why},
    transaction::Fate,
};

/// A history of transactions.
pub trait Subject {
    /// A key or an element.
    type Name: Clone + Eq + Hash;
    /// How many transactions there are. They have their numbers in order of invocation.
    fn transactions(&self) -> usize;
    /// When a transaction was open, and how it ended.
    fn span(&self, transaction: u32) -> Span;
    /// A step of a transaction; none past its last one.
    fn step(&self, transaction: u32, step: u32) -> Option<Step<'_, Self::Name>>;
}

/// When a transaction was open, and how it ended.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The logical client, which does one thing after the other.
    pub process: u64,
    /// Time of the invocation.
    pub call: u64,
    /// Time of the completion, where it is known to have committed.
    pub ret: u64,
    /// How it ended.
    pub fate: Fate,
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a, N> {
    /// Appended to this key this element.
    Append(&'a N, &'a N),
    /// Read of this key this list.
    Read(&'a N, &'a [N]),
    /// Read, and was told nothing.
    Unanswered,
}

/// Whether `order` is a strict serialization: one transaction after the other reads what those
/// before it appended, none that failed is in it, each that committed is, none twice, and none
/// comes before one that had ended when it was asked for (as in
/// [`certificate`](crate::linear::certificate)), at the very time if both are of one process.
pub fn order<S: Subject>(subject: &S, order: &[u32]) -> bool {
    let mut lists: FxHashMap<S::Name, Vec<S::Name>> = FxHashMap::default();
    let mut taken = vec![false; subject.transactions()];
    let mut moment = 0;
    // Of each process, the call and the number of the last that was asked for of those taken.
    let mut last: FxHashMap<u64, (u64, u32)> = FxHashMap::default();
    for &transaction in order {
        let Some(taken) = taken.get_mut(transaction as usize) else { return false };
        let Span { process, call, ret, fate } = subject.span(transaction);
        moment = moment.max(call);
        if std::mem::replace(taken, true)
            || fate == Fate::Aborted
            || fate == Fate::Committed && ret < moment
        {
            return false;
        }
        let last = last.entry(process).or_default();
        if fate == Fate::Committed && last.0 == ret && last.1 > transaction {
            return false;
        }
        *last = (*last).max((call, transaction));
        for step in (0..).map_while(|step| subject.step(transaction, step)) {
            match step {
                Step::Append(key, element) => match lists.get_mut(key) {
                    Some(list) => list.push(element.clone()),
                    None => drop(lists.insert(key.clone(), vec![element.clone()])),
                },
                Step::Read(key, list) => {
                    if lists.get(key).map_or(&[][..], Vec::as_slice) != list {
                        return false;
                    }
                }
                Step::Unanswered => {}
            }
        }
    }
    (0..).zip(taken).all(|(at, taken)| taken || subject.span(at).fate != Fate::Committed)
}

/// Whether each claim is true, so that no strict serialization exists.
pub fn claims<S: Subject>(subject: &S, claims: &[Claim]) -> bool {
    let mut appenders: FxHashMap<(&S::Name, &S::Name), Vec<u32>> = FxHashMap::default();
    for claim in claims {
        if let &Claim::Garbage { read, at } = claim
            && let Some(Step::Read(key, list)) = subject.step(read.transaction, read.step)
            && let Some(element) = list.get(at as usize)
        {
            appenders.insert((key, element), Vec::new());
        }
        for place in claim.places() {
            if let Some(Step::Append(key, element)) = subject.step(place.transaction, place.step) {
                appenders.insert((key, element), Vec::new());
            }
        }
    }
    for transaction in (0..).take(subject.transactions()) {
        for step in (0..).map_while(|step| subject.step(transaction, step)) {
            if let Step::Append(key, element) = step
                && let Some(appenders) = appenders.get_mut(&(key, element))
            {
                appenders.push(transaction);
            }
        }
    }
    let judge = Judge { subject, appenders };
    claims.iter().all(|claim| judge.judge(claim).unwrap_or(false))
}

struct Judge<'a, S: Subject> {
    subject: &'a S,
    /// Who appended the elements in question.
    appenders: FxHashMap<(&'a S::Name, &'a S::Name), Vec<u32>>,
}

impl<'a, S: Subject> Judge<'a, S> {
    /// What a committed transaction read.
    fn read(&self, at: Place) -> Option<(&'a S::Name, &'a [S::Name])> {
        match self.subject.step(at.transaction, at.step)? {
            Step::Read(key, list) if self.fate(at.transaction) == Fate::Committed => {
                Some((key, list))
            }
            _ => None,
        }
    }

    /// What was appended there and, by transactions that may have committed, nowhere else.
    fn append(&self, at: Place) -> Option<(&'a S::Name, &'a S::Name)> {
        let Step::Append(key, element) = self.subject.step(at.transaction, at.step)? else {
            return None;
        };
        let mut alive = self.appenders.get(&(key, element))?.iter();
        let alive = alive.by_ref().filter(|&&other| self.fate(other) != Fate::Aborted);
        alive.eq([&at.transaction]).then_some((key, element))
    }

    fn fate(&self, transaction: u32) -> Fate {
        self.subject.span(transaction).fate
    }

    /// Where the key's list that `read` saw holds what `append` appended to the same key.
    fn find(&self, read: Place, append: Place) -> Option<Option<usize>> {
        let ((key, list), (of, element)) = (self.read(read)?, self.append(append)?);
        (key == of).then(|| list.iter().position(|other| other == element))
    }

    fn judge(&self, claim: &Claim) -> Option<bool> {
        Some(match *claim {
            Claim::Garbage { read, at } => {
                let (key, list) = self.read(read)?;
                self.appenders.get(&(key, list.get(at as usize)?))?.is_empty()
            }
            Claim::Duplicate { read, at } => {
                let (_, list) = self.read(read)?;
                at.0 != at.1 && list.get(at.0 as usize)? == list.get(at.1 as usize)?
            }
            Claim::Incompatible { read, other } => {
                let ((key, list), (of, others)) = (self.read(read)?, self.read(other)?);
                key == of && list.iter().zip(others).any(|(one, other)| one != other)
            }
            Claim::Internal { read } => self.contradicts(read)?,
            Claim::Foreseen { read, append } => {
                read.transaction == append.transaction
                    && read.step < append.step
                    && self.find(read, append)?.is_some()
            }
            Claim::Disorder { first, second, read } => {
                let (held, late) = (self.find(read, first)?, self.find(read, second)??);
                first.transaction == second.transaction
                    && first.step < second.step
                    && held.is_none_or(|held| held > late)
            }
            Claim::Aborted { read, append } => {
                let (key, list) = self.read(read)?;
                let at = self.subject.step(append.transaction, append.step)?;
                let Step::Append(of, element) = at else { return None };
                let appenders = self.appenders.get(&(key, element))?;
                key == of
                    && list.contains(element)
                    && appenders.iter().all(|&appender| self.fate(appender) == Fate::Aborted)
            }
            Claim::Intermediate { read, append, later } => {
                append.transaction == later.transaction
                    && append.step < later.step
                    && append.transaction != read.transaction
                    && self.find(read, append)?.is_some()
                    && self.find(read, later)?.is_none()
            }
            Claim::LostUpdate { one, other } => {
                let (key, _) = self.append(one.1)?;
                one.0.transaction == one.1.transaction
                    && other.0.transaction == other.1.transaction
                    && one.0.transaction != other.0.transaction
                    && key == self.append(other.1)?.0
                    && self.find(one.0, other.1)?.is_none()
                    && self.find(other.0, one.1)?.is_none()
            }
            Claim::Cycle(ref edges) => {
                let next = edges.iter().cycle().skip(1);
                !edges.is_empty()
                    && edges.iter().zip(next).all(|(edge, next)| edge.to == next.from)
                    && edges.iter().all(|edge| self.edge(edge).unwrap_or(false))
            }
        })
    }

    fn edge(&self, &Edge { from, to, why }: &Edge) -> Option<bool> {
        let by =
            |first: Place, second: Place| first.transaction == from && second.transaction == to;
        let holds = match why {
            Why::Appended { first, second, read } => {
                let order = (self.find(read, first)?, self.find(read, second)?);
                by(first, second)
                    && match order {
                        (Some(first), Some(second)) => first < second,
                        (Some(_), None) => true,
                        (None, None) => read.transaction == from,
                        (None, Some(_)) => false,
                    }
            }
            Why::Seen { append, read } => by(append, read) && self.find(read, append)?.is_some(),
            Why::Unseen { read, append } => by(read, append) && self.find(read, append)?.is_none(),
            Why::Earlier => {
                let (one, other) = (self.subject.span(from), self.subject.span(to));
                let in_turn = one.process == other.process && from < to;
                one.fate == Fate::Committed
                    && (one.ret < other.call || one.ret == other.call && in_turn)
            }
        };
        Some(from != to && holds)
    }

    /// Whether a read is not what the transaction's own steps before it ask for.
    fn contradicts(&self, read: Place) -> Option<bool> {
        let (key, list) = self.read(read)?;
        let (mut before, mut own) = (None, Vec::new());
        for step in 0..read.step {
            match self.subject.step(read.transaction, step)? {
                Step::Append(of, element) if of == key => own.push(element.clone()),
                Step::Read(of, list) if of == key => (before, own) = (Some(list), Vec::new()),
                _ => {}
            }
        }
        Some(match before {
            Some(before) => [before, &own].concat() != list,
            None => !list.ends_with(&own),
        })
    }
}
