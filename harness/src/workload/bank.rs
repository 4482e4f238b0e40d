//! Banks: transfers between accounts, and reads of all accounts at one moment. Every account begins
//! with the same amount, and the total never changes.
//!
//! The store holds of each account, beside its balance, how many transfers changed it and which was
//! the last: so the checker knows from balances which transfers made them. Its documentation has
//! the form of the history: [`checker::judge::front::bank`].

use std::time::Duration;

use anyhow::ensure;
use checker::{history::generic::Datum, judge::front::bank::OPENING};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{FinalRead, Generator, Kind, Turn};

/// Most that is transferred at once: sometimes more than an account holds.
const AMOUNT_MAX: i64 = OPENING * 3 / 5;
/// Requests of a transfer at most: a read, and each attempt to write.
const REQUESTS_MAX: u32 = 1 + super::ATTEMPTS_MAX;

/// Parameters of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Number of accounts, from 2.
    pub keys: u32,
}

/// An operation of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Moves money from one account to another.
    Transfer(Transfer),
    /// Reads all accounts.
    Read,
}

/// Moves money from one account to another, if the first has enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its own number, from 1.
    pub number: i64,
    /// The account that pays.
    pub from: u32,
    /// The account that is paid.
    pub to: u32,
    /// How much, from 1.
    pub amount: i64,
}

impl Operation {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        *self == Self::Read
    }

    pub(super) fn words(&self) -> (&'static str, Datum, Datum) {
        let Self::Transfer(Transfer { number, from, to, amount }) = *self else {
            return ("read", Datum::Nil, Datum::Nil);
        };
        let field = |name: &str, value| (Datum::Text(name.into()), value);
        let account = |number| Datum::Text(name(number).into());
        // By ascending names.
        let argument = Datum::Map(vec![
            field("amount", Datum::Int(amount)),
            field("from", account(from)),
            field("number", Datum::Int(number)),
            field("to", account(to)),
        ]);
        ("transfer", Datum::Nil, argument)
    }
}

/// The name of an account.
pub fn name(account: u32) -> String {
    format!("a{account}")
}

impl Kind for Options {
    fn model(&self) -> &'static str {
        "bank"
    }

    fn keys(&self) -> usize {
        self.keys as usize
    }

    fn validate(&self, _: u64, _: Duration) -> anyhow::Result<()> {
        ensure!(self.keys >= 2, "a bank has at least 2 accounts, not {}: see --keys", self.keys);
        Ok(())
    }

    fn generator(&self, seed: u64) -> Box<dyn Generator> {
        Box::new(Bank::new(self, seed))
    }

    fn probe(&self) -> super::Operation {
        super::Operation::Bank(Operation::Read)
    }

    /// All accounts, at every node.
    fn final_reads(&self, nodes: u64) -> Vec<FinalRead> {
        let read = |node| {
            let (of, operation) = (format!("all accounts at n{node}"), self.probe());
            FinalRead { of, operation, at: Some(node) }
        };
        (1..=nodes).map(read).collect()
    }

    fn requests(&self) -> u32 {
        REQUESTS_MAX
    }

    fn contended(&self) -> bool {
        true
    }
}

/// The generator.
#[derive(Debug)]
pub struct Bank {
    rng: ChaCha8Rng,
    accounts: u32,
    /// Transfers so far.
    transfers: i64,
}

impl Bank {
    /// A generator that has thought of nothing yet.
    pub fn new(options: &Options, seed: u64) -> Self {
        let accounts = options.keys.max(2);
        Self { rng: ChaCha8Rng::seed_from_u64(seed), accounts, transfers: 0 }
    }

    /// The next operation: of ten about four reads.
    pub fn operation(&mut self) -> Operation {
        if self.rng.random_ratio(2, 5) {
            return Operation::Read;
        }
        let from = self.rng.random_range(0..self.accounts);
        let to = (from + self.rng.random_range(1..self.accounts)) % self.accounts;
        self.transfers += 1;
        let amount = self.rng.random_range(1..=AMOUNT_MAX);
        Operation::Transfer(Transfer { number: self.transfers, from, to, amount })
    }
}

impl Generator for Bank {
    fn next(&mut self, _: u64) -> Option<(super::Operation, Turn)> {
        Some((super::Operation::Bank(self.operation()), Turn::Paced))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn operations(keys: u32, seed: u64) -> Vec<Operation> {
        let mut bank = Bank::new(&Options { keys }, seed);
        (0..2000).map(|_| bank.operation()).collect()
    }

    #[test]
    fn it_is_a_function_of_the_seed() {
        assert_eq!(operations(5, 1), operations(5, 1));
        assert_ne!(operations(5, 1), operations(5, 2));
    }

    #[test]
    fn transfers_are_between_two_accounts_and_have_numbers() {
        for keys in [2, 5] {
            let (mut numbers, mut accounts) = (BTreeSet::new(), BTreeSet::new());
            for operation in operations(keys, 1) {
                let Operation::Transfer(Transfer { number, from, to, amount }) = operation else {
                    continue;
                };
                assert!(from != to && (1..=AMOUNT_MAX).contains(&amount) && numbers.insert(number));
                accounts.extend([from, to]);
            }
            assert_eq!(accounts, (0..keys).collect());
            assert!((1000..1400).contains(&numbers.len()), "{}", numbers.len());
        }
    }

    #[test]
    fn one_account_is_no_bank() {
        let error = Options { keys: 1 }.validate(1, Duration::ZERO).unwrap_err().to_string();
        assert_eq!(error, "a bank has at least 2 accounts, not 1: see --keys");
    }

    #[test]
    fn a_transfer_reads_aloud() {
        let transfer = Transfer { number: 3, from: 0, to: 4, amount: 5 };
        let (f, _, argument) = Operation::Transfer(transfer).words();
        assert_eq!(f, "transfer");
        assert_eq!(argument.to_string(), "{amount 5, from a0, number 3, to a4}");
    }
}
