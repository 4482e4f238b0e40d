//! `harness check`.

use std::path::PathBuf;

use super::{
    exit::Exit,
    test::{print_judgement, print_verdict},
};
use crate::{run, scenario};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run directory.
    directory: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if scenario::is_scenario(&args.directory) {
        let verdict = scenario::check(&args.directory)?;
        print_verdict(&verdict);
        return Ok(verdict.outcome.into());
    }
    let judgement = run::judge(&args.directory)?;
    print_judgement(&judgement);
    Ok(judgement.verdict.outcome.into())
}
