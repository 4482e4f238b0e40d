//! Tests of the log, on disks that misbehave and on real files.

use bytes::Bytes;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::raft::{EntryKind, Hash, Position};

const ME: Identity = Identity { cluster: 0xc1, node: 2 };
pub(super) const FIRST: &str = "0000000000000001.wal";

fn small() -> Options {
    Options { first_segment_bytes: 4096, segment_bytes: 4096 }
}

pub(super) fn open(disk: MemoryDisk) -> Result<(Wal<MemoryDisk>, Recovered), Error> {
    Wal::open_with(disk, ME, small())
}

/// Entries with the payloads given, from index `first` on. Their hashes are those of a log without
/// anything before `first`; see [`forget_hashes`].
pub(super) fn entries(first: u64, term: u64, payloads: &[&[u8]]) -> Vec<Record> {
    let mut position = Position { index: first - 1, ..Position::default() };
    let entry = |payload: &&[u8]| {
        let payload = Bytes::copy_from_slice(payload);
        let entry = Entry::after(position, term, EntryKind::Normal, payload);
        position = entry.position();
        Record::Entry(entry)
    };
    payloads.iter().map(entry).collect()
}

/// What the log should hold after these records: the documented meaning, naively.
fn replay(records: &[Record]) -> Recovered {
    let mut recovered = Recovered::default();
    let state = &mut recovered.state;
    for record in records {
        match record {
            Record::Boot(number) => recovered.boot = *number,
            Record::HardState(hard_state) => state.hard_state = *hard_state,
            Record::Entry(Entry { index, term, kind, payload, .. }) => {
                state.entries.retain(|old| old.index < *index);
                state.entries.push(Entry::after(state.last(), *term, *kind, payload.clone()));
            }
            Record::Snapshot(_) => panic!("see the tests of snapshots"),
        }
    }
    recovered
}

#[test]
fn a_new_log_is_empty_and_counts_its_starts() {
    let (wal, recovered) = open(MemoryDisk::new()).unwrap();
    assert_eq!(recovered, Recovered { boot: 1, ..Default::default() });
    let (_, recovered) = open(wal.into_disk()).unwrap();
    assert_eq!(recovered, Recovered { boot: 2, ..Default::default() });
}

#[test]
fn what_is_synced_survives_and_entries_replace_those_after_them() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    wal.append(&[Record::HardState(HardState { term: 3, vote: Some(2) })]).unwrap();
    wal.append(&entries(1, 3, &[b"a", b"b", b"c"])).unwrap();
    wal.append(&entries(2, 4, &[b"B"])).unwrap();
    wal.append(&[Record::HardState(HardState { term: 4, vote: None })]).unwrap();
    wal.sync().unwrap();
    let mut disk = wal.into_disk();
    disk.crash_keeping(|_| 0);
    let (_, recovered) = open(disk).unwrap();
    assert_eq!(
        (recovered.state.hard_state, recovered.boot),
        (HardState { term: 4, vote: None }, 2)
    );
    let normal = |prev, term, payload| Entry::after(prev, term, EntryKind::Normal, payload);
    let first = normal(Position::default(), 3, Bytes::from_static(b"a"));
    let second = normal(first.position(), 4, Bytes::from_static(b"B"));
    assert_eq!(recovered.state.entries, [first, second]);
}

#[test]
fn an_unsynced_log_may_vanish_as_a_whole() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    wal.append(&entries(1, 1, &[b"a"])).unwrap();
    let mut disk = wal.into_disk();
    disk.crash_keeping(|_| 0);
    let (_, recovered) = open(disk).unwrap();
    assert_eq!(recovered, Recovered { boot: 2, ..Default::default() });
}

/// A process that dies without a power failure leaves its writes to the kernel, and the next start
/// reads them: whatever it read must be durable before anything is built on it.
#[test]
fn what_recovery_read_is_durable() {
    // 3976 bytes fill the segment, so the number of the next start goes to another file.
    for len in [10, 3976] {
        let (mut wal, _) = open(MemoryDisk::new()).unwrap();
        wal.append(&entries(1, 1, &[&vec![1; len]])).unwrap();
        let (wal, recovered) = open(wal.into_disk()).unwrap();
        assert_eq!(recovered.state.entries.len(), 1);
        let mut disk = wal.into_disk();
        assert_eq!(disk.list().unwrap().len(), if len == 10 { 1 } else { 2 });
        disk.crash_keeping(|_| 0);
        let (_, recovered) = open(disk).unwrap();
        assert_eq!((recovered.state.entries.len(), recovered.boot), (1, 3));
    }
}

