//! Tests of the format: its bytes, the formats that are refused, and logs that begin after a
//! snapshot.

use bytes::Bytes;

use super::{
    test::{FIRST, entries, open},
    *,
};
use crate::raft::{Configuration, EntryKind, Hash, Position};

fn hex(bytes: &[u8]) -> Vec<String> {
    let lines = bytes.chunks(16).map(|line| {
        line.chunks(4)
            .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            .collect::<Vec<_>>()
            .join(" ")
    });
    lines.collect()
}

fn unhex(lines: &[&str]) -> Vec<u8> {
    let digits: String = lines.concat().split_whitespace().collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn snapshot(index: u64, term: u64) -> SnapshotMetadata {
    let configuration = Configuration::new(vec![1, 2], vec![], vec![3]).unwrap();
    SnapshotMetadata { last: Position { index, term, hash: Hash(7) }, configuration }
}

/// The bytes of a log never change unnoticed: a change here is a new format number.
#[test]
fn golden_format() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    wal.append(&[Record::HardState(HardState { term: 5, vote: Some(3) })]).unwrap();
    wal.append(&entries(1, 5, &[b"hello"])).unwrap();
    let mut position = Position { index: 1, ..Position::default() };
    for (kind, payload) in
        [(EntryKind::NoOp, &b""[..]), (EntryKind::Configuration, b"\x0a\x01\x01")]
    {
        let entry = Entry::after(position, 5, kind, Bytes::from_static(payload));
        position = entry.position();
        wal.append(&[Record::Entry(entry)]).unwrap();
    }
    wal.append(&[Record::Snapshot(snapshot(2, 5))]).unwrap();
    let file = wal.into_disk().read(FIRST).unwrap();
    assert_eq!(hex(&file[..GOLDEN.len() * 16]), GOLDEN);
    assert!(file[GOLDEN.len() * 16..].iter().all(|byte| *byte == 0));
}

const GOLDEN: [&str; 18] = [
    "52414654 57414c00 02000000 14b7641c",
    "c1000000 00000000 02000000 00000000",
    "01000000 00000000 00100000 00000000",
    "00000000 00000000 00000000 00000000",
    "08000000 54957b01 40000000 01000000",
    "01000000 00000000 10000000 d5da5f8a",
    "58000000 02000000 05000000 00000000",
    "03000000 00000000 15000000 b98d0e7c",
    "58000000 03000000 01000000 00000000",
    "05000000 00000000 68656c6c 6f000000",
    "10000000 a8a59512 58000000 03010000",
    "02000000 00000000 05000000 00000000",
    "13000000 5d90d17f 58000000 03020000",
    "03000000 00000000 05000000 00000000",
    "0a010100 00000000 1f000000 d9d86dd6",
    "58000000 04000000 02000000 00000000",
    "05000000 00000000 07000000 00000000",
    "0a020102 1a010300 00000000 00000000",
];

/// The header of a segment of format 1.
const FORMAT_1: [&str; 4] = [
    "52414654 57414c00 01000000 1bdc3bf5",
    "c1000000 00000000 02000000 00000000",
    "01000000 00000000 00100000 00000000",
    "00000000 00000000 00000000 00000000",
];

