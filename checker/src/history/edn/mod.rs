//! EDN, Clojure's notation of data, read as a stream into [`Datum`]s.
//!
//! No crate is used: those that exist want the whole text in memory, keep the escapes of strings
//! unread, or follow nesting until the stack ends. What a [`Datum`] has no word for becomes text or
//! the nearest list: a keyword or symbol its name, a character itself, a set a list in the order in
//! which it was written, a fraction or an integer beyond 64 bits its digits. A tag is passed over
//! (`#jepsen.history.Op{…}` is the map).

mod atom;
mod input;

use std::io::{self, Read};

use super::generic::Datum;
use input::Input;

/// Forms may lie this deep within each other; deeper ones could end the stack.
pub const DEPTH_MAX: usize = 128;

/// Why a form could not be read.
#[derive(Debug)]
pub enum Error {
    /// The system could not read.
    Io(io::Error),
    /// The text is not EDN.
    Malformed {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The text ends within a form.
    Torn {
        /// The line on which the innermost open form begins.
        line: u64,
        /// What that form is, such as `the map`.
        form: &'static str,
    },
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads forms, one at a time.
pub struct Reader<R> {
    input: Input<R>,
    depth: usize,
}

impl<R: Read> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("line", &self.line()).finish_non_exhaustive()
    }
}

/// How the next form begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// `{`, which has been taken, on this line.
    Map(u64),
    /// `[` or `(`, which has been taken, and what closes it, on this line.
    List(u8, u64),
    /// The closing byte, which has been taken.
    Close(u8),
    /// Any other form; nothing of it has been taken but its tag.
    Other(u8),
    /// The end of the text.
    End,
}

impl Reader<io::Empty> {
    /// Reads from a text.
    pub fn of(text: &str) -> Self {
        Self { input: Input::of(text), depth: 0 }
    }
}

impl<R: Read> Reader<R> {
    /// Reads from `source`, which need not be buffered.
    pub fn new(source: R) -> Self {
        Self { input: Input::new(source), depth: 0 }
    }

    /// The line that has been reached, from 1.
    pub fn line(&self) -> u64 {
        self.input.line()
    }

    /// The next form; `None` at the end.
    ///
    /// # Errors
    /// The text cannot be read, or is not EDN.
    pub fn read(&mut self) -> Result<Option<Datum>, Error> {
        match self.start()? {
            Start::End => Ok(None),
            Start::Close(byte) => Err(self.unexpected(byte)),
            start => self.form(start).map(Some),
        }
    }

    /// The form that stands where one must, within a form that begins on `line`.
    pub(super) fn value(&mut self, form: &'static str, line: u64) -> Result<Datum, Error> {
        match self.start()? {
            Start::End => Err(Error::Torn { line, form }),
            Start::Close(byte) => Err(self.unexpected(byte)),
            start => self.part(start, form, line),
        }
    }

    /// The form that begins so, within one that begins on `line`.
    pub(super) fn part(
        &mut self,
        start: Start,
        form: &'static str,
        line: u64,
    ) -> Result<Datum, Error> {
        match (start, self.form(start)) {
            // What makes no sense up to the very end of the text may have been cut off there.
            (Start::Other(_), Err(Error::Malformed { .. })) if self.input.peek()?.is_none() => {
                Err(Error::Torn { line, form })
            }
            (_, result) => result,
        }
    }

    /// Passes blanks, comments, discarded forms and tags, and looks at what comes then.
    pub(super) fn start(&mut self) -> Result<Start, Error> {
        let mut tagged = None;
        loop {
            let line = self.line();
            let Some(byte) = self.input.peek()? else {
                return tagged
                    .map_or(Ok(Start::End), |line| Err(Error::Torn { line, form: "the tag" }));
            };
            match byte {
                b if is_blank(b) => self.input.skip(),
                b';' => {
                    self.input.until(|byte| byte == b'\n')?;
                }
                b'#' => match self.dispatch()? {
                    Dispatch::Passed => {}
                    Dispatch::Tag => tagged = Some(line),
                    Dispatch::Set => return Ok(Start::List(b'}', line)),
                    Dispatch::Symbolic => return Ok(Start::Other(b'#')),
                },
                b'{' => {
                    self.input.skip();
                    return Ok(Start::Map(line));
                }
                b'[' | b'(' => {
                    self.input.skip();
                    return Ok(Start::List(if byte == b'[' { b']' } else { b')' }, line));
                }
                b']' | b')' | b'}' if tagged.is_some() => return Err(self.unexpected(byte)),
                b']' | b')' | b'}' => {
                    self.input.skip();
                    return Ok(Start::Close(byte));
                }
                _ => return Ok(Start::Other(byte)),
            }
        }
    }

