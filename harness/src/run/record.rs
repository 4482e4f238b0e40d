//! Writes evidence while it arises, so that little is lost if the harness dies.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::{Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Instant,
};

use anyhow::{Context, anyhow};
use checker::{
    fault,
    history::{Event, Kind},
};

use super::live::Live;

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

/// `history.jsonl`. Events get their index and time here, in one order; a thread of its own writes
/// them, hands them to the kernel whenever it has caught up, and then has them checked.
#[derive(Debug)]
pub(super) struct History {
    state: Mutex<State>,
    writer: Mutex<Option<JoinHandle<std::io::Result<()>>>>,
    start: Instant,
}

#[derive(Debug)]
struct State {
    sender: Option<mpsc::Sender<Event>>,
    next: u64,
    last: u64,
    counts: Counts,
}

impl History {
    /// A history that starts now.
    pub(super) fn create(dir: &Path, start: Instant, live: Live) -> anyhow::Result<Self> {
        let path = dir.join("history.jsonl");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        let (sender, receiver) = mpsc::channel::<Event>();
        let writer = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || write(BufWriter::with_capacity(1 << 16, file), &receiver, live))
            .context("could not start the thread that writes the history")?;
        let state = State { sender: Some(sender), next: 0, last: 0, counts: Counts::default() };
        Ok(Self { state: Mutex::new(state), writer: Mutex::new(Some(writer)), start })
    }

    /// Records an event; its index and time are filled in.
    pub(super) fn record(&self, mut event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        event.index = state.next;
        event.time = nanoseconds(self.start);
        state.next += 1;
        state.last = event.time;
        match event.kind {
            Kind::Invoke => {}
            Kind::Ok => state.counts.ok += 1,
            Kind::Fail => state.counts.fail += 1,
            Kind::Info => state.counts.info += 1,
        }
        if let Some(sender) = &state.sender {
            // A writer that is gone has met an error, which `close` returns.
            let _ = sender.send(event);
        }
    }

    /// Operations that have ended.
    pub(super) fn counts(&self) -> Counts {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).counts
    }

    /// Time of the last event, in nanoseconds.
    pub(super) fn last(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).last
    }

    /// Writes what is left. Events recorded later are dropped.
    pub(super) fn close(&self) -> anyhow::Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).sender = None;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match writer.map(JoinHandle::join) {
            Some(Ok(result)) => result.context("history.jsonl could not be written"),
            Some(Err(_)) => Err(anyhow!("the thread that writes history.jsonl panicked")),
            None => Ok(()),
        }
    }
}

/// Events that are written before they are checked, at most.
const BATCH: usize = 1024;

fn write(
    mut file: impl Write,
    events: &mpsc::Receiver<Event>,
    mut live: Live,
) -> std::io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    while let Ok(event) = events.recv() {
        batch.push(event);
        batch.extend(events.try_iter().take(BATCH - 1));
        for event in &batch {
            line(&mut file, event)?;
        }
        file.flush()?;
        for event in batch.drain(..) {
            live.event(&event);
        }
    }
    Ok(())
}

fn line(file: &mut impl Write, value: &impl serde::Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *file, value)?;
    file.write_all(b"\n")
}

/// `faults.jsonl`, written line by line.
#[derive(Debug)]
pub(super) struct Faults {
    file: Mutex<(File, Option<std::io::Error>)>,
    start: Instant,
}

impl Faults {
    /// An account that starts now.
    pub(super) fn create(dir: &Path, start: Instant) -> anyhow::Result<Self> {
        let path = dir.join("faults.jsonl");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { file: Mutex::new((file, None)), start })
    }

    /// Nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        nanoseconds(self.start)
    }

    /// Writes a record.
    pub(super) fn record(&self, record: &fault::Record) {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, error) = &mut *guard;
        let mut text = Vec::new();
        let result = line(&mut text, record).and_then(|()| file.write_all(&text));
        if let Err(now) = result {
            error.get_or_insert(now);
        }
    }

    /// The first error that writing met.
    pub(super) fn close(&self) -> anyhow::Result<()> {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        guard.1.take().map_or(Ok(()), |error| {
            Err(anyhow::Error::new(error).context("faults.jsonl could not be written"))
        })
    }
}

fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use checker::history::{Function, Value};

    use super::*;

    fn event(kind: Kind) -> Event {
        Event {
            index: 0,
            time: 0,
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
        let history = History::create(dir.path(), Instant::now(), Live::new("register").0).unwrap();
        for kind in [Kind::Invoke, Kind::Ok, Kind::Invoke, Kind::Fail, Kind::Invoke, Kind::Info] {
            history.record(event(kind));
        }
        assert_eq!(history.counts(), Counts { ok: 1, fail: 1, info: 1 });
        history.close().unwrap();
        let text = std::fs::read_to_string(dir.path().join("history.jsonl")).unwrap();
        let events: Vec<Event> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.iter().map(|event| event.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert!(events.is_sorted_by_key(|event| event.time));
        assert_eq!(history.last(), events[5].time);
    }

    #[test]
    fn what_was_recorded_reaches_the_file_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::create(dir.path(), Instant::now(), Live::new("register").0).unwrap();
        history.record(event(Kind::Invoke));
        let path = dir.path().join("history.jsonl");
        let deadline = Instant::now() + std::time::Duration::from_secs(5);
        while std::fs::read_to_string(&path).unwrap().is_empty() {
            assert!(Instant::now() < deadline, "nothing was written");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        history.close().unwrap();
    }

    #[test]
    fn a_history_that_cannot_be_written_says_so() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (sender, receiver) = mpsc::channel();
        sender.send(event(Kind::Invoke)).unwrap();
        assert!(write(Full, &receiver, Live::new("register").0).is_err());
    }
}
