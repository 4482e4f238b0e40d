//! The picture: panels over one time axis. Faults, each node's role and term, windows without
//! service, throughput by outcome, latency.

use std::collections::BTreeSet;

use checker::fault::Phase;
use proto::trace::Role;

use super::{
    Account,
    faults::{End, Fault},
    nodes::Lane,
    operations::{Ending, Slice},
    svg::{Anchor, Svg, text_width},
    text,
};

const WIDTH: f64 = 1160.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
/// From a panel's end to the next panel's first lane: a gap and the title's line.
const HEAD: f64 = 42.0;
const FAULT_LANE: f64 = 19.0;
const NODE_LANE: f64 = 24.0;
const STYLE: &str = include_str!("timeline.css");

/// The finished picture.
pub(super) struct Timeline {
    svg: Svg,
    height: f64,
}

impl Timeline {
    /// As a file of its own.
    pub(super) fn standalone(&self) -> String {
        self.svg.finish("timeline", (WIDTH, self.height), "Timeline of the run", STYLE, true)
    }

    /// As an element of a page.
    pub(super) fn inline(&self) -> String {
        self.svg.finish("timeline", (WIDTH, self.height), "Timeline of the run", STYLE, false)
    }
}

/// Draws the whole picture.
pub(super) fn draw(account: &Account) -> Timeline {
    let axis = Axis { end: account.end };
    // Two layers: bands and grid reach over all panels but lie behind them, and only when all
    // panels are drawn is their height known.
    let mut panels = Svg::default();
    let mut y = 0.0;
    let marks = account.marks();
    if !marks.is_empty() {
        y += 18.0;
    }
    y = step_panel(&mut panels, account, &axis, y);
    y = fault_panel(&mut panels, account, &axis, y);
    y = node_panel(&mut panels, account, &axis, y);
    if account.operations.invoked > 0 {
        y = service_panel(&mut panels, account, &axis, y);
        y = throughput_panel(&mut panels, account, &axis, y);
        y = latency_panel(&mut panels, account, &axis, y);
    }
    let bottom = y;

    let mut svg = Svg::default();
    for window in &account.operations.windows {
        let (x0, x1) = (axis.x(window.start), axis.x(window.end));
        svg.rect("gone", x0, 18.0, x1 - x0, bottom - 18.0, "");
    }
    for (time, label) in axis.ticks() {
        let x = axis.x(time);
        svg.line("grid", (x, 20.0), (x, bottom + 4.0));
        svg.text("small", Anchor::Middle, (x, bottom + 17.0), &label);
    }
    svg.line("base", (LEFT, bottom), (WIDTH - RIGHT, bottom));
    svg.append(panels);
    // A rule is named at its first mark, where the name does not run into the one before.
    let (mut named, mut free) = (BTreeSet::new(), 0.0);
    for (time, rule) in &marks {
        let x = axis.x(*time);
        svg.line("mark", (x, 6.0), (x, bottom));
        let width = text_width(rule) * 1.2;
        let (anchor, dx, left) = if x > WIDTH - 220.0 {
            (Anchor::End, -5.0, x - width - 5.0)
        } else {
            (Anchor::Start, 5.0, x)
        };
        if left >= free && named.insert(*rule) {
            svg.text("bad", anchor, (x + dx, 13.0), rule);
            free = left + width + 10.0;
        }
    }
    Timeline { svg, height: bottom + 26.0 }
}

/// Time to pixels.
struct Axis {
    /// Nanoseconds.
    end: u64,
}

impl Axis {
    fn x(&self, time: u64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (time.min(self.end) as f64 / self.end as f64)
    }

