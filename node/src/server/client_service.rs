//! What clients see: etcd's KV, Cluster and Maintenance, and the node's own Inspect.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proto::{
    etcd::{self, cluster_server, kv_server, maintenance_server},
    inspect::{self, inspect_server},
};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};

use super::{
    Config,
    driver::{Ask, Handle},
    links::Links,
    members::Members,
    session, status,
};
use crate::{kv, raft::Role, replica};

/// What `etcdctl` shows as the server's version: the release of etcd whose API this is a subset
/// of, and this program's own version behind the plus, which semantic versioning ignores.
const VERSION: &str = concat!("3.4.0+raft-node-", env!("CARGO_PKG_VERSION"));

/// Serves clients; clones share everything.
#[derive(Clone)]
pub(super) struct ClientService(Arc<Shared>);

struct Shared {
    config: Arc<Config>,
    members: Arc<Members>,
    links: Links,
    handle: Handle,
    wal_bytes: Arc<AtomicU64>,
}

impl ClientService {
    /// `wal_bytes` is the size of the log on disk.
    pub(super) fn new(
        config: Arc<Config>,
        members: Arc<Members>,
        links: Links,
        handle: Handle,
        wal_bytes: Arc<AtomicU64>,
    ) -> Self {
        Self(Arc::new(Shared { config, members, links, handle, wal_bytes }))
    }

    fn state(&self) -> replica::Status {
        *self.0.handle.status.borrow()
    }

    /// The header of what needs no agreement.
    fn header(&self, state: &replica::Status) -> Option<etcd::ResponseHeader> {
        Some(etcd::ResponseHeader {
            cluster_id: self.0.config.cluster_id,
            member_id: self.0.config.id,
            revision: state.revision,
            raft_term: state.term,
        })
    }

    /// Asks the replica. When the client goes away this future is dropped, and the request takes
    /// its course without a listener.
    async fn serve<T>(
        &self,
        request: Request<T>,
        wrap: impl FnOnce(T) -> kv::Request,
    ) -> Result<kv::Response, Status> {
        let session = session::read(request.metadata())?;
        let request = wrap(request.into_inner());
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Request { request, session, reply })?;
        match answer.await {
            Ok(result) => result.map_err(|why| status::of(&why)),
            Err(_) => Err(status::stopped_meanwhile()),
        }
    }

    fn ask(&self, ask: Ask) -> Result<(), Status> {
        self.0.handle.asks.try_send(ask).map_err(|why| match why {
            mpsc::error::TrySendError::Full(_) => status::of(&replica::Error::TooManyRequests),
            mpsc::error::TrySendError::Closed(_) => status::stopped_before(),
        })
    }
}

/// The calls of `KV`: the method, then the variant of request and response, which have the same
/// name.
macro_rules! kv {
    ($($method:ident: $call:ident, $request:ident => $response:ident;)*) => {
        #[tonic::async_trait]
        impl kv_server::Kv for ClientService {
            $(async fn $method(
                &self,
                request: Request<etcd::$request>,
            ) -> Result<Response<etcd::$response>, Status> {
                match self.serve(request, kv::Request::$call).await? {
                    kv::Response::$call(response) => Ok(Response::new(response)),
                    other => Err(status::mismatched(stringify!($call), &other)),
                }
            })*
        }
    };
}

kv! {
    range: Range, RangeRequest => RangeResponse;
    put: Put, PutRequest => PutResponse;
    delete_range: DeleteRange, DeleteRangeRequest => DeleteRangeResponse;
    txn: Txn, TxnRequest => TxnResponse;
}

#[tonic::async_trait]
impl cluster_server::Cluster for ClientService {
    /// The members as configured; membership does not change, so every node's answer is current.
    async fn member_list(
        &self,
        _: Request<etcd::MemberListRequest>,
    ) -> Result<Response<etcd::MemberListResponse>, Status> {
        let header = self.header(&self.state());
        Ok(Response::new(etcd::MemberListResponse { header, members: self.0.members.list() }))
    }
}

#[tonic::async_trait]
impl maintenance_server::Maintenance for ClientService {
    /// No alarm is ever raised; a node whose disk fails stops.
    async fn alarm(
        &self,
        request: Request<etcd::AlarmRequest>,
    ) -> Result<Response<etcd::AlarmResponse>, Status> {
        if request.get_ref().action() != etcd::alarm_request::AlarmAction::Get {
            return Err(Status::unimplemented("alarms can only be listed"));
        }
        let header = self.header(&self.state());
        Ok(Response::new(etcd::AlarmResponse { header, alarms: Vec::new() }))
    }

    async fn status(
        &self,
        _: Request<etcd::StatusRequest>,
    ) -> Result<Response<etcd::StatusResponse>, Status> {
        let state = self.state();
        let size = self.0.wal_bytes.load(Ordering::Relaxed) as i64;
        let errors = match state.leader {
            Some(_) => Vec::new(),
            None => vec![replica::Error::NoLeader.to_string()],
        };
        Ok(Response::new(etcd::StatusResponse {
            header: self.header(&state),
            version: VERSION.into(),
            db_size: size,
            leader: state.leader.unwrap_or(0),
            raft_index: state.last_index,
            raft_term: state.term,
            raft_applied_index: state.applied_index,
            errors,
            db_size_in_use: size,
            is_learner: false,
        }))
    }

    async fn hash_kv(
        &self,
        request: Request<etcd::HashKvRequest>,
    ) -> Result<Response<etcd::HashKvResponse>, Status> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::HashKv { revision: request.get_ref().revision, reply })?;
        let (hash, state) = match answer.await {
            Ok(result) => result.map_err(|why| status::of(&why.into()))?,
            Err(_) => return Err(status::stopped_before()),
        };
        let header = self.header(&state);
        Ok(Response::new(etcd::HashKvResponse { header, hash, compact_revision: 0 }))
    }
}

#[tonic::async_trait]
impl inspect_server::Inspect for ClientService {
    async fn inspect(
        &self,
        _: Request<inspect::InspectRequest>,
    ) -> Result<Response<inspect::InspectResponse>, Status> {
        let state = self.state();
        let role = match state.role {
            Role::Follower => inspect::Role::Follower,
            Role::Candidate => inspect::Role::Candidate,
            Role::Leader => inspect::Role::Leader,
        };
        let peers = self.0.links.connected().into_iter();
        Ok(Response::new(inspect::InspectResponse {
            node: state.id,
            boot: state.boot,
            role: role.into(),
            term: state.term,
            leader: state.leader.unwrap_or(0),
            last_index: state.last_index,
            durable_index: state.durable_index,
            commit_index: state.commit_index,
            applied_index: state.applied_index,
            peers: peers.map(|(id, connected)| inspect::Peer { id, connected }).collect(),
            revision: state.revision,
        }))
    }
}
