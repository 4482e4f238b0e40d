//! Writes evidence while it arises, so that little is lost if the harness dies.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use anyhow::{Context, anyhow};
use checker::{
    evidence::{
        Run,
        sums::{Digest, Hashing, Sums},
    },
    fault,
    history::{Kind, lines::Line},
};

use tokio::sync::watch;

use super::{files, live::Live};
use crate::exercise::{Note, Stage};

/// Operations by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Took effect.
    pub ok: u64,
    /// Certainly did not take effect.
    pub fail: u64,
    /// May have taken effect.
    pub info: u64,
}

/// All that a run on containers records: `history.jsonl`, `faults.jsonl`, and what `run.json` will
/// say.
#[derive(Debug)]
pub(super) struct Recorder {
    history: History,
    faults: Faults,
    /// What `run.json` will say.
    pub(super) run: Run,
    /// The load has begun: there is something to judge.
    pub(super) began: bool,
    cut: Cut,
    dir: PathBuf,
}

/// Which file is cut short, and why, once one is: its disk is full, say.
pub(super) type Cut = watch::Receiver<Option<String>>;

impl Recorder {
    /// Nothing yet.
    ///
    /// # Errors
    /// The files cannot be created.
    pub(super) fn create(dir: &Path, run: Run, live: Live) -> anyhow::Result<Self> {
        let (sender, cut) = watch::channel(None);
        let (history, faults) =
            (History::create(dir, live, sender.clone())?, Faults::create(dir, sender)?);
        let run = Run { unfinished: true, ..run };
        Ok(Self { history, faults, run, began: false, cut, dir: dir.to_owned() })
    }

    /// Tells when a file is cut short.
    pub(super) fn cut(&self) -> Cut {
        self.cut.clone()
    }

    /// Records something.
    pub(super) fn note(&mut self, note: Note, time: Duration) {
        match note {
            Note::Operation { event, .. } => self.history.record(event),
            Note::Fault(record) => self.faults.record(&record),
            Note::Stage(Stage::Load) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                self.run.started = nanoseconds(now.unwrap_or_default());
                self.began = true;
                // Whoever finds the directory of a harness that was killed learns what it was.
                if let Err(error) = files::begin(&self.dir, &self.run) {
                    report_cut(&self.faults.cut, "run.json", &format!("{error:#}"));
                }
            }
            Note::Stage(Stage::Recovery) => self.run.healed = Some(nanoseconds(time)),
            Note::Stage(Stage::Stopping) => self.run.stopped = nanoseconds(time),
            Note::Stage(_) => {}
            Note::FinalHashes(hashes) => self.run.final_hashes = hashes,
            Note::Crash(crash) => self.run.crashes.push(crash),
            Note::Incomplete(why) if self.run.incomplete.contains(&why) => {}
            Note::Incomplete(why) => self.run.incomplete.push(why),
        }
    }

    /// Operations that have ended.
    pub(super) fn counts(&self) -> Counts {
        self.history.counts
    }

    /// Writes what is left; what `run.json` is to say, and the digests of the files.
    pub(super) fn finish(self) -> (Run, Sums) {
        let Self { history, faults, mut run, .. } = self;
        run.duration = history.last;
        let mut sums = Sums::default();
        for (name, closed) in [("history.jsonl", history.close()), ("faults.jsonl", faults.close())]
        {
            match closed {
                Ok(digest) => drop(sums.0.insert(name.to_owned(), digest)),
                Err(error) => run.incomplete.push(format!("{error:#}")),
            }
        }
        (run, sums)
    }
}

/// `history.jsonl`. Events are numbered here; a thread of its own writes them, hands them to the
/// kernel whenever it has caught up, and then has them checked.
#[derive(Debug)]
struct History {
    sender: mpsc::Sender<Line>,
    writer: JoinHandle<std::io::Result<Digest>>,
    next: u64,
    /// Time of the last event, in nanoseconds.
    last: u64,
    counts: Counts,
}

