//! Reads a run directory.
//!
//! What is not there, torn at its end, or of another size than when the run ended makes the
//! evidence incomplete, which the verdict says. What is damaged is an error: nobody knows what it
//! was.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use proto::trace::Record;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Evidence, Run, VERSION};
use crate::{
    history::{Format, read},
    jsonl::{self, Reader},
};

/// Why evidence could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is unreadable or damaged.
    #[error(transparent)]
    Lines(#[from] jsonl::Error),
    /// `run.json` is not what it should be.
    #[error("{}: expected what is known of a run, but {source}", file.display())]
    Run {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The directory is of another version.
    #[error(
        "{}: the run directory has {}, and this build reads version {VERSION}; check the run with the \
         build that recorded it",
        file.display(),
        version.map_or("no format version".to_owned(), |version| format!("format version {version}"))
    )]
    Version {
        /// The file that says so.
        file: PathBuf,
        /// What it says.
        version: Option<u32>,
    },
    /// A directory without any evidence.
    #[error(
        "{} is not a run directory: it has neither history.jsonl nor run.json; name the directory \
         that a test printed as its report's, or a history file",
        .0.display()
    )]
    NotARun(PathBuf),
}

const FAULT: &str = "a fault record {version, fault, time, phase, kind, what, nodes, links?, leader?, \
     severs_leader?, observed?, detail?}";
const TRACE: &str = "a trace record {node, boot, seq, clock, time, event, …}";

/// Reads `history.jsonl`, `faults.jsonl`, `trace/*.jsonl` and `run.json` of a directory.
pub fn load(directory: &Path) -> Result<Evidence, Error> {
    let file = |name: &str| directory.join(name);
    let mut evidence = Evidence::default();
    let mut gaps = Vec::new();
    let run = file("run.json");
    let present = match open(&run)? {
        Some(input) => {
            evidence.run = read_run(input, &run)?;
            true
        }
        None => {
            gaps.push("run.json is missing: the run was cut short".to_owned());
            false
        }
    };
    match open(&file("history.jsonl"))? {
        Some(input) => {
            let format = Some(Format::JsonLines);
            let history = read::read(input, &file("history.jsonl"), format, false)?;
            evidence.history = history.events;
            gaps.extend(history.gaps);
        }
        None if present => gaps.push("history.jsonl is missing".into()),
        None => return Err(Error::NotARun(directory.into())),
    }
    match open(&file("faults.jsonl"))? {
        Some(input) => evidence.faults = lines(input, &file("faults.jsonl"), FAULT, &mut gaps)?,
        None => gaps.push("faults.jsonl is missing".into()),
    }
    for path in
        traces(&file("trace")).map_err(|source| jsonl::Error::Io { file: file("trace"), source })?
    {
        if let Some(input) = open(&path)? {
            evidence.traces.push(trace(input, &path)?);
        }
    }
    if evidence.run.unfinished {
        gaps.insert(0, "the run was killed: what was recorded until then is judged".to_owned());
    } else if present {
        let sizes = super::sizes(directory)
            .map_err(|source| jsonl::Error::Io { file: directory.into(), source })?;
        let names: BTreeSet<&String> = sizes.keys().chain(evidence.run.files.keys()).collect();
        for name in names {
            let (was, is) = (evidence.run.files.get(name), sizes.get(name));
            if was == is {
                continue;
            }
            let gap = match (was, is) {
                (Some(was), Some(is)) => format!(
                    "{name} has {is} bytes and had {was} when the run ended: lines are missing or \
                     were added"
                ),
                (Some(_), None) => format!("{name} is missing"),
                (None, _) => format!("{name} is not among the files that run.json lists"),
            };
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
            evidence.run.lost.extend(node_of(Path::new(name)));
        }
    }
    evidence.run.incomplete.extend(gaps);
    Ok(evidence)
}

/// Reads `run.json`, if it is of the version that this build reads.
fn read_run(mut input: impl Read, file: &Path) -> Result<Run, Error> {
    #[derive(Deserialize)]
    struct Head {
        version: Option<u32>,
    }
    let io = |source| jsonl::Error::Io { file: file.into(), source };
    let mut text = Vec::new();
    input.read_to_end(&mut text).map_err(io)?;
    let wrong = |source| Error::Run { file: file.into(), source };
    let Head { version } = serde_json::from_slice(&text).map_err(wrong)?;
    if version != Some(VERSION) {
        return Err(Error::Version { file: file.into(), version });
    }
    serde_json::from_slice(&text).map_err(wrong)
}

