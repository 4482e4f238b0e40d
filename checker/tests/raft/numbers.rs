//! Traces are files: any number may stand in them. Some verdict comes of each, and no panic.

use checker::raft::Checker;
use proto::trace::Record;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::script::{properties, traces};

/// Every kind of line, and a second boot.
const SCRIPT: &str = "
    voters 3
    elect n1 1 n2
    n1 append 1 1
    n1 durable
    send n1 n2
    send n1 n3
    n1 commit 2 n1=2 n2=2
    n1 apply 2
    n1 answer 2
    n1 read 2 n1 n2
    n2 commit 2
    n2 restart
    n1 append 1
    n1 durable
    elect n2 2 n3
    n2 append 2
    n2 durable
    send n2 n1
    send n2 n3
    n2 commit 3 n1=3 n2=3
    n2 apply 3
    n3 stop
";

const ODD: [u64; 6] = [0, 1, 2, 4, 1 << 62, u64::MAX];

/// The numbers and hashes in a line.
fn numbers(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Number(_) => vec![value],
        Value::String(text) if text.len() == 16 => vec![value],
        Value::Array(values) => values.iter_mut().flat_map(numbers).collect(),
        Value::Object(fields) => fields.values_mut().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

/// Puts `odd` in the place of number `at` of a line; false behind the last.
fn spoil(record: &mut Record, at: usize, odd: u64) -> bool {
    let mut value = serde_json::to_value(&*record).unwrap();
    let mut numbers = numbers(&mut value);
    let Some(number) = numbers.get_mut(at) else { return false };
    **number = match number {
        Value::String(_) => Value::from(format!("{odd:016x}")),
        _ => Value::from(odd),
    };
    *record = serde_json::from_value(value).unwrap();
    true
}

/// Judged as evidence, and by rules that nobody shields.
fn judge(traces: &[Vec<Record>]) {
    properties(traces);
    let mut lines: Vec<&Record> = traces.iter().flatten().collect();
    lines.sort_by_key(|record| (record.clock, record.node));
    let mut checker = Checker::new();
    for line in lines {
        checker.observe(line);
    }
}

#[test]
fn any_number_in_any_place() {
    let whole = traces(SCRIPT);
    for (node, trace) in whole.iter().enumerate() {
        for line in 0..trace.len() {
            for odd in ODD {
                let mut spoilt = whole.clone();
                for at in 0.. {
                    spoilt[node][line].clone_from(&trace[line]);
                    if !spoil(&mut spoilt[node][line], at, odd) {
                        break;
                    }
                    judge(&spoilt);
                }
            }
        }
    }
}

#[test]
fn any_numbers_in_several_places() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let whole = traces(SCRIPT);
    for _ in 0..2000 {
        let mut spoilt = whole.clone();
        for _ in 0..random.random_range(2..6) {
            let trace = &mut spoilt[random.random_range(0..whole.len())];
            let line = random.random_range(0..trace.len());
            spoil(&mut trace[line], random.random_range(0..12), ODD[random.random_range(0..6)]);
        }
        judge(&spoilt);
    }
}
