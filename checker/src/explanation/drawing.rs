//! Draws why a property is violated: small however long the history is, since it shows only the
//! operations that the violation speaks of.
//!
//! Each process has a lane, each operation a bar from its call to its return. Time between two
//! moments is drawn as wide as its logarithm, so that what happened within a millisecond can be
//! read beside what happened an hour before.

use std::{collections::BTreeMap, fmt::Write};

use super::{Explanation, Told};
use crate::verdict::Refutation;

/// The style of a [`drawing()`].
pub const STYLE: &str = include_str!("drawing.css");

/// Operations drawn of one violation; the others are counted.
const DRAWN_MAX: usize = 60;
/// Possible states listed.
const LISTED_MAX: usize = 12;

/// Pixels: the lanes' names, the height of a lane and of a bar, and what stands above the lanes.
const LEFT: f64 = 118.0;
const LANE: f64 = 50.0;
const BAR: f64 = 30.0;
const TOP: f64 = 40.0;

/// One violation as a part of a page, with [`STYLE`]: its operations, the order that was tried, and
/// a table. `number` says where in its file an event of the history stands, by its index.
pub fn drawing(explanation: &Explanation, number: impl Fn(u64) -> u64) -> String {
    let Explanation { operations, refutation, clock, .. } = explanation;
    let mut html = format!(
        "<div class=\"explanation\">\n<div class=\"picture\">{}</div>\n",
        picture(explanation)
    );
    if let Some(refutation) = refutation {
        html += &tried(refutation, operations);
    }
    html += "<table><tr><th>operation</th><th>node</th><th>process</th><th>called</th>\
             <th>answered</th><th>place in the history</th></tr>\n";
    for told in operations.iter().take(DRAWN_MAX) {
        let class = class(explanation, told);
        let events: Vec<String> = told.events.iter().map(|at| number(*at).to_string()).collect();
        let _ = writeln!(
            html,
            "<tr class=\"{class}\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td></tr>",
            escaped(&told.what),
            escaped(told.node.as_deref().unwrap_or("")),
            told.process,
            clock.moment(told.call),
            told.ret.map_or_else(|| "never".into(), |ret| clock.moment(ret)),
            events.join(", ")
        );
    }
    html += "</table>\n";
    if operations.len() > DRAWN_MAX {
        let left = operations.len() - DRAWN_MAX;
        let _ = writeln!(html, "<p class=\"note\">{left} more operations are not shown.</p>");
    }
    html + "</div>\n"
}

/// How it was found that operations have no order.
fn tried(refutation: &Refutation, operations: &[Told]) -> String {
    let Refutation { core, failed_at, tried, possible, unverified_reason, part, until: _ } =
        refutation;
    let mut html = "<dl>".to_owned();
    let mut say = |name: &str, what: &str| {
        let _ = write!(html, "<dt>{name}</dt><dd>{what}</dd>");
    };
    if let Some(part) = part {
        say("Only these count", &format!("<code>{}</code>", escaped(part)));
    }
    if !possible.is_empty() {
        let mut names: Vec<String> = possible
            .iter()
            .take(LISTED_MAX)
            .map(|name| format!("<code>{}</code>", escaped(name)))
            .collect();
        if possible.len() > LISTED_MAX {
            names.push(format!("and {} more", possible.len() - LISTED_MAX));
        }
        say("Possible just before", &names.join(" "));
    }
    let told = |event: &u64| {
        let told = operations.iter().find(|told| told.events.first() == Some(event))?;
        Some(format!("<code>{}</code>", escaped(&told.what)))
    };
    let mut order: Vec<String> = tried.iter().take(DRAWN_MAX).filter_map(told).collect();
    order.extend(told(failed_at).map(|told| format!("then no place for {told}")));
    say("Order tried", &order.join(" "));
    let proof = match (unverified_reason, core.len()) {
        (Some(unverified_reason), _) => escaped(unverified_reason),
        (None, 1) => "this operation alone has no place, verified".into(),
        (None, core) => format!("these {core} operations have no order by themselves, verified"),
    };
    say("Proof", &proof);
    html + "</dl>\n"
}

