//! Exit codes, and how an error becomes one.

use std::{
    io::Write,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

use checker::verdict::Outcome;

/// For `--help`.
pub const HELP: &str = "Exit codes: 0 every property held; 1 a property was violated; 2 unknown \
                        (undecided, stopped early, a fault without proof, or too little happened); \
                        3 the harness or its environment failed; 64 wrong usage. A violation \
                        outranks everything.";

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every property held, or the command did what it should.
    Ok,
    /// A property was violated.
    Violated,
    /// Undecided.
    Unknown,
    /// The harness or its environment failed.
    Failed,
    /// The command line, or a plan, asks for the impossible (`EX_USAGE` of `sysexits.h`).
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Violated => 1,
            Exit::Unknown => 2,
            Exit::Failed => 3,
            Exit::Usage => 64,
        })
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::Unknown => Self::Unknown,
            Outcome::Violated => Self::Violated,
        }
    }
}

impl Exit {
    /// The same, or a failure if what the command was to leave could not be written. A violation
    /// outranks everything.
    pub(super) fn unless_lost(self, saved: bool) -> Self {
        if saved || self == Self::Violated { self } else { Self::Failed }
    }
}

/// An error that is the user's to mend: [`Exit::Usage`].
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Usage(#[from] pub anyhow::Error);

/// Does a command. A panic, which has printed itself, is a failure of the harness, and must not
/// look like any verdict.
pub(super) fn of(command: impl FnOnce() -> anyhow::Result<Exit>) -> Exit {
    match panic::catch_unwind(AssertUnwindSafe(command)) {
        Ok(result) => result.unwrap_or_else(|error| say(&error)),
        Err(_) => Exit::Failed,
    }
}

/// Prints an error with its causes, and gives its exit code.
fn say(error: &anyhow::Error) -> Exit {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    if error.downcast_ref::<Usage>().is_some() { Exit::Usage } else { Exit::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_panics_have_their_codes() {
        assert_eq!(of(|| Ok(Exit::Violated)), Exit::Violated);
        assert_eq!(of(|| Err(anyhow::anyhow!("no daemon"))), Exit::Failed);
        assert_eq!(of(|| Err(Usage(anyhow::anyhow!("no such fault")).into())), Exit::Usage);
        assert_eq!(of(|| panic!("a bug")), Exit::Failed);
    }
}
