//! This project's node, by its service `Inspect`.

use proto::inspect::{self, InspectRequest, inspect_client::InspectClient};
use tonic::{Status, transport::Channel};

use super::{Observation, Role};

/// The node's state.
///
/// # Errors
/// As the node answers.
pub(super) async fn inspect(channel: Channel) -> Result<Observation, Status> {
    let reply = InspectClient::new(channel).inspect(InspectRequest {}).await?.into_inner();
    let role = match reply.role() {
        inspect::Role::Follower => Role::Follower,
        inspect::Role::Candidate => Role::Candidate,
        inspect::Role::Leader => Role::Leader,
    };
    let connected = reply.peers.iter().filter(|peer| peer.connected).map(|peer| peer.id);
    Ok(Observation {
        boot: Some(reply.boot),
        term: reply.term,
        role,
        leader: (reply.leader != 0).then_some(reply.leader),
        applied_index: reply.applied_index,
        connected: Some(connected.collect()),
    })
}
