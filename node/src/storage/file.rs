//! Real files.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{Disk, Error};

const LOCK: &str = "lock";
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A directory of real files, for one process at a time.
#[derive(Debug)]
pub struct FileDisk {
    directory: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
    /// Open files, by name.
    open: BTreeMap<String, File>,
}

impl FileDisk {
    /// Opens a directory, which is created where it is missing, with all those above it.
    ///
    /// # Errors
    ///
    /// The directory cannot be created or written, or another process has it open.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let describe = || directory.display().to_string();
        fs::create_dir_all(directory).map_err(|why| Error::io("create", describe(), why))?;
        sync_above(directory)?;
        let path = directory.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|why| Error::io("open", path.display().to_string(), why))?;
        lock.try_lock().map_err(|why| match why {
            TryLockError::WouldBlock => Error::Locked { directory: describe() },
            TryLockError::Error(why) => Error::io("lock", path.display().to_string(), why),
        })?;
        Ok(Self { directory: directory.to_owned(), _lock: lock, open: BTreeMap::new() })
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.open.contains_key(name) {
            let file = OpenOptions::new().write(true).open(self.directory.join(name))?;
            self.open.insert(name.to_owned(), file);
        }
        self.open.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for FileDisk {
    fn describe(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        fs::read(self.directory.join(name)).map(Bytes::from)
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(self.directory.join(name))?;
        let mut left = len;
        while left > 0 {
            let chunk = left.min(ZEROS.len() as u64) as usize;
            file.write_all(&ZEROS[..chunk])?;
            left -= chunk as u64;
        }
        self.open.insert(name.to_owned(), file);
        Ok(())
    }

    fn write(&mut self, name: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(data, offset)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        sync_directory(&self.directory)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.directory.join(from), self.directory.join(to))?;
        // Only the newest segment is ever written: the others' files need not stay open.
        let renamed = self.open.remove(from);
        self.open.clear();
        self.open.extend(renamed.map(|file| (to.to_owned(), file)));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        fs::remove_file(self.directory.join(name))
    }
}

/// Makes a directory's name durable, and those of the directories above, any of which may be new.
fn sync_above(directory: &Path) -> Result<(), Error> {
    let error = |path: &Path, why| Error::io("sync", path.display().to_string(), why);
    let directory = directory.canonicalize().map_err(|why| error(directory, why))?;
    let device = |path: &Path| fs::metadata(path).map(|file| file.dev());
    let own = device(&directory).map_err(|why| error(&directory, why))?;
    for above in directory.ancestors().skip(1) {
        // The name of a mount point is not this file system's to keep.
        if device(above).map_err(|why| error(above, why))? != own {
            break;
        }
        match sync_directory(above) {
            // Nor is the name in it this user's, who may not even read it.
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {}
            result => result.map_err(|why| error(above, why))?,
        }
    }
    Ok(())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
