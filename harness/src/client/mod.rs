//! One operation against one node, and what is known of its outcome.
//!
//! A client connects before it sends: [`Connection::open`] returns once the node has answered a
//! harmless request on the new connection. (A published port accepts connections even while the
//! node behind it is dead, so a connection alone says nothing.) Whatever fails before that
//! certainly did not execute the operation. What fails later is sorted by [`outcome`].
//! A client never retries, and its transport never does by itself: after an error that says
//! nothing of the connection's health the connection is dropped.

pub mod outcome;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use checker::history::{Function, Kind, Value};
use proto::etcd::{
    Compare, PutRequest, RangeRequest, RangeResponse, RequestOp, StatusRequest, TxnRequest,
    compare::{CompareResult, CompareTarget, TargetUnion},
    kv_client::KvClient,
    maintenance_client::MaintenanceClient,
    request_op::Request,
    response_op::Response,
};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::workload::Operation;
use outcome::{Effect, Outcome};

/// Read for a value that is not a number, which nobody writes: so a store that returns garbage is
/// found by the checker as a read of a value that was never written.
pub const GARBAGE: i64 = i64::MIN;

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// [`Kind::Ok`], [`Kind::Fail`] or [`Kind::Info`].
    pub kind: Kind,
    /// For the history: as invoked, or what was read.
    pub value: Value,
    /// Why it did not succeed.
    pub error: Option<String>,
    /// The read value's, or the write's.
    pub revision: Option<i64>,
    /// What is now known of the key: `Some(None)` that it does not exist.
    pub saw: Option<Option<i64>>,
    /// The connection should not be used again.
    pub broken: bool,
}

/// A connection on which the node has answered.
#[derive(Debug)]
pub struct Connection {
    kv: KvClient<Channel>,
    tells_outcome: bool,
}

impl Connection {
    /// Connects, and asks the node for its status.
    ///
    /// # Errors
    /// Says what failed. Nothing was sent that could change anything.
    pub async fn open(
        address: SocketAddr,
        timeout: Duration,
        tells_outcome: bool,
    ) -> Result<Self, String> {
        let opening = async {
            let channel = Endpoint::from_shared(format!("http://{address}"))
                .map_err(|error| error.to_string())?
                .tcp_nodelay(true)
                .connect()
                .await
                .map_err(|error| chain(&error))?;
            let mut maintenance = MaintenanceClient::new(channel.clone());
            maintenance.status(StatusRequest {}).await.map_err(|status| describe(&status))?;
            Ok(Self { kv: KvClient::new(channel), tells_outcome })
        };
        match tokio::time::timeout(timeout, opening).await {
            Ok(result) => result.map_err(|error: String| format!("not connected: {error}")),
            Err(_) => Err(format!("not connected: no answer within {timeout:?}")),
        }
    }

    /// Performs an operation. Waits no longer than `timeout`.
    pub async fn perform(&mut self, operation: &Operation, timeout: Duration) -> Completion {
        let performing = async {
            match (operation.f, &operation.value) {
                (Function::Read, _) => self.read(operation).await,
                (Function::Write, Value::Int(value)) => self.write(operation, *value).await,
                (Function::Cas, Value::Pair(expected, new)) => {
                    self.compare_and_set(operation, *expected, *new).await
                }
                (f, value) => Err(Status::invalid_argument(format!(
                    "the client cannot perform {f:?} with value {value:?}"
                ))),
            }
        };
        let result = match tokio::time::timeout(timeout, performing).await {
            Ok(result) => result,
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {timeout:?}"))),
        };
        result.unwrap_or_else(|status| {
            let effect = match operation.f {
                Function::Read => Effect::Read,
                _ => Effect::Write,
            };
            let kind = match outcome::of(&status, effect, self.tells_outcome) {
                Outcome::None => Kind::Fail,
                Outcome::Unknown => Kind::Info,
            };
            Completion {
                kind,
                value: operation.value,
                error: Some(describe(&status)),
                revision: None,
                saw: None,
                broken: !healthy(&status),
            }
        })
    }

    async fn read(&mut self, operation: &Operation) -> Result<Completion, Status> {
        let reply = self.kv.range(range(&operation.key)).await?.into_inner();
        let (value, revision) = value_of(&reply);
        Ok(Completion {
            kind: Kind::Ok,
            value: value.map_or(Value::Nil, Value::Int),
            error: None,
            revision,
            saw: Some(value),
            broken: false,
        })
    }

    async fn write(&mut self, operation: &Operation, value: i64) -> Result<Completion, Status> {
        let reply = self.kv.put(put(&operation.key, value)).await?.into_inner();
        Ok(Completion {
            kind: Kind::Ok,
            value: operation.value,
            error: None,
            revision: reply.header.map(|header| header.revision),
            saw: Some(Some(value)),
            broken: false,
        })
    }

    async fn compare_and_set(
        &mut self,
        operation: &Operation,
        expected: Option<i64>,
        new: i64,
    ) -> Result<Completion, Status> {
        let request = |request| RequestOp { request: Some(request) };
        let (target, union) = match expected {
            Some(value) => (CompareTarget::Value, TargetUnion::Value(encode(value))),
            // A key that does not exist has no value to compare; its creation revision is 0.
            None => (CompareTarget::Create, TargetUnion::CreateRevision(0)),
        };
        let transaction = TxnRequest {
            compare: vec![Compare {
                result: CompareResult::Equal.into(),
                target: target.into(),
                key: Bytes::copy_from_slice(operation.key.as_bytes()),
                range_end: Bytes::new(),
                target_union: Some(union),
            }],
            success: vec![request(Request::RequestPut(put(&operation.key, new)))],
            failure: vec![request(Request::RequestRange(range(&operation.key)))],
        };
        let reply = self.kv.txn(transaction).await?.into_inner();
        if reply.succeeded {
            return Ok(Completion {
                kind: Kind::Ok,
                value: operation.value,
                error: None,
                revision: reply.header.map(|header| header.revision),
                saw: Some(Some(new)),
                broken: false,
            });
        }
        let saw = reply.responses.iter().find_map(|response| match &response.response {
            Some(Response::ResponseRange(range)) => Some(value_of(range).0),
            _ => None,
        });
        Ok(Completion {
            kind: Kind::Fail,
            value: operation.value,
            error: Some("mismatch".to_owned()),
            revision: None,
            saw,
            broken: false,
        })
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

/// Code and text, for the history.
fn describe(status: &Status) -> String {
    let name = outcome::name(status.code());
    match std::error::Error::source(status) {
        Some(source) => format!("{name}: {}: {}", status.message(), chain(source)),
        None => format!("{name}: {}", status.message()),
    }
}

/// An error with its causes; transport errors say little without them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
