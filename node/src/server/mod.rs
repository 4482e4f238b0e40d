//! The thin shell around a [`Replica`](crate::replica::Replica): real time, sockets and files.
//!
//! One thread runs everything but the disk; two cores serve a node well:
//!
//! ```text
//!   clients ──► client_service ──┐                  ┌──► trace_file   1. what is about to happen
//!                                ├──► driver ───────┼──► disk         2. what must be durable
//!   peers ────► peer_service ────┘   (the replica)  ├──► links        3. messages to peers
//!                    ▲                    ▲         └──► replies      4. answers to clients
//!                    │                    └── disk: "durable up to write n"
//!               handshake
//! ```
//!
//! - [`Config`], `limit_flags`: flags and environment, read and checked once.
//! - `driver`: the loop that owns the replica and does its outputs in their order.
//! - `disk`: the thread that appends and syncs, many writes at once.
//! - `trace_file`: trace lines, the kernel's before their effect leaves the node.
//! - `links`, `peer_service`, `handshake`, `wire`: one stream per direction and pair of nodes.
//! - `client_service`, `session`, `status`, `members`: etcd's API, and what errors mean.
//! - [`Machine`]: the seam at which a simulator takes the place of network, disk and trace file.
//! - `tcp`, [`Log`]: sockets, lines on stderr; `change_log`: what is applied, for level debug.
//!
//! What fails for good (disk, trace, an assertion) ends the process: a node that is gone is a
//! fault that Raft masks, a node that goes on with a hole in its memory is not.

mod change_log;
mod client_service;
mod config;
mod disk;
mod driver;
mod handshake;
mod limit_flags;
mod links;
mod log;
mod machine;
mod members;
mod peer_service;
mod session;
mod status;
mod tcp;
mod trace_file;
mod wire;

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use proto::{
    etcd::{
        cluster_server::ClusterServer, kv_server::KvServer, maintenance_server::MaintenanceServer,
    },
    inspect::inspect_server::InspectServer,
    peer::peer_server::PeerServer,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};
use tonic::{body::Body, codegen::http::Response, transport::Server};
use tower::util::MapResponseLayer;

use self::{
    client_service::ClientService, driver::Driver, links::Links, machine::RealMachine,
    members::Members, peer_service::PeerService, tcp::Incoming, trace_file::TraceFile,
};
pub use self::{
    config::{Config, Flags},
    log::Log,
    machine::{Listener, Machine},
    status::of as status_of,
};
use crate::storage::{Identity, Options, Wal};

/// gRPC's own limit stands above that on requests, as in etcd, so that a request that is only a
/// little too large gets etcd's answer.
const REQUEST_OVERHEAD_BYTES: usize = 512 * 1024;
const CLIENT_CONNECTIONS_MAX: usize = 1024;
const CLIENT_STREAMS_MAX: u32 = 1024;
const CLIENT_SILENCE_MAX: Duration = Duration::from_secs(20);
const PEER_CONNECTIONS_MAX: usize = 64;
/// How long answers may take to leave when the node is asked to stop.
const STOP_PATIENCE: Duration = Duration::from_millis(200);

/// Runs a node until SIGTERM or SIGINT asks it to stop.
///
/// # Errors
///
/// The node's surroundings failed: an address in use, a data directory that cannot be written or
/// is another node's, a corrupt log, a failed sync.
pub fn run(config: Config) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        serve(Arc::new(RealMachine), config, Options::default(), stop_signal()?).await
    });
    // A name that is being resolved must not hold the process up.
    runtime.shutdown_background();
    result
}

