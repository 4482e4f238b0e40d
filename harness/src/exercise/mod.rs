//! How a test proceeds: the only interpreter of a plan.
//!
//! [`Exercise`] is a pure machine. It is given the time and what was observed, and gives
//! [`Order`]s. A cluster carries these out and reports what it observed: containers by the Docker
//! daemon, simulated nodes in virtual time. So stages, clients and faults are written once, and
//! what a plan means does not depend on where it runs.
//!
//! - [`order`]: the vocabulary: orders and deeds, observations and findings;
//! - `stages`: bring-up, load, healing, recovery, draining, reading, comparing, stopping;
//! - `client`: the load: connect, send, wait, move to another node, back off;
//! - `session`: what is done to have an operation executed once, however often it is sent;
//! - `rate_limiter`: spreads operations over time;
//! - `fault`: the life of each fault, a file for each kind;
//! - `limits`: what a run must reach, and how long everything may take; `weather`: what the world
//!   of a plan by itself makes possible.
//!
//! A cluster must report the outcome of every deed, sooner or later: a deed without one keeps its
//! stage or fault waiting for ever.

mod client;
mod fault;
pub(crate) mod limits;
pub mod order;
mod rate_limiter;
mod session;
mod stages;
#[cfg(test)]
mod tests;
mod weather;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use checker::evidence::{Crash, Ending};

pub use self::order::{
    Alarm, ClientId, ClientStep, ClockChange, Deed, Exit, Failure, FaultStep, Finding, Machine,
    Note, Observation, Order, Process, Role, SIGKILLED, Stage, Status, Strength, Ticket, Time,
    View,
};
use self::{client::Clients, fault::Faults, stages::Stages};
use crate::{
    nemesis::{NodeId, overlap::FaultId},
    plan::Plan,
};

/// How a plan is interpreted on a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A node that does not answer for this long is seen to hang. Far more than an answer takes.
    pub hang: Duration,
    /// Only for testing the harness itself: faults are recorded as usual and not carried out, so
    /// that none can prove itself.
    pub inert: bool,
}

/// A test in progress; see the module.
///
/// - Every deed that it orders has one owner, which is told the outcome.
/// - After [`Stage::Over`] it orders nothing.
#[derive(Debug)]
pub struct Exercise<'a> {
    desk: Desk<'a>,
    stages: Stages,
    clients: Clients,
    faults: Faults,
}

impl<'a> Exercise<'a> {
    /// A test that has not begun: the first observation must be [`Observation::Begin`].
    pub fn new(plan: &'a Plan, settings: Settings) -> Self {
        Self {
            desk: Desk::new(plan, settings),
            stages: Stages::new(),
            clients: Clients::new(plan),
            faults: Faults::new(&plan.faults),
        }
    }

    fn take(&mut self, what: Observation, view: &dyn View) {
        let Self { desk, stages, clients, faults } = self;
        match what {
            Observation::Begin => stages.begin(desk),
            Observation::Alarm(Alarm::Client { client, token, step }) => {
                clients.alarm(client, token, step, desk);
            }
            Observation::Alarm(Alarm::Fault(fault, step)) => faults.alarm(fault, step, desk, view),
            Observation::Alarm(Alarm::Stage(stage)) => stages.alarm(stage, desk),
            Observation::Alarm(Alarm::Look) => {}
            Observation::Connected { client, token, result } => {
                clients.connected(client, token, result, desk);
            }
            Observation::Completed { client, token, completion } => {
                clients.completed(client, token, completion, desk);
            }
            Observation::Disconnected { client } => clients.disconnected(client),
            Observation::Done { ticket, outcome } => match desk.owners.remove(&ticket) {
                Some(Owner::Stages) => stages.done(ticket, outcome, desk),
                Some(Owner::Fault(fault)) => faults.done(fault, ticket, outcome, desk, view),
                // Its owner lost interest.
                None => {}
            },
            Observation::Met(fault) => faults.met(fault, desk, view),
            Observation::EndEarly(why) => stages.end_early(&why, desk),
        }
    }

    /// The faults that are being installed, in force, or being healed, as `--faults` takes them.
    pub fn active_faults(&self) -> Vec<String> {
        self.faults.active()
    }

    /// The present stage.
    pub fn stage(&self) -> Stage {
        self.stages.stage
    }
}