    /// Round moments, at most a dozen and a half, with their labels.
    fn ticks(&self) -> Vec<(u64, String)> {
        const MS: u64 = 1_000_000;
        const STEPS_S: [u64; 15] =
            [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400];
        let step = [1, 2, 5, 10, 20, 50, 100, 200, 500]
            .into_iter()
            .map(|ms| ms * MS)
            .chain(STEPS_S.into_iter().map(|s| s * 1000 * MS))
            .find(|step| self.end / step <= 14)
            .unwrap_or(self.end / 10 + 1);
        (0..=self.end / step)
            .map(|i| {
                let time = i * step;
                let seconds = time / (1000 * MS);
                let label = if step < 1000 * MS {
                    format!("{} ms", time / MS)
                } else if self.end <= 120_000 * MS {
                    format!("{seconds} s")
                } else if seconds < 3600 {
                    format!("{}:{:02}", seconds / 60, seconds % 60)
                } else {
                    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
                };
                (time, label)
            })
            .collect()
    }
}

/// Writes a panel's title and, from the right, its legend of (class, label).
fn head(svg: &mut Svg, y: f64, title: &str, legend: &[(&str, &str)]) -> f64 {
    svg.text("title", Anchor::Start, (0.0, y + HEAD - 13.0), title);
    let widths = legend.iter().map(|(_, label)| text_width(label) + 30.0);
    let mut x = WIDTH - RIGHT - widths.sum::<f64>() + 16.0;
    for (class, label) in legend {
        let middle = y + HEAD - 16.5;
        match *class {
            "p50" | "p99" | "downline" => svg.line(class, (x, middle), (x + 10.0, middle)),
            _ => svg.rect(class, x, middle - 3.5, 10.0, 7.0, ""),
        }
        svg.text("small", Anchor::Start, (x + 14.0, y + HEAD - 13.0), label);
        x += text_width(label) + 30.0;
    }
    y + HEAD
}

fn kind_class(kind: &str) -> &'static str {
    match kind {
        "kill" | "restart" => "kill",
        "pause" => "pause",
        "partition" => "partition",
        _ => "other",
    }
}

// ----------------------------------------------------------------------------- steps

/// A scenario's steps, as its file tells them; nothing for a test under load.
fn step_panel(svg: &mut Svg, account: &Account, axis: &Axis, y: f64) -> f64 {
    let steps = account.plan.as_ref().filter(|_| account.scenario);
    let Some(steps) = steps.and_then(|plan| plan.pointer("/account/steps")?.as_array()) else {
        return y;
    };
    let y = head(svg, y, "Steps", &[]);
    let began = |step: &serde_json::Value| step.get("began").and_then(serde_json::Value::as_u64);
    let text = |step: &serde_json::Value, field: &str| {
        step.get(field).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    for (i, step) in steps.iter().enumerate() {
        let x0 = axis.x(began(step).unwrap_or(0));
        let x1 = axis.x(steps.get(i + 1).and_then(began).unwrap_or(axis.end));
        let class =
            if step.get("failure").is_some_and(|f| !f.is_null()) { "inert" } else { "lane" };
        svg.rect(class, x0, y + 1.0, x1 - x0 - 2.0, FAULT_LANE - 3.0, &text(step, "name"));
        let label = format!("{}. {}", i + 1, text(step, "done"));
        if text_width(&label) + 8.0 < x1 - x0 {
            svg.text("small", Anchor::Start, (x0 + 4.0, y + 12.5), &label);
        }
    }
    y + FAULT_LANE
}

// ---------------------------------------------------------------------------- faults

/// A fault's bar and its label, in pixels.
struct Bar<'a> {
    fault: &'a Fault,
    x0: f64,
    x1: f64,
    label: String,
    /// The label's left end, where it stands beside the bar; inside it otherwise.
    beside: Option<f64>,
}

