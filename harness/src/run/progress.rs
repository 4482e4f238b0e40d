//! A line that tells how the run goes: redrawn in place on a terminal, else printed every few
//! seconds.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::record::Counts;

/// How often a line is printed where it cannot be redrawn.
const EVERY: Duration = Duration::from_secs(5);

/// What the line tells.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) elapsed: Duration,
    pub(super) total: Duration,
    pub(super) counts: Counts,
    pub(super) faults: Vec<String>,
    pub(super) leader: Option<(u64, u64)>,
}

impl Status {
    fn line(&self) -> String {
        let Counts { ok, fail, info } = self.counts;
        let leader = match self.leader {
            Some((leader, term)) => format!("leader n{leader}, term {term}"),
            None => "no leader".to_owned(),
        };
        let faults = match self.faults.as_slice() {
            [] => "no fault".to_owned(),
            faults => faults.join(" + "),
        };
        format!(
            "{:>4.0}s of {:.0}s · {ok} ok, {fail} fail, {info} info · {leader} · {faults}",
            self.elapsed.as_secs_f64(),
            self.total.as_secs_f64(),
        )
    }
}

/// Tells people how it goes, on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    printed: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, printed: None }
    }

    /// A step begins that takes a while.
    pub(super) fn step(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(text.to_owned());
                bar.enable_steady_tick(Duration::from_millis(100));
            }
            None => print(text),
        }
    }

    /// The run goes on.
    pub(super) fn status(&mut self, status: &Status) {
        match &self.bar {
            Some(bar) => bar.set_message(status.line()),
            None => {
                if self.printed.is_none_or(|last| last.elapsed() >= EVERY) {
                    self.printed = Some(Instant::now());
                    print(&status.line());
                }
            }
        }
    }

    /// Leaves the terminal clean.
    pub(super) fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A standard error that is closed is no reason to stop.
pub(super) fn print(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_time_operations_leader_and_faults() {
        let mut status = Status {
            elapsed: Duration::from_secs(12),
            total: Duration::from_secs(60),
            counts: Counts { ok: 3, fail: 2, info: 1 },
            faults: vec!["kill:leader".to_owned(), "partition:bridge".to_owned()],
            leader: Some((2, 7)),
        };
        assert_eq!(
            status.line(),
            "  12s of 60s · 3 ok, 2 fail, 1 info · leader n2, term 7 · kill:leader + partition:bridge"
        );
        status.faults.clear();
        status.leader = None;
        assert!(status.line().ends_with("no leader · no fault"));
    }
}
