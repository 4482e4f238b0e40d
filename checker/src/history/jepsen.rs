//! Operations as Clojure writes them, a map each: Jepsen's `history.edn`, a map a line or one
//! vector of all, and Porcupine's key-value text.
//!
//! ```text
//! {:type :invoke, :f :cas, :value [1 2], :process 3, :time 12345, :index 0}
//! {:process 3, :type :invoke, :f :append, :key "7", :value "x 3 0 y"}
//! ```
//!
//! The order of the maps is the order of the events, whatever their times say: a time that does not
//! follow the one before is moved a nanosecond behind it, so that what ended before something else
//! began is known to have. Where there are no times, the position is the time. Events of
//! `:nemesis`, who is no client, are counted and left out.
//!
//! A compare-and-set that failed is an observation only if its `:error` is `:mismatch`: other
//! failures may mean that it was never tried.

use std::{io::Read, path::Path};

use super::{
    Kind,
    edn::{self, Start},
    generic::{Datum, Event},
    recording::{Format, History, Numbers},
};
use crate::jsonl;

const EXPECTED: &str =
    "an operation {:process, :type, :f, :value, and maybe :key :time :index :error :node}";

/// Reads a whole history. Where `independent`, values are the `[key value]` of jepsen.independent.
///
/// # Errors
/// The first form that is no operation.
pub(super) fn read(
    input: impl Read,
    file: &Path,
    format: Format,
    independent: bool,
) -> Result<History, jsonl::Error> {
    let mut reader = Reader {
        edn: edn::Reader::new(input),
        history: History::new(format),
        independent,
        numbered: None,
        missing: 0,
    };
    let result = reader.all();
    let line = reader.edn.line();
    let torn = || jsonl::Error::Torn { file: file.into(), line };
    match result {
        Ok(()) => {}
        Err(Problem::Cut) => reader.history.gaps.push(torn().to_string()),
        Err(Problem::Edn(edn::Error::Torn { line: begun, .. })) if begun == line => {
            reader.history.gaps.push(torn().to_string());
        }
        Err(Problem::Edn(edn::Error::Io(source))) => {
            return Err(jsonl::Error::Io { file: file.into(), source });
        }
        Err(Problem::Edn(edn::Error::Torn { line, form })) => {
            let problem = format!("{form} that begins here does not end");
            return Err(malformed(file, line, problem));
        }
        Err(Problem::Edn(edn::Error::Malformed { line, problem }) | Problem::At(line, problem)) => {
            return Err(malformed(file, line, problem));
        }
    }
    if reader.missing > 0 {
        let (missing, file) = (reader.missing, file.display());
        let gap = format!("{missing} events of {file} are missing, as :index tells");
        reader.history.gaps.push(gap);
    }
    Ok(reader.history)
}

fn malformed(file: &Path, line: u64, problem: String) -> jsonl::Error {
    jsonl::Error::Malformed { file: file.into(), line, expected: EXPECTED, problem }
}

enum Problem {
    Edn(edn::Error),
    /// An operation is not what it should be, on this line.
    At(u64, String),
    /// The vector of all operations does not end.
    Cut,
}

impl From<edn::Error> for Problem {
    fn from(error: edn::Error) -> Self {
        Self::Edn(error)
    }
}

struct Reader<R> {
    edn: edn::Reader<R>,
    history: History,
    independent: bool,
    /// The `:index` before, if the first event had one.
    numbered: Option<Option<i64>>,
    missing: u64,
}

#[derive(Clone, Copy)]
enum Field {
    Process,
    Type,
    F,
    Key,
    Value,
    Time,
    Index,
    Error,
    Node,
    Other,
}

/// The fields of an operation, as they stand.
#[derive(Default)]
struct Fields {
    process: Option<Datum>,
    kind: Option<Datum>,
    f: Option<Datum>,
    key: Datum,
    value: Datum,
    time: Option<Datum>,
    index: Option<Datum>,
    error: Option<Box<str>>,
    node: Option<Box<str>>,
}

