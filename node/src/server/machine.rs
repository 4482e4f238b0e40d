//! What a server stands on: the network, disk, clock and trace file of its machine.
//!
//! [`Machine`] is the seam at which a simulator puts others in their place. [`RealMachine`] is the
//! real one. Everything above this seam is the same code in production and in simulation; time
//! comes from tokio, whose clock a simulator can pause.

use std::{
    io::{self, Write},
    path::Path,
    task::{Context, Poll},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use tonic::codegen::http::{HeaderValue, Response, header::DATE};

use super::{tcp, trace_file};
use crate::storage::{self, Disk, FileDisk, Wal};

/// The machine that a server runs on.
pub trait Machine: Send + Sync + 'static {
    /// Holds the write-ahead log.
    type Disk: Disk + Send + 'static;
    /// A connection, from either of its ends.
    type Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Where connections come in.
    type Listener: Listener<Connection = Self::Connection>;

    /// Opens the directory of the write-ahead log.
    ///
    /// # Errors
    /// It cannot be used, or another process has it open.
    fn open_disk(&self, directory: &Path) -> Result<Self::Disk>;

    /// Listens on `address` (`host:port`); `purpose` is for the error.
    ///
    /// # Errors
    /// The address cannot be listened on.
    fn listen(&self, address: &str, purpose: &str) -> Result<Self::Listener>;

    /// Connects to `address` (`host:port`), without a time limit. The connection fails once the
    /// other side has acknowledged nothing for `silence_max`.
    fn dial(
        &self,
        address: &str,
        silence_max: Duration,
    ) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// Opens the trace file for appending. Also returns the Lamport clock of its last line, 0 if
    /// it has none.
    ///
    /// # Errors
    /// It cannot be written, or is no trace.
    fn open_trace(&self, path: &Path) -> Result<(Box<dyn Write + Send>, u64)>;

    /// Time since the Unix epoch, for lines of the trace and answers to clients.
    fn unix_time(&self) -> Duration;

    /// Runs the work of the disk beside the server, so that its waits do not hold the server up.
    ///
    /// # Errors
    /// It cannot be run.
    fn run_disk(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<()>;

    /// Makes all that was appended to the log durable.
    fn sync<'a>(
        &'a self,
        wal: &'a mut Wal<Self::Disk>,
    ) -> impl Future<Output = Result<(), storage::Error>> + Send + 'a;
}

/// Dates a response by the machine's clock, so that its bytes do not depend on another one.
pub(super) fn date<B>(machine: &impl Machine, mut response: Response<B>) -> Response<B> {
    let date = httpdate::fmt_http_date(UNIX_EPOCH + machine.unix_time());
    if let Ok(date) = HeaderValue::try_from(date) {
        response.headers_mut().insert(DATE, date);
    }
    response
}

/// Where connections come in.
pub trait Listener: Unpin + Send + 'static {
    /// What comes in.
    type Connection;

    /// The next connection, and from whom it comes, in words. It fails once the other side has
    /// acknowledged nothing for `silence_max`.
    fn poll_accept(
        &mut self,
        silence_max: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Self::Connection, String)>>;
}

/// The machine that this process runs on.
#[derive(Clone, Copy, Debug)]
pub(super) struct RealMachine;

impl Machine for RealMachine {
    type Disk = FileDisk;
    type Connection = TcpStream;
    type Listener = TcpListener;

    fn open_disk(&self, directory: &Path) -> Result<FileDisk> {
        Ok(FileDisk::open(directory)?)
    }

    fn listen(&self, address: &str, purpose: &str) -> Result<TcpListener> {
        tcp::listen(address, purpose)
    }

    async fn dial(&self, address: &str, silence_max: Duration) -> io::Result<TcpStream> {
        tcp::dial(address, silence_max).await
    }

    fn open_trace(&self, path: &Path) -> Result<(Box<dyn Write + Send>, u64)> {
        let (file, clock) = trace_file::open(path)?;
        Ok((Box::new(file), clock))
    }

    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn run_disk(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        thread::Builder::new()
            .name("disk".into())
            .spawn(move || futures::executor::block_on(work))
            .map(drop)
            .context("cannot start the disk's thread")
    }

    async fn sync(&self, wal: &mut Wal<FileDisk>) -> Result<(), storage::Error> {
        wal.sync()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::storage::MemoryDisk;

    /// The machine that this process runs on, but that its disks are in memory.
    pub(in crate::server) struct Memory;

    impl Machine for Memory {
        type Disk = MemoryDisk;
        type Connection = TcpStream;
        type Listener = TcpListener;

        fn open_disk(&self, _: &Path) -> Result<MemoryDisk> {
            Ok(MemoryDisk::new())
        }

        fn listen(&self, address: &str, purpose: &str) -> Result<TcpListener> {
            RealMachine.listen(address, purpose)
        }

        async fn dial(&self, address: &str, silence_max: Duration) -> io::Result<TcpStream> {
            RealMachine.dial(address, silence_max).await
        }

        fn open_trace(&self, path: &Path) -> Result<(Box<dyn Write + Send>, u64)> {
            RealMachine.open_trace(path)
        }

        fn unix_time(&self) -> Duration {
            RealMachine.unix_time()
        }

        fn run_disk(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<()> {
            RealMachine.run_disk(work)
        }

        async fn sync(&self, wal: &mut Wal<MemoryDisk>) -> Result<(), storage::Error> {
            wal.sync()
        }
    }
}
