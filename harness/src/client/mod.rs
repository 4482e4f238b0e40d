//! One operation against one node, and what is known of its outcome.
//!
//! A client connects before it sends: [`Connection::open`] returns once the node has answered a
//! harmless request on the new connection. (A published port accepts connections even while the
//! node behind it is dead, so a connection alone says nothing.) Whatever fails before that
//! certainly did not execute the operation. What fails later is sorted by [`outcome`].
//! A client never retries, and its transport never does by itself: after an error that says
//! nothing of the connection's health the connection is dropped.

pub(crate) mod codec;
pub mod outcome;

use std::{net::SocketAddr, time::Duration};

use checker::history::{Kind, Value};
use node::kv::Request;
use proto::etcd::{StatusRequest, kv_client::KvClient, maintenance_client::MaintenanceClient};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::workload::Operation;

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
            match codec::request(operation)? {
                Request::Range(range) => Ok(codec::read(&self.kv.range(range).await?.into_inner())),
                Request::Put(put) => {
                    Ok(codec::written(operation, &self.kv.put(put).await?.into_inner()))
                }
                Request::Txn(txn) => {
                    Ok(codec::compared(operation, &self.kv.txn(txn).await?.into_inner()))
                }
                Request::DeleteRange(_) => Err(Status::unimplemented("no workload deletes")),
            }
        };
        let result = match tokio::time::timeout(timeout, performing).await {
            Ok(result) => result,
            Err(_) => Err(codec::too_late(timeout)),
        };
        result.unwrap_or_else(|status| codec::refused(operation, &status, self.tells_outcome))
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

/// Code and text, for the history.
fn describe(status: &Status) -> String {
    let name = outcome::name(status.code());
    match std::error::Error::source(status) {
        Some(source) => format!("{name}: {}: {}", status.message(), chain(source)),
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