impl<R: Read> Reader<R> {
    fn all(&mut self) -> Result<(), Problem> {
        let mut within = None;
        loop {
            match self.edn.start()? {
                Start::Map(line) => {
                    let fields = self.fields(line)?;
                    self.event(fields, line).map_err(|problem| Problem::At(line, problem))?;
                }
                Start::List(close, _) if within.is_none() && close != b'}' => within = Some(close),
                Start::Close(byte) if within == Some(byte) => within = None,
                Start::Close(byte) => return Err(self.edn.unexpected(byte).into()),
                Start::End if within.is_some() => return Err(Problem::Cut),
                Start::End => return Ok(()),
                Start::List(..) | Start::Other(_) => {
                    let problem = "this is no map".to_owned();
                    return Err(Problem::At(self.edn.line(), problem));
                }
            }
        }
    }

    /// The fields of a map that begins on `line`.
    fn fields(&mut self, line: u64) -> Result<Fields, Problem> {
        const FORM: &str = "the map";
        let mut fields = Fields::default();
        loop {
            let field = match self.edn.start()? {
                Start::Close(b'}') => return Ok(fields),
                Start::Close(byte) => return Err(self.edn.unexpected(byte).into()),
                Start::End => return Err(edn::Error::Torn { line, form: FORM }.into()),
                Start::Other(b':') => self.edn.name(Field::of)?,
                start => {
                    self.edn.part(start, FORM, line)?;
                    Field::Other
                }
            };
            let value = self.edn.value(FORM, line)?;
            let text = |value: Datum| Some(value).filter(|v| *v != Datum::Nil).map(into_text);
            match field {
                Field::Process => fields.process = Some(value),
                Field::Type => fields.kind = Some(value),
                Field::F => fields.f = Some(value),
                Field::Key => fields.key = value,
                Field::Value => fields.value = value,
                Field::Time => fields.time = Some(value),
                Field::Index => fields.index = Some(value),
                Field::Error => fields.error = text(value),
                Field::Node => fields.node = text(value),
                Field::Other => {}
            }
        }
    }

    fn event(&mut self, fields: Fields, line: u64) -> Result<(), String> {
        let number = self.number(fields.index)?;
        let process = match fields.process.ok_or("`:process` is missing")? {
            Datum::Text(name) if &*name == "nemesis" => {
                self.history.skipped += 1;
                return Ok(());
            }
            Datum::Int(process) if process >= 0 => process.unsigned_abs(),
            other => return Err(format!("`:process {other}` is neither a number nor :nemesis")),
        };
        let kind = kind(&fields.kind.ok_or("`:type` is missing")?)?;
        let f = match fields.f.ok_or("`:f` is missing")? {
            Datum::Text(name) => name,
            other => return Err(format!("`:f {other}` is no name of a function")),
        };
        let (mut key, mut value) = (fields.key, fields.value);
        if self.independent {
            (key, value) = match value {
                Datum::List(pair) => match <[Datum; 2]>::try_from(pair) {
                    Ok([key, value]) => (key, value),
                    Err(pair) => return Err(not_independent(&Datum::List(pair))),
                },
                other => return Err(not_independent(&other)),
            };
        }
        if self.history.format == Format::Porcupine && key == Datum::Nil {
            return Err("`:key` is missing".into());
        }
        let time = match fields.time {
            None => None,
            Some(Datum::Int(time)) if time >= 0 => Some(time.unsigned_abs()),
            Some(other) => return Err(format!("`:time {other}` is no number of nanoseconds")),
        };
        let numbers = number.map_or(Numbers::Lines(line), Numbers::Events);
        self.history.push(numbers, |index, follows| Event {
            index,
            time: time.unwrap_or(index).max(follows),
            process,
            kind,
            f,
            key,
            value,
            error: fields.error,
            node: fields.node,
            revision: None,
        });
        Ok(())
    }

