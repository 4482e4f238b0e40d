//! Reads the operation lines of a `jepsen.log`.
//!
//! A line is `INFO  jepsen.util - PROCESS :invoke|:ok|:fail|:info FUNCTION VALUE`, fields separated
//! by blanks. The lines carry no time, so an event's place is its time. Lines of other loggers and
//! of the nemesis are skipped. A keyword in the place of a completion's value says why it did not
//! succeed; a compare-and-set that failed for no such reason found another value.

use std::{io::BufRead, path::Path};

use rustc_hash::FxHashMap;

use super::{
    Kind, edn,
    generic::{Datum, Event},
    operation::MISMATCH,
    recording::{Format, History, LOGGER, Numbers},
};
use crate::jsonl::Error;

const EXPECTED: &str = "`PROCESS :invoke|:ok|:fail|:info FUNCTION VALUE`";

/// Reads a whole history. Where `independent`, values are the `[key value]` of jepsen.independent.
pub(super) fn read(
    mut input: impl BufRead,
    file: &Path,
    independent: bool,
) -> Result<History, Error> {
    let mut history = History::new(Format::JepsenLog);
    let mut buffer = Vec::new();
    let (mut lines, mut others) = (0, 0);
    // Of the operation that each process asked for last.
    let mut keys: FxHashMap<u64, Datum> = FxHashMap::default();
    for number in 1.. {
        buffer.clear();
        let read = input
            .read_until(b'\n', &mut buffer)
            .map_err(|source| Error::Io { file: file.into(), source })?;
        if read == 0 {
            break;
        }
        let malformed = |problem| Error::Malformed {
            file: file.into(),
            line: number,
            expected: EXPECTED,
            problem,
        };
        let torn = || Error::Torn { file: file.into(), line: number }.to_string();
        let Some(operation) = operation(&buffer) else {
            if buffer.ends_with(b"\n") {
                others += usize::from(!buffer.trim_ascii().is_empty());
            } else {
                history.gaps.push(torn());
            }
            continue;
        };
        lines += 1;
        let line = std::str::from_utf8(operation)
            .map_err(|_| "the line is not UTF-8".to_owned())
            .and_then(|text| parse(text, independent));
        match line {
            // A writer that was killed leaves half a line, which may be half a number.
            Ok(Some(_)) | Err(_) if !buffer.ends_with(b"\n") => {
                history.gaps.push(torn());
            }
            Ok(Some(line)) => {
                let key = match line.key {
                    Some(key) if line.kind == Kind::Invoke => {
                        keys.insert(line.process, key.clone());
                        key
                    }
                    Some(key) => key,
                    None => keys.get(&line.process).cloned().unwrap_or_default(),
                };
                history.push(Numbers::Lines(number), |index, _| Event {
                    index,
                    time: index,
                    process: line.process,
                    kind: line.kind,
                    f: line.f.into(),
                    key,
                    value: line.value,
                    error: line.error,
                    node: None,
                    revision: None,
                });
            }
            Ok(None) => history.skipped += 1,
            Err(problem) => return Err(malformed(problem)),
        }
    }
    if lines == 0 && others > 0 {
        let file = file.display();
        history
            .gaps
            .push(format!("no line of {file} is of jepsen.util, which logs the operations"));
    }
    Ok(history)
}

/// What follows the logger's name, if it is the right one.
fn operation(line: &[u8]) -> Option<&[u8]> {
    let at = line.windows(LOGGER.len()).position(|window| window == LOGGER)?;
    let rest = line[at + LOGGER.len()..].trim_ascii_start();
    Some(rest.strip_prefix(b"- ").or(rest.strip_prefix(b": ")).unwrap_or(rest))
}

struct Line<'a> {
    process: u64,
    kind: Kind,
    f: &'a str,
    /// `None` where an error stands in the place of key and value.
    key: Option<Datum>,
    value: Datum,
    error: Option<Box<str>>,
}

