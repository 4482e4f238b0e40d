//! The table that a benchmark prints: what each check took, against what it may take.

use comfy_table::Table;

use super::{Cost, measure};

/// What a check may take, or should.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) milliseconds: f64,
    pub(crate) megabytes: Option<f64>,
}

impl Bound {
    fn holds(self, milliseconds: f64, megabytes: f64) -> bool {
        milliseconds <= self.milliseconds && self.megabytes.is_none_or(|most| megabytes <= most)
    }

    fn words(self) -> String {
        let Self { milliseconds, megabytes } = self;
        match megabytes {
            Some(megabytes) => format!("{milliseconds}; {megabytes} MB"),
            None => milliseconds.to_string(),
        }
    }
}

/// The most that a check may take, and what it should take.
pub(crate) type Target = Option<(Bound, Bound)>;

/// So many milliseconds at most, so many aimed at.
pub(crate) fn within(most: f64, aim: f64) -> Target {
    let bound = |milliseconds| Bound { milliseconds, megabytes: None };
    Some((bound(most), bound(aim)))
}

/// A table of checks.
pub(crate) struct Report(pub(crate) Table);

impl Report {
    /// An empty one: `what` is checked, which has so many `parts`.
    pub(crate) fn new(what: &str, parts: &str) -> Self {
        let mut table = Table::new();
        table.set_header([
            what,
            parts,
            "median, ms",
            "million/s",
            "at most",
            "aim",
            "met",
            "beside it, MB",
            "outcome",
        ]);
        Self(table)
    }

    /// Does some work of so many parts as often as that; what the last round gave.
    pub(crate) fn measure<T>(
        &mut self,
        name: &str,
        parts: usize,
        target: Target,
        rounds: usize,
        work: impl FnMut() -> T,
        outcome: impl FnOnce(&T) -> String,
    ) -> T {
        let (cost, result) = measure(rounds, work);
        self.add(name, parts, target, &cost, &outcome(&result));
        result
    }

    /// A line of work that was measured.
    pub(crate) fn add(
        &mut self,
        name: &str,
        parts: usize,
        target: Target,
        cost: &Cost,
        outcome: &str,
    ) {
        let seconds = cost.median.as_secs_f64();
        let (median, peak) = (seconds * 1e3, cost.peak as f64 / 1e6);
        let met = match target {
            None => "",
            Some((_, aim)) if aim.holds(median, peak) => "the aim",
            Some((most, _)) if most.holds(median, peak) => "yes",
            Some(_) => "no",
        };
        let (most, aim) = target.map(|(most, aim)| (most.words(), aim.words())).unwrap_or_default();
        self.0.add_row([
            name.to_owned(),
            parts.to_string(),
            format!("{median:.3}"),
            format!("{:.2}", parts as f64 / seconds / 1e6),
            most,
            aim,
            met.to_owned(),
            format!("{peak:.2}"),
            outcome.to_owned(),
        ]);
    }
}
