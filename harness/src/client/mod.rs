//! One operation against one node, and what is known of its outcome.
//!
//! A client connects before it sends: [`Connection::open`] returns once the node has answered a
//! harmless request on the new connection. (A published port accepts connections even while the
//! node behind it is dead, so a connection alone says nothing.) Whatever fails before that
//! certainly did not execute the operation. What fails later is sorted by [`outcome`].
//! Some operations take several requests: see `steps`.
//! A connection never sends an operation twice, and its transport never does by itself: after an
//! error that says nothing of the connection's health the connection is dropped. Whoever has a
//! session may send an operation again, as the same one.

pub(crate) mod codec;
pub mod outcome;
pub(crate) mod steps;

use std::{net::SocketAddr, time::Duration};

use checker::history::Kind;
use node::kv::{Request, Response};
use proto::{
    etcd::{StatusRequest, kv_client::KvClient, maintenance_client::MaintenanceClient},
    peer::Session,
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::workload::{Answer, Operation};
use steps::{Next, Steps};

/// Largest answer that a client takes, in bytes.
const ANSWER_MAX: usize = 256 << 20;

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// [`Kind::Ok`], [`Kind::Fail`] or [`Kind::Info`].
    pub kind: Kind,
    /// What the client was told.
    pub answer: Answer,
    /// Why it did not succeed.
    pub error: Option<String>,
    /// The node did what it is there for: it answered, or refused what every node must refuse.
    pub conclusive: bool,
    /// The connection should not be used again.
    pub broken: bool,
}

impl Completion {
    /// An answer on a connection that is well.
    fn of(kind: Kind, answer: Answer, error: Option<String>) -> Self {
        Self { kind, answer, error, conclusive: true, broken: false }
    }
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
        Self::over(channel(address), timeout, tells_outcome).await
    }

    /// The same over any channel; `connect` gives it.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn over(
        connect: impl Future<Output = Result<Channel, String>>,
        timeout: Duration,
        tells_outcome: bool,
    ) -> Result<Self, String> {
        let opening = async {
            let channel = connect.await?;
            let mut maintenance = MaintenanceClient::new(channel.clone());
            maintenance.status(StatusRequest {}).await.map_err(|status| describe(&status))?;
            // An answer may hold a whole store.
            let kv = KvClient::new(channel).max_decoding_message_size(ANSWER_MAX);
            Ok(Self { kv, tells_outcome })
        };
        match tokio::time::timeout(timeout, opening).await {
            Ok(result) => result.map_err(|error: String| format!("not connected: {error}")),
            Err(_) => Err(format!("not connected: no answer within {timeout:?}")),
        }
    }

    /// Performs an operation, as the next of a session if there is one. Waits no longer than
    /// `timeout`.
    pub async fn perform(
        &mut self,
        operation: &Operation,
        session: Option<&Session>,
        timeout: Duration,
    ) -> Completion {
        let (mut steps, mut next) = Steps::begin(operation.clone());
        let performing = async {
            loop {
                let request = match next {
                    Next::Send(request) => request,
                    Next::Done(completion) => return completion,
                };
                next = match self.call(request, session).await {
                    Ok(answer) => steps.answered(answer),
                    Err(status) => return steps.refused(&status, self.tells_outcome),
                };
            }
        };
        let performed = tokio::time::timeout(timeout, performing).await;
        performed.unwrap_or_else(|_| steps.refused(&codec::too_late(timeout), self.tells_outcome))
    }

    /// Sends one request.
    async fn call(
        &mut self,
        request: Request,
        session: Option<&Session>,
    ) -> Result<Response, Status> {
        Ok(match request {
            Request::Range(range) => {
                Response::Range(self.kv.range(with(session, range)?).await?.into_inner())
            }
            Request::Put(put) => {
                Response::Put(self.kv.put(with(session, put)?).await?.into_inner())
            }
            Request::Txn(txn) => {
                Response::Txn(self.kv.txn(with(session, txn)?).await?.into_inner())
            }
            Request::DeleteRange(delete) => {
                let delete = with(session, delete)?;
                Response::DeleteRange(self.kv.delete_range(delete).await?.into_inner())
            }
        })
    }
}

/// Connects to an address of this machine.
///
/// # Errors
/// Says what failed.
pub async fn channel(address: SocketAddr) -> Result<Channel, String> {
    Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| error.to_string())?
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(|error| chain(&error))
}

/// A request that says of which session it is.
fn with<T>(session: Option<&Session>, request: T) -> Result<tonic::Request<T>, Status> {
    let mut request = tonic::Request::new(request);
    if let Some(Session { id, sequence }) = session {
        let malformed =
            |_| Status::invalid_argument("the client cannot say so of which session it is");
        let metadata = request.metadata_mut();
        metadata.insert("raft-session-id", id.parse().map_err(malformed)?);
        metadata.insert("raft-session-sequence", (*sequence).into());
    }
    Ok(request)
}

/// How an error begins that no node gave.
const NO_ANSWER: &str = "no answer: ";

/// Code and text, for the history. What no node said, but a client's own side, does not begin with
/// the code.
fn describe(status: &Status) -> String {
    let name = outcome::name(status.code());
    match std::error::Error::source(status) {
        Some(source) => {
            format!("{NO_ANSWER}{name}: {}: {}", status.message(), chain(source))
        }
        None => format!("{name}: {}", status.message()),
    }
}

/// An error with its causes; transport errors say little without them.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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
