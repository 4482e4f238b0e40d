//! Forms without parts: strings, characters, names and numbers.

use std::io::Read;

use super::{Error, Reader, ends_atom};
use crate::history::generic::Datum;

impl<R: Read> Reader<R> {
    /// A keyword, symbol, number or character.
    pub(super) fn atom(&mut self) -> Result<Datum, Error> {
        let line = self.line();
        match self.input.peek()? {
            Some(b'\\') => return self.character(),
            Some(byte) if ends_atom(byte) => {
                let problem = format!("`{}` begins no form of EDN", byte.escape_ascii());
                return Err(Error::Malformed { line, problem });
            }
            _ => {}
        }
        let atom = self.input.until(ends_atom)?;
        parse(atom).map_err(|problem| Error::Malformed { line, problem })
    }

    /// `\a`, `\newline`, `\u0041`.
    fn character(&mut self) -> Result<Datum, Error> {
        let line = self.line();
        self.input.skip();
        // The first byte is part of it even where it would end a name: `\(`.
        let Some(first) = self.input.next()? else {
            return Err(Error::Torn { line, form: "the character" });
        };
        let mut name = vec![first];
        name.extend_from_slice(self.input.until(ends_atom)?);
        let problem = || format!("\\{} is no character", name.escape_ascii());
        let malformed = || Error::Malformed { line, problem: problem() };
        let name = std::str::from_utf8(&name).map_err(|_| malformed())?;
        let mut characters = name.chars();
        let character = match (characters.next(), name) {
            (_, "newline") => '\n',
            (_, "return") => '\r',
            (_, "space") => ' ',
            (_, "tab") => '\t',
            (_, "backspace") => '\u{8}',
            (_, "formfeed") => '\u{c}',
            (Some(only), _) if characters.as_str().is_empty() => only,
            (Some('u'), _) if name.len() == 5 => u32::from_str_radix(&name[1..], 16)
                .ok()
                .and_then(char::from_u32)
                .ok_or_else(malformed)?,
            _ => return Err(malformed()),
        };
        Ok(Datum::Text(character.to_string().into()))
    }

    pub(super) fn string(&mut self) -> Result<Datum, Error> {
        let line = self.line();
        self.input.skip();
        let mut text = Vec::new();
        loop {
            let plain = self.input.until(|byte| byte == b'"' || byte == b'\\')?;
            // Most strings have no escape: one copy.
            text.extend_from_slice(plain);
            match self.input.next()? {
                None => return Err(Error::Torn { line, form: "the string" }),
                Some(b'"') => break,
                Some(_) => {
                    let escaped = self.escape(line)?;
                    text.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        match String::from_utf8(text) {
            Ok(text) => Ok(Datum::Text(text.into())),
            Err(_) => Err(Error::Malformed { line, problem: "the string is not UTF-8".into() }),
        }
    }

    /// What follows a backslash within a string that begins on `line`.
    fn escape(&mut self, line: u64) -> Result<char, Error> {
        Ok(match self.input.next()? {
            None => return Err(Error::Torn { line, form: "the string" }),
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'n') => '\n',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(byte @ (b'"' | b'\\')) => char::from(byte),
            Some(b'u') => self.unicode(line)?,
            Some(byte) => {
                let problem = format!("`\\{}` is no escape of a string", byte.escape_ascii());
                return Err(self.malformed(problem));
            }
        })
    }

    /// `\uXXXX`, of which `\u` has been taken; two of them where UTF-16 needs two.
    fn unicode(&mut self, line: u64) -> Result<char, Error> {
        let unit = self.hexadecimal(line)?;
        let code = if (0xd800..0xdc00).contains(&unit) {
            let follows = self.input.next()? == Some(b'\\') && self.input.next()? == Some(b'u');
            let low = if follows { self.hexadecimal(line)? } else { 0 };
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.malformed(format!("`\\u{unit:04x}` is half a character")));
            }
            0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
        } else {
            unit
        };
        char::from_u32(code)
            .ok_or_else(|| self.malformed(format!("`\\u{code:04x}` is half a character")))
    }

    fn hexadecimal(&mut self, line: u64) -> Result<u32, Error> {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(byte) = self.input.next()? else {
                return Err(Error::Torn { line, form: "the string" });
            };
            let digit = char::from(byte).to_digit(16);
            let problem = || self.malformed("`\\u` needs four hexadecimal digits".into());
            unit = unit * 16 + digit.ok_or_else(problem)?;
        }
        Ok(unit)
    }
}

/// What a name or number means.
fn parse(atom: &[u8]) -> Result<Datum, String> {
    let is_number = match atom {
        [b'+' | b'-', second, ..] => second.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit(),
        [] => return Err("a name is missing".into()),
    };
    if is_number {
        return number(atom);
    }
    match atom {
        b"nil" => return Ok(Datum::Nil),
        b"true" => return Ok(Datum::Bool(true)),
        b"false" => return Ok(Datum::Bool(false)),
        _ => {}
    }
    let name = atom.strip_prefix(b":").unwrap_or(atom);
    match std::str::from_utf8(name) {
        Ok(name) if !name.is_empty() => Ok(Datum::Text(name.into())),
        _ => Err(format!("`{}` is no name", atom.escape_ascii())),
    }
}

fn number(atom: &[u8]) -> Result<Datum, String> {
    if let Some(value) = integer(atom) {
        return Ok(Datum::Int(value));
    }
    let problem = || format!("`{}` is no number", atom.escape_ascii());
    let text = std::str::from_utf8(atom).map_err(|_| problem())?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.trim_start_matches(['+', '-']);
    let whole = unsigned.strip_suffix('N').unwrap_or(unsigned);
    let ratio =
        unsigned.split_once('/').is_some_and(|(above, below)| digits(above) && digits(below));
    if ratio || digits(whole) {
        let text = text.strip_suffix('N').unwrap_or(text);
        return Ok(text.parse().map_or_else(|_| Datum::Text(text.into()), Datum::Int));
    }
    // Equal numbers are equal texts: as Clojure reads and prints them.
    let (text, exact) = text.strip_suffix('M').map_or((text, ""), |text| (text, "M"));
    match text.parse::<f64>() {
        Ok(value) if exact.is_empty() => Ok(Datum::Text(format!("{value:?}").into())),
        Ok(_) => Ok(Datum::Text(format!("{text}{exact}").into())),
        Err(_) => Err(problem()),
    }
}

/// A short integer, quickly.
fn integer(atom: &[u8]) -> Option<i64> {
    let (negative, digits) = match atom {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.len() > 18 {
        return None;
    }
    let mut value = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(if negative { -value } else { value })
}
