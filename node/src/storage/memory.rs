//! A disk in memory that can forget, tear and fail as real ones do.
//!
//! What it models. A write is kept by a crash only from the next sync of its file on; before, a
//! crash keeps any subset of its sectors of 512 bytes, in any order among writes, and may keep a
//! part of one sector. Synced bytes beside a torn write survive. A file that was created, renamed
//! or removed may or may not be so after a crash, until the directory is synced.
//!
//! Everything random comes from the generator that [`MemoryDisk::crash`] is given, so that a seed
//! repeats a crash bit by bit.

use std::{collections::BTreeMap, io, iter, ops::Range, sync::Arc};

use bytes::Bytes;
use rand::{Rng, RngExt};

use super::Disk;

/// Bytes that a disk writes as one.
pub const SECTOR_BYTES: usize = 512;

/// A failure to come; see [`MemoryDisk::fail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The next write fails, and none of it reaches the disk.
    Write,
    /// The next sync of a file fails. As on Linux, what it should have kept can still be read, but
    /// counts as written: no later sync keeps it, and a crash loses it.
    Sync,
}

/// A part of a write that is not synced: what lies in one sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset in its file, in bytes.
    pub offset: u64,
    /// Length in bytes, 1 to [`SECTOR_BYTES`].
    pub len: usize,
    /// Whether it belongs to the last write before the crash.
    pub last_write: bool,
}

type FileId = u64;

#[derive(Clone, Debug)]
struct Write {
    offset: usize,
    data: Vec<u8>,
}

impl Write {
    /// The part of it in each sector: where in the file, and where in the data.
    fn sectors(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let mut at = 0;
        iter::from_fn(move || {
            let offset = self.offset + at;
            let len = (SECTOR_BYTES - offset % SECTOR_BYTES).min(self.data.len() - at);
            at += len;
            (len > 0).then(|| (offset, at - len..at))
        })
    }

    fn apply(&self, bytes: &mut [u8]) {
        bytes[self.offset..self.offset + self.data.len()].copy_from_slice(&self.data);
    }
}

/// A file reads as what is durable with `stranded`, then `unsynced` written over it.
#[derive(Clone, Debug, Default)]
struct File {
    /// What a crash leaves if nothing unsynced is kept. Shared with copies of the disk, and with
    /// those who read it, until it changes.
    durable: Arc<[u8]>,
    /// Where a sync has failed: what can be read since then and no sync will keep, and what was
    /// synced after that and lies over it.
    stranded: Vec<Write>,
    /// Writes since the last sync.
    unsynced: Vec<Write>,
}

impl File {
    fn read(&self) -> Bytes {
        let mut content = self.durable.clone();
        for write in self.stranded.iter().chain(&self.unsynced) {
            write.apply(Arc::make_mut(&mut content));
        }
        Bytes::from_owner(content)
    }

    fn sync(&mut self) {
        for write in &self.unsynced {
            write.apply(Arc::make_mut(&mut self.durable));
        }
        if self.stranded.is_empty() {
            self.unsynced.clear();
        } else {
            self.stranded.append(&mut self.unsynced);
        }
    }

    fn fail_to_sync(&mut self) {
        self.stranded.append(&mut self.unsynced);
    }

    fn crash(&mut self, mut keep: impl FnMut(Piece) -> usize) {
        self.stranded.clear();
        let Self { durable, unsynced, .. } = self;
        for (number, write) in (1..).zip(&*unsynced) {
            let last_write = number == unsynced.len();
            for (offset, part) in write.sectors() {
                let len = part.len();
                let kept = keep(Piece { offset: offset as u64, len, last_write }).min(len);
                let place = &mut Arc::make_mut(durable)[offset..offset + kept];
                place.copy_from_slice(&write.data[part][..kept]);
            }
        }
        unsynced.clear();
    }
}

#[derive(Clone, Debug)]
enum Change {
    Link { name: String, file: FileId },
    Rename { from: String, to: String, file: FileId },
    Unlink { name: String },
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        match self {
            Self::Link { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Rename { from, to, file } => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::Unlink { name } => {
                names.remove(name);
            }
        }
    }
}

