//! The whole server of every node in one process: gRPC, links, timers, stop and start, in virtual
//! time over a simulated network.
//!
//! [`crate::cluster::sim`] drives the replica by itself and is far faster. Here the code around the
//! replica runs as well, `node::server`, unchanged: only the machine below it
//! ([`node::server::Machine`]) is not real. So what hides in there is found without containers:
//! swapped answers, a link that gives up, a stop that forgets.
//!
//! - `wires`: connections as TCP has them, with an adversary on every wire; pure;
//! - `stream`: the same as tokio's reader and writer;
//! - `machine`: disk, trace and log of a node's machine;
//! - `process`: a node's process, on a runtime of its own with a clock that stands still;
//! - `hands`: carries out the exercise's orders; `world`: steps all in turn.
//!
//! # Time
//! The world goes on in steps of a millisecond, and nothing passes from one machine to another in
//! less. Within a step machines take turns in an order that is left to chance. A runtime runs until
//! all its tasks wait for something later; its clock then shows the end of the step.
//!
//! # What is not the same every time
//! One thread, one seed, paused clocks: most plans give the same history and traces every time. Not
//! all do: libraries below the servers make choices whose seed cannot be set (tokio's `select!`).
//! So a run here is repeated, not replayed.
//!
//! # Caveats
//! Nodes share one clock rate, disks are slow at most, and a segment is never overtaken: for the
//! rest there is [`crate::cluster::sim`].

mod hands;
mod machine;
mod process;
mod stream;
mod wires;
mod world;

use std::{sync::atomic::AtomicBool, time::Duration};

pub use hands::supports;

use super::sim::{Observer, Simulation};
use crate::{
    exercise::{Exercise, Machine, Settings},
    plan::Plan,
};
use wires::TICK;

/// A node that does not answer for this long hangs: an answer takes some ten steps.
const HANG: Duration = Duration::from_millis(300);

/// Runs a plan. When `stop` becomes true the run ends early, and says so. `inert`: faults are
/// recorded and not carried out.
pub fn simulate<'a>(
    plan: &'a Plan,
    inert: bool,
    observer: Option<&'a mut dyn Observer>,
    stop: &AtomicBool,
) -> Simulation {
    let mut exercise = Exercise::new(plan, Settings { hang: HANG, inert });
    lead(plan, &mut exercise, observer, stop)
}

/// Runs a cluster as the plan describes it, led by another machine than the plan's exercise.
pub fn simulate_led(plan: &Plan, machine: &mut dyn Machine, stop: &AtomicBool) -> Simulation {
    lead(plan, machine, None, stop)
}

fn lead<'a>(
    plan: &'a Plan,
    machine: &mut dyn Machine,
    observer: Option<&'a mut dyn Observer>,
    stop: &AtomicBool,
) -> Simulation {
    match world::World::new(plan, observer) {
        Ok(world) => world.run(machine, stop),
        Err(why) => panic!("no runtime: {why}"),
    }
}
