//! `harness gc`.

use std::io::Write;

use super::{exit::Exit, test::plural};
use crate::{cluster::docker, daemon, images};

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
    // Where the sources are not on this machine, no images were built here.
    let (images, directories) = images::collect(&daemon).await.unwrap_or_default();
    let _ = match (removed.is_empty(), images + directories) {
        (true, 0) => writeln!(std::io::stdout(), "nothing to remove"),
        (true, _) => Ok(()),
        (false, _) => writeln!(std::io::stdout(), "removed {removed}"),
    };
    for (count, what) in [(images, "old image"), (directories, "temporary directory")] {
        if count > 0 {
            let _ = writeln!(std::io::stdout(), "removed {}", plural(count as u64, what));
        }
    }
    Ok(Exit::Ok)
}
