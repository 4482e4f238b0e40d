//! Reads the log's segments, oldest first.
//!
//! What may a crash leave? Each segment is synced as a whole before the next is begun, so only the
//! last one may have a torn tail. There, a crash keeps any part of the records of the last sync
//! batch, so the first record that is not valid ends the log, unless a valid record after it
//! belongs to a *later* batch: a batch begins only after all before it was synced, so then the
//! bad record had been synced, and was damaged later. That is corruption, and so is any bad
//! record in an earlier segment.
//!
//! What this cannot tell: damage to the very last batch looks like a torn tail. Only other copies
//! of the log, on other nodes, protect against that.

use bytes::Bytes;

use super::{
    Disk, Error, Identity, Recovered,
    segment::{self, BadHeader, Body, FORMAT, HEADER_BYTES, Header},
};
use crate::raft::{Entry, SnapshotMetadata};

/// Where a record lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file.
    pub file: String,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// The records whose damage every later start must notice, oldest first: each was synced before a
/// record after it was written. For a simulator, that lets bits decay.
///
/// # Errors
///
/// The disk fails; the log is corrupt already, or another node's.
pub fn guarded(disk: &impl Disk, identity: Identity) -> Result<Vec<Place>, Error> {
    let files = disk.list().map_err(|why| Error::io("list", disk.describe(""), why))?;
    let mut sequences: Vec<u64> =
        files.iter().filter_map(|file| segment::parse_name(file)).collect();
    sequences.sort_unstable();
    let mut places = Vec::new();
    for sequence in &sequences {
        let segment = Segment::read(disk, *sequence, identity)?;
        let salt = segment.header.salt();
        let (mut last_batch, mut offset) = (HEADER_BYTES, HEADER_BYTES);
        let before = places.len();
        while let Some(frame) = segment::decode(&segment.file, salt, offset, HEADER_BYTES) {
            let len = (frame.end - offset) as u64;
            places.push(Place { file: segment::name(*sequence), offset: offset as u64, len });
            (last_batch, offset) = (frame.batch, frame.end);
        }
        if Some(sequence) == sequences.last() {
            let kept = places.iter().skip(before).filter(|at| at.offset < last_batch as u64);
            places.truncate(before + kept.count());
        }
    }
    Ok(places)
}

/// Where the log goes on.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) header: Header,
    /// Offset after the last valid record.
    pub(super) end: usize,
    /// The records of the last sync batch, up to `end`: their sync may have failed.
    pub(super) last_batch: Bytes,
    /// Offset after the last byte that is not zero.
    pub(super) dirty_end: usize,
    /// Bytes of all segments.
    pub(super) size: u64,
}

/// Reads all segments, in the order of `sequences`.
pub(super) fn recover(
    disk: &impl Disk,
    identity: Identity,
    sequences: &[u64],
) -> Result<(Recovered, Option<Tail>), Error> {
    let mut recovered = Recovered::default();
    let mut tail: Option<Tail> = None;
    for sequence in sequences {
        let segment = Segment::read(disk, *sequence, identity)?;
        // The oldest segment is the first that was ever written, or needs none before it.
        let expected = match &tail {
            Some(tail) => tail.header.sequence + 1,
            None if segment.stands_alone() => *sequence,
            None => 1,
        };
        if *sequence != expected {
            let missing = disk.describe(&segment::name(expected));
            return Err(segment.corrupt(0, &format!("{missing}, which precedes it, is missing")));
        }
        let previous_end = tail.as_ref().map(|tail| tail.end as u64);
        if let Some(previous_end) = previous_end
            && segment.header.previous_end != previous_end
        {
            return Err(Error::Corrupt {
                file: disk.describe(&segment::name(sequence - 1)),
                offset: previous_end,
                what: format!(
                    "its records end here, though they were synced up to offset {}",
                    segment.header.previous_end
                ),
            });
        }
        let (batch, end) = segment.replay(&mut recovered)?;
        let last = Some(sequence) == sequences.last();
        let dirty_end = segment.check_tail(end, last)?;
        let size = tail.map_or(0, |tail| tail.size) + segment.header.len;
        let last_batch = segment.file.slice(batch..end);
        tail = Some(Tail { header: segment.header, end, last_batch, dirty_end, size });
    }
    if let Some(tail) = &tail {
        recovered.cut = (tail.dirty_end - tail.end) as u64;
    }
    Ok((recovered, tail))
}

struct Segment {
    path: String,
    file: Bytes,
    header: Header,
}

impl Segment {
    fn read(disk: &impl Disk, sequence: u64, expected: Identity) -> Result<Self, Error> {
        let name = segment::name(sequence);
        let path = disk.describe(&name);
        let file = disk.read(&name).map_err(|why| Error::io("read", path.clone(), why))?;
        let damaged =
            |what: &str| Error::Corrupt { file: path.clone(), offset: 0, what: what.into() };
        let header = Header::decode(&file).map_err(|why| match why {
            BadHeader::Format(found) => Error::Format { file: path.clone(), found, known: FORMAT },
            BadHeader::Damaged(what) => damaged(what),
        })?;
        if header.identity != expected {
            return Err(Error::Foreign { file: path, found: header.identity, expected });
        }
        if header.sequence != sequence {
            return Err(damaged("the header has the number of another segment"));
        }
        Ok(Self { path, file, header })
    }

