//! `harness report`.

use std::{io::Write, path::PathBuf};

use super::exit::Exit;
use crate::report;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run directory.
    directory: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let page = report::write(&args.directory)?;
    let _ = writeln!(std::io::stdout(), "{}", page.display());
    Ok(Exit::Ok)
}
