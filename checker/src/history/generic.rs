//! Histories of any system: functions are names, keys and values are data.
//!
//! The register that our own harness drives has types of its own ([`super::Event`]), since most of
//! what is checked is its history. Every other model reads these: whatever format a history came
//! in, its reader makes generic [`Event`]s of it, [`pair`] makes [`Operation`]s of those, and a
//! model takes from an operation what it understands, or says what it does not.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, SeqAccess, Visitor},
};

pub use super::datum::{from_datum, to_datum};
use super::{
    Kind,
    operation::MISMATCH,
    pairing::{self, Malformed, Place, Recorded, Request},
};

/// Error of an operation that read and wanted to write: whenever it tried, another had written
/// meanwhile, and it gave up.
pub const CONFLICT: &str = "conflict";
/// Error of a transfer that found too little in the account that was to pay.
pub const INSUFFICIENT: &str = "insufficient";
/// Errors of operations that failed for what they observed: of a compare-and-set, of a queue, of a
/// lock, of a transaction, of a transfer.
const OBSERVED: [&str; 5] = [MISMATCH, "empty", "held", CONFLICT, INSUFFICIENT];
/// Words of etcd's refusals that answer the request. They are not in the errors of a node that
/// could not serve it: no leader, a timeout, too many requests.
const ANSWERED: [&str; 6] = [
    "etcdserver: mvcc: ",
    "etcdserver: key",
    "etcdserver: duplicate key",
    "etcdserver: value is provided",
    "etcdserver: too many operations",
    "etcdserver: requested lease not found",
];

/// Whether an operation that failed with this error says what it observed.
pub(super) fn is_observation(error: &str) -> bool {
    OBSERVED.contains(&error) || ANSWERED.iter().any(|words| error.contains(words))
}

/// A value of a history: what JSON and EDN can both say.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// `null`, `nil`.
    #[default]
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A string; a keyword or symbol of EDN, without its colon.
    Text(Box<str>),
    /// A list or vector, in the order in which it was written; a set, ascending.
    List(Vec<Datum>),
    /// A map, by ascending keys: equal maps are equal however they were written.
    Map(Vec<(Datum, Datum)>),
}

impl Datum {
    /// Whether it is nothing.
    pub fn is_nil(&self) -> bool {
        *self == Self::Nil
    }