/// Runs a node on a machine until `stop` completes. Must be called on a current-thread runtime that
/// ends with the node: the node's tasks live as long as the runtime.
///
/// # Errors
///
/// As [`run`].
pub async fn serve<M: Machine>(
    machine: Arc<M>,
    config: Config,
    segments: Options,
    asked_to_stop: impl Future<Output = ()>,
) -> Result<()> {
    let config = Arc::new(config);
    let disk = machine.open_disk(&config.data_dir)?;
    let peer_listener = machine.listen(&config.listen_peer, "peers")?;
    let client_listener = machine.listen(&config.listen_client, "clients")?;
    let identity = Identity { cluster: config.cluster_id, node: config.id };
    let (wal, recovered) = Wal::open_with(disk, identity, segments)?;
    if recovered.cut > 0 {
        tracing::info!("cut {} bytes of a torn tail from the write-ahead log", recovered.cut);
    }
    let trace = config
        .trace
        .as_deref()
        .map(|path| TraceFile::open(&machine, path, config.id, recovered.boot))
        .transpose()?;
    tracing::info!(
        "node {} ({}), start {}, term {}, {} log entries: clients at {}, peers at {}",
        config.id,
        config.name,
        recovered.boot,
        recovered.state.hard_state.term,
        recovered.state.entries.len(),
        config.listen_client,
        config.listen_peer
    );

    let members = Arc::new(Members::new(&config));
    let links = Links::dial(&machine, &config);
    let driver = Driver::start(&machine, &config, wal, recovered, links.clone(), trace)?;
    if config.log >= tracing::Level::DEBUG {
        tokio::spawn(change_log::run(driver.handle().asks));
    }
    let (stopping, stop) = watch::channel(());
    let peers = serve_peers(
        &machine,
        peer_listener,
        PeerService::new(config.clone(), members.clone(), driver.handle().messages),
        &config,
        stop.clone(),
    );
    let clients = serve_clients(
        &machine,
        client_listener,
        ClientService::new(config.clone(), members, links, driver.handle(), driver.writer().size()),
        &config,
        stop,
    );
    let result = driver
        .run(async {
            asked_to_stop.await;
            drop(stopping);
        })
        .await;
    if result.is_ok() {
        tracing::info!("stopped");
        let _ = tokio::time::timeout(STOP_PATIENCE, async { tokio::join!(clients, peers) }).await;
    }
    result
}

/// Completes when SIGTERM or SIGINT comes.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    })
}

fn serve_peers<M: Machine>(
    machine: &Arc<M>,
    listener: M::Listener,
    service: PeerService,
    config: &Config,
    stop: watch::Receiver<()>,
) -> JoinHandle<()> {
    // At least one entry is always sent, whatever its size.
    let packet_max = config.limits.append_bytes + 2 * config.limits.request_bytes;
    let machine = machine.clone();
    let server = Server::builder()
        .initial_stream_window_size(links::WINDOW_BYTES)
        .initial_connection_window_size(links::WINDOW_BYTES)
        .http2_keepalive_interval(Some(tcp::PEER_PING_INTERVAL))
        .http2_keepalive_timeout(Some(tcp::PEER_SILENCE_MAX - tcp::PEER_PING_INTERVAL))
        .layer(MapResponseLayer::new(move |response: Response<Body>| {
            machine::date(&*machine, response)
        }))
        .add_service(PeerServer::new(service).max_decoding_message_size(packet_max))
        .serve_with_incoming_shutdown(
            Incoming::new(listener, PEER_CONNECTIONS_MAX, tcp::PEER_SILENCE_MAX),
            ended(stop),
        );
    tokio::spawn(log_failure("peers", server))
}

fn serve_clients<M: Machine>(
    machine: &Arc<M>,
    listener: M::Listener,
    service: ClientService,
    config: &Config,
    stop: watch::Receiver<()>,
) -> JoinHandle<()> {
    let request_max = config.limits.request_bytes + REQUEST_OVERHEAD_BYTES;
    let machine = machine.clone();
    let server = Server::builder()
        .max_concurrent_streams(CLIENT_STREAMS_MAX)
        .http2_keepalive_interval(Some(CLIENT_SILENCE_MAX / 2))
        .http2_keepalive_timeout(Some(CLIENT_SILENCE_MAX / 2))
        .layer(MapResponseLayer::new(move |response: Response<Body>| {
            machine::date(&*machine, status::amend(response))
        }))
        .add_service(KvServer::new(service.clone()).max_decoding_message_size(request_max))
        .add_service(ClusterServer::new(service.clone()))
        .add_service(MaintenanceServer::new(service.clone()))
        .add_service(InspectServer::new(service))
        .serve_with_incoming_shutdown(
            Incoming::new(listener, CLIENT_CONNECTIONS_MAX, CLIENT_SILENCE_MAX),
            ended(stop),
        );
    tokio::spawn(log_failure("clients", server))
}

/// Completes when the sender is dropped.
async fn ended(mut stop: watch::Receiver<()>) {
    while stop.changed().await.is_ok() {}
}

async fn log_failure(
    whom: &str,
    server: impl Future<Output = Result<(), tonic::transport::Error>>,
) {
    if let Err(why) = server.await {
        tracing::error!("the server for {whom} ended: {why}");
    }
}
