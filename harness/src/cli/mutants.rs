//! `harness mutants`, in a build that has some.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow};
use checker::verdict::Outcome;
use comfy_table::{ContentArrangement, Table, TableStyle, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use node::mutants::Mutant;

use super::{
    exit::{Exit, Usage},
    plan::PlanOptions,
    sim::minutes,
    test::{line, plural},
};
use crate::{
    campaign::mutants::{self, Found, Hunt, Row, Shrunk, Trial, Undecided, Watch},
    run::Stop,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// These alone, by name, separated by commas [default: all that campaigns must find or leave
    /// alone]
    #[arg(long, value_delimiter = ',')]
    only: Vec<Mutant>,

    /// Three bugs and an equivalent mutant alone, others for each number.
    #[arg(long, conflicts_with = "only")]
    rotate: Option<u64>,

    /// Campaigns against each mutant, each from other seeds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    starts: u64,

    /// A campaign begins no seed after so many minutes; 0.5 is half a minute.
    #[arg(long, default_value = "2", value_parser = minutes)]
    minutes: Duration,

    /// Seeds simulated side by side [default: as many as there are processors]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Shrink a failing seed of each bug, for a minute at most.
    #[arg(long)]
    shrink: bool,

    /// Write the table into this directory too, as mutants.md and mutants.json.
    #[arg(long)]
    out: Option<PathBuf>,

    #[command(flatten)]
    options: PlanOptions,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    args.options.drawn(None, 0).map_err(Usage)?;
    if let Some(out) = &args.out {
        fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    }
    let chosen = match args.rotate {
        Some(turn) => mutants::rotation(turn),
        None if args.only.is_empty() => Mutant::ALL.to_vec(),
        None => args.only,
    };
    let jobs = super::jobs(args.jobs);
    let trial = Trial { starts: args.starts, limit: args.minutes, jobs, shrink: args.shrink };
    let stop = Stop::listen()?;
    let over = Arc::new(AtomicBool::new(false));
    let screen = Screen::new(&trial, chosen.len());
    let violated = Arc::clone(&screen.violated);
    let work = {
        let (over, options) = (Arc::clone(&over), args.options);
        tokio::task::spawn_blocking(move || {
            let plan = |seed| options.drawn(None, seed);
            let rows = mutants::run(&trial, &chosen, &plan, &screen, &over);
            screen.bar.finish_and_clear();
            rows
        })
    };
    let Some(rows) = super::unless_stopped(work, &stop, &over).await else {
        return super::stopped_at_once(violated.load(Ordering::Relaxed));
    };
    let (rows, ended) = rows.context("the campaigns panicked")?;
    let early = match (&ended, stop.asked()) {
        (Err(error), _) => Some(format!("ended early: {error:#}")),
        (Ok(()), Some(signal)) => Some(format!("ended early by {signal}")),
        (Ok(()), None) => None,
    };
    line(&table(&rows, presets::UTF8_HORIZONTAL_ONLY).to_string());
    let remarks = remarks(&rows, early);
    for remark in &remarks {
        line(remark);
    }
    let written = args.out.as_ref().map_or(Ok(()), |out| write(out, &rows, &remarks));
    match written {
        // A violation outranks everything.
        Err(error) if outcome(&rows) == Outcome::Violated => line(&format!("error: {error:#}")),
        written => written?,
    }
    match (outcome(&rows), ended) {
        // Why it ended early is said above.
        (Outcome::Violated, _) => Ok(Exit::Violated),
        (_, Err(error)) => Err(error),
        (_, Ok(())) if stop.asked().is_some() => Ok(Exit::Unknown),
        (_, Ok(())) if rows.is_empty() => Err(anyhow!("nothing was tried")),
        (outcome, Ok(())) => Ok(outcome.into()),
    }
}

/// Writes the table into a directory.
fn write(out: &Path, rows: &[Row], remarks: &[String]) -> anyhow::Result<()> {
    let write = |name: &str, text: String| {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("mutants.md", page(&super::command_line().join(" "), rows, remarks))?;
    write("mutants.json", serde_json::to_string_pretty(rows)? + "\n")
}

/// The weightiest outcome.
fn outcome(rows: &[Row]) -> Outcome {
    let any = |outcome| rows.iter().any(|row| row.outcome() == outcome);
    match () {
        () if any(Outcome::Violated) => Outcome::Violated,
        () if any(Outcome::Unknown) => Outcome::Unknown,
        () => Outcome::Ok,
    }
}

/// The page: the command, the table, and what the table does not say.
fn page(command: &str, rows: &[Row], remarks: &[String]) -> String {
    let mut table = table(rows, presets::ASCII_MARKDOWN);
    let table = table.set_content_arrangement(ContentArrangement::Disabled);
    let remarks: String = remarks.iter().map(|remark| format!("- {remark}\n")).collect();
    let apart = if remarks.is_empty() { "" } else { "\n" };
    format!("`{command}`\n\n{table}\n{apart}{remarks}")
}

/// A sentence for each campaign that did not do what it must, and whether all of them are there.
fn remarks(rows: &[Row], early: Option<String>) -> Vec<String> {
    let complete = |early| format!("{early}; the table is what was complete by then");
    rows.iter().flat_map(reported).chain(early.map(complete)).collect()
}

/// A sentence for each campaign that did not do what it must.
fn reported(row: &Row) -> Vec<String> {
    let name = row.mutant.map_or("the correct node", Mutant::name);
    let mut lines = Vec::new();
    for hunt in &row.hunts {
        let Hunt { first, seeds, wanted, seconds, found, unknown } = hunt;
        let range = format!("{first}..{}, {seconds:.0} s", first + seeds);
        match found {
            None if row.is_bug() => lines.push(format!("not caught: {name}, seeds {range}")),
            None if seeds < wanted => lines.push(format!(
                "too few: {name}, seeds {range}: {seeds} were judged, and at least {wanted} must be"
            )),
            Some(found) if !row.is_right(found) => {
                let Found { seed, property, summary, .. } = found;
                lines.push(format!("wrongly reported: {name}, seed {seed}, {property}: {summary}"));
            }
            _ => {}
        }
        for Undecided { seed, summary } in unknown {
            lines.push(format!("undecided: {name}, seed {seed}: {summary}"));
        }
    }
    lines
}

/// The table, a line for each kind of nodes.
fn table(rows: &[Row], style: TableStyle) -> Table {
    let mut table = Table::new();
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "nodes",
        "row",
        "source",
        "caught",
        "violated",
        "right",
        "seeds: median, worst",
        "seconds: median, worst",
        "shrunk to",
    ]);
    for row in rows {
        let about = row.mutant.map(Mutant::about);
        let caught = row.found().count();
        let right = row.found().filter(|found| row.is_right(found)).count();
        let properties = row.properties();
        let violated: Vec<_> = properties
            .iter()
            .map(|(name, times)| match *times == caught {
                true => (*name).to_owned(),
                false => format!("{name} ({times})"),
            })
            .collect();
        let or_dash = |text: String| if text.is_empty() { "–".to_owned() } else { text };
        let (median, most) = spread(row.hunts.iter().map(|hunt| hunt.seeds as f64).collect());
        // A bug should be found soon; of other nodes many seeds should be judged.
        let seeds = (median, if row.is_bug() { most } else { row.fewest() as f64 });
        let seconds = spread(row.hunts.iter().map(|hunt| hunt.seconds).collect());
        table.add_row([
            about.map_or("correct", |about| about.name).to_owned(),
            or_dash(about.and_then(|about| about.row).map_or(String::new(), |n| n.to_string())),
            match about {
                Some(about) if row.is_bug() => about.source.to_owned(),
                Some(_) => "equivalent".to_owned(),
                None => "–".to_owned(),
            },
            format!("{caught} of {}", row.hunts.len()),
            or_dash(violated.join(", ")),
            if row.is_bug() { format!("{right} of {caught}") } else { "–".to_owned() },
            format!("{:.0}, {:.0}", seeds.0, seeds.1),
            format!("{:.2}, {:.2}", seconds.0, seconds.1),
            or_dash(row.shrunk.as_ref().map(size).unwrap_or_default()),
        ]);
    }
    table
}

