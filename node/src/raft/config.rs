//! What the core is given once.

use std::time::Duration;

use super::{Configuration, NodeId};
use crate::mutants::Mutants;

/// What the core must know; fixed for the node's life.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The members of the cluster, this node included, unless a snapshot names others.
    pub configuration: Configuration,
    /// A leader sends a heartbeat to each peer at least this often.
    pub heartbeat_interval: Duration,
    /// Most bytes of entries in one append, unless a single entry has more.
    pub append_bytes: usize,
    /// Appends in flight to one peer.
    pub append_window: usize,
    /// Bytes of uncommitted entries above which a leader takes no proposals.
    pub uncommitted_bytes: usize,
    /// The known bugs that the node has.
    pub mutants: Mutants,
}
