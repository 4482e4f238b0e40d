//! The write-ahead log.

use bytes::Bytes;

use super::{
    Disk, Error, Identity, Record, Recovered,
    recovery::{self, Tail},
    segment::{self, HEADER_BYTES, Header},
};

/// Sizes of the log's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of the first segment; small, so that a new node starts fast. Each segment is twice as
    /// large as the one before.
    pub first_segment_bytes: u32,
    /// Bytes that a segment does not exceed, unless a single record does.
    pub segment_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { first_segment_bytes: 1 << 20, segment_bytes: 16 << 20 }
    }
}

/// A write-ahead log; see the module.
#[derive(Debug)]
pub struct Wal<D> {
    disk: D,
    options: Options,
    header: Header,
    name: String,
    salt: u32,
    /// Where the next record goes.
    offset: u32,
    /// Where the records begin that are not yet synced.
    batch: u32,
    /// Bytes of all segments.
    size: u64,
    /// Encoded records, kept between appends for its memory alone.
    buffer: Vec<u8>,
    /// A write or sync failed.
    poisoned: bool,
}

impl<D: Disk> Wal<D> {
    /// Opens the log, or begins one on an empty disk: reads what it holds, cuts a torn tail, and
    /// makes the number of this start durable.
    ///
    /// # Errors
    ///
    /// The disk fails; the log is corrupt, another node's, or another program's.
    pub fn open(disk: D, identity: Identity) -> Result<(Self, Recovered), Error> {
        Self::open_with(disk, identity, Options::default())
    }

    /// The same with other sizes of files.
    ///
    /// # Errors
    ///
    /// As [`Wal::open`].
    pub fn open_with(
        mut disk: D,
        identity: Identity,
        options: Options,
    ) -> Result<(Self, Recovered), Error> {
        let sequences = tidy(&mut disk)?;
        let (mut recovered, tail) = recovery::recover(&disk, identity, &sequences)?;
        let tail = match tail {
            Some(tail) => {
                settle(&mut disk, &tail)?;
                tail
            }
            None => {
                let len = u64::from(options.first_segment_bytes).max(2 * HEADER_BYTES as u64);
                let header = Header { identity, sequence: 1, len, previous_end: 0 };
                create(&mut disk, &header)?;
                let last_batch = Bytes::new();
                Tail { header, end: HEADER_BYTES, last_batch, dirty_end: HEADER_BYTES, size: len }
            }
        };
        let mut wal = Self {
            disk,
            options,
            name: segment::name(tail.header.sequence),
            salt: tail.header.salt(),
            header: tail.header,
            offset: tail.end as u32,
            batch: tail.end as u32,
            size: tail.size,
            buffer: Vec::new(),
            poisoned: false,
        };
        // A start that dies after this leaves a gap in the numbers.
        recovered.boot += 1;
        wal.append(&[Record::Boot(recovered.boot)])?;
        wal.sync()?;
        Ok((wal, recovered))
    }

    /// Writes records after the last. They count once [`Wal::sync`] returned; a crash before that
    /// keeps a prefix of them.
    ///
    /// # Errors
    ///
    /// The disk fails or is full. The log is then unusable, as what the disk holds is unknown.
    pub fn append(&mut self, records: &[Record]) -> Result<(), Error> {
        self.guard(|wal| wal.try_append(records))
    }