/// A disk in memory; see the module.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    files: BTreeMap<FileId, File>,
    next_file: FileId,
    names: BTreeMap<String, FileId>,
    durable_names: BTreeMap<String, FileId>,
    unsynced_changes: Vec<Change>,
    failures: Vec<Failure>,
    capacity: Option<u64>,
    syncs: u64,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The power fails: keeps what is synced, and of the rest what the generator says.
    pub fn crash(&mut self, rng: &mut impl Rng) {
        // Most crashes keep most or little: a fair coin alone would almost never keep all sectors
        // of a large write.
        let kept_of_8 = rng.random_range(0..=8);
        let torn = rng.random_bool(0.5);
        self.crash_data(|piece| match rng.random_range(0..8) < kept_of_8 {
            true if piece.last_write && torn => rng.random_range(0..=piece.len),
            true => piece.len,
            false => 0,
        });
        self.crash_names(|| rng.random_bool(0.5));
    }

    /// The power fails, and `keep` says how many bytes of each unsynced piece, from its start,
    /// reached the disk. Unsynced names are all kept, unsynced lengths too.
    pub fn crash_keeping(&mut self, keep: impl FnMut(Piece) -> usize) {
        self.crash_data(keep);
        self.crash_names(|| true);
    }

    fn crash_data(&mut self, mut keep: impl FnMut(Piece) -> usize) {
        for file in self.files.values_mut() {
            file.crash(&mut keep);
        }
        self.failures.clear();
    }

    fn crash_names(&mut self, mut keep: impl FnMut() -> bool) {
        for change in std::mem::take(&mut self.unsynced_changes) {
            if keep() {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let Self { files, names, .. } = self;
        files.retain(|file, _| names.values().any(|named| named == file));
    }

    /// Makes the next operation of a kind fail.
    pub fn fail(&mut self, failure: Failure) {
        self.failures.push(failure);
    }

    /// Limits the disk's size; creating a file beyond it fails for want of space.
    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    /// Flips a bit (0 to 7) of a durable byte, as decay does. False: there is no such byte.
    pub fn flip_bit(&mut self, name: &str, offset: usize, bit: u8) -> bool {
        let file = self.names.get(name).and_then(|file| self.files.get_mut(file));
        let durable = file.map(|file| Arc::make_mut(&mut file.durable));
        let Some(byte) = durable.and_then(|bytes| bytes.get_mut(offset)) else { return false };
        *byte ^= 1 << (bit % 8);
        true
    }

    /// Pieces that a crash now may keep or lose.
    pub fn unsynced_pieces(&self) -> usize {
        let writes = self.files.values().flat_map(|file| &file.unsynced);
        writes.map(|write| write.sectors().count()).sum()
    }

    /// Syncs of files that succeeded.
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    fn file_mut(&mut self, name: &str) -> io::Result<&mut File> {
        let file = self.names.get(name).and_then(|file| self.files.get_mut(file));
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.unsynced_changes.push(change);
    }

    fn fails(&mut self, failure: Failure) -> io::Result<()> {
        match self.failures.iter().position(|next| *next == failure) {
            Some(place) => {
                self.failures.remove(place);
                Err(io::Error::other("input/output error"))
            }
            None => Ok(()),
        }
    }
}

impl Disk for MemoryDisk {
    fn describe(&self, name: &str) -> String {
        name.to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        let file = self.names.get(name).and_then(|file| self.files.get(file));
        file.map(File::read).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        let used: u64 = self.files.values().map(|file| file.durable.len() as u64).sum();
        if self.capacity.is_some_and(|capacity| used.saturating_add(len) > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::StorageFull)?;
        let file = self.next_file;
        self.next_file += 1;
        let durable = iter::repeat_n(0, len).collect();
        self.files.insert(file, File { durable, ..File::default() });
        self.change(Change::Link { name: name.to_owned(), file });
        Ok(())
    }

    fn write(&mut self, name: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fails(Failure::Write)?;
        let file = self.file_mut(name)?;
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        if offset.checked_add(data.len()).is_none_or(|end| end > file.durable.len()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "write beyond the file's end"));
        }
        file.unsynced.push(Write { offset, data: data.to_vec() });
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let failed = self.fails(Failure::Sync);
        let file = self.file_mut(name)?;
        if failed.is_err() {
            file.fail_to_sync();
            return failed;
        }
        file.sync();
        self.syncs += 1;
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.unsynced_changes.clear();
        self.durable_names.clone_from(&self.names);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = *self.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), file });
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        if !self.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(Change::Unlink { name: name.to_owned() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const BYTES: usize = 4 * SECTOR_BYTES;

    /// The same with two copies of the file, the one on the disk and the one in the kernel's
    /// memory.
    struct Copies {
        durable: Vec<u8>,
        content: Vec<u8>,
        unsynced: Vec<(usize, Vec<u8>)>,
    }

    impl Copies {
        fn write(&mut self, offset: usize, data: &[u8]) {
            self.content[offset..offset + data.len()].copy_from_slice(data);
            self.unsynced.push((offset, data.to_vec()));
        }

        fn sync(&mut self) {
            for (offset, data) in self.unsynced.drain(..) {
                self.durable[offset..offset + data.len()].copy_from_slice(&data);
            }
        }
    }

    #[test]
    fn what_can_be_read_and_what_a_crash_leaves_are_as_of_two_copies() {
        for seed in 0..if cfg!(debug_assertions) { 300 } else { 3000 } {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut disk = MemoryDisk::new();
            disk.create("file", BYTES as u64).unwrap();
            disk.sync_dir().unwrap();
            let mut copies =
                Copies { durable: vec![0; BYTES], content: vec![0; BYTES], unsynced: Vec::new() };
            for step in 1..60 {
                match rng.random_range(0..10) {
                    0..6 => {
                        let start = rng.random_range(0..BYTES);
                        let data = vec![step; rng.random_range(1..=BYTES - start)];
                        disk.write("file", start as u64, &data).unwrap();
                        copies.write(start, &data);
                    }
                    6..8 => {
                        disk.sync("file").unwrap();
                        copies.sync();
                    }
                    8 => {
                        disk.fail(Failure::Sync);
                        disk.sync("file").unwrap_err();
                        copies.unsynced.clear();
                    }
                    _ => {
                        let at_stake = disk.unsynced_pieces();
                        let mut seen = 0;
                        disk.crash_keeping(|piece| {
                            seen += 1;
                            let sector = |byte: u64| byte / SECTOR_BYTES as u64;
                            let last = piece.offset + piece.len as u64 - 1;
                            assert_eq!(sector(piece.offset), sector(last));
                            piece.len
                        });
                        assert_eq!(seen, at_stake);
                        copies.sync();
                        copies.content.clone_from(&copies.durable);
                    }
                }
                assert!(disk.read("file").unwrap() == copies.content, "seed {seed}, step {step}");
            }
            disk.crash_keeping(|_| 0);
            assert!(disk.read("file").unwrap() == copies.durable, "seed {seed}");
        }
    }
}