impl<'a> Bar<'a> {
    fn new(fault: &'a Fault, axis: &Axis, labelled: bool) -> Self {
        let (start, end) = fault.active(axis.end).unwrap_or_else(|| fault.span());
        let x0 = axis.x(start);
        let x1 = axis.x(end).max(x0 + 2.0);
        let mut label = match fault.label().strip_prefix(fault.kind) {
            Some(rest) => rest.trim_start_matches([' ', '·']).to_owned(),
            None => fault.label(),
        };
        match fault.end() {
            End::Proven | End::Lasting => {}
            End::Inert => label = format!("✕ no proof: {label}"),
            End::Skipped => label = format!("skipped: {label}"),
        }
        let width = text_width(&label) + 8.0;
        let inside = matches!(fault.end(), End::Proven | End::Lasting) && x1 - x0 >= width;
        let beside =
            (!inside).then(|| if x1 + width <= WIDTH { x1 + 4.0 } else { (x0 - width).max(LEFT) });
        if labelled {
            Self { fault, x0, x1, label, beside }
        } else {
            Self { fault, x0, x1, label: String::new(), beside: None }
        }
    }

    /// What the bar takes of its lane.
    fn extent(&self) -> (f64, f64) {
        match self.beside {
            Some(x) => (x.min(self.x0), (x + text_width(&self.label)).max(self.x1) + 6.0),
            None => (self.x0, self.x1 + 1.0),
        }
    }
}

/// Puts bars that do not touch into one lane, as few lanes as that allows.
fn pack<'a>(faults: &[&'a Fault], axis: &Axis, labelled: bool) -> Vec<Vec<Bar<'a>>> {
    let mut bars: Vec<_> = faults.iter().map(|fault| Bar::new(fault, axis, labelled)).collect();
    bars.sort_by(|a, b| a.extent().0.total_cmp(&b.extent().0));
    let mut lanes: Vec<Vec<Bar<'_>>> = Vec::new();
    for bar in bars {
        let free = lanes
            .iter()
            .position(|lane| lane.last().is_none_or(|last| last.extent().1 <= bar.extent().0));
        match free {
            Some(lane) => lanes[lane].push(bar),
            None => lanes.push(vec![bar]),
        }
    }
    lanes
}

