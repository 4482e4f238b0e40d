//! Raft, storage records and store as ONE deterministic machine.
//!
//! A replica gets the time and an [`Input`]; it gives [`Outputs`]. It never looks at a clock, a
//! socket, a file or a source of randomness by itself (its random numbers come from the seed in
//! [`Config`]). The server drives it with real ones, the simulator with virtual ones.
//!
//! # Layout
//! - `machine`: [`Replica`], which moves what happens to the core and what follows to the outputs;
//! - `host`: [`Host`], which carries out the outputs, and the order in which it must;
//! - `message`: what nodes say to each other; `outbox`: messages that leave together are joined;
//! - `writes`: clients' commands from request to answer;
//! - `reads`: clients' reads, local or confirmed by the leader;
//! - `subscriptions`: requests with many replies, and what becomes of a slow subscriber;
//! - `forward`: which forwarded commands a leader may take, and which it may certainly refuse.
//!
//! # What a client is told
//! - A write goes to the leader once and is never sent again. Its client is answered when *this*
//!   node applies the entry with the command's id. Until then its outcome is unknown, and after
//!   `request_timeout` the client hears so.
//! - While no leader is known, requests wait for up to `2 * election_timeout`, the longest
//!   election timeout there is; then they get [`Error::NoLeader`]. Nobody has seen them.
//! - A read asks for its index as often as it takes, each time with a new id.

use std::time::Duration;

use proto::trace;

use crate::{
    kv::{Request, Response},
    mutants::Mutants,
    raft::{Index, NodeId, Role, Term},
    storage::Record,
};

mod forward;
mod host;
mod machine;
mod message;
mod outbox;
mod reads;
mod subscriptions;
mod writes;

pub use host::Host;
pub use machine::Replica;
pub use message::{Body, Message};
pub use subscriptions::{Notice, SubscriptionId};

/// A moment, as the time since an origin that the driver chooses.
pub type Time = Duration;

/// What a replica needs to know; fixed for its life.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Names the cluster in the headers of replies.
    pub cluster_id: u64,
    /// All voting members, this one included, ascending; 1 to 9.
    pub voters: Vec<NodeId>,
    /// Lamport clock of the last line that an earlier boot of this node traced, 0 if there is
    /// none. The clock goes on from there, so that the order of clocks holds across restarts.
    pub clock: u64,
    /// Shortest election timeout; each is drawn from `election_timeout..2 * election_timeout`
    /// (paper, section 5.2).
    pub election_timeout: Duration,
    /// A leader sends a heartbeat to each peer at least this often.
    pub heartbeat_interval: Duration,
    /// Seed of all random choices.
    pub seed: u64,
    /// Limits on what is in flight.
    pub limits: Limits,
    /// The known bugs that the node has; none in normal builds.
    pub mutants: Mutants,
}

/// Limits that keep memory bounded whatever clients, peers and disks do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest client request, encoded, in bytes. etcd: 1.5 MiB.
    pub request_bytes: usize,
    /// Client requests in flight on this node; more are refused.
    pub requests: usize,
    /// Bytes of entries that a leader keeps uncommitted; more proposals are refused.
    pub uncommitted_bytes: usize,
    /// Bytes of entries in one append message (at least one entry is always sent).
    pub append_bytes: usize,
    /// Append messages in flight to one peer.
    pub append_window: usize,
    /// A client request that is not answered after this time gets [`Error::Timeout`].
    pub request_timeout: Duration,
    /// Changes that wait for one subscriber in [`Outputs`]; with more its subscription ends.
    pub subscription_changes: usize,
}

impl Default for Limits {
    /// What the server uses.
    fn default() -> Self {
        Self {
            request_bytes: 1536 * 1024,
            requests: 4096,
            uncommitted_bytes: 64 << 20,
            append_bytes: 1 << 20,
            append_window: 64,
            request_timeout: Duration::from_secs(5),
            subscription_changes: 4096,
        }
    }
}

/// Names a client request within one boot; chosen by the driver, never reused.
pub type RequestId = u64;

/// Names a write to the disk within one boot, ascending.
pub type WriteId = u64;

/// What happens to a replica.
#[derive(Clone, Debug)]
pub enum Input {
    /// The moment of `Replica::deadline` has come.
    Timer,
    /// A message from a peer.
    Message(Message),
    /// A client asks for something.
    Request {
        /// Names the request in the reply.
        id: RequestId,
        /// The request; in a box, so that the many other inputs are small.
        request: Box<Request>,
        /// For exactly-once retries (dissertation 6.3).
        session: Option<proto::peer::Session>,
    },
    /// A write, and all before it, is durable.
    Durable(WriteId),
    /// Somebody wants all changes of the store from now on; see [`Notice`].
    Subscribe(SubscriptionId),
    /// A subscription is over.
    Unsubscribe(SubscriptionId),
}

/// What a replica wants done; [`Outputs::perform`] has a [`Host`] do it. What must wait for a write
/// is not here yet: it comes in the outputs of the matching [`Input::Durable`].
#[derive(Debug, Default)]
pub struct Outputs {
    /// Steps to trace, each with its Lamport clock.
    trace: Vec<(u64, trace::Event)>,
    /// Records to append to the write-ahead log and then sync.
    write: Option<(WriteId, Vec<Record>)>,
    /// Messages to peers. Any may be lost, doubled, delayed or overtaken.
    messages: Vec<Message>,
    /// Replies to clients.
    replies: Vec<(RequestId, Result<Response, Error>)>,
    /// What subscribers get. Bounded: see [`Limits::subscription_changes`].
    notices: Vec<(SubscriptionId, Notice)>,
}

impl Outputs {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let Self { trace, write, messages, replies, notices } = self;
        trace.is_empty()
            && write.is_none()
            && messages.is_empty()
            && replies.is_empty()
            && notices.is_empty()
    }
}

/// Why a client request failed. The text and gRPC code that a client sees are etcd's if etcd
/// has one; see `server`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is malformed, or the store refuses it. It certainly had no effect.
    #[error(transparent)]
    Store(#[from] crate::kv::Error),
    /// No leader is known, or the leader refused. The request certainly had no effect.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// A limit is reached. The request certainly had no effect.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// The request is larger than `Limits::request_bytes`. It certainly had no effect.
    #[error("etcdserver: request is too large")]
    TooLarge,
    /// The outcome is unknown: the request may take effect at any later time, or never.
    #[error("etcdserver: request timed out")]
    Timeout,
}

/// A replica's present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// Number of this start.
    pub boot: u64,
    /// Role in `term`.
    pub role: Role,
    /// Current term.
    pub term: Term,
    /// Leader of `term`, if known.
    pub leader: Option<NodeId>,
    /// Last entry of the log.
    pub last_index: Index,
    /// Last durable entry.
    pub durable_index: Index,
    /// Commit index.
    pub commit_index: Index,
    /// Last applied entry.
    pub applied_index: Index,
    /// Revision of the store.
    pub revision: i64,
}
