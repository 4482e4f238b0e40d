//! Programs that tests need.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::{
    debian::Debian,
    machine::{Machine, is_executable, run},
    scratch::Scratch,
};

/// The control program of etcd.
pub const ETCDCTL: Tool = Tool {
    name: "etcdctl",
    package: "etcd-client",
    image: "quay.io/coreos/etcd:v3.4.34",
    path_in_image: "/usr/local/bin/etcdctl",
    version_arguments: &["version"],
    versions: &["3.4.", "3.5."],
};

/// A program from outside, and where it can be had.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The program's name.
    pub name: &'static str,
    /// The Debian package that holds the program.
    pub package: &'static str,
    /// An image that holds a static build of the program.
    pub image: &'static str,
    /// Where the image holds the program.
    pub path_in_image: &'static str,
    /// Arguments that make the program print its version.
    pub version_arguments: &'static [&'static str],
    /// The versions that tests are written for: how a word of the first line printed may begin.
    pub versions: &'static [&'static str],
}

/// A program that was found and has been run.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    libraries: Vec<PathBuf>,
    version: String,
    origin: String,
}

impl Program {
    /// Where the program is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first line that the program prints when asked for its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A command that runs the program with the libraries that came with it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if let Ok(path) = std::env::join_paths(&self.libraries)
            && !path.is_empty()
        {
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {})", self.version, self.origin, self.path.display())
    }
}

/// Looks for tools on the `PATH`, then in Debian packages, then in images.
#[derive(Clone, Debug)]
pub struct Search {
    machine: Machine,
    directory: PathBuf,
}

impl Search {
    /// Searches on this machine and keeps what is downloaded below `directory`, which must be
    /// absolute.
    pub fn new(machine: Machine, directory: impl Into<PathBuf>) -> Self {
        Self { machine, directory: directory.into() }
    }

    /// Finds a tool of a version that tests are written for. Reports to `say` what takes time, and
    /// in the end the version and the origin of what was found.
    ///
    /// The variable `RAFT_LAB_<NAME>_IMAGE` names another image, such as one of a mirror.
    ///
    /// # Errors
    ///
    /// No way led to the tool. The sentence names the reason of each, and the remedy.
    pub fn find(&self, tool: &Tool, say: &dyn Fn(&str)) -> Result<Program> {
        let variable = format!("RAFT_LAB_{}_IMAGE", tool.name.to_uppercase().replace('-', "_"));
        let image = std::env::var(&variable).ok().filter(|image| !image.is_empty());
        let image = image.as_deref().unwrap_or(tool.image);
        let program = self.search(tool, image, say).map_err(|reasons| {
            anyhow!(
                "{0} is needed and cannot be had: {reasons:#}. Put {0} {1} on the PATH; or let \
                 apt-get reach the packages of a Debian or Ubuntu; or let the Docker daemon reach \
                 a registry (or name an image that it has, with {2} in it, in {variable})",
                tool.name,
                tool.accepted(),
                tool.path_in_image
            )
        })?;
        say(&program.to_string());
        Ok(program)
    }

    fn search(&self, tool: &Tool, reference: &str, say: &dyn Fn(&str)) -> Result<Program> {
        let mut reasons = Vec::new();
        for path in self.machine.programs(tool.name) {
            match tool.inspect(path, Vec::new(), "on the PATH") {
                Ok(program) => return Ok(program),
                Err(reason) => {
                    say(&format!("passed over: {reason:#}"));
                    reasons.push(format!("{reason:#}"));
                }
            }
        }
        if reasons.is_empty() {
            reasons.push("it is not on the PATH".into());
        }

        // Of two processes that look at once, one downloads and the other waits.
        let home = self.directory.join(tool.name);
        fs::create_dir_all(&home).with_context(|| format!("creating {}", home.display()))?;
        let path = home.join("lock");
        let lock =
            fs::File::create(&path).with_context(|| format!("opening {}", path.display()))?;
        lock.lock().with_context(|| format!("locking {}", path.display()))?;

        let package = Unpacked {
            root: home.join("debian"),
            origin: format!("Debian package {}", tool.package),
        };
        let image = Unpacked {
            root: home.join(format!("image-{}", reference.replace('/', "+"))),
            origin: format!("image {reference}"),
        };
        for unpacked in [&package, &image] {
            if let Ok(program) = unpacked.program(tool) {
                return Ok(program);
            }
        }
        let debian = Debian::new(self.machine.clone(), &self.directory);
        let outcome = package.fill(&home, tool, say, |root| {
            // Whoever compiled the tests has the C library.
            for package in debian.download(&[tool.package], &["libc6"])?.packages()? {
                debian.unpack(&package, root)?;
            }
            Ok(())
        });
        match outcome {
            Ok(program) => return Ok(program),
            Err(reason) => reasons.push(format!("{}: {reason:#}", package.origin)),
        }
        match image.fill(&home, tool, say, |root| self.copy_out(tool, reference, root)) {
            Ok(program) => return Ok(program),
            Err(reason) => reasons.push(format!("{}: {reason:#}", image.origin)),
        }
        bail!("{}", reasons.join("; "))
    }