#[test]
fn format_1_is_refused_with_what_to_do() {
    let mut disk = MemoryDisk::new();
    disk.create(FIRST, 4096).unwrap();
    disk.write(FIRST, 0, &unhex(&FORMAT_1)).unwrap();
    let before = disk.read(FIRST).unwrap();
    let error = open(disk.clone()).unwrap_err();
    assert!(matches!(error, Error::Format { found: 1, known: 2, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("Start the node with the version of raft-node that wrote"), "{text}");
    assert_eq!(disk.read(FIRST).unwrap(), before);
}

#[test]
fn a_log_goes_on_after_a_snapshot_and_keeps_what_follows() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    let log = entries(1, 3, &[b"a", b"b", b"c"]);
    wal.append(&log).unwrap();
    let Record::Entry(second) = &log[1] else { panic!("{log:?}") };
    let held = SnapshotMetadata { last: second.position(), ..snapshot(2, 3) };
    wal.append(&[Record::Snapshot(held.clone())]).unwrap();
    let (mut wal, recovered) = open(wal.into_disk()).unwrap();
    assert_eq!(recovered.state.snapshot, Some(held.clone()));
    assert_eq!(recovered.state.base(), second.position());
    assert_eq!(recovered.state.entries.iter().map(|it| it.index).collect::<Vec<_>>(), [3]);

    // The same once more changes nothing; entries follow, or replace what follows.
    wal.append(&[Record::Snapshot(held)]).unwrap();
    wal.append(&entries(4, 3, &[b"d", b"e"])).unwrap();
    wal.append(&entries(4, 4, &[b"D"])).unwrap();
    let (mut wal, recovered) = open(wal.into_disk()).unwrap();
    let terms: Vec<_> = recovered.state.entries.iter().map(|it| (it.index, it.term)).collect();
    assert_eq!(terms, [(3, 3), (4, 4)]);

    // A snapshot that this log does not lead up to replaces it.
    wal.append(&[Record::Snapshot(snapshot(9, 6))]).unwrap();
    wal.append(&entries(10, 6, &[b"j"])).unwrap();
    let (mut wal, recovered) = open(wal.into_disk()).unwrap();
    assert_eq!(recovered.state.base().index, 9);
    let first = &recovered.state.entries[0];
    let position = recovered.state.base();
    let payload = Bytes::from_static(b"j");
    assert_eq!(*first, Entry::after(position, 6, EntryKind::Normal, payload), "its hash goes on");

    // What lies before the snapshot can be written no more.
    wal.append(&entries(9, 7, &[b"I"])).unwrap();
    let text = open(wal.into_disk()).unwrap_err().to_string();
    assert!(text.contains("entry 9 follows entry 10"), "{text}");
}

#[test]
fn snapshots_never_go_back() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    wal.append(&[Record::Snapshot(snapshot(9, 6)), Record::Snapshot(snapshot(8, 6))]).unwrap();
    let text = open(wal.into_disk()).unwrap_err().to_string();
    assert!(text.contains("a snapshot up to 8 follows one up to 9"), "{text}");
}

/// A log of two segments, the second of which begins with these records.
fn two_segments(records: &[Record]) -> (MemoryDisk, String) {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    // What is left of the first segment has no room for another record.
    wal.append(&entries(1, 1, &[&[1; 3976]])).unwrap();
    wal.append(records).unwrap();
    wal.sync().unwrap();
    let disk = wal.into_disk();
    let names = disk.list().unwrap();
    assert_eq!(names.len(), 2);
    (disk, names[1].clone())
}

#[test]
fn a_segment_that_stands_alone_needs_none_before_it() {
    let hard_state = HardState { term: 6, vote: Some(2) };
    let alone = [Record::Snapshot(snapshot(9, 6)), Record::Boot(1), Record::HardState(hard_state)];
    let (mut disk, _) = two_segments(&[&alone[..], &entries(10, 6, &[b"j"])].concat());
    disk.remove(FIRST).unwrap();
    let (wal, recovered) = open(disk).unwrap();
    assert_eq!((recovered.boot, recovered.state.hard_state), (2, hard_state));
    assert_eq!((recovered.state.base().index, recovered.state.last().index), (9, 10));
    // It goes on as any other.
    let (_, recovered) = open(wal.into_disk()).unwrap();
    assert_eq!((recovered.boot, recovered.state.last().index), (3, 10));

    for lacks in 0..3 {
        let mut less = alone.to_vec();
        less.remove(lacks);
        let (mut disk, second) = two_segments(&less);
        disk.remove(FIRST).unwrap();
        let text = open(disk).unwrap_err().to_string();
        let what = format!("{second} at offset 0: {FIRST}, which precedes it, is missing");
        assert!(text.contains(&what), "{text}");
    }
}
