//! A picture of the operations of one violation: who did what before, after or at the same time as
//! what. Linearizability is about order alone, so events stand side by side in their order and not
//! at their times: operations of a millisecond, seconds apart, would else be dots.

use std::collections::{BTreeMap, BTreeSet};

use checker::history::{Event, Function, Kind};

use super::{
    svg::{Anchor, Svg, text_width},
    text,
};

const LEFT: f64 = 96.0;
const ROW: f64 = 26.0;
const BAR: f64 = 19.0;
const WIDTH_MAX: f64 = 1120.0;
/// More rows or columns than a person can follow are left to the table.
const ROWS_MAX: usize = 24;
const EVENTS_MAX: usize = 60;

/// One operation, by the columns of its events.
struct Operation {
    from: usize,
    /// `None`: nobody knows when it took effect, if ever.
    to: Option<usize>,
    class: &'static str,
    label: String,
}

/// Draws the events, which are in order of time. `None` where there is nothing to see.
pub(super) fn draw(events: &[&Event]) -> Option<String> {
    let mut rows: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
    let mut open: BTreeMap<u64, (usize, &Event)> = BTreeMap::new();
    for (column, event) in events.iter().enumerate() {
        if event.kind == Kind::Invoke {
            open.insert(event.process, (column, event));
        } else if let Some((from, invocation)) = open.remove(&event.process) {
            let to = (event.kind != Kind::Info).then_some(column);
            let row = rows.entry(event.process).or_default();
            row.push(Operation {
                from,
                to,
                class: class(event.kind),
                label: label(invocation, event),
            });
        }
    }
    for (process, (from, event)) in open {
        let operation =
            Operation { from, to: None, class: class(Kind::Info), label: label(event, event) };
        rows.entry(process).or_default().push(operation);
    }
    let mut rows: Vec<(u64, Vec<Operation>)> = rows.into_iter().collect();
    rows.sort_by_key(|(_, operations)| operations.iter().map(|o| o.from).min());
    let keys: BTreeSet<&str> = events.iter().map(|event| event.key.as_str()).collect();
    if let (1, Some(key)) = (keys.len(), keys.first()) {
        let prefix = format!("{key}: ");
        for operation in rows.iter_mut().flat_map(|(_, operations)| operations) {
            if let Some(rest) = operation.label.strip_prefix(&prefix) {
                operation.label = rest.to_owned();
            }
        }
    }
    let operations: usize = rows.iter().map(|(_, operations)| operations.len()).sum();
    if operations < 2 || rows.len() > ROWS_MAX || events.len() > EVENTS_MAX {
        return None;
    }
    // Columns wide enough for the longest label in its bar, where the page has the room.
    let columns = events.len() as f64;
    let wanted = rows
        .iter()
        .flat_map(|(_, operations)| operations)
        .map(|o| (text_width(&o.label) + 12.0) / (o.to.unwrap_or(events.len()) - o.from) as f64)
        .fold(28.0, f64::max);
    let step = wanted.min((WIDTH_MAX - LEFT) / (columns + 1.0));
    let width = LEFT + step * (columns + 1.0);
    let x = |column: usize| LEFT + step * (column as f64 + 0.5);
    let mut svg = Svg::default();
    for (row, (process, operations)) in rows.iter().enumerate() {
        let y = row as f64 * ROW + 4.0;
        svg.text("name", Anchor::End, (LEFT - 8.0, y + 13.0), &format!("process {process}"));
        svg.line("grid", (LEFT, y + BAR / 2.0), (width, y + BAR / 2.0));
        for operation in operations {
            let from = x(operation.from);
            let to = operation.to.map_or(width, x);
            let class = format!("operation {}", operation.class);
            svg.rect(&class, from, y, to - from, BAR, &operation.label);
            let room = ((to - from - 8.0) / 6.1).max(1.0) as usize;
            let label = text::shortened(&operation.label, room);
            svg.text("small", Anchor::Start, (from + 5.0, y + 13.0), &label);
        }
    }
    let height = rows.len() as f64 * ROW + 4.0;
    Some(svg.finish(
        "timeline",
        (width, height),
        "Operations in the order of their events",
        "",
        false,
    ))
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Ok | Kind::Invoke => "held",
        Kind::Fail => "refused",
        Kind::Info => "open",
    }
}

/// `k4: write 7`, `k4: read 3`, `k4: cas [3, 4], refused`.
fn label(invocation: &Event, completion: &Event) -> String {
    let done = match invocation.f {
        Function::Read if completion.kind == Kind::Ok => format!("read {}", completion.value),
        Function::Read => "read".into(),
        Function::Write => format!("write {}", invocation.value),
        Function::Cas => format!("cas {}", invocation.value),
        Function::Delete => "delete".into(),
    };
    let end = match completion.kind {
        Kind::Ok => "",
        Kind::Fail => ", refused",
        Kind::Info | Kind::Invoke => ", unknown",
    };
    format!("{}: {done}{end}", invocation.key)
}
