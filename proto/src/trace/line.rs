//! A trace line as it stands in the file: all fields side by side, each of them optional.
//!
//! What serde derives for a flattened enum with a tag first copies every field of a line into a
//! tree of its own; reading the fields where they stand and sorting them out later is several
//! times as fast, and a night's traces have hundreds of millions of lines.

use serde::Deserialize;

use super::{Event, Hash, Position, Record, Role};

/// The fields of all events together.
#[derive(Deserialize)]
pub(super) struct Line {
    node: u64,
    boot: u64,
    seq: u64,
    clock: u64,
    time: u64,
    event: Name,
    term: Option<u64>,
    vote: Option<u64>,
    last: Option<Position>,
    voters: Option<Vec<u64>>,
    candidate: Option<u64>,
    role: Option<Role>,
    leader: Option<u64>,
    prev: Option<Position>,
    entries: Option<Vec<(u64, Hash)>>,
    matched: Option<Vec<(u64, u64)>>,
    state: Option<Hash>,
    index: Option<u64>,
    by: Option<Vec<u64>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Started,
    Term,
    Voted,
    Role,
    Appended,
    Truncated,
    Durable,
    Granted,
    Acknowledged,
    Committed,
    Applied,
    Answered,
    ReadConfirmed,
    Stopped,
}

/// The error of an event that lacks one of its fields.
fn need<T>(field: Option<T>, name: &str) -> Result<T, String> {
    field.ok_or_else(|| format!("missing field `{name}`"))
}

impl TryFrom<Line> for Record {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let term = || need(line.term, "term");
        let last = || need(line.last, "last");
        let candidate = || need(line.candidate, "candidate");
        let index = || need(line.index, "index");
        let (vote, leader) = (line.vote, line.leader);
        let event = match line.event {
            Name::Started => {
                let voters = need(line.voters, "voters")?;
                Event::Started { term: term()?, vote, last: last()?, voters }
            }
            Name::Term => Event::Term { term: term()? },
            Name::Voted => Event::Voted { term: term()?, candidate: candidate()? },
            Name::Role => {
                let role = need(line.role, "role")?;
                Event::Role { term: term()?, role, leader, last: last()? }
            }
            Name::Appended => Event::Appended {
                prev: need(line.prev, "prev")?,
                entries: need(line.entries, "entries")?,
            },
            Name::Truncated => Event::Truncated { last: last()? },
            Name::Durable => Event::Durable { term: term()?, vote, last: last()? },
            Name::Granted => Event::Granted { term: term()?, candidate: candidate()? },
            Name::Acknowledged => {
                let leader = need(leader, "leader")?;
                Event::Acknowledged { term: term()?, leader, last: last()? }
            }
            Name::Committed => {
                Event::Committed { term: term()?, last: last()?, matched: line.matched }
            }
            Name::Applied => Event::Applied { last: last()?, state: need(line.state, "state")? },
            Name::Answered => Event::Answered { index: index()? },
            Name::ReadConfirmed => {
                Event::ReadConfirmed { term: term()?, index: index()?, by: need(line.by, "by")? }
            }
            Name::Stopped => Event::Stopped {},
        };
        let Line { node, boot, seq, clock, time, .. } = line;
        Ok(Self { node, boot, seq, clock, time, event })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const AT: Position = Position { index: 7, term: 3, hash: Hash(0xfeed) };

    /// Every event, with and without what is optional.
    pub(in crate::trace) fn events() -> Vec<Event> {
        let (term, last) = (3, AT);
        vec![
            Event::Started { term, vote: None, last, voters: vec![1, 2, 3] },
            Event::Started { term, vote: Some(2), last, voters: Vec::new() },
            Event::Term { term },
            Event::Voted { term, candidate: 2 },
            Event::Role { term, role: Role::Candidate, leader: None, last },
            Event::Role { term, role: Role::Leader, leader: Some(1), last },
            Event::Appended { prev: last, entries: vec![(3, Hash(1)), (4, Hash(u64::MAX))] },
            Event::Truncated { last },
            Event::Durable { term, vote: Some(1), last },
            Event::Granted { term, candidate: 1 },
            Event::Acknowledged { term, leader: 1, last },
            Event::Committed { term, last, matched: None },
            Event::Committed { term, last, matched: Some(vec![(1, 7), (2, 6)]) },
            Event::Applied { last, state: Hash(9) },
            Event::Answered { index: 7 },
            Event::ReadConfirmed { term, index: 7, by: vec![1, 3] },
            Event::Stopped {},
        ]
    }

    #[test]
    fn every_event_is_read_as_it_was_written_in_any_order() {
        for event in events() {
            let record = Record { node: 1, boot: 2, seq: 3, clock: 4, time: 5, event };
            let line = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record, "{line}");
            let tree: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&line).unwrap();
            let backwards: Vec<_> =
                tree.iter().rev().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let line = format!("{{{},\"later\":[1]}}", backwards.join(","));
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record, "{line}");
        }
    }

    #[test]
    fn no_field_may_be_missing_but_the_optional_ones() {
        for event in events() {
            let record = Record { node: 1, boot: 2, seq: 3, clock: 4, time: 5, event };
            let tree: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
            for name in tree.keys() {
                let mut without = tree.clone();
                without.remove(name);
                let read = serde_json::from_value::<Record>(without.into());
                let optional = ["vote", "matched"].contains(&name.as_str())
                    || (name == "leader" && matches!(record.event, Event::Role { .. }));
                match read {
                    Ok(_) => assert!(optional, "{:?} without {name}", record.event),
                    Err(error) => {
                        assert!(!optional && error.to_string().contains(name), "{name}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_unknown_event_is_refused() {
        let line = r#"{"node":1,"boot":1,"seq":0,"clock":1,"time":1,"event":"slept"}"#;
        let error = serde_json::from_str::<Record>(line).unwrap_err().to_string();
        assert!(error.starts_with("unknown variant `slept`"), "{error}");
    }
}
