//! The words around the picture: what the template is filled with.

use std::path::Path;

use anyhow::Context;
use checker::{
    explanation::{self, drawing},
    fault::Phase,
    verdict::{Outcome, Violation},
};
use minijinja::{Environment, Value as View, context, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use super::{
    Account,
    faults::{End, Fault},
    operations::UNAVAILABLE_MIN,
    proof, text,
    timeline::Timeline,
};

/// Limits that keep the page small; what they leave out is counted on the page.
pub(super) const EVENTS_MAX: usize = 40;
const VIOLATIONS_MAX: usize = 12;
const TRACE_MAX: usize = 20;
const WINDOWS_MAX: usize = 100;
const ERRORS_MAX: usize = 12;
const LEADERS_MAX: usize = 200;
const DETAIL_MAX: usize = 4_000;
const DETAILS_MAX: usize = 500_000;
const FAULTS_MAX: usize = 1_000;
const JSON_MAX: usize = 60_000;
const FACTS_MAX: usize = 60;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// Fills the template.
pub(super) fn render(account: &Account, timeline: &Timeline, dir: &Path) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    // The name's ending turns escaping on.
    environment.add_template("page.html", TEMPLATE).context("the page's template is broken")?;
    let template = environment.get_template("page.html")?;
    let operations = &account.operations;
    let windows = &operations.windows;
    let name = dir
        .canonicalize()
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
    let page = template.render(context! {
        style => View::from_safe_string(format!("{STYLE}{}", explanation::STYLE)),
        timeline => View::from_safe_string(timeline.inline()),
        name => name.unwrap_or_else(|| "run".into()),
        // A simulated world has no calendar.
        started => Serde(
            account.run.as_ref().filter(|run| !run.simulated).map(|run| utc(run.started))
        ),
        simulated => account.simulated(),
        verdict => Serde(Headline::of(account)),
        figures => Serde(figures(account)),
        notes => Serde(&account.notes),
        violations => Serde(violations(account)),
        properties => Serde(properties(account)),
        not_tested => Serde(account.verdict.as_ref().map(|verdict| &verdict.not_tested)),
        not_judged => Serde(account.verdict.as_ref().map(|verdict| &verdict.not_judged)),
        windows => Serde(windows.iter().take(WINDOWS_MAX).map(|w| Row {
            cells: vec![
                text::moment(w.start),
                text::length(w.end - w.start),
                if w.recovered { String::new() } else { "until the end of the run".into() },
                during(account, w.start, w.end),
            ],
        }).collect::<Vec<_>>()),
        served => operations.invoked > 0,
        windows_left => windows.len().saturating_sub(WINDOWS_MAX),
        window_min => text::length(UNAVAILABLE_MIN),
        faults => Serde(faults(account)),
        faults_left => account.faults.len().saturating_sub(FAULTS_MAX),
        leaders => Serde(leaders(account)),
        errors => Serde(errors(account)),
        plan => Serde(account.plan.as_ref().map(facts)),
        plan_json => Serde(account.plan.as_ref().map(pretty)),
        environment => Serde(account.environment.as_ref().map(facts)),
        environment_json => Serde(account.environment.as_ref().map(pretty)),
        scenario => account.scenario,
        command => command(account, dir),
        check => format!("cargo run --release -- check {}", dir.display()),
    });
    page.context("the page's template could not be filled")
}

/// The command that does it all again.
fn command(account: &Account, dir: &Path) -> String {
    const PROGRAM: &str = "cargo run --release --";
    if !account.scenario {
        return format!("{PROGRAM} test --plan {}/plan.json", dir.display());
    }
    let typed = account.environment.as_ref().and_then(|e| e.get("command")?.as_array());
    let arguments = typed.into_iter().flatten().skip(1).filter_map(|a| a.as_str());
    let arguments: Vec<&str> = arguments.collect();
    let mut command = format!("{PROGRAM} {}", arguments.join(" "));
    if !arguments.contains(&"--seed")
        && let Some(seed) = account.plan.as_ref().and_then(|plan| plan.get("seed"))
    {
        command += &format!(" --seed {seed}");
    }
    command
}

