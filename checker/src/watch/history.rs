//! Watches and writes, taken from a generic history.

use std::fmt;

use crate::{
    budget::{Budget, Spent},
    history::{
        Clock,
        generic::{self, Datum, Outcome},
    },
    model::Unexpected,
};

/// The functions of a history of watches.
pub const FUNCTIONS: &[&str] =
    &["watch", "txn", "read", "get", "write", "put", "set", "cas", "delete", "del"];

/// The revision of a store in which nothing was written yet.
pub(super) const EMPTY: i64 = 1;

/// Bytes that the check holds at most at any time for each change that was told, and for each key
/// that a write writes.
const BESIDE_CHANGE: usize = 400;
const BESIDE_PART: usize = 400;

/// What a history says about watches.
#[derive(Default)]
pub(super) struct History<'a> {
    /// Watches that told something or that ended, in order of invocation.
    pub(super) watches: Vec<Watch<'a>>,
    /// Writes that may have taken effect, in order of invocation.
    pub(super) writes: Vec<Write<'a>>,
    /// What times count.
    pub(super) clock: Clock,
    /// Bytes of all this, and the most that the check holds beside it at any time.
    pub(super) bytes: usize,
}

/// A watch, and what it told.
pub(super) struct Watch<'a> {
    pub(super) source: &'a generic::Operation<'a>,
    pub(super) filter: Filter<'a>,
    /// The revision of the first change that was asked for, where one was named.
    pub(super) from: Option<i64>,
    /// In order of arrival.
    pub(super) responses: Vec<Response<'a>>,
    /// When it was over: all responses had come.
    pub(super) end: u64,
}

impl<'a> Watch<'a> {
    /// What it told of changes, in order.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change<'a>> {
        self.responses
            .iter()
            .flat_map(|response| match response {
                Response::Batch(changes) => changes.as_slice(),
                Response::Progress(_) => &[],
            })
            .copied()
    }

    /// Where it begins; without a revision that it names, at the latest.
    pub(super) fn begins(&self) -> Option<i64> {
        let first = |response: &Response<'_>| match response {
            Response::Batch(changes) => changes.first().map(|change| change.revision),
            Response::Progress(revision) => Some(revision.saturating_add(1)),
        };
        self.from.or_else(|| self.responses.iter().find_map(first))
    }

    fn bytes(&self) -> usize {
        let response = |response: &Response<'_>| match response {
            Response::Batch(changes) => {
                changes.capacity() * size_of::<Change<'_>>() + changes.len() * BESIDE_CHANGE
            }
            Response::Progress(_) => 0,
        };
        size_of::<Self>()
            + self.responses.capacity() * size_of::<Response<'_>>()
            + self.responses.iter().map(response).sum::<usize>()
    }

    /// The highest revision that it told.
    pub(super) fn horizon(&self) -> Option<i64> {
        self.responses
            .iter()
            .filter_map(|response| match response {
                Response::Batch(changes) => changes.iter().map(|change| change.revision).max(),
                Response::Progress(revision) => Some(*revision),
            })
            .max()
    }
}

impl fmt::Display for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the watch of event {} (", self.source.index)?;
        match self.filter {
            Filter::All => f.write_str("all keys")?,
            Filter::Key(key) => write!(f, "key {key}")?,
            Filter::Prefix(prefix) => write!(f, "prefix {prefix}")?,
        }
        match self.from {
            Some(from) => write!(f, ", from revision {from})"),
            None => f.write_str(")"),
        }
    }
}

/// The keys that a watch asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Filter<'a> {
    All,
    Key(&'a Datum),
    Prefix(&'a str),
}

impl Filter<'_> {
    pub(super) fn takes(self, key: &Datum) -> bool {
        match self {
            Self::All => true,
            Self::Key(one) => one == key,
            Self::Prefix(prefix) => key.text().is_some_and(|text| text.starts_with(prefix)),
        }
    }
}

/// What arrived at once.
pub(super) enum Response<'a> {
    Batch(Vec<Change<'a>>),
    /// All changes up to this revision have been told.
    Progress(i64),
}

