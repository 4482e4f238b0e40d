//! A history as it was read: its events, its format, and what the file itself calls the events.

use std::{fmt, str::FromStr};

use super::{
    Event, Function, Kind, generic,
    lines::Line,
    pairing::{Place, Recorded},
    register,
};

/// Who logs operations in a `jepsen.log`.
pub(super) const LOGGER: &[u8] = b"jepsen.util";

/// How a history is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own: a JSON object a line.
    JsonLines,
    /// `history.edn`: a map a line, or one vector.
    JepsenEdn,
    /// The operations in a `jepsen.log`.
    JepsenLog,
    /// Porcupine's key-value text: a map a line, without times.
    Porcupine,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::JsonLines, Self::JepsenEdn, Self::JepsenLog, Self::Porcupine];

    /// Whether values can be the `[key value]` of jepsen.independent.
    pub fn has_independent_keys(self) -> bool {
        matches!(self, Self::JepsenEdn | Self::JepsenLog)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::JepsenEdn => "edn",
            Self::JepsenLog => "jepsen-log",
            Self::Porcupine => "porcupine",
        }
    }

    /// The format of a text that begins so; `None` where it is none of them.
    pub fn of(start: &[u8]) -> Option<Self> {
        let text = start.trim_ascii_start();
        let contains = |what: &[u8]| text.windows(what.len()).any(|window| window == what);
        Some(match text {
            [] => Self::JsonLines,
            [b'{', rest @ ..]
                if !matches!(rest.trim_ascii_start(), [b':' | b'#' | b';' | b',', ..]) =>
            {
                Self::JsonLines
            }
            [b'{', ..] => {
                let line = text.split(|&byte| byte == b'\n').next().unwrap_or(text);
                let has = |what: &[u8]| line.windows(what.len()).any(|window| window == what);
                if has(b":key ") && !has(b":index ") && !has(b":time ") {
                    Self::Porcupine
                } else {
                    Self::JepsenEdn
                }
            }
            [b'[' | b'(' | b'#' | b';', ..] => Self::JepsenEdn,
            _ if contains(LOGGER) => Self::JepsenLog,
            _ => return None,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JsonLines => "JSON Lines",
            Self::JepsenEdn => "Jepsen EDN",
            Self::JepsenLog => "a jepsen.log",
            Self::Porcupine => "Porcupine text",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected one of {names}")
        })
    }
}

/// A history that was read.
#[derive(Clone, Debug)]
pub struct History {
    /// How it was written.
    pub format: Format,
    /// Its events.
    pub events: Events,
    /// Events of no client, which were left out.
    pub skipped: u64,
    /// What is known to be missing, in words.
    pub gaps: Vec<String>,
    /// What the file itself calls the events.
    pub numbering: Numbering,
}

/// The events of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Events {
    /// Each is an operation on a register of integers, which has a small type of its own.
    Register(Vec<Event>),
    /// Any other history.
    Generic(Vec<generic::Event>),
}

impl Default for Events {
    fn default() -> Self {
        Self::Register(Vec::new())
    }
}

impl From<Vec<Event>> for Events {
    fn from(events: Vec<Event>) -> Self {
        Self::Register(events)
    }
}

impl From<Vec<generic::Event>> for Events {
    /// Registers of integers are recognized by what they say.
    fn from(events: Vec<generic::Event>) -> Self {
        register::from_generic(events).map_or_else(Self::Generic, Self::Register)
    }
}

impl Events {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Register(events) => events.len(),
            Self::Generic(events) => events.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The events on registers of integers; none if the history has any other.
    pub fn registers(&self) -> &[Event] {
        match self {
            Self::Register(events) => events,
            Self::Generic(_) => &[],
        }
    }

