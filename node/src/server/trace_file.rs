//! The trace on its way to the kernel: one write for many lines.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use proto::trace::{Event, Record};

use super::machine::Machine;

/// Appends trace lines to a file.
///
/// Once [`TraceFile::write`] returns, the lines are the kernel's: killing this process loses none.
/// They are not synced, as the trace is evidence about kills, not about power cuts.
pub(super) struct TraceFile<M> {
    machine: Arc<M>,
    file: Box<dyn Write + Send>,
    path: PathBuf,
    node: u64,
    boot: u64,
    seq: u64,
    lines: Vec<u8>,
}

impl<M> fmt::Debug for TraceFile<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, node, boot, seq, .. } = self;
        write!(f, "TraceFile({path:?}, node {node}, boot {boot}, line {seq})")
    }
}

/// Opens or makes a trace file, and cuts a last line that a kill tore. The second value is the
/// Lamport clock of the last line that is left, 0 where there is none.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let context =
        || format!("the trace file {} cannot be opened; choose another --trace", path.display());
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).open(path).with_context(context)?;
    let mut clock = 0;
    if file.metadata().with_context(context)?.is_file() {
        let (last, cut) = cut_torn_line(&mut file).with_context(context)?;
        if cut > 0 {
            tracing::info!("cut {cut} bytes of a torn last line from {}", path.display());
        }
        if !last.is_empty() {
            let last: Record = serde_json::from_slice(&last).with_context(|| {
                format!(
                    "the last line of {} is no trace line; choose another --trace",
                    path.display()
                )
            })?;
            clock = last.clock;
        }
    }
    Ok((file, clock))
}

impl<M: Machine> TraceFile<M> {
    /// Opens the file on a machine. The second value is the Lamport clock of its last line.
    pub(super) fn open(machine: &Arc<M>, path: &Path, node: u64, boot: u64) -> Result<(Self, u64)> {
        let (file, clock) = machine.open_trace(path)?;
        let (machine, path) = (Arc::clone(machine), path.to_owned());
        Ok((Self { machine, file, path, node, boot, seq: 0, lines: Vec::new() }, clock))
    }

    /// Hands events, each with its Lamport clock, to the kernel.
    pub(super) fn write(&mut self, events: impl IntoIterator<Item = (u64, Event)>) -> Result<()> {
        let time = self.machine.unix_time().as_nanos() as u64;
        for (clock, event) in events {
            let (node, boot, seq) = (self.node, self.boot, self.seq);
            let record = Record { node, boot, seq, clock, time, event };
            serde_json::to_writer(&mut self.lines, &record)?;
            self.lines.push(b'\n');
            self.seq += 1;
        }
        if !self.lines.is_empty() {
            self.file.write_all(&self.lines).with_context(|| {
                format!(
                    "the trace file {} cannot be written, and no step may be untraced",
                    self.path.display()
                )
            })?;
            self.lines.clear();
        }
        Ok(())
    }
}

/// Cuts what follows the last line feed; returns the line that is last now, and how many bytes
/// were cut.
fn cut_torn_line(file: &mut File) -> io::Result<(Vec<u8>, u64)> {
    const BLOCK: u64 = 64 * 1024;
    let len = file.metadata()?.len();
    let mut start = len;
    let mut tail = Vec::new();
    // Reads backwards until the tail holds a whole line and the line feed before it.
    let feeds = loop {
        let mut feeds = tail.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
        let (last, before) = (feeds.next(), feeds.next());
        if start == 0 || before.is_some() {
            break (last.map(|(at, _)| at), before.map(|(at, _)| at));
        }
        let mut block = Vec::new();
        let end = start;
        start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut block)?;
        block.append(&mut tail);
        tail = block;
    };
    let (line, kept) = match feeds {
        (None, _) => (Vec::new(), 0),
        (Some(last), before) => {
            let first = before.map_or(0, |at| at + 1);
            (tail[first..last].to_vec(), start + last as u64 + 1)
        }
    };
    if kept < len {
        file.set_len(kept)?;
    }
    Ok((line, len - kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::machine::RealMachine;

    #[test]
    fn a_torn_last_line_is_cut_wherever_it_starts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        let whole = |clock| {
            let (node, boot, seq, time) = (1, 1, 0, 0);
            let record = Record { node, boot, seq, clock, time, event: Event::Stopped {} };
            serde_json::to_string(&record).unwrap() + "\n"
        };
        let long = "x".repeat(200_000);
        for (kept, torn, clock) in [
            (String::new(), "", 0),
            (whole(7), "", 7),
            (whole(7), "{", 7),
            (whole(7) + &whole(8), "{", 8),
            (String::new(), "{", 0),
            (whole(7), &long, 7),
            (whole(7).repeat(5000) + &whole(8), &long, 8),
            (String::new(), &long, 0),
        ] {
            std::fs::write(&path, format!("{kept}{torn}")).unwrap();
            let (_, found) = open(&path).unwrap();
            assert_eq!(found, clock);
            assert!(std::fs::read_to_string(&path).unwrap() == kept);
        }
    }

    #[test]
    fn a_file_that_is_no_trace_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes");
        std::fs::write(&path, "a shopping list\n").unwrap();
        let refusal = format!("{:#}", open(&path).unwrap_err());
        assert!(refusal.contains("is no trace line"), "{refusal}");
        assert_eq!(std::fs::read(&path).unwrap(), b"a shopping list\n");
    }

    #[test]
    fn lines_are_numbered_and_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        for boot in [1, 2] {
            let (mut trace, _) = TraceFile::open(&Arc::new(RealMachine), &path, 3, boot).unwrap();
            trace.write([(5, Event::Term { term: 1 }), (6, Event::Stopped {})]).unwrap();
            trace.write([(7, Event::Answered { index: 9 })]).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Record> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let numbers: Vec<_> = lines.iter().map(|line| (line.boot, line.seq, line.clock)).collect();
        assert_eq!(numbers, [(1, 0, 5), (1, 1, 6), (1, 2, 7), (2, 0, 5), (2, 1, 6), (2, 2, 7)]);
        assert!(lines.iter().all(|line| line.node == 3 && line.time > 0));
    }
}