#[test]
fn segments_follow_each_other_and_double() {
    let options = Options { first_segment_bytes: 1024, segment_bytes: 4096 };
    let (mut wal, _) = Wal::open_with(MemoryDisk::new(), ME, options).unwrap();
    let payload = [7; 300];
    for index in 1..=40 {
        wal.append(&entries(index, 1, &[&payload])).unwrap();
    }
    wal.append(&entries(41, 1, &[&[8; 10_000]])).unwrap();
    wal.sync().unwrap();
    let size = wal.size();
    let disk = wal.into_disk();
    let lens: Vec<usize> =
        disk.list().unwrap().iter().map(|name| disk.read(name).unwrap().len()).collect();
    assert_eq!(lens[..3], [1024, 2048, 4096]);
    assert!(*lens.last().unwrap() > 10_000);
    assert_eq!(size, lens.iter().sum::<usize>() as u64);
    let (wal, recovered) = Wal::open_with(disk, ME, options).unwrap();
    assert_eq!(recovered.state.entries.len(), 41);
    assert_eq!(wal.size(), size + 4096);
}

/// A log with three sync batches (the start among them), and where the last begins.
fn three_batches() -> (MemoryDisk, usize) {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    wal.append(&[Record::HardState(HardState { term: 1, vote: Some(1) })]).unwrap();
    wal.append(&entries(1, 1, &[b"odd length"])).unwrap();
    wal.sync().unwrap();
    let disk = wal.disk_mut().clone();
    let end = recovery::recover(&disk, ME, &[1]).unwrap().1.unwrap().end;
    wal.append(&entries(2, 1, &[b"last"])).unwrap();
    wal.sync().unwrap();
    (wal.into_disk(), end)
}

#[test]
fn a_flipped_bit_in_what_was_synced_before_is_refused_with_file_and_offset() {
    let (disk, last_batch) = three_batches();
    for offset in 0..last_batch {
        for bit in 0..8 {
            let mut disk = disk.clone();
            assert!(disk.flip_bit(FIRST, offset, bit));
            let error = open(disk).unwrap_err();
            let Error::Corrupt { file, offset: found, .. } = &error else {
                panic!("bit {bit} of byte {offset}: {error}");
            };
            assert_eq!(file, FIRST);
            // The record that holds the bit is named by its first byte.
            assert!((*found as usize) <= offset && offset - (*found as usize) < 64, "{error}");
            assert!(error.to_string().contains(&format!("{FIRST} at offset {found}")));
        }
    }
}

#[test]
fn a_flipped_bit_in_any_guarded_record_is_refused_with_file_and_offset() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    for index in 1..=40 {
        wal.append(&[Record::HardState(HardState { term: index, vote: Some(2) })]).unwrap();
        wal.append(&entries(index, index, &[&[index as u8; 150]])).unwrap();
        if index % 3 == 0 {
            wal.sync().unwrap();
        }
    }
    wal.append(&entries(41, 41, &[b"the last batch", b"is never guarded"])).unwrap();
    wal.sync().unwrap();
    let disk = wal.into_disk();
    let places = guarded(&disk, ME).unwrap();
    let files: std::collections::BTreeSet<_> = places.iter().map(|at| &at.file).collect();
    assert!(files.len() >= 3, "{files:?}");
    // The last batch has the 40th hard state and the entries from the 40th on.
    assert_eq!(places.len(), 1 + 39 + 39, "{places:?}");
    for Place { file, offset, len } in places {
        for byte in offset..offset + len {
            let mut damaged = disk.clone();
            assert!(damaged.flip_bit(&file, byte as usize, (byte % 8) as u8));
            match open(damaged) {
                Err(Error::Corrupt { file: named, offset: at, .. }) => {
                    assert_eq!((named, at), (file.clone(), offset), "byte {byte}");
                }
                other => panic!("byte {byte} of {file}: {other:?}"),
            }
        }
    }
    assert!(guarded(&MemoryDisk::new(), ME).unwrap().is_empty());
}

