//! Operations of one request as etcd's requests, and etcd's answers as completions. Pure, so that a
//! client of containers and a simulated one mean the same by them. Operations that take several
//! requests are in [`steps`](super::steps).

use std::time::Duration;

use bytes::Bytes;
use checker::history::{Function, Kind, Value, operation::MISMATCH};
use node::kv::{self, Response};
use proto::etcd::{
    Compare, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse,
    compare::{CompareResult, CompareTarget, TargetUnion},
    request_op::Request,
    response_op::Response as ResponseOf,
};
use tonic::{Code, Status};

use super::{
    Completion, NO_ANSWER, describe,
    outcome::{self, Effect, Outcome},
};
use crate::workload::{
    Answer, GARBAGE, Operation,
    register::{self, Reads},
};

/// The request that performs an operation on a register.
///
/// # Errors
/// There is none; it was not sent.
pub(super) fn register_request(operation: &register::Operation) -> Result<kv::Request, Status> {
    match (operation.f, operation.value) {
        (Function::Read, _) => {
            let serializable = operation.reads == Reads::Serializable;
            Ok(kv::Request::Range(RangeRequest { serializable, ..range(&operation.key) }))
        }
        (Function::Write, Value::Int(value)) => Ok(kv::Request::Put(put(&operation.key, value))),
        (Function::Cas, Value::Pair(expected, new)) => {
            Ok(kv::Request::Txn(compare_and_set(&operation.key, expected, new)))
        }
        (f, value) => Err(Status::invalid_argument(format!(
            "the client cannot perform {f:?} with value {value:?}"
        ))),
    }
}

/// What an answer says of an operation on a register; none: it is no answer of what was asked.
pub(super) fn register_answered(
    operation: &register::Operation,
    answer: &Response,
) -> Option<Completion> {
    let told = match (operation.f, answer) {
        (Function::Read, Response::Range(reply)) => read(reply),
        (Function::Write, Response::Put(reply)) => written(operation, reply),
        (Function::Cas, Response::Txn(reply)) => return Some(compared(operation, reply)),
        _ => return None,
    };
    Some(Completion::of(Kind::Ok, Answer::Register(told), None))
}

/// Whether it is an answer of the call that was asked for.
pub(super) fn is_of(request: &kv::Request, answer: &Response) -> bool {
    matches!(
        (request, answer),
        (kv::Request::Put(_), Response::Put(_))
            | (kv::Request::Range(_), Response::Range(_))
            | (kv::Request::DeleteRange(_), Response::DeleteRange(_))
            | (kv::Request::Txn(_), Response::Txn(_))
    )
}

/// What the answer to a read says.
fn read(reply: &RangeResponse) -> register::Answer {
    let (value, revision) = value_of(reply);
    let saw = Some(value);
    register::Answer { value: value.map_or(Value::Nil, Value::Int), revision, saw }
}

/// What the answer to a write says.
fn written(operation: &register::Operation, reply: &PutResponse) -> register::Answer {
    let saw = match operation.value {
        Value::Int(value) => Some(Some(value)),
        Value::Nil | Value::Pair(..) | Value::Found(_) => None,
    };
    let revision = reply.header.as_ref().map(|header| header.revision);
    register::Answer { value: operation.value, revision, saw }
}

/// What the answer to a compare-and-set says.
fn compared(operation: &register::Operation, reply: &TxnResponse) -> Completion {
    if reply.succeeded {
        let saw = match operation.value {
            Value::Pair(_, new) => Some(Some(new)),
            Value::Nil | Value::Int(_) | Value::Found(_) => None,
        };
        let revision = reply.header.as_ref().map(|header| header.revision);
        let told = register::Answer { value: operation.value, revision, saw };
        return Completion::of(Kind::Ok, Answer::Register(told), None);
    }
    let saw = reply.responses.iter().find_map(|response| match &response.response {
        Some(ResponseOf::ResponseRange(range)) => Some(value_of(range).0),
        _ => None,
    });
    let value = saw.map_or(operation.value, Value::Found);
    let told = register::Answer { value, revision: None, saw };
    Completion::of(Kind::Fail, Answer::Register(told), Some(MISMATCH.to_owned()))
}

