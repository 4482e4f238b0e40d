//! Operations as sequences of etcd's requests: a pure machine, so that a client of containers and a
//! simulated one perform them alike. An operation gives its first request; each answer gives the
//! next request, or the operation's end.
//!
//! Most operations are one request. Those that read before they write are [`Guarded`]:
//!
//! ```text
//! read   Txn: Range of each key                     ──► values and revisions
//! write  Txn: if no key has another revision since  ──► succeeded: ok
//!               then the operation                      failed: what the keys hold now, and again
//!               else Range of each key                  from `write`, a bounded number of times
//! ```
//!
//! So the operation takes place at one moment, that of its last request.
//!
//! # What an error means
//! Before the first `write` is sent, nothing can have changed: the operation failed. A `write`
//! whose guard failed changed nothing either, but then the next `write` is on its way. So from the
//! first `write` on, an error means what [`outcome`](super::outcome) says of a write.
//!
//! - `append`, `bank`, `set`: what the store holds for each workload.

mod append;
mod bank;
mod set;

use bytes::Bytes;
use checker::history::{
    Kind,
    generic::{CONFLICT, Datum},
};
use node::kv::{self, Response};
use proto::{
    etcd::{
        Compare, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
        compare::{CompareResult, CompareTarget, TargetUnion},
        request_op::Request,
        response_op,
    },
    mvcc::KeyValue,
};
use tonic::Status;

use super::{Completion, codec, outcome::Effect};
use crate::workload::{ATTEMPTS_MAX, Answer, GARBAGE, Operation, bank as bank_of};

/// An operation that is being performed.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    operation: Operation,
    /// Writes that were sent.
    writes: u32,
}

/// What comes after an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// The operation takes another request.
    Send(kv::Request),
    /// It is over.
    Done(Completion),
}

/// An operation that reads some keys and then writes, if they did not change meanwhile.
trait Guarded {
    /// The keys that it reads first; none: it only reads, and all at once.
    fn keys(&self) -> Vec<Bytes>;

    /// What it does once it knows what these keys hold, in their order.
    fn act(&self, found: &[Option<KeyValue>]) -> Act;

    /// What the answers to what it did say.
    ///
    /// # Errors
    /// They are no answers of that.
    fn told(&self, answers: &[response_op::Response]) -> Result<Datum, Status>;
}

/// What a guarded operation does.
enum Act {
    /// These requests, all at one moment.
    Requests(Vec<Request>),
    /// Nothing: what it read ends it. With an answer and an error.
    Refuse(Datum, &'static str),
}

/// An operation by the number of its requests.
enum Shape<'a> {
    One,
    Guarded(&'a dyn Guarded),
}

fn shape(operation: &Operation) -> Shape<'_> {
    match operation {
        Operation::Append(transaction) => Shape::Guarded(transaction),
        Operation::Bank(bank_of::Operation::Transfer(transfer)) => Shape::Guarded(transfer),
        Operation::Bank(bank_of::Operation::Read)
        | Operation::Register(_)
        | Operation::Etcd(_)
        | Operation::Set(_) => Shape::One,
    }
}

impl Steps {
    /// Begins an operation. If it has no first request, it is over at once, and nothing was sent.
    pub(crate) fn begin(operation: Operation) -> (Self, Next) {
        let first = match shape(&operation) {
            Shape::One => match only_request(&operation) {
                Ok(request) => Next::Send(request),
                Err(status) => Next::Done(codec::failed(Effect::Read, &status, false)),
            },
            Shape::Guarded(guarded) => match guarded.keys() {
                keys if keys.is_empty() => match guarded.act(&[]) {
                    Act::Requests(requests) => Next::Send(txn(Vec::new(), requests, Vec::new())),
                    Act::Refuse(told, error) => Next::Done(refusal(told, error)),
                },
                keys => Next::Send(txn(Vec::new(), ranges(&keys), Vec::new())),
            },
        };
        (Self { operation, writes: 0 }, first)
    }

    /// What comes after an answer to the latest request.
    pub(crate) fn answered(&mut self, answer: Response) -> Next {
        let next = match shape(&self.operation) {
            Shape::One => only_answer(&self.operation, answer).map(Next::Done),
            Shape::Guarded(guarded) => {
                let (next, wrote) = step(guarded, self.writes, answer);
                self.writes += u32::from(wrote);
                next
            }
        };
        next.unwrap_or_else(|status| Next::Done(self.refused(&status, false)))
    }

    /// What becomes of the operation when the latest request is answered by an error, or by
    /// nothing. `tells_outcome`: the system's `raft-outcome` is believed.
    pub(crate) fn refused(&self, status: &Status, tells_outcome: bool) -> Completion {
        match shape(&self.operation) {
            Shape::Guarded(_) if self.writes == 0 => {
                codec::failed(Effect::Read, status, tells_outcome)
            }
            _ => codec::refused(&self.operation, status, tells_outcome),
        }
    }
}

