//! Reads a run directory.
//!
//! What is not there, torn at its end, or not what was recorded makes the evidence incomplete,
//! which the verdict says. What is damaged is an error: nobody knows what it was.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use proto::trace::Record;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Evidence, Run, VERSION,
    sums::{self, Digest, Hashing, Sums, short},
};
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
        version: Option<u64>,
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

/// Reads `history.jsonl`, `faults.jsonl`, `trace/*.jsonl`, `plan.json` and `run.json` of a
/// directory, and holds every file against its digest in `SHA256SUMS`.
pub fn load(directory: &Path) -> Result<Evidence, Error> {
    let mut files = Files { directory, found: Sums::default() };
    let mut evidence = Evidence::default();
    let mut gaps = Vec::new();
    let present = match files.text("run.json")? {
        Some(text) => {
            evidence.run = parse_run(&text, &directory.join("run.json"))?;
            true
        }
        None => {
            gaps.push("run.json is missing: the run was cut short".to_owned());
            false
        }
    };
    match files.open("history.jsonl")? {
        Some(mut input) => {
            let (format, file) = (Some(Format::JsonLines), directory.join("history.jsonl"));
            let history = read::read(&mut input, &file, format, false)?;
            evidence.history = history.events;
            gaps.extend(history.gaps);
            files.read("history.jsonl", input)?;
        }
        None if present => {}
        None => return Err(Error::NotARun(directory.into())),
    }
    match files.open("faults.jsonl")? {
        Some(mut input) => {
            let file = directory.join("faults.jsonl");
            evidence.faults = lines(&mut input, &file, FAULT, &mut gaps)?;
            files.read("faults.jsonl", input)?;
        }
        None if present => {}
        None => gaps.push("faults.jsonl is missing".into()),
    }
    for name in names(directory, "trace", Some("jsonl"))? {
        if let Some(mut input) = files.open(&name)? {
            evidence.traces.push(trace(&mut input, &directory.join(&name))?);
            files.read(&name, input)?;
        }
    }
    if let Some(text) = files.text("plan.json")? {
        match serde_json::from_slice(&text) {
            Ok(plan) => evidence.plan = Some(plan),
            Err(error) => gaps.push(format!("plan.json is not what was expected: {error}")),
        }
    }
    for name in ["environment.json", "scenario.json"] {
        files.text(name)?;
    }
    for name in names(directory, "logs", None)? {
        if let Some(input) = files.open(&name)? {
            files.read(&name, input)?;
        }
    }
    let found = files.found;
    let unbound = evidence.run.unfinished && !directory.join(sums::NAME).exists();
    if evidence.run.unfinished {
        let mut gap = "the run was killed: what was recorded until then is judged".to_owned();
        if unbound {
            gap += ", which no digest binds";
        }
        gaps.insert(0, gap);
    }
    if present && !unbound {
        gaps.extend(differences(directory, &found, &mut evidence.run.lost)?);
    }
    evidence.run.incomplete.extend(gaps);
    Ok(evidence)
}

/// The files of a directory, and the digests of those that were read.
struct Files<'a> {
    directory: &'a Path,
    found: Sums,
}

