//! Whoever wants to know what happens in the world while it happens: stories, pictures, counts.
//!
//! Observers change nothing. Without one nothing is built for it.

use std::time::Duration;

use checker::{fault, history::lines::Line};
use node::{
    kv::{Request, Store},
    replica::{Message, Time},
};
use proto::trace;

use crate::{exercise::Stage, nemesis::NodeId};

/// Numbers the messages that are sent, copies included, in the order of their sending.
pub type MessageId = u64;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum SimEvent<'a> {
    /// A message leaves its sender. It is delivered or lost, or in flight at the end.
    Sent {
        /// The message's number.
        id: MessageId,
        /// The message.
        message: &'a Message,
        /// The message of which this is a copy that the network made.
        copy_of: Option<MessageId>,
    },
    /// The receiver takes a message in.
    Delivered {
        /// The message's number.
        id: MessageId,
        /// The message.
        message: &'a Message,
    },
    /// A message will never be delivered.
    Lost {
        /// The message's number.
        id: MessageId,
        /// The message.
        message: &'a Message,
        /// Why.
        why: Loss,
    },
    /// A node takes in a client's request, which was on its way since the client began.
    Asked {
        /// Which node.
        node: NodeId,
        /// What for.
        request: &'a Request,
    },
    /// A process's timer went off.
    Timer {
        /// Whose timer.
        node: NodeId,
    },
    /// A process started; its trace says with what.
    Started {
        /// Which node.
        node: NodeId,
        /// Number of this start, from 1.
        boot: u64,
        /// Bytes of a torn tail that its write-ahead log cut off.
        cut: u64,
    },
    /// A process ended.
    Ended {
        /// Which node.
        node: NodeId,
        /// What ended it.
        ending: Ending<'a>,
        /// Sectors that were written and not synced: the disk keeps any part of them.
        unsynced: usize,
    },
    /// A process stands still from now on.
    Paused {
        /// Which node.
        node: NodeId,
    },
    /// It goes on.
    Resumed {
        /// Which node.
        node: NodeId,
    },
    /// A disk begins to sync what was written.
    Syncing {
        /// Whose disk.
        node: NodeId,
        /// How long it will take.
        takes: Duration,
        /// Whether that is longer than usual.
        slow: bool,
    },
    /// A disk has synced.
    Synced {
        /// Whose disk.
        node: NodeId,
    },
    /// A write-ahead log has filled a segment and begun another.
    Rolled {
        /// Whose log.
        node: NodeId,
    },
    /// As many appends to a peer are in flight as may be.
    WindowFull {
        /// The leader.
        from: NodeId,
        /// The peer.
        to: NodeId,
    },
    /// A step of a node.
    Step(&'a trace::Record),
    /// A client begins an operation, or learns how it ended.
    Client {
        /// The client, from 0; it lives on when its process number changes.
        client: u64,
        /// What it notes.
        event: &'a Line,
    },
    /// A phase of a fault.
    Fault(&'a fault::Record),
    /// The run goes on to its next stage.
    Stage(Stage),
    /// All nodes have applied the same, and will not apply more.
    Compared {
        /// One node's store, which is equal to all others.
        store: &'a Store,
    },
    /// The step before broke a rule of Raft's safety; the run ends.
    Violation {
        /// Whose step.
        node: NodeId,
        /// What it broke, in a sentence.
        summary: &'a str,
    },
}

/// What ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// A fault killed it.
    Killed,
    /// Its own doing; the reason.
    Itself(&'a str),
    /// The run is over and stopped it in order.
    Stopped,
}

/// Why a message is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Networks lose messages.
    Chance,
    /// The link was cut when it left or when it arrived.
    Cut,
    /// The receiver was down when it left, when it arrived, or before it was taken in.
    Down,
    /// The connection broke, or the receiver was started anew meanwhile.
    Reset,
}

/// Is told of all that happens, in order.
pub trait Observer {
    /// `what` happened at `now`, a time since the world's beginning.
    fn observe(&mut self, now: Time, what: SimEvent<'_>);
}

/// Two observers, one after the other.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&mut self, now: Time, what: SimEvent<'_>) {
        self.0.observe(now, what);
        self.1.observe(now, what);
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn observe(&mut self, now: Time, what: SimEvent<'_>) {
        (**self).observe(now, what);
    }
}

/// An observer that there is not: what stands where an observer could.
#[derive(Clone, Copy, Debug)]
pub enum Unobserved {}

impl Observer for Unobserved {
    fn observe(&mut self, _: Time, _: SimEvent<'_>) {
        match *self {}
    }
}

/// The place of an observer, which may be empty.
pub(in crate::cluster) struct Watch<'a>(pub(in crate::cluster) Option<&'a mut dyn Observer>);

impl Watch<'_> {
    /// Tells the observer, where there is one.
    #[inline]
    pub(in crate::cluster) fn see(&mut self, now: Time, what: SimEvent<'_>) {
        if let Some(observer) = &mut self.0 {
            observer.observe(now, what);
        }
    }
}
