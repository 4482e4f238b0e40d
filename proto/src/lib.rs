//! All that crosses a process boundary.
//!
//! - [`etcd`]: the subset of the etcd v3 gRPC API that the node serves, and its [`mvcc`] types;
//! - [`peer`]: messages between nodes, and what a log entry carries;
//! - [`inspect`]: a node's own account of its state;
//! - [`trace`]: the schema of the trace, a node's account of every step that safety depends on.
//!
//! The gRPC types are generated from the `.proto` files beside `src/`; all but [`trace`] needs the
//! feature `grpc`, which is on unless turned off.

#[cfg(feature = "grpc")]
mod grpc;
pub mod trace;

#[cfg(feature = "grpc")]
pub use grpc::{
    etcdserverpb, etcdserverpb as etcd, mvccpb, mvccpb as mvcc, raftlab,
    raftlab::{inspect, peer},
};
