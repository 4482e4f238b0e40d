//! Our own JSON Lines, of a register or of anything else.

use std::{io::BufRead, path::Path};

use serde::Serialize;

use super::{
    Event, Function, Kind, Place, generic,
    operation::MISMATCH,
    pairing::Recorded,
    recording::{Events, Format, History},
};
use crate::jsonl::{Error, Reader};

/// What a line should be.
pub const EXPECTED: &str =
    "an operation event {index, time, process, type, f, key, value, error?, node?, revision?}";

/// A line of either kind. Which, is known once a register cannot say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Line {
    /// An operation on a register of integers.
    Register(Event),
    /// Any other.
    Generic(generic::Event),
}

/// Reads a whole history: of a register while every line is an operation on one.
pub(super) fn read(input: impl BufRead, file: &Path) -> Result<History, Error> {
    let mut history = History::new(Format::JsonLines);
    let mut reader = Reader::new(input, file, EXPECTED);
    let mut register: Vec<Event> = Vec::new();
    let first = loop {
        match next(&mut reader, &mut history.gaps, Line::of)? {
            Some(Line::Register(event)) => register.push(event),
            Some(Line::Generic(event)) => break event,
            None => {
                history.events = Events::Register(register);
                return Ok(history);
            }
        }
    };
    let mut events: Vec<generic::Event> = register.into_iter().map(Into::into).collect();
    events.push(first);
    while let Some(event) =
        next(&mut reader, &mut history.gaps, |line| serde_json::from_slice(line))?
    {
        events.push(event);
    }
    history.events = Events::Generic(events);
    Ok(history)
}

impl From<Event> for Line {
    fn from(event: Event) -> Self {
        Self::Register(event)
    }
}

impl From<generic::Event> for Line {
    fn from(event: generic::Event) -> Self {
        Self::Generic(event)
    }
}

impl From<Line> for generic::Event {
    fn from(line: Line) -> Self {
        match line {
            Line::Register(event) => event.into(),
            Line::Generic(event) => event,
        }
    }
}

impl Line {
    /// Who began or ended something, and when.
    pub fn place(&self) -> Place {
        match self {
            Self::Register(event) => event.place(),
            Self::Generic(event) => event.place(),
        }
    }

    /// Gives the event its position in the history.
    pub fn number(&mut self, index: u64) {
        match self {
            Self::Register(event) => event.index = index,
            Self::Generic(event) => event.index = index,
        }
    }

    /// The node that was asked.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Register(event) => event.node.as_deref(),
            Self::Generic(event) => event.node.as_deref(),
        }
    }

    /// Why the operation did not succeed.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Register(event) => event.error.as_deref(),
            Self::Generic(event) => event.error.as_deref(),
        }
    }

    /// Whether it says that the operation was refused for what it observed.
    pub fn is_refusal(&self) -> bool {
        self.place().kind == Kind::Fail
            && match self {
                Self::Register(event) => event.f == Function::Cas && self.error() == Some(MISMATCH),
                Self::Generic(_) => self.error().is_some_and(generic::is_observation),
            }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// It is no event.
    pub fn of(line: &[u8]) -> serde_json::Result<Self> {
        // What is neither is reported as an event of any kind.
        serde_json::from_slice(line)
            .map(Self::Register)
            .or_else(|_| serde_json::from_slice(line).map(Self::Generic))
    }
}

/// The next line. A torn one is a gap, and the last.
fn next<T>(
    reader: &mut Reader<impl BufRead>,
    gaps: &mut Vec<String>,
    parse: impl FnOnce(&[u8]) -> serde_json::Result<T>,
) -> Result<Option<T>, Error> {
    match reader.read_with(parse) {
        Err(torn @ Error::Torn { .. }) => {
            gaps.push(torn.to_string());
            Ok(None)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: &str = r#"{"index":0,"time":3,"process":0,"type":"invoke","f":"write","key":"k","value":7,"node":"n1"}"#;
    const WATCH: &str =
        r#"{"index":1,"time":4,"process":1,"type":"invoke","f":"watch","value":"x"}"#;

    fn read(text: &str) -> Result<History, String> {
        super::read(text.as_bytes(), Path::new("h")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_register_is_read_as_one() {
        let history = read(&format!("{WRITE}\n")).unwrap();
        assert!(matches!(history.events, Events::Register(events) if events.len() == 1));
    }

    #[test]
    fn what_no_register_says_makes_all_events_generic() {
        let history = read(&format!("{WRITE}\n\n{WATCH}\n{{\"ind")).unwrap();
        let Events::Generic(events) = history.events else { panic!("a register") };
        assert_eq!(events[0], serde_json::from_str(WRITE).unwrap());
        assert_eq!(events[1], serde_json::from_str(WATCH).unwrap());
        assert_eq!(history.gaps.len(), 1, "{:?}", history.gaps);
        assert!(history.gaps[0].starts_with("h:4: the last line is torn"));
    }

    #[test]
    fn what_is_no_event_is_named() {
        let error = read(&format!("{WRITE}\n{WATCH}\n{{\"index\":2}}\n")).unwrap_err();
        assert!(
            error.starts_with(&format!("h:3: expected {EXPECTED}, but missing field")),
            "{error}"
        );
    }
}
