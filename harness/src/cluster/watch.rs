//! What the nodes say of themselves, asked all the time: who leads, since which start they run.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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
    seen: Mutex<BTreeMap<NodeId, Seen>>,
    /// How often each node was started, for systems that do not count it themselves.
    starts: Mutex<BTreeMap<NodeId, u64>>,
}

/// What a node said, when, and since which start it runs.
#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    boot: u64,
    said: Observation,
}

impl Watch {
    pub(super) fn new(nodes: BTreeMap<NodeId, Node>) -> Self {
        Self { nodes, seen: Mutex::default(), starts: Mutex::default() }
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

    /// A node was started.
    pub(super) fn started(&self, id: NodeId) {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        *starts.entry(id).or_default() += 1;
    }

    /// Asks one node now.
    ///
    /// # Errors
    /// The node did not answer.
    async fn ask(&self, id: NodeId, timeout: Duration) -> Result<Seen, tonic::Status> {
        let node = self.nodes.get(&id).ok_or_else(|| tonic::Status::not_found("no such node"))?;
        let started = {
            let starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
            starts.get(&id).copied().unwrap_or(0)
        };
        let said = node.inspect(timeout).await?;
        let answer = Seen { at: Instant::now(), boot: said.boot.unwrap_or(started), said };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.get(&id).is_none_or(|last| last.boot <= answer.boot) {
            seen.insert(id, answer.clone());
        }
        Ok(answer)
    }

    /// A node's status: [`Finding::Status`].
    ///
    /// # Errors
    /// The node did not answer.
    pub(super) async fn status(&self, id: NodeId, patience: Duration) -> Result<Finding, Failure> {
        let Seen { boot, said, .. } = self.ask(id, patience).await.map_err(|it| failure(&it))?;
        let peers = self.nodes.keys().copied().filter(|peer| *peer != id);
        let unconnected = match &said.connected {
            Some(connected) => peers.filter(|peer| !connected.contains(peer)).collect(),
            None => Vec::new(),
        };
        Ok(Finding::Status(Status {
            boot,
            role: said.role,
            term: said.term,
            leader: said.leader,
            applied_index: said.applied_index,
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
            .filter(|(_, last)| last.said.role == Role::Leader && last.at.elapsed() < FRESH)
            .max_by_key(|(_, last)| last.said.term)
            .map(|(id, last)| (*id, last.said.term))
    }

    /// The number of the last start of a node that was seen; 0 if none was.
    pub(super) fn boot(&self, id: NodeId) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&id).map_or(0, |last| last.boot)
    }
}

fn failure(status: &tonic::Status) -> Failure {
    let words = status.message().to_owned();
    match status.code() {
        Code::DeadlineExceeded => Failure::Hangs(words),
        _ => Failure::Refused(words),
    }
}
