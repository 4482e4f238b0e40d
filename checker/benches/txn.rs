//! How long the check of a history of transactions takes, proof and its verification included.
//! Prints a table; asserts no times.
//!
//! `cargo bench -p checker --bench txn`

#[path = "../tests/generator/txn.rs"]
mod generator;

use std::{
    fs,
    time::{Duration, Instant},
};

use checker::{history::generic::pair, linear::Limits, txn, verdict::Property};
use comfy_table::Table;
use cpu_time::ProcessTime;
use generator::{Plan, Shape};

fn main() {
    let base = Shape {
        transactions: 1_000_000,
        clients: 20,
        steps: 4,
        keys: 10,
        appends: 256,
        crashed: 0,
        failed: 0,
        pause: 1,
        pace: 1_000_000,
    };
    let small = Shape { transactions: 100_000, ..base };
    let shapes = [
        ("100,000", small),
        ("1,000,000", base),
        ("the same, 1 % unknown, 5 % failed", Shape { crashed: 10, failed: 50, ..base }),
        ("1,000,000, 3 keys of 1,000 appends", Shape { keys: 3, appends: 1000, ..base }),
    ];
    let mut table = Table::new();
    table.set_header([
        "list-append transactions",
        "made compact, s",
        "check, s",
        "check, processor s",
        "peak, MiB",
        "outcome",
    ]);
    for (name, shape) in shapes {
        let plan = Plan::new(shape, 1);
        let start = Instant::now();
        let history = plan.history();
        let compact = start.elapsed();
        drop(plan);
        table.add_row(row(name, Some(compact), || history.check(&Limits::default())));
    }
    // As the command has it: every answer in memory, and made compact by the check.
    let events = Plan::new(small, 1).events();
    let operations = pair(&events).expect("the generator makes whole histories");
    table.add_row(row("100,000, as events", None, || {
        txn::check(&operations, &Limits::default()).expect("the generator makes transactions")
    }));
    println!("{table}");
}

fn row(name: &str, compact: Option<Duration>, check: impl FnOnce() -> Property) -> [String; 6] {
    // What the generator took is not the check's: the peak starts here again.
    let reset = fs::write("/proc/self/clear_refs", "5").is_ok();
    let (start, processor) = (Instant::now(), ProcessTime::now());
    let property = check();
    let (checked, processor) = (start.elapsed(), processor.elapsed());
    let seconds = |duration: Duration| format!("{:.2}", duration.as_secs_f64());
    [
        name.to_owned(),
        compact.map_or_else(|| "in the check".into(), seconds),
        seconds(checked),
        seconds(processor),
        peak().filter(|_| reset).map_or_else(|| "?".into(), |mib| mib.to_string()),
        format!("{} ({})", property.outcome, property.detail),
    ]
}

/// The most memory that the process held at any time, the history included.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.div_ceil(1024))
}
