//! What nodes say to each other: the core's messages, and the forwarding of client commands.

use std::fmt;

use bytes::Bytes;
use proto::peer::CommandId;

use crate::raft::{self, NodeId, Term};

/// A message and what every message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Sender.
    pub from: NodeId,
    /// Receiver.
    pub to: NodeId,
    /// Term of the sender.
    pub term: Term,
    /// Lamport clock of the sender; see [`proto::trace`].
    pub clock: u64,
    /// The message itself.
    pub body: Body,
}

/// The kinds of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// One core speaks to another.
    Raft(raft::Body),
    /// A follower hands a client's command to the leader; sent once, never retried.
    Propose {
        /// An encoded [`proto::peer::Command`].
        command: Bytes,
        /// The command's id, so that a refusal can name it without decoding.
        id: CommandId,
    },
    /// The receiver of a [`Body::Propose`] certainly never appends the command.
    ProposeRefused {
        /// The command's id.
        id: CommandId,
    },
}

impl Body {
    /// What one core says to another, if it is that.
    pub fn raft(&self) -> Option<&raft::Body> {
        match self {
            Self::Raft(body) => Some(body),
            Self::Propose { .. } | Self::ProposeRefused { .. } => None,
        }
    }
}

impl From<raft::Body> for Body {
    fn from(body: raft::Body) -> Self {
        Self::Raft(body)
    }
}

/// `n1 → n2 (term 4): vote granted`
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{} → n{} (term {}): {}", self.from, self.to, self.term, self.body)
    }
}

/// What the sender says, in words.
impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raft(body) => write!(f, "{body}"),
            Self::Propose { id, .. } => write!(f, "please append {}", command(id)),
            Self::ProposeRefused { id } => write!(f, "I will not append {}", command(id)),
        }
    }
}

/// `command 7 of n2`; its boot goes without saying.
fn command(id: &CommandId) -> impl fmt::Display {
    fmt::from_fn(move |f| write!(f, "command {} of n{}", id.number, id.node))
}