/// A change of one key at one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Change<'a> {
    pub(super) revision: i64,
    pub(super) key: &'a Datum,
    /// What was put; `None` where the key was deleted.
    pub(super) value: Option<&'a Datum>,
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "the put of {value} to key {}", self.key)?,
            None => write!(f, "the delete of key {}", self.key)?,
        }
        write!(f, " at revision {}", self.revision)
    }
}

/// A key, and what becomes of it.
pub(super) type Effect<'a> = (&'a Datum, Option<&'a Datum>);

/// An operation that writes at one revision.
pub(super) struct Write<'a> {
    pub(super) source: &'a generic::Operation<'a>,
    /// Each key that it writes, once, in order; with `None` where it deletes it.
    pub(super) parts: Vec<Effect<'a>>,
    /// When it was acknowledged; `None` where its outcome is unknown.
    pub(super) acknowledged: Option<u64>,
    /// The store's revision after it, where the client was told.
    pub(super) revision: Option<i64>,
}

impl Write<'_> {
    /// Whether this is one of the things that it does.
    pub(super) fn does(&self, (key, value): &Effect<'_>) -> bool {
        let part = self.parts.binary_search_by_key(key, |(key, _)| *key);
        part.is_ok_and(|part| self.parts[part].1 == *value)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.parts.capacity() * (size_of::<Effect<'_>>() + BESIDE_PART)
    }

    /// Whether it makes a change whatever was there before.
    pub(super) fn puts(&self) -> bool {
        self.parts.iter().any(|(_, value)| value.is_some())
    }
}

impl fmt::Display for Write<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} of event {}", self.source.f, self.source.index)
    }
}

impl<'a> History<'a> {
    /// Understands each operation, as long as there is time and memory.
    pub(super) fn of(
        operations: &'a [generic::Operation<'a>],
        budget: &Budget,
    ) -> Result<Result<Self, Spent>, Unexpected> {
        let clock = Clock::of(operations.iter().map(generic::Operation::events));
        let mut history = Self { clock, ..Self::default() };
        for source in operations {
            if let Err(spent) = budget.both(history.bytes) {
                return Ok(Err(spent));
            }
            match source.f {
                "watch" => {
                    let watch = watch(source)?;
                    history.bytes += watch.as_ref().map_or(0, Watch::bytes);
                    history.watches.extend(watch);
                }
                "read" | "get" => {}
                _ => {
                    let write = write(source)?;
                    history.bytes += write.as_ref().map_or(0, Write::bytes);
                    history.writes.extend(write);
                }
            }
        }
        Ok(budget.both(history.bytes).map(|()| history))
    }
}

/// This stands in an event where something else is expected.
fn refuse(index: u64, expected: &'static str, found: &Datum) -> Unexpected {
    Unexpected { index, expected, found: found.to_string() }
}

fn watch<'a>(source: &'a generic::Operation<'a>) -> Result<Option<Watch<'a>>, Unexpected> {
    let (filter, from) = asked(source)?;
    let (index, end, value) = match source.outcome {
        Outcome::Ok { time, index, value, .. } => (index, time, value),
        Outcome::Failed { time, index, value, .. } => (index, time, value),
        Outcome::Unknown { time: Some(time), value, .. } => (source.index, time, value),
        Outcome::Unknown { time: None, .. } => return Ok(None),
    };
    let responses = match (value, source.outcome) {
        (Datum::List(responses), _) => responses.as_slice(),
        (_, Outcome::Ok { .. }) => {
            return Err(refuse(index, "the list of responses", value));
        }
        // Jepsen repeats the argument where there is no answer.
        (Datum::Nil, _) => &[],
        (repeated, _) if repeated == source.argument => &[],
        _ => return Err(refuse(index, "the list of responses, or nil", value)),
    };
    let responses = responses.iter().map(|r| response(index, r)).collect::<Result<_, _>>()?;
    Ok(Some(Watch { source, filter, from, responses, end }))
}