#[test]
fn a_flipped_bit_in_the_last_batch_or_behind_it_never_changes_a_record() {
    let (disk, last_batch) = three_batches();
    let (_, whole) = open(disk.clone()).unwrap();
    for offset in last_batch..4096 {
        let mut disk = disk.clone();
        assert!(disk.flip_bit(FIRST, offset, 3));
        let (_, recovered) = open(disk).unwrap();
        assert!(recovered.state.entries.len() == 2 || offset < last_batch + 40);
        assert!(whole.state.entries.starts_with(&recovered.state.entries));
        assert!(recovered.cut > 0);
    }
}

#[test]
fn an_earlier_segment_has_no_torn_tail() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    for index in 1..=30 {
        wal.append(&entries(index, 1, &[&[1; 200]])).unwrap();
        wal.sync().unwrap();
    }
    let disk = wal.into_disk();
    assert!(disk.list().unwrap().len() >= 2);

    let mut damaged = disk.clone();
    let end = recovery::recover(&disk, ME, &[1]).unwrap().1.unwrap().end;
    assert!(damaged.flip_bit(FIRST, end - 1, 0));
    let error = open(damaged).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { file, .. } if file == FIRST), "{error}");

    // A disk that lost whole sectors leaves no bad record, but the next header knows better.
    let mut lost = disk.clone();
    lost.write(FIRST, end as u64 - 232, &[0; 232]).unwrap();
    lost.sync(FIRST).unwrap();
    let error = open(lost).unwrap_err();
    assert!(error.to_string().contains("its records end here"), "{error}");

    let mut missing = disk;
    missing.remove(FIRST).unwrap();
    let error = open(missing).unwrap_err();
    assert!(error.to_string().contains("which precedes it, is missing"), "{error}");
}

#[test]
fn the_log_of_another_is_refused() {
    let (wal, _) = open(MemoryDisk::new()).unwrap();
    let disk = wal.into_disk();
    for other in [Identity { node: 3, ..ME }, Identity { cluster: 0xc2, ..ME }] {
        let error = Wal::open_with(disk.clone(), other, small()).unwrap_err();
        assert!(matches!(error, Error::Foreign { found: ME, expected, .. } if expected == other));
    }
    let text = Wal::open(disk, Identity { node: 3, ..ME }).unwrap_err().to_string();
    assert!(text.contains("is the write-ahead log of node 2 of cluster c1, but this is node 3"));
}

/// Mutant: appending behind a torn tail instead of cutting it lets old records come back.
#[test]
fn an_old_record_never_reappears_behind_new_ones() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    let payload = [9; 488];
    wal.append(&entries(1, 1, &[&payload, &payload, &payload])).unwrap();
    let mut disk = wal.into_disk();
    // The first record is lost; those behind it reach the disk whole.
    disk.crash_keeping(|piece| if piece.offset < 1024 { 0 } else { piece.len });
    let (mut wal, recovered) = open(disk).unwrap();
    assert_eq!(recovered.state.entries, []);
    assert!(recovered.cut > 500);
    // A record of the same size in the lost one's place.
    wal.append(&entries(1, 2, &[&[5; 464]])).unwrap();
    wal.sync().unwrap();
    let (_, recovered) = open(wal.into_disk()).unwrap();
    assert_eq!(recovered.state.entries.len(), 1);
    assert_eq!(recovered.cut, 0);
}

/// A client's value that contains a whole segment is no record.
#[test]
fn a_record_inside_a_value_is_not_taken_for_one() {
    let (disk, _) = three_batches();
    let value = disk.read(FIRST).unwrap()[..512].to_vec();
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    wal.append(&entries(1, 1, &[&value])).unwrap();
    let mut disk = wal.into_disk();
    disk.crash_keeping(|piece| if piece.offset < 512 { 0 } else { piece.len });
    let (_, recovered) = open(disk).unwrap();
    assert_eq!(recovered.state.entries, []);
}

#[test]
fn a_failed_write_or_sync_is_never_retried() {
    for failure in [Failure::Write, Failure::Sync] {
        let (mut wal, _) = open(MemoryDisk::new()).unwrap();
        wal.disk_mut().fail(failure);
        let result = wal.append(&entries(1, 1, &[b"a"])).and_then(|()| wal.sync());
        assert!(matches!(result, Err(Error::Io { .. })), "{result:?}");
        assert!(matches!(wal.append(&entries(1, 1, &[b"a"])), Err(Error::Poisoned)));
        assert!(matches!(wal.sync(), Err(Error::Poisoned)));
    }
}