impl Machine for Exercise<'_> {
    fn handle(&mut self, now: Time, what: Observation, view: &dyn View, orders: &mut Vec<Order>) {
        mem::swap(&mut self.desk.orders, orders);
        self.desk.now = now;
        self.take(what, view);
        self.advance(view);
        mem::swap(&mut self.desk.orders, orders);
    }

    fn is_over(&self) -> bool {
        self.stages.stage == Stage::Over
    }
}

/// The process ids of one client differ by this; clients of the load, one prober a node, and the
/// reader at the end each begin with their own number.
pub(crate) fn stride(clients: u64, nodes: u64) -> u64 {
    clients + nodes + 1
}

/// Who ordered a deed.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Stages,
    Fault(FaultId),
}

/// What stages, clients and faults share: the time, and where orders go.
#[derive(Debug)]
struct Desk<'a> {
    plan: &'a Plan,
    settings: Settings,
    nodes: Vec<NodeId>,
    now: Time,
    /// When the load began: time 0 of the evidence.
    start: Time,
    orders: Vec<Order>,
    last_ticket: Ticket,
    owners: BTreeMap<Ticket, Owner>,
    /// Nodes of which it was said how they ended.
    ended: BTreeSet<NodeId>,
}

impl<'a> Desk<'a> {
    fn new(plan: &'a Plan, settings: Settings) -> Self {
        Self {
            plan,
            settings,
            nodes: plan.node_ids(),
            now: Time::ZERO,
            start: Time::ZERO,
            orders: Vec::new(),
            last_ticket: 0,
            owners: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    fn wake(&mut self, at: Time, alarm: Alarm) {
        self.orders.push(Order::Wake { at: at.max(self.now), alarm });
    }

    fn perform(&mut self, owner: Owner, deed: Deed) -> Ticket {
        self.last_ticket += 1;
        self.owners.insert(self.last_ticket, owner);
        self.orders.push(Order::Perform { ticket: self.last_ticket, deed });
        self.last_ticket
    }

    fn note(&mut self, note: Note) {
        self.orders.push(Order::Note(note));
    }

    fn incomplete(&mut self, why: String) {
        self.note(Note::Incomplete(why));
    }

    /// Says that a node's process ended although no fault ended it, and records a crash if the
    /// reason was the node's own.
    fn exited(&mut self, node: NodeId, exit: &Exit) -> String {
        let how = format!("n{node} {exit}");
        let first = self.ended.insert(node);
        let ending = match exit {
            Exit { out_of_memory: true, .. } | Exit { on_record: true, .. } => None,
            Exit { defect: true, .. } => Some(Ending::Defect),
            Exit { refused: true, .. } => Some(Ending::Disk),
            _ => None,
        };
        if let (Some(ending), true) = (ending, first) {
            self.note(Note::Crash(Crash { node, ending, how: how.clone() }));
        }
        how
    }

    /// Whether clients rest until the last heal.
    fn is_quiet(&self) -> bool {
        let Plan { quiet, time, .. } = *self.plan;
        !quiet.is_zero() && self.now >= self.start + time.saturating_sub(quiet)
    }

    /// Nanoseconds since the load began.
    fn since_start(&self) -> u64 {
        nanoseconds(self.now.saturating_sub(self.start))
    }
}

/// Deeds that were ordered at once, and what they found.
#[derive(Debug, Default)]
struct Round {
    pending: BTreeMap<Ticket, Deed>,
    seen: Vec<Seen>,
}

/// The outcome of a deed.
#[derive(Clone, Debug)]
struct Seen {
    deed: Deed,
    outcome: Result<Finding, Failure>,
    at: Time,
}

impl Round {
    /// Orders more deeds; what earlier ones found is kept.
    fn order(&mut self, owner: Owner, deeds: Vec<Deed>, desk: &mut Desk<'_>) {
        for deed in deeds {
            if let (true, Owner::Fault(_)) = (desk.settings.inert, owner)
                && let Some(finding) = fault::inert(&deed)
            {
                self.seen.push(Seen { deed, outcome: Ok(finding), at: desk.now });
                continue;
            }
            if let Deed::Start(node) = deed {
                desk.ended.remove(&node);
            }
            let ticket = desk.perform(owner, deed.clone());
            self.pending.insert(ticket, deed);
        }
    }

    fn done(&mut self, ticket: Ticket, outcome: Result<Finding, Failure>, at: Time) {
        if let Some(deed) = self.pending.remove(&ticket) {
            self.seen.push(Seen { deed, outcome, at });
        }
    }
}

/// A time in nanoseconds, as the evidence has it.
fn nanoseconds(time: Time) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
