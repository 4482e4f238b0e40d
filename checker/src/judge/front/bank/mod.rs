//! Banks: accounts, transfers between two of them, and reads of all. Every account begins with
//! [`OPENING`], and transfers move money without making any, so whatever is read at one moment has
//! the same total.
//!
//! # The history
//!
//! - `transfer`, asked with `{"number": 17, "from": "a0", "to": "a3", "amount": 5}`. The number is
//!   the transfer's own. The answer, and the value of a failure with the error `insufficient`, is
//!   what the transfer found: the states of its two accounts before it.
//! - `read`: the answer is the state of every account that a transfer has changed.
//!
//! The state of an account is `[balance, transfers, last]`: what it holds, how many transfers
//! changed it, and the number of the last of them. `{"a0": [95, 1, 17], "a3": [105, 1, 17]}` are
//! the two accounts after the transfer above. An account that no transfer has changed has no state.
//!
//! # How it is checked
//!
//! Balances alone do not say which transfers made them. Counts and numbers do: who says that
//! transfer 17 was the first of account a0 says what stands at place 1 of the list of a0's
//! transfers. So a bank is a history of transactions on lists, which
//! [`txn`](crate::txn) decides in linear time:
//!
//! ```text
//! transfer 17 from a0 to a3    r a0 []   r a3 []   append a0 17   append a3 17
//! read {a0 [95 1 17], …}       r a0 [17] r a3 [17] …
//! ```
//!
//! A place that no answer tells, between two transfers whose answers were lost, holds an element of
//! its own in place of the one that is not known. Such a list says less, and nothing that is wrong.
//!
//! What lists do not know is counted beside that: totals, balances and overdrafts.
//!
//! - `balances`: money;
//! - `order`: lists.

mod balances;
mod order;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    budget::Limits,
    history::{
        clock::Clock,
        generic::{Datum, INSUFFICIENT, Operation, Outcome},
    },
    model::Unexpected,
    verdict::{Property, Violation},
};

/// What every account holds before its first transfer.
pub const OPENING: i64 = 100;

/// The functions of a history of a bank.
pub const FUNCTIONS: &[&str] = &["transfer", "read"];

/// Decides a history of `transfer` and `read`: whether money was counted right, and whether all
/// transfers and reads could have happened one at a time.
///
/// # Errors
/// An event that is none of a bank.
pub fn check(operations: &[Operation<'_>], limits: &Limits) -> Result<Vec<Property>, Unexpected> {
    let bank = Bank::read(operations)?;
    Ok(vec![bank.balances(), bank.order(limits)])
}

/// The state of an account after some transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    balance: i64,
    /// How many transfers changed it.
    transfers: u64,
    /// The number of the last of them.
    last: i64,
}

/// What a transfer was asked to do.
#[derive(Clone, Copy, Debug)]
struct Transfer<'a> {
    number: i64,
    from: &'a Datum,
    to: &'a Datum,
    amount: i64,
}

/// An operation, and what it says.
struct Entry<'a> {
    source: &'a Operation<'a>,
    /// None of a read.
    transfer: Option<Transfer<'a>>,
    /// What was observed, by account; none where there was no answer.
    seen: Option<BTreeMap<&'a Datum, State>>,
}

/// A history of a bank.
struct Bank<'a> {
    entries: Vec<Entry<'a>>,
    accounts: BTreeSet<&'a Datum>,
    clock: Clock,
}

/// A state that is known, and by which entry.
#[derive(Clone, Copy)]
struct Known {
    state: State,
    by: usize,
    /// The entry is the transfer that made it: the state follows from what the transfer found.
    made: bool,
}

/// What is known of each account: the first state that an answer tells, by the count of transfers.
type Places<'a> = BTreeMap<&'a Datum, BTreeMap<u64, Known>>;

impl<'a> Transfer<'a> {
    fn read(source: &'a Operation<'a>) -> Result<Self, Unexpected> {
        let wrong = || {
            let expected = "a transfer, such as {number 1, from a0, to a1, amount 5}";
            Unexpected::argument(source, expected)
        };
        let Datum::Map(fields) = source.argument else { return Err(wrong()) };
        let field = |name: &str| {
            let found = fields.iter().find(|(key, _)| key.text() == Some(name));
            found.map(|(_, value)| value).ok_or_else(wrong)
        };
        let int = |name: &str| field(name)?.int().ok_or_else(wrong);
        let (from, to) = (field("from")?, field("to")?);
        let transfer = Self { number: int("number")?, from, to, amount: int("amount")? };
        let sound = from != to && !from.is_nil() && !to.is_nil() && transfer.amount > 0;
        if sound && fields.len() == 4 { Ok(transfer) } else { Err(wrong()) }
    }

    /// What an account holds after the transfer; none: it is none of the two, or holds more than
    /// a number can say.
    fn applied(&self, account: &Datum, before: i64) -> Option<i64> {
        if account == self.from {
            before.checked_sub(self.amount)
        } else if account == self.to {
            before.checked_add(self.amount)
        } else {
            None
        }
    }
}

