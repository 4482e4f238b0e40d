//! The history: operation events in Jepsen's vocabulary.
//!
//! An [`Event`] is one line of our own `history.jsonl`, an operation on a register;
//! [`operation::pair`] turns events into [`Operation`]s. [`generic`] holds histories of all other
//! models. [`read::read`] reads any format: our lines, Jepsen's [`edn`] and log, Porcupine's text.
//!
//! Several events may have one time. What one process did then it did in the order of its lines;
//! what several processes did then may have happened in any order, since who puts their events
//! together by a coarse clock cannot know. So an operation that ends at the very time at which
//! another one begins comes before that if both are of one process, and else is concurrent to it.

pub(crate) mod clock;
mod datum;
pub mod edn;
pub mod generic;
mod jepsen;
mod jepsen_log;
pub mod lines;
pub mod operation;
mod pairing;
pub mod read;
mod recording;
pub mod register;

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny, SeqAccess, Unexpected, Visitor},
};

pub use clock::Clock;
pub use operation::{Operation, Outcome};
pub(crate) use pairing::Recorded;
pub use pairing::{Place, Request};
pub use recording::{Events, Format, History, Numbering, Numbers};

/// One line of `history.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the history, from 0, without a gap.
    pub index: u64,
    /// Nanoseconds since the start of the run, on the harness's monotonic clock.
    pub time: u64,
    /// A logical client: at most one operation open at any time. Never reused after an `info`.
    pub process: u64,
    /// Invocation or kind of completion.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The operation.
    pub f: Function,
    /// The key.
    pub key: String,
    /// What is written, or what was read; see [`Value`].
    pub value: Value,
    /// Why the operation did not succeed; with its gRPC code where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The node that was asked, `n1` to `n9`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The store's revision: of the read value (its `mod_revision`), or of the write. A hint
    /// for the checker, never a proof of a violation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
}

/// Whether an event opens an operation, or how it ends one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The operation starts.
    Invoke,
    /// It took effect between its invocation and now.
    Ok,
    /// It certainly did not and never will take effect.
    Fail,
    /// Unknown: it may take effect at any time after its invocation, or never.
    Info,
}

/// What an operation does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// Reads. Value: none on invocation, what was read on completion (`null`: no such key).
    Read,
    /// Writes the value.
    Write,
    /// Compare-and-set: value `[expected, new]`. `ok` when it was set; `fail` with error
    /// `mismatch` when the key's value was another, and value `[found]` where the client was told
    /// which: as good as a read.
    Cas,
    /// Deletes the key.
    Delete,
}

/// A value of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// `null`: nothing, no such key.
    Nil,
    /// A value that was written or read.
    Int(i64),
    /// `[expected, new]` of a compare-and-set; `null` expects that there is no such key.
    Pair(Option<i64>, i64),
    /// `[found]` of a compare-and-set that was refused; `[null]`: there was no such key.
    Found(#[serde(serialize_with = "alone")] Option<i64>),
}

/// Writes the only member of a list: serde writes a lone field without one.
fn alone<S: Serializer>(found: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    [found].serialize(serializer)
}

// By hand, since what serde derives for untagged values copies each of them first.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null, a 64-bit integer, a pair [expected, new] or what was [found]")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
                Ok(Value::Nil)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Int(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
                i64::try_from(value)
                    .map(Value::Int)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
                let wrong = || de::Error::invalid_type(Unexpected::Seq, &self);
                let first = values.next_element()?.ok_or_else(wrong)?;
                let Some(new) = values.next_element()? else { return Ok(Value::Found(first)) };
                match values.next_element::<IgnoredAny>()? {
                    None => Ok(Value::Pair(first, new)),
                    Some(_) => Err(wrong()),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Pair(None, new) => write!(f, "[nil, {new}]"),
            Self::Pair(Some(expected), new) => write!(f, "[{expected}, {new}]"),
            Self::Found(found) => write!(f, "[{}]", Self::from(*found)),
        }
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Nil, Self::Int)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = Event {
            index: 1,
            time: 2,
            process: 3,
            kind: Kind::Fail,
            f: Function::Cas,
            key: "k".into(),
            value: Value::Pair(None, 4),
            error: Some("mismatch".into()),
            node: None,
            revision: None,
        };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(
            line,
            r#"{"index":1,"time":2,"process":3,"type":"fail","f":"cas","key":"k","value":[null,4],"error":"mismatch"}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }

    #[test]
    fn a_value_is_null_a_number_a_pair_or_what_was_found() {
        for (text, value) in [
            ("null", Value::Nil),
            ("-7", Value::Int(-7)),
            ("9223372036854775807", Value::Int(i64::MAX)),
            ("[null,4]", Value::Pair(None, 4)),
            ("[-3,4]", Value::Pair(Some(-3), 4)),
            ("[-3]", Value::Found(Some(-3))),
            ("[null]", Value::Found(None)),
        ] {
            assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
        let refused =
            ["9223372036854775808", "1.5", "[]", "[1.5]", "[1,null]", "[1,2,3]", "\"1\"", "{}"];
        for text in refused {
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }
}
