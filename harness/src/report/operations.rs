//! Aggregates the history while it streams by: throughput and latency in slices of time, windows
//! of unavailability, and the few events that a violation names.

use std::collections::{BTreeMap, BTreeSet};

use checker::history::{Kind, Place, generic::Event, lines::Line};
use hdrhistogram::Histogram;

/// Gaps shorter than this are not called unavailability, in nanoseconds.
pub(super) const UNAVAILABLE_MIN: u64 = 500_000_000;
/// Slices start this wide, in nanoseconds…
const SLICE_MIN: u64 = 250_000_000;
/// …and double in width whenever there would be more than this many.
const SLICES_MAX: usize = 480;
/// Distinct error texts that are counted; others are counted together.
const ERRORS_MAX: usize = 100;

/// How an operation ended, from the bottom of the chart to its top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It took effect.
    Ok,
    /// It was refused for what it observed, as a compare-and-set: answered, with no effect.
    Mismatch,
    /// It certainly did not take effect.
    Fail,
    /// Nobody knows.
    Info,
}

impl Ending {
    pub(super) const ALL: [Self; 4] = [Self::Ok, Self::Mismatch, Self::Fail, Self::Info];

    fn of(line: &Line) -> Option<Self> {
        match line.place().kind {
            Kind::Invoke => None,
            Kind::Ok => Some(Self::Ok),
            Kind::Fail if line.is_refusal() => Some(Self::Mismatch),
            Kind::Fail => Some(Self::Fail),
            Kind::Info => Some(Self::Info),
        }
    }

    /// The cluster served the client.
    fn answered(self) -> bool {
        matches!(self, Self::Ok | Self::Mismatch)
    }
}

/// One slice of the time axis.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    /// Operations that ended in it, by [`Ending`].
    pub(super) ended: [u64; 4],
    /// Latency of answered operations, in microseconds.
    pub(super) latency: Histogram<u32>,
}

/// An interval in which clients asked and none was served: from the first invocation after a
/// successful operation to the next success. Nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Whether a success ended it; else the history did.
    pub(super) recovered: bool,
}

/// What the page says about operations.
#[derive(Debug)]
pub(super) struct Operations {
    pub(super) slices: Vec<Slice>,
    /// Width of a slice in nanoseconds.
    pub(super) slice_width: u64,
    pub(super) invoked: u64,
    /// Operations that ended, by [`Ending`].
    pub(super) ended: [u64; 4],
    pub(super) latency: Histogram<u64>,
    pub(super) windows: Vec<Window>,
    /// Events that violations name, with the other half of their operation, by index.
    pub(super) named: BTreeMap<u64, Event>,
    /// How often each error was met.
    pub(super) errors: BTreeMap<String, u64>,
    /// Time of the last event, in nanoseconds.
    pub(super) end: u64,
    open: BTreeMap<u64, Line>,
    wanted: BTreeSet<u64>,
    /// The first invocation since the last success.
    waiting_since: Option<u64>,
}

fn histogram<T: hdrhistogram::Counter>() -> Histogram<T> {
    Histogram::new(2).expect("two significant figures are within the crate's 0 to 5")
}

impl Operations {
    /// Nothing seen yet. `wanted`: indices of events to keep.
    pub(super) fn new(wanted: BTreeSet<u64>) -> Self {
        Self {
            slices: Vec::new(),
            slice_width: SLICE_MIN,
            invoked: 0,
            ended: [0; 4],
            latency: histogram(),
            windows: Vec::new(),
            named: BTreeMap::new(),
            errors: BTreeMap::new(),
            end: 0,
            open: BTreeMap::new(),
            wanted,
            waiting_since: None,
        }
    }

    /// Takes the next event of the history.
    pub(super) fn take(&mut self, line: impl Into<Line>) {
        let line = line.into();
        let Place { index, time, process, .. } = line.place();
        self.end = self.end.max(time);
        let Some(ending) = Ending::of(&line) else {
            self.invoked += 1;
            self.waiting_since.get_or_insert(time);
            if self.wanted.contains(&index) {
                self.named.insert(index, line.clone().into());
            }
            self.open.insert(process, line);
            return;
        };
        let invocation = self.open.remove(&process);
        self.ended[ending as usize] += 1;
        let latency_us =
            invocation.as_ref().map(|start| time.saturating_sub(start.place().time) / 1000);
        let slice = self.slice_at(time);
        slice.ended[ending as usize] += 1;
        if ending.answered() {
            if let Some(us) = latency_us {
                // Fails only for a histogram that may not resize.
                let _ = slice.latency.record(us.max(1));
                let _ = self.latency.record(us.max(1));
            }
            self.served(time);
        } else if let Some(error) = line.error() {
            let text = super::text::shortened(error, 120);
            if self.errors.len() < ERRORS_MAX || self.errors.contains_key(&text) {
                *self.errors.entry(text).or_default() += 1;
            } else {
                *self.errors.entry("(other errors)".into()).or_default() += 1;
            }
        }
        // Both halves of an operation are shown when either is named.
        let named = |line: &Line| self.wanted.contains(&line.place().index);
        if named(&line) || invocation.as_ref().is_some_and(named) {
            for line in invocation.into_iter().chain([line]) {
                self.named.insert(line.place().index, line.into());
            }
        }
    }

    /// Closes the last window: no more events will come. `end`: the end of the run.
    pub(super) fn finish(&mut self, end: Option<u64>) {
        self.end = self.end.max(end.unwrap_or(0));
        if let Some(start) = self.waiting_since.take()
            && self.end - start >= UNAVAILABLE_MIN
        {
            self.windows.push(Window { start, end: self.end, recovered: false });
        }
    }

