//! The `checker` command: checks recorded evidence and says what it is worth.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, BufReader, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use checker::{
    budget::Limits,
    evidence, explanation,
    history::{Events, Format, Numbering, Numbers, read},
    jsonl,
    judge::{
        self, Found, Judgement,
        models::{MODELS, Model},
    },
    verdict::{Outcome, Verdict, Violation},
};
use clap::{
    Parser,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
};
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

/// As the harness has it: a check allocates small things without end.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Checks recorded evidence of a replicated store: whether what clients saw could be, Raft's safety
/// from the nodes' traces, and whether the run tested anything.
///
/// A bare history may be our JSON Lines, Jepsen's history.edn or jepsen.log, or Porcupine's
/// key-value text. Its first bytes tell which, and its functions tell the model.
///
/// Exit code: 0 every property held, 1 one was violated, 2 undecided, 3 evidence could not be
/// read, 64 wrong usage. Of several inputs the weightiest counts: a violation outranks everything.
#[derive(Debug, Parser)]
#[command(name = "checker", version)]
struct Arguments {
    /// Run directories, Jepsen's too; or bare histories. `-` reads a history from standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,

    /// What a history is checked against; of a run directory, the history alone.
    #[arg(long, value_name = "MODEL", default_value = AUTO, value_parser = models())]
    model: String,

    /// How a history is written, where its first bytes do not tell.
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    format: Option<Format>,

    /// The values of a Jepsen history are the `[key value]` of jepsen.independent.
    #[arg(long)]
    independent: bool,

    /// Print the verdicts as JSON, one a line.
    #[arg(long)]
    json: bool,

    /// Write a page that shows the operations of each violation on a time axis: of one input.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Seconds to search for a linearization before giving up, for each input.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    timeout: f64,

    /// Memory for the search, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    memory: u64,
}

/// The model that a history's functions tell.
const AUTO: &str = "auto";

fn models() -> PossibleValuesParser {
    let auto = PossibleValue::new(AUTO).help("the one that the history's functions tell");
    let named = MODELS
        .iter()
        .map(|model| PossibleValue::new(model.name).aliases(model.aliases()).help(model.about));
    PossibleValuesParser::new([auto].into_iter().chain(named))
}

fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
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
    if arguments.html.is_some() && arguments.inputs.len() > 1 {
        eprintln!("checker: --html shows one input, not {}", arguments.inputs.len());
        return ExitCode::from(USAGE);
    }
    let mut worst = Outcome::Ok;
    let (mut unreadable, mut misused, mut heard) = (false, false, true);
    for input in &arguments.inputs {
        let judged = match check(input, &arguments) {
            Ok(judged) => judged,
            Err(error) => {
                eprintln!("checker: {error}");
                misused |= matches!(error, Error::Independent { .. });
                unreadable = true;
                continue;
            }
        };
        worst = worst.max(judged.verdict.outcome);
        if let Some(Err(error)) = arguments.html.as_deref().map(|file| judged.draw(file)) {
            eprintln!("checker: {error}");
            unreadable = true;
        }
        if !heard {
            continue;
        }
        let printed = if arguments.json { judged.print_json(input) } else { judged.print_text() };
        if let Err(error) = printed {
            // The exit code still speaks of every input.
            heard = false;
            if error.kind() != io::ErrorKind::BrokenPipe {
                eprintln!("checker: cannot write to standard output: {error}");
                unreadable = true;
            }
        }
    }
    // A violation that was found stands, whatever else could not be read.
    match worst {
        Outcome::Violated => ExitCode::from(Outcome::Violated.exit_code()),
        _ if misused => ExitCode::from(USAGE),
        _ if unreadable => ExitCode::from(ENVIRONMENT),
        outcome => ExitCode::from(outcome.exit_code()),
    }
}

