//! Draws the chosen part.

use std::collections::BTreeSet;

use checker::{history::Kind, verdict::Verdict};
use node::replica::Time;
use proto::trace::Role;

use super::{
    Arrow, Bar, Fate, Guilty, Operation, Spacetime,
    layout::{LINE, Part, Taken},
};
use crate::{
    nemesis::NodeId,
    report::svg::{Anchor, Svg},
    story::words::{count, idle},
};

const STYLE: &str = include_str!("spacetime.css");
/// Room for times, and for faults where there are any.
const TIMES: f64 = 66.0;
const FAULTS: f64 = 118.0;
const MARGIN: f64 = 20.0;
/// Between the lines of two clients.
const CLIENT: f64 = 78.0;
/// Where the moments begin: below title, names and states.
pub(super) const TOP: f64 = 104.0;
/// About how wide a character of the small labels is.
const CHARACTER: f64 = 5.1;
/// A time in which nothing happens is named from this length on.
const SILENCE: Time = Time::from_millis(10);

/// Where the columns of a picture stand.
struct Columns {
    faults: f64,
    first: f64,
    spacing: f64,
    clients: f64,
    width: f64,
}

/// Between the lines of two nodes.
fn spacing(nodes: u64) -> f64 {
    match nodes {
        0..=3 => 190.0,
        4..=5 => 158.0,
        6..=7 => 128.0,
        _ => 112.0,
    }
}

/// Characters that fit beside a node's line.
pub(super) fn room(nodes: u64) -> usize {
    ((spacing(nodes) - 22.0) / CHARACTER) as usize
}

impl Columns {
    fn node(&self, node: NodeId) -> f64 {
        self.first + self.spacing * (node.max(1) - 1) as f64
    }
}

/// The whole picture.
pub(super) fn draw(picture: &Spacetime, verdict: &Verdict, guilty: &Guilty, part: &Part) -> String {
    let operations: Vec<&Operation> = picture
        .operations
        .iter()
        .filter(|operation| part.shows(operation.begin, operation.end.unwrap_or(picture.last)))
        .collect();
    let bars: Vec<&Bar> = picture
        .bars
        .iter()
        .filter(|bar| part.shows(bar.begin, bar.end.unwrap_or(picture.last)))
        .collect();
    let faults = if bars.is_empty() { 0.0 } else { FAULTS };
    // The label of a short operation needs room, too.
    let heights: Vec<(f64, f64)> = operations
        .iter()
        .map(|operation| (operation.begin, operation.end.unwrap_or(picture.last)))
        .map(|(begin, end)| (part.y(begin), part.y(end).max(part.y(begin) + 2.0 * LINE)))
        .collect();
    let lanes = lanes(&heights);
    let spacing = spacing(picture.cluster);
    let first = TIMES + faults + 24.0;
    let clients = first + spacing * picture.cluster as f64;
    let lane_count = lanes.iter().max().map_or(0, |most| most + 1);
    let width = (clients + lane_count as f64 * CLIENT + MARGIN).max(720.0);
    let columns = Columns { faults: TIMES + 8.0, first, spacing, clients, width };

    let mut svg = Svg::default();
    let summary = guilty.summary.as_deref();
    head(&mut svg, picture, verdict, summary, part, &columns);
    times(&mut svg, picture, part, &columns);
    let mut taken = Taken::default();
    draw_faults(&mut svg, &bars, picture.last, part, &columns, &mut taken);
    spans(&mut svg, picture, part, &columns);
    let arrows = || {
        let shown = |arrow: &&Arrow| {
            let seen = |time| part.shows(time, time);
            !arrow.idle && (seen(arrow.sent) || seen(arrow.end))
        };
        picture.arrows.iter().filter(shown)
    };
    for node in 1..=picture.cluster {
        lifeline(&mut svg, picture, node, part, &columns);
        let x = columns.node(node);
        taken.take([x - 5.0, part.top, 10.0, part.bottom - part.top]);
    }
    // A label keeps clear of the heads of arrows that end beside it.
    let ends: BTreeSet<(NodeId, Time)> = arrows()
        .filter(|arrow| arrow.fate == Fate::Delivered && arrow.from > arrow.to)
        .map(|arrow| (arrow.to, arrow.end))
        .collect();
    let mut labels = Svg::default();
    notes(&mut labels, picture, guilty, part, &columns, &ends, &mut taken);
    for arrow in arrows() {
        draw_arrow(&mut svg, arrow, part, &columns, &mut taken);
    }
    svg.append(labels);
    for (operation, lane) in operations.iter().zip(&lanes) {
        let x = columns.clients + *lane as f64 * CLIENT;
        let accused = operation.lines.iter().any(|line| guilty.operations.contains(line));
        draw_operation(&mut svg, operation, accused, x, part, &mut taken);
    }
    let shown = (lane_count > 0, faults > 0.0, guilty.summary.is_some());
    let end = legend(&mut svg, part.bottom + 26.0, &columns, shown);
    let size = (columns.width, end + 20.0);
    svg.finish("spacetime", size, "Space-time diagram of the run", STYLE, true)
}

