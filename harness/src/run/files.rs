//! The files of a run directory. Each one's digest is taken while it is written; `SHA256SUMS`, the
//! last file, lists them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use checker::evidence::{
    Run,
    sums::{self, Digest, Sums},
};
use serde::Serialize;

/// Writes a first `run.json`, for whoever finds the directory of a harness that was killed. No
/// digest binds it: [`Files::seal`] writes the one that stays.
///
/// # Errors
/// It cannot be written.
pub(super) fn begin(dir: &Path, run: &Run) -> anyhow::Result<()> {
    Files::new(dir).json("run.json", run)
}

/// The files that were written.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    sums: Sums,
}

impl Files {
    /// None yet.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), sums: Sums::default() }
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        let of = || format!("cannot write {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(of)?;
        }
        if let Err(error) = fs::write(&path, bytes) {
            let _ = fs::remove_file(&path);
            return Err(error).with_context(of);
        }
        self.sums.0.insert(name.to_owned(), Digest::of(bytes));
        Ok(())
    }

    /// The same for a value, as JSON.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn json(&mut self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(value).with_context(|| name.to_owned())?;
        text.push(b'\n');
        self.write(name, &text)
    }

    /// Files that others wrote.
    pub(crate) fn add(&mut self, sums: Sums) {
        self.sums.0.extend(sums.0);
    }

    /// Writes `run.json` and, last of all, the digests.
    ///
    /// # Errors
    /// They cannot be written.
    pub(crate) fn seal(mut self, run: &Run) -> anyhow::Result<()> {
        self.json("run.json", run)?;
        let sums = self.sums.to_string();
        self.write(sums::NAME, sums.as_bytes())
    }
}
