//! Programs and Debian packages from outside, without root and without installing anything.
//!
//! - [`Debian`] downloads packages and their libraries with the machine's `apt-get`, but with
//!   package lists of its own. The images' recipe is built on it.
//! - [`Search`] finds a program that tests need ([`Tool`], such as [`ETCDCTL`]): on the `PATH`, in
//!   a Debian package, or in an image.
//!
//! Everything that is downloaded is kept in one directory, [`directory`], below `target/`.

mod debian;
mod machine;
mod scratch;
mod tool;

use std::path::{Path, PathBuf};

pub use debian::{Debian, Downloaded};
pub use machine::Machine;
pub use tool::{ETCDCTL, Program, Search, Tool};

/// Removes what killed processes left in such a directory. Returns how many things those were.
pub fn sweep(directory: &Path) -> usize {
    scratch::sweep(directory)
}

/// Where a workspace keeps what it has downloaded. It can be removed at any time.
pub fn directory(workspace: &Path) -> PathBuf {
    workspace.join("target/packages")
}