/// How an operation is drawn.
fn class(explanation: &Explanation, told: &Told) -> &'static str {
    match &explanation.refutation {
        Some(refutation) if told.is(refutation.failed_at) => "stuck",
        Some(refutation) if !told.events.iter().any(|event| refutation.has(*event)) => "beside",
        _ => "bar",
    }
}

impl Told {
    fn is(&self, invocation: u64) -> bool {
        self.events.first() == Some(&invocation)
    }
}

fn picture(explanation: &Explanation) -> String {
    let operations = &explanation.operations;
    // The one that is stuck is drawn, whatever else is not.
    let refutation = explanation.refutation.as_ref();
    let is_stuck = |told: &Told| refutation.is_some_and(|why| told.is(why.failed_at));
    let (first, rest) = operations.split_at(operations.len().min(DRAWN_MAX));
    let drawn: Vec<&Told> = first.iter().chain(rest.iter().filter(|told| is_stuck(told))).collect();
    let axis = Axis::new(&drawn);
    let mut lanes: BTreeMap<u64, usize> = drawn.iter().map(|told| (told.process, 0)).collect();
    for (lane, place) in lanes.values_mut().enumerate() {
        *place = lane;
    }
    let bottom = TOP + LANE * lanes.len() as f64;
    let (width, height) = (axis.end + 60.0, bottom + 12.0);
    let mut svg = format!(
        "<svg width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         role=\"img\" aria-label=\"operations by process on a time axis\">\n"
    );
    for (process, &lane) in &lanes {
        let y = TOP + LANE * lane as f64;
        let _ = writeln!(
            svg,
            "<rect class=\"lane\" x=\"0\" y=\"{:.0}\" width=\"{width:.0}\" height=\"{:.0}\"/>\
             <text x=\"14\" y=\"{:.0}\">process {process}</text>",
            y + 2.0,
            LANE - 4.0,
            y + LANE / 2.0 + 4.0
        );
    }
    let mut labelled = f64::MIN;
    for (&time, &x) in &axis.places {
        let _ = writeln!(
            svg,
            "<line class=\"tick\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
        );
        if x - labelled >= 62.0 {
            labelled = x;
            let _ = writeln!(
                svg,
                "<text class=\"small\" x=\"{x:.1}\" y=\"30\" text-anchor=\"middle\">{}</text>",
                explanation.clock.moment(time)
            );
        }
    }
    for told in &drawn {
        svg += &bar(explanation, told, &axis, lanes[&told.process]);
    }
    if let Some(x) = refutation.and_then(|why| axis.places.get(&why.until)) {
        let _ = writeln!(
            svg,
            "<line class=\"until\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text class=\"bad\" x=\"{x:.1}\" y=\"14\" text-anchor=\"middle\">no order left</text>"
        );
    }
    svg + "</svg>"
}

/// An operation: its bar, what it did, and its number in the order that was tried.
fn bar(explanation: &Explanation, told: &Told, axis: &Axis, lane: usize) -> String {
    let x = axis.places.get(&told.call).copied().unwrap_or(LEFT);
    let end = told.ret.and_then(|ret| axis.places.get(&ret)).copied().unwrap_or(axis.end + 60.0);
    let y = TOP + LANE * lane as f64 + (LANE - BAR) / 2.0;
    let (class, clock) = (class(explanation, told), explanation.clock);
    let who = told.node.as_deref().map_or_else(String::new, |node| format!(" · {node}"));
    let text = escaped(&format!("{}{who}", told.what));
    let answered = told.ret.map_or_else(|| "never answered".into(), |ret| clock.moment(ret));
    let mut svg = format!(
        "<g><title>{text}, {} to {answered}</title><rect class=\"{class}\" x=\"{x:.1}\" \
         y=\"{y:.0}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"5\"/>",
        clock.moment(told.call),
        (end - x).max(3.0)
    );
    let middle = y + BAR / 2.0;
    let mut start = x + 9.0;
    let tried = explanation.refutation.iter().flat_map(|why| &why.tried);
    let number = tried.into_iter().position(|&tried| told.is(tried));
    if let Some(number) = number {
        let _ = write!(
            svg,
            "<circle class=\"number\" cx=\"{:.1}\" cy=\"{middle:.0}\" r=\"9\"/>\
             <text class=\"onnumber\" x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            x + 15.0,
            x + 15.0,
            middle + 4.0,
            number + 1
        );
        start = x + 29.0;
    }
    let (mark, bad) = if class == "stuck" { ("✗ ", " class=\"bad\"") } else { ("", "") };
    let _ = writeln!(
        svg,
        "<text{bad} x=\"{start:.1}\" y=\"{:.0}\">{mark}{text}</text></g>",
        middle + 4.0
    );
    svg
}