    fn corrupt(&self, offset: usize, what: &str) -> Error {
        Error::Corrupt { file: self.path.clone(), offset: offset as u64, what: what.into() }
    }

    /// Replays the valid records up to the first that is not. Returns where the last sync batch
    /// begins and ends.
    fn replay(&self, recovered: &mut Recovered) -> Result<(usize, usize), Error> {
        let salt = self.header.salt();
        let (mut batch, mut offset) = (HEADER_BYTES, HEADER_BYTES);
        while let Some(frame) = segment::decode(&self.file, salt, offset, HEADER_BYTES) {
            match frame.body {
                Body::Boot(number) => recovered.boot = number,
                Body::HardState(hard_state) => recovered.state.hard_state = hard_state,
                Body::Snapshot(snapshot) => self.begin_after(snapshot, offset, recovered)?,
                Body::Entry { index, term, kind, payload } => {
                    let state = &mut recovered.state;
                    let kept = index.checked_sub(state.base().index + 1);
                    match kept.and_then(|kept| usize::try_from(kept).ok()) {
                        Some(kept) if kept <= state.entries.len() => state.entries.truncate(kept),
                        _ => {
                            let last = state.last().index;
                            let what = format!("entry {index} follows entry {last}");
                            return Err(self.corrupt(offset, &what));
                        }
                    }
                    state.entries.push(Entry::after(state.last(), term, kind, payload));
                }
            }
            (batch, offset) = (frame.batch, frame.end);
        }
        Ok((batch, offset))
    }

    /// The log begins after a snapshot from now on. It keeps its later entries if it holds the
    /// snapshot's last one; a log that parts from the snapshot is replaced by it.
    fn begin_after(
        &self,
        snapshot: SnapshotMetadata,
        offset: usize,
        recovered: &mut Recovered,
    ) -> Result<(), Error> {
        let (base, last) = (recovered.state.base(), snapshot.last);
        if last.index < base.index {
            let what = format!("a snapshot up to {} follows one up to {}", last.index, base.index);
            return Err(self.corrupt(offset, &what));
        }
        let entries = &mut recovered.state.entries;
        let held = entries.iter().position(|entry| entry.position() == last);
        let covered = if last == base { 0 } else { held.map_or(entries.len(), |place| place + 1) };
        entries.drain(..covered);
        recovered.state.snapshot = Some(snapshot);
        Ok(())
    }

    /// Whether the segment needs none before it: it begins with a snapshot, the number of the boot
    /// and the hard state.
    fn stands_alone(&self) -> bool {
        let salt = self.header.salt();
        let mut offset = HEADER_BYTES;
        let mut next = || {
            let frame = segment::decode(&self.file, salt, offset, HEADER_BYTES)?;
            offset = frame.end;
            Some(frame.body)
        };
        matches!(next(), Some(Body::Snapshot(_)))
            && matches!(next(), Some(Body::Boot(_)))
            && matches!(next(), Some(Body::HardState(_)))
    }

    /// Decides what the bytes after the last valid record are, and returns where they end.
    fn check_tail(&self, end: usize, last: bool) -> Result<usize, Error> {
        let behind = self.file.get(end..).unwrap_or_default();
        let dirty_end = end + dirty(behind);
        if dirty_end == end {
            return Ok(end);
        }
        if !last {
            return Err(self.corrupt(
                end,
                "a record is damaged (its checksum does not match), and a later segment exists",
            ));
        }
        let salt = self.header.salt();
        let later = (end..dirty_end)
            .step_by(8)
            .find(|offset| segment::decode(&self.file, salt, *offset, end + 1).is_some());
        match later {
            Some(offset) => Err(self.corrupt(
                end,
                &format!(
                    "a record is damaged (its checksum does not match), though it had been \
                     synced before the valid record at offset {offset} was written"
                ),
            )),
            None => Ok(dirty_end),
        }
    }
}

/// Length of `bytes` without the zeros at their end, of which there may be megabytes.
fn dirty(bytes: &[u8]) -> usize {
    const BLOCK: usize = 256;
    let is_zero = |block: &&[u8]| block.iter().fold(0, |any, byte| any | byte) == 0;
    let zeros = bytes.rchunks(BLOCK).take_while(is_zero).count() * BLOCK;
    let rest = &bytes[..bytes.len().saturating_sub(zeros)];
    rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::dirty;

    #[test]
    fn the_last_byte_that_is_not_zero_is_found_wherever_it_is() {
        for len in [0, 1, 255, 256, 257, 511, 512, 1000] {
            assert_eq!(dirty(&vec![0; len]), 0);
            for last in 0..len {
                let mut bytes = vec![0; len];
                bytes[0] = 1;
                bytes[last] = 128;
                assert_eq!(dirty(&bytes), last + 1, "{last} of {len}");
            }
        }
    }
}
