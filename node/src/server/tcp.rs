//! Sockets: how they listen, how they dial, and how soon they notice that the other side is gone.
//!
//! When a partition heals, TCP itself waits for its next retransmission, whose back-off has grown
//! as long as the partition lasted: 47 s after a cut of one minute. So connections between nodes
//! die early ([`PEER_SILENCE_MAX`], by `TCP_USER_TIMEOUT` for data in flight and HTTP/2 pings for
//! the rest) and are dialled anew every quarter of a second.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use futures::Stream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tonic::transport::server::Connected;

use super::machine::Listener;

/// A peer that acknowledges nothing for this long is taken for gone.
pub(super) const PEER_SILENCE_MAX: Duration = Duration::from_millis(1500);
/// How often an HTTP/2 ping asks a peer whether it is there.
pub(super) const PEER_PING_INTERVAL: Duration = Duration::from_millis(500);
/// A dial that takes longer is given up and tried again.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_millis(500);

/// Listens on `address` (`host:port`); `purpose` is for the error.
pub(super) fn listen(address: &str, purpose: &str) -> Result<TcpListener> {
    let addresses = address
        .to_socket_addrs()
        .with_context(|| format!("{address}, to listen for {purpose}, is no known address"))?;
    let mut failure = None;
    for address in addresses {
        match bind(address) {
            Ok(listener) => return Ok(listener),
            Err(why) => failure = Some(why),
        }
    }
    match failure {
        Some(why) => Err(why).with_context(|| {
            format!(
                "cannot listen for {purpose} on {address}; is another process using it, or is it \
                 not an address of this machine?"
            )
        }),
        None => bail!("{address}, to listen for {purpose}, has no address"),
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A node that starts again must not wait for the connections of its last life to expire.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// Connects to `host:port`. Without a time limit of its own: the caller's is [`DIAL_TIMEOUT`],
/// name resolution included.
pub(super) async fn dial(address: &str, silence_max: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    prepare(&stream, silence_max)?;
    Ok(stream)
}

fn prepare(stream: &TcpStream, silence_max: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(silence_max))
}

impl Listener for TcpListener {
    type Connection = TcpStream;

    fn poll_accept(
        &mut self,
        silence_max: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, String)>> {
        loop {
            let (stream, from) = ready!(Self::poll_accept(self, cx))?;
            // An error means that the other side is gone again.
            if prepare(&stream, silence_max).is_ok() {
                return Poll::Ready(Ok((stream, from.to_string())));
            }
        }
    }
}

/// The connections that come in on a listener; never ends.
pub(super) struct Incoming<L> {
    listener: L,
    places: Arc<Semaphore>,
    silence_max: Duration,
    /// Runs after a failed accept (out of file descriptors, say), so that it is not tried at once.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<L> Incoming<L> {
    /// Accepts up to `connections_max` connections at a time; more are closed at once.
    pub(super) fn new(listener: L, connections_max: usize, silence_max: Duration) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(connections_max)),
            silence_max,
            pause: None,
        }
    }
}

impl<L: Listener> Stream for Incoming<L> {
    type Item = io::Result<Connection<L::Connection>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let silence_max = self.silence_max;
            let (stream, from) = match ready!(self.listener.poll_accept(silence_max, cx)) {
                Ok(accepted) => accepted,
                Err(why) => {
                    tracing::warn!("cannot accept a connection: {why}");
                    self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(50))));
                    continue;
                }
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                tracing::warn!("closed a connection from {from}: too many are open");
                continue;
            };
            return Poll::Ready(Some(Ok(Connection { stream, _place: place })));
        }
    }
}

/// A connection that gives its place back when it ends.
#[derive(Debug)]
pub(super) struct Connection<C> {
    stream: C,
    _place: OwnedSemaphorePermit,
}

impl<C> Connected for Connection<C> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl<C: AsyncRead + Unpin> AsyncRead for Connection<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Connection<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn more_connections_than_allowed_are_closed_at_once() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = Incoming::new(listener, 1, PEER_SILENCE_MAX);
        let first = TcpStream::connect(address).await.unwrap();
        let accepted = incoming.next().await.unwrap().unwrap();
        assert!(accepted.stream.nodelay().unwrap());
        let timeout = SockRef::from(&accepted.stream).tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(PEER_SILENCE_MAX));

        let mut second = TcpStream::connect(address).await.unwrap();
        tokio::select! {
            _ = incoming.next() => panic!("accepted a second connection"),
            end = second.read_u8() => assert!(end.is_err(), "the second is open"),
        }
        drop((first, accepted));
        let _third = TcpStream::connect(address).await.unwrap();
        assert!(incoming.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_listened_on_is_named() {
        let taken = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap().to_string();
        for (address, reason) in [
            (address.as_str(), "in use"),
            ("192.0.2.1:1", "not an address of this machine"),
            ("no-such-host.invalid:1", "is no known address"),
        ] {
            let refusal = format!("{:#}", listen(address, "clients").unwrap_err());
            assert!(refusal.contains(address), "{refusal}");
            assert!(refusal.contains("clients"), "{refusal}");
            assert!(refusal.contains(reason), "{refusal}");
        }
    }
}
