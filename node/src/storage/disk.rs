//! What the write-ahead log asks of a disk.

use std::io;

use bytes::Bytes;

/// All I/O of the write-ahead log goes through this: real files in the server, virtual disks
/// that forget, tear and fail in simulation. File names are flat (no directories).
pub trait Disk {
    /// A file's name for people, in messages: on real disks its path.
    fn describe(&self, name: &str) -> String;
    /// Names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// The whole content of a file.
    fn read(&self, name: &str) -> io::Result<Bytes>;
    /// Creates a file of `len` zero bytes, or replaces it. The zeros are really written, so that
    /// overwriting them later changes data alone and no metadata, which is faster to sync.
    fn create(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Overwrites bytes at `offset`; the file does not grow.
    fn write(&mut self, name: &str, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Makes the content of a file durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_dir(&mut self) -> io::Result<()>;
    /// Renames a file; replaces an existing one atomically.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}
