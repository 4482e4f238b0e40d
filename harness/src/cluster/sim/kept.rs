//! What the world keeps for orders that are not done yet: connections of clients, questions without
//! an answer, and what faults did to disks and clocks. Plain data.

use std::collections::{BTreeMap, BTreeSet};

use checker::fault::Damage;

use crate::{
    exercise::{Ticket, Time},
    nemesis::{NodeId, overlap::FaultId},
    workload::Operation,
};

/// A client's connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) node: NodeId,
    /// The start of the node that it leads to; none: it does not stand.
    pub(super) incarnation: Option<u64>,
    /// What the client waits for.
    pub(super) awaited: Option<Awaited>,
}

/// What a client waits for.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) token: u64,
    /// The operation that was sent; none: the connection itself.
    pub(super) sent: Option<Operation>,
}

impl Connection {
    /// What it waits for, if it still waits for this.
    pub(super) fn awaits(&self, token: u64) -> Option<&Awaited> {
        self.awaited.as_ref().filter(|awaited| awaited.token == token)
    }
}

/// Questions and clock settings.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Questions without an answer.
    pub(super) asked: BTreeSet<Ticket>,
    /// What clocks showed when faults changed them.
    pub(super) clocks: BTreeMap<(FaultId, NodeId), ClockSetting>,
}

/// What a clock showed at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockSetting {
    pub(super) at: Time,
    pub(super) reading: Time,
}

/// What disks show for faults, by fault and node.
pub(super) type Damages = BTreeMap<FaultId, BTreeMap<NodeId, Damage>>;