/// Faults, each in a lane of its own while it lasts, with its name at the first free place.
fn draw_faults(
    svg: &mut Svg,
    bars: &[&Bar],
    last: Time,
    part: &Part,
    columns: &Columns,
    taken: &mut Taken,
) {
    let spans: Vec<(f64, f64)> = bars
        .iter()
        .map(|bar| (part.y(bar.begin), part.y(bar.end.unwrap_or(last))))
        .map(|(begin, end)| (begin, end.max(begin + 3.0)))
        .collect();
    let lanes = lanes(&spans);
    let right = columns.faults + (lanes.iter().max().map_or(0, |most| most + 1)) as f64 * 7.0;
    for ((bar, (y0, y1)), lane) in bars.iter().zip(&spans).zip(&lanes) {
        let kind = bar.label.split(' ').next().unwrap_or_default();
        let x = columns.faults + *lane as f64 * 7.0;
        svg.rect(&format!("bar {kind}"), x, *y0, 5.0, y1 - y0, &bar.words);
        let mut y = *y0;
        while !taken.take([right, y, columns.first - 12.0 - right, LINE]) {
            y += LINE;
        }
        svg.text("what", Anchor::Start, (right + 3.0, y + 8.0), &bar.label);
    }
}

fn moment(picture: &Spacetime, time: Time) -> String {
    super::words::moment(time.as_nanos() as i128 - picture.start.as_nanos() as i128)
}

/// Title, what is left out, and each node's name and state at the top.
fn head(
    svg: &mut Svg,
    picture: &Spacetime,
    verdict: &Verdict,
    summary: Option<&str>,
    part: &Part,
    columns: &Columns,
) {
    let (from, to) = (moment(picture, part.first), moment(picture, part.last));
    let nodes = count(picture.cluster as usize, "node");
    let title = format!("Seed {}: {nodes} from {from} to {to}", picture.seed);
    svg.text("title", Anchor::Start, (MARGIN, 22.0), &title);
    let mut left = Vec::new();
    for (moments, side) in [(part.before, "before"), (part.after, "after")] {
        if moments > 0 {
            left.push(format!("{} {side}", count(moments, "moment")));
        }
    }
    if part.idle > 0 {
        left.push(idle(part.idle));
    }
    let left = match left.is_empty() {
        true => "Nothing is left out.".to_owned(),
        false => format!("Left out: {}.", left.join(", ")),
    };
    let left = format!("{left} Time runs downwards and is not to scale.");
    svg.text("", Anchor::Start, (MARGIN, 37.0), &left);
    let room = ((columns.width - 2.0 * MARGIN) / 5.6) as usize;
    let text = summary.unwrap_or(&verdict.summary);
    let class = if summary.is_some() { "bad" } else { "" };
    svg.text(class, Anchor::Start, (MARGIN, 52.0), &crate::report::text::shortened(text, room));
    for node in 1..=picture.cluster {
        let x = columns.node(node);
        let state = state_at(picture, node, part.first);
        svg.text("name", Anchor::Middle, (x, TOP - 28.0), &format!("n{node}"));
        let word = match state.up {
            true => format!("{}, term {}", state.role, state.term),
            false => "down".to_owned(),
        };
        svg.text("what", Anchor::Middle, (x, TOP - 16.0), &word);
    }
}

fn state_at(picture: &Spacetime, node: NodeId, time: Time) -> super::State {
    let states = picture.states.get(&node).map_or(&[][..], Vec::as_slice);
    let known = states.partition_point(|(at, _)| *at < time);
    known.checked_sub(1).and_then(|at| states.get(at)).map_or(super::DOWN, |(_, state)| *state)
}

