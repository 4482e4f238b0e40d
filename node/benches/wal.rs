//! How fast the write-ahead log is, and what pre-zeroed segments are worth.
//!
//! `cargo bench -p node --bench wal` measures on the disk of the temporary directory (set `TMPDIR`
//! to choose one: a tmpfs says nothing about syncs).

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use node::{
    raft::{Entry, EntryKind, Position},
    storage::{FileDisk, Identity, Record, Wal},
};

const IDENTITY: Identity = Identity { cluster: 1, node: 1 };
const PAYLOAD_BYTES: usize = 256;
const RECORD_BYTES: usize = PAYLOAD_BYTES + 32;
const SYNCS: usize = 200;
const RECOVERED_ENTRIES: usize = 100_000;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    println!(
        "{SYNCS} syncs each, entries of {PAYLOAD_BYTES} bytes, {}",
        directory.path().display()
    );
    println!(
        "{:>6}  {:>12} {:>12} {:>12} {:>12}  {:>14}",
        "batch", "growing", "allocated", "pre-zeroed", "Wal", "Wal"
    );
    for batch in [1, 16, 256] {
        let raw = |prepare: fn(&mut File, usize) -> io::Result<()>| {
            raw_syncs(&directory.path().join("raw"), batch, prepare)
        };
        let growing = raw(|_, _| Ok(()))?;
        let allocated = raw(|file, len| file.set_len(len as u64))?;
        let zeroed = raw(|file, len| file.write_all(&vec![0; len]))?;
        let wal = wal_syncs(&directory.path().join(format!("wal-{batch}")), batch)?;
        println!(
            "{batch:>6}  {:>10.0}/s {:>10.0}/s {:>10.0}/s {:>10.0}/s  {:>6.0} entry/s",
            per_second(growing),
            per_second(allocated),
            per_second(zeroed),
            per_second(wal),
            per_second(wal) * batch as f64,
        );
    }
    let (elapsed, bytes) = recovery(&directory.path().join("recovery"))?;
    println!(
        "recovery of {RECOVERED_ENTRIES} entries ({} MiB of segments): {elapsed:.1?}",
        bytes >> 20
    );
    Ok(())
}

fn per_second(elapsed: Duration) -> f64 {
    SYNCS as f64 / elapsed.as_secs_f64()
}

/// Batches written and synced one after the other to a plain file.
fn raw_syncs(
    path: &Path,
    batch: usize,
    prepare: fn(&mut File, usize) -> io::Result<()>,
) -> Result<Duration> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    let data = vec![7; batch * RECORD_BYTES];
    prepare(&mut file, SYNCS * data.len())?;
    file.sync_all()?;
    let start = Instant::now();
    for number in 0..SYNCS {
        file.write_all_at(&data, (number * data.len()) as u64)?;
        file.sync_data()?;
    }
    Ok(start.elapsed())
}

fn entries(from: &mut Position, count: usize) -> Vec<Record> {
    let entry = |_| {
        let payload = Bytes::from_static(&[7; PAYLOAD_BYTES]);
        let entry = Entry::after(*from, 1, EntryKind::Normal, payload);
        *from = entry.position();
        Record::Entry(entry)
    };
    (0..count).map(entry).collect()
}

/// The same through the log, its new segments included.
fn wal_syncs(path: &Path, batch: usize) -> Result<Duration> {
    let (mut wal, _) = Wal::open(FileDisk::open(path)?, IDENTITY)?;
    let mut last = Position::default();
    let batches: Vec<_> = (0..SYNCS).map(|_| entries(&mut last, batch)).collect();
    let start = Instant::now();
    for records in &batches {
        wal.append(records)?;
        wal.sync()?;
    }
    Ok(start.elapsed())
}

fn recovery(path: &Path) -> Result<(Duration, u64)> {
    let (mut wal, _) = Wal::open(FileDisk::open(path)?, IDENTITY)?;
    wal.append(&entries(&mut Position::default(), RECOVERED_ENTRIES))?;
    wal.sync()?;
    let bytes = wal.size();
    drop(wal);
    let start = Instant::now();
    let (_, recovered) = Wal::open(FileDisk::open(path)?, IDENTITY)?;
    let elapsed = start.elapsed();
    match recovered.state.entries.len() {
        RECOVERED_ENTRIES => Ok((elapsed, bytes)),
        other => Err(format!("recovered {other} of {RECOVERED_ENTRIES} entries").into()),
    }
}