    /// The `:index` of an event, which must follow that of the event before.
    fn number(&mut self, index: Option<Datum>) -> Result<Option<u64>, String> {
        let index = match index {
            None => None,
            Some(Datum::Int(index)) if index >= 0 => Some(index),
            Some(other) => return Err(format!("`:index {other}` is no position")),
        };
        let before = *self.numbered.get_or_insert(index.map(|_| -1));
        match (before, index) {
            (None, None) => return Ok(None),
            (Some(before), Some(index)) if index > before => {
                self.missing += index.abs_diff(before) - 1;
            }
            (Some(before), Some(index)) => {
                return Err(format!("`:index {index}` stands after {before}"));
            }
            (Some(_), None) => return Err("`:index` is missing, and others have one".into()),
            (None, Some(_)) => return Err("it has an `:index`, and the first has none".into()),
        }
        self.numbered = Some(index);
        Ok(index.map(i64::unsigned_abs))
    }
}

impl Field {
    fn of(name: &[u8]) -> Self {
        match name {
            b"process" => Self::Process,
            b"type" => Self::Type,
            b"f" => Self::F,
            b"key" => Self::Key,
            b"value" => Self::Value,
            b"time" => Self::Time,
            b"index" => Self::Index,
            b"error" => Self::Error,
            b"node" => Self::Node,
            _ => Self::Other,
        }
    }
}

fn kind(value: &Datum) -> Result<Kind, String> {
    match value.text() {
        Some("invoke") => Ok(Kind::Invoke),
        Some("ok") => Ok(Kind::Ok),
        Some("fail") => Ok(Kind::Fail),
        Some("info") => Ok(Kind::Info),
        _ => Err(format!("`:type {value}` is none of :invoke :ok :fail :info")),
    }
}

fn into_text(value: Datum) -> Box<str> {
    match value {
        Datum::Text(text) => text,
        other => other.to_string().into(),
    }
}

