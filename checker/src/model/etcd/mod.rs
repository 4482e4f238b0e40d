//! The whole store that etcd's KV serves: puts, ranges, deletions and transactions, every key at
//! every revision.
//!
//! # History
//! An event's `f` is `put`, `range`, `delete-range` or `txn`; it has no `key`. The value of the
//! invocation is the request ([`Request`]), that of an `ok` the answer ([`Response`]). Fields with
//! their default (0, false, empty) are left out, unknown fields are refused:
//!
//! ```text
//! {…,"type":"invoke","f":"put","value":{"key":"k1","value":"7","prev_kv":true},"node":"n1"}
//! {…,"type":"ok","f":"put","value":{"revision":4,"prev_kv":{"key":"k1","value":"6","create":2,
//!                                   "mod":2,"version":1}},"node":"n1"}
//! {…,"type":"invoke","f":"txn","value":{
//!     "compare":[{"key":"k1","target":"mod","operand":4},
//!                {"key":"k2","target":"value","result":"less","operand":"9"}],
//!     "success":[{"put":{"key":"k1","value":"8"}},{"range":{"key":"k","range_end":"l"}}],
//!     "failure":[{"delete-range":{"key":"k1"}},{"txn":{…}}]}}
//! {…,"type":"ok","f":"txn","value":{"revision":5,"succeeded":true,
//!     "responses":[{"put":{"revision":5}},{"range":{"revision":5,"kvs":[…],"count":1}}]}}
//! ```
//!
//! - A byte of a key or a value is the character with its number ([`Bytes`]); a value longer than
//!   64 bytes is `{"length":n,"hash":"<xxh3>","start":"<16 bytes>"}`, in requests and answers
//!   ([`Value::of`]).
//! - `fail` means that the operation certainly changed nothing. If the error ends with one of
//!   etcd's texts ([`Refusal`]; the gRPC code stands before it: `OUT_OF_RANGE: etcdserver: mvcc:
//!   required revision is a future revision`), it is an answer, and is judged: no such refusal may
//!   be given without its reason. Any other `fail` says nothing. `info` may take effect at any
//!   later time, or never.
//! - A client that retries a request under a session, so that it is executed once, records one
//!   operation: from the first attempt to the last answer.
//! - The store is empty when the history begins, at revision 1, and whatever writes to the store is
//!   in the history. Nothing is compacted, and there are no leases.

mod bytes;
mod check;
mod error;
mod keys;
mod mismatch;
mod operation;
mod request;
mod response;
mod shown;
mod store;

pub use bytes::{Bytes, Digest, START, Value, WHOLE_MAX};
pub use error::Refusal;
pub use keys::KeyRange;
pub use mismatch::Mismatch;
pub use operation::{Answer, Etcd, Operation, Step};
pub use request::{
    Compare, DeleteRange, Operand, Put, Range, Relation, Request, SortOrder, SortTarget, Target,
    Txn,
};
pub use response::{
    DeleteRangeResponse, KeyValue, PutResponse, RangeResponse, Response, TxnResponse,
};
pub use store::Store;

use serde::de::value::Error;

use crate::history::generic::{Datum, from_datum};

/// The functions of a history.
pub const FUNCTIONS: &[&str] = &["put", "range", "delete-range", "txn"];

/// Whether a field is left out of a line.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Request {
    /// The request of an invocation.
    ///
    /// # Errors
    /// It is none of the function's.
    pub fn read(function: &str, value: &Datum) -> Result<Self, Error> {
        match function {
            "put" => from_datum(value).map(Self::Put),
            "range" => from_datum(value).map(Self::Range),
            "delete-range" => from_datum(value).map(Self::DeleteRange),
            "txn" => from_datum(value).map(Self::Txn),
            other => Err(serde::de::Error::unknown_variant(other, &["put", "range", "…"])),
        }
    }
}

impl Response {
    /// The answer of a completion.
    ///
    /// # Errors
    /// It is none of the function's.
    pub fn read(function: &str, value: &Datum) -> Result<Self, Error> {
        match function {
            "put" => from_datum(value).map(Self::Put),
            "range" => from_datum(value).map(Self::Range),
            "delete-range" => from_datum(value).map(Self::DeleteRange),
            "txn" => from_datum(value).map(Self::Txn),
            other => Err(serde::de::Error::unknown_variant(other, &["put", "range", "…"])),
        }
    }
}
