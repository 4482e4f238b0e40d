//! What clients were answered, as a history records it.

use serde::{Deserialize, Serialize};

use super::{
    bytes::{Bytes, Value},
    is_default,
};

/// An answer. In the answer to a transaction: `{"put":{…}}`. The value of an operation's completion
/// is what is in the braces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Response {
    /// To a put.
    Put(PutResponse),
    /// To a range.
    Range(RangeResponse),
    /// To a deletion.
    DeleteRange(DeleteRangeResponse),
    /// To a transaction.
    Txn(TxnResponse),
}

/// Answers a put.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PutResponse {
    /// The header's revision; 0 where there is no header.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: i64,
    /// What the key was, if that was asked for and it was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_kv: Option<KeyValue>,
}

/// Answers a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RangeResponse {
    /// The header's revision; 0 where there is no header.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: i64,
    /// The keys.
    #[serde(skip_serializing_if = "is_default")]
    pub kvs: Vec<KeyValue>,
    /// The limit left keys out.
    #[serde(skip_serializing_if = "is_default")]
    pub more: bool,
    /// Keys of the range, whatever limit and filters leave out.
    #[serde(skip_serializing_if = "is_default")]
    pub count: i64,
}

/// Answers a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeleteRangeResponse {
    /// The header's revision; 0 where there is no header.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: i64,
    /// Keys that were deleted.
    #[serde(skip_serializing_if = "is_default")]
    pub deleted: i64,
    /// What they were, if that was asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kvs: Vec<KeyValue>,
}

/// Answers a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TxnResponse {
    /// The header's revision; 0 where there is no header, as in an answer within another.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: i64,
    /// Whether all compares held.
    #[serde(skip_serializing_if = "is_default")]
    pub succeeded: bool,
    /// An answer for each request of the list that was taken.
    #[serde(skip_serializing_if = "is_default")]
    pub responses: Vec<Response>,
}

/// A key as it is at a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyValue {
    /// The key.
    #[serde(skip_serializing_if = "is_default")]
    pub key: Bytes,
    /// Its value.
    #[serde(skip_serializing_if = "is_default")]
    pub value: Value,
    /// The revision at which it was created.
    #[serde(rename = "create", skip_serializing_if = "is_default")]
    pub create_revision: i64,
    /// The revision at which it was changed last.
    #[serde(rename = "mod", skip_serializing_if = "is_default")]
    pub mod_revision: i64,
    /// Puts since it was created, that one included.
    #[serde(skip_serializing_if = "is_default")]
    pub version: i64,
    /// Its lease.
    #[serde(skip_serializing_if = "is_default")]
    pub lease: i64,
}

impl Response {
    /// The header's revision; 0 where there is no header.
    pub fn revision(&self) -> i64 {
        match self {
            Self::Put(response) => response.revision,
            Self::Range(response) => response.revision,
            Self::DeleteRange(response) => response.revision,
            Self::Txn(response) => response.revision,
        }
    }
}
