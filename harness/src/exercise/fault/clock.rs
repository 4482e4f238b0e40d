//! Clocks that go wrong: too fast, too slowly, or by jumps.
//!
//! Takes effect when each clock is seen to have gone otherwise than by itself, and is healed when
//! each is seen to go by itself again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use checker::fault::{Applied, ClockChange as Change, ClockReading, Detail, How};

use super::kind::{Aim, Kind, Miss, Proof, Sight, Step, applied, by_node, microseconds, some};
use crate::{
    exercise::{ClockChange, Deed, Finding, Seen, Time},
    nemesis::{
        ClockTrouble, NodeId,
        overlap::{FaultId, Granted, Holds, Part},
    },
};

#[derive(Debug)]
pub(super) struct Clock {
    fault: FaultId,
    wanted: BTreeSet<NodeId>,
    granted: Granted,
    change: ClockChange,
}

impl Clock {
    pub(super) fn new(how: ClockTrouble, aim: &Aim<'_>) -> Self {
        let step = (aim.pick % 4) as usize;
        let change = match how {
            ClockTrouble::Fast => ClockChange::Rate([125, 150, 200, 400][step]),
            ClockTrouble::Slow => ClockChange::Rate([80, 67, 50, 25][step]),
            ClockTrouble::Jump => {
                let by = aim.election_timeout / 2 * [1, 3, 6, 12][step];
                let forward = (aim.pick / 4).is_multiple_of(2);
                if forward { ClockChange::Forward(by) } else { ClockChange::Back(by) }
            }
        };
        let wanted = aim.cut.nodes.clone();
        Self { fault: aim.fault, wanted, granted: Granted::default(), change }
    }

    fn set(&self, change: ClockChange, after: bool) -> Vec<Deed> {
        let set = |&node: &NodeId| Deed::SetClock { fault: self.fault, node, change, after };
        self.granted.nodes.iter().map(set).collect()
    }
}

impl Kind for Clock {
    fn claim(&mut self, holds: &mut Holds) -> Result<(), String> {
        let granted = holds.claim(self.fault, Part::Clock, &self.wanted);
        self.granted = some(granted, "clock aimed at is wrong already")?;
        Ok(())
    }

    fn nodes(&self) -> BTreeSet<NodeId> {
        self.granted.nodes.clone()
    }

    fn deeds(
        &mut self,
        step: Step,
        round: usize,
        _seen: &[Seen],
        _holds: &Holds,
    ) -> Result<Vec<Deed>, Miss> {
        Ok(match (step, round) {
            (Step::Install, 0) => self.set(self.change, false),
            (Step::Look | Step::Check, 0) => vec![Deed::ReadClocks(self.fault)],
            (Step::Heal | Step::Undo, 0) => {
                // One that jumped jumps back, and what it shows later is without that jump.
                let back = match self.change {
                    ClockChange::Rate(_) => ClockChange::Rate(100),
                    ClockChange::Forward(by) => ClockChange::Back(by),
                    ClockChange::Back(by) => ClockChange::Forward(by),
                };
                self.set(back, true)
            }
            _ => Vec::new(),
        })
    }

    /// It must have gone for a while to be told from one that goes by itself.
    fn shows_after(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn installed(&self) -> Applied {
        let change = match self.change {
            ClockChange::Rate(percent) => Change::RatePercent(percent),
            ClockChange::Forward(by) => Change::ForwardUs(microseconds(by)),
            ClockChange::Back(by) => Change::BackUs(microseconds(by)),
        };
        applied(Some(How::Clock(change)), &self.granted.taken)
    }

    fn bites(&mut self, seen: &[Seen]) -> Sight {
        let shown = shown(seen);
        let right: Vec<String> = shown
            .iter()
            .filter(|(_, reading)| reading.is_natural())
            .map(|(node, _)| format!("n{node}"))
            .collect();
        if !right.is_empty() || shown.len() < self.granted.nodes.len() {
            let why = format!("the clock of {} goes as before", right.join(", "));
            return Sight::Never(Miss::Failed(why));
        }
        Sight::Proof(Proof::on_nodes(shown.keys(), Detail::Clocks(by_node(&shown))))
    }

    fn healed(&mut self, seen: &[Seen], _since: Time, _holds: &Holds) -> Sight {
        let shown = shown(seen);
        if shown.len() < self.granted.nodes.len()
            || !shown.values().all(|reading| reading.is_natural())
        {
            return Sight::NotYet;
        }
        Sight::Proof(Proof::on_nodes(shown.keys(), Detail::Clocks(by_node(&shown))))
    }
}

fn shown(seen: &[Seen]) -> BTreeMap<NodeId, ClockReading> {
    let found = seen.iter().find_map(|seen| match &seen.outcome {
        Ok(Finding::Clocks(clocks)) => Some(clocks.clone()),
        _ => None,
    });
    found.unwrap_or_default()
}
