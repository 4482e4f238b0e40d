//! The whole cluster in one process: the same replicas, write-ahead logs and plans as in
//! containers, in virtual time, on one thread.
//!
//! [`simulate`] is a pure function of the plan, its seed included: the same bytes of history and
//! trace whenever it is called. All randomness comes from one generator, and
//! everything is kept in ordered collections.
//!
//! - `world`, `queue`: time, and what happens in it;
//! - `process`, `lifecycle`, `round`: a replica, driven as the server drives it; `disk`, `network`,
//!   `clock`: what it lives on;
//! - `past`: what the nodes have behind them when a run begins;
//! - `hands`: carries out the orders of [`crate::exercise`], which leads the run; `connections`: of
//!   clients to nodes; `damage`: what faults do to disks; `kept`: what these must remember;
//! - `budget`, `pulse`: no node holds up a run for ever;
//! - `limits`: whether nodes keep theirs;
//! - `record`: the evidence, checked for Raft's safety step by step;
//! - [`Observer`]: is told of all that happens.
//!
//! # What is simulated, and what is not
//!
//! - A killed node loses what it did not sync, in any part: its machine loses power. A container
//!   that is killed loses nothing, for the kernel keeps what was written.
//! - Messages between nodes are lost, doubled and overtaken a little all the time, as TCP would not
//!   let them be: Raft must bear it. Those in flight to a process that dies are lost.
//! - Not simulated is the shell around the replica: gRPC, sockets, files, their errors and limits.
//!   For that there is [`super::in_process`].

mod budget;
mod clock;
mod connections;
mod damage;
pub(super) mod disk;
mod hands;
mod kept;
mod lifecycle;
mod limits;
pub(super) mod network;
pub(super) mod observe;
mod past;
mod process;
mod pulse;
mod queue;
pub(super) mod record;
mod round;
mod world;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use checker::{evidence::Evidence, raft::Passed};

use hands::HANG;
pub use hands::supports;
pub use observe::{Ending, Loss, MessageId, Observer, SimEvent, Unobserved};
use pulse::Pulse;
pub use pulse::simulate_guarded;

use crate::{
    exercise::{Exercise, Machine, Settings},
    plan::Plan,
};

/// How a run that a stop cut short begins to say so.
pub(crate) const STOPPED: &str = "the run was stopped after";

/// A run.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// What was recorded.
    pub evidence: Evidence,
    /// The first violation of Raft's safety, at which the run ended.
    pub violation: Option<String>,
    /// What was examined of Raft's safety while the run went on, where nothing was found.
    pub passed: Option<Passed>,
    /// Events that happened.
    pub events: u64,
    /// From the start of the first node to the end.
    pub virtual_time: Duration,
}

/// Runs a plan. A node that spins or storms ends the run, and is convicted; one that never returns
/// hangs it: see [`simulate_guarded`]. When `stop` becomes true the run ends early, and says so.
pub fn simulate(plan: &Plan, stop: &AtomicBool) -> Simulation {
    run(plan, false, None, stop)
}

/// The same, but that faults are recorded and not carried out: to test that the lack of proof is
/// noticed.
#[doc(hidden)]
pub fn simulate_inert(plan: &Plan, stop: &AtomicBool) -> Simulation {
    run(plan, true, None, stop)
}

/// The same, before the eyes of an observer. It changes nothing.
pub fn simulate_observed(
    plan: &Plan,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Simulation {
    run(plan, false, Some(observer), stop)
}

fn run<'a>(
    plan: &'a Plan,
    inert: bool,
    observer: Option<&'a mut dyn Observer>,
    stop: &AtomicBool,
) -> Simulation {
    watched(plan, inert, observer, stop, Arc::default())
}

/// Runs a plan under the eyes of another thread.
fn watched<'a>(
    plan: &'a Plan,
    inert: bool,
    observer: Option<&'a mut dyn Observer>,
    stop: &AtomicBool,
    pulse: Arc<Pulse>,
) -> Simulation {
    let mut exercise = Exercise::new(plan, Settings { hang: HANG, inert });
    world::World::new(plan, observer, pulse).run(&mut exercise, stop)
}

/// Runs a cluster as the plan describes it, led by another machine than the plan's exercise.
pub fn simulate_led(plan: &Plan, machine: &mut dyn Machine, stop: &AtomicBool) -> Simulation {
    world::World::new(plan, None, Arc::default()).run(machine, stop)
}