fn not_independent(value: &Datum) -> String {
    format!("`:value {value}` is no [key value] of an independent key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::recording::Events;

    fn read_as(text: &str, format: Format, independent: bool) -> Result<History, String> {
        super::read(text.as_bytes(), Path::new("h.edn"), format, independent)
            .map_err(|error| error.to_string())
    }

    fn read(text: &str) -> Result<History, String> {
        read_as(text, Format::JepsenEdn, false)
    }

    fn events(history: &History) -> &[Event] {
        let Events::Generic(events) = &history.events else { panic!("a register") };
        events
    }

    const LINES: &str = "{:process 0, :type :invoke, :f :txn, :value [[:append 5 1] [:r 5 nil]], :time 100, :index 0}
{:process :nemesis, :type :info, :f :start, :value {:grudge {\"n1\" #{\"n2\"}}}, :time 110, :index 1}
#jepsen.history.Op{:index 2, :time 105, :type :ok, :process 0, :f :txn, :value [[:append 5 1] [:r 5 [1]]], :node \"n3\"}
{:process 1, :type :invoke, :f :read, :value nil, :time 105, :index 3} ; a comment
#_ {:process 1} {:process 1, :type :info, :f :read, :value nil, :error [:timeout \"10 s\"], :time 105, :index 4}
";

    #[test]
    fn a_map_a_line_or_one_vector() {
        let lines = read(LINES).unwrap();
        assert_eq!((lines.skipped, lines.gaps.len()), (1, 0));
        let events = events(&lines);
        assert_eq!(events[0].value.to_string(), "[[append 5 1] [r 5 nil]]");
        assert_eq!(events[1].node.as_deref(), Some("n3"));
        assert_eq!(events[3].error.as_deref(), Some("[timeout 10 s]"));
        let places: Vec<_> = events.iter().map(|e| (e.index, e.time, e.process, e.kind)).collect();
        assert_eq!(
            places,
            [
                (0, 100, 0, Kind::Invoke),
                (1, 105, 0, Kind::Ok),
                (2, 106, 1, Kind::Invoke),
                (3, 107, 1, Kind::Info),
            ]
        );
        assert_eq!(
            [0, 1, 2, 3].map(|at| lines.numbering.of(at)),
            [0, 2, 3, 4].map(Numbers::Events)
        );
        for text in [format!("[{LINES}]"), format!("({LINES})\n"), LINES.replace('\n', " ")] {
            let text = text.replace(" ; a comment", "");
            assert_eq!(self::events(&read(&text).unwrap()), events);
        }
    }

    #[test]
    fn independent_values_are_a_key_and_a_value() {
        let text = "{:process 0, :type :invoke, :f :cas, :value [:k [1 2]]}\n\
                    {:process 0, :type :fail, :f :cas, :value [:k [1 2]], :error :mismatch}\n";
        let history = read_as(text, Format::JepsenEdn, true).unwrap();
        let events = events(&history);
        assert_eq!(
            (events[1].key.text(), events[1].value.to_string()),
            (Some("k"), "[1 2]".into())
        );
        assert_eq!(history.numbering.of(1), Numbers::Lines(2));
        let error = read_as(&text.replace("[:k [1 2]]", "3"), Format::JepsenEdn, true).unwrap_err();
        assert!(
            error.ends_with("but `:value 3` is no [key value] of an independent key"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_operation_is_named() {
        let event = "{:process 0, :type :invoke, :f :read, :value nil, :time 5, :index 0}";
        for (from, to, problem) in [
            (":process 0", ":process :x", "`:process x` is neither a number nor :nemesis"),
            (":process 0", ":process -1", "`:process -1` is neither a number nor :nemesis"),
            (":process 0, ", "", "`:process` is missing"),
            (":type :invoke, ", "", "`:type` is missing"),
            (":type :invoke", ":type :done", "`:type done` is none of :invoke :ok :fail :info"),
            (":f :read, ", "", "`:f` is missing"),
            (":f :read", ":f 7", "`:f 7` is no name of a function"),
            (":time 5", ":time -5", "`:time -5` is no number of nanoseconds"),
            (":index 0", ":index nil", "`:index nil` is no position"),
            (":value nil", ":value", "`}` closes nothing here"),
            ("}", "", "the map that begins here does not end"),
            (event, "\"x\"", "this is no map"),
        ] {
            let error = read(&format!("\n{}\n\n", event.replacen(from, to, 1))).unwrap_err();
            assert_eq!(error, format!("h.edn:2: expected {EXPECTED}, but {problem}"), "{from}");
        }
        let twice = read(&format!("{event}\n{event}\n")).unwrap_err();
        assert!(twice.ends_with("h.edn:2: expected an operation {:process, :type, :f, :value, and maybe :key :time :index :error :node}, but `:index 0` stands after 0"), "{twice}");
        let keyless = read_as(event, Format::Porcupine, false).unwrap_err();
        assert!(keyless.ends_with("`:key` is missing"), "{keyless}");
    }

    #[test]
    fn what_is_missing_is_a_gap() {
        let event =
            |index| format!("{{:process {index}, :type :invoke, :f :read, :index {index}}}");
        let whole = [event(0), event(1)].join("\n");
        assert_eq!(read(&whole).unwrap().gaps, Vec::<String>::new());
        let later = read(&[event(0), event(4), event(7)].join("\n")).unwrap();
        assert_eq!(later.gaps, ["5 events of h.edn are missing, as :index tells"]);
        assert_eq!(later.numbering.of(2), Numbers::Events(7));
        let torn = "h.edn:2: the last line is torn: its writer was killed while it wrote";
        for cut in [whole[..whole.len() - 2].to_owned(), format!("[{whole}")] {
            let history = read(&cut).unwrap();
            assert_eq!(history.gaps, [torn], "{cut}");
            assert!(!history.events.is_empty());
        }
    }
}