/// The node whose trace is a file `n<i>.jsonl`.
fn node_of(file: &Path) -> Option<u64> {
    file.file_name()?.to_str()?.strip_prefix('n')?.strip_suffix(".jsonl")?.parse().ok()
}

/// The files of a run directory from which verdicts are made, but for `run.json`.
pub(super) fn evidence_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let harness =
        ["history.jsonl", "faults.jsonl", "scenario.json"].map(|name| directory.join(name));
    let mut files: Vec<PathBuf> = harness.into_iter().filter(|path| path.exists()).collect();
    files.extend(traces(&directory.join("trace"))?);
    Ok(files)
}

/// `None` where there is no such file.
fn open(path: &Path) -> Result<Option<BufReader<File>>, jsonl::Error> {
    match File::open(path) {
        Ok(file) => Ok(Some(BufReader::with_capacity(1 << 16, file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(jsonl::Error::Io { file: path.into(), source }),
    }
}

fn lines<T: DeserializeOwned>(
    input: impl BufRead,
    file: &Path,
    expected: &'static str,
    gaps: &mut Vec<String>,
) -> Result<Vec<T>, jsonl::Error> {
    let mut reader = Reader::new(input, file, expected);
    let mut values = Vec::new();
    loop {
        match reader.read() {
            Ok(Some(value)) => values.push(value),
            Ok(None) => return Ok(values),
            Err(torn @ jsonl::Error::Torn { .. }) => gaps.push(torn.to_string()),
            Err(error) => return Err(error),
        }
    }
}

/// Files `*.jsonl` of a directory, by name. None where it does not exist.
fn traces(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads a node's trace. A last line that a kill tore is no gap: a line is written before its
/// effect leaves the node, so a torn one had none. The next boot would have cut it.
fn trace(input: impl BufRead, file: &Path) -> Result<Vec<Record>, jsonl::Error> {
    let mut reader = Reader::new(input, file, TRACE);
    let mut records: Vec<Record> = Vec::new();
    // Nearly every line is as nodes write it.
    let record = |line: &[u8]| Record::scan(line).map_or_else(|| serde_json::from_slice(line), Ok);
    loop {
        match reader.read_with(record) {
            Ok(Some(record)) => records.push(record),
            Ok(None) | Err(jsonl::Error::Torn { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    // That all lines are of one node is a matter of `trace-integrity`.
    match (node_of(file), records.first()) {
        (Some(named), Some(first)) if named != first.node => Err(jsonl::Error::Malformed {
            file: file.into(),
            line: 1,
            expected: TRACE,
            problem: format!("it is one of n{}", first.node),
        }),
        _ => Ok(records),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const EVENT_LINE: &str =
        r#"{"index":0,"time":0,"process":0,"type":"invoke","f":"read","key":"k","value":null}"#;

    fn record(boot: u64, seq: u64) -> String {
        format!(r#"{{"node":1,"boot":{boot},"seq":{seq},"clock":1,"time":1,"event":"stopped"}}"#)
    }

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("trace")).unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn run() -> String {
        serde_json::to_string(&Run { nodes: 3, ..Run::default() }).unwrap()
    }

    /// Says in `run.json` how large the files are now.
    fn seal(directory: &Path) {
        let files = crate::evidence::sizes(directory).unwrap();
        let run = Run { nodes: 3, files, ..Run::default() };
        fs::write(directory.join("run.json"), serde_json::to_string(&run).unwrap()).unwrap();
    }

    #[test]
    fn a_whole_directory_is_read() {
        let trace = format!("{}\n{}\n", record(1, 0), record(1, 1));
        let directory = directory(&[
            ("run.json", &run()),
            ("history.jsonl", &format!("{EVENT_LINE}\n")),
            ("faults.jsonl", ""),
            ("trace/n1.jsonl", &trace),
            ("trace/notes.txt", "hello"),
        ]);
        seal(directory.path());
        let evidence = load(directory.path()).unwrap();
        assert_eq!(evidence.history.len(), 1);
        assert_eq!(evidence.traces.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
        assert_eq!(evidence.run.nodes, 3);
        assert_eq!(evidence.run.incomplete, Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_or_torn_is_told() {
        let directory = directory(&[("history.jsonl", &format!("{EVENT_LINE}\n{{\"ind"))]);
        let evidence = load(directory.path()).unwrap();
        assert_eq!(evidence.history.len(), 1);
        let gaps = evidence.run.incomplete;
        assert_eq!(gaps.len(), 3, "{gaps:?}");
        assert_eq!(gaps[0], "run.json is missing: the run was cut short");
        assert!(gaps[1].contains("history.jsonl:2: the last line is torn"));
        assert_eq!(gaps[2], "faults.jsonl is missing");
    }

    #[test]
    fn a_file_that_lost_or_gained_whole_lines_is_told() {
        let line = format!("{EVENT_LINE}\n");
        let trace = format!("{}\n{}\n", record(1, 0), record(1, 1));
        let files =
            [("history.jsonl", line.as_str()), ("faults.jsonl", ""), ("trace/n1.jsonl", &trace)];
        type Doctor = fn(&Path);
        let cases: [(Doctor, &str, &[u64]); 6] = [
            (|d| fs::write(d.join("history.jsonl"), "").unwrap(), "history.jsonl has 0 bytes", &[]),
            (
                |d| fs::write(d.join("trace/n1.jsonl"), record(1, 0) + "\n").unwrap(),
                "trace/n1.jsonl has 65 bytes and had 130",
                &[1],
            ),
            (|d| fs::remove_file(d.join("trace/n1.jsonl")).unwrap(), "n1.jsonl is missing", &[1]),
            (|d| fs::remove_dir_all(d.join("trace")).unwrap(), "n1.jsonl is missing", &[1]),
            (
                |d| fs::write(d.join("trace/n2.jsonl"), "").unwrap(),
                "trace/n2.jsonl is not among the files that run.json lists",
                &[2],
            ),
            (|d| fs::write(d.join("run.json"), run()).unwrap(), "history.jsonl is not among", &[1]),
        ];
        for (doctor, expected, lost) in cases {
            let directory = directory(&files);
            seal(directory.path());
            assert_eq!(load(directory.path()).unwrap().run.incomplete, Vec::<String>::new());
            doctor(directory.path());
            let run = load(directory.path()).unwrap().run;
            let gaps = run.incomplete.join("; ");
            assert!(gaps.contains(expected), "{expected}: {gaps}");
            assert_eq!(run.lost.into_iter().collect::<Vec<_>>(), lost, "{expected}");
        }
    }

    #[test]
    fn damage_is_an_error() {
        for (name, text, expected) in [
            ("history.jsonl", "{}\n", "history.jsonl:1: expected an operation event"),
            ("faults.jsonl", "nonsense\n", "faults.jsonl:1: expected a fault record"),
            ("trace/n1.jsonl", "{}\n", "n1.jsonl:1: expected a trace record"),
            ("run.json", "{", "run.json: expected what is known of a run"),
            ("run.json", "{}", "run.json: the run directory has no format version, and"),
            (
                "run.json",
                r#"{"version":2}"#,
                "has format version 2, and this build reads version 1",
            ),
        ] {
            let directory = directory(&[("history.jsonl", ""), (name, text)]);
            let error = load(directory.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn any_other_directory_is_refused() {
        let error = load(directory(&[]).path()).unwrap_err();
        assert!(matches!(error, Error::NotARun(_)));
    }

    #[test]
    fn a_trace_may_be_torn_at_its_end_and_nowhere_else() {
        let file = Path::new("n1.jsonl");
        let torn = format!("{}\n{}\n{{\"no", record(1, 0), record(2, 0));
        assert_eq!(trace(torn.as_bytes(), file).unwrap().len(), 2);
        // A node cuts what a kill tore when it starts again: this was damaged later.
        let damaged = format!("{}\n{{\"no\n{}\n", record(1, 0), record(2, 0));
        let error = trace(damaged.as_bytes(), file).unwrap_err().to_string();
        assert!(error.starts_with("n1.jsonl:2: expected a trace record"), "{error}");
    }

    #[test]
    fn a_trace_of_another_node_than_its_file_names_is_refused() {
        let line = record(1, 0) + "\n";
        assert_eq!(trace(line.as_bytes(), Path::new("trace/n1.jsonl")).unwrap().len(), 1);
        let error = trace(line.as_bytes(), Path::new("trace/n3.jsonl")).unwrap_err().to_string();
        assert!(error.starts_with("trace/n3.jsonl:1: ") && error.ends_with("one of n1"), "{error}");
    }
}
