//! Links to the peers: each node dials each other and sends its packets on one long stream.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use anyhow::Result;
use futures::Stream;
use hyper_util::rt::TokioIo;
use proto::peer::{Empty, Packet, peer_client::PeerClient};
use tokio::time::{sleep, timeout};
use tonic::{Request, Streaming, transport::Endpoint};

use super::{Config, handshake, machine::Machine, tcp, wire};
use crate::{
    raft::{self, NodeId},
    replica::{Body, Message},
};

/// What waits for a peer is dropped beyond these: Raft repeats what matters, and a heartbeat must
/// not wait for more than the network moves in a fraction of an election timeout.
const WAITING_BYTES_MAX: usize = 4 << 20;
const WAITING_MESSAGES_MAX: usize = 4096;

/// Pauses between two dials, growing from the first to the second.
const PAUSE_MIN: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// HTTP/2 flow control would otherwise halve the throughput of a link with a long round trip.
pub(super) const WINDOW_BYTES: u32 = 8 << 20;

/// The way to all peers; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Links(BTreeMap<NodeId, Arc<Outbox>>);

impl Links {
    /// Dials all peers, again and again, for as long as the runtime lives.
    pub(super) fn dial<M: Machine>(machine: &Arc<M>, config: &Arc<Config>) -> Self {
        let peers = config.cluster.iter().filter(|(id, _)| **id != config.id);
        Self(
            peers
                .map(|(&id, address)| {
                    let outbox = Arc::new(Outbox::default());
                    tokio::spawn(keep_linked(
                        machine.clone(),
                        config.clone(),
                        id,
                        address.clone(),
                        outbox.clone(),
                    ));
                    (id, outbox)
                })
                .collect(),
        )
    }

    /// Sends a message to the peer that it names. Returns a message that is dropped for it, this
    /// one or the oldest that waits, and certainly never arrives.
    pub(super) fn send(&self, message: Message) -> Option<Message> {
        match self.0.get(&message.to) {
            Some(outbox) => outbox.push(message),
            None => Some(message),
        }
    }

    /// Each peer, and whether it has accepted this node's stream and the stream is open.
    pub(super) fn connected(&self) -> BTreeMap<NodeId, bool> {
        self.0.iter().map(|(&id, outbox)| (id, outbox.lock().open)).collect()
    }
}

/// What waits for a peer.
#[derive(Debug, Default)]
struct Outbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// The stream is open and accepted; else messages are dropped at once, for by the time that a
    /// peer is back they are stale.
    open: bool,
    messages: VecDeque<Message>,
    bytes: usize,
    /// Counts the streams; an earlier one must not take what is meant for the present one.
    stream: u64,
    /// Wakes the present stream.
    waker: Option<Waker>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message, or gives back the one that finds no room.
    fn push(&self, message: Message) -> Option<Message> {
        let mut waiting = self.lock();
        let dropped = waiting.push(message);
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
        dropped
    }

    /// A stream that takes over from any earlier one; nothing is sent before it is accepted.
    fn open_stream(self: &Arc<Self>) -> Outgoing {
        let mut waiting = self.lock();
        waiting.stream += 1;
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
        Outgoing { outbox: self.clone(), number: waiting.stream }
    }

    fn set_open(&self, open: bool) {
        let mut waiting = self.lock();
        waiting.open = open;
        waiting.messages.clear();
        waiting.bytes = 0;
    }
}

impl Waiting {
    fn push(&mut self, message: Message) -> Option<Message> {
        let size = size(&message);
        if !self.open || (size > 0 && self.bytes + size > WAITING_BYTES_MAX) {
            return Some(message);
        }
        if is_heartbeat(&message) && self.messages.back().is_some_and(is_heartbeat) {
            self.messages.pop_back();
        }
        let full = self.messages.len() == WAITING_MESSAGES_MAX;
        let dropped = if full { self.pop() } else { None };
        self.bytes += size;
        self.messages.push_back(message);
        dropped
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= size(&message);
        Some(message)
    }
}

/// Bytes of what clients wrote; the rest of a message is small.
fn size(message: &Message) -> usize {
    match &message.body {
        Body::Raft(raft::Body::Append { entries, .. }) => {
            entries.iter().map(|entry| entry.payload.len()).sum()
        }
        Body::Propose { command, .. } => command.len(),
        _ => 0,
    }
}

fn is_heartbeat(message: &Message) -> bool {
    matches!(message.body.raft(), Some(raft::Body::Append { entries, .. }) if entries.is_empty())
}

/// The packets of one stream.
struct Outgoing {
    outbox: Arc<Outbox>,
    number: u64,
}

