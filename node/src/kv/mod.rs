//! The replicated state machine: an etcd-style revisioned key-value store.
//!
//! [`Store`] is pure: commands in, responses out, the same on every node. It keeps every revision
//! of every key, so that reads of the past and [`Store::hash_kv`] work.

use proto::{etcd, peer::Command, trace::Hash};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A read, linearizable unless it says `serializable`.
    Range(etcd::RangeRequest),
    /// Writes one key.
    Put(etcd::PutRequest),
    /// Deletes keys.
    DeleteRange(etcd::DeleteRangeRequest),
    /// Compares, then one of two lists of operations. Without any write it is served as a read.
    Txn(etcd::TxnRequest),
}

/// What a client gets. Of the header the store fills in `revision` alone; the replica adds the rest.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// Answers [`Request::Range`].
    Range(etcd::RangeResponse),
    /// Answers [`Request::Put`].
    Put(etcd::PutResponse),
    /// Answers [`Request::DeleteRange`].
    DeleteRange(etcd::DeleteRangeResponse),
    /// Answers [`Request::Txn`].
    Txn(etcd::TxnResponse),
}

/// Why the store refuses a request; each certainly had no effect. Texts and gRPC codes are etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `INVALID_ARGUMENT`
    #[error("etcdserver: key is not provided")]
    EmptyKey,
}

/// The store.
#[derive(Debug, Default)]
pub struct Store {}

impl Store {
    /// Applies a committed command. An error is as deterministic as a response and changes nothing.
    pub fn apply(&mut self, command: &Command) -> Result<Response, Error> {
        let _ = command;
        todo!()
    }

    /// Answers a request that writes nothing: a range, or a transaction of ranges.
    pub fn read(&self, request: &Request) -> Result<Response, Error> {
        let _ = request;
        todo!()
    }

    /// The latest revision; 1 for an empty store, as in etcd.
    pub fn revision(&self) -> i64 {
        todo!()
    }

    /// Running digest of all changes ever applied (sessions included): equal on nodes that
    /// applied equal commands.
    pub fn digest(&self) -> Hash {
        todo!()
    }

    /// Hash of all key-value pairs at `revision` (0: the latest), for `Maintenance.HashKV`.
    pub fn hash_kv(&self, revision: i64) -> Result<u32, Error> {
        let _ = revision;
        todo!()
    }
}

/// Whether a request is well-formed, before it is proposed: etcd's checks and status texts.
pub fn check(request: &Request) -> Result<(), Error> {
    let _ = request;
    todo!()
}

/// Whether a request writes nothing whatever its compares say.
pub fn is_read(request: &Request) -> bool {
    let _ = request;
    todo!()
}
