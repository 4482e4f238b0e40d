//! What a cluster is to be, and how its parts are named.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Result, bail, ensure};

use super::pod;
use crate::{
    nemesis::NodeId,
    plan::{Limits, NODES_MAX, Storage},
    system::System,
};

/// What a cluster is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names the run in labels and names: letters, digits, `-`, `_`, `.`; at most 60 characters.
    pub run_id: String,
    /// What a node is.
    pub system: System,
    /// The run directory, absolute: if this harness is killed, another copies the nodes' traces
    /// there. None: there is nothing to be saved.
    pub directory: Option<PathBuf>,
    /// Number of nodes, 1 to [`NODES_MAX`].
    pub nodes: usize,
    /// Node n is reached by clients at port `base_port + n - 1` of 127.0.0.1; without it, at a
    /// free port that the daemon chooses. Either way it stays the same as long as the cluster.
    pub base_port: Option<u16>,
    /// Shortest election timeout.
    pub election_timeout: Duration,
    /// Time between a leader's heartbeats.
    pub heartbeat_interval: Duration,
    /// Seed of the nodes' election timeouts.
    pub seed: u64,
    /// The nodes' limits.
    pub limits: Limits,
    /// Where nodes keep their data. The trace outlives a kill in any case.
    pub storage: Storage,
    /// The names of the known bugs that a node has: it then runs [`crate::images::Images::mutant`].
    pub mutants: BTreeMap<NodeId, Vec<String>>,
}

impl Options {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            (1..=NODES_MAX).contains(&(self.nodes as u64)),
            "a cluster has 1 to {NODES_MAX} nodes, not {}",
            self.nodes
        );
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        ensure!(
            (1..=60).contains(&self.run_id.len())
                && self.run_id.starts_with(|c: char| c.is_ascii_alphanumeric())
                && self.run_id.chars().all(allowed),
            "the run id {:?} cannot name containers: use up to 60 letters, digits, `-`, `_` and \
             `.`, with a letter or digit first",
            self.run_id
        );
        for node in 1..=self.nodes as NodeId {
            let Some(base) = self.base_port else { break };
            let Some(port) = self.client_port(node) else {
                bail!("{} ports from {base} on pass 65535; choose a smaller base port", self.nodes);
            };
            // Asking the system first gives a sentence that is the same on every daemon.
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                return Err(pod::port_taken(port, &error.to_string()));
            }
        }
        Ok(())
    }

    pub(super) fn client_port(&self, node: NodeId) -> Option<u16> {
        self.base_port?.checked_add(u16::try_from(node - 1).ok()?)
    }

    pub(super) fn network(&self) -> String {
        format!("raft-{}", self.run_id)
    }

    pub(super) fn node(&self, node: NodeId) -> String {
        format!("raft-{}-n{node}", self.run_id)
    }

    pub(super) fn pod(&self, node: NodeId) -> String {
        format!("raft-{}-n{node}-pod", self.run_id)
    }
}
