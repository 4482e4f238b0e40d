//! How long the check of a history takes and how much memory, against what it may take; and how
//! fast histories are read. Prints two tables; asserts the verdicts, and no times.
//!
//! `cargo bench -p checker --bench linear`
//!
//! Times are medians of the thread's processor time for the check alone, certificates included:
//! the history has been read and its events have been paired. Memory is what the check holds beside
//! these at any time. `cargo bench` also has `txn`, `trace` and `models`.

#[path = "../tests/generator/mod.rs"]
mod generator;
mod measure;

use std::{fmt::Write, fs, path::Path};

use checker::{
    budget::Limits,
    consistency,
    history::{Event, Events, Kind, Value, generic, operation, read, register},
    judge::front::kv,
    linear,
    model::Unexpected,
    verdict::{Outcome, Property},
};
use comfy_table::Table;
use generator::{Shape, with_stale_read};
use measure::{
    measure,
    report::{Bound, Report, Target, within},
};

/// Operations of a history whose check is measured often.
const SHORT: usize = 10_000;

fn main() {
    let five = Shape {
        keys: 1,
        clients: 5,
        operations: 100_000,
        values: None,
        crashed: 0,
        crashed_writes: 0,
        revisions: false,
    };
    let million = Shape { operations: 1_000_000, ..five };
    let many = Shape { keys: 1000, clients: 50, ..million };
    let fifty = Shape { clients: 50, operations: 1000, ..five };
    // Two more make the read stale.
    let writes = Shape { operations: 998, crashed_writes: 100, ..five };
    let crashed = Shape { operations: 998, crashed: 100, ..five };
    let run = Shape { keys: 40, clients: 50, operations: 200_000, crashed: 10, ..five };
    let repeated = |shape| Shape { values: Some(5), ..shape };

    let mut report = Report::new("history", "operations");
    etcd(&mut report);
    c50(&mut report);
    let bound = |milliseconds, megabytes| Bound { milliseconds, megabytes };
    let shapes = [
        (
            "1 key, 5 clients, unique values",
            five,
            Some((bound(30.0, Some(30.0)), bound(7.0, None))),
        ),
        ("the same with revisions", Shape { revisions: true, ..five }, None),
        ("1 key, 5 clients, five values", repeated(five), None),
        ("1 key, 5 clients, unique values", million, within(500.0, 200.0)),
        ("1,000 keys, 50 clients, unique values", many, within(400.0, 120.0)),
        ("1 key, 50 clients, unique values", fifty, within(10.0, 1.0)),
        ("1 key, 50 clients, five values", repeated(fifty), within(10.0, 1.0)),
        ("40 keys, 50 clients, 1 % unknown outcomes", run, None),
        ("the same with five values", repeated(run), None),
    ];
    for (name, shape, target) in shapes {
        register(&mut report, name, &generator::history(shape, 1), target, Outcome::Ok);
    }
    let target = within(10.0, 1.0);
    for (name, shape, target) in [
        ("100 crashed writes and one stale read", writes, target),
        ("the same with five values", repeated(writes), target),
        ("10 % unknown outcomes of all kinds and one stale read", crashed, None),
        ("the same with five values", repeated(crashed), None),
    ] {
        let history = with_stale_read(generator::history(shape, 1));
        register(&mut report, name, &history, target, Outcome::Violated);
    }
    weaker(&mut report, "session", consistency::session::check, "unique values", five);
    weaker(&mut report, "session", consistency::session::check, "five values", repeated(five));
    let short = Shape { operations: 1000, ..repeated(five) };
    weaker(&mut report, "sequential", consistency::sequential::check, "unique values", five);
    weaker(&mut report, "sequential", consistency::sequential::check, "five values", short);
    println!("{}", report.0);
    println!("{}", parse(&generator::history(Shape { keys: 10, ..five }, 1)));
}

/// Measures a check of so many operations, whose outcome is known.
fn row(
    report: &mut Report,
    name: &str,
    operations: usize,
    target: Target,
    expected: Outcome,
    check: impl FnMut() -> Property,
) {
    let rounds = if operations <= SHORT { 31 } else { 5 };
    let property =
        report.measure(name, operations, target, rounds, check, |found| found.outcome.to_string());
    assert_eq!(property.outcome, expected, "{name}: {property:?}");
}

fn register(report: &mut Report, name: &str, history: &[Event], target: Target, expected: Outcome) {
    let operations = operation::pair(history).expect("the generator makes whole histories");
    row(report, name, operations.len(), target, expected, || {
        linear::check(&operations, &Limits::default())
    });
}