    /// The integer, if it is one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if it is a list.
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(members) => Some(members),
            _ => None,
        }
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
            Self::List(members) => {
                f.write_str("[")?;
                for (at, member) in members.iter().enumerate() {
                    write!(f, "{}{member}", if at > 0 { " " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key} {value}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Datum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Datum;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null, a truth value, a 64-bit integer, a string, a list or a map")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Datum, E> {
                Ok(Datum::Nil)
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Datum, E> {
                Ok(Datum::Bool(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Datum, E> {
                Ok(Datum::Int(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Datum, E> {
                i64::try_from(value)
                    .map(Datum::Int)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Datum, E> {
                Ok(Datum::Text(text.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Datum, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = values.next_element()? {
                    members.push(member);
                }
                Ok(Datum::List(members))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Datum, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = values.next_entry::<String, Datum>()? {
                    entries.push((Datum::Text(key.into()), value));
                }
                entries.sort_unstable();
                Ok(Datum::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// One event of a history. As a line of JSON: `{"index":0,"time":0,"process":0,"type":"invoke",
/// "f":"enqueue","key":null,"value":7}`, where `key`, `error`, `node` and `revision` may be
/// missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the history, from 0, without a gap.
    pub index: u64,
    /// Nanoseconds since the start of the run; the position where a format has no times.
    pub time: u64,
    /// A logical client: at most one operation open at any time. Never reused after an `info`.
    pub process: u64,
    /// Invocation or kind of completion.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The name of the operation.
    pub f: Box<str>,
    /// The key; nil where operations have none.
    #[serde(default, skip_serializing_if = "Datum::is_nil")]
    pub key: Datum,
    /// The argument on invocation, the answer on completion.
    #[serde(default)]
    pub value: Datum,
    /// Why the operation did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
    /// The node that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Box<str>>,
    /// The store's revision in the answer: a hint, never a proof of a violation, but for watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
}

/// What one client asked, and what it was told. Borrows from the events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operation<'a> {
    /// Index of the invocation in the history.
    pub index: u64,
    /// The logical client.
    pub process: u64,
    /// What was asked.
    pub f: &'a str,
    /// The key.
    pub key: &'a Datum,
    /// The node that was asked, or that answered.
    pub node: Option<&'a str>,
    /// What it was asked with.
    pub argument: &'a Datum,
    /// Time of the invocation.
    pub call: u64,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// It took effect and this was the answer.
    Ok {
        /// Time of the completion.
        time: u64,
        /// Index of the completion in the history.
        index: u64,
        /// The answer.
        value: &'a Datum,
        /// The store's revision, where the client was told.
        revision: Option<i64>,
    },
    /// It certainly never takes effect. What that says of the state, a model may know.
    Failed {
        /// Time of the completion.
        time: u64,
        /// Index of the completion in the history.
        index: u64,
        /// What the completion holds.
        value: &'a Datum,
        /// Why.
        error: Option<&'a str>,
    },
    /// Unknown, or still open when the history ended: it may take effect at any time, or never.
    Unknown {
        /// Time of the completion, where there is one.
        time: Option<u64>,
        /// What the completion holds: what had arrived of an answer that was cut off.
        value: &'a Datum,
        /// Why, where the client was told anything.
        error: Option<&'a str>,
    },
}

impl<'a> Operation<'a> {
    /// Times and indices of its events.
    pub(crate) fn events(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let end = match self.outcome {
            Outcome::Ok { time, index, .. } | Outcome::Failed { time, index, .. } => {
                Some((time, index))
            }
            Outcome::Unknown { .. } => None,
        };
        std::iter::once((self.call, self.index)).chain(end)
    }

    /// Whether its answer says anything: that it took effect, or what it observed.
    pub fn is_told(&self) -> bool {
        match self.outcome {
            Outcome::Ok { .. } => true,
            Outcome::Failed { error, .. } => error.is_some_and(is_observation),
            Outcome::Unknown { value, .. } => *value != Datum::Nil && value != self.argument,
        }
    }

    /// Whether it is a compare-and-set that was refused although it found just what it looked for.
    pub fn contradicts_itself(&self) -> bool {
        let expected = self.argument.list().and_then(<[Datum]>::first);
        self.f == "cas" && self.found().is_some_and(|found| Some(found) == expected)
    }

    /// What a compare-and-set found that was refused, where it says so: its answer is `[found]`.
    pub fn found(&self) -> Option<&'a Datum> {
        match self.outcome {
            Outcome::Failed { value, .. } => match value.list()? {
                [found] => Some(found),
                _ => None,
            },
            Outcome::Ok { .. } | Outcome::Unknown { .. } => None,
        }
    }
}

impl Request for Operation<'_> {
    fn index(&self) -> u64 {
        self.index
    }

    fn node(&self) -> Option<&str> {
        self.node
    }

    fn call(&self) -> u64 {
        self.call
    }

    fn answered(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Ok { time, .. } => Some(time),
            Outcome::Failed { time, .. } => Some(time).filter(|_| self.is_told()),
            Outcome::Unknown { .. } => None,
        }
    }

    fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Ok { .. })
    }
}

/// Pairs the events of a history into operations, in order of invocation.
///
/// # Errors
/// The first rule of well-formed histories that an event breaks: as [`super::operation::pair`],
/// but values are the models' concern, except that what a write, an append or a compare-and-set was
/// asked with may be repeated or left out in its answer, and not be another. A map is a request,
/// not a value to write, and has an answer of its own.
pub fn pair(history: &[Event]) -> Result<Vec<Operation<'_>>, Malformed> {
    pairing::pair(history)
}

impl Recorded for Event {
    type Operation<'a> = Operation<'a>;

    fn place(&self) -> Place {
        Place { index: self.index, time: self.time, process: self.process, kind: self.kind }
    }

    fn invoke(&self) -> Result<Operation<'_>, Malformed> {
        Ok(Operation {
            index: self.index,
            process: self.process,
            f: &self.f,
            key: &self.key,
            node: self.node.as_deref(),
            argument: &self.value,
            call: self.time,
            outcome: Outcome::Unknown { time: None, value: &Datum::Nil, error: None },
        })
    }

    fn complete<'a>(&'a self, operation: &mut Operation<'a>) -> Result<bool, Malformed> {
        if *self.f != *operation.f || self.key != *operation.key {
            return Ok(false);
        }
        operation.node = self.node.as_deref().or(operation.node);
        let (time, index, value) = (self.time, self.index, &self.value);
        let error = self.error.as_deref();
        let asked = operation.argument;
        let repeats = matches!(operation.f, "write" | "put" | "set" | "append" | "cas");
        let repeats = repeats && !matches!(asked, Datum::Map(_));
        let says = *asked != Datum::Nil && *value != Datum::Nil;
        if self.kind == Kind::Ok && repeats && says && value != asked {
            let (asked, found) = (operation.argument.to_string(), value.to_string());
            return Err(Malformed::Repeated { index, open: operation.index, asked, found });
        }
        operation.outcome = match self.kind {
            Kind::Ok => Outcome::Ok { time, index, value, revision: self.revision },
            Kind::Fail => Outcome::Failed { time, index, value, error },
            Kind::Info | Kind::Invoke => Outcome::Unknown { time: Some(time), value, error },
        };
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_any_model_are_lines_of_json() {
        let lines = [
            r#"{"index":0,"time":5,"process":1,"type":"invoke","f":"txn","value":[["append",5,1],["r",6,null]]}"#,
            r#"{"index":1,"time":9,"process":1,"type":"ok","f":"txn","value":[["append",5,1],["r",6,[1,2]]],"node":"n2"}"#,
            r#"{"index":2,"time":9,"process":1,"type":"invoke","f":"set","key":{"a":true},"value":"x"}"#,
        ];
        let events: Vec<Event> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let operations = pair(&events).unwrap();
        assert_eq!(operations.len(), 2);
        assert_eq!(operations[0].node, Some("n2"));
        let Outcome::Ok { time: 9, index: 1, value, revision: None } = operations[0].outcome else {
            panic!("{operations:?}")
        };
        assert_eq!(value.to_string(), "[[append 5 1] [r 6 [1 2]]]");
        assert_eq!(operations[1].key.to_string(), "{a true}");
        let datum = |text: &str| serde_json::from_str::<Datum>(text).unwrap();
        assert_eq!(datum(r#"{"a":1,"b":[2]}"#), datum(r#"{"b":[2],"a":1}"#));
        let nothing = Outcome::Unknown { time: None, value: &Datum::Nil, error: None };
        assert_eq!(operations[1].outcome, nothing);
    }

    #[test]
    fn what_is_no_history_is_refused() {
        let event = |index, kind, f: &str| Event {
            index,
            time: 0,
            process: 1,
            kind,
            f: f.into(),
            key: Datum::Nil,
            value: Datum::Nil,
            error: None,
            node: None,
            revision: None,
        };
        let refused = |events: &[Event]| pair(events).unwrap_err().to_string();
        assert!(refused(&[event(0, Kind::Ok, "add")]).contains("has not invoked"));
        let twice = [event(0, Kind::Invoke, "add"), event(1, Kind::Invoke, "add")];
        assert!(refused(&twice).contains("while that of event 0 is open"));
        let other = [event(0, Kind::Invoke, "add"), event(1, Kind::Ok, "read")];
        assert!(refused(&other).contains("another operation"));
    }
}
