//! The command line: parsed once, handed down as plain values.
//!
//! A command a file; [`exit`] says what exit codes mean.

mod check;
mod doctor;
pub mod exit;
mod gc;
#[cfg_attr(not(feature = "mutants"), path = "no_mutants.rs")]
mod mutants;
mod plan;
mod replay;
mod report;
mod scenario;
mod shrink;
mod sim;
mod test;

use std::{
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::{Parser, Subcommand, error::ErrorKind};
use tokio::task::{JoinError, JoinHandle};
use tracing_subscriber::EnvFilter;

use crate::run::Stop;
use exit::Exit;

/// Runs Raft clusters under faults and client load, and says whether they kept their promises.
#[derive(Debug, Parser)]
#[command(name = "harness", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Break a cluster on purpose, under load, and judge what clients and nodes saw.
    Test(Box<test::Args>),
    /// Simulate many seeds of a test in virtual time, on all processors.
    Sim(sim::Args),
    /// Put known bugs into the nodes, one at a time, and see whether campaigns find each. Only
    /// builds with the cargo feature `mutants` have them.
    Mutants(mutants::Args),
    /// Simulate a plan again, and compare with what was recorded: byte by byte the same.
    Replay(replay::Args),
    /// Minimise a failing run: drop faults, operations and nodes while it still fails.
    Shrink(shrink::Args),
    /// Play a short script of starts and crashes, and see the cluster do as expected.
    Scenario(scenario::Args),
    /// Judge the recorded evidence of a run again.
    Check(check::Args),
    /// Write the page of a run again, from its run directory alone.
    Report(report::Args),
    /// Try what this machine can do, and say what to do about what it cannot.
    Doctor(doctor::Args),
    /// Remove the containers, networks and volumes that killed harnesses left behind.
    Gc(gc::Args),
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // A closed terminal is no reason to fail.
            let _ = error.print();
            return if asked { ExitCode::SUCCESS } else { Exit::Usage.into() };
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    exit::of(|| match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Sim(args) => in_runtime(sim::run(args)),
        Command::Mutants(args) => in_runtime(mutants::run(args)),
        Command::Doctor(args) => in_runtime(doctor::run(args)),
        Command::Gc(args) => in_runtime(gc::run(args)),
        Command::Scenario(args) => in_runtime(scenario::run(args)),
        Command::Shrink(args) => in_runtime(shrink::run(args)),
        Command::Test(args) => in_runtime(test::run(*args)),
    })
    .into()
}

/// The command line as it was given, for a person to read and repeat.
fn command_line() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Work side by side: as much as was asked for, else as there are processors.
fn jobs(asked: Option<u16>) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.map_or_else(processors, usize::from)
}

/// Waits for work that ends soon after `over` is true, which the first request to stop makes it.
/// None: a second one came before it had ended.
async fn unless_stopped<T>(
    mut work: JoinHandle<T>,
    stop: &Stop,
    over: &AtomicBool,
) -> Option<Result<T, JoinError>> {
    tokio::select! {
        done = &mut work => Some(done),
        () = stop.first() => {
            over.store(true, Ordering::Relaxed);
            tokio::select! {
                done = work => Some(done),
                () = stop.second() => None,
            }
        }
    }
}

/// The end of a command that was stopped at once. A violation that it has told outranks everything.
fn stopped_at_once(violated: bool) -> anyhow::Result<Exit> {
    anyhow::ensure!(violated, "stopped at once; what was under way was not judged");
    test::line("stopped at once");
    Ok(Exit::Violated)
}

/// One thread for everything that waits: clients, faults, observation. Work that computes has
/// threads of its own, and the nodes need the processors more than their harness.
fn in_runtime(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // A check that a second Ctrl-C gave up is not waited for.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