/// The error of a client that waited long enough.
pub(crate) fn too_late(timeout: Duration) -> Status {
    Status::deadline_exceeded(format!("no answer within {timeout:?}"))
}

/// The error of a client that was given an answer of something else.
pub(super) fn unasked() -> Status {
    Status::internal("the node answered with something else than was asked for")
}

/// What an error says of an operation of which nothing is known but that it was sent.
pub(crate) fn refused(operation: &Operation, status: &Status, tells_outcome: bool) -> Completion {
    let effect = if operation.is_read() { Effect::Read } else { Effect::Write };
    failed(effect, status, tells_outcome)
}

/// What an error says of requests with this effect.
pub(super) fn failed(effect: Effect, status: &Status, tells_outcome: bool) -> Completion {
    let kind = match outcome::of(status, effect, tells_outcome) {
        Outcome::None => Kind::Fail,
        Outcome::Unknown => Kind::Info,
    };
    // What a node says of the request itself, every node would.
    let deserved =
        matches!(status.code(), Code::InvalidArgument | Code::NotFound | Code::OutOfRange);
    let sent_by_node = std::error::Error::source(status).is_none();
    Completion {
        conclusive: kind == Kind::Fail && deserved && sent_by_node,
        broken: !healthy(status),
        ..Completion::of(kind, Answer::Nothing, Some(said(status, tells_outcome)))
    }
}

/// An error in words, for the history. A client's library has errors of its own that look like a
/// node's; one of ours says by its word on the outcome that it is.
fn said(status: &Status, tells_outcome: bool) -> String {
    let serious = matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss);
    let by_node = status.metadata().contains_key(outcome::METADATA);
    let described = describe(status);
    match serious && tells_outcome && !by_node && !described.starts_with(NO_ANSWER) {
        true => format!("{NO_ANSWER}{described}"),
        false => described,
    }
}

/// What becomes of an operation that was never sent.
pub(crate) fn unsent(why: String) -> Completion {
    Completion {
        conclusive: false,
        broken: true,
        ..Completion::of(Kind::Fail, Answer::Nothing, Some(why))
    }
}

fn range(key: &str) -> RangeRequest {
    RangeRequest { key: Bytes::copy_from_slice(key.as_bytes()), ..RangeRequest::default() }
}

fn put(key: &str, value: i64) -> PutRequest {
    PutRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: encode(value),
        ..PutRequest::default()
    }
}

fn compare_and_set(key: &str, expected: Option<i64>, new: i64) -> TxnRequest {
    let request = |request| RequestOp { request: Some(request) };
    let (target, union) = match expected {
        Some(value) => (CompareTarget::Value, TargetUnion::Value(encode(value))),
        // A key that does not exist has no value to compare; its creation revision is 0.
        None => (CompareTarget::Create, TargetUnion::CreateRevision(0)),
    };
    TxnRequest {
        compare: vec![Compare {
            result: CompareResult::Equal.into(),
            target: target.into(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            range_end: Bytes::new(),
            target_union: Some(union),
        }],
        success: vec![request(Request::RequestPut(put(key, new)))],
        failure: vec![request(Request::RequestRange(range(key)))],
    }
}

fn encode(value: i64) -> Bytes {
    Bytes::from(value.to_string())
}

fn value_of(reply: &RangeResponse) -> (Option<i64>, Option<i64>) {
    let Some(found) = reply.kvs.first() else { return (None, None) };
    let value = std::str::from_utf8(&found.value).ok().and_then(|text| text.parse().ok());
    (Some(value.unwrap_or(GARBAGE)), Some(found.mod_revision))
}

/// An error that the node itself sent in an orderly reply leaves the connection as good as it was.
fn healthy(status: &Status) -> bool {
    use std::error::Error;
    let sent_by_node = status.source().is_none();
    sent_by_node
        && !matches!(
            status.code(),
            Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal
        )
}
