//! The extremes that a run meets: limits that are reached, a load that stands still and goes on,
//! faults on top of each other, numbers that outgrow a byte or two, the rarer sizes of clusters.

use std::collections::BTreeSet;

use checker::{
    fault::Phase,
    history::{Kind, lines::Line},
};
use node::replica::Time;
use proto::trace::Event;

use super::{Counts, Situation};
use crate::{
    cluster::sim::SimEvent,
    exercise::Stage,
    plan::{Limits, Plan},
};

/// An idle stretch is longer than so many election timeouts.
const IDLE_TIMEOUTS: u32 = 3;
/// So many faults at once are a burst.
const BURST: usize = 3;
/// A run that takes longer is a long one.
const LONG: Time = Time::from_secs(120);

/// Watches a run for extremes.
#[derive(Debug)]
pub(super) struct Extremes {
    limits: Limits,
    idle: Time,
    /// When the load began, and when an operation last began.
    start: Time,
    asked: Time,
    /// Nothing was asked for long, and nothing was answered since.
    was_idle: bool,
    in_force: BTreeSet<usize>,
    /// The highest term, start and index that were met so far.
    highest: (u64, u64, u64),
}

impl Extremes {
    pub(super) fn new(plan: &Plan, counts: &mut Counts) -> Self {
        let size = match plan.nodes {
            1 => Some(Situation::OneNode),
            2 => Some(Situation::TwoNodes),
            6 => Some(Situation::SixNodes),
            8 => Some(Situation::EightNodes),
            9 => Some(Situation::NineNodes),
            _ => None,
        };
        size.into_iter().for_each(|size| counts.met(size));
        Self {
            limits: plan.world.limits,
            idle: plan.timings.election_timeout * IDLE_TIMEOUTS,
            start: Time::ZERO,
            asked: Time::MAX,
            was_idle: false,
            in_force: BTreeSet::new(),
            highest: (0, 0, 0),
        }
    }

    pub(super) fn observe(&mut self, now: Time, what: SimEvent<'_>, counts: &mut Counts) {
        match what {
            SimEvent::Step(record) => self.step(record.boot, &record.event, counts),
            SimEvent::Client { event, .. } => self.client(now, event, counts),
            SimEvent::Fault(record) => {
                match record.phase {
                    Phase::Applied => self.in_force.insert(record.fault),
                    Phase::HealRequested | Phase::Failed => self.in_force.remove(&record.fault),
                    _ => false,
                };
                if record.phase == Phase::Applied && self.in_force.len() == BURST {
                    counts.met(Situation::Burst);
                }
            }
            SimEvent::WindowFull { .. } => counts.met(Situation::WindowFull),
            SimEvent::Stage(Stage::Load) => (self.start, self.asked) = (now, now),
            SimEvent::Stage(Stage::Healing) if now - self.start > LONG => {
                counts.met(Situation::LongRun);
            }
            _ => {}
        }
    }

    fn step(&mut self, boot: u64, event: &Event, counts: &mut Counts) {
        let (term, index) = match event {
            Event::Started { term, last, .. } => (*term, last.index),
            Event::Term { term } => (*term, 0),
            Event::Appended { prev, entries } => (0, prev.index + entries.len() as u64),
            _ => return,
        };
        let before = self.highest;
        self.highest = (before.0.max(term), before.1.max(boot), before.2.max(index));
        let byte = u64::from(u8::MAX);
        let passed = |before: u64, now: u64, limit: u64| before <= limit && limit < now;
        if passed(before.0, self.highest.0, byte) {
            counts.met(Situation::TermAbove255);
        }
        if passed(before.1, self.highest.1, byte) {
            counts.met(Situation::StartAbove255);
        }
        if passed(before.2, self.highest.2, u16::MAX.into()) {
            counts.met(Situation::IndexAbove65535);
        }
    }

    fn client(&mut self, now: Time, event: &Line, counts: &mut Counts) {
        let kind = event.place().kind;
        if kind == Kind::Invoke {
            self.was_idle |= now.saturating_sub(self.asked) > self.idle;
            self.asked = now;
            return;
        }
        if kind == Kind::Ok && std::mem::take(&mut self.was_idle) {
            counts.met(Situation::ServedAfterIdle);
        }
        let says = |words: &str| event.error().is_some_and(|error| error.contains(words));
        let usual = Limits::default();
        let few_bytes = self.limits.uncommitted_bytes < usual.uncommitted_bytes;
        if says("too many requests") {
            // With both limits small nobody knows which it was.
            match (self.limits.requests < usual.requests, few_bytes) {
                (true, false) => counts.met(Situation::RequestsAtLimit),
                (false, true) => counts.met(Situation::UncommittedAtLimit),
                _ => {}
            }
        } else if says("request is too large") {
            counts.met(Situation::RequestTooLarge);
        } else if says("request timed out") {
            counts.met(Situation::NodeGaveUp);
        } else if says("no answer within") {
            counts.met(Situation::ClientGaveUp);
        }
    }
}
