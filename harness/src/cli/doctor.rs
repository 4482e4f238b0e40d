//! `harness doctor`.

use std::io::Write;

use super::exit::Exit;
use crate::doctor::{Line, Status, doctor};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args) -> anyhow::Result<Exit> {
    let mut print = |line: &Line| {
        let _ = writeln!(std::io::stdout(), "{line}");
    };
    let lines = doctor(&mut print).await;
    let worst = lines.iter().map(|line| line.status).max();
    Ok(if worst == Some(Status::Fail) { Exit::Failed } else { Exit::Ok })
}
