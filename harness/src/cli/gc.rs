//! `harness gc`.

use std::io::Write;

use super::exit::Exit;
use crate::{cluster::docker, daemon};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also what belongs to runs that are still in progress.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let daemon = daemon::connect().await?;
    let removed =
        if args.all { docker::gc_all(&daemon).await? } else { docker::gc(&daemon).await? };
    let _ = if removed.is_empty() {
        writeln!(std::io::stdout(), "nothing to remove")
    } else {
        writeln!(std::io::stdout(), "removed {removed}")
    };
    Ok(Exit::Ok)
}
