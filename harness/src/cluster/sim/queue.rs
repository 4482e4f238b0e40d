//! What is to happen, in order of virtual time; of what happens at one moment, what was scheduled
//! first comes first.

use std::{cmp::Reverse, collections::BinaryHeap};

use node::{
    kv::Request,
    replica::{Message, Time},
};

use proto::peer::Session;

use super::observe::MessageId;
use crate::{
    exercise::{Alarm, ClientId, Observation, Ticket},
    nemesis::{Link, NodeId},
};

/// Something that happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A process's timer goes off.
    Timer(NodeId),
    /// A process is free for the inputs that wait.
    Round(NodeId),
    /// A process is started, as this deed wants.
    Start(NodeId, Ticket),
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
        input: NodeInput,
    },
    /// A ping between two nodes arrives.
    Pinged(Ticket, Link),
    /// A question was to be answered by now.
    Impatient(Ticket, Time),
    /// The exercise is woken.
    Alarm(Alarm),
    /// The exercise learns something else.
    Report(Box<Observation>),
}

/// What a process has to deal with.
#[derive(Debug)]
pub(super) enum NodeInput {
    /// A message from a peer, and its number.
    Message(MessageId, Message),
    /// A client opens a connection.
    Connect(ClientId, u64),
    /// A client sends a request.
    Request(ClientId, u64, Box<Request>, Option<Session>),
    /// The disk says that it is done.
    Synced,
    /// The harness asks for the node's status.
    Question(Ticket),
}

/// When an event happens, in nanoseconds, the number of its scheduling, and the slot where it is
/// kept: what is moved about.
type Place = Reverse<(u64, u64, u32)>;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    places: BinaryHeap<Place>,
    /// How many events were ever scheduled.
    scheduled: u64,
    /// The events, each in its slot until it happens.
    slots: Vec<Option<Event>>,
    /// Slots without an event.
    free: Vec<u32>,
}

impl Queue {
    /// Adds an event.
    pub(super) fn push(&mut self, time: Time, event: Event) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(event);
                slot
            }
            None => {
                self.slots.push(Some(event));
                self.slots.len() as u32 - 1
            }
        };
        self.scheduled += 1;
        self.places.push(Reverse((nanoseconds(time), self.scheduled, slot)));
    }

    /// Removes what is lost. Returns how many events were.
    pub(super) fn lose(&mut self, mut lost: impl FnMut(&Event) -> bool) -> usize {
        let Self { places, slots, free, .. } = self;
        let before = places.len();
        places.retain(|Reverse((_, _, slot))| {
            let gone = slots[*slot as usize].as_ref().is_some_and(&mut lost);
            if gone {
                slots[*slot as usize] = None;
                free.push(*slot);
            }
            !gone
        });
        before - places.len()
    }

    /// Takes the next event and its time.
    pub(super) fn pop(&mut self) -> Option<(Time, Event)> {
        let Reverse((time, _, slot)) = self.places.pop()?;
        self.free.push(slot);
        Some((Time::from_nanos(time), self.slots[slot as usize].take()?))
    }
}

/// A time in nanoseconds. Virtual time ends after five centuries.
pub(super) fn nanoseconds(time: Time) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
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

    #[test]
    fn what_is_lost_does_not_happen() {
        let mut queue = Queue::default();
        for node in 1..=4 {
            queue.push(Time::from_millis(5 - node), Event::Timer(node));
        }
        assert_eq!(queue.lose(|event| matches!(event, Event::Timer(2 | 4))), 2);
        let mut left = Vec::new();
        while let Some((_, Event::Timer(node))) = queue.pop() {
            left.push(node);
        }
        assert_eq!(left, [3, 1]);
    }
}