#[derive(Serialize)]
struct Row {
    cells: Vec<String>,
}

/// The verdict, unmistakable.
#[derive(Serialize)]
struct Headline {
    class: &'static str,
    word: &'static str,
    sentence: String,
    counts: String,
}

impl Headline {
    fn of(account: &Account) -> Self {
        let Some(verdict) = &account.verdict else {
            return Self {
                class: "unknown",
                word: "No verdict",
                sentence: "The run has not been checked, or was cut short before it was: this page shows what was recorded.".into(),
                counts: counts(account),
            };
        };
        let (class, word) = outcome(verdict.outcome);
        let word = match (verdict.outcome, account.simulated()) {
            (Outcome::Ok, true) => "All properties held in simulation",
            (Outcome::Ok, false) => "All properties held",
            _ => word,
        };
        Self { class, word, sentence: verdict.summary.clone(), counts: counts(account) }
    }
}

/// What the verdict rests on.
fn counts(account: &Account) -> String {
    let mut parts = Vec::new();
    let mut add = |n: usize, one: &str, many: &str| {
        parts.push(format!("{} {}", text::count(n as u64), if n == 1 { one } else { many }));
    };
    if account.operations.invoked > 0 {
        add(account.operations.invoked as usize, "operation", "operations");
    }
    if let Some(run) = &account.run {
        add(run.nodes, "node", "nodes");
    }
    let skipped = account.faults.iter().filter(|fault| fault.end() == End::Skipped).count();
    add(account.faults.len() - skipped, "fault", "faults");
    if account.lanes.values().any(|lane| lane.traced) {
        add(account.leaders().len(), "leader elected", "leaders elected");
    }
    if let Some(seed) = account.plan.as_ref().and_then(|plan| plan.get("seed")) {
        parts.push(format!("seed {seed}"));
    }
    parts.join(" · ")
}

fn outcome(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Ok => ("ok", "held"),
        Outcome::Unknown => ("unknown", "Undecided"),
        Outcome::Violated => ("violated", "Violated"),
    }
}

#[derive(Serialize)]
struct Figure {
    value: String,
    label: String,
}

fn figures(account: &Account) -> Vec<Figure> {
    let operations = &account.operations;
    let [ok, mismatch, fail, info] = operations.ended;
    let mut figures = Vec::new();
    let mut add = |value: String, label: String| figures.push(Figure { value, label });
    if operations.invoked > 0 {
        let per_second = ok as f64 / (account.end as f64 / 1e9);
        add(
            text::count(operations.invoked),
            format!("operations in {}", text::length(account.end)),
        );
        add(text::count(per_second as u64), "successful per second, on average".into());
        let mut others = format!("{} ok", text::count(ok));
        if mismatch > 0 {
            others += &format!(" · {} compares refused", text::count(mismatch));
        }
        add(
            format!("{} · {}", text::count(fail), text::count(info)),
            format!("failed · unknown ({others})"),
        );
    }
    if !operations.latency.is_empty() {
        let at = |q| text::length(operations.latency.value_at_quantile(q) * 1000);
        add(format!("{} · {}", at(0.5), at(0.99)), "latency, median · 99th percentile".into());
    }
    let came_to = |end| account.faults.iter().filter(|fault| fault.end() == end).count();
    let skipped = came_to(End::Skipped);
    let faults = account.faults.len() - skipped;
    let mut label = match (came_to(End::Inert), came_to(End::Lasting)) {
        (0, 0) => "faults, all confirmed and healed, with proof".to_owned(),
        (0, lasting) => format!("faults, all confirmed; {lasting} were not to heal"),
        (inert, _) => format!("faults, {inert} of them without proof"),
    };
    if skipped > 0 {
        label += &format!("; {skipped} more skipped");
    }
    add(text::count(faults as u64), label);
    if account.lanes.values().any(|lane| lane.traced) {
        add(text::count(account.leaders().len() as u64), "leaders elected".into());
    }
    if operations.invoked == 0 {
        return figures;
    }
    let longest = operations.windows.iter().map(|w| w.end - w.start).max();
    let total: u64 = operations.windows.iter().map(|w| w.end - w.start).sum();
    add(
        longest.map_or("none".into(), text::length),
        match operations.windows.len() {
            0 => format!("without service for {} or longer", text::length(UNAVAILABLE_MIN)),
            n => format!(
                "longest time without service ({n} in all: {})",
                text::length(total).replace(' ', "\u{a0}")
            ),
        },
    );
    figures
}

