//! What the world keeps for orders that are not done yet: connections of clients, questions without
//! an answer, and what faults did to disks and clocks. Plain data.

use std::collections::{BTreeMap, BTreeSet};

use checker::fault::Damage;

use crate::{
    client::steps::Steps,
    exercise::{Ticket, Time},
    nemesis::{NodeId, overlap::FaultId},
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
    /// The operation that was sent, and how far it is; none: the connection itself.
    pub(super) sent: Option<Steps>,
}

impl Connection {
    /// What it waits for, if it still waits for this.
    pub(super) fn awaits(&self, token: u64) -> Option<&Awaited> {
        self.awaited.as_ref().filter(|awaited| awaited.token == token)
    }

    /// The operation that it waits for, if it still waits for this.
    pub(super) fn performs(&mut self, token: u64) -> Option<&mut Steps> {
        self.awaited.as_mut().filter(|awaited| awaited.token == token)?.sent.as_mut()
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
