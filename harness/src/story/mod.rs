//! What happened in a simulated run, for people: told in lines that can be read aloud, and drawn as
//! a space-time diagram. Both are made of what an [`Observer`](crate::cluster::sim::Observer) is
//! told, so a plan alone gives them.
//!
//! - `tell`: the [`Teller`]; `words`: how it says what clients, faults and processes do;
//! - `spacetime`: the diagram, of a part of the run that fits on a page;
//! - `idle`: which messages change nothing and are left out.

mod idle;
mod spacetime;
mod tell;
mod words;

use std::{sync::atomic::AtomicBool, time::Duration};

use checker::{budget::Limits, judge};

pub use spacetime::{Extent, Spacetime};
pub use tell::{Shown, Teller};

use crate::{cluster::simulate_observed, plan::Plan};

/// The whole story of a plan's run, its verdict last: a pure function of the plan.
pub fn story(plan: &Plan) -> String {
    let mut teller = Teller::new(plan);
    let simulation = simulate_observed(plan, &AtomicBool::new(false), &mut teller);
    let verdict = judge::run(&simulation.evidence, &Limits::default());
    teller.tell(&verdict, &Shown::default())
}

/// The space-time diagram of the end of a plan's run, as an SVG file: a pure function of the plan.
/// Where the run violates something the picture ends with that.
pub fn diagram(plan: &Plan) -> String {
    let mut picture = Spacetime::new(plan);
    let simulation = simulate_observed(plan, &AtomicBool::new(false), &mut picture);
    let verdict = judge::run(&simulation.evidence, &Limits::default());
    picture.draw(&verdict, &simulation.evidence, &Extent::default(), None)
}

/// A part of a run, in time since the start of its load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Where it begins; none: with the first event, before the load.
    pub from: Option<Duration>,
    /// Where it ends, itself included; none: with the last event.
    pub to: Option<Duration>,
}

impl Window {
    /// Whether a moment lies in it; `nanoseconds` since the start of the load.
    fn contains(self, nanoseconds: i128) -> bool {
        let of = |time: Duration| time.as_nanos() as i128;
        self.from.is_none_or(|from| of(from) <= nanoseconds)
            && self.to.is_none_or(|to| nanoseconds <= of(to))
    }
}
