//! Temporary directories. A process that is killed leaves its own behind; the next one removes it.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};

/// How the names of such directories begin.
const PREFIX: &str = "scratch-";

/// The file in each that its process keeps locked. The kernel unlocks it when the process ends.
const LOCK: &str = ".lock";

/// A directory without a lock file may be one that is just being created.
const YOUNG: Duration = Duration::from_secs(60);

/// A directory that is removed with this value, or after the end of this process.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: tempfile::TempDir,
    #[expect(dead_code, reason = "the lock is released when the file is closed")]
    lock: fs::File,
}

impl Scratch {
    /// A new one in `parent`. What dead processes left there is removed.
    pub(crate) fn new(parent: &Path) -> Result<Self> {
        sweep(parent);
        let create = || -> std::io::Result<Self> {
            let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let lock = fs::File::create(directory.path().join(LOCK))?;
            lock.lock()?;
            Ok(Self { directory, lock })
        };
        create().with_context(|| format!("creating a directory in {}", parent.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes the directories that dead processes left in `parent`. Returns how many.
pub(crate) fn sweep(parent: &Path) -> usize {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    ours.filter(|entry| is_dead(&entry.path()) && fs::remove_dir_all(entry.path()).is_ok()).count()
}

fn is_dead(directory: &Path) -> bool {
    match fs::File::open(directory.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => {
            let changed = directory.metadata().and_then(|it| it.modified());
            changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > YOUNG))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::new(parent.path()).unwrap();
        let dead = parent.path().join("scratch-dead");
        let (young, other) = (parent.path().join("scratch-young"), parent.path().join("other"));
        for directory in [&dead, &young, &other] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(other.join(LOCK), "").unwrap();
        assert_eq!(sweep(parent.path()), 1);
        assert!(!dead.exists());
        assert!(living.path().exists() && young.exists() && other.exists());
        drop(living);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
    }
}
