//! `harness check`.

use std::path::PathBuf;

use super::{exit::Exit, test::print_judgement};
use crate::run;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run directory.
    directory: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let judgement = run::judge(&args.directory)?;
    print_judgement(&judgement);
    Ok(judgement.verdict.outcome.into())
}