/// What comes after an answer to a guarded operation that has sent so many writes, and whether that
/// is another write.
fn step(guarded: &dyn Guarded, writes: u32, answer: Response) -> (Result<Next, Status>, bool) {
    let keys = guarded.keys();
    let Response::Txn(TxnResponse { succeeded, responses, .. }) = answer else {
        return (Err(codec::unasked()), false);
    };
    let answers: Vec<_> = responses.into_iter().filter_map(|answer| answer.response).collect();
    if succeeded && (writes > 0 || keys.is_empty()) {
        let told = guarded.told(&answers);
        let done = |told| Next::Done(Completion::of(Kind::Ok, Answer::Told(told), None));
        return (told.map(done), false);
    }
    if writes >= ATTEMPTS_MAX {
        let conflict = Some(CONFLICT.to_owned());
        let completion = Completion::of(Kind::Fail, Answer::Nothing, conflict);
        return (Ok(Next::Done(completion)), false);
    }
    let found = match found(&keys, &answers) {
        Ok(found) => found,
        Err(status) => return (Err(status), false),
    };
    match guarded.act(&found) {
        Act::Requests(requests) => {
            let guards = keys.iter().zip(&found).map(|(key, found)| unchanged(key, found.as_ref()));
            let request = txn(guards.collect(), requests, ranges(&keys));
            (Ok(Next::Send(request)), true)
        }
        Act::Refuse(told, error) => (Ok(Next::Done(refusal(told, error))), false),
    }
}

/// What each key holds, by answers to [`ranges`].
fn found(
    keys: &[Bytes],
    answers: &[response_op::Response],
) -> Result<Vec<Option<KeyValue>>, Status> {
    if keys.is_empty() || keys.len() != answers.len() {
        return Err(codec::unasked());
    }
    answers.iter().map(|answer| Ok(range_of(answer)?.kvs.first().cloned())).collect()
}

/// The end of an operation that what it read ended.
fn refusal(told: Datum, error: &str) -> Completion {
    Completion::of(Kind::Fail, Answer::Told(told), Some(error.to_owned()))
}

/// The request of an operation that has one.
fn only_request(operation: &Operation) -> Result<kv::Request, Status> {
    match operation {
        Operation::Register(operation) => codec::register_request(operation),
        Operation::Etcd(operation) => Ok(operation.request.clone()),
        Operation::Set(operation) => Ok(set::request(operation)),
        Operation::Bank(bank_of::Operation::Read) => Ok(bank::read_request()),
        Operation::Bank(bank_of::Operation::Transfer(_)) | Operation::Append(_) => {
            Err(Status::internal("the operation takes several requests"))
        }
    }
}

/// The end of an operation that has one request.
fn only_answer(operation: &Operation, answer: Response) -> Result<Completion, Status> {
    let told = match (operation, &answer) {
        (Operation::Etcd(asked), _) if codec::is_of(&asked.request, &answer) => {
            Answer::Etcd(answer)
        }
        (Operation::Register(asked), _) => {
            return codec::register_answered(asked, &answer).ok_or_else(codec::unasked);
        }
        (Operation::Set(asked), _) => Answer::Told(set::told(asked, &answer)?),
        (Operation::Bank(_), Response::Range(range)) => Answer::Told(bank::states(range)),
        _ => return Err(codec::unasked()),
    };
    Ok(Completion::of(Kind::Ok, told, None))
}

fn txn(compare: Vec<Compare>, success: Vec<Request>, failure: Vec<Request>) -> kv::Request {
    let operations = |requests: Vec<Request>| {
        requests.into_iter().map(|request| RequestOp { request: Some(request) }).collect()
    };
    let (success, failure) = (operations(success), operations(failure));
    kv::Request::Txn(TxnRequest { compare, success, failure })
}

/// A range of each key.
fn ranges(keys: &[Bytes]) -> Vec<Request> {
    keys.iter().cloned().map(range).collect()
}

fn range(key: Bytes) -> Request {
    Request::RequestRange(RangeRequest { key, ..RangeRequest::default() })
}

fn put(key: Bytes, value: String) -> Request {
    Request::RequestPut(PutRequest { key, value: value.into(), ..PutRequest::default() })
}

/// That a key did not change since it was found so; one that was not there has revision 0.
fn unchanged(key: &Bytes, found: Option<&KeyValue>) -> Compare {
    let revision = found.map_or(0, |pair| pair.mod_revision);
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.clone(),
        range_end: Bytes::new(),
        target_union: Some(TargetUnion::ModRevision(revision)),
    }
}

/// The answer to a range within a transaction.
fn range_of(answer: &response_op::Response) -> Result<&RangeResponse, Status> {
    match answer {
        response_op::Response::ResponseRange(range) => Ok(range),
        _ => Err(codec::unasked()),
    }
}

/// The numbers of a value, separated by spaces; [`GARBAGE`] for each that is none.
fn numbers(value: &[u8]) -> Vec<i64> {
    let text = String::from_utf8_lossy(value);
    text.split_ascii_whitespace().map(|word| word.parse().unwrap_or(GARBAGE)).collect()
}

fn datum(number: i64) -> Datum {
    Datum::Int(number)
}

#[cfg(test)]
mod tests;
