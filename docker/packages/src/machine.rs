//! The programs of this machine.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Runs programs that are found on a `PATH`.
#[derive(Clone, Debug)]
pub struct Machine {
    path: OsString,
}

impl Machine {
    /// This machine, with the `PATH` of this process.
    pub fn this() -> Self {
        Self::with_path(std::env::var_os("PATH").unwrap_or_default())
    }

    /// A machine that has the programs in these directories only, as `PATH` lists them.
    pub fn with_path(path: impl Into<OsString>) -> Self {
        Self { path: path.into() }
    }

    /// All programs of this name, in the order of the `PATH`.
    pub(crate) fn programs(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        std::env::split_paths(&self.path)
            .map(move |directory| directory.join(name))
            .filter(|path| is_executable(path))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.programs(name).next().is_some()
    }

    /// The same, which the kernel ends with this process, if the machine has `setpriv`: a process
    /// that is killed leaves no `apt-get` that goes on.
    pub fn tied(&self, program: impl AsRef<OsStr>) -> Command {
        match self.programs(TIE).next() {
            Some(tie) => {
                let mut command = self.command(tie);
                command.args(["--pdeathsig", "TERM", "--"]).arg(program);
                command
            }
            None => self.command(program),
        }
    }

    /// A command whose children see the same `PATH`.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", &self.path).env("LC_ALL", "C").stdin(Stdio::null());
        command
    }
}

pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Of util-linux; every Debian has it.
const TIE: &str = "setpriv";

/// The program of a command, whether it is tied to this process or not.
fn name(command: &Command) -> String {
    let program = command.get_program();
    let tied = Path::new(program).file_name().is_some_and(|name| name == TIE);
    let inner = command.get_args().nth(3).filter(|_| tied);
    inner.unwrap_or(program).display().to_string()
}

/// Runs a command to its end and returns its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = name(command);
    let output = command.output().with_context(|| format!("running {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name} failed ({}): {}",
        output.status,
        said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
