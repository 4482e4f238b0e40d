//! Connections and listeners over [`Wires`], as tokio has them.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use node::server;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wires::{DialId, End, Wires};
use crate::nemesis::NodeId;

/// The network; clones share it. A world lives on one thread: no lock is waited for.
#[derive(Clone, Debug)]
pub(super) struct Network(Arc<Mutex<Wires>>);

impl Network {
    pub(super) fn new(wires: Wires) -> Self {
        Self(Arc::new(Mutex::new(wires)))
    }

    pub(super) fn wires(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects a machine to an address, however long that takes.
    pub(super) async fn dial(
        &self,
        from: NodeId,
        address: &str,
        silence_max: Duration,
    ) -> io::Result<Stream> {
        let id = self.wires().dial(from, address, silence_max);
        let dialling = Dialling { network: self.clone(), id };
        let end =
            std::future::poll_fn(|cx| dialling.network.wires().poll_dial(dialling.id, cx)).await?;
        Ok(Stream { network: self.clone(), end })
    }
}

/// An attempt to connect; dropped, it is given up.
struct Dialling {
    network: Network,
    id: DialId,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.network.wires().hang_up(self.id);
    }
}

/// One end of a connection; dropped, it is closed.
#[derive(Debug)]
pub(super) struct Stream {
    network: Network,
    end: End,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.network.wires().close(self.end);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = buffer.remaining();
        let bytes = ready!(self.network.wires().poll_read(self.end, most, cx))?;
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.network.wires().poll_write(self.end, bytes, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.wires().shut(self.end);
        Poll::Ready(Ok(()))
    }
}

/// An address that is listened on; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Listener {
    network: Network,
    address: String,
}

impl Listener {
    /// None: the address is in use.
    pub(super) fn new(network: &Network, address: &str) -> Option<Self> {
        let free = network.wires().listen(address);
        free.then(|| Self { network: network.clone(), address: address.to_owned() })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.network.wires().unlisten(&self.address);
    }
}

impl server::Listener for Listener {
    type Connection = Stream;

    fn poll_accept(
        &mut self,
        silence_max: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Stream, String)>> {
        let accepted = self.network.wires().poll_accept(&self.address, silence_max, cx);
        let (end, from) = ready!(accepted)?;
        Poll::Ready(Ok((Stream { network: self.network.clone(), end }, format!("machine {from}"))))
    }
}
