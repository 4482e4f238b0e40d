//! `harness mutants`, in a build that has some.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow};
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
    campaign::mutants::{self, Row, Shrunk, Trial, Undecided, Watch},
    run::Stop,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// These alone, by name, separated by commas [default: all]
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
    args.options.drawn(0).map_err(Usage)?;
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
    let work = {
        let (over, options) = (Arc::clone(&over), args.options);
        tokio::task::spawn_blocking(move || {
            let plan = |seed| options.drawn(seed);
            let rows = mutants::run(&trial, &chosen, &plan, &screen, &over);
            screen.bar.finish_and_clear();
            rows
        })
    };
    tokio::pin!(work);
    let rows = tokio::select! {
        rows = &mut work => rows,
        () = stop.first() => {
            over.store(true, Ordering::Relaxed);
            work.await
        }
    };
    let rows = rows.context("the campaigns panicked")??;
    line(&table(&rows, presets::UTF8_HORIZONTAL_ONLY).to_string());
    for row in &rows {
        reported(row);
    }
    if let Some(out) = &args.out {
        let write = |name: &str, text: String| {
            let path = out.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())
        };
        let command = super::command_line().join(" ");
        let mut table = table(&rows, presets::ASCII_MARKDOWN);
        let text = table.set_content_arrangement(ContentArrangement::Disabled).to_string();
        write("mutants.md", format!("`{command}`\n\n{text}\n"))?;
        write("mutants.json", serde_json::to_string_pretty(&rows)? + "\n")?;
    }
    if let Some(signal) = stop.asked() {
        line(&format!("ended early by {signal}: the table is what was complete by then"));
    }
    let fine = rows.iter().all(Row::is_fine);
    Ok(match (fine, stop.asked()) {
        (false, _) => Exit::Violated,
        (true, Some(_)) => Exit::Unknown,
        (true, None) if rows.is_empty() => return Err(anyhow!("nothing was tried")),
        (true, None) => Exit::Ok,
    })
}

/// A line for each campaign that did not do what it must.
fn reported(row: &Row) {
    let name = row.mutant.map_or("the correct node", Mutant::name);
    for hunt in &row.hunts {
        match &hunt.found {
            None if row.is_bug() => line(&format!(
                "not caught: {name}, seeds {}..{}, {:.0} s",
                hunt.first,
                hunt.first + hunt.seeds,
                hunt.seconds
            )),
            Some(found) if !row.is_right(found) => {
                line(&format!("wrongly reported: {name}, seed {}: {}", found.seed, found.summary));
            }
            _ => {}
        }
        for Undecided { seed, summary } in &hunt.unknown {
            line(&format!("undecided: {name}, seed {seed}: {summary}"));
        }
    }
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
        let seeds = spread(row.hunts.iter().map(|hunt| hunt.seeds as f64).collect());
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
        Self { bar }
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
        let word = if row.is_fine() { "as it should" } else { "NOT AS IT SHOULD" };
        let (median, worst) = seconds;
        self.bar.suspend(|| {
            line(&format!(
                "{name}: caught {caught} of {of}, {word}; {median:.2} s, at worst {worst:.2} s"
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

    #[test]
    fn the_table_says_what_was_caught_and_how() {
        let hunt = |property: Option<&str>, seeds| Hunt {
            first: 0,
            seeds,
            seconds: 0.5,
            found: property.map(|property| Found {
                seed: seeds - 1,
                properties: vec![property.to_owned()],
                summary: "n1 did it".to_owned(),
            }),
            unknown: Vec::new(),
        };
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
        let correct = Row { mutant: None, hunts: vec![hunt(None, 40)], shrunk: None };
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
            ["correct", "–", "–", "0 of 1", "–", "–", "40, 40", "0.50, 0.50", "–"]
        );
    }
}