/// The axis: times where there is room for them, and the lengths of silences.
fn times(svg: &mut Svg, picture: &Spacetime, part: &Part, columns: &Columns) {
    let (mut free, mut named) = (0.0, String::new());
    let mut before: Option<(Time, f64)> = None;
    for (time, y) in part.moments() {
        if let Some((last, last_y)) = before
            && time - last >= SILENCE
        {
            let middle = (last_y + y) / 2.0 + 1.0;
            svg.line("grid", (TIMES, middle), (columns.width - MARGIN, middle));
            if middle - 3.0 >= free {
                let text = format!("⋮ {}", super::words::length(time - last));
                svg.text("time", Anchor::End, (TIMES - 4.0, middle + 3.0), &text);
                free = middle + 7.0;
            }
        }
        let text = moment(picture, time);
        if y - 3.0 >= free && text != named {
            svg.text("time", Anchor::End, (TIMES - 4.0, y + 3.0), &text);
            (free, named) = (y + 9.0, text);
        }
        before = Some((time, y));
    }
}

/// Pauses and cuts, behind the nodes' lines.
fn spans(svg: &mut Svg, picture: &Spacetime, part: &Part, columns: &Columns) {
    for span in &picture.spans {
        let end = span.end.unwrap_or(picture.last);
        if part.shows(span.begin, end) {
            let (x, y0, y1) = (columns.node(span.node), part.y(span.begin), part.y(end));
            match span.cut {
                Some(_) => svg.rect("cut", x - 11.0, y0, 5.0, y1 - y0, &span.words),
                None => svg.rect("pause", x - 8.0, y0, 16.0, y1 - y0, &span.words),
            }
        }
    }
}

/// A node's line: its colour is the term, its weight the role, and where it is down there is none.
fn lifeline(svg: &mut Svg, picture: &Spacetime, node: NodeId, part: &Part, columns: &Columns) {
    let x = columns.node(node);
    let states = picture.states.get(&node).map_or(&[][..], Vec::as_slice);
    for (number, (begin, state)) in states.iter().enumerate() {
        let end = states.get(number + 1).map(|(end, _)| *end);
        if !part.shows(*begin, end.unwrap_or(Time::MAX)) {
            continue;
        }
        let y0 = if *begin <= part.first { part.top - 8.0 } else { part.y(*begin) };
        let y1 = end.filter(|end| *end <= part.last).map_or(part.bottom, |end| part.y(end));
        let class = match (state.up, state.role) {
            (false, _) => "down",
            (_, Role::Leader) => "leader",
            (_, Role::Candidate) => "candidate",
            (_, Role::Follower) => "follower",
        };
        let hint = match state.up {
            true => format!("n{node} is {} in term {}", state.role, state.term),
            false => format!("n{node} is down"),
        };
        svg.group(&term(state.term), &hint, |svg| {
            svg.line(class, (x, y0), (x, y1));
            if !state.up && *begin > part.first {
                svg.line("end", (x - 5.0, y0), (x + 5.0, y0));
            }
        });
    }
}

/// The class of a term's colour.
fn term(term: u64) -> String {
    if term == 0 { "none".to_owned() } else { format!("t{}", term % 6) }
}

/// What nodes do, beside their lines; what the verdict accuses in red.
fn notes(
    svg: &mut Svg,
    picture: &Spacetime,
    guilty: &Guilty,
    part: &Part,
    columns: &Columns,
    ends: &BTreeSet<(NodeId, Time)>,
    taken: &mut Taken,
) {
    for ((node, time), lines) in &part.blocks {
        let (x, y) = (columns.node(*node), part.y(*time));
        let here = || picture.notes.iter().filter(|note| (note.node, note.time) == (*node, *time));
        let words: Vec<&str> = here().map(|note| note.words.as_str()).collect();
        let ended = || here().find(|note| note.violation).map(|note| &note.words);
        let accused = guilty.steps.contains(&(*node, *time))
            || ended().is_some_and(|words| guilty.summary.as_ref() == Some(words));
        svg.group("", &words.join("\n"), |svg| {
            svg.circle("dot", (x, y), 2.4);
            if accused {
                svg.circle("ring", (x, y), 7.0);
            }
            let left = if ends.contains(&(*node, *time)) { x + 12.0 } else { x + 7.0 };
            for (number, line) in lines.iter().enumerate() {
                let top = y - 5.5 + number as f64 * LINE;
                let width = line.chars().count() as f64 * CHARACTER;
                taken.take([left, top, width, LINE]);
                svg.rect("behind", left, top, width + 2.0, LINE, "");
                let class = if accused { "what bad" } else { "what" };
                svg.text(class, Anchor::Start, (left + 2.0, top + 8.5), line);
            }
        });
    }
}

