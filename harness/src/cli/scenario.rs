//! `harness scenario`.

use std::{io::Write, path::PathBuf, time::Duration};

use comfy_table::{Table, presets};

use super::{
    exit::{Exit, Usage},
    test::print_verdict,
};
use crate::{
    plan::ClusterKind,
    scenario::{self, Scenario, Settings},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name, or the path of a file.
    #[arg(required_unless_present = "list")]
    scenario: Option<String>,

    /// List the scenarios that come with the harness.
    #[arg(long)]
    list: bool,

    /// Where the nodes live
    #[arg(long, value_enum, default_value = "docker")]
    cluster: ClusterKind,

    /// Shortest election timeout of a node; each is drawn between it and its double. A scenario's
    /// limits are multiples of it.
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    election_timeout: Duration,

    /// Time between two heartbeats of a leader.
    #[arg(long, default_value = "100ms", value_parser = humantime::parse_duration)]
    heartbeat_interval: Duration,

    /// Seed of the nodes' election timeouts [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u64>,

    /// Run directory; must be empty or not exist [default: results/<time>-<scenario>-<seed>]
    #[arg(long)]
    out: Option<PathBuf>,

    /// First of the ports of 127.0.0.1 at which the nodes are reached [default: free ones]
    #[arg(long)]
    base_port: Option<u16>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let Some(name) = &args.scenario else { return list() };
    let scenario = Scenario::load(name).map_err(Usage)?;
    let settings = Settings {
        scenario,
        cluster: args.cluster,
        out: args.out,
        base_port: args.base_port,
        election_timeout: args.election_timeout,
        heartbeat_interval: args.heartbeat_interval,
        seed: args.seed.unwrap_or_else(|| rand::random::<u32>().into()),
        command: super::command_line(),
    };
    let scenario = &settings.scenario;
    note(&format!("{}: {}; seed {}", scenario.name, scenario.about, settings.seed));
    let finished = scenario::play(&settings, &note).await?;
    line(&finished.table);
    print_verdict(&finished.verdict);
    let program = settings.command.first().map_or("harness", String::as_str);
    let place = match settings.cluster {
        ClusterKind::Docker => "",
        ClusterKind::Sim => " --cluster sim",
        ClusterKind::InProcess => " --cluster in-process",
    };
    line(&format!("again: {program} scenario {name}{place} --seed {}", settings.seed));
    match &finished.page {
        Ok(page) => line(&format!("report: {}", page.display())),
        Err(why) => line(&format!(
            "report: none, {why}; the evidence is in {}",
            finished.directory.display()
        )),
    }
    Ok(finished.verdict.outcome.into())
}

fn list() -> anyhow::Result<Exit> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for scenario in Scenario::builtin()? {
        table.add_row([scenario.name, scenario.about]);
    }
    line(&table.to_string());
    Ok(Exit::Ok)
}

/// What goes on, beside the result.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Standard output may be closed; the exit code still tells.
fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
