//! The format of a segment, a file of the log. All numbers are little-endian.
//!
//! ```text
//! header, 64 bytes                         record, 16 bytes and the body
//!  0  magic "RAFTWAL\0"                     0  u32 length of the body
//!  8  u32 format                            4  u32 CRC32C
//! 12  u32 CRC32C of the rest of the header  8  u32 offset at which the record's sync batch began
//! 16  u64 cluster                          12  u8  1 boot, 2 hard state, 3 entry, 4 snapshot
//! 24  u64 node                             13  u8  of an entry its kind, else zero; 2 zero bytes
//! 32  u64 sequence number, from 1          16  body
//! 40  u64 length of this file                   boot: u64 number
//! 48  u64 end of the records of the             hard state: u64 term, u64 vote (0: none)
//!         segment before; 0: none               entry: u64 index, u64 term, payload
//! 56  u64 zero                                 snapshot: u64 index, u64 term, u64 hash of its last
//!                                              entry, configuration
//!                                              zero bytes up to a multiple of 8
//! ```
//!
//! A record's checksum covers the record's header and body, and also the cluster, the node, the
//! segment's number and the record's offset: a record that belongs elsewhere, or a piece of a
//! client's value that looks like one, is not valid here. After the last record all is zero.
//!
//! A snapshot record says that a snapshot holds the effect of all entries up to one, so that the
//! log may begin after that entry. A segment that begins with a snapshot, the number of the boot
//! and the hard state needs none of the segments before it, and may be the oldest of a log.
//!
//! Format 1 had neither kinds of entries nor snapshots.

use bytes::Bytes;

use super::{Error, Identity, Record};
use crate::raft::{
    Configuration, EntryKind, HardState, Hash, Index, Position, SnapshotMetadata, Term,
};

pub(super) const HEADER_BYTES: usize = 64;
pub(super) const FORMAT: u32 = 2;
const MAGIC: &[u8; 8] = b"RAFTWAL\0";
const RECORD_HEADER_BYTES: usize = 16;
const ALIGNMENT: usize = 8;
/// Well below what the format's 32-bit offsets could express.
const BODY_BYTES_MAX: usize = 1 << 30;

const BOOT: u8 = 1;
const HARD_STATE: u8 = 2;
const ENTRY: u8 = 3;
const SNAPSHOT: u8 = 4;

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) identity: Identity,
    pub(super) sequence: u64,
    pub(super) len: u64,
    pub(super) previous_end: u64,
}