/// One input, judged.
struct Judged {
    /// What it is called: a path, `standard input`.
    name: String,
    /// What the history is; `None` for a run directory.
    found: Option<Found>,
    numbering: Numbering,
    verdict: Verdict,
    /// The events, for a picture.
    events: Events,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Evidence(#[from] evidence::Error),
    #[error(transparent)]
    Lines(#[from] jsonl::Error),
    #[error("{name}: {source}")]
    Judge { name: String, source: judge::Error },
    #[error("cannot write {}: {source}", .file.display())]
    Html { file: PathBuf, source: io::Error },
    #[error("{name}: --independent is for Jepsen's formats, and this is {what}")]
    Independent { name: String, what: String },
}

fn check(input: &Path, arguments: &Arguments) -> Result<Judged, Error> {
    let limits = Limits {
        timeout: Duration::from_secs_f64(arguments.timeout),
        memory: usize::try_from(arguments.memory << 20).unwrap_or(usize::MAX),
    };
    let mut file = input.to_owned();
    if input.as_os_str() == "-" {
        file = "standard input".into();
    } else if input.is_dir() {
        let of_jepsen = input.join("history.edn");
        if of_jepsen.exists() && !input.join("history.jsonl").exists() {
            file = of_jepsen;
        } else if arguments.model != AUTO && input.join("history.jsonl").exists() {
            file = input.join("history.jsonl");
        } else if arguments.independent {
            let name = input.display().to_string();
            return Err(Error::Independent { name, what: "a run directory".into() });
        } else {
            let evidence = evidence::load(input)?;
            let verdict = judge::run(&evidence, &limits);
            let (name, numbering) = (input.display().to_string(), Numbering::default());
            let events = evidence.history;
            return Ok(Judged { name, found: None, numbering, verdict, events });
        }
    }
    let (format, independent) = (arguments.format, arguments.independent);
    let history = if input.as_os_str() == "-" {
        read::read(io::stdin().lock(), &file, format, independent)?
    } else {
        let io = |source| jsonl::Error::Io { file: file.clone(), source };
        let opened = BufReader::with_capacity(1 << 16, File::open(&file).map_err(io)?);
        read::read(opened, &file, format, independent)?
    };
    let name = file.display().to_string();
    if independent && !history.format.has_independent_keys() {
        return Err(Error::Independent { name, what: history.format.to_string() });
    }
    let numbering = history.numbering.clone();
    match judge::history(history, Model::named(&arguments.model), &limits) {
        Ok(Judgement { found, verdict, events }) => {
            Ok(Judged { name, found: Some(found), numbering, verdict, events })
        }
        Err(source) => Err(Error::Judge { name, source }),
    }
}

impl Judged {
    /// Writes the page, or says why there is none: an empty one would look like a proof.
    fn draw(&self, file: &Path) -> Result<(), Error> {
        let violations = self.verdict.properties.iter().flat_map(|property| &property.violations);
        let explanations: Vec<_> =
            explanation::of(violations, &self.events).into_iter().flatten().collect();
        if explanations.is_empty() {
            let why = match self.verdict.outcome {
                Outcome::Ok => "no violation was found",
                Outcome::Unknown => "nothing was decided",
                Outcome::Violated => "no operation shows what is violated, only the nodes' traces",
            };
            eprintln!("checker: nothing to explain, {} is not written: {why}", file.display());
            return Ok(());
        }
        let page =
            explanation::page(
                &explanations,
                &format!("{}: violated", self.name),
                |event| match self.numbering.of(event) {
                    Numbers::Events(number) | Numbers::Lines(number) => number,
                },
            );
        fs::write(file, page).map_err(|source| Error::Html { file: file.to_owned(), source })
    }

    fn print_json(&self, input: &Path) -> io::Result<()> {
        #[derive(serde::Serialize)]
        struct Line<'a> {
            input: Cow<'a, str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            format: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            model: Option<&'a str>,
            #[serde(flatten)]
            verdict: &'a Verdict,
        }
        let mut verdict = self.verdict.clone();
        for violation in verdict.properties.iter_mut().flat_map(|property| &mut property.violations)
        {
            let refutation = violation.refutation.iter_mut();
            let of_orders = refutation.flat_map(|why| {
                why.core.iter_mut().chain([&mut why.failed_at]).chain(&mut why.tried)
            });
            for index in violation.operations.iter_mut().chain(of_orders) {
                if let Numbers::Events(number) = self.numbering.of(*index) {
                    *index = number;
                }
            }
        }
        let found = self.found.as_ref();
        let line = Line {
            input: input.to_string_lossy(),
            format: found.map(|found| found.format.name()),
            model: found.map(|found| found.model.name),
            verdict: &verdict,
        };
        jsonl::write(io::stdout().lock(), &line)
    }

    fn print_text(&self) -> io::Result<()> {
        let mut output = io::stdout().lock();
        match &self.found {
            Some(found) => writeln!(output, "{}: {found}", self.name)?,
            None => writeln!(output, "{}: a run directory", self.name)?,
        }
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(["property", "outcome", "detail"]);
        for property in &self.verdict.properties {
            table.add_row([&property.name, &property.outcome.to_string(), &property.detail]);
        }
        writeln!(output, "{table}")?;
        for violation in self.verdict.properties.iter().flat_map(|property| &property.violations) {
            writeln!(output, "\n{}: {}", violation.rule, violation.summary)?;
            if !violation.operations.is_empty() {
                writeln!(output, "  {}", self.places(violation))?;
            }
            for record in &violation.trace {
                writeln!(output, "  {}", serde_json::to_string(record)?)?;
            }
        }
        writeln!(output, "\n{}", self.verdict.summary)
    }

    /// Where the events of a violation stand.
    fn places(&self, violation: &Violation) -> String {
        let mut what = "events";
        let numbers: Vec<String> = violation
            .operations
            .iter()
            .map(|&index| match self.numbering.of(index) {
                Numbers::Events(number) => number.to_string(),
                Numbers::Lines(number) => {
                    what = "lines";
                    number.to_string()
                }
            })
            .collect();
        format!("{what} of the history: {}", numbers.join(", "))
    }
}