#[test]
fn what_a_failed_sync_left_in_memory_is_durable_when_the_next_start_counts_on_it() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    wal.append(&entries(1, 1, &[b"a"])).and_then(|()| wal.sync()).unwrap();
    wal.append(&entries(2, 1, &[b"b"])).unwrap();
    wal.disk_mut().fail(Failure::Sync);
    assert!(wal.sync().is_err());
    // The process starts again, on a machine that goes on: the kernel still knows the record.
    let (wal, recovered) = open(wal.into_disk()).unwrap();
    assert_eq!(recovered.state.entries.len(), 2);
    let mut disk = wal.into_disk();
    disk.crash_keeping(|_| 0);
    assert_eq!(open(disk).unwrap().1.state.entries.len(), 2);
}

#[test]
fn a_full_disk_is_said_and_loses_nothing_synced() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    wal.disk_mut().set_capacity(Some(6000));
    let mut synced = 0;
    let error = loop {
        let result = wal.append(&entries(synced + 1, 1, &[&[1; 100]])).and_then(|()| wal.sync());
        match result {
            Ok(()) => synced += 1,
            Err(why) => break why,
        }
    };
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("the disk is full"));
    let mut disk = wal.into_disk();
    disk.set_capacity(None);
    let (_, recovered) = open(disk).unwrap();
    assert_eq!(recovered.state.entries.len() as u64, synced);
}

/// Every subset of the sectors of a batch, of which the first and the last are torn in turn.
#[test]
fn every_subset_of_unsynced_sectors_recovers_to_a_prefix() {
    let (mut wal, _) = open(MemoryDisk::new()).unwrap();
    let mut records = vec![Record::Boot(1)];
    let mut append = |wal: &mut Wal<MemoryDisk>, more: Vec<Record>| {
        wal.append(&more).unwrap();
        records.extend(more);
        records.len()
    };
    append(&mut wal, entries(1, 1, &[&[1; 100], &[2; 333]]));
    let synced = append(&mut wal, vec![Record::HardState(HardState { term: 1, vote: Some(2) })]);
    wal.sync().unwrap();
    append(&mut wal, entries(3, 1, &[&[3; 700], &[4; 520], &[5; 900]]));
    append(&mut wal, vec![Record::HardState(HardState { term: 2, vote: None })]);
    append(&mut wal, entries(2, 2, &[&[6; 600], &[7; 520]]));
    let disk = wal.into_disk();
    let pieces = disk.unsynced_pieces();
    assert!((6..=13).contains(&pieces), "{pieces}");
    let prefixes: Vec<Recovered> =
        (synced..=records.len()).map(|len| replay(&records[..len])).collect();
    let mut seen = std::collections::BTreeSet::new();
    for torn in 0..=2 {
        for subset in 0..1_u32 << pieces {
            let mut disk = disk.clone();
            let mut number = 0;
            disk.crash_keeping(|piece| {
                let kept = subset >> number & 1 == 1;
                let tear = (torn == 1 && number == 0) || (torn == 2 && number + 1 == pieces);
                number += 1;
                match (kept, tear) {
                    (true, true) => piece.len / 2,
                    (true, false) => piece.len,
                    (false, _) => 0,
                }
            });
            let (_, mut recovered) = open(disk).unwrap();
            (recovered.boot, recovered.cut) = (1, 0);
            let found = prefixes.iter().rposition(|prefix| *prefix == recovered);
            seen.insert(found.unwrap_or_else(|| panic!("subset {subset:b}: {recovered:?}")));
        }
    }
    // The records are distinct states, and each is reached.
    assert_eq!(seen.len(), prefixes.len());
}

#[derive(Clone, Debug)]
enum Step {
    HardState(u64, u64),
    /// Appends entries behind the last; the first replaces up to this many.
    Entries(u64, Vec<usize>),
    Sync,
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1..9_u64, 0..4_u64).prop_map(|(term, vote)| Step::HardState(term, vote)),
        5 => (0..3_u64, prop::collection::vec(0..1500_usize, 1..5))
            .prop_map(|(back, lens)| Step::Entries(back, lens)),
        3 => Just(Step::Sync),
        2 => any::<u64>().prop_map(Step::Crash),
    ]
}