    fn served(&mut self, time: u64) {
        if let Some(start) = self.waiting_since.take()
            && time.saturating_sub(start) >= UNAVAILABLE_MIN
        {
            self.windows.push(Window { start, end: time, recovered: true });
        }
    }

    fn slice_at(&mut self, time: u64) -> &mut Slice {
        while time / self.slice_width >= SLICES_MAX as u64 {
            self.slice_width *= 2;
            self.slices = self
                .slices
                .chunks(2)
                .map(|pair| {
                    let mut sum = pair[0].clone();
                    for other in &pair[1..] {
                        for (total, more) in sum.ended.iter_mut().zip(other.ended) {
                            *total += more;
                        }
                        // Both histograms resize by themselves, so that adding cannot fail.
                        let _ = sum.latency.add(&other.latency);
                    }
                    sum
                })
                .collect();
        }
        let index = (time / self.slice_width) as usize;
        if self.slices.len() <= index {
            self.slices.resize_with(index + 1, || Slice { ended: [0; 4], latency: histogram() });
        }
        &mut self.slices[index]
    }
}

#[cfg(test)]
mod tests {
    use checker::history::{Event, Function, Value};

    use super::*;

    const MS: u64 = 1_000_000;

    fn event(index: u64, ms: u64, process: u64, kind: Kind) -> Event {
        Event {
            index,
            time: ms * MS,
            process,
            kind,
            f: Function::Read,
            key: "k".into(),
            value: Value::Nil,
            error: None,
            node: None,
            revision: None,
        }
    }

    fn windows(events: &[(u64, u64, Kind)], end_ms: u64) -> Vec<(u64, u64, bool)> {
        let mut operations = Operations::new(BTreeSet::new());
        for (index, (ms, process, kind)) in events.iter().enumerate() {
            operations.take(event(index as u64, *ms, *process, *kind));
        }
        operations.finish(Some(end_ms * MS));
        operations.windows.iter().map(|w| (w.start / MS, w.end / MS, w.recovered)).collect()
    }

    #[test]
    fn a_gap_without_success_is_a_window_from_first_asking_to_next_success() {
        use Kind::{Info, Invoke, Ok};
        let events = [
            (0, 1, Invoke),
            (10, 1, Ok),
            (20, 1, Invoke),
            (300, 2, Invoke),
            (900, 1, Info),
            (1000, 3, Invoke),
            (1020, 2, Ok),
        ];
        assert_eq!(windows(&events, 1020), [(20, 1020, true)]);
    }

    #[test]
    fn a_gap_in_which_nobody_asks_is_no_window() {
        use Kind::{Invoke, Ok};
        let events = [(0, 1, Invoke), (10, 1, Ok), (5000, 1, Invoke), (5010, 1, Ok)];
        assert_eq!(windows(&events, 20_000), []);
    }

    #[test]
    fn a_gap_one_millisecond_short_is_no_window() {
        use Kind::{Invoke, Ok};
        assert_eq!(windows(&[(0, 1, Invoke), (499, 1, Ok)], 499), []);
        assert_eq!(windows(&[(0, 1, Invoke), (500, 1, Ok)], 500), [(0, 500, true)]);
    }

    #[test]
    fn failures_do_not_end_a_window_and_the_end_of_the_run_does() {
        use Kind::{Fail, Invoke, Ok};
        let events = [(0, 1, Invoke), (5, 1, Ok), (6, 1, Invoke), (700, 1, Fail)];
        assert_eq!(windows(&events, 3000), [(6, 3000, false)]);
    }

    #[test]
    fn a_refused_compare_is_an_answer() {
        let mut operations = Operations::new(BTreeSet::new());
        for (index, ms, kind) in [(0, 0, Kind::Invoke), (1, 400, Kind::Fail), (2, 600, Kind::Ok)] {
            let mut event = event(index, ms, 1, kind);
            event.f = Function::Cas;
            event.error = (kind == Kind::Fail).then(|| "mismatch".into());
            operations.take(event);
        }
        operations.finish(None);
        assert_eq!(operations.windows, []);
        assert_eq!(operations.ended, [1, 1, 0, 0]);
        assert!(operations.errors.is_empty());
    }

    #[test]
    fn slices_merge_without_losing_an_operation() {
        let mut operations = Operations::new(BTreeSet::new());
        for i in 0..7200_u64 {
            operations.take(event(2 * i, i * 500, 1, Kind::Invoke));
            operations.take(event(2 * i + 1, i * 500 + 3, 1, Kind::Ok));
        }
        assert!(operations.slices.len() <= SLICES_MAX);
        assert_eq!(operations.slices.iter().map(|s| s.ended[0]).sum::<u64>(), 7200);
        assert_eq!(operations.slices.iter().map(|s| s.latency.len()).sum::<u64>(), 7200);
        let median_us = operations.slices[0].latency.value_at_quantile(0.5);
        assert!((2_950..=3_050).contains(&median_us), "{median_us}");
        assert!((2_950..=3_050).contains(&operations.latency.max()));
    }

    #[test]
    fn both_halves_of_a_named_operation_are_kept() {
        let mut operations = Operations::new(BTreeSet::from([1, 2]));
        operations.take(event(0, 0, 1, Kind::Invoke));
        operations.take(event(1, 1, 1, Kind::Ok));
        operations.take(event(2, 2, 1, Kind::Invoke));
        operations.take(event(3, 3, 1, Kind::Info));
        operations.take(event(4, 4, 2, Kind::Invoke));
        assert_eq!(operations.named.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
