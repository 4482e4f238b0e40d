//! The bytes of a text, a window at a time, and the line on which the next one stands.

use std::io::{self, ErrorKind, Read};

const WINDOW: usize = 1 << 16;

pub(super) struct Input<R> {
    source: R,
    window: Vec<u8>,
    /// Place in the window of the next byte.
    at: usize,
    /// How much of the window is filled.
    end: usize,
    line: u64,
}

impl Input<io::Empty> {
    pub(super) fn of(text: &str) -> Self {
        Self { source: io::empty(), window: text.into(), at: 0, end: text.len(), line: 1 }
    }
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, window: vec![0; WINDOW], at: 0, end: 0, line: 1 }
    }

    /// The line of the next byte, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next byte; `None` at the end.
    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.end && !self.more()? {
            return Ok(None);
        }
        Ok(Some(self.window[self.at]))
    }

    /// Takes the byte that was seen.
    pub(super) fn skip(&mut self) {
        self.line += u64::from(self.window[self.at] == b'\n');
        self.at += 1;
    }

    /// Takes the next byte; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.skip();
        }
        Ok(byte)
    }

    /// Takes the bytes up to the first, not taken, that `ends`, or to the end.
    pub(super) fn until(&mut self, ends: impl Fn(u8) -> bool) -> io::Result<&[u8]> {
        let mut length = 0;
        loop {
            let ahead = &self.window[self.at + length..self.end];
            let found = ahead.iter().position(|&byte| ends(byte));
            length += found.unwrap_or(ahead.len());
            if found.is_some() || !self.more()? {
                break;
            }
        }
        let taken = &self.window[self.at..self.at + length];
        self.at += length;
        self.line += taken.iter().filter(|&&byte| byte == b'\n').count() as u64;
        Ok(taken)
    }

    /// Reads on behind what has not been taken; false at the end.
    fn more(&mut self) -> io::Result<bool> {
        if self.at > 0 {
            self.window.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
        }
        if self.end == self.window.len() {
            self.window.resize((2 * self.end).max(64), 0);
        }
        loop {
            match self.source.read(&mut self.window[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, so that each token crosses the window's end.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let (Some((&first, rest)), Some(place)) = (self.0.split_first(), into.first_mut())
            else {
                return Ok(0);
            };
            (*place, self.0) = (first, rest);
            Ok(1)
        }
    }

    #[test]
    fn tokens_are_whole_however_the_bytes_come() {
        let long = "x".repeat(3 * WINDOW);
        let text = format!("ab\n{long} c");
        let mut input = Input::new(Drops(text.as_bytes()));
        let blank = |byte: u8| byte == b' ' || byte == b'\n';
        assert_eq!(input.until(blank).unwrap(), b"ab");
        assert_eq!((input.line(), input.next().unwrap()), (1, Some(b'\n')));
        assert_eq!(input.line(), 2);
        assert_eq!(input.until(blank).unwrap(), long.as_bytes());
        assert_eq!(input.next().unwrap(), Some(b' '));
        assert_eq!(input.until(blank).unwrap(), b"c");
        assert_eq!(input.next().unwrap(), None);
        assert_eq!(input.until(blank).unwrap(), b"");
    }
}