fn fault_panel(svg: &mut Svg, account: &Account, axis: &Axis, y: f64) -> f64 {
    let mut kinds: Vec<&str> = account.faults.iter().map(|f| f.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let legend: &[(&str, &str)] = if kinds.is_empty() {
        &[]
    } else {
        &[("other", "confirmed"), ("other light", "on its way in or out")]
    };
    let mut y = head(svg, y, "Faults", legend);
    if kinds.is_empty() {
        svg.text("", Anchor::Start, (LEFT, y + 10.0), "none recorded");
        return y + 16.0;
    }
    for kind in kinds {
        let faults: Vec<&Fault> = account.faults.iter().filter(|f| f.kind == kind).collect();
        let mut lanes = pack(&faults, axis, true);
        if lanes.len() > 5 {
            lanes = pack(&faults, axis, false);
        }
        svg.text("name", Anchor::End, (LEFT - 8.0, y + 13.0), &text::shortened(kind, 12));
        for lane in lanes {
            svg.rect("lane", LEFT, y + 1.0, WIDTH - LEFT - RIGHT, FAULT_LANE - 3.0, "");
            for bar in lane {
                draw_fault(svg, &bar, axis, y + 1.0);
            }
            y += FAULT_LANE;
        }
    }
    y
}

fn draw_fault(svg: &mut Svg, bar: &Bar<'_>, axis: &Axis, y: f64) {
    let fault = bar.fault;
    let height = FAULT_LANE - 3.0;
    let class = kind_class(fault.kind);
    let (start, end) = fault.active(axis.end).unwrap_or_else(|| fault.span());
    let hint = format!(
        "fault {}: {}, {} to {}",
        fault.number,
        fault.label(),
        text::moment(start),
        text::moment(end)
    );
    if fault.end() == End::Skipped {
        svg.rect("skipped", bar.x0, y, 2.0, height, &hint);
    } else {
        svg.rect(&format!("{class} light"), bar.x0, y, bar.x1 - bar.x0, height, &hint);
        if let Some(confirmed) = fault.at(Phase::Confirmed) {
            let from = axis.x(confirmed);
            let to = fault.at(Phase::HealRequested).or(fault.at(Phase::Healed)).unwrap_or(end);
            svg.rect(class, from, y, (axis.x(to) - from).max(2.0), height, &hint);
        }
        if fault.end() == End::Inert {
            svg.rect("inert", bar.x0, y, bar.x1 - bar.x0, height, &hint);
        }
    }
    let baseline = y + height - 4.5;
    match bar.beside {
        Some(x) => svg.text("small", Anchor::Start, (x, baseline), &bar.label),
        None if !bar.label.is_empty() => {
            let from = fault.at(Phase::Confirmed).map_or(bar.x0, |time| axis.x(time));
            // A label too long for the solid part still starts inside the bar.
            let x = if from + text_width(&bar.label) + 4.0 < bar.x1 { from } else { bar.x0 };
            svg.text("inside", Anchor::Start, (x + 4.0, baseline), &bar.label);
        }
        None => {}
    }
}

// ----------------------------------------------------------------------------- nodes

fn node_panel(svg: &mut Svg, account: &Account, axis: &Axis, y: f64) -> f64 {
    if account.lanes.is_empty() {
        return y;
    }
    let legend = [
        ("leader", "leader"),
        ("candidate", "candidate"),
        ("follower", "follower"),
        ("downline", "down"),
        ("frozen", "paused"),
        ("partition", "cut"),
    ];
    let mut y = head(svg, y, "Nodes: role and term", &legend);
    for (node, lane) in &account.lanes {
        let name = format!("n{node}");
        svg.text("name", Anchor::End, (LEFT - 8.0, y + 14.0), &name);
        let height = NODE_LANE - 4.0;
        svg.rect("lane", LEFT, y, WIDTH - LEFT - RIGHT, height, "");
        if lane.traced {
            roles(svg, lane, axis, y, height);
        } else {
            svg.text("small", Anchor::Start, (LEFT + 6.0, y + 13.5), "no trace");
        }
        let mut strips = 0.0;
        for fault in account.faults.iter().filter(|f| f.nodes.contains(&name)) {
            let Some((start, healed)) = fault.active(axis.end) else { continue };
            let hint = format!("{name}: {}", fault.label());
            match fault.kind {
                "kill" | "restart" => {
                    let back = lane.starts.iter().copied().find(|at| *at > start);
                    let (x0, x1) = (axis.x(start), axis.x(back.unwrap_or(healed)));
                    svg.rect("down", x0, y - 0.5, x1 - x0, height + 1.0, &hint);
                    svg.line("downline", (x0, y + height / 2.0), (x1, y + height / 2.0));
                }
                "pause" => {
                    let x0 = axis.x(start);
                    svg.rect("frozen", x0, y, axis.x(healed) - x0, height, &hint);
                }
                kind => {
                    let x0 = axis.x(start);
                    let top = y + height - 4.0 - strips;
                    svg.rect(kind_class(kind), x0, top, axis.x(healed) - x0, 4.0, &hint);
                    strips = if strips == 0.0 { 2.0 } else { 0.0 };
                }
            }
        }
        y += NODE_LANE;
    }
    y
}

fn roles(svg: &mut Svg, lane: &Lane, axis: &Axis, y: f64, height: f64) {
    let mut free_from = 0.0;
    let mut last_term = None;
    let mut drawn_to = 0.0;
    for (i, segment) in lane.segments.iter().enumerate() {
        let end = lane.segments.get(i + 1).map_or(axis.end, |next| next.start);
        if end == 0 && i + 1 < lane.segments.len() {
            continue; // Over before the run's clock started.
        }
        let (x0, x1) = (axis.x(segment.start), axis.x(end));
        if segment.stopped {
            last_term = None;
            continue;
        }
        // Changes closer than a pixel are one, unless a leader shows.
        if x1 - drawn_to < 1.0 && segment.role != Role::Leader {
            continue;
        }
        drawn_to = x1;
        let class = match segment.role {
            Role::Leader => "leader",
            Role::Candidate => "candidate",
            Role::Follower => "follower",
        };
        let hint = format!("{class} in term {} from {}", segment.term, text::moment(segment.start));
        svg.rect(class, x0, y, (x1 - x0).max(1.0), height, &hint);
        let label = segment.term.to_string();
        let width = text_width(&label);
        if (last_term != Some(segment.term) || segment.role == Role::Leader)
            && x0 >= free_from
            && x1 - x0 > width + 5.0
        {
            let class = if segment.role == Role::Leader { "onleader" } else { "term" };
            svg.text(class, Anchor::Start, (x0 + 3.0, y + 12.0), &label);
            free_from = x0 + width;
            last_term = Some(segment.term);
        }
    }
    for start in lane.starts.iter().filter(|start| **start > 0) {
        let x = axis.x(*start);
        svg.line("restart", (x, y - 1.0), (x, y + height + 1.0));
    }
}

// --------------------------------------------------------------------------- service

fn service_panel(svg: &mut Svg, account: &Account, axis: &Axis, y: f64) -> f64 {
    if account.operations.windows.is_empty() {
        return y;
    }
    let y = y + 8.0;
    svg.text("name", Anchor::End, (LEFT - 8.0, y + 10.0), "no service");
    let windows = &account.operations.windows;
    for (i, window) in windows.iter().enumerate() {
        let (x0, x1) = (axis.x(window.start), axis.x(window.end));
        let label = text::length(window.end - window.start);
        svg.rect(
            "gonebar",
            x0,
            y + 3.0,
            (x1 - x0).max(1.0),
            8.0,
            &format!("no service for {label}"),
        );
        let room_to = windows.get(i + 1).map_or(WIDTH, |next| axis.x(next.start));
        if x1 + text_width(&label) + 6.0 < room_to {
            svg.text("small", Anchor::Start, (x1 + 3.0, y + 10.5), &label);
        }
    }
    y + 16.0
}

// ---------------------------------------------------------------- throughput, latency

/// A slice's middle and width on the axis; the last one may be cut by the run's end. `None` for
/// a last sliver too short to be a rate.
fn span(account: &Account, index: usize) -> Option<(u64, f64)> {
    let width = account.operations.slice_width;
    let start = index as u64 * width;
    let end = (start + width).min(account.end);
    let length = end.saturating_sub(start);
    (length * 4 >= width).then_some((start + length / 2, length as f64 / 1e9))
}

fn throughput_panel(svg: &mut Svg, account: &Account, axis: &Axis, y: f64) -> f64 {
    const HEIGHT: f64 = 120.0;
    let classes = ["ok", "mismatch", "fail", "info"];
    let labels = ["ok", "compare refused", "failed", "unknown"];
    let operations = &account.operations;
    let legend: Vec<_> = Ending::ALL
        .into_iter()
        .filter(|ending| *ending == Ending::Ok || operations.ended[*ending as usize] > 0)
        .map(|ending| (classes[ending as usize], labels[ending as usize]))
        .collect();
    let y = head(svg, y, "Operations per second, by outcome", &legend);
    let rates: Vec<(u64, [f64; 4])> = operations
        .slices
        .iter()
        .enumerate()
        .filter_map(|(i, slice)| {
            let (middle, seconds) = span(account, i)?;
            Some((middle, slice.ended.map(|n| n as f64 / seconds)))
        })
        .collect();
    let highest = rates.iter().map(|(_, r)| r.iter().sum::<f64>()).fold(0.0, f64::max);
    let top = round_up(highest);
    let at = |rate: f64| y + HEIGHT * (1.0 - rate / top);
    for part in [0.0, 0.5, 1.0] {
        let line = at(top * part);
        svg.line("grid", (LEFT, line), (WIDTH - RIGHT, line));
        svg.text("small", Anchor::End, (LEFT - 8.0, line + 3.5), &text::count((top * part) as u64));
    }
    let mut below: Vec<(f64, f64)> = rates.iter().map(|(t, _)| (axis.x(*t), at(0.0))).collect();
    let mut sums = vec![0.0; rates.len()];
    for ending in Ending::ALL {
        let mut above = Vec::with_capacity(rates.len());
        for ((time, rate), sum) in rates.iter().zip(&mut sums) {
            *sum += rate[ending as usize];
            above.push((axis.x(*time), at(*sum)));
        }
        if operations.ended[ending as usize] > 0 {
            svg.area(classes[ending as usize], &above, &below);
        }
        below = above;
    }
    y + HEIGHT
}

/// 1, 2 or 5 times a power of ten, at or above the value.
fn round_up(value: f64) -> f64 {
    if value <= 1.0 {
        return 2.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|m| *m >= value)
        .unwrap_or(value)
}

fn latency_panel(svg: &mut Svg, account: &Account, axis: &Axis, y: f64) -> f64 {
    const HEIGHT: f64 = 110.0;
    let y = head(
        svg,
        y,
        "Latency of answered operations",
        &[("p99", "99th percentile"), ("p50", "median")],
    );
    let quantile = |slice: &Slice, q: f64| slice.latency.value_at_quantile(q).max(1) as f64;
    let points: Vec<Option<(f64, f64, f64)>> = account
        .operations
        .slices
        .iter()
        .enumerate()
        .map(|(i, slice)| {
            let (middle, _) = span(account, i)?;
            (!slice.latency.is_empty())
                .then(|| (axis.x(middle), quantile(slice, 0.5), quantile(slice, 0.99)))
        })
        .collect();
    let shown = || points.iter().flatten();
    let lowest = shown().map(|p| p.1).fold(f64::INFINITY, f64::min);
    if !lowest.is_finite() {
        svg.text("", Anchor::Start, (LEFT, y + 10.0), "no operation was answered");
        return y + 16.0;
    }
    let highest = shown().map(|p| p.2).fold(0.0, f64::max);
    let (low, high) = (lowest.log10().floor(), (highest * 1.001).log10().ceil());
    let at = |us: f64| y + HEIGHT * (1.0 - (us.log10() - low) / (high - low).max(1.0));
    for decade in low as i32..=high as i32 {
        let us = 10_f64.powi(decade);
        let label = match decade {
            ..3 => format!("{us:.0} µs"),
            3..6 => format!("{:.0} ms", us / 1e3),
            _ => format!("{:.0} s", us / 1e6),
        };
        svg.line("grid", (LEFT, at(us)), (WIDTH - RIGHT, at(us)));
        svg.text("small", Anchor::End, (LEFT - 8.0, at(us) + 3.5), &label);
    }
    // A slice without an answer breaks the lines; a slice between two such shows as a dash.
    for stretch in points.split(Option::is_none) {
        let stretch: Vec<_> = stretch.iter().flatten().collect();
        if let [(x, p50, p99)] = stretch[..] {
            svg.line("p99", (x - 1.5, at(*p99)), (x + 1.5, at(*p99)));
            svg.line("p50", (x - 1.5, at(*p50)), (x + 1.5, at(*p50)));
        }
        svg.polyline("p99", &stretch.iter().map(|p| (p.0, at(p.2))).collect::<Vec<_>>());
        svg.polyline("p50", &stretch.iter().map(|p| (p.0, at(p.1))).collect::<Vec<_>>());
    }
    y + HEIGHT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_and_round() {
        for seconds in [1, 7, 10, 59, 60, 61, 600, 3600, 86_400] {
            let ticks = Axis { end: seconds * 1_000_000_000 }.ticks();
            assert!((4..=16).contains(&ticks.len()), "{seconds} s: {} ticks", ticks.len());
        }
        let ticks = Axis { end: 3_600_000_000_000 }.ticks();
        assert_eq!(ticks[1], (300_000_000_000, "5:00".into()));
    }

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!(round_up(0.0), 2.0);
        assert_eq!(round_up(1_999.0), 2_000.0);
        assert_eq!(round_up(2_001.0), 3_000.0);
    }
}