/// Where each moment is drawn.
struct Axis {
    places: BTreeMap<u64, f64>,
    end: f64,
}

impl Axis {
    fn new(drawn: &[&Told]) -> Self {
        // What ends at each moment: its call, and the room that its text needs.
        let mut ends: BTreeMap<u64, Vec<(u64, f64)>> = BTreeMap::new();
        for told in drawn {
            ends.entry(told.call).or_default();
            if let Some(ret) = told.ret {
                let node = told.node.as_ref().map_or(0, |node| node.chars().count() + 3);
                let text = 7.2 * (told.what.chars().count() + node) as f64 + 52.0;
                ends.entry(ret).or_default().push((told.call, text));
            }
        }
        let mut places: BTreeMap<u64, f64> = BTreeMap::new();
        for (&time, ending) in &ends {
            let x = match places.last_key_value() {
                Some((before, x)) => x + 22.0 + 7.0 * ((time - before) as f64).ln().max(0.0) / 2.0,
                None => LEFT,
            };
            let fitting = ending.iter().filter_map(|(call, text)| Some(places.get(call)? + text));
            let x = fitting.fold(x, f64::max);
            places.insert(time, x);
        }
        let end = places.last_key_value().map_or(LEFT, |(_, x)| *x).max(1040.0);
        Self { places, end }
    }
}

pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{super::page, *};
    use crate::history::Clock;

    fn told(process: u64, what: &str, call: u64, ret: Option<u64>) -> Told {
        let (node, key) = (Some(format!("n{process}")), Some("<k>".to_owned()));
        Told { events: vec![call], process, node, key, what: what.into(), call, ret }
    }

    fn stale(operations: Vec<Told>) -> Explanation {
        let refutation = Refutation {
            core: operations.iter().map(|told| told.call).collect(),
            until: operations[1].ret.unwrap(),
            failed_at: operations[1].call,
            tried: vec![operations[0].call],
            possible: vec!["9".into()],
            unverified_reason: None,
            part: None,
        };
        Explanation {
            title: "linearizability of key <k>".into(),
            clock: Clock::Nanoseconds,
            summary: "n3 answered 7".into(),
            operations,
            refutation: Some(refutation),
        }
    }

    #[test]
    fn a_page_shows_every_operation_and_marks_the_one_that_is_stuck() {
        let operations = vec![told(1, "write 9", 0, Some(5)), told(3, "read 7", 8, Some(1 << 40))];
        let page = page(&[stale(operations)], "a & b", |at| at);
        assert!(page.contains("<h1>a &amp; b</h1>") && page.contains("key &lt;k&gt;"));
        assert!(page.contains("✗ read 7 · n3") && page.contains(">write 9 · n1</text>"));
        assert!(page.contains("2 operations have no order by themselves, verified"));
        assert!(page.matches("class=\"number\"").count() == 1, "the write is tried, first");
        assert!(!page.contains("http"), "nothing is fetched");
    }

    #[test]
    fn a_large_core_makes_no_large_page() {
        let mut operations = vec![told(1, "write 9", 0, None), told(2, "read 7", 1, Some(2))];
        operations.extend((0..100_000).map(|at| told(at, "write 9", at, None)));
        let page = page(&[stale(operations)], "large", |at| at);
        assert!(page.len() < 60_000, "{}", page.len());
        assert!(page.contains("99942 more operations are not shown"));
    }
}