    /// What follows a `#`, which is next.
    fn dispatch(&mut self) -> Result<Dispatch, Error> {
        let line = self.line();
        self.input.skip();
        match self.input.peek()? {
            None => Err(Error::Torn { line, form: "the tag" }),
            Some(b'{') => {
                self.input.skip();
                Ok(Dispatch::Set)
            }
            Some(b'_') => {
                self.input.skip();
                self.deeper(|reader| reader.value("what is discarded", line))?;
                Ok(Dispatch::Passed)
            }
            Some(b'#') => {
                self.input.skip();
                Ok(Dispatch::Symbolic)
            }
            // The namespace of a map's keys, as in `#:jepsen{:f 1}`: names are told without it.
            Some(byte) if byte.is_ascii_alphabetic() || byte == b':' => {
                self.input.until(ends_atom)?;
                Ok(Dispatch::Tag)
            }
            Some(byte) => {
                let problem = format!("`#{}` begins no form of EDN", byte.escape_ascii());
                Err(Error::Malformed { line, problem })
            }
        }
    }

    /// The form that begins so.
    pub(super) fn form(&mut self, start: Start) -> Result<Datum, Error> {
        match start {
            Start::Map(line) => self.deeper(|reader| reader.map(line)),
            Start::List(close, line) => self.deeper(|reader| reader.list(close, line)),
            Start::Other(b'"') => self.string(),
            Start::Other(_) => self.atom(),
            Start::Close(byte) => Err(self.unexpected(byte)),
            Start::End => Err(Error::Torn { line: self.line(), form: "the text" }),
        }
    }

    /// Takes the name that is next and is no string; `of` says what it means.
    pub(super) fn name<T>(&mut self, of: impl FnOnce(&[u8]) -> T) -> Result<T, Error> {
        let name = self.input.until(ends_atom)?;
        Ok(of(name.strip_prefix(b":").unwrap_or(name)))
    }

    /// Reads what lies within a form, unless that is too deep.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == DEPTH_MAX {
            return Err(self.malformed(format!("forms lie more than {DEPTH_MAX} deep")));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn list(&mut self, close: u8, line: u64) -> Result<Datum, Error> {
        let mut members = Vec::new();
        loop {
            match self.start()? {
                Start::Close(byte) if byte == close => {
                    // Of a set no order is meant.
                    if close == b'}' {
                        members.sort_unstable();
                    }
                    return Ok(Datum::List(members));
                }
                Start::Close(byte) => return Err(self.unexpected(byte)),
                Start::End => return Err(Error::Torn { line, form: "the list" }),
                start => members.push(self.part(start, "the list", line)?),
            }
        }
    }

    fn map(&mut self, line: u64) -> Result<Datum, Error> {
        let mut entries = Vec::new();
        loop {
            let key = match self.start()? {
                Start::Close(b'}') => {
                    entries.sort_unstable();
                    return Ok(Datum::Map(entries));
                }
                Start::Close(byte) => return Err(self.unexpected(byte)),
                Start::End => return Err(Error::Torn { line, form: "the map" }),
                start => self.part(start, "the map", line)?,
            };
            entries.push((key, self.value("the map", line)?));
        }
    }

    pub(super) fn unexpected(&self, close: u8) -> Error {
        self.malformed(format!("`{}` closes nothing here", char::from(close)))
    }

    pub(super) fn malformed(&self, problem: String) -> Error {
        Error::Malformed { line: self.line(), problem }
    }
}

enum Dispatch {
    /// A discarded form, passed over.
    Passed,
    /// A tag, passed over.
    Tag,
    /// `#{`, taken.
    Set,
    /// `##`, taken: the name of a number follows.
    Symbolic,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b',' | b'\n' | b'\t' | b'\r' | b'\x0b' | b'\x0c')
}

/// Whether a symbol, keyword, number or tag ends before this byte.
fn ends_atom(byte: u8) -> bool {
    is_blank(byte)
        || matches!(byte, b'"' | b';' | b'^' | b'\\' | b'(' | b')' | b'[' | b']' | b'{' | b'}')
}

#[cfg(test)]
mod tests;
