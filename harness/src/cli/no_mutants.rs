//! `harness mutants`, in a build that has none.

use anyhow::anyhow;

use super::exit::{Exit, Usage};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Nothing that this build could do.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(super) async fn run(_: Args) -> anyhow::Result<Exit> {
    Err(Usage(anyhow!(node::mutants::NONE_HERE)).into())
}
