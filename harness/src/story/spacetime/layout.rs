//! Which part of a run is drawn, and how high every moment of it stands.

use std::collections::{BTreeMap, BTreeSet};

use node::replica::Time;

use super::{Extent, Fate, Guilty, Note, Spacetime};
use crate::nemesis::NodeId;

/// Height of a line of small text.
pub(super) const LINE: f64 = 11.0;
/// Moments drawn behind the last that a violation names.
const AFTERWARDS: usize = 6;

/// The moments that are drawn, and how much of the run that is.
#[derive(Debug)]
pub(super) struct Part {
    /// The height of each moment, in pixels, ascending.
    heights: BTreeMap<Time, f64>,
    pub(super) first: Time,
    pub(super) last: Time,
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// What nodes do in it, in lines that fit beside their line, by node and moment.
    pub(super) blocks: BTreeMap<(NodeId, Time), Vec<String>>,
    /// Moments before and after the part.
    pub(super) before: usize,
    pub(super) after: usize,
    /// Messages within the part that are not drawn.
    pub(super) idle: usize,
}

impl Part {
    /// Whether something from one moment to another is seen in part.
    pub(super) fn shows(&self, begin: Time, end: Time) -> bool {
        begin <= self.last && end >= self.first
    }

    /// The height of any moment.
    pub(super) fn y(&self, time: Time) -> f64 {
        let before = self.heights.range(..=time).next_back();
        let after = self.heights.range(time..).next();
        match (before, after) {
            (Some((t0, y0)), Some((t1, y1))) if t0 < t1 => {
                y0 + (y1 - y0) * (time - *t0).as_secs_f64() / (*t1 - *t0).as_secs_f64()
            }
            (Some((_, y)), Some(_)) => *y,
            (None, _) => self.top,
            (_, None) => self.bottom,
        }
    }

    /// All moments with their heights.
    pub(super) fn moments(&self) -> impl Iterator<Item = (Time, f64)> {
        self.heights.iter().map(|(time, y)| (*time, *y))
    }
}

/// Picks the part and gives it heights from `top` on; a line beside a node has room for so many
/// characters.
pub(super) fn part(
    picture: &Spacetime,
    guilty: &Guilty,
    extent: &Extent,
    top: f64,
    room: usize,
) -> Part {
    let all = moments(picture);
    let within = |time: &&Time| {
        let since = time.as_nanos() as i128 - picture.start.as_nanos() as i128;
        extent.window.contains(since)
    };
    let mut chosen: Vec<Time> = all.iter().filter(within).copied().collect();
    if let (None, Some(last)) = (extent.window.to, guilty.last) {
        let behind = chosen.partition_point(|time| *time <= last);
        chosen.truncate(behind + AFTERWARDS);
    }
    let surplus = chosen.len().saturating_sub(extent.moments.max(1));
    chosen.drain(..surplus);
    let first = chosen.first().copied().unwrap_or(picture.last);
    let last = chosen.last().copied().unwrap_or(picture.last);

    let blocks = blocks(picture, first, last, room);
    let mut heights = BTreeMap::new();
    let mut below = BTreeMap::<NodeId, f64>::new();
    let mut y = top;
    let mut before = None;
    for time in chosen {
        if let Some(before) = before {
            y += gap(time - before);
        }
        let here = blocks.iter().filter(|((_, at), _)| *at == time);
        for ((node, _), lines) in here.clone() {
            if !lines.is_empty() {
                y = below.get(node).map_or(y, |below| y.max(*below));
            }
        }
        for ((node, _), lines) in here {
            if !lines.is_empty() {
                below.insert(*node, y + lines.len() as f64 * LINE + 1.0);
            }
        }
        heights.insert(time, y);
        before = Some(time);
    }
    let bottom = below.values().copied().fold(y, f64::max) + 8.0;
    let shown = |begin: Time, end: Time| begin <= last && end >= first;
    Part {
        heights,
        first,
        last,
        top,
        bottom,
        blocks,
        before: all.iter().filter(|time| **time < first).count(),
        after: all.iter().filter(|time| **time > last).count(),
        idle: picture
            .arrows
            .iter()
            .filter(|arrow| arrow.idle && shown(arrow.sent, arrow.end))
            .count(),
    }
}

