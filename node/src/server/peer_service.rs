//! The answering side of the links: takes packets from the peers that dial.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, StreamExt, stream};
use proto::peer::{Empty, Packet, peer_server};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status, Streaming};

use super::{
    Config,
    handshake::{self, Hello},
    members::Members,
    wire,
};
use crate::{raft::NodeId, replica::Message};

/// The gRPC service `Peer`.
pub(super) struct PeerService {
    config: Arc<Config>,
    members: Arc<Members>,
    messages: mpsc::Sender<Message>,
    accepted: Mutex<Accepted>,
}

#[derive(Default)]
struct Accepted {
    /// The present stream of each peer, ended by dropping this.
    streams: BTreeMap<NodeId, oneshot::Sender<()>>,
    /// The last refusal, so that a peer that keeps dialling is logged once.
    refusal: String,
}

impl PeerService {
    /// Hands the peers' messages to `messages`; waits, and makes them wait, while that is full.
    pub(super) fn new(
        config: Arc<Config>,
        members: Arc<Members>,
        messages: mpsc::Sender<Message>,
    ) -> Self {
        Self { config, members, messages, accepted: Mutex::default() }
    }

    /// Makes room for a new stream of a peer: the one before is of a connection that died.
    fn replace(&self, from: NodeId) -> oneshot::Receiver<()> {
        let (sender, replaced) = oneshot::channel();
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.streams.insert(from, sender);
        accepted.refusal.clear();
        replaced
    }

    fn log_refusal(&self, status: &Status) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted.refusal != status.message() {
            accepted.refusal = status.message().to_owned();
            tracing::warn!("refused a peer: {}", status.message());
        }
    }
}

#[tonic::async_trait]
impl peer_server::Peer for PeerService {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<Empty, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let hello = handshake::read(&self.config, request.metadata())
            .inspect_err(|status| self.log_refusal(status))?;
        let Hello { from, name, client_url } = hello;
        self.members.learn(from, &name, &client_url);
        let replaced = self.replace(from);
        let (to, messages) = (self.config.id, self.messages.clone());
        // The answer has no items: it is the place where the packets are read, and ends with them.
        let reading = async move {
            tokio::select! {
                biased;
                _ = replaced => Ok(()),
                end = read(request.into_inner(), from, to, messages) => end,
            }
        };
        let answer = stream::once(reading).filter_map(|end| async { end.err().map(Err) });
        Ok(Response::new(Box::pin(answer)))
    }
}

async fn read(
    mut packets: Streaming<Packet>,
    from: NodeId,
    to: NodeId,
    messages: mpsc::Sender<Message>,
) -> Result<(), Status> {
    while let Some(packet) = packets.message().await? {
        let message = wire::decode(packet).map_err(|why| {
            tracing::warn!("ended a stream of node {from}: {why}");
            Status::invalid_argument(why.to_string())
        })?;
        if (message.from, message.to) != (from, to) {
            let why = format!(
                "a packet from {} to {} on the stream from {from} to {to}",
                message.from, message.to
            );
            tracing::warn!("ended a stream of node {from}: {why}");
            return Err(Status::invalid_argument(why));
        }
        if messages.send(message).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