impl Files<'_> {
    /// `None` where there is no such file.
    fn open(&self, name: &str) -> Result<Option<BufReader<Hashing<File>>>, jsonl::Error> {
        let path = self.directory.join(name);
        match File::open(&path) {
            Ok(file) => Ok(Some(BufReader::with_capacity(1 << 16, Hashing::new(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(jsonl::Error::Io { file: path, source }),
        }
    }

    /// A file was read; what is left of it is only hashed.
    fn read(&mut self, name: &str, input: BufReader<Hashing<File>>) -> Result<(), jsonl::Error> {
        let mut file = input.into_inner();
        io::copy(&mut file, &mut io::sink())
            .map_err(|source| jsonl::Error::Io { file: self.directory.join(name), source })?;
        self.found.0.insert(name.to_owned(), file.digest());
        Ok(())
    }

    /// All of a file.
    fn text(&mut self, name: &str) -> Result<Option<Vec<u8>>, jsonl::Error> {
        let Some(mut input) = self.open(name)? else { return Ok(None) };
        let mut text = Vec::new();
        input
            .read_to_end(&mut text)
            .map_err(|source| jsonl::Error::Io { file: self.directory.join(name), source })?;
        self.read(name, input)?;
        Ok(Some(text))
    }
}

/// In which files a directory differs from what was recorded, in sentences; `lost` gets the nodes
/// whose trace does.
fn differences(
    directory: &Path,
    found: &Sums,
    lost: &mut BTreeSet<u64>,
) -> Result<Vec<String>, jsonl::Error> {
    let read = |name: &str| match fs::read(directory.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(jsonl::Error::Io { file: directory.join(name), source }),
    };
    let Some(text) = read(sums::NAME)? else {
        lost.extend(found.0.keys().filter_map(|name| node_of(name)));
        return Ok(vec![format!(
            "{} is missing: nothing shows that the files are those that were recorded",
            sums::NAME
        )]);
    };
    let mut gaps = Vec::new();
    let verdict = fs::read(directory.join(sums::VERDICT)).ok();
    let sealed = verdict.and_then(|text| sums::sealed(&text));
    if sealed.is_some_and(|sealed| sealed != Digest::of(&text)) {
        gaps.push(format!("{} is not the file that {} was made from", sums::NAME, sums::VERDICT));
    }
    let recorded = match String::from_utf8_lossy(&text).parse::<Sums>() {
        Ok(recorded) => recorded,
        Err(why) => {
            gaps.push(format!("{} is not what was expected: {why}", sums::NAME));
            Sums::default()
        }
    };
    let names: BTreeSet<&String> = found.0.keys().chain(recorded.0.keys()).collect();
    for name in names {
        gaps.push(match (recorded.0.get(name), found.0.get(name)) {
            (Some(was), Some(is)) if was == is => continue,
            (Some(was), Some(is)) => format!(
                "{name} was changed after the run: its SHA-256 is {}, and was {}",
                short(*is),
                short(*was)
            ),
            (Some(_), None) => format!("{name} is missing"),
            (None, _) => format!("{name} is not among the files that {} lists", sums::NAME),
        });
        lost.extend(node_of(name));
    }
    Ok(gaps)
}

/// What `run.json` says, if it is of the version that this build reads.
fn parse_run(text: &[u8], file: &Path) -> Result<Run, Error> {
    #[derive(Deserialize)]
    struct Head {
        version: Option<u64>,
    }
    let wrong = |source| Error::Run { file: file.into(), source };
    let Head { version } = serde_json::from_slice(text).map_err(wrong)?;
    if version != Some(VERSION) {
        return Err(Error::Version { file: file.into(), version });
    }
    serde_json::from_slice(text).map_err(wrong)
}

/// The node whose trace is a file `trace/n<i>.jsonl`.
fn node_of(name: &str) -> Option<u64> {
    name.strip_prefix("trace/n")?.strip_suffix(".jsonl")?.parse().ok()
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

/// The files of a folder of the directory (`trace/n1.jsonl`), ascending; those that end so, if an
/// extension is named. None where the folder does not exist.
fn names(
    directory: &Path,
    folder: &str,
    extension: Option<&str>,
) -> Result<Vec<String>, jsonl::Error> {
    let path = directory.join(folder);
    let list = || -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry?.path();
            let fits = extension.is_none_or(|it| file.extension().is_some_and(|end| end == it));
            if let (true, true, Some(name)) = (fits, file.is_file(), file.file_name()) {
                names.push(format!("{folder}/{}", name.to_string_lossy()));
            }
        }
        names.sort();
        Ok(names)
    };
    list().map_err(|source| jsonl::Error::Io { file: path.clone(), source })
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
    let name = file.file_name().map(|name| format!("trace/{}", name.to_string_lossy()));
    match (name.and_then(|name| node_of(&name)), records.first()) {
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
        fs::create_dir(directory.path().join("logs")).unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn run() -> String {
        serde_json::to_string(&Run { nodes: 3, ..Run::default() }).unwrap()
    }

    /// Writes `SHA256SUMS` for the files as they are now.
    fn seal(directory: &Path) {
        let mut sums = Sums::default();
        for name in [
            "run.json",
            "plan.json",
            "history.jsonl",
            "faults.jsonl",
            "trace/n1.jsonl",
            "logs/n1.log",
        ] {
            if let Ok(text) = fs::read(directory.join(name)) {
                sums.0.insert(name.to_owned(), Digest::of(&text));
            }
        }
        fs::write(directory.join(sums::NAME), sums.to_string()).unwrap();
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
    fn a_file_that_is_not_the_recorded_one_is_named() {
        let line = format!("{EVENT_LINE}\n");
        let trace = format!("{}\n{}\n", record(1, 0), record(1, 1));
        let plan = r#"{"nodes":3,"faults":[{"fault":"kill"}],"load":{"concurrency":1},"workload":{"name":"register"}}"#;
        let files = [
            ("run.json", run()),
            ("plan.json", plan.to_owned()),
            ("history.jsonl", line),
            ("faults.jsonl", String::new()),
            ("trace/n1.jsonl", trace),
            ("logs/n1.log", "started\n".to_owned()),
        ];
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        type Doctor = fn(&Path);
        let cases: [(Doctor, &str, &[u64]); 11] = [
            (
                |d| fs::write(d.join("history.jsonl"), "").unwrap(),
                "history.jsonl was changed after the run",
                &[],
            ),
            (
                |d| fs::write(d.join("trace/n1.jsonl"), record(1, 0) + "\n").unwrap(),
                "trace/n1.jsonl was changed after the run: its SHA-256 is ",
                &[1],
            ),
            (|d| fs::remove_file(d.join("trace/n1.jsonl")).unwrap(), "n1.jsonl is missing", &[1]),
            (|d| fs::remove_dir_all(d.join("trace")).unwrap(), "n1.jsonl is missing", &[1]),
            (
                |d| fs::write(d.join("trace/n2.jsonl"), "").unwrap(),
                "trace/n2.jsonl is not among the files that SHA256SUMS lists",
                &[2],
            ),
            (
                |d| fs::write(d.join("logs/n1.log"), "halted\n").unwrap(),
                "logs/n1.log was changed",
                &[],
            ),
            (|d| fs::remove_file(d.join("plan.json")).unwrap(), "plan.json is missing", &[]),
            (
                |d| fs::write(d.join("plan.json"), "{}").unwrap(),
                "plan.json is not what was expected",
                &[],
            ),
            (
                |d| fs::write(d.join("run.json"), run().replace(":3", ":4")).unwrap(),
                "run.json was changed after the run",
                &[],
            ),
            (|d| fs::remove_file(d.join("SHA256SUMS")).unwrap(), "SHA256SUMS is missing", &[1]),
            (
                |d| {
                    let sealed = format!(r#"{{"evidence":"{}"}}"#, Digest::of(b"another"));
                    fs::write(d.join("verdict.json"), sealed).unwrap();
                },
                "SHA256SUMS is not the file that verdict.json was made from",
                &[],
            ),
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
    fn the_first_verdict_says_what_was_judged() {
        let directory = directory(&[("SHA256SUMS", "")]);
        assert_eq!(sums::seal(directory.path()), Some(Digest::of(b"")));
        let sealed = format!(r#"{{"evidence":"{}"}}"#, Digest::of(b"another"));
        fs::write(directory.path().join(sums::VERDICT), sealed).unwrap();
        assert_eq!(sums::seal(directory.path()), Some(Digest::of(b"another")));
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
                r#"{"version":1}"#,
                "has format version 1, and this build reads version 2",
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
