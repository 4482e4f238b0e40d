//! Reads a history of any format, found out by its first bytes.
//!
//! Our own JSON Lines of a register, which is most of what is checked, become events of their own
//! type at once; all else becomes generic events. A last line that was torn, and events that are
//! known to be missing, are told as [`History::gaps`], which keep a verdict from being green.

use std::{
    fmt,
    io::{BufRead, Read},
    path::Path,
    str::FromStr,
};

use super::{generic, jepsen, jepsen_log, lines};
use crate::jsonl::Error;

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
            _ if contains(jepsen_log::LOGGER) => Self::JepsenLog,
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
#[derive(Clone, Debug)]
pub enum Events {
    /// Lines of JSON, each of which is an operation on a register of integers.
    Register(Vec<super::Event>),
    /// Any other history.
    Generic(Vec<generic::Event>),
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

/// How much of a text is looked at to find out what it is.
const LOOK: usize = 1 << 16;

/// Reads a history; `file` is its name in errors. `format` is found out where it is `None`. Where
/// `independent`, the values of Jepsen's operations are the `[key value]` of jepsen.independent.
///
/// # Errors
/// The input cannot be read, or a line is not what its format says.
pub fn read(
    mut input: impl BufRead,
    file: &Path,
    format: Option<Format>,
    independent: bool,
) -> Result<History, Error> {
    let mut start = Vec::new();
    let format = match format {
        Some(format) => format,
        None => {
            look(&mut input, &mut start)
                .map_err(|source| Error::Io { file: file.into(), source })?;
            Format::of(&start).ok_or_else(|| unknown(file, &start))?
        }
    };
    let independent = independent && format.has_independent_keys();
    // What was looked at is kept, so that a pipe is read once.
    let whole = start.as_slice().chain(input);
    match format {
        Format::JsonLines => lines::read(whole, file),
        Format::JepsenEdn | Format::Porcupine => jepsen::read(whole, file, format, independent),
        Format::JepsenLog => jepsen_log::read(whole, file, independent),
    }
}

/// Reads to the end of the first line that is not blank, or, where that tells nothing, of the first
/// that a logger of operations wrote.
fn look(input: &mut impl BufRead, start: &mut Vec<u8>) -> std::io::Result<()> {
    let mut told = false;
    loop {
        let (line, left) = (start.len(), LOOK.saturating_sub(start.len()));
        if input.take(left as u64).read_until(b'\n', start)? == 0 {
            return Ok(());
        }
        let line = start[line..].trim_ascii();
        if line.is_empty() {
            continue;
        }
        let format = Format::of(line);
        if format == Some(Format::JepsenLog) || format.is_some() && !told {
            return Ok(());
        }
        told = true;
    }
}

fn unknown(file: &Path, start: &[u8]) -> Error {
    let line = start.trim_ascii_start().split(|&byte| byte == b'\n').next().unwrap_or_default();
    let begins = String::from_utf8_lossy(&line[..line.len().min(40)]);
    Error::Malformed {
        file: file.into(),
        line: 1,
        expected: "a history of JSON Lines, Jepsen's EDN, a jepsen.log or Porcupine's text",
        problem: format!("it begins with `{}`", begins.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_how_they_begin() {
        let cases = [
            ("", Some(Format::JsonLines)),
            (" \n\t", Some(Format::JsonLines)),
            (r#"{"index":0}"#, Some(Format::JsonLines)),
            ("{ \"index\": 0", Some(Format::JsonLines)),
            ("{:type :invoke, :f :read", Some(Format::JepsenEdn)),
            ("\n[{:type :invoke", Some(Format::JepsenEdn)),
            ("#jepsen.history.Op{:index 0", Some(Format::JepsenEdn)),
            ("; hello", Some(Format::JepsenEdn)),
            ("{:process 0, :f :get, :key \"1\", :value nil}", Some(Format::Porcupine)),
            ("{:process 0, :f :get, :key \"1\", :index 0}", Some(Format::JepsenEdn)),
            ("{:process 0, :f :get}\n{:key 1}", Some(Format::JepsenEdn)),
            ("INFO  jepsen.util - 0\t:invoke", Some(Format::JepsenLog)),
            ("INFO  jepsen.core - hello\nINFO  jepsen.util - 0", Some(Format::JepsenLog)),
            ("<html>", None),
        ];
        for (text, format) in cases {
            assert_eq!(Format::of(text.as_bytes()), format, "{text}");
        }
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert_eq!(
            "xml".parse::<Format>().unwrap_err(),
            "expected one of jsonl, edn, jepsen-log, porcupine"
        );
    }

    #[test]
    fn a_format_that_is_told_is_not_looked_for() {
        let read = |text: &str, format| {
            super::read(text.as_bytes(), Path::new("h"), format, false)
                .map(|history| (history.format, history.events.len()))
                .map_err(|error| error.to_string())
        };
        let log = format!("{}INFO jepsen.util - 0 :invoke :read nil\n", "hello\n".repeat(5_000));
        assert_eq!(read(&log, None), Ok((Format::JepsenLog, 1)));
        let late = format!("{}INFO jepsen.util - 0 :invoke :read nil\n", "hello\n".repeat(50_000));
        assert_eq!(
            read(&late, None),
            Err(
                "h:1: expected a history of JSON Lines, Jepsen's EDN, a jepsen.log or Porcupine's \
                 text, but it begins with `hello`"
                    .into()
            )
        );
        assert_eq!(read(&late, Some(Format::JepsenLog)), Ok((Format::JepsenLog, 1)));
        let empty = read("", Some(Format::JepsenEdn));
        assert_eq!(empty, Ok((Format::JepsenEdn, 0)));
    }
}