impl History {
    fn create(dir: &Path, live: Live, cut: watch::Sender<Option<String>>) -> anyhow::Result<Self> {
        let path = dir.join("history.jsonl");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        let (sender, receiver) = mpsc::channel::<Line>();
        let writer = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || write(file, &receiver, live, &cut))
            .context("could not start the thread that writes the history")?;
        Ok(Self { sender, writer, next: 0, last: 0, counts: Counts::default() })
    }

    /// Records an event; its index is filled in.
    fn record(&mut self, mut event: Line) {
        event.number(self.next);
        self.next += 1;
        self.last = event.place().time;
        match event.place().kind {
            Kind::Invoke => {}
            Kind::Ok => self.counts.ok += 1,
            Kind::Fail => self.counts.fail += 1,
            Kind::Info => self.counts.info += 1,
        }
        // A writer that is gone has met an error, which `close` returns.
        let _ = self.sender.send(event);
    }

    /// Writes what is left. The digest of all.
    fn close(self) -> anyhow::Result<Digest> {
        drop(self.sender);
        match self.writer.join() {
            Ok(result) => result.context("history.jsonl is cut: it could not be written"),
            Err(_) => Err(anyhow!("the thread that writes history.jsonl panicked")),
        }
    }
}

/// Events that are written before they are checked, at most.
const BATCH: usize = 1024;

/// Writes what comes and checks it. After an error nothing more is written, and everything is
/// checked all the same.
fn write(
    file: impl Write,
    events: &mpsc::Receiver<Line>,
    mut live: Live,
    cut: &watch::Sender<Option<String>>,
) -> std::io::Result<Digest> {
    let mut file = BufWriter::with_capacity(1 << 16, Hashing::new(file));
    let mut batch = Vec::with_capacity(BATCH);
    let mut written = Ok(());
    while let Ok(event) = events.recv() {
        batch.push(event);
        batch.extend(events.try_iter().take(BATCH - 1));
        if written.is_ok() {
            written = batch.iter().try_for_each(|event| line(&mut file, event));
            written = written.and_then(|()| file.flush());
            if let Err(error) = &written {
                report_cut(cut, "history.jsonl", error);
            }
        }
        for event in batch.drain(..) {
            live.event(&event);
        }
    }
    live.finish();
    written?;
    Ok(file.into_inner()?.digest())
}

/// The first file that is cut is the one that is named.
fn report_cut(cut: &watch::Sender<Option<String>>, file: &str, error: &impl std::fmt::Display) {
    cut.send_if_modified(|cut| {
        let first = cut.is_none();
        cut.get_or_insert_with(|| format!("{file} is cut: it could not be written: {error}"));
        first
    });
}

fn line(file: &mut impl Write, value: &impl serde::Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *file, value)?;
    file.write_all(b"\n")
}

/// `faults.jsonl`, written line by line.
#[derive(Debug)]
struct Faults {
    file: Hashing<File>,
    error: Option<std::io::Error>,
    cut: watch::Sender<Option<String>>,
}

