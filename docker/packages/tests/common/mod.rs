//! Machines that lack something.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and may unwrap")]

use std::{collections::BTreeSet, env, fs, os::unix::fs::symlink, path::Path};

use packages::Machine;

/// A directory of links to the programs of this machine that are called so.
pub(crate) fn links(directory: &Path, wanted: impl Fn(&str) -> bool) -> Machine {
    let mut seen = BTreeSet::new();
    for directory_of_path in env::split_paths(&env::var_os("PATH").unwrap()) {
        for entry in fs::read_dir(directory_of_path).into_iter().flatten() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if wanted(&name) && seen.insert(name.clone()) {
                symlink(entry.path(), directory.join(name)).unwrap();
            }
        }
    }
    Machine::with_path(directory)
}

/// Directories with stand-ins for `etcdctl`: of a version that fits, and of one too old.
pub(crate) const FITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/fits");
pub(crate) const OLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/old");
