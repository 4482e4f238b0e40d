//! Debian packages with the machine's `apt-get`, but with package lists and a cache of our own.
//!
//! So neither root nor `apt-get update` is needed: the lists in `/var/lib/apt/lists` may be
//! missing, as in every fresh container image, or old. Sources, keys and proxies are the machine's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    machine::{Machine, run},
    scratch::Scratch,
};

/// Indexes beside the packages' names that a machine may have asked for: large, and unused here.
const UNUSED_INDEXES: [&str; 3] = ["DEP-11", "CNF", "Contents-deb"];

/// Downloads Debian packages.
#[derive(Clone, Debug)]
pub struct Debian {
    machine: Machine,
    directory: PathBuf,
}

/// Packages in a directory that is removed with this value.
#[derive(Debug)]
pub struct Downloaded {
    directory: Scratch,
}

impl Debian {
    /// Downloads on this machine and keeps the package lists below `directory`, which must be
    /// absolute.
    pub fn new(machine: Machine, directory: impl Into<PathBuf>) -> Self {
        Self { machine, directory: directory.into() }
    }

    /// Downloads packages and the libraries they need, except what the packages in `present` need.
    ///
    /// The lists are updated if they are missing, or if a package cannot be found or downloaded:
    /// they may name a version that its archive does not have any more. Then the download is tried
    /// once more.
    ///
    /// # Errors
    ///
    /// The machine is no Debian or Ubuntu, no archive is reached, or the package does not exist.
    pub fn download(&self, packages: &[&str], present: &[&str]) -> Result<Downloaded> {
        for program in ["apt-get", "apt-cache", "dpkg-deb"] {
            if !self.machine.has(program) {
                bail!("{program} is not on this machine, which is no Debian or Ubuntu");
            }
        }
        let create = |part: &str| {
            let part = self.directory.join(part);
            fs::create_dir_all(&part).with_context(|| format!("creating {}", part.display()))
        };
        create("")?;
        // Of two processes that download at once, one updates the lists and the other waits:
        // nothing may appear among the lists while they are removed.
        let path = self.directory.join("lists.lock");
        let lock =
            fs::File::create(&path).with_context(|| format!("opening {}", path.display()))?;
        lock.lock().with_context(|| format!("locking {}", path.display()))?;
        create("lists/partial")?;
        create("cache/archives/partial")?;

        if self.has_lists()?
            && let Ok(downloaded) = self.try_download(packages, present)
        {
            return Ok(downloaded);
        }
        // A failed update may still have brought what is needed: one of several archives may be
        // down, and the machine's own hooks may need root.
        let update = self.update();
        self.try_download(packages, present).map_err(|error| match update {
            Ok(()) => error,
            Err(update) => {
                anyhow::anyhow!("{error:#}; the package lists could not be updated: {update:#}")
            }
        })
    }

    fn try_download(&self, packages: &[&str], present: &[&str]) -> Result<Downloaded> {
        let names = self.closure(packages, present)?;
        let directory = Scratch::new(&self.directory)?;
        let mut command = self.apt("apt-get");
        run(command.arg("download").args(&names).current_dir(directory.path()))?;
        Ok(Downloaded { directory })
    }

    /// The packages and the libraries they need.
    fn closure(&self, packages: &[&str], present: &[&str]) -> Result<BTreeSet<String>> {
        let mut command = self.apt("apt-cache");
        command.args(["depends", "--recurse"]).args(
            ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"]
                .map(|kind| format!("--no-{kind}")),
        );
        let depends = run(command.args(packages).args(present))?;
        let present = libraries(present, &depends);
        Ok(libraries(packages, &depends).difference(&present).cloned().collect())
    }

    fn has_lists(&self) -> Result<bool> {
        let lists = self.directory.join("lists");
        let entries =
            fs::read_dir(&lists).with_context(|| format!("listing {}", lists.display()))?;
        Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages")))
    }

    /// Gets the lists from scratch, so that damaged ones heal.
    fn update(&self) -> Result<()> {
        let lists = self.directory.join("lists");
        fs::remove_dir_all(&lists).with_context(|| format!("removing {}", lists.display()))?;
        fs::create_dir_all(lists.join("partial"))
            .with_context(|| format!("creating {}", lists.display()))?;
        // By default apt only warns about an archive that it does not reach.
        run(self.apt("apt-get").args(["update", "-o", "APT::Update::Error-Mode=any"])).map(drop)
    }

    /// An apt program that reads and writes nothing but our own lists and cache.
    fn apt(&self, program: &str) -> Command {
        let mut command = self.machine.tied(program);
        command.args(["-q", "-o", "Acquire::Languages=none"]);
        // What is installed does not matter: an archive may have another version of it by now.
        command.args(["-o", "Dir::State::status=/dev/null"]);
        for (option, part) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
            command.arg("-o").arg(format!("{option}={}", self.directory.join(part).display()));
        }
        for index in UNUSED_INDEXES {
            let option = format!("Acquire::IndexTargets::deb::{index}::DefaultEnabled=false");
            command.arg("-o").arg(option);
        }
        command
    }

    /// Unpacks a package's files into a directory.
    ///
    /// # Errors
    ///
    /// The package is damaged, or the directory cannot be written.
    pub(crate) fn unpack(&self, package: &Path, into: &Path) -> Result<()> {
        run(self.machine.command("dpkg-deb").arg("--extract").arg(package).arg(into))
            .with_context(|| format!("unpacking {}", package.display()))
            .map(drop)
    }
}

impl Downloaded {
    /// The packages' files, ascending.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn packages(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.directory.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Follows libraries alone through what `apt-cache depends` printed: a package, then its
/// dependencies, indented. Others (dpkg, debconf) serve the packages' installation, which does not
/// take place.
fn libraries(packages: &[&str], depends: &str) -> BTreeSet<String> {
    let mut dependencies: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut package = "";
    for line in depends.lines() {
        if let Some((_, dependency)) = line.split_once("Depends: ") {
            dependencies.entry(package).or_default().push(dependency.trim());
        } else if !line.starts_with(' ') {
            package = line.trim();
        }
    }
    let mut found: BTreeSet<String> = packages.iter().map(|&name| name.to_owned()).collect();
    let mut queue: Vec<String> = found.iter().cloned().collect();
    while let Some(package) = queue.pop() {
        for &dependency in dependencies.get(&*package).into_iter().flatten() {
            let library = dependency.starts_with("lib") || dependency.starts_with("zlib");
            if library && found.insert(dependency.to_owned()) {
                queue.push(dependency.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_followed_and_what_installs_is_not() {
        let depends = "\
iproute2
  Depends: debconf
 |Depends: libelf1
  PreDepends: libc6
libelf1
  Depends: zlib1g
debconf
  Depends: libperl
<virtual>
zlib1g
  Depends: libc6
";
        let found = libraries(&["iproute2"], depends);
        assert_eq!(Vec::from_iter(&found), ["iproute2", "libc6", "libelf1", "zlib1g"]);
    }
}