/// What is left of a seed, and after how long.
fn size(shrunk: &Shrunk) -> String {
    let faults = plural(shrunk.faults as u64, "fault");
    let operations = match shrunk.operations {
        Some(operations) => plural(operations as u64, "operation"),
        None => "generated operations".to_owned(),
    };
    let unfinished = if shrunk.cut_short { ", unfinished" } else { "" };
    format!("{faults}, {operations}, {} nodes in {:.0} s{unfinished}", shrunk.nodes, shrunk.seconds)
}

/// Median and largest; 0 of nothing.
fn spread(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    let median = match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    };
    (median, values.last().copied().unwrap_or_default())
}

/// The progress bar, and each kind of nodes above it when it is done.
struct Screen {
    bar: ProgressBar,
    /// Whether a kind of nodes was not as it should be.
    violated: Arc<AtomicBool>,
}

impl Screen {
    fn new(trial: &Trial, mutants: usize) -> Self {
        // The correct node is one more.
        let length = trial.starts * (mutants as u64 + 1);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}, {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar, violated: Arc::default() }
    }
}

impl Watch for Screen {
    fn begins(&self, mutant: Option<Mutant>, start: u64) {
        if self.bar.message().is_empty() {
            self.bar.reset();
        } else {
            self.bar.inc(1);
        }
        let name = mutant.map_or("correct", Mutant::name);
        self.bar.set_message(format!("{name}, start {start}"));
    }

