//! The order of effects: the same wherever a replica runs.

use proto::trace::Event;

use super::{Body, Error, Input, Message, Notice, Outputs, RequestId, SubscriptionId, WriteId};
use crate::{kv::Response, storage::Record};

/// What carries out the [`Outputs`] of a replica: a server, a simulator, a test.
pub trait Host {
    /// Why the node cannot go on.
    type Error;

    /// Records steps, each with its Lamport clock. They must be safe from a crash of the process
    /// when this returns.
    ///
    /// # Errors
    /// The lines cannot be recorded: the node must stop.
    fn trace(&mut self, lines: impl Iterator<Item = (u64, Event)>) -> Result<(), Self::Error>;

    /// Queues records for the write-ahead log, to be appended and synced in the order of the calls.
    /// Called once for each [`Outputs::perform`], also without a new write, so that a disk that has
    /// become free can take what waits.
    ///
    /// # Errors
    /// The log cannot take them: the node must stop.
    fn write(&mut self, write: Option<(WriteId, Vec<Record>)>) -> Result<(), Self::Error>;

    /// Sends a message to a peer, where it may arrive late, twice or never. Returns a message that
    /// certainly never arrives, if this call drops one.
    fn send(&mut self, message: Message) -> Option<Message>;

    /// Answers a client. The client may be gone.
    fn reply(&mut self, request: RequestId, result: Result<Response, Error>);

    /// Notifies a subscriber. False if the subscriber is gone or has no room: its subscription is
    /// over. A host that never gives [`Input::Subscribe`] need not implement this.
    fn notify(&mut self, _: SubscriptionId, _: Notice) -> bool {
        false
    }
}

impl Outputs {
    /// Carries out all outputs, in the order on which safety depends: steps are traced before their
    /// effects leave the node, the write is queued, then messages leave, then replies and notices.
    ///
    /// Returns inputs that the replica must be given at once. A forwarded command that certainly
    /// never arrives is refused here, as its receiver would have done, so that its client need not
    /// wait for an answer that cannot come. A subscription ends with a notice that could not be
    /// delivered.
    ///
    /// # Errors
    /// What the host cannot do: the node must stop.
    #[must_use = "the replica must be given these inputs"]
    pub fn perform<H: Host>(&mut self, host: &mut H) -> Result<Vec<Input>, H::Error> {
        // Most inputs lead to little: a list that is empty need not be drained.
        if !self.trace.is_empty() {
            host.trace(self.trace.drain(..))?;
        }
        host.write(self.write.take())?;
        let mut inputs = Vec::new();
        if !self.messages.is_empty() {
            for message in self.messages.drain(..) {
                if let Some(dropped) = host.send(message) {
                    inputs.extend(refusal(dropped).map(Input::Message));
                }
            }
        }
        if !self.replies.is_empty() {
            for (request, result) in self.replies.drain(..) {
                host.reply(request, result);
            }
        }
        if !self.notices.is_empty() {
            for (subscription, notice) in self.notices.drain(..) {
                if !host.notify(subscription, notice) {
                    inputs.push(Input::Unsubscribe(subscription));
                }
            }
        }
        Ok(inputs)
    }
}

/// The answer to a forwarded command that its receiver never gets.
fn refusal(dropped: Message) -> Option<Message> {
    let Message { from, to, term, clock, body } = dropped;
    match body {
        Body::Propose { id, .. } => {
            Some(Message { from: to, to: from, term, clock, body: Body::ProposeRefused { id } })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Notes the calls, has no link to node 3, and may have no room for trace lines.
    #[derive(Default)]
    struct Noted {
        calls: Vec<String>,
        full: bool,
    }

    impl Host for Noted {
        type Error = &'static str;

        fn trace(&mut self, lines: impl Iterator<Item = (u64, Event)>) -> Result<(), Self::Error> {
            self.calls.extend(lines.map(|(clock, _)| format!("trace {clock}")));
            if self.full { Err("no room") } else { Ok(()) }
        }

        fn write(&mut self, write: Option<(WriteId, Vec<Record>)>) -> Result<(), Self::Error> {
            self.calls.push(format!("write {:?}", write.map(|(id, _)| id)));
            Ok(())
        }

        fn send(&mut self, message: Message) -> Option<Message> {
            self.calls.push(format!("send to {}", message.to));
            Some(message).filter(|message| message.to == 3)
        }

        fn reply(&mut self, request: RequestId, _: Result<Response, Error>) {
            self.calls.push(format!("reply to {request}"));
        }

        fn notify(&mut self, subscription: SubscriptionId, _: Notice) -> bool {
            self.calls.push(format!("notify {subscription}"));
            subscription != 3
        }
    }

    fn outputs() -> Outputs {
        let id = proto::peer::CommandId { node: 1, boot: 1, number: 7 };
        let propose = |to| {
            let body = Body::Propose { command: Bytes::new(), id };
            Message { from: 1, to, term: 4, clock: 9, body }
        };
        Outputs {
            trace: vec![(8, Event::Stopped {}), (9, Event::Stopped {})],
            write: Some((5, Vec::new())),
            messages: vec![propose(2), propose(3)],
            replies: vec![(6, Err(Error::NoLeader))],
            notices: vec![(1, Notice::Lagged), (3, Notice::Lagged)],
        }
    }

    #[test]
    fn effects_have_one_order_and_what_cannot_arrive_comes_back() {
        let (mut outputs, mut host) = (outputs(), Noted::default());
        let inputs = outputs.perform(&mut host).unwrap();
        let first = ["trace 8", "trace 9", "write Some(5)", "send to 2", "send to 3", "reply to 6"];
        assert_eq!(host.calls, [&first[..], &["notify 1", "notify 3"]].concat());
        assert!(outputs.is_empty());
        let [Input::Message(refused), Input::Unsubscribe(3)] = &inputs[..] else {
            panic!("{inputs:?}")
        };
        assert_eq!((refused.from, refused.to, refused.term), (3, 1, 4));
        assert!(matches!(refused.body, Body::ProposeRefused { id } if id.number == 7));
    }

    #[test]
    fn nothing_leaves_when_the_trace_cannot_be_written() {
        let mut host = Noted { full: true, ..Noted::default() };
        assert_eq!(outputs().perform(&mut host).unwrap_err(), "no room");
        assert_eq!(host.calls, ["trace 8", "trace 9"]);
    }
}
