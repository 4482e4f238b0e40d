//! How long the check of a history takes. Prints a table; asserts no times.
//!
//! `cargo bench -p checker --bench linear`

#[path = "../tests/generator/mod.rs"]
mod generator;

use std::time::Instant;

use checker::{
    history::operation,
    linear::{self, Limits},
};
use comfy_table::Table;
use generator::Shape;

fn main() {
    let base = Shape {
        keys: 1,
        clients: 5,
        operations: 100_000,
        values: None,
        crashed: 0,
        revisions: false,
    };
    let wide = Shape { clients: 50, operations: 1000, ..base };
    let many = Shape { keys: 1000, clients: 50, operations: 1_000_000, ..base };
    let run = Shape { keys: 40, clients: 50, operations: 200_000, crashed: 10, ..base };
    let shapes = [
        ("1 key, 5 clients, unique values", base),
        ("the same with revisions", Shape { revisions: true, ..base }),
        ("1 key, 5 clients, five values", Shape { values: Some(5), ..base }),
        ("1,000 keys, 50 clients, unique values", many),
        ("1 key, 50 clients, unique values", wide),
        ("1 key, 50 clients, five values", Shape { values: Some(5), ..wide }),
        ("40 keys, 50 clients, 1 % unknown outcomes", run),
        ("the same with five values", Shape { values: Some(5), ..run }),
    ];
    let mut table = Table::new();
    table.set_header(["history", "operations", "pair, ms", "check, ms", "outcome"]);
    for (name, shape) in shapes {
        let history = generator::history(shape, 1);
        let start = Instant::now();
        let operations = operation::pair(&history).expect("the generator makes whole histories");
        let paired = start.elapsed();
        let start = Instant::now();
        let property = linear::check(&operations, &Limits::default());
        let checked = start.elapsed();
        table.add_row([
            name.to_owned(),
            shape.operations.to_string(),
            format!("{:.1}", paired.as_secs_f64() * 1e3),
            format!("{:.1}", checked.as_secs_f64() * 1e3),
            property.outcome.to_string(),
        ]);
    }
    println!("{table}");
}
