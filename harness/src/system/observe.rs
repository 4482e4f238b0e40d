//! Asking a node for its state.

use std::{net::SocketAddr, time::Duration};

use proto::{
    etcd::{HashKvRequest, maintenance_client::MaintenanceClient},
    inspect::{InspectRequest, Role, inspect_client::InspectClient},
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

/// A node's own account of its state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Number of the present start.
    pub boot: u64,
    /// Its term.
    pub term: u64,
    /// Its role in that term.
    pub role: Role,
    /// The leader that it knows.
    pub leader: Option<u64>,
    /// The last entry of its log.
    pub last_index: u64,
    /// The last entry that it applied.
    pub applied_index: u64,
    /// Peers to which it has an open stream.
    pub connected: Vec<u64>,
}

/// One node's services for observation. Connects when it is asked, and again after a failure.
#[derive(Clone, Debug)]
pub struct Node {
    channel: Channel,
}

impl Node {
    /// A node by the address that it serves clients on. Must be called within a Tokio runtime.
    pub fn new(address: SocketAddr) -> Self {
        // An address and port always make a valid URI; the default is never used.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .unwrap_or_else(|_| Endpoint::from_static("http://127.0.0.1:1"))
            .connect_timeout(Duration::from_secs(1));
        Self { channel: endpoint.connect_lazy() }
    }

    /// A node by a channel to it.
    pub fn over(channel: Channel) -> Self {
        Self { channel }
    }

    /// The node's state.
    ///
    /// # Errors
    /// The node did not answer within `timeout`, or with an error.
    pub async fn inspect(&self, timeout: Duration) -> Result<Observation, Status> {
        let mut client = InspectClient::new(self.channel.clone());
        let reply = within(timeout, client.inspect(InspectRequest {})).await?;
        Ok(Observation {
            boot: reply.boot,
            term: reply.term,
            role: reply.role(),
            leader: (reply.leader != 0).then_some(reply.leader),
            last_index: reply.last_index,
            applied_index: reply.applied_index,
            connected: reply
                .peers
                .iter()
                .filter(|peer| peer.connected)
                .map(|peer| peer.id)
                .collect(),
        })
    }

    /// Revision and hash of the node's store.
    ///
    /// # Errors
    /// The node did not answer within `timeout`, or with an error.
    pub async fn hash(&self, timeout: Duration) -> Result<(i64, u32), Status> {
        let mut client = MaintenanceClient::new(self.channel.clone());
        let reply = within(timeout, client.hash_kv(HashKvRequest { revision: 0 })).await?;
        Ok((reply.header.map_or(0, |header| header.revision), reply.hash))
    }
}

async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(timeout, call).await {
        Ok(reply) => reply.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {timeout:?}"))),
    }
}