    fn done(&self, row: &Row) {
        let name = row.mutant.map_or("correct", Mutant::name);
        let (caught, of) = (row.found().count(), row.hunts.len());
        let seconds = spread(row.hunts.iter().map(|hunt| hunt.seconds).collect());
        let word = match row.outcome() {
            Outcome::Ok => "as it should",
            Outcome::Violated => {
                self.violated.store(true, Ordering::Relaxed);
                "NOT AS IT SHOULD"
            }
            Outcome::Unknown => "UNDECIDED",
        };
        let judged = match row.is_bug() {
            true => String::new(),
            false => format!(", in at least {} each", plural(row.fewest(), "seed")),
        };
        let (median, worst) = seconds;
        self.bar.suspend(|| {
            line(&format!(
                "{name}: caught {caught} of {of}{judged}, {word}; {median:.2} s, at worst \
                 {worst:.2} s"
            ));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::mutants::{Found, Hunt};

    #[test]
    fn a_spread_is_the_median_and_the_worst() {
        assert_eq!(spread(vec![]), (0.0, 0.0));
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), (2.0, 3.0));
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 3.0]), (2.5, 4.0));
    }

    fn hunt(property: Option<&str>, seeds: u64) -> Hunt {
        Hunt {
            first: 0,
            seeds,
            wanted: 0,
            seconds: 0.5,
            found: property.map(|property| Found {
                seed: seeds - 1,
                property: property.to_owned(),
                properties: vec![property.to_owned()],
                summary: "n1 did it".to_owned(),
            }),
            unknown: Vec::new(),
        }
    }

    #[test]
    fn the_page_has_what_was_not_as_it_should_and_says_when_it_ended_early() {
        let row = |mutant, hunts| Row { mutant, hunts, shrunk: None };
        let undecided = Undecided { seed: 7, summary: "Too long.".to_owned() };
        let rows = [
            row(Some(Mutant::ForgetsVote), vec![hunt(None, 40), hunt(Some("liveness"), 3)]),
            row(Some(Mutant::SmallAppends), vec![Hunt { wanted: 50, ..hunt(None, 12) }]),
            row(None, vec![Hunt { unknown: vec![undecided], ..hunt(None, 50) }]),
        ];
        let said = remarks(&rows, Some("ended early by SIGINT".to_owned()));
        let page = page("harness mutants", &rows, &said);
        let said = page.split_once("|\n\n- ").expect("a table, then a list").1;
        let said: Vec<&str> = said.lines().map(|line| line.trim_start_matches("- ")).collect();
        assert_eq!(
            said,
            [
                "not caught: forgets-vote, seeds 0..40, 0 s",
                "wrongly reported: forgets-vote, seed 2, liveness: n1 did it",
                "too few: small-appends, seeds 0..12, 0 s: 12 were judged, and at least 50 must be",
                "undecided: the correct node, seed 7: Too long.",
                "ended early by SIGINT; the table is what was complete by then",
            ]
        );
        assert_eq!(outcome(&rows), Outcome::Violated);
        assert_eq!(outcome(&rows[1..]), Outcome::Unknown);
        assert_eq!(outcome(&[]), Outcome::Ok);
    }

    #[test]
    fn the_table_says_what_was_caught_and_how() {
        let hunts =
            vec![hunt(Some("survives-restart"), 3), hunt(Some("liveness"), 9), hunt(None, 40)];
        let bug = Row {
            mutant: Some(Mutant::ForgetsVote),
            hunts,
            shrunk: Some(Shrunk {
                seed: 2,
                property: "survives-restart".to_owned(),
                faults: 1,
                operations: Some(2),
                nodes: 3,
                seconds: 4.4,
                cut_short: false,
            }),
        };
        let hunts = vec![hunt(None, 40), hunt(None, 90), hunt(None, 50)];
        let correct = Row { mutant: None, hunts, shrunk: None };
        let text = table(&[bug, correct], presets::ASCII_MARKDOWN).to_string();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(
            lines[2],
            [
                "forgets-vote",
                "2",
                "eliben/raft#27",
                "2 of 3",
                "liveness (1), survives-restart (1)",
                "1 of 2",
                "9, 40",
                "0.50, 0.50",
                "1 fault, 2 operations, 3 nodes in 4 s"
            ]
        );
        assert_eq!(
            lines[3],
            ["correct", "–", "–", "0 of 3", "–", "–", "50, 40", "0.50, 0.50", "–"]
        );
    }
}