/// Room between two moments: some for any, more for a longer time, but never much.
fn gap(time: Time) -> f64 {
    3.5 + 5.0 * (1.0 + time.as_secs_f64() * 50_000.0).log10()
}

/// Every moment at which something happens that is drawn.
fn moments(picture: &Spacetime) -> BTreeSet<Time> {
    let mut all = BTreeSet::new();
    for arrow in picture.arrows.iter().filter(|arrow| !arrow.idle) {
        all.insert(arrow.sent);
        if arrow.fate != Fate::InFlight {
            all.insert(arrow.end);
        }
    }
    all.extend(picture.notes.iter().map(|note| note.time));
    for operation in &picture.operations {
        all.insert(operation.begin);
        all.extend(operation.end);
    }
    for bar in &picture.bars {
        all.insert(bar.begin);
        all.extend(bar.end);
    }
    all
}

/// What each node does at each moment, broken into lines.
fn blocks(
    picture: &Spacetime,
    first: Time,
    last: Time,
    room: usize,
) -> BTreeMap<(NodeId, Time), Vec<String>> {
    let mut notes = BTreeMap::<(NodeId, Time), Vec<&Note>>::new();
    for note in picture.notes.iter().filter(|note| (first..=last).contains(&note.time)) {
        notes.entry((note.node, note.time)).or_default().push(note);
    }
    let lines = |notes: Vec<&Note>| {
        let labels = notes.iter().map(|note| note.label.as_str()).filter(|label| !label.is_empty());
        wrap(labels, room)
    };
    notes.into_iter().map(|(at, notes)| (at, lines(notes))).collect()
}

/// Joins labels by commas into lines of so many characters; a longer one has a line of its own.
fn wrap<'a>(labels: impl Iterator<Item = &'a str>, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for label in labels {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 2 + label.chars().count() <= room => {
                line.push_str(", ");
                line.push_str(label);
            }
            _ => lines.push(label.to_owned()),
        }
    }
    lines
}

/// Places that are taken; a label that would lie upon another is left out.
#[derive(Debug, Default)]
pub(super) struct Taken(Vec<[f64; 4]>);

impl Taken {
    /// Takes a place of left, top, width and height; false: something is there.
    pub(super) fn take(&mut self, place: [f64; 4]) -> bool {
        let [x, y, w, h] = place;
        let free = self
            .0
            .iter()
            .all(|[x1, y1, w1, h1]| x >= x1 + w1 || *x1 >= x + w || y >= y1 + h1 || *y1 >= y + h);
        if free {
            self.0.push(place);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_fill_lines() {
        let labels = ["term 5", "votes n2", "cuts back to 3@2", "+4@3"];
        let lines = wrap(labels.into_iter(), 18);
        assert_eq!(lines, ["term 5, votes n2", "cuts back to 3@2", "+4@3"]);
    }

    #[test]
    fn a_place_is_taken_once() {
        let mut taken = Taken::default();
        assert!(taken.take([0.0, 0.0, 10.0, 10.0]));
        assert!(!taken.take([9.0, 9.0, 5.0, 5.0]));
        assert!(taken.take([10.0, 9.0, 5.0, 5.0]));
    }

    #[test]
    fn longer_times_take_more_room_but_never_much() {
        let micros = Time::from_micros;
        assert!(gap(micros(1)) >= 3.5 && gap(micros(1)) < gap(micros(1_000)));
        assert!(gap(micros(1_000)) < gap(micros(100_000)) && gap(Time::from_secs(60)) < 50.0);
    }
}