proptest! {
    /// Whatever a crash keeps: all that was synced, then a prefix of the rest, never anything else.
    #[test]
    fn recovery_yields_all_synced_records_and_a_prefix_of_the_rest(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let (mut wal, _) = open(MemoryDisk::new()).unwrap();
        let mut records = vec![Record::Boot(1)];
        let mut synced = records.len();
        let mut fill = 0_u8;
        for step in steps {
            match step {
                Step::HardState(term, vote) => {
                    let vote = (vote != 0).then_some(vote);
                    records.push(Record::HardState(HardState { term, vote }));
                    wal.append(&records[records.len() - 1..]).unwrap();
                }
                Step::Entries(back, lens) => {
                    let last = replay(&records).state.entries.len() as u64;
                    let payloads: Vec<Vec<u8>> = lens
                        .iter()
                        .map(|len| {
                            fill = fill.wrapping_add(1);
                            vec![fill; *len]
                        })
                        .collect();
                    let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
                    let new = entries(last + 1 - back.min(last), u64::from(fill), &payloads);
                    wal.append(&new).unwrap();
                    records.extend(new);
                }
                Step::Sync => {
                    wal.sync().unwrap();
                    synced = records.len();
                }
                Step::Crash(seed) => {
                    let mut disk = wal.into_disk();
                    disk.crash(&mut ChaCha8Rng::seed_from_u64(seed));
                    let (opened, recovered) = open(disk).unwrap();
                    wal = opened;
                    let is = |len: &usize| {
                        let expected = replay(&records[..*len]);
                        expected.state.hard_state == recovered.state.hard_state
                            && expected.state.entries == recovered.state.entries
                            && expected.boot + 1 == recovered.boot
                    };
                    let kept = (synced..=records.len()).rev().find(is);
                    prop_assert!(kept.is_some(), "{recovered:?} is no prefix of {records:?}");
                    records.truncate(kept.unwrap());
                    records.push(Record::Boot(recovered.boot));
                    synced = records.len();
                }
            }
        }
    }
}

#[test]
fn real_files_keep_the_log_and_admit_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/wal");
    let (mut wal, recovered) = Wal::open(FileDisk::open(&path).unwrap(), ME).unwrap();
    assert_eq!(recovered.boot, 1);
    wal.append(&entries(1, 1, &[b"a", b"b"])).unwrap();
    wal.sync().unwrap();

    let error = FileDisk::open(&path).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }));
    assert!(error.to_string().contains("is in use by another process"));

    drop(wal);
    let (mut wal, recovered) = Wal::open(FileDisk::open(&path).unwrap(), ME).unwrap();
    assert_eq!((recovered.boot, recovered.state.entries.len()), (2, 2));
    // Over several segments.
    let options = Options { first_segment_bytes: 1 << 20, segment_bytes: 1 << 20 };
    wal.append(&entries(3, 1, &[&[1; 700_000], &[2; 700_000], &[3; 2_000_000]])).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let (_, recovered) = Wal::open_with(FileDisk::open(&path).unwrap(), ME, options).unwrap();
    assert_eq!((recovered.boot, recovered.state.entries.len()), (3, 5));
    assert_ne!(recovered.state.entries[4].hash, Hash(0));
}

#[test]
fn a_torn_real_file_is_cut_and_a_damaged_one_named_by_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FIRST);
    let (mut wal, _) = Wal::open(FileDisk::open(directory.path()).unwrap(), ME).unwrap();
    wal.append(&entries(1, 1, &[b"a"])).unwrap();
    wal.sync().unwrap();
    drop(wal);

    let mut bytes = std::fs::read(&file).unwrap();
    bytes[500_000] = 1;
    std::fs::write(&file, &bytes).unwrap();
    let (wal, recovered) = Wal::open(FileDisk::open(directory.path()).unwrap(), ME).unwrap();
    assert!(recovered.cut > 400_000);
    assert_eq!(recovered.state.entries.len(), 1);
    drop(wal);

    let mut bytes = std::fs::read(&file).unwrap();
    bytes[80] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let error = Wal::open(FileDisk::open(directory.path()).unwrap(), ME).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("{} at offset 64", file.display())), "{text}");

    std::fs::write(&file, &bytes[..1000]).unwrap();
    let error = Wal::open(FileDisk::open(directory.path()).unwrap(), ME).unwrap_err();
    assert!(error.to_string().contains("the file's length is not what its header says"));
}
