//! Reads the operation lines of a `jepsen.log`: histories of one compare-and-set register.
//!
//! A line is `INFO  jepsen.util - PROCESS :invoke|:ok|:fail|:info :read|:write|:cas VALUE`, fields
//! separated by blanks. The lines carry no time, so an event's place is its time. Lines of other
//! loggers are skipped.

use std::{
    io::BufRead,
    path::{Path, PathBuf},
};

use super::{Event, Function, Kind, Value, operation::MISMATCH};
use crate::jsonl::Error;

const EXPECTED: &str = "`PROCESS :invoke|:ok|:fail|:info :read|:write|:cas VALUE`";

/// Reads a whole history. All operations are on a key named `register`.
pub fn read(input: impl BufRead, file: &Path) -> Result<Vec<Event>, Error> {
    let file: PathBuf = file.into();
    let mut history = Vec::new();
    let mut arguments = std::collections::BTreeMap::new();
    for (number, line) in (1..).zip(input.lines()) {
        let line = line.map_err(|source| Error::Io { file: file.clone(), source })?;
        let Some((_, operation)) = line.split_once("jepsen.util - ") else { continue };
        let (process, kind, f, mut value, error) = parse(operation).map_err(|problem| {
            Error::Malformed { file: file.clone(), line: number, expected: EXPECTED, problem }
        })?;
        if kind == Kind::Invoke {
            arguments.insert(process, value);
        } else if error.as_deref() != Some(MISMATCH) && kind != Kind::Ok {
            value = arguments.get(&process).copied().unwrap_or(Value::Nil);
        }
        let index = history.len() as u64;
        history.push(Event {
            index,
            time: index,
            process,
            kind,
            f,
            key: "register".into(),
            value,
            error,
            node: None,
            revision: None,
        });
    }
    Ok(history)
}

type Line = (u64, Kind, Function, Value, Option<String>);

fn parse(text: &str) -> Result<Line, String> {
    let mut fields = text.split_ascii_whitespace();
    let mut next = |what: &str| fields.next().ok_or(format!("{what} is missing"));
    let process = next("the process")?;
    let process = process.parse().map_err(|_| format!("{process} is no process number"))?;
    let kind = match next("the type")? {
        ":invoke" => Kind::Invoke,
        ":ok" => Kind::Ok,
        ":fail" => Kind::Fail,
        ":info" => Kind::Info,
        other => return Err(format!("{other} is no type of event")),
    };
    let f = match next("the function")? {
        ":read" => Function::Read,
        ":write" => Function::Write,
        ":cas" => Function::Cas,
        other => return Err(format!("{other} is no function of a register")),
    };
    let value = fields.collect::<Vec<_>>().join(" ");
    let int = |text: &str| text.parse().map_err(|_| format!("{text} is no value"));
    let mut error = None;
    let value = if value == "nil" {
        Value::Nil
    } else if let Some(reason) = value.strip_prefix(':') {
        error = Some(reason.to_owned());
        Value::Nil
    } else if let Some(pair) = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
        let (expected, new) = pair.split_once(' ').ok_or(format!("[{pair}] is no pair"))?;
        Value::Pair(if expected == "nil" { None } else { Some(int(expected)?) }, int(new)?)
    } else {
        Value::Int(int(&value)?)
    };
    if kind == Kind::Fail && f == Function::Cas && error.is_none() {
        error = Some(MISMATCH.into());
    }
    Ok((process, kind, f, value, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_events() {
        let text = "INFO  jepsen.core - hello\n\
            INFO  jepsen.util - 0\t:invoke\t:write\t4\n\
            INFO  jepsen.util - 1\t:invoke\t:cas\t[3 0]\n\
            INFO  jepsen.util - 1\t:fail\t:cas\t[3 0]\n\
            INFO  jepsen.util - 0\t:info\t:write\t:timed-out\n";
        let history = read(text.as_bytes(), Path::new("x")).unwrap();
        let lines: Vec<_> =
            history.iter().map(|e| (e.process, e.kind, e.value, e.error.as_deref())).collect();
        assert_eq!(
            lines,
            [
                (0, Kind::Invoke, Value::Int(4), None),
                (1, Kind::Invoke, Value::Pair(Some(3), 0), None),
                (1, Kind::Fail, Value::Pair(Some(3), 0), Some("mismatch")),
                (0, Kind::Info, Value::Int(4), Some("timed-out")),
            ]
        );
    }

    #[test]
    fn a_malformed_line_is_named() {
        for (line, problem) in [
            ("jepsen.util - x :ok :read 1", "x is no process number"),
            ("jepsen.util - 1 :done :read 1", ":done is no type of event"),
            ("jepsen.util - 1 :ok :lock 1", ":lock is no function of a register"),
            ("jepsen.util - 1 :ok :cas [1]", "[1] is no pair"),
            ("jepsen.util - 1 :ok :read one", "one is no value"),
            ("jepsen.util - 1 :ok", "the function is missing"),
        ] {
            let error = read(line.as_bytes(), Path::new("x.log")).unwrap_err().to_string();
            assert_eq!(error, format!("x.log:1: expected {EXPECTED}, but {problem}"));
        }
    }
}
