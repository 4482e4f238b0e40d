//! What is to happen, in order of virtual time; of what happens at one moment, what was scheduled
//! first comes first.

use std::{cmp::Ordering, collections::BinaryHeap};

use node::{
    kv::{Request, Response},
    raft::Message,
    replica::{self, Time},
};

use super::observe::MessageId;
use crate::nemesis::{Link, NodeId, overlap::FaultId};

/// Position of a client.
pub(super) type ClientId = usize;

/// Something that happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A process's timer goes off.
    Timer(NodeId),
    /// A process is free for the inputs that wait.
    Round(NodeId),
    /// A process is started.
    Start(NodeId),
    /// The disk is done with what it was given.
    Synced {
        /// Whose disk.
        node: NodeId,
        /// Which start of the process.
        incarnation: u64,
    },
    /// Something reaches a process; it is lost if that is no longer the one it was sent to.
    Arrives {
        /// The receiver.
        node: NodeId,
        /// Which start of the process.
        incarnation: u64,
        /// What arrives.
        work: Work,
    },
    /// Something happens to a client; it is void if the client no longer waits for it.
    Client {
        /// Which client.
        client: ClientId,
        /// What it waited for.
        token: u64,
        /// What happens.
        news: News,
    },
    /// A fault's next step.
    Fault(FaultId, Moment),
    /// A probe between two nodes arrives.
    Probed(FaultId, Link),
    /// Time to look whether the run's present stage is over.
    Look,
}

/// What a process has to deal with.
#[derive(Debug)]
pub(super) enum Work {
    /// A message from a peer, and its number.
    Message(MessageId, Message),
    /// A client opens a connection.
    Hello(ClientId, u64),
    /// A client asks for something.
    Ask(ClientId, u64, Request),
    /// The disk says that it is done.
    Synced,
    /// The harness asks whether the process lives.
    Probe(FaultId),
}

/// What a client learns.
#[derive(Debug)]
pub(super) enum News {
    /// It is time to think of the next operation.
    Turn,
    /// It is time to perform the operation that it thought of.
    Go,
    /// It is connected to this start of its node.
    Connected(u64),
    /// Nobody listens at its node.
    Refused,
    /// An answer.
    Answer(Result<Response, replica::Error>),
    /// The connection broke.
    Reset,
    /// It waited long enough.
    Timeout,
}

/// A step in a fault's life.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// The schedule asks for it.
    Request,
    /// Look again for a leader.
    LookForLeader,
    /// Look whether it took effect, or is over.
    Check,
    /// The schedule asks for its end.
    End,
}

#[derive(Debug)]
struct Scheduled {
    time: Time,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The heap gives the greatest first, so what comes first is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.number).cmp(&(self.time, self.number))
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Scheduled>,
    scheduled: u64,
}

impl Queue {
    /// Adds an event.
    pub(super) fn push(&mut self, time: Time, event: Event) {
        self.scheduled += 1;
        self.heap.push(Scheduled { time, number: self.scheduled, event });
    }

    /// Takes the next event and its time.
    pub(super) fn pop(&mut self) -> Option<(Time, Event)> {
        self.heap.pop().map(|next| (next.time, next.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_time_then_of_scheduling() {
        let mut queue = Queue::default();
        let at = Time::from_millis;
        for (time, node) in [(2, 1), (1, 2), (2, 3), (1, 4)] {
            queue.push(at(time), Event::Timer(node));
        }
        let mut order = Vec::new();
        while let Some((time, Event::Timer(node))) = queue.pop() {
            order.push((time, node));
        }
        assert_eq!(order, [(at(1), 2), (at(1), 4), (at(2), 1), (at(2), 3)]);
    }
}
