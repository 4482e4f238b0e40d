//! The `checker` command: checks recorded evidence and says what it is worth.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use checker::{
    evidence,
    history::{Event, jepsen_log, operation},
    linear::{self, Limits},
    property::completeness,
    verdict::{self, Outcome, Verdict},
};
use clap::{Parser, error::ErrorKind};
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

/// Checks recorded evidence of a replicated register store: linearizability of what clients saw,
/// Raft's safety from the nodes' traces, and whether the run tested anything.
///
/// Exit code: 0 every property held, 1 one was violated, 2 undecided, 3 evidence could not be
/// read, 64 wrong usage. Of several runs the weightiest counts: a violation outranks everything.
#[derive(Debug, Parser)]
#[command(name = "checker", version)]
struct Arguments {
    /// Run directories; or bare histories, which are checked for linearizability alone: our JSON
    /// Lines, or the lines of a jepsen.log. `-` reads a history from standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,

    /// Print the verdicts as JSON, one a line.
    #[arg(long)]
    json: bool,

    /// Seconds to search for a linearization before giving up, for each input.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    timeout: f64,

    /// Memory for the search, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    memory: u64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0 to 1000000".into()),
    }
}

const ENVIRONMENT: u8 = 3;
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed standard output leaves nobody to tell.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(USAGE),
            };
        }
    };
    let limits = Limits {
        timeout: Duration::from_secs_f64(arguments.timeout),
        memory: usize::try_from(arguments.memory << 20).unwrap_or(usize::MAX),
    };
    let mut worst = Outcome::Ok;
    let mut unreadable = false;
    for input in &arguments.inputs {
        let verdict = match check(input, &limits) {
            Ok(verdict) => verdict,
            Err(error) => {
                eprintln!("checker: {error}");
                unreadable = true;
                continue;
            }
        };
        worst = worst.max(verdict.outcome);
        let printed = if arguments.json {
            print_json(input, &verdict)
        } else {
            print_text(input, &verdict, arguments.inputs.len() > 1)
        };
        if let Err(error) = printed {
            if error.kind() != io::ErrorKind::BrokenPipe {
                eprintln!("checker: cannot write to standard output: {error}");
                unreadable = true;
            }
            break;
        }
    }
    // A violation that was found stands, whatever else could not be read.
    match worst {
        Outcome::Violated => ExitCode::from(Outcome::Violated.exit_code()),
        _ if unreadable => ExitCode::from(ENVIRONMENT),
        outcome => ExitCode::from(outcome.exit_code()),
    }
}

fn check(input: &Path, limits: &Limits) -> Result<Verdict, evidence::Error> {
    if input.as_os_str() != "-" && input.is_dir() {
        let evidence = evidence::load(input)?;
        return Ok(verdict::check(&evidence, limits));
    }
    let io = |source| checker::jsonl::Error::Io { file: input.into(), source };
    let (events, gaps) = if input.as_os_str() == "-" {
        history(io::stdin().lock(), Path::new("standard input"))?
    } else {
        history(BufReader::new(File::open(input).map_err(io)?), input)?
    };
    let mut evidence = evidence::Evidence { history: events, ..Default::default() };
    evidence.run.incomplete = gaps;
    let (operations, malformed) = match operation::pair(&evidence.history) {
        Ok(operations) => (operations, None),
        Err(malformed) => (Vec::new(), Some(malformed)),
    };
    Ok(Verdict::of(vec![
        linear::check(&operations, limits),
        completeness::check(&evidence, malformed.as_ref()),
    ]))
}

/// Reads a history of either format, told apart by the first byte that is not blank.
fn history(
    mut input: impl BufRead,
    file: &Path,
) -> Result<(Vec<Event>, Vec<String>), evidence::Error> {
    let mut start = Vec::new();
    let io = |source| checker::jsonl::Error::Io { file: file.into(), source };
    // The first line is kept, so that a pipe is read once.
    input.read_until(b'\n', &mut start).map_err(io)?;
    let is_json = start.trim_ascii_start().first().is_none_or(|&byte| byte == b'{');
    let whole = start.as_slice().chain(input);
    if is_json {
        evidence::load::history(whole, file)
    } else {
        Ok((jepsen_log::read(whole, file)?, Vec::new()))
    }
}

fn print_json(input: &Path, verdict: &Verdict) -> io::Result<()> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        input: std::borrow::Cow<'a, str>,
        #[serde(flatten)]
        verdict: &'a Verdict,
    }
    checker::jsonl::write(io::stdout().lock(), &Line { input: input.to_string_lossy(), verdict })
}

fn print_text(input: &Path, verdict: &Verdict, several: bool) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if several {
        writeln!(output, "{}", input.display())?;
    }
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["property", "outcome", "detail"]);
    for property in &verdict.properties {
        table.add_row([&property.name, &property.outcome.to_string(), &property.detail]);
    }
    writeln!(output, "{table}")?;
    for violation in verdict.properties.iter().flat_map(|property| &property.violations) {
        writeln!(output, "\n{}: {}", violation.rule, violation.summary)?;
        if !violation.operations.is_empty() {
            let indices: Vec<String> = violation.operations.iter().map(u64::to_string).collect();
            writeln!(output, "  events of the history: {}", indices.join(", "))?;
        }
        for record in &violation.trace {
            writeln!(output, "  {}", serde_json::to_string(record)?)?;
        }
    }
    writeln!(output, "\n{}", verdict.summary)
}
