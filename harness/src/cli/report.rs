//! `harness report`.

use std::{io::Write, path::PathBuf};

use super::exit::Exit;
use crate::report;

/// A run directory has one of these at least, however short the run was cut.
const EVIDENCE: [&str; 6] =
    ["run.json", "plan.json", "scenario.json", "history.jsonl", "faults.jsonl", "trace"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run directory.
    directory: PathBuf,

    /// Where the page goes: a directory, which is created if it does not exist, or a file whose
    /// name ends in .html [default: the run directory, beside the evidence]
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let missing = EVIDENCE.iter().all(|name| !args.directory.join(name).exists());
    anyhow::ensure!(
        !args.directory.is_dir() || !missing,
        "{} is not a run directory: it has none of {}; give the path of a directory that a test wrote",
        args.directory.display(),
        EVIDENCE.join(", ")
    );
    let page = match &args.out {
        Some(out) => report::write_to(&args.directory, out)?,
        None => report::write(&args.directory)?,
    };
    let _ = writeln!(std::io::stdout(), "{}", page.display());
    Ok(Exit::Ok)
}
