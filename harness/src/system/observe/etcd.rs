//! etcd, by its service `Maintenance`. Members have numbers of etcd's own: which node has which is
//! learned from the nodes' answers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use proto::etcd::{StatusRequest, maintenance_client::MaintenanceClient};
use tonic::{Status, transport::Channel};

use super::{Observation, Role};
use crate::nemesis::NodeId;

/// The node's state.
///
/// # Errors
/// As the node answers.
pub(super) async fn inspect(
    channel: Channel,
    id: NodeId,
    members: &Mutex<BTreeMap<u64, NodeId>>,
) -> Result<Observation, Status> {
    let reply = MaintenanceClient::new(channel).status(StatusRequest {}).await?.into_inner();
    let header = reply.header.unwrap_or_default();
    let leader = {
        let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
        members.insert(header.member_id, id);
        members.get(&reply.leader).copied()
    };
    let role = match reply.leader {
        0 => Role::Candidate,
        leader if leader == header.member_id => Role::Leader,
        _ => Role::Follower,
    };
    Ok(Observation {
        boot: None,
        term: reply.raft_term,
        role,
        leader,
        applied_index: reply.raft_applied_index,
        connected: None,
    })
}
