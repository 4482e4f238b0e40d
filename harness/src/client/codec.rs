//! Operations as etcd's requests, and etcd's answers as completions. Pure, so that a client of
//! containers and a simulated one mean the same by them.

use std::time::Duration;

use bytes::Bytes;
use checker::history::{Function, Kind, Value, operation::MISMATCH};
use node::kv::{self, Response as Answer};
use proto::etcd::{
    Compare, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse,
    compare::{CompareResult, CompareTarget, TargetUnion},
    request_op::Request,
    response_op::Response,
};
use tonic::{Code, Status};

use super::{
    Completion, describe,
    outcome::{self, Effect, Outcome},
};
use crate::workload::{GARBAGE, Operation};

/// The request that performs an operation.
///
/// # Errors
/// There is none; it was not sent.
pub(crate) fn request(operation: &Operation) -> Result<kv::Request, Status> {
    match (operation.f, operation.value) {
        (Function::Read, _) => Ok(kv::Request::Range(range(&operation.key))),
        (Function::Write, Value::Int(value)) => Ok(kv::Request::Put(put(&operation.key, value))),
        (Function::Cas, Value::Pair(expected, new)) => {
            Ok(kv::Request::Txn(compare_and_set(&operation.key, expected, new)))
        }
        (f, value) => Err(Status::invalid_argument(format!(
            "the client cannot perform {f:?} with value {value:?}"
        ))),
    }
}

/// What an answer says of the operation.
pub(crate) fn answered(operation: &Operation, answer: &Answer) -> Completion {
    match answer {
        Answer::Range(reply) => read(reply),
        Answer::Put(reply) => written(operation, reply),
        Answer::Txn(reply) => compared(operation, reply),
        Answer::DeleteRange(_) => {
            let status =
                Status::internal("the node answered with something else than was asked for");
            refused(operation, &status, false)
        }
    }
}

/// What the answer to a read says.
pub(crate) fn read(reply: &RangeResponse) -> Completion {
    let (value, revision) = value_of(reply);
    Completion {
        kind: Kind::Ok,
        value: value.map_or(Value::Nil, Value::Int),
        error: None,
        revision,
        saw: Some(value),
        broken: false,
    }
}

/// What the answer to a write says.
pub(crate) fn written(operation: &Operation, reply: &PutResponse) -> Completion {
    let saw = match operation.value {
        Value::Int(value) => Some(Some(value)),
        Value::Nil | Value::Pair(..) | Value::Found(_) => None,
    };
    Completion {
        kind: Kind::Ok,
        value: operation.value,
        error: None,
        revision: reply.header.as_ref().map(|header| header.revision),
        saw,
        broken: false,
    }
}

/// What the answer to a compare-and-set says.
pub(crate) fn compared(operation: &Operation, reply: &TxnResponse) -> Completion {
    if reply.succeeded {
        let saw = match operation.value {
            Value::Pair(_, new) => Some(Some(new)),
            Value::Nil | Value::Int(_) | Value::Found(_) => None,
        };
        return Completion {
            kind: Kind::Ok,
            value: operation.value,
            error: None,
            revision: reply.header.as_ref().map(|header| header.revision),
            saw,
            broken: false,
        };
    }
    let saw = reply.responses.iter().find_map(|response| match &response.response {
        Some(Response::ResponseRange(range)) => Some(value_of(range).0),
        _ => None,
    });
    Completion {
        kind: Kind::Fail,
        value: saw.map_or(operation.value, Value::Found),
        error: Some(MISMATCH.to_owned()),
        revision: None,
        saw,
        broken: false,
    }
}

/// The error of a client that waited long enough.
pub(crate) fn too_late(timeout: Duration) -> Status {
    Status::deadline_exceeded(format!("no answer within {timeout:?}"))
}

/// What an error says of the operation.
pub(crate) fn refused(operation: &Operation, status: &Status, tells_outcome: bool) -> Completion {
    let effect = match operation.f {
        Function::Read => Effect::Read,
        _ => Effect::Write,
    };
    let kind = match outcome::of(status, effect, tells_outcome) {
        Outcome::None => Kind::Fail,
        Outcome::Unknown => Kind::Info,
    };
    Completion {
        kind,
        value: operation.value,
        error: Some(describe(status)),
        revision: None,
        saw: None,
        broken: !healthy(status),
    }
}

/// What becomes of an operation that was never sent.
pub(crate) fn unsent(operation: &Operation, why: String) -> Completion {
    Completion {
        kind: Kind::Fail,
        value: operation.value,
        error: Some(why),
        revision: None,
        saw: None,
        broken: true,
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