type Weak = fn(&[generic::Operation<'_>], &Limits) -> Result<Vec<Property>, Unexpected>;

fn weaker(report: &mut Report, promise: &str, check: Weak, values: &str, shape: Shape) {
    let events: Vec<_> = generator::history(shape, 1).into_iter().map(Into::into).collect();
    let operations = generic::pair(&events).expect("the generator makes whole histories");
    let (cost, found) = measure(5, || check(&operations, &Limits::default()));
    let properties = found.expect("operations of registers");
    // The first is the promise itself, the others say more of a violation.
    let outcome = properties.first().map_or_else(String::new, |first| first.outcome.to_string());
    let name = format!("{promise}: 1 key, 5 clients, {values}");
    report.add(&name, operations.len(), None, &cost, &outcome);
}

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn public(file: &Path) -> Vec<generic::Event> {
    let text = fs::read(file).expect("the file is in the repository");
    match read::read(text.as_slice(), file, None, false).expect("it is a history").events {
        Events::Generic(events) => events,
        Events::Register(_) => panic!("{} is one of ours", file.display()),
    }
}

/// The public histories of etcd, one after the other.
fn etcd(report: &mut Report) {
    let verdicts = fs::read_to_string(data().join("jepsen/verdicts.csv")).expect("it is there");
    let histories: Vec<(Vec<Event>, Outcome)> = verdicts
        .lines()
        .skip(1)
        .map(|line| {
            let (file, verdict) = line.split_once(',').expect("a file and its verdict");
            let events = register::from_generic(public(&data().join("jepsen").join(file)));
            let expected = if verdict == "ok" { Outcome::Ok } else { Outcome::Violated };
            (events.expect("a history of a register"), expected)
        })
        .collect();
    let paired: Vec<_> = histories
        .iter()
        .map(|(events, expected)| (operation::pair(events).expect("whole histories"), *expected))
        .collect();
    let (cost, ()) = measure(101, || {
        for (operations, expected) in &paired {
            assert_eq!(linear::check(operations, &Limits::default()).outcome, *expected);
        }
    });
    let name = format!("{} histories of etcd, summed", paired.len());
    let operations = paired.iter().map(|(operations, _)| operations.len()).sum();
    report.add(&name, operations, within(1.2, 0.3), &cost, "as is known");
}

fn c50(report: &mut Report) {
    let events = public(&data().join("kv/c50-ok.txt"));
    let operations = generic::pair(&events).expect("a whole history");
    row(report, "c50-ok", operations.len(), within(3.0, 0.5), Outcome::Ok, || {
        kv::check(&operations, &Limits::default()).expect("a history of a store of texts")
    });
}

/// How fast the same history is read in each format.
fn parse(history: &[Event]) -> Table {
    let lines = |line: &dyn Fn(&Event) -> String| -> String { history.iter().map(line).collect() };
    let texts = [
        ("JSON Lines", lines(&|event| serde_json::to_string(event).expect("an event") + "\n")),
        ("history.edn", lines(&edn)),
        ("jepsen.log", lines(&log)),
        ("Porcupine", lines(&porcupine)),
    ];
    let mut table = Table::new();
    table.set_header(["format", "lines", "MB", "median, ms", "MB/s", "million lines/s"]);
    for (name, text) in texts {
        let (cost, read) = measure(5, || read::read(text.as_bytes(), Path::new(name), None, false));
        assert_eq!(read.expect("it is a history").events.len(), history.len(), "{name}");
        let (seconds, megabytes) = (cost.median.as_secs_f64(), text.len() as f64 / 1e6);
        table.add_row([
            name.to_owned(),
            history.len().to_string(),
            format!("{megabytes:.1}"),
            format!("{:.1}", seconds * 1e3),
            format!("{:.0}", megabytes / seconds),
            format!("{:.2}", history.len() as f64 / seconds / 1e6),
        ]);
    }
    table
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Invoke => "invoke",
        Kind::Ok => "ok",
        Kind::Fail => "fail",
        Kind::Info => "info",
    }
}

fn value(value: Value) -> String {
    let nil = |value: Option<i64>| value.map_or_else(|| "nil".into(), |value| value.to_string());
    match value {
        Value::Nil => "nil".into(),
        Value::Int(value) => value.to_string(),
        Value::Pair(expected, new) => format!("[{} {new}]", nil(expected)),
        Value::Found(found) => format!("[{}]", nil(found)),
    }
}

fn edn(event: &Event) -> String {
    let Event { index, time, process, f, key, .. } = event;
    let mut line = format!("{{:type :{}, :f :{}", kind(event.kind), f.name());
    let _ = write!(line, ", :value [{key:?} {}], :process {process}", value(event.value));
    line + &format!(", :time {time}, :index {index}}}\n")
}

fn log(event: &Event) -> String {
    let (kind, f, value) = (kind(event.kind), event.f.name(), value(event.value));
    format!("INFO  jepsen.util - {}\t:{kind}\t:{f}\t{value}\n", event.process)
}

/// With texts for numbers, as the format has it.
fn porcupine(event: &Event) -> String {
    let (kind, value) = (kind(event.kind), value(event.value));
    let f = if event.value == Value::Nil { "get" } else { "put" };
    let Event { process, key, .. } = event;
    format!("{{:process {process}, :type :{kind}, :f :{f}, :key {key:?}, :value {value:?}}}\n")
}