impl Stream for Outgoing {
    type Item = Packet;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Packet>> {
        let mut waiting = self.outbox.lock();
        if waiting.stream != self.number {
            return Poll::Ready(None);
        }
        match waiting.pop() {
            Some(message) => Poll::Ready(Some(wire::encode(message))),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

async fn keep_linked<M: Machine>(
    machine: Arc<M>,
    config: Arc<Config>,
    peer: NodeId,
    address: String,
    outbox: Arc<Outbox>,
) {
    let mut pause = PAUSE_MIN;
    // Each trouble is logged once, however often it is met.
    let mut logged = String::new();
    loop {
        let trouble = match open(&machine, &config, peer, &address, &outbox).await {
            Ok(mut answers) => {
                tracing::info!("linked to node {peer} at {address}");
                outbox.set_open(true);
                let end = answers.message().await;
                outbox.set_open(false);
                pause = PAUSE_MIN;
                logged.clear();
                match end {
                    Ok(_) => "it closed the stream".to_owned(),
                    Err(status) => status.message().to_owned(),
                }
            }
            Err(why) => format!("{why:#}"),
        };
        if trouble != logged {
            tracing::warn!("no link to node {peer} at {address}: {trouble}");
            logged = trouble;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn open<M: Machine>(
    machine: &Arc<M>,
    config: &Config,
    peer: NodeId,
    address: &str,
    outbox: &Arc<Outbox>,
) -> Result<Streaming<Empty>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .http2_keep_alive_interval(tcp::PEER_PING_INTERVAL)
        .keep_alive_timeout(tcp::PEER_SILENCE_MAX - tcp::PEER_PING_INTERVAL)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let (machine, address) = (machine.clone(), address.to_owned());
    let connector = tower::service_fn(move |_| {
        let (machine, address) = (machine.clone(), address.clone());
        async move { machine.dial(&address, tcp::PEER_SILENCE_MAX).await.map(TokioIo::new) }
    });
    let channel = timeout(tcp::DIAL_TIMEOUT, endpoint.connect_with_connector(connector))
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {:?}", tcp::DIAL_TIMEOUT))??;
    let mut request = Request::new(outbox.open_stream());
    handshake::write(config, peer, request.metadata_mut())?;
    // Until the peer accepts, which a paused one may never do.
    let answer = timeout(tcp::PEER_SILENCE_MAX, PeerClient::new(channel).exchange(request)).await;
    match answer {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => anyhow::bail!("{}", status.message().to_owned()),
        Err(_) => anyhow::bail!("it does not answer within {:?}", tcp::PEER_SILENCE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;
    use proto::peer::packet;

    use super::*;
    use crate::raft::{Entry, EntryKind, Hash};

    fn append(round: u64, payload: usize) -> Message {
        let payload = Bytes::from(vec![0; payload]);
        let entry =
            Entry { index: 1, term: 1, kind: EntryKind::Normal, payload, hash: Hash::default() };
        let entries = if entry.payload.is_empty() { vec![] } else { vec![entry] };
        let body = raft::Body::Append { prev_index: 0, prev_term: 0, entries, commit: 0, round };
        Message { from: 1, to: 2, term: 1, clock: 1, body: body.into() }
    }

    fn take(stream: &mut Outgoing) -> Poll<Option<u64>> {
        let poll = Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()));
        poll.map(|packet| match packet?.body {
            Some(packet::Body::Append(append)) => Some(append.round),
            other => panic!("{other:?}"),
        })
    }

    fn linked() -> (Arc<Outbox>, Outgoing) {
        let outbox = Arc::new(Outbox::default());
        let stream = outbox.open_stream();
        outbox.set_open(true);
        (outbox, stream)
    }

    #[test]
    fn nothing_waits_for_a_peer_that_is_away() {
        let (outbox, mut stream) = linked();
        outbox.push(append(1, 0));
        outbox.set_open(false);
        outbox.push(append(2, 0));
        outbox.set_open(true);
        assert_eq!(take(&mut stream), Poll::Pending);
        outbox.push(append(3, 0));
        assert_eq!(take(&mut stream), Poll::Ready(Some(3)));
    }

    #[test]
    fn a_message_that_cannot_leave_comes_back_at_once() {
        let (outbox, mut stream) = linked();
        let links = Links([(2, outbox.clone())].into());
        let id = proto::peer::CommandId { node: 1, boot: 1, number: 1 };
        let command = Bytes::from_static(b"c");
        let body = Body::Propose { command, id };
        let proposal = Message { from: 1, to: 2, term: 1, clock: 1, body };
        assert_eq!(links.send(proposal.clone()), None);
        assert!(matches!(
            Pin::new(&mut stream).poll_next(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(Some(_))
        ));
        outbox.set_open(false);
        assert_eq!(links.send(proposal.clone()), Some(proposal));
        let stranger = Message { to: 7, ..append(1, 9) };
        assert_eq!(links.send(stranger.clone()), Some(stranger));
    }

    #[test]
    fn a_newer_heartbeat_replaces_one_that_waits() {
        let (outbox, mut stream) = linked();
        for message in [append(1, 9), append(2, 0), append(3, 0), append(4, 9), append(5, 0)] {
            outbox.push(message);
        }
        let rounds = [1, 3, 4, 5].map(|round| Poll::Ready(Some(round)));
        assert_eq!([(); 4].map(|()| take(&mut stream)), rounds);
        assert_eq!(take(&mut stream), Poll::Pending);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_messages() {
        let (outbox, mut stream) = linked();
        for round in 0..10 {
            outbox.push(append(round, WAITING_BYTES_MAX / 4));
        }
        outbox.push(append(10, 0));
        let rounds = [0, 1, 2, 3, 10].map(|round| Poll::Ready(Some(round)));
        assert_eq!([(); 5].map(|()| take(&mut stream)), rounds);
        assert_eq!(outbox.lock().bytes, 0);

        for round in 0..2 * WAITING_MESSAGES_MAX as u64 {
            outbox.push(append(round, 1));
        }
        assert_eq!(outbox.lock().messages.len(), WAITING_MESSAGES_MAX);
        assert_eq!(take(&mut stream), Poll::Ready(Some(WAITING_MESSAGES_MAX as u64)));
    }

    #[test]
    fn an_earlier_stream_takes_nothing_from_the_present_one() {
        let (outbox, mut first) = linked();
        let mut second = outbox.open_stream();
        outbox.push(append(1, 0));
        assert_eq!(take(&mut first), Poll::Ready(None));
        assert_eq!(take(&mut second), Poll::Ready(Some(1)));
    }
}
