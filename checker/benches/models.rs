//! How long the check of a store of texts, a set or a queue takes. Prints a table of processor
//! times, the best of several; asserts no times.
//!
//! `cargo bench -p checker --bench models`

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../tests/etcd/generate.rs"]
mod generate;
#[path = "../tests/generator/models.rs"]
mod generator;
#[path = "../tests/etcd/naive.rs"]
mod naive;

use std::{path::Path, time::Duration};

use checker::{
    budget::Limits,
    history::{
        Events,
        generic::{self, Event, Operation},
        read,
    },
    judge::front::{etcd, kv, queue, set},
    model::Unexpected,
    verdict::Property,
};
use comfy_table::Table;
use cpu_time::ProcessTime;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

type Check = fn(&[Operation<'_>], &Limits) -> Result<Property, Unexpected>;

/// Measurements of each history.
const RUNS: usize = 9;

fn public(name: &str) -> Vec<Event> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kv").join(name);
    let text = std::fs::read(&file).expect("the file is in the repository");
    match read::read(text.as_slice(), &file, None, false).expect("it is a history").events {
        Events::Generic(events) => events,
        Events::Register(_) => panic!("{name} is no history of registers"),
    }
}

fn store(unknown: f64) -> Vec<Event> {
    let shape =
        generate::Shape { operations: 100_000, processes: 20, keys: 20, unknown, spread: 1000 };
    generate::events(&generate::legal(&mut ChaCha8Rng::seed_from_u64(1), shape))
}

fn main() {
    let rows: [(&str, Check, Vec<Event>); 13] = [
        ("c01-ok", kv::check, public("c01-ok.txt")),
        ("c01-bad", kv::check, public("c01-bad.txt")),
        ("c10-ok", kv::check, public("c10-ok.txt")),
        ("c10-bad", kv::check, public("c10-bad.txt")),
        ("c50-ok", kv::check, public("c50-ok.txt")),
        ("1 key of 50 clients, ok", kv::check, generator::texts(50, 1000, 1, false)),
        ("1 key of 50 clients, a stale get", kv::check, generator::texts(50, 1000, 1, true)),
        ("1 key of 5 clients", kv::check, generator::texts(5, 100_000, 1, false)),
        ("a growing set, 50 clients", set::check, generator::sets(50, 10_000, 1)),
        ("a queue, 5 clients", queue::check, generator::queues(5, 100_000, 1)),
        ("a queue, 50 clients", queue::check, generator::queues(50, 100_000, 1)),
        ("the whole store, 20 clients", etcd::check, store(0.0)),
        ("the same, 1 % of unknown outcome", etcd::check, store(0.01)),
    ];
    let mut table = Table::new();
    table.set_header(["history", "operations", "check, ms", "outcome"]);
    for (name, check, events) in rows {
        let operations = generic::pair(&events).expect("whole histories");
        let mut best = Duration::MAX;
        let mut outcome = String::new();
        for _ in 0..RUNS {
            let start = ProcessTime::now();
            let property = check(&operations, &Limits::default()).expect("the model's own");
            best = best.min(start.elapsed());
            outcome = property.outcome.to_string();
        }
        table.add_row([
            name.to_owned(),
            operations.len().to_string(),
            format!("{:.3}", best.as_secs_f64() * 1e3),
            outcome,
        ]);
    }
    println!("{table}");
}
