//! Accounts: one key each. The value is `BALANCE TRANSFERS LAST`: what the account holds, how many
//! transfers changed it, and the number of the last. An account without a key was never changed.

use bytes::Bytes;
use checker::{
    history::generic::{Datum, INSUFFICIENT},
    judge::front::bank::OPENING,
};
use node::kv;
use proto::{
    etcd::{RangeRequest, RangeResponse, response_op::Response},
    mvcc::KeyValue,
};
use tonic::Status;

use super::{Act, Guarded, datum, numbers, put, range_of, ranges};
use crate::{
    client::codec,
    workload::{
        GARBAGE,
        bank::{Transfer, name},
    },
};

/// All keys of accounts begin so,
const PREFIX: &[u8] = b"bank/";
/// and come before this one.
const END: &[u8] = b"bank0";

fn key(account: u32) -> Bytes {
    Bytes::from([PREFIX, name(account).as_bytes()].concat())
}

/// What an account holds.
#[derive(Clone, Copy)]
struct Account {
    balance: i64,
    transfers: i64,
    last: i64,
}

impl Account {
    /// By its value. A value that is none says so by a balance that no account can have.
    fn of(value: &[u8]) -> Self {
        match numbers(value)[..] {
            [balance, transfers, last] if transfers > 0 => Self { balance, transfers, last },
            _ => Self { balance: GARBAGE, transfers: 1, last: GARBAGE },
        }
    }

    fn found(pair: Option<&KeyValue>) -> Self {
        let new = Self { balance: OPENING, transfers: 0, last: 0 };
        pair.map_or(new, |pair| Self::of(&pair.value))
    }

    /// The value after a transfer that changes the balance by so much.
    fn changed(self, number: i64, change: i64) -> String {
        let balance = self.balance.saturating_add(change);
        format!("{balance} {} {number}", self.transfers.saturating_add(1))
    }

    fn words(self) -> Datum {
        Datum::List([self.balance, self.transfers, self.last].map(datum).to_vec())
    }
}

/// A range of all accounts.
pub(super) fn read_request() -> kv::Request {
    let (key, range_end) = (Bytes::from_static(PREFIX), Bytes::from_static(END));
    kv::Request::Range(RangeRequest { key, range_end, ..RangeRequest::default() })
}

/// The states of these accounts, as the history has them.
fn words<'a>(pairs: impl IntoIterator<Item = &'a KeyValue>) -> Datum {
    let state = |pair: &KeyValue| {
        let name = pair.key.strip_prefix(PREFIX).unwrap_or(&pair.key);
        let name = String::from_utf8_lossy(name);
        (Datum::Text(name.into()), Account::of(&pair.value).words())
    };
    let mut states: Vec<_> = pairs.into_iter().map(state).collect();
    states.sort_unstable();
    Datum::Map(states)
}

/// What a read of all accounts says.
pub(super) fn states(range: &RangeResponse) -> Datum {
    words(&range.kvs)
}

impl Guarded for Transfer {
    fn keys(&self) -> Vec<Bytes> {
        vec![key(self.from), key(self.to)]
    }

    /// Reads both accounts once more, and then changes them.
    fn act(&self, found: &[Option<KeyValue>]) -> Act {
        let account = |at: usize| Account::found(found.get(at).and_then(Option::as_ref));
        let (from, to) = (account(0), account(1));
        if from.balance < self.amount {
            return Act::Refuse(words(found.iter().flatten()), INSUFFICIENT);
        }
        let mut requests = ranges(&self.keys());
        requests.push(put(key(self.from), from.changed(self.number, -self.amount)));
        requests.push(put(key(self.to), to.changed(self.number, self.amount)));
        Act::Requests(requests)
    }

    /// Both accounts, as they were before.
    fn told(&self, answers: &[Response]) -> Result<Datum, Status> {
        match answers {
            [from, to, Response::ResponsePut(_), Response::ResponsePut(_)] => {
                Ok(words(range_of(from)?.kvs.iter().chain(&range_of(to)?.kvs)))
            }
            _ => Err(codec::unasked()),
        }
    }
}