/// One line's operation; `None` where it is the nemesis's.
fn parse(text: &str, independent: bool) -> Result<Option<Line<'_>>, String> {
    let mut rest = text;
    let mut next = |what: &str| {
        let field = rest.trim_ascii_start();
        let end = field.find(|c: char| c.is_ascii_whitespace()).unwrap_or(field.len());
        let (field, after) = field.split_at(end);
        rest = after;
        Some(field).filter(|field| !field.is_empty()).ok_or(format!("{what} is missing"))
    };
    let process = next("the process")?;
    if process == ":nemesis" {
        return Ok(None);
    }
    let process = process.parse().map_err(|_| format!("{process} is no process number"))?;
    let kind = match next("the type")? {
        ":invoke" => Kind::Invoke,
        ":ok" => Kind::Ok,
        ":fail" => Kind::Fail,
        ":info" => Kind::Info,
        other => return Err(format!("{other} is no type of event")),
    };
    let f = next("the function")?;
    let f = f.strip_prefix(':').ok_or(format!("{f} is no name of a function"))?;
    let rest = rest.trim_ascii();
    let mut values = edn::Reader::of(rest);
    let mut value = || {
        values.read().map_err(|error| match error {
            edn::Error::Malformed { problem, .. } => problem,
            edn::Error::Torn { form, .. } => format!("{form} does not end"),
            edn::Error::Io(error) => error.to_string(),
        })
    };
    let mut key = Some(Datum::Nil);
    let mut error = None;
    let mut answer = value()?.ok_or("the value is missing")?;
    if rest.starts_with(':') && matches!(kind, Kind::Fail | Kind::Info) {
        error = Some(std::mem::take(&mut answer));
    } else if let Some(reason) = value()? {
        error = Some(reason);
    }
    if independent {
        (key, answer) = match answer {
            Datum::List(pair) if pair.len() == 2 => {
                let mut pair = pair.into_iter();
                (pair.next(), pair.next().unwrap_or_default())
            }
            other if error.is_some() => (None, other),
            other => return Err(format!("{other} is no [key value] of an independent key")),
        };
    }
    let error = error.map(|reason| match reason {
        Datum::Text(text) => text,
        other => other.to_string().into(),
    });
    let refused = kind == Kind::Fail && f == "cas" && error.is_none();
    let error = error.or(refused.then(|| MISMATCH.into()));
    Ok(Some(Line { process, kind, f, key, value: answer, error }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::recording::Events;

    fn read(text: &str) -> Result<History, String> {
        super::read(text.as_bytes(), Path::new("x.log"), false).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_become_events() {
        let text = "INFO  jepsen.core - hello\n\
            INFO  jepsen.util - 0\t:invoke\t:write\t4\n\
            INFO [2018-11-05 15:54:47,577] jepsen worker 1 - jepsen.util 1\t:invoke\t:cas\t[3 0]\n\
            INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n\
            INFO  jepsen.util - 1\t:fail\t:cas\t[3 0]\n\
            INFO  jepsen.util - 0\t:info\t:write\t:timed-out\n";
        let history = read(text).unwrap();
        let Events::Generic(events) = &history.events else { panic!("a register") };
        let lines: Vec<_> = events
            .iter()
            .map(|e| (e.process, e.kind, e.value.to_string(), e.error.as_deref()))
            .collect();
        assert_eq!(
            lines,
            [
                (0, Kind::Invoke, "4".into(), None),
                (1, Kind::Invoke, "[3 0]".into(), None),
                (1, Kind::Fail, "[3 0]".into(), Some("mismatch")),
                (0, Kind::Info, "nil".into(), Some("timed-out")),
            ]
        );
        assert_eq!(history.skipped, 1);
        assert_eq!(
            [0, 1, 2, 3].map(|at| history.numbering.of(at)),
            [2, 3, 5, 6].map(Numbers::Lines)
        );
    }

    #[test]
    fn a_malformed_line_is_named() {
        for (line, problem) in [
            ("jepsen.util - x :ok :read 1", "x is no process number"),
            ("jepsen.util - 1 :done :read 1", ":done is no type of event"),
            ("jepsen.util - 1 :ok read 1", "read is no name of a function"),
            ("jepsen.util - 1 :ok :cas [1", "the list does not end"),
            ("jepsen.util - 1 :ok :read ]", "`]` closes nothing here"),
            ("jepsen.util - 1 :ok :read", "the value is missing"),
            ("jepsen.util - 1 :ok", "the function is missing"),
        ] {
            let error = read(&format!("\n{line}\n")).unwrap_err();
            assert_eq!(error, format!("x.log:2: expected {EXPECTED}, but {problem}"));
        }
    }

    #[test]
    fn what_failed_keeps_the_independent_key_that_it_was_asked_for() {
        let text = "jepsen.util - 0 :invoke :write [\"k\" 12]\n\
            jepsen.util - 0 :info :write [\"k\" 12] :timed-out\n\
            jepsen.util - 1 :invoke :write [\"l\" 3]\n\
            jepsen.util - 1 :fail :write :refused\n";
        let history = super::read(text.as_bytes(), Path::new("x.log"), true).unwrap();
        let Events::Generic(events) = &history.events else { panic!("a register") };
        let of = |e: &Event| (e.key.to_string(), e.value.to_string(), e.error.clone());
        let said = |key: &str, value: &str, error: Option<&str>| {
            (key.to_owned(), value.to_owned(), error.map(Into::into))
        };
        assert_eq!(
            events.iter().map(of).collect::<Vec<_>>(),
            [
                said("k", "12", None),
                said("k", "12", Some("timed-out")),
                said("l", "3", None),
                said("l", "nil", Some("refused")),
            ]
        );
    }

    #[test]
    fn half_a_line_at_the_end_is_a_gap() {
        // The 1 may be what is left of 12.
        for half in [":ok :cas [1", ":ok :read 1"] {
            let log = format!("jepsen.util - 1 :invoke :read nil\njepsen.util - 1 {half}");
            let history = read(&log).unwrap();
            assert_eq!(history.events.len(), 1);
            let gap = &history.gaps[0];
            assert!(gap.starts_with("x.log:2: the last line is torn"), "{gap}");
        }
    }
}