#[derive(Serialize)]
struct PropertyRow {
    name: String,
    class: &'static str,
    word: &'static str,
    detail: String,
}

fn properties(account: &Account) -> Vec<PropertyRow> {
    let properties = account.verdict.iter().flat_map(|verdict| &verdict.properties);
    properties
        .map(|property| {
            let (class, word) = outcome(property.outcome);
            PropertyRow {
                name: property.name.clone(),
                class,
                word,
                detail: property.detail.clone(),
            }
        })
        .collect()
}

#[derive(Serialize)]
struct ViolationSection {
    rule: String,
    summary: String,
    nodes: String,
    /// The operations, and the order that was tried.
    drawing: Option<View>,
    trace: Vec<String>,
    left: usize,
}

#[derive(Serialize)]
struct Violations {
    sections: Vec<ViolationSection>,
    left: usize,
}

fn violations(account: &Account) -> Violations {
    let all: Vec<&Violation> = account
        .verdict
        .iter()
        .flat_map(|verdict| &verdict.properties)
        .flat_map(|property| &property.violations)
        .collect();
    let shown = || all.iter().copied().take(VIOLATIONS_MAX);
    let named: Vec<_> = account.operations.named.values().cloned().collect();
    let explanations = explanation::of(shown(), &named.into());
    let sections = shown().zip(explanations).map(|(violation, explanation)| ViolationSection {
        rule: explanation.as_ref().map_or(&violation.rule, |why| &why.title).clone(),
        summary: violation.summary.clone(),
        nodes: violation.nodes.join(" "),
        drawing: explanation
            .map(|explanation| View::from_safe_string(drawing(&explanation, |index| index))),
        trace: violation
            .trace
            .iter()
            .take(TRACE_MAX)
            .map(|record| serde_json::to_string(record).unwrap_or_else(|e| e.to_string()))
            .map(|line| text::shortened(&line, DETAIL_MAX))
            .collect(),
        left: violation.operations.len().saturating_sub(EVENTS_MAX)
            + violation.trace.len().saturating_sub(TRACE_MAX),
    });
    Violations { sections: sections.collect(), left: all.len().saturating_sub(VIOLATIONS_MAX) }
}

/// The faults that were active within an interval, in words.
fn during(account: &Account, start: u64, end: u64) -> String {
    const SHOWN: usize = 4;
    let labels: Vec<String> = account.active_between(start, end).map(Fault::label).collect();
    match labels.len() {
        0 => "none".into(),
        n if n > SHOWN => format!("{} and {} more", labels[..SHOWN].join("; "), n - SHOWN),
        _ => labels.join("; "),
    }
}

#[derive(Serialize)]
struct FaultRow {
    number: usize,
    label: String,
    kind: String,
    leader: String,
    class: &'static str,
    word: String,
    times: Vec<String>,
    proof: String,
}