/// States by account, as an answer holds them.
fn states<'a>(source: &'a Operation<'a>) -> Result<BTreeMap<&'a Datum, State>, Unexpected> {
    let (Outcome::Ok { value, .. } | Outcome::Failed { value, .. }) = source.outcome else {
        return Ok(BTreeMap::new());
    };
    let wrong = || Unexpected::answer(source, "states of accounts, such as {a0 [95 1 17]}");
    let Datum::Map(states) = value else { return Err(wrong()) };
    let state = |state: &Datum| match state.list()? {
        [balance, transfers, last] => Some(State {
            balance: balance.int()?,
            transfers: u64::try_from(transfers.int()?).ok().filter(|count| *count > 0)?,
            last: last.int()?,
        }),
        _ => None,
    };
    let states = states.iter().map(|(account, told)| Some((account, state(told)?)));
    states.collect::<Option<_>>().ok_or_else(wrong)
}

impl<'a> Bank<'a> {
    fn read(operations: &'a [Operation<'a>]) -> Result<Self, Unexpected> {
        let clock = Clock::of(operations.iter().map(Operation::events));
        let (mut entries, mut accounts) = (Vec::with_capacity(operations.len()), BTreeSet::new());
        let mut numbers = BTreeSet::new();
        for source in operations {
            let told = match source.outcome {
                Outcome::Ok { .. } => true,
                Outcome::Failed { error, .. } => error == Some(INSUFFICIENT),
                Outcome::Unknown { .. } => false,
            };
            let transfer = match source.f {
                "transfer" => Some(Transfer::read(source)?),
                "read" => None,
                _ => return Err(Unexpected::function(source, "transfer or read")),
            };
            if let Some(transfer) = &transfer {
                if !numbers.insert(transfer.number) {
                    return Err(Unexpected::argument(source, "a number of the transfer's own"));
                }
                accounts.extend([transfer.from, transfer.to]);
            }
            let seen = told.then(|| states(source)).transpose()?;
            accounts.extend(seen.iter().flat_map(|seen| seen.keys().copied()));
            entries.push(Entry { source, transfer, seen });
        }
        Ok(Self { entries, accounts, clock })
    }

    /// The transfers that may have taken effect, by number: each with its entry.
    fn transfers(&self) -> BTreeMap<i64, (&Entry<'a>, Transfer<'a>)> {
        let entries = self.entries.iter().filter(|entry| entry.may_change_accounts());
        entries
            .filter_map(|entry| Some((entry.transfer?.number, (entry, entry.transfer?))))
            .collect()
    }

    /// How many transfers may have changed each account.
    fn changes(&self) -> BTreeMap<&'a Datum, u64> {
        let mut changes = BTreeMap::new();
        for (_, transfer) in self.transfers().into_values() {
            for account in [transfer.from, transfer.to] {
                *changes.entry(account).or_default() += 1;
            }
        }
        changes
    }

    /// Every state that an answer tells: those that were seen, and of a transfer that took effect
    /// those that it made.
    fn told(&self) -> impl Iterator<Item = (&'a Datum, Known)> {
        self.entries.iter().enumerate().flat_map(|(by, entry)| {
            let seen = entry.seen.iter().flatten();
            let seen = seen
                .map(move |(account, state)| (*account, Known { state: *state, by, made: false }));
            let took_effect = matches!(entry.source.outcome, Outcome::Ok { .. });
            let transfer = entry.transfer.as_ref().filter(|_| took_effect);
            let made = transfer.into_iter().flat_map(move |transfer| {
                let state = move |account: &'a Datum| {
                    let before = entry.before(account);
                    let balance =
                        transfer.applied(account, before.map_or(OPENING, |it| it.balance));
                    let transfers = before.map_or(0, |it| it.transfers).checked_add(1)?;
                    let state = State { balance: balance?, transfers, last: transfer.number };
                    Some((account, Known { state, by, made: true }))
                };
                [transfer.from, transfer.to].into_iter().filter_map(state)
            });
            seen.chain(made)
        })
    }

    fn places(&self) -> Places<'a> {
        let mut places = Places::new();
        for (account, known) in self.told() {
            places.entry(account).or_default().entry(known.state.transfers).or_insert(known);
        }
        places
    }

    /// Who answered an entry, and when: `n1 at 5.070 s`.
    fn say(&self, by: usize) -> String {
        let source = self.entries[by].source;
        let who = source.node.map_or_else(|| format!("process {}", source.process), str::to_owned);
        let time = match source.outcome {
            Outcome::Ok { time, .. } | Outcome::Failed { time, .. } => time,
            Outcome::Unknown { time, .. } => time.unwrap_or(source.call),
        };
        format!("{who} at {}", self.clock.moment(time))
    }

    fn violation(&self, rule: &str, summary: String, by: &[usize]) -> Violation {
        let sources: Vec<_> = by.iter().map(|&by| self.entries[by].source).collect();
        Violation::by(rule, summary, &sources)
    }
}

impl<'a> Entry<'a> {
    /// The state in which a transfer found an account; none: no transfer had changed it.
    fn before(&self, account: &Datum) -> Option<State> {
        self.seen.as_ref()?.get(account).copied()
    }

    fn is_read(&self) -> bool {
        self.transfer.is_none() && self.seen.is_some()
    }

    /// Whether it is a transfer of which it is not certain that it failed.
    fn may_change_accounts(&self) -> bool {
        self.transfer.is_some() && !matches!(self.source.outcome, Outcome::Failed { .. })
    }
}
