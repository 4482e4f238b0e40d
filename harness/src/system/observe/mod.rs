//! Asking a node for its state. Each way that a description can name is a file here.

mod etcd;
mod raft_node;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use proto::etcd::{HashKvRequest, maintenance_client::MaintenanceClient};
use serde::{Deserialize, Serialize};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

use super::{System, description};
use crate::nemesis::NodeId;

/// A node's own account of its state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Number of the present start, if the system counts them.
    pub boot: Option<u64>,
    /// Its term.
    pub term: u64,
    /// Its role in that term.
    pub role: Role,
    /// The leader that it knows.
    pub leader: Option<NodeId>,
    /// The last entry that it applied.
    pub applied_index: u64,
    /// Peers to which it has an open stream, if it tells.
    pub connected: Option<Vec<NodeId>>,
}

/// A role in Raft (paper, figure 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads its term.
    Leader,
}

/// One node's services for observation. Connects when it is asked, and again after a failure.
#[derive(Clone, Debug)]
pub struct Node {
    channel: Channel,
    way: Way,
}

/// How a node is asked.
#[derive(Clone, Debug)]
enum Way {
    RaftNode,
    /// Members by the numbers that etcd gives them, as far as they are known; shared by all nodes.
    Etcd {
        id: NodeId,
        members: Arc<Mutex<BTreeMap<u64, NodeId>>>,
    },
}

impl Node {
    /// All nodes of a cluster, by the addresses that they serve clients on. Must be called within
    /// a Tokio runtime.
    pub fn all(
        system: &System,
        addresses: impl IntoIterator<Item = (NodeId, SocketAddr)>,
    ) -> BTreeMap<NodeId, Self> {
        let members = Arc::default();
        let node = |(id, address)| {
            let way = match system.description().status {
                description::Status::RaftNode => Way::RaftNode,
                description::Status::Etcd => Way::Etcd { id, members: Arc::clone(&members) },
            };
            (id, Self { channel: lazy(address), way })
        };
        addresses.into_iter().map(node).collect()
    }

    /// One of this project's nodes, by the address that it serves clients on.
    pub fn new(address: SocketAddr) -> Self {
        Self::over(lazy(address))
    }

    /// One of this project's nodes, by a channel to it.
    pub fn over(channel: Channel) -> Self {
        Self { channel, way: Way::RaftNode }
    }

    /// The node's state.
    ///
    /// # Errors
    /// The node did not answer within `timeout`, or with an error.
    pub async fn inspect(&self, timeout: Duration) -> Result<Observation, Status> {
        let channel = self.channel.clone();
        let asking = async {
            match &self.way {
                Way::RaftNode => raft_node::inspect(channel).await,
                Way::Etcd { id, members } => etcd::inspect(channel, *id, members).await,
            }
        };
        within(timeout, asking).await
    }

    /// Revision and hash of the node's store.
    ///
    /// # Errors
    /// The node did not answer within `timeout`, or with an error.
    pub async fn hash(&self, timeout: Duration) -> Result<(i64, u32), Status> {
        let mut client = MaintenanceClient::new(self.channel.clone());
        let asking = client.hash_kv(HashKvRequest { revision: 0 });
        let reply = within(timeout, async { asking.await.map(Response::into_inner) }).await?;
        Ok((reply.header.map_or(0, |header| header.revision), reply.hash))
    }
}

fn lazy(address: SocketAddr) -> Channel {
    // An address and port always make a valid URI; the default is never used.
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .unwrap_or_else(|_| Endpoint::from_static("http://127.0.0.1:1"))
        .connect_timeout(Duration::from_secs(1));
    endpoint.connect_lazy()
}

async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(timeout, call).await {
        Ok(reply) => reply,
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {timeout:?}"))),
    }
}