impl Faults {
    fn create(dir: &Path, cut: watch::Sender<Option<String>>) -> anyhow::Result<Self> {
        let path = dir.join("faults.jsonl");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { file: Hashing::new(file), error: None, cut })
    }

    /// Writes a record, unless an earlier one may be there in part.
    fn record(&mut self, record: &fault::Record) {
        if self.error.is_some() {
            return;
        }
        let mut text = Vec::new();
        let result = line(&mut text, record).and_then(|()| self.file.write_all(&text));
        if let Err(error) = result {
            report_cut(&self.cut, "faults.jsonl", &error);
            self.error = Some(error);
        }
    }

    /// The digest of all, or the first error that writing met.
    fn close(self) -> anyhow::Result<Digest> {
        match self.error {
            None => Ok(self.file.digest()),
            Some(error) => {
                Err(anyhow::Error::new(error)
                    .context("faults.jsonl is cut: it could not be written"))
            }
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use checker::history::{Event, Function, Value};

    use super::*;

    fn event(kind: Kind) -> Event {
        Event {
            index: 0,
            time: 7,
            process: 3,
            kind,
            f: Function::Write,
            key: "k0".to_owned(),
            value: Value::Int(1),
            error: None,
            node: Some("n1".to_owned()),
            revision: None,
        }
    }

    #[test]
    fn events_are_numbered_counted_and_written_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut history =
            History::create(dir.path(), Live::new("register").0, watch::channel(None).0).unwrap();
        for kind in [Kind::Invoke, Kind::Ok, Kind::Invoke, Kind::Fail, Kind::Invoke, Kind::Info] {
            history.record(event(kind).into());
        }
        assert_eq!(history.counts, Counts { ok: 1, fail: 1, info: 1 });
        assert_eq!(history.last, 7);
        history.close().unwrap();
        let text = std::fs::read_to_string(dir.path().join("history.jsonl")).unwrap();
        let events: Vec<Event> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.iter().map(|event| event.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_was_recorded_reaches_the_file_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut history =
            History::create(dir.path(), Live::new("register").0, watch::channel(None).0).unwrap();
        history.record(event(Kind::Invoke).into());
        let path = dir.path().join("history.jsonl");
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while std::fs::read_to_string(&path).unwrap().is_empty() {
            assert!(std::time::Instant::now() < deadline, "nothing was written");
            std::thread::sleep(Duration::from_millis(5));
        }
        history.close().unwrap();
    }

    fn read(index: u64, kind: Kind, value: Value) -> Event {
        Event { index, kind, value, f: Function::Read, ..event(kind) }
    }

    #[test]
    fn a_history_that_cannot_be_written_is_checked_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("history.jsonl")).unwrap();
        let (live, violation) = Live::new("register");
        let mut recorder = Recorder::create(dir.path(), Run::default(), live).unwrap();
        let cut = recorder.cut();
        let note = |event: Event| Note::Operation { client: 0, event: event.into() };
        recorder.note(note(read(0, Kind::Invoke, Value::Nil)), Duration::ZERO);
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while cut.borrow().is_none() {
            assert!(std::time::Instant::now() < deadline, "nobody was told");
            std::thread::sleep(Duration::from_millis(5));
        }
        let why = cut.borrow().clone().unwrap();
        assert!(why.starts_with("history.jsonl is cut"), "{why}");
        // Nobody wrote it.
        recorder.note(note(read(1, Kind::Ok, Value::Int(7))), Duration::ZERO);
        let incomplete = recorder.finish().0.incomplete.join("; ");
        assert!(incomplete.contains("history.jsonl is cut"), "{incomplete}");
        assert!(violation.borrow().is_some());
    }

    #[test]
    fn no_record_of_a_fault_follows_one_that_may_be_there_in_part() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("faults.jsonl")).unwrap();
        let (sender, cut) = watch::channel(None);
        let mut faults = Faults::create(dir.path(), sender).unwrap();
        let record = fault::Record {
            fault: 0,
            time: 0,
            version: checker::version::Version,
            phase: fault::Phase::Requested,
            kind: fault::Kind::Kill,
            what: String::new(),
            nodes: Vec::new(),
            links: Vec::new(),
            leader: None,
            severs_leader: false,
            observed: fault::Observed::default(),
            detail: None,
        };
        faults.record(&record);
        assert!(cut.borrow().as_ref().is_some_and(|why| why.starts_with("faults.jsonl is cut")));
        faults.file = Hashing::new(File::create(dir.path().join("mended")).unwrap());
        faults.record(&record);
        assert_eq!(std::fs::metadata(dir.path().join("mended")).unwrap().len(), 0);
        assert!(faults.close().is_err());
    }
}