/// Why a header cannot be used.
#[derive(Debug)]
pub(super) enum BadHeader {
    Format(u32),
    Damaged(&'static str),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        let numbers =
            [self.identity.cluster, self.identity.node, self.sequence, self.len, self.previous_end];
        for (place, number) in bytes[16..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let checksum = Self::checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(file: &[u8]) -> Result<Self, BadHeader> {
        let Some(bytes) = file.first_chunk::<HEADER_BYTES>() else {
            return Err(BadHeader::Damaged("the file is shorter than its header"));
        };
        if &bytes[..8] != MAGIC {
            return Err(BadHeader::Damaged("this is no segment of a write-ahead log"));
        }
        if u32_at(bytes, 12) != Self::checksum(bytes) {
            return Err(BadHeader::Damaged("the header's checksum does not match"));
        }
        if u32_at(bytes, 8) != FORMAT {
            return Err(BadHeader::Format(u32_at(bytes, 8)));
        }
        let header = Self {
            identity: Identity { cluster: u64_at(bytes, 16), node: u64_at(bytes, 24) },
            sequence: u64_at(bytes, 32),
            len: u64_at(bytes, 40),
            previous_end: u64_at(bytes, 48),
        };
        if header.len != file.len() as u64 {
            return Err(BadHeader::Damaged("the file's length is not what its header says"));
        }
        Ok(header)
    }

    fn checksum(bytes: &[u8; HEADER_BYTES]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
    }

    /// What the checksums of the segment's records begin with.
    pub(super) fn salt(&self) -> u32 {
        let numbers = [self.identity.cluster, self.identity.node, self.sequence];
        numbers.iter().fold(0, |salt, number| crc32c::crc32c_append(salt, &number.to_le_bytes()))
    }
}

/// A segment's file name.
pub(super) fn name(sequence: u64) -> String {
    format!("{sequence:016x}.wal")
}

/// The name under which a segment is prepared.
pub(super) fn temporary_name(sequence: u64) -> String {
    format!("{sequence:016x}.tmp")
}

/// The sequence number in a segment's file name.
pub(super) fn parse_name(file: &str) -> Option<u64> {
    let sequence = u64::from_str_radix(file.strip_suffix(".wal")?, 16).ok()?;
    (name(sequence) == file).then_some(sequence)
}

/// Bytes that a record takes.
pub(super) fn encoded_len(record: &Record) -> Result<usize, Error> {
    let body = match record {
        Record::Boot(_) => 8,
        Record::HardState(_) => 16,
        Record::Entry(entry) => 16 + entry.payload.len(),
        Record::Snapshot(snapshot) => 24 + snapshot.configuration.encode().len(),
    };
    if body > BODY_BYTES_MAX {
        return Err(Error::TooLarge { bytes: body });
    }
    Ok((RECORD_HEADER_BYTES + body).next_multiple_of(ALIGNMENT))
}

/// Appends a record that will stand at `offset` of its segment.
pub(super) fn encode(record: &Record, salt: u32, offset: u32, batch: u32, into: &mut Vec<u8>) {
    let start = into.len();
    let (kind, entry_kind) = match record {
        Record::Boot(_) => (BOOT, 0),
        Record::HardState(_) => (HARD_STATE, 0),
        Record::Entry(entry) => (ENTRY, entry.kind.number()),
        Record::Snapshot(_) => (SNAPSHOT, 0),
    };
    into.extend_from_slice(&[0; 8]);
    into.extend_from_slice(&batch.to_le_bytes());
    into.extend_from_slice(&[kind, entry_kind, 0, 0]);
    let mut put = |number: u64| into.extend_from_slice(&number.to_le_bytes());
    match record {
        Record::Boot(number) => put(*number),
        Record::HardState(HardState { term, vote }) => {
            put(*term);
            put(vote.unwrap_or(0));
        }
        Record::Entry(entry) => {
            put(entry.index);
            put(entry.term);
            into.extend_from_slice(&entry.payload);
        }
        Record::Snapshot(SnapshotMetadata { last, configuration }) => {
            put(last.index);
            put(last.term);
            put(last.hash.0);
            into.extend_from_slice(&configuration.encode());
        }
    }
    // `encoded_len` has bounded it.
    let len = (into.len() - start - RECORD_HEADER_BYTES) as u32;
    into[start..start + 4].copy_from_slice(&len.to_le_bytes());
    let checksum = record_checksum(salt, offset, &into[start..]);
    into[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    into.resize(start + (into.len() - start).next_multiple_of(ALIGNMENT), 0);
}

fn record_checksum(salt: u32, offset: u32, record: &[u8]) -> u32 {
    let checksum = crc32c::crc32c_append(salt, &offset.to_le_bytes());
    let checksum = crc32c::crc32c_append(checksum, &record[..4]);
    crc32c::crc32c_append(checksum, &record[8..])
}

/// A record as read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) body: Body,
    /// Offset at which the sync batch began.
    pub(super) batch: usize,
    /// Offset after the record.
    pub(super) end: usize,
}

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    Boot(u64),
    HardState(HardState),
    Entry { index: Index, term: Term, kind: EntryKind, payload: Bytes },
    Snapshot(SnapshotMetadata),
}

/// The valid record at `offset`, if there is one whose batch began at `batch_min` or later.
pub(super) fn decode(file: &Bytes, salt: u32, offset: usize, batch_min: usize) -> Option<Frame> {
    let header = file.get(offset..offset + RECORD_HEADER_BYTES)?;
    let len = u32_at(header, 0) as usize;
    let batch = u32_at(header, 8) as usize;
    let (kind, entry_kind, reserved) = (header[12], header[13], &header[14..]);
    if batch < batch_min.max(HEADER_BYTES) || batch > offset || len > BODY_BYTES_MAX {
        return None;
    }
    let known =
        matches!((kind, len), (BOOT, 8) | (HARD_STATE, 16) | (ENTRY, 16..) | (SNAPSHOT, 24..));
    if !known || (kind != ENTRY && entry_kind != 0) || reserved != [0; 2] {
        return None;
    }
    let body_end = offset + RECORD_HEADER_BYTES + len;
    let end = body_end.next_multiple_of(ALIGNMENT);
    let record = file.get(offset..body_end)?;
    if file.get(body_end..end)?.iter().any(|byte| *byte != 0)
        || u32_at(header, 4) != record_checksum(salt, u32::try_from(offset).ok()?, record)
    {
        return None;
    }
    let body = &record[RECORD_HEADER_BYTES..];
    let body = match kind {
        BOOT => Body::Boot(u64_at(body, 0)),
        HARD_STATE => {
            let vote = u64_at(body, 8);
            let vote = (vote != 0).then_some(vote);
            Body::HardState(HardState { term: u64_at(body, 0), vote })
        }
        SNAPSHOT => Body::Snapshot(SnapshotMetadata {
            last: Position {
                index: u64_at(body, 0),
                term: u64_at(body, 8),
                hash: Hash(u64_at(body, 16)),
            },
            configuration: Configuration::decode(&body[24..]).ok()?,
        }),
        _ => Body::Entry {
            index: u64_at(body, 0),
            term: u64_at(body, 8),
            kind: EntryKind::of_number(entry_kind)?,
            payload: file.slice(offset + RECORD_HEADER_BYTES + 16..body_end),
        },
    };
    Some(Frame { body, batch, end })
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(number)
}
