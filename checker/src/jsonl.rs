//! JSON Lines: one JSON object a line, read and written as a stream.
//!
//! A line that cannot be read is reported with its file, its number and what was expected. The
//! last line of a file whose writer was killed may be torn: it has no line end and is no whole
//! object. That is told apart from damage, since everything before it is good.

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
};

use serde::{Serialize, de::DeserializeOwned};

/// Why a line could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read {}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("{}:{line}: expected {expected}, but {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What a line of this file is.
        expected: &'static str,
        /// What is wrong with this one.
        problem: String,
    },
    /// The last line has no end and is no whole object: its writer was killed.
    #[error("{}:{line}: the last line is torn: its writer was killed while it wrote", file.display())]
    Torn {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
    },
}

/// Reads values from lines, one at a time; empty lines are skipped.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    file: PathBuf,
    expected: &'static str,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`; `file` and `expected` (`an operation event`) are for error messages.
    pub fn new(input: R, file: impl Into<PathBuf>, expected: &'static str) -> Self {
        Self { input, file: file.into(), expected, line: 0, buffer: Vec::new() }
    }

    /// The next value; `None` at the end. After [`Error::Malformed`] the next line can be asked
    /// for.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        self.read_with(|line| serde_json::from_slice(line))
    }

    /// The same, where `parse` says what a line means.
    pub fn read_with<T>(
        &mut self,
        parse: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> Result<Option<T>, Error> {
        loop {
            self.buffer.clear();
            let read = self
                .input
                .read_until(b'\n', &mut self.buffer)
                .map_err(|source| Error::Io { file: self.file.clone(), source })?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            let ended = self.buffer.last() == Some(&b'\n');
            let line = self.buffer.trim_ascii();
            if line.is_empty() {
                continue;
            }
            return match parse(line) {
                Ok(value) => Ok(Some(value)),
                Err(_) if !ended => Err(Error::Torn { file: self.file.clone(), line: self.line }),
                Err(error) => Err(Error::Malformed {
                    file: self.file.clone(),
                    line: self.line,
                    expected: self.expected,
                    problem: error.to_string(),
                }),
            };
        }
    }
}

/// Writes one value as one line. The line reaches `output` in a single `write_all`.
pub fn write<T: Serialize>(mut output: impl Write, value: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    output.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<u64>, Option<Error>) {
        let mut reader = Reader::new(text.as_bytes(), "numbers.jsonl", "a number");
        let mut values = Vec::new();
        loop {
            match reader.read() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => return (values, None),
                Err(error) => return (values, Some(error)),
            }
        }
    }

    #[test]
    fn lines_are_read_in_order_and_empty_ones_skipped() {
        let (values, error) = read("1\n\n2\r\n3");
        assert_eq!(values, [1, 2, 3]);
        assert!(error.is_none());
    }

    #[test]
    fn a_malformed_line_is_reported_with_file_line_and_expectation() {
        let (values, error) = read("1\nx\n3\n");
        assert_eq!(values, [1]);
        let text = error.unwrap().to_string();
        assert!(text.starts_with("numbers.jsonl:2: expected a number, but "), "{text}");
    }

    #[test]
    fn a_torn_last_line_is_told_apart() {
        let (values, error) = read("1\n2\n{\"a");
        assert_eq!(values, [1, 2]);
        assert!(matches!(error, Some(Error::Torn { line: 3, .. })));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut text = Vec::new();
        write(&mut text, &7).unwrap();
        write(&mut text, &8).unwrap();
        assert_eq!(text, b"7\n8\n");
        assert_eq!(read(std::str::from_utf8(&text).unwrap()).0, [7, 8]);
    }
}
