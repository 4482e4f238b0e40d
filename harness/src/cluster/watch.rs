//! What the nodes say of themselves, asked all the time: who leads, since which start they run.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use proto::inspect;
use tokio::{task::JoinSet, time::Instant};
use tonic::Code;

use crate::{
    exercise::{Failure, Finding, Role, Status},
    nemesis::NodeId,
    system::{Node, Observation},
};

const INTERVAL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_millis(500);
/// A node is asked for the hash of its store, which it must compute.
const HASH: Duration = Duration::from_secs(2);
/// An older observation says nothing of the present.
const FRESH: Duration = Duration::from_millis(1000);

/// The last observation of every node.
#[derive(Debug)]
pub(super) struct Watch {
    nodes: BTreeMap<NodeId, Node>,
    seen: Mutex<BTreeMap<NodeId, (Instant, Observation)>>,
}

impl Watch {
    pub(super) fn new(nodes: BTreeMap<NodeId, Node>) -> Self {
        Self { nodes, seen: Mutex::new(BTreeMap::new()) }
    }

    /// Asks every node again and again. Never returns.
    pub(super) async fn run(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        for id in self.nodes.keys().copied() {
            let watch = Arc::clone(&self);
            tasks.spawn(async move {
                loop {
                    // A failure is the absence of news, and dated as such.
                    let _ = watch.ask(id, TIMEOUT).await;
                    tokio::time::sleep(INTERVAL).await;
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Asks one node now.
    ///
    /// # Errors
    /// The node did not answer.
    pub(super) async fn ask(
        &self,
        id: NodeId,
        timeout: Duration,
    ) -> Result<Observation, tonic::Status> {
        let node = self.nodes.get(&id).ok_or_else(|| tonic::Status::not_found("no such node"))?;
        let observation = node.inspect(timeout).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = seen.get(&id).is_none_or(|(_, last)| last.boot <= observation.boot);
        if newest {
            seen.insert(id, (Instant::now(), observation.clone()));
        }
        Ok(observation)
    }

    /// A node's status: [`Finding::Status`].
    ///
    /// # Errors
    /// The node did not answer.
    pub(super) async fn status(&self, id: NodeId, patience: Duration) -> Result<Finding, Failure> {
        let seen = self.ask(id, patience).await.map_err(|status| failure(&status))?;
        let peers = self.nodes.keys().copied().filter(|peer| *peer != id);
        let unconnected = peers.filter(|peer| !seen.connected.contains(peer)).collect();
        Ok(Finding::Status(Status {
            boot: seen.boot,
            role: match seen.role {
                inspect::Role::Follower => Role::Follower,
                inspect::Role::Candidate => Role::Candidate,
                inspect::Role::Leader => Role::Leader,
            },
            term: seen.term,
            leader: seen.leader,
            applied_index: seen.applied_index,
            unconnected,
        }))
    }

    /// Revision and hash of a node's store: [`Finding::Hash`].
    ///
    /// # Errors
    /// The node did not answer.
    pub(super) async fn hash(&self, id: NodeId) -> Result<Finding, Failure> {
        let node = self.nodes.get(&id);
        let node = node.ok_or_else(|| Failure::Impossible(format!("there is no n{id}")))?;
        let (revision, hash) = node.hash(HASH).await.map_err(|status| failure(&status))?;
        Ok(Finding::Hash { revision, hash })
    }

    /// The leader and its term: of the nodes that lately said that they lead, the one of the
    /// highest term. A cut-off leader may believe in itself for a long time.
    pub(super) fn leader(&self) -> Option<(NodeId, u64)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter()
            .filter(|(_, (at, observation))| {
                observation.role == proto::inspect::Role::Leader && at.elapsed() < FRESH
            })
            .max_by_key(|(_, (_, observation))| observation.term)
            .map(|(id, (_, observation))| (*id, observation.term))
    }

    /// The number of the last start of a node that was seen; 0 if none was.
    pub(super) fn boot(&self, id: NodeId) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&id).map_or(0, |(_, observation)| observation.boot)
    }
}

fn failure(status: &tonic::Status) -> Failure {
    let words = status.message().to_owned();
    match status.code() {
        Code::DeadlineExceeded => Failure::Hangs(words),
        _ => Failure::Refused(words),
    }
}