fn draw_arrow(svg: &mut Svg, arrow: &Arrow, part: &Part, columns: &Columns, taken: &mut Taken) {
    let (from, to) = (columns.node(arrow.from), columns.node(arrow.to));
    let side = if to > from { 1.0 } else { -1.0 };
    let on_its_way = arrow.end > part.last || arrow.fate == Fate::InFlight;
    let begin = (from + 3.5 * side, part.y(arrow.sent));
    let lost = matches!(arrow.fate, Fate::Lost(_)) && !on_its_way;
    // What is on its way when the picture ends, or lost at once, is not seen to come far; what is
    // lost later comes almost there.
    let end = if on_its_way || (lost && arrow.end == arrow.sent) {
        (from + 34.0 * side, begin.1 + 12.0)
    } else if lost {
        (to - 14.0 * side, part.y(arrow.end))
    } else {
        (to - 3.5 * side, part.y(arrow.end))
    };
    let mut class = format!("arrow {}", term(arrow.term));
    for (is, name) in
        [(arrow.vote, " vote"), (arrow.copy, " copy"), (lost, " lost"), (on_its_way, " away")]
    {
        class.push_str(if is { name } else { "" });
    }
    let mut hint = arrow.words.clone();
    if let Fate::Lost(why) = arrow.fate {
        hint = format!("{hint}: {}", super::words::loss(why));
    }
    if arrow.copy {
        hint.push_str(" (a copy)");
    }
    let width = arrow.label.chars().count() as f64 * 5.0 + 4.0;
    let label = [0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78].into_iter().find_map(|part| {
        let at = (begin.0 + (end.0 - begin.0) * part, begin.1 + (end.1 - begin.1) * part);
        let free = taken.take([at.0 - width / 2.0, at.1 - 8.0, width, 9.5]);
        free.then_some((at.0, at.1 - 0.5))
    });
    svg.group(&class, &hint, |svg| {
        svg.line("", begin, end);
        let length = (end.0 - begin.0).hypot(end.1 - begin.1).max(1.0);
        let (dx, dy) = ((end.0 - begin.0) / length, (end.1 - begin.1) / length);
        let (x, y) = end;
        if lost {
            cross(svg, end);
        } else if on_its_way {
            svg.circle("away", end, 2.5);
        } else {
            let back = (x - 6.5 * dx, y - 6.5 * dy);
            let upper = [(x, y), (back.0 - 2.6 * dy, back.1 + 2.6 * dx)];
            svg.area("head", &upper, &[(back.0 + 2.6 * dy, back.1 - 2.6 * dx)]);
        }
        if let Some(at) = label {
            svg.text("", Anchor::Middle, at, &arrow.label);
        }
    });
}

/// Puts what does not touch into one lane, as few lanes as that allows: a lane for each.
fn lanes(spans: &[(f64, f64)]) -> Vec<usize> {
    let mut free: Vec<f64> = Vec::new();
    let lane = |&(begin, end): &(f64, f64)| {
        let lane = free.iter().position(|free| *free <= begin).unwrap_or(free.len());
        if lane == free.len() {
            free.push(0.0);
        }
        if let Some(free) = free.get_mut(lane) {
            *free = end + 2.0;
        }
        lane
    };
    spans.iter().map(lane).collect()
}

fn draw_operation(
    svg: &mut Svg,
    operation: &Operation,
    accused: bool,
    x: f64,
    part: &Part,
    taken: &mut Taken,
) {
    let y0 = part.y(operation.begin);
    let y1 = operation.end.map_or(part.bottom, |end| part.y(end));
    let (class, outcome) = match operation.kind {
        Kind::Ok => ("op", ""),
        Kind::Fail => ("op fail", " ✕"),
        Kind::Info => ("op info", " ?"),
        Kind::Invoke => ("op open", " …"),
    };
    svg.rect(class, x, y0, 6.0, (y1 - y0).max(3.0), &operation.words);
    if accused {
        svg.rect("guilty", x - 3.0, y0 - 3.0, 12.0, (y1 - y0).max(3.0) + 6.0, &operation.words);
    }
    let middle = (y0 + y1) / 2.0;
    let class = if accused { "what bad" } else { "what" };
    let lines = [operation.who.clone(), format!("{}{outcome}", operation.label)];
    for (number, line) in lines.iter().enumerate() {
        let top = middle - LINE + number as f64 * LINE;
        if taken.take([x + 9.0, top, CLIENT - 12.0, LINE]) {
            svg.text(class, Anchor::Start, (x + 11.0, top + 8.5), line);
        }
    }
}