fn faults(account: &Account) -> Vec<FaultRow> {
    let mut budget = DETAILS_MAX;
    let mut rows = Vec::new();
    for fault in account.faults.iter().take(FAULTS_MAX) {
        let (class, word) = match fault.end() {
            End::Proven => ("ok", "proven".into()),
            End::Skipped => ("", "skipped".into()),
            End::Lasting => ("unknown", "confirmed, no heal requested".into()),
            End::Inert if fault.at(Phase::Failed).is_some() => ("violated", "failed".into()),
            End::Inert if fault.at(Phase::Confirmed).is_none() => ("violated", "no proof".into()),
            End::Inert => ("violated", "not seen healed".into()),
        };
        let phases = [
            Phase::Requested,
            Phase::Applied,
            Phase::Confirmed,
            Phase::HealRequested,
            Phase::Healed,
        ];
        let mut proof = String::new();
        for (phase, time, detail) in &fault.details {
            let phase = match phase {
                Phase::HealRequested => "heal asked".into(),
                phase => format!("{phase:?}").to_lowercase(),
            };
            proof += &format!("{phase} at {}\n", text::moment(*time));
            proof::write(&mut proof, &serde_json::json!(detail), 1);
        }
        let proof = text::shortened(proof.trim_end(), DETAIL_MAX);
        let proof = if proof.len() <= budget {
            budget -= proof.len();
            proof
        } else {
            format!("left out to keep the page small: see faults.jsonl, fault {}", fault.number)
        };
        rows.push(FaultRow {
            number: fault.number,
            label: fault.label(),
            kind: match fault.kind {
                "restart" => "kill".into(),
                kind @ ("kill" | "pause" | "partition") => kind.into(),
                _ => "other".into(),
            },
            leader: fault.leader.clone().unwrap_or_default(),
            class,
            word,
            times: phases
                .into_iter()
                .map(|phase| {
                    fault.at(phase).map_or(String::new(), |t| format!("{:.3}", t as f64 / 1e9))
                })
                .collect(),
            proof,
        });
    }
    rows
}

#[derive(Serialize)]
struct Leaders {
    rows: Vec<Row>,
    left: usize,
}

fn leaders(account: &Account) -> Leaders {
    let leaders = account.leaders();
    let rows = leaders.iter().take(LEADERS_MAX).map(|(time, term, node)| Row {
        cells: vec![
            text::moment(*time),
            term.to_string(),
            format!("n{node}"),
            during(account, *time, time + 1),
        ],
    });
    Leaders { rows: rows.collect(), left: leaders.len().saturating_sub(LEADERS_MAX) }
}

fn errors(account: &Account) -> Vec<Row> {
    let mut errors: Vec<_> = account.operations.errors.iter().collect();
    errors.sort_by_key(|(text, count)| (std::cmp::Reverse(**count), text.as_str()));
    errors
        .into_iter()
        .take(ERRORS_MAX)
        .map(|(error, count)| Row { cells: vec![text::count(*count), error.clone()] })
        .collect()
}

/// The plain values of a JSON object, nested names joined by dots; lists of faults and the like
/// are left to the full text.
fn facts(value: &serde_json::Value) -> Vec<Row> {
    fn walk(prefix: &str, value: &serde_json::Value, rows: &mut Vec<Row>) {
        use serde_json::Value::{Array, Null, Object, String};
        if rows.len() >= FACTS_MAX {
            return;
        }
        match value {
            Object(fields) => {
                for (name, value) in fields {
                    let path =
                        if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    walk(&path, value, rows);
                }
            }
            Null => {}
            Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                rows.push(Row { cells: vec![prefix.into(), format!("{} entries", items.len())] });
            }
            Array(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .collect();
                let text = text::shortened(&items.join(", "), 300);
                rows.push(Row { cells: vec![prefix.into(), text] });
            }
            String(text) => {
                rows.push(Row { cells: vec![prefix.into(), text::shortened(text, 300)] });
            }
            other => rows.push(Row { cells: vec![prefix.into(), other.to_string()] }),
        }
    }
    let mut rows = Vec::new();
    walk("", value, &mut rows);
    rows
}

fn pretty(value: &serde_json::Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text::shortened(&text, JSON_MAX)
}

/// `2026-03-01 12:00:00 UTC`.
fn utc(nanoseconds: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(nanoseconds);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}
