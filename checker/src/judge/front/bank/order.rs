//! Lists: whether transfers and reads could have happened one at a time, each between its call and
//! its return.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{Bank, Entry, State};
use crate::{
    budget::Limits,
    history::generic::{Datum, Outcome},
    txn::{Builder, Fate, Micro, Transaction, Unfit},
    verdict::{self, Property},
};

/// The list of an account's transfers, as far as answers tell it.
#[derive(Default)]
struct List {
    /// By place; the first stands at 0.
    elements: Vec<Datum>,
    /// Places that are not known. Their elements are texts, which no transfer's number is.
    gaps: BTreeSet<usize>,
}

impl List {
    /// What an account's state says of its list; none: that it is longer than the list can be.
    fn up_to(&self, state: &State) -> Option<Cow<'_, [Datum]>> {
        let known = self.elements.get(..usize::try_from(state.transfers).ok()?)?;
        let (last, before) = known.split_last()?;
        if last.int() == Some(state.last) {
            return Some(known.into());
        }
        // Another answer tells another transfer at this place.
        let mut list = before.to_vec();
        list.push(Datum::Int(state.last));
        Some(list.into())
    }

    /// Whether it tells at which place a transfer stands, or that it has none.
    fn tells(&self, number: i64, last: &BTreeSet<i64>) -> bool {
        self.gaps.is_empty() || last.contains(&number)
    }
}

impl<'a> Bank<'a> {
    /// Decides the history as one of transactions on lists.
    pub(super) fn order(&self, limits: &Limits) -> Property {
        let lists = self.lists();
        match self.transactions(&lists) {
            Ok((builder, nodes)) => {
                let node = |at: u32| nodes.get(at as usize).copied().flatten();
                builder.finish().check_with(limits, node)
            }
            Err(unfit) => Property {
                name: "strict-serializability".into(),
                outcome: verdict::Outcome::Unknown,
                detail: format!("not checked: {unfit}"),
                violations: Vec::new(),
            },
        }
    }

    fn lists(&self) -> BTreeMap<&'a Datum, List> {
        let (places, changes) = (self.places(), self.changes());
        let list = |(account, most): (&'a Datum, u64)| {
            let places = places.get(account);
            let known = |place| places.and_then(|places| places.get(&place));
            let last = places.and_then(|places| Some(*places.range(..=most).next_back()?.0));
            let mut list = List::default();
            for place in 1..=last.unwrap_or_default() {
                list.elements.push(match known(place) {
                    Some(known) => Datum::Int(known.state.last),
                    None => {
                        list.gaps.insert(list.elements.len());
                        Datum::Text(format!("the one at place {place}").into())
                    }
                });
            }
            (account, list)
        };
        changes.into_iter().map(list).collect()
    }

    /// The transactions, and the nodes that they were sent to.
    fn transactions(
        &self,
        lists: &BTreeMap<&'a Datum, List>,
    ) -> Result<(Builder, Vec<Option<&'a str>>), Unfit> {
        let (mut builder, mut nodes) = (Builder::default(), Vec::new());
        // What stands at places that are not known may have been asked for at any time.
        let gaps = lists.iter().flat_map(|(account, list)| {
            list.gaps.iter().map(|place| (*account, &list.elements[*place]))
        });
        for (process, (account, element)) in gaps.enumerate() {
            let process = u64::MAX - process as u64;
            let (fate, ret) = (Fate::Unknown, u64::MAX);
            let one = Transaction { process, index: 0, completion: None, call: 0, ret, fate };
            builder.push(one, [Micro::Append(account, element)])?;
            nodes.push(None);
        }
        let last: BTreeMap<&Datum, BTreeSet<i64>> = self.observed_last();
        for entry in &self.entries {
            let read = self.read_lists(entry, lists);
            let reads = read.iter().map(|(account, list)| Micro::Read(account, Some(list)));
            let number = Datum::Int(entry.transfer.map_or(0, |transfer| transfer.number));
            let seen = entry.seen.is_some();
            let is_placed = |account: &&Datum| {
                // An answer tells the place.
                let none = BTreeSet::new();
                let last = last.get(*account).unwrap_or(&none);
                let number = number.int().unwrap_or_default();
                seen || lists.get(*account).is_none_or(|list| list.tells(number, last))
            };
            let accounts = entry.transfer.iter().flat_map(|transfer| [transfer.from, transfer.to]);
            let refused = entry.seen.is_some() && !entry.may_change_accounts();
            let accounts = accounts.filter(|_| !refused).filter(is_placed);
            let appends = accounts.map(|account| Micro::Append(account, &number));
            builder.push(transaction(entry), reads.chain(appends))?;
            nodes.push(entry.source.node);
        }
        Ok((builder, nodes))
    }

    /// The transfers that are known to have been the last of each account at some time.
    fn observed_last(&self) -> BTreeMap<&'a Datum, BTreeSet<i64>> {
        let mut last: BTreeMap<&Datum, BTreeSet<i64>> = BTreeMap::new();
        for (account, known) in self.told() {
            last.entry(account).or_default().insert(known.state.last);
        }
        last
    }

    /// What an entry read, by account: of a read all of them, of a transfer its own.
    fn read_lists<'l>(
        &self,
        entry: &Entry<'a>,
        lists: &'l BTreeMap<&'a Datum, List>,
    ) -> Vec<(&'a Datum, Cow<'l, [Datum]>)> {
        let Some(seen) = &entry.seen else { return Vec::new() };
        let accounts: Vec<&'a Datum> = match &entry.transfer {
            Some(transfer) => vec![transfer.from, transfer.to],
            None => self.accounts.iter().copied().collect(),
        };
        let list = |account: &'a Datum| match seen.get(account) {
            None => Some((account, Cow::default())),
            // Where it tells more transfers than there were, that is a violation already.
            Some(state) => Some((account, lists.get(account)?.up_to(state)?)),
        };
        accounts.into_iter().filter_map(list).collect()
    }
}

/// The transaction that an entry is, but for its steps. A transfer that was refused has read.
fn transaction(entry: &Entry<'_>) -> Transaction {
    let source = entry.source;
    let (fate, ret, completion) = match source.outcome {
        Outcome::Ok { time, index, .. } => (Fate::Committed, time, Some(index)),
        Outcome::Failed { time, index, .. } => {
            let fate = if entry.seen.is_some() { Fate::Committed } else { Fate::Aborted };
            (fate, time, Some(index))
        }
        Outcome::Unknown { .. } => (Fate::Unknown, u64::MAX, None),
    };
    let (process, index, call) = (source.process, source.index, source.call);
    Transaction { process, index, completion, call, ret, fate }
}
