//! Clocks that go wrong: too fast, too slowly, or by jumps.

use std::time::Duration;

use checker::fault::Phase;
use node::replica::Time;
use serde_json::{Value, json};

use super::{HANGS, holders};
use crate::{
    cluster::sim::{
        queue::{Event, Moment},
        world::World,
    },
    nemesis::{
        ClockTrouble, NodeId,
        overlap::{FaultId, Part},
    },
};

/// A clock's reading before something was done to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    at: Time,
    reading: Time,
}

/// What is done to clocks.
#[derive(Clone, Copy, Debug)]
enum Error {
    /// They go so many times as fast, in percent.
    Rate(u64),
    /// They jump, forth or back.
    Jump(Time, bool),
}

fn error(how: ClockTrouble, pick: u64, election_timeout: Duration) -> Error {
    let step = (pick % 4) as usize;
    match how {
        ClockTrouble::Fast => Error::Rate([125, 150, 200, 400][step]),
        ClockTrouble::Slow => Error::Rate([80, 67, 50, 25][step]),
        ClockTrouble::Jump => {
            let by = election_timeout / 2 * [1, 3, 6, 12][step];
            Error::Jump(by, (pick / 4).is_multiple_of(2))
        }
    }
}

impl World<'_> {
    pub(super) fn install_clock(&mut self, id: FaultId, how: ClockTrouble, pick: u64) {
        let wanted = self.nemesis.faults[id].nodes.clone();
        let granted = self.nemesis.holds.claim(id, Part::Clock, &wanted);
        if granted.nodes.is_empty() {
            let why = format!("every clock aimed at is wrong already: {}", holders(&granted.taken));
            return self.give_up(id, Phase::Skipped, why);
        }
        self.nemesis.faults[id].nodes = granted.nodes;
        let error = error(how, pick, self.plan.timings.election_timeout);
        self.set_clocks(id, error);
        let mut detail = match error {
            Error::Rate(percent) => json!({ "rate_percent": percent }),
            Error::Jump(by, forth) => {
                let by = humantime::format_duration(by).to_string();
                json!({ "jump": by, "direction": if forth { "forth" } else { "back" } })
            }
        };
        if let (Some(detail), false) = (detail.as_object_mut(), granted.taken.is_empty()) {
            detail.insert("wrong already".to_owned(), holders(&granted.taken).into());
        }
        self.account(id, Phase::Installed, detail);
        self.queue.push(self.now + HANGS, Event::Fault(id, Moment::Check));
    }

    /// Does something to the fault's clocks, and remembers what they showed before.
    fn set_clocks(&mut self, id: FaultId, error: Error) {
        let now = self.now;
        for node in self.nemesis.faults[id].nodes.clone() {
            let clock = &mut self.process(node).time;
            let setting = Setting { at: now, reading: clock.read(now) };
            match error {
                Error::Rate(percent) => clock.go(now, percent),
                Error::Jump(by, true) => clock.jump_forth(now, by),
                Error::Jump(by, false) => clock.jump_back(now, by),
            }
            self.nemesis.faults[id].settings.insert(node, setting);
            self.rewind(node);
        }
    }

    pub(super) fn check_clock(&mut self, id: FaultId) {
        let shown = self.shown(id);
        let right: Vec<String> = shown
            .iter()
            .filter(|(_, gained, natural)| near(*gained, *natural))
            .map(|(node, ..)| format!("n{node}"))
            .collect();
        if !right.is_empty() {
            let why = format!("the clock of {} goes as before", right.join(", "));
            return self.give_up(id, Phase::Failed, why);
        }
        self.bitten(id, words(&shown));
    }

    /// Lets the clocks go by themselves again. One that jumped jumps back.
    pub(super) fn heal_clock(&mut self, id: FaultId, how: ClockTrouble) {
        let pick = self.nemesis.faults[id].injection.pick;
        let back = match error(how, pick, self.plan.timings.election_timeout) {
            Error::Rate(_) => Error::Rate(100),
            Error::Jump(by, forth) => Error::Jump(by, !forth),
        };
        self.set_clocks(id, back);
        if let Error::Jump(by, forth) = back {
            // What is seen from now on is without the jump itself.
            for setting in self.nemesis.faults[id].settings.values_mut() {
                setting.reading =
                    if forth { setting.reading + by } else { setting.reading.saturating_sub(by) };
            }
        }
    }

    /// Whether the clocks go by themselves again.
    pub(super) fn are_right(&self, id: FaultId) -> Option<Value> {
        let shown = self.shown(id);
        shown.iter().all(|(_, gained, natural)| near(*gained, *natural)).then(|| words(&shown))
    }

    /// What each clock gained since it was set, and what it would have by itself. One that was set
    /// back has perhaps gained nothing.
    fn shown(&self, id: FaultId) -> Vec<(NodeId, Time, Time)> {
        let settings = &self.nemesis.faults[id].settings;
        let shown = |(node, setting): (&NodeId, &Setting)| {
            let clock = &self.processes[*node as usize - 1].time;
            let gained = clock.read(self.now).saturating_sub(setting.reading);
            (*node, gained, clock.natural_gain(self.now.saturating_sub(setting.at)))
        };
        settings.iter().map(shown).collect()
    }
}

/// Equal but for rounding.
fn near(gained: Time, natural: Time) -> bool {
    gained.abs_diff(natural) < Time::from_micros(1)
}

fn words(shown: &[(NodeId, Time, Time)]) -> Value {
    let milliseconds = |time: Time| time.as_secs_f64() * 1000.0;
    let words = |(node, gained, natural): &(NodeId, Time, Time)| {
        let seen =
            json!({ "gained_ms": milliseconds(*gained), "by_itself_ms": milliseconds(*natural) });
        (format!("n{node}"), seen)
    };
    shown.iter().map(words).collect()
}