    /// Copies the program out of an image, which is pulled if the daemon does not have it.
    ///
    /// The `docker` command does this with the user's own contexts and registry credentials.
    fn copy_out(&self, tool: &Tool, image: &str, root: &Path) -> Result<()> {
        ensure!(self.machine.has("docker"), "the docker command is not on the PATH");
        let docker = || self.machine.command("docker");
        // Never started, so the command does not matter, but an image may have none of its own.
        let create = ["create", "--label", "raft-lab=tools", image, "none"];
        let created = run(docker().args(create))?;
        let container = created.trim();
        let directory = root.join("usr/bin");
        fs::create_dir_all(&directory)?;
        let from = format!("{container}:{}", tool.path_in_image);
        let into = directory.join(tool.name);
        let copied = run(docker().args(["cp", "--follow-link", &from]).arg(into));
        let removed = run(docker().args(["rm", container]));
        copied.and(removed).map(drop)
    }
}

impl Tool {
    /// The versions that tests are written for, in words.
    fn accepted(&self) -> String {
        let versions: Vec<String> = self.versions.iter().map(|start| format!("{start}x")).collect();
        versions.join(" or ")
    }

    /// Runs the program to see whether it works and is of a version that tests are written for.
    fn inspect(&self, path: PathBuf, libraries: Vec<PathBuf>, origin: &str) -> Result<Program> {
        let mut program =
            Program { path, libraries, version: String::new(), origin: origin.to_owned() };
        let output = run(program.command().args(self.version_arguments))?;
        program.version = output.lines().next().unwrap_or_default().trim().to_owned();
        let fits = program
            .version
            .split_whitespace()
            .any(|word| self.versions.iter().any(|version| word.starts_with(version)));
        ensure!(
            fits,
            "{} says {:?}, and the tests are written for {}",
            program.path.display(),
            program.version,
            self.accepted()
        );
        Ok(program)
    }
}

/// A directory with files of a package or an image.
struct Unpacked {
    root: PathBuf,
    origin: String,
}

impl Unpacked {
    fn program(&self, tool: &Tool) -> Result<Program> {
        Self::program_in(&self.root, tool, &self.origin)
    }

    fn program_in(root: &Path, tool: &Tool, origin: &str) -> Result<Program> {
        let Some(path) = ["usr/bin", "usr/sbin", "bin", "sbin"]
            .map(|directory| root.join(directory).join(tool.name))
            .into_iter()
            .find(|path| is_executable(path))
        else {
            bail!("there is no program {} in it", tool.name);
        };
        let libraries = ["usr/lib", "lib"].into_iter().flat_map(|directory| {
            let entries = fs::read_dir(root.join(directory)).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).filter(|path| path.is_dir())
        });
        tool.inspect(path, libraries.collect(), origin)
    }

    /// Fills the directory, unless what `get` brings does not work. A process that is killed in
    /// between leaves nothing that looks whole.
    fn fill(
        &self,
        home: &Path,
        tool: &Tool,
        say: &dyn Fn(&str),
        get: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Program> {
        say(&format!("{}: getting it from the {}", tool.name, self.origin));
        let directory = Scratch::new(home)?;
        let root = directory.path().join("root");
        fs::create_dir(&root)?;
        get(&root)?;
        Self::program_in(&root, tool, &self.origin)?;
        if self.root.exists() {
            fs::remove_dir_all(&self.root)?;
        }
        fs::rename(&root, &self.root)?;
        self.program(tool)
    }
}
