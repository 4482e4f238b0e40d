//! Clients' commands, from request to answer.

use std::collections::{BTreeMap, VecDeque};

use proto::peer::Command;

use super::{Error, RequestId, Time};
use crate::{kv::Response, raft::NodeId};

/// A command that waits until a leader is known.
#[derive(Debug)]
pub(super) struct QueuedCommand {
    pub(super) request: RequestId,
    pub(super) command: Command,
    pub(super) arrived: Time,
}

/// A command that was proposed, and whose outcome is unknown until it is applied.
#[derive(Debug)]
struct Pending {
    request: RequestId,
    arrived: Time,
    /// The leader that it was forwarded to.
    sent_to: Option<NodeId>,
}

/// The commands of this node's clients.
///
/// Both queues are in order of arrival, as numbers are given in that order: so the oldest is at
/// the front.
#[derive(Debug, Default)]
pub(super) struct Writes {
    queued: VecDeque<QueuedCommand>,
    /// By the number in the command's id.
    pending: BTreeMap<u64, Pending>,
}

impl Writes {
    pub(super) fn len(&self) -> usize {
        self.queued.len() + self.pending.len()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a command until a leader is known.
    pub(super) fn enqueue(&mut self, command: QueuedCommand) {
        self.queued.push_back(command);
    }

    /// The oldest command that waits for a leader.
    pub(super) fn dequeue(&mut self) -> Option<QueuedCommand> {
        self.queued.pop_front()
    }

    /// A command was proposed under `number`, here or at `sent_to`.
    pub(super) fn proposed(
        &mut self,
        number: u64,
        request: RequestId,
        arrived: Time,
        sent_to: Option<NodeId>,
    ) {
        self.pending.insert(number, Pending { request, arrived, sent_to });
    }

    /// The command `number` was applied: whose client waits for it, if one does.
    pub(super) fn applied(&mut self, number: u64) -> Option<RequestId> {
        self.pending.remove(&number).map(|pending| pending.request)
    }

    /// `from` certainly never appends command `number`, and no other node was given it.
    pub(super) fn refused(&mut self, number: u64, from: NodeId) -> Option<RequestId> {
        if self.pending.get(&number)?.sent_to == Some(from) { self.applied(number) } else { None }
    }

    /// Answers what has waited too long: `leader_wait` for a leader, `timeout` for an outcome.
    pub(super) fn expire(
        &mut self,
        now: Time,
        leader_wait: Time,
        timeout: Time,
        replies: &mut Vec<(RequestId, Result<Response, Error>)>,
    ) {
        let late = |queued: &mut QueuedCommand| queued.arrived + leader_wait <= now;
        while let Some(queued) = self.queued.pop_front_if(late) {
            replies.push((queued.request, Err(Error::NoLeader)));
        }
        while let Some(oldest) = self.pending.first_entry() {
            if oldest.get().arrived + timeout > now {
                break;
            }
            replies.push((oldest.remove().request, Err(Error::Timeout)));
        }
    }

    /// When [`Writes::expire`] has something to do.
    pub(super) fn deadline(&self, leader_wait: Time, timeout: Time) -> Option<Time> {
        let queued = self.queued.front().map(|queued| queued.arrived + leader_wait);
        let pending = self.pending.first_key_value().map(|(_, oldest)| oldest.arrived + timeout);
        queued.into_iter().chain(pending).min()
    }
}