    /// Makes all records durable.
    ///
    /// # Errors
    ///
    /// The disk fails. The log is then unusable: after a failed sync the kernel may have dropped
    /// the data and call the next sync a success.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.guard(Self::try_sync)
    }

    /// Bytes that the log takes on the disk.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The disk, for a simulator that makes it fail.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Gives the disk back, for a simulator that starts the node again.
    pub fn into_disk(self) -> D {
        self.disk
    }

    fn guard(&mut self, act: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        let result = act(self);
        self.poisoned = result.is_err();
        result
    }

    fn try_append(&mut self, records: &[Record]) -> Result<(), Error> {
        self.buffer.clear();
        for record in records {
            let len = segment::encoded_len(record)?;
            if self.offset as usize + self.buffer.len() + len > self.header.len as usize {
                self.write()?;
                self.rotate(len)?;
            }
            let offset = self.offset + self.buffer.len() as u32;
            segment::encode(record, self.salt, offset, self.batch, &mut self.buffer);
        }
        self.write()
    }

    /// Writes what is encoded.
    fn write(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.disk
            .write(&self.name, u64::from(self.offset), &self.buffer)
            .map_err(|why| Error::io("write", self.disk.describe(&self.name), why))?;
        self.offset += self.buffer.len() as u32;
        self.buffer.clear();
        Ok(())
    }

    fn try_sync(&mut self) -> Result<(), Error> {
        if self.batch == self.offset {
            return Ok(());
        }
        self.disk
            .sync(&self.name)
            .map_err(|why| Error::io("sync", self.disk.describe(&self.name), why))?;
        self.batch = self.offset;
        Ok(())
    }

    /// Ends the segment and begins one with room for a record of `len` bytes. The old one is synced
    /// first, so that only the last segment of a log can have a torn tail.
    fn rotate(&mut self, len: usize) -> Result<(), Error> {
        self.try_sync()?;
        let doubled = self.header.len.saturating_mul(2).min(self.options.segment_bytes.into());
        let header = Header {
            identity: self.header.identity,
            sequence: self.header.sequence + 1,
            len: doubled.max((HEADER_BYTES + len) as u64),
            previous_end: self.offset.into(),
        };
        create(&mut self.disk, &header)?;
        self.name = segment::name(header.sequence);
        self.salt = header.salt();
        self.header = header;
        self.offset = HEADER_BYTES as u32;
        self.batch = self.offset;
        self.size += header.len;
        Ok(())
    }
}

/// Removes segments that were never finished and lists the others, ascending.
fn tidy(disk: &mut impl Disk) -> Result<Vec<u64>, Error> {
    let files = disk.list().map_err(|why| Error::io("list", disk.describe(""), why))?;
    let mut sequences = Vec::new();
    for file in files {
        if file.ends_with(".tmp") {
            disk.remove(&file).map_err(|why| Error::io("remove", disk.describe(&file), why))?;
        } else if let Some(sequence) = segment::parse_name(&file) {
            sequences.push(sequence);
        }
    }
    sequences.sort_unstable();
    Ok(sequences)
}

/// Zeroes what a crash left after the last valid record, so that no piece of it can ever follow
/// new records and be taken for one. Then makes durable what was read: a process that died
/// without a power failure may have left it, and the segment's name, in the kernel's memory alone.
///
/// The last batch is written again for that. If it was its sync that failed and ended the last
/// process, the kernel takes it for written, and another sync would do nothing about it.
fn settle(disk: &mut impl Disk, tail: &Tail) -> Result<(), Error> {
    let name = segment::name(tail.header.sequence);
    let mut bytes = tail.last_batch.to_vec();
    let start = tail.end - bytes.len();
    bytes.resize(tail.dirty_end - start, 0);
    disk.write(&name, start as u64, &bytes)
        .map_err(|why| Error::io("write", disk.describe(&name), why))?;
    disk.sync(&name)
        .and_then(|()| disk.sync_dir())
        .map_err(|why| Error::io("sync", disk.describe(&name), why))
}

/// Prepares a segment under a temporary name; it has its own name only when it is whole.
fn create(disk: &mut impl Disk, header: &Header) -> Result<(), Error> {
    let (temporary, name) =
        (segment::temporary_name(header.sequence), segment::name(header.sequence));
    let steps = disk
        .create(&temporary, header.len)
        .and_then(|()| disk.write(&temporary, 0, &header.encode()))
        .and_then(|()| disk.sync(&temporary))
        .and_then(|()| disk.rename(&temporary, &name))
        .and_then(|()| disk.sync_dir());
    steps.map_err(|why| Error::io("create", disk.describe(&name), why))
}
