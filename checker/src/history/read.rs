//! Reads a history of any format, found out by its first bytes.
//!
//! Our own JSON Lines of a register, which is most of what is checked, become events of their own
//! type at once; all else becomes generic events. A last line that was torn, and events that are
//! known to be missing, are told as [`History::gaps`], which keep a verdict from being green.

use std::{
    io::{BufRead, Read},
    path::Path,
};

use super::{
    jepsen, jepsen_log, lines,
    recording::{Format, History},
};
use crate::jsonl::Error;

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