    /// Appends an event. The first that is none of a register makes all generic.
    pub fn push(&mut self, line: impl Into<Line>) {
        match (&mut *self, line.into()) {
            (Self::Register(events), Line::Register(event)) => events.push(event),
            (Self::Register(events), Line::Generic(event)) => {
                let events = std::mem::take(events).into_iter().map(Into::into);
                *self = Self::Generic(events.chain([event]).collect());
            }
            (Self::Generic(events), line) => events.push(line.into()),
        }
    }

    /// The event with this index.
    pub fn get(&self, index: u64) -> Option<Line> {
        let index = usize::try_from(index).ok()?;
        match self {
            Self::Register(events) => events.get(index).cloned().map(Line::Register),
            Self::Generic(events) => events.get(index).cloned().map(Line::Generic),
        }
    }

    /// Who began or ended something when, event by event.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let (registers, others) = match self {
            Self::Register(events) => (events.as_slice(), [].as_slice()),
            Self::Generic(events) => ([].as_slice(), events.as_slice()),
        };
        registers.iter().map(Recorded::place).chain(others.iter().map(Recorded::place))
    }

    /// The nodes that events name, event by event.
    pub fn nodes(&self) -> impl Iterator<Item = Option<&str>> {
        let (registers, others) = match self {
            Self::Register(events) => (events.as_slice(), [].as_slice()),
            Self::Generic(events) => ([].as_slice(), events.as_slice()),
        };
        let registers = registers.iter().map(|event| event.node.as_deref());
        registers.chain(others.iter().map(|event| event.node.as_deref()))
    }

    /// The errors that events name, event by event.
    pub fn errors(&self) -> impl Iterator<Item = Option<&str>> {
        let (registers, others) = match self {
            Self::Register(events) => (events.as_slice(), [].as_slice()),
            Self::Generic(events) => ([].as_slice(), events.as_slice()),
        };
        let registers = registers.iter().map(|event| event.error.as_deref());
        registers.chain(others.iter().map(|event| event.error.as_deref()))
    }

    /// Events that say that a write was done, whatever it wrote.
    pub fn writes(&self) -> usize {
        /// Functions whose success is at least one write; what others did is not known.
        const WRITES: [&str; 7] = ["write", "put", "set", "append", "cas", "delete", "del"];
        match self {
            Self::Register(events) => {
                events.iter().filter(|e| e.kind == Kind::Ok && e.f != Function::Read).count()
            }
            Self::Generic(events) => {
                events.iter().filter(|e| e.kind == Kind::Ok && WRITES.contains(&&*e.f)).count()
            }
        }
    }
}

/// What a file calls an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// The number that the event itself names.
    Events(u64),
    /// Its line.
    Lines(u64),
}

/// What a file calls each of its events, which the checker counts from 0.
#[derive(Clone, Debug, Default)]
pub struct Numbering(Vec<(u64, Numbers)>);

impl Numbers {
    fn plus(self, offset: u64) -> Self {
        match self {
            Self::Events(number) => Self::Events(number + offset),
            Self::Lines(number) => Self::Lines(number + offset),
        }
    }
}

impl Numbering {
    /// What the file calls the event with this index.
    pub fn of(&self, index: u64) -> Numbers {
        let after = self.0.partition_point(|&(first, _)| first <= index);
        match after.checked_sub(1).map(|at| self.0[at]) {
            Some((first, number)) => number.plus(index - first),
            None => Numbers::Events(index),
        }
    }
}

impl History {
    pub(super) fn new(format: Format) -> Self {
        let events = Events::Generic(Vec::new());
        Self { format, events, skipped: 0, gaps: Vec::new(), numbering: Numbering::default() }
    }

    /// Appends the event that `make` makes of its index and the least time that follows the event
    /// before.
    pub(super) fn push(&mut self, number: Numbers, make: impl FnOnce(u64, u64) -> generic::Event) {
        let index = self.events.len() as u64;
        if self.numbering.of(index) != number {
            self.numbering.0.push((index, number));
        }
        if let Events::Generic(events) = &mut self.events {
            let follows = events.last().map_or(0, |event| event.time.saturating_add(1));
            events.push(make(index, follows));
        }
    }
}
