//! From created containers to a cluster that serves.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::bail;
use checker::evidence::Crash;
use futures::future::try_join_all;

use super::watch::Watch;
use crate::{
    cluster::docker::Cluster,
    nemesis::NodeId,
    system::{Observation, System},
};

/// Within this time a cluster must be complete and have a leader.
const PATIENCE: Duration = Duration::from_secs(30);
const RPC: Duration = Duration::from_millis(500);

/// Starts every node, and waits until each answers on its client port, has an open stream to
/// every peer, and follows one leader.
///
/// # Errors
/// A node exited (with the last lines of its log), or the cluster was not complete in time: says
/// what was missing.
pub(super) async fn bring_up(cluster: &Cluster, watch: &Watch) -> anyhow::Result<()> {
    let nodes = watch.ids();
    try_join_all(nodes.iter().map(|&node| cluster.start(node))).await?;
    let start = Instant::now();
    loop {
        let mut missing = Vec::new();
        let mut leaders = Vec::new();
        for &node in &nodes {
            match watch.ask(node, RPC).await {
                Ok(seen) => {
                    missing.extend(lacks(node, &seen, &nodes));
                    leaders.push(seen.leader);
                }
                Err(status) => {
                    running(cluster, node, 10).await?;
                    missing.push(format!("n{node} does not answer: {}", status.message()));
                }
            }
        }
        if missing.is_empty() && leaders.windows(2).any(|pair| pair[0] != pair[1]) {
            missing.push("the nodes do not agree on a leader".to_owned());
        }
        if missing.is_empty() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            bail!(
                "the cluster was not complete {PATIENCE:?} after its start: {}. See the nodes' \
                 logs in the run directory",
                missing.join("; ")
            );
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

fn lacks(node: NodeId, seen: &Observation, nodes: &[NodeId]) -> Option<String> {
    let far: Vec<String> = nodes
        .iter()
        .filter(|peer| **peer != node && !seen.connected.contains(peer))
        .map(|peer| format!("n{peer}"))
        .collect();
    if !far.is_empty() {
        return Some(format!("n{node} is not connected to {}", far.join(", ")));
    }
    seen.leader.is_none().then(|| format!("n{node} knows no leader"))
}

/// # Errors
/// The node's container has exited; with its code and the last `lines` that it printed.
pub(super) async fn running(cluster: &Cluster, node: NodeId, lines: usize) -> anyhow::Result<()> {
    let state = cluster.state(node).await?;
    if state.running {
        return Ok(());
    }
    let logs = cluster.logs(node, lines).await.unwrap_or_default();
    let said = match logs.trim_end() {
        "" => "it said nothing".to_owned(),
        words if lines == 1 => format!("it last said: {words}"),
        words => format!("it last said:\n{words}"),
    };
    Err(Exited { node, code: state.exit_code, out_of_memory: state.out_of_memory, said }.into())
}

/// A node's process ended, and no fault had ended it.
#[derive(Debug)]
pub(super) struct Exited {
    pub(super) node: NodeId,
    pub(super) code: Option<i64>,
    pub(super) out_of_memory: bool,
    /// What it last said, in words.
    pub(super) said: String,
}

impl Exited {
    /// The crash that an error is, if it is one: the node ended with the code that its system keeps
    /// for defects.
    pub(super) fn crash(error: &anyhow::Error, system: System) -> Option<Crash> {
        let exited = error.downcast_ref::<Self>()?;
        let defect = exited.code == Some(system.defect_code()) && !exited.out_of_memory;
        defect.then(|| Crash { node: exited.node, how: exited.to_string() })
    }
}

impl fmt::Display for Exited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{} exited", self.node)?;
        if let Some(code) = self.code {
            write!(f, " with code {code}")?;
        }
        if self.out_of_memory {
            f.write_str(" (the kernel killed it for lack of memory)")?;
        }
        write!(f, "; {}", self.said)
    }
}

impl std::error::Error for Exited {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_a_defect_is_a_crash() {
        let crash = |code, out_of_memory| {
            let said = "it last said: the node stops, as it has a defect".to_owned();
            let error = anyhow::Error::from(Exited { node: 3, code, out_of_memory, said });
            Exited::crash(&error.context("started again"), System::RaftNode)
        };
        let found = crash(Some(101), false).unwrap();
        assert_eq!(found.node, 3);
        assert!(found.how.contains("exited with code 101; it last said"), "{}", found.how);
        for (code, out_of_memory) in [(Some(3), false), (Some(137), false), (Some(101), true)] {
            assert_eq!(crash(code, out_of_memory), None);
        }
        assert_eq!(Exited::crash(&anyhow::anyhow!("else"), System::RaftNode), None);
    }

    #[test]
    fn what_a_node_lacks_is_said() {
        let seen = |leader, connected: &[u64]| Observation {
            boot: 1,
            term: 1,
            role: proto::inspect::Role::Follower,
            leader,
            last_index: 0,
            applied_index: 0,
            connected: connected.to_vec(),
        };
        let nodes = [1, 2, 3];
        let lacks = |leader, connected: &[u64]| lacks(1, &seen(leader, connected), &nodes);
        assert_eq!(lacks(Some(2), &[2, 3]), None);
        assert_eq!(lacks(None, &[2, 3]).unwrap(), "n1 knows no leader");
        assert_eq!(lacks(Some(2), &[2]).unwrap(), "n1 is not connected to n3");
    }
}