fn asked<'a>(source: &'a generic::Operation<'a>) -> Result<(Filter<'a>, Option<i64>), Unexpected> {
    const ASKED: &str = "what is watched: {\"key\": k} or {\"prefix\": \"p\"} or {} for all, and \
                         with \"from\": r from which revision on, or 0 for now";
    let unexpected = || refuse(source.index, ASKED, source.argument);
    let entries: &[(Datum, Datum)] = match source.argument {
        Datum::Nil => &[],
        Datum::Map(entries) => entries,
        _ => return Err(unexpected()),
    };
    let (mut filter, mut from) = (None, None);
    for (name, value) in entries {
        let twice = match (name.text(), value) {
            (Some("key"), key) => filter.replace(Filter::Key(key)).is_some(),
            (Some("prefix"), Datum::Text(prefix)) => {
                filter.replace(Filter::Prefix(prefix)).is_some()
            }
            (Some("from"), Datum::Int(revision)) if *revision >= 0 => {
                from.replace(*revision).is_some()
            }
            _ => true,
        };
        if twice {
            return Err(unexpected());
        }
    }
    Ok((filter.unwrap_or(Filter::All), from.filter(|from| *from > 0)))
}

fn response(index: u64, response: &Datum) -> Result<Response<'_>, Unexpected> {
    match response {
        Datum::List(changes) => {
            let changes = changes.iter().map(|c| change(index, c)).collect::<Result<_, _>>()?;
            Ok(Response::Batch(changes))
        }
        Datum::Map(entries) => match entries.as_slice() {
            [(name, Datum::Int(revision))] if name.text() == Some("progress") => {
                Ok(Response::Progress(*revision))
            }
            _ => Err(refuse(index, "{\"progress\": revision}", response)),
        },
        _ => Err(refuse(index, "a batch of changes or a progress", response)),
    }
}

fn change(index: u64, change: &Datum) -> Result<Change<'_>, Unexpected> {
    let expected = "a change, [revision, \"put\", key, value] or [revision, \"delete\", key]";
    let unexpected = || refuse(index, expected, change);
    let Some([Datum::Int(revision), part @ ..]) = change.list() else { return Err(unexpected()) };
    let (key, value) = self::part(part).ok_or_else(unexpected)?;
    Ok(Change { revision: *revision, key, value })
}

/// `"put", key, value` or `"delete", key`, with or without a nil.
fn part(part: &[Datum]) -> Option<Effect<'_>> {
    match part {
        [f, key, value] if f.text() == Some("put") && *value != Datum::Nil => {
            Some((key, Some(value)))
        }
        [f, key] | [f, key, Datum::Nil] if f.text() == Some("delete") => Some((key, None)),
        _ => None,
    }
}

fn write<'a>(source: &'a generic::Operation<'a>) -> Result<Option<Write<'a>>, Unexpected> {
    let unexpected = |expected| refuse(source.index, expected, source.argument);
    let parts = match source.f {
        "write" | "put" | "set" => match source.argument {
            Datum::Nil => return Err(unexpected("a value to write")),
            value => vec![(source.key, Some(value))],
        },
        "delete" | "del" => vec![(source.key, None)],
        "cas" => match source.argument.list() {
            Some([_, new]) if *new != Datum::Nil => vec![(source.key, Some(new))],
            _ => return Err(unexpected("a pair [expected, new]")),
        },
        "txn" => {
            let expected = "writes, [[\"put\", key, value], [\"delete\", key], …], one a key";
            let parts = source.argument.list().and_then(|parts| {
                parts.iter().map(|p| p.list().and_then(part)).collect::<Option<Vec<_>>>()
            });
            let mut parts = parts.ok_or_else(|| unexpected(expected))?;
            parts.sort_unstable_by_key(|(key, _)| *key);
            if parts.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return Err(unexpected(expected));
            }
            parts
        }
        _ => {
            let expected = "a watch, read, write, cas, delete or txn (or get, put, set, del)";
            return Err(Unexpected::function(source, expected));
        }
    };
    let (acknowledged, revision) = match source.outcome {
        Outcome::Ok { time, revision, .. } => (Some(time), revision),
        Outcome::Failed { .. } => return Ok(None),
        Outcome::Unknown { .. } => (None, None),
    };
    Ok(Some(Write { source, parts, acknowledged, revision }))
}
