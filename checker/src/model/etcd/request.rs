//! What clients ask for, as a history records it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    bytes::{Bytes, Value},
    is_default,
};

/// A request. As an operation of a transaction: `{"put":{…}}`. As an operation of a history the
/// event's `f` is the name, and its value is what is in the braces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Writes one key.
    Put(Put),
    /// Reads keys.
    Range(Range),
    /// Deletes keys.
    DeleteRange(DeleteRange),
    /// Compares, then one of two lists of requests.
    Txn(Txn),
}

/// Writes one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Put {
    /// The key.
    #[serde(skip_serializing_if = "is_default")]
    pub key: Bytes,
    /// The value.
    #[serde(skip_serializing_if = "is_default")]
    pub value: Value,
    /// The answer holds what the key was.
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
    /// The key keeps its value, and must exist.
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_value: bool,
    /// A lease. The model has none, so it must be refused.
    #[serde(skip_serializing_if = "is_default")]
    pub lease: i64,
    /// The key keeps its lease, and must exist.
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_lease: bool,
}

/// Reads keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Range {
    /// The first key.
    #[serde(skip_serializing_if = "is_default")]
    pub key: Bytes,
    /// Empty: only `key`. `"\0"`: all keys from `key` on. Else the first key that is not meant.
    #[serde(skip_serializing_if = "is_default")]
    pub range_end: Bytes,
    /// Keys that are answered at most; 0: all.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: i64,
    /// The revision that is read; 0: the latest.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: i64,
    /// The answer may be of an old state.
    #[serde(skip_serializing_if = "is_default")]
    pub serializable: bool,
    /// Without values.
    #[serde(skip_serializing_if = "is_default")]
    pub keys_only: bool,
    /// Only how many keys there are.
    #[serde(skip_serializing_if = "is_default")]
    pub count_only: bool,
    /// In which order.
    #[serde(skip_serializing_if = "is_default")]
    pub sort_order: SortOrder,
    /// By what.
    #[serde(skip_serializing_if = "is_default")]
    pub sort_target: SortTarget,
    /// Only keys that were changed at this revision or later; 0: all.
    #[serde(skip_serializing_if = "is_default")]
    pub min_mod_revision: i64,
    /// Only keys that were changed at this revision or before; 0: all.
    #[serde(skip_serializing_if = "is_default")]
    pub max_mod_revision: i64,
    /// Only keys that were created at this revision or later; 0: all.
    #[serde(skip_serializing_if = "is_default")]
    pub min_create_revision: i64,
    /// Only keys that were created at this revision or before; 0: all.
    #[serde(skip_serializing_if = "is_default")]
    pub max_create_revision: i64,
}

/// Deletes keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeleteRange {
    /// The first key.
    #[serde(skip_serializing_if = "is_default")]
    pub key: Bytes,
    /// As in [`Range`].
    #[serde(skip_serializing_if = "is_default")]
    pub range_end: Bytes,
    /// The answer holds what was deleted.
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
}

/// Compares, then one of two lists of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Txn {
    /// All must hold for `success`.
    #[serde(skip_serializing_if = "is_default")]
    pub compare: Vec<Compare>,
    /// Requests if all compares hold.
    #[serde(skip_serializing_if = "is_default")]
    pub success: Vec<Request>,
    /// Requests if one does not.
    #[serde(skip_serializing_if = "is_default")]
    pub failure: Vec<Request>,
}

/// A compare of a transaction: whether `target` of each key is `result` than the operand. A key
/// that does not exist has version and revisions 0, and no value that compares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compare {
    /// The first key.
    #[serde(skip_serializing_if = "is_default")]
    pub key: Bytes,
    /// As in [`Range`].
    #[serde(skip_serializing_if = "is_default")]
    pub range_end: Bytes,
    /// What of the key.
    #[serde(skip_serializing_if = "is_default")]
    pub target: Target,
    /// How it must compare.
    #[serde(skip_serializing_if = "is_default")]
    pub result: Relation,
    /// With what: a value if the target is the value, else a number. Left out, and where it has
    /// the wrong type, it is empty or 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operand: Option<Operand>,
}

/// What a key is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Operand {
    /// A version, revision or lease.
    Number(i64),
    /// A value.
    Value(Value),
}

/// What of a key is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Its version.
    #[default]
    Version,
    /// Its revision of creation.
    Create,
    /// Its revision of modification.
    Mod,
    /// Its value.
    Value,
    /// Its lease.
    Lease,
}

/// How a key must compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Equal.
    #[default]
    Equal,
    /// Greater than the operand.
    Greater,
    /// Less than the operand.
    Less,
    /// Not equal.
    NotEqual,
}

/// In which order keys are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SortOrder {
    /// Ascending, as if nothing was asked for.
    #[default]
    None,
    /// Ascending.
    Ascend,
    /// Descending.
    Descend,
}

/// By what keys are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SortTarget {
    /// By key.
    #[default]
    Key,
    /// By version.
    Version,
    /// By revision of creation.
    Create,
    /// By revision of modification.
    Mod,
    /// By value.
    Value,
}

impl Request {
    /// The name of its function in a history.
    pub fn function(&self) -> &'static str {
        match self {
            Self::Put(_) => "put",
            Self::Range(_) => "range",
            Self::DeleteRange(_) => "delete-range",
            Self::Txn(_) => "txn",
        }
    }
}

/// `k1`, `k1 to k5`, `k1 and later keys`.
fn keys(key: &Bytes, range_end: &Bytes, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match &*range_end.0 {
        [] => write!(f, "{key}"),
        [0] => write!(f, "{key} and later keys"),
        _ => write!(f, "{key} to {range_end}"),
    }
}

fn list(requests: &[Request], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, request) in requests.iter().enumerate() {
        f.write_str(if at > 0 { ", " } else { "" })?;
        write!(f, "{request}")?;
    }
    Ok(())
}

/// In a few words: `put k1 = "7"`.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(put) if put.ignore_value => write!(f, "put {} as it is", put.key),
            Self::Put(put) => write!(f, "put {} = \"{}\"", put.key, put.value),
            Self::Range(range) => {
                f.write_str("range ")?;
                keys(&range.key, &range.range_end, f)?;
                if range.revision > 0 {
                    write!(f, " at revision {}", range.revision)?;
                }
                f.write_str(if range.serializable { " (serializable)" } else { "" })
            }
            Self::DeleteRange(delete) => {
                f.write_str("delete ")?;
                keys(&delete.key, &delete.range_end, f)
            }
            Self::Txn(txn) => {
                write!(f, "txn ({} compares; ", txn.compare.len())?;
                list(&txn.success, f)?;
                f.write_str("; else ")?;
                list(&txn.failure, f)?;
                f.write_str(")")
            }
        }
    }
}
