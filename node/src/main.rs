//! The node's binary: flags in, exit code out.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use node::{
    server::{self, Config, Flags, Log},
    storage,
};

/// Wrong usage, as in BSD's `sysexits.h`.
const USAGE: u8 = 64;
/// The disk holds what no node of this version and identity can have written there, as in BSD's
/// `sysexits.h`.
const REFUSED: u8 = 65;
/// The node's surroundings failed.
const FAILED: u8 = 3;
/// A defect of the node: an assertion did not hold.
const PANICKED: i32 = 101;
/// How long the last log lines may take to be read.
const LAST_LINES_PATIENCE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(message) => {
            let _ = message.print();
            return if message.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let config = match Config::new(flags) {
        Ok(config) => config,
        Err(sentence) => {
            eprintln!("raft-node: {sentence}");
            return USAGE.into();
        }
    };
    let log = Log::install(config.log);
    stop_on_panic(log.clone());
    let code = match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why:#}");
            let of_log = why.chain().find_map(|cause| cause.downcast_ref::<storage::Error>());
            if of_log.is_some_and(storage::Error::is_refusal) { REFUSED } else { FAILED }.into()
        }
    };
    log.flush(LAST_LINES_PATIENCE);
    code
}

/// A panic anywhere ends the process: tokio and threads would swallow it, and the node would go on
/// without the part that found its own state impossible.
fn stop_on_panic(log: Log) {
    std::panic::set_hook(Box::new(move |panic| {
        let trace = std::backtrace::Backtrace::force_capture();
        tracing::error!("the node stops, as it has a defect: {panic}\n{trace}");
        log.flush(LAST_LINES_PATIENCE);
        std::process::exit(PANICKED);
    }));
}