/// A shape of the legend, drawn at a place 20 wide.
type Sign = fn(&mut Svg, f64, f64);

/// What the shapes mean, in as many lines as that takes; gives the height of the last. Those of
/// clients, faults and violations where there are any.
fn legend(
    svg: &mut Svg,
    y: f64,
    columns: &Columns,
    (clients, faults, violations): (bool, bool, bool),
) -> f64 {
    fn upright(svg: &mut Svg, class: &str, x: f64, y: f64) {
        svg.line(class, (x + 10.0, y - 7.0), (x + 10.0, y + 7.0));
    }
    fn arrow(svg: &mut Svg, class: &str, x: f64, y: f64) {
        svg.group(&format!("arrow t0 {class}"), class, |svg| svg.line("", (x, y), (x + 20.0, y)));
    }
    fn operation(svg: &mut Svg, class: &str, x: f64, y: f64) {
        svg.rect(class, x + 7.0, y - 7.0, 6.0, 14.0, "");
    }
    let terms: Sign = |svg, x, y| {
        for (number, class) in ["t0", "t1", "t2"].into_iter().enumerate() {
            let x = x - 6.0 + number as f64 * 6.0;
            svg.group(class, class, |svg| upright(svg, "follower", x, y));
        }
    };
    let mut signs: Vec<(&str, Sign)> = vec![
        ("the colour is the term", terms),
        ("leader", |svg, x, y| svg.group("t0", "leader", |svg| upright(svg, "leader", x, y))),
        ("candidate", |svg, x, y| {
            svg.group("t0", "candidate", |svg| upright(svg, "candidate", x, y));
        }),
        ("follower", |svg, x, y| svg.group("t0", "follower", |svg| upright(svg, "follower", x, y))),
        ("down", |svg, x, y| {
            upright(svg, "down", x, y);
            svg.line("end", (x + 5.0, y - 7.0), (x + 15.0, y - 7.0));
        }),
    ];
    if faults {
        signs.push(("paused", |svg, x, y| svg.rect("pause", x + 2.0, y - 7.0, 16.0, 14.0, "")));
        signs.push(("a link is cut", |svg, x, y| svg.rect("cut", x + 8.0, y - 7.0, 5.0, 14.0, "")));
    }
    signs.push(("message", |svg, x, y| arrow(svg, "", x, y)));
    signs.push(("vote", |svg, x, y| arrow(svg, "vote", x, y)));
    signs.push(("copy", |svg, x, y| arrow(svg, "copy", x, y)));
    signs.push(("lost", |svg, x, y| {
        svg.group("arrow t0 lost", "lost", |svg| {
            svg.line("", (x, y), (x + 14.0, y));
            cross(svg, (x + 14.0, y));
        });
    }));
    signs.push(("still on its way", |svg, x, y| {
        svg.group("arrow t0 away", "still on its way", |svg| {
            svg.line("", (x, y), (x + 15.0, y));
            svg.circle("away", (x + 15.0, y), 2.5);
        });
    }));
    if clients {
        signs.push(("answered", |svg, x, y| operation(svg, "op", x, y)));
        signs.push(("failed ✕", |svg, x, y| operation(svg, "op fail", x, y)));
        signs.push(("unknown ?", |svg, x, y| operation(svg, "op info", x, y)));
        signs.push(("no answer yet …", |svg, x, y| operation(svg, "op open", x, y)));
    }
    if violations {
        signs.push(("violates", |svg, x, y| svg.circle("ring", (x + 10.0, y), 7.0)));
    }
    let (mut x, mut y) = (MARGIN, y);
    for (text, sign) in signs {
        let width = 26.0 + text.chars().count() as f64 * 5.6 + 14.0;
        if x + width > columns.width {
            (x, y) = (MARGIN, y + 22.0);
        }
        sign(svg, x, y);
        svg.text("", Anchor::Start, (x + 26.0, y + 3.5), text);
        x += width;
    }
    y
}

fn cross(svg: &mut Svg, (x, y): (f64, f64)) {
    svg.line("cross", (x - 3.5, y - 3.5), (x + 3.5, y + 3.5));
    svg.line("cross", (x - 3.5, y + 3.5), (x + 3.5, y - 3.5));
}
