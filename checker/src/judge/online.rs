//! What looks at a history while it is recorded, to end a run that has failed already.
//!
//! Registers are checked event by event. The [whole store](crate::model::etcd) is checked in
//! chunks: every few moments all that was recorded so far is judged as a history of its own, in
//! which what has not ended yet is of unknown outcome. What is illegal so early stays illegal.
//!
//! Why in chunks: which write made a revision may become known only from a much later answer, so
//! an event by itself decides little. The words are those of the verdict. A check takes a small
//! share of the time, since the next one waits longer if it took long. The whole history is held,
//! so long ones are given up. The verdict is made from the whole history in any case.

use std::time::{Duration, Instant};

use super::front;
use crate::{
    budget::Limits,
    history::{
        generic::{self, Event},
        lines::Line,
    },
    linear::online::{Offence, Online as Registers},
    verdict::Outcome,
};

/// Events that are held at most.
const EVENTS_MAX: usize = 400_000;
/// The time between two checks, at least.
const PAUSE: Duration = Duration::from_secs(1);
/// So many times as long as it took, a check is waited for.
const SHARE: u32 = 10;
/// What one check may take.
const LIMITS: Limits = Limits { memory: 256 << 20, timeout: Duration::from_secs(1) };

/// A history that is checked while it is recorded.
#[derive(Debug)]
pub enum Online {
    /// Of registers.
    Registers(Registers),
    /// Of a whole store.
    Store(Chunks),
}

impl Online {
    /// Takes in the next event of a well-formed history, and says what it, or what waited for it,
    /// shows.
    pub fn event(&mut self, line: &Line) -> Option<Offence> {
        match (self, line) {
            (Self::Registers(registers), Line::Register(event)) => registers.event(event),
            (Self::Registers(_), Line::Generic(_)) => None,
            (Self::Store(chunks), line) => chunks.event(line.clone().into()),
        }
    }

    /// The history has ended: looks at all that waits still.
    pub fn finish(&mut self) -> Option<Offence> {
        match self {
            Self::Registers(registers) => registers.finish(),
            Self::Store(chunks) => chunks.check(),
        }
    }
}

/// A history that is checked whenever it has grown.
#[derive(Debug, Default)]
pub struct Chunks {
    events: Vec<Event>,
    /// The time of the history at which it is checked again.
    next: u64,
    given_up: bool,
}

impl Chunks {
    fn event(&mut self, event: Event) -> Option<Offence> {
        if self.given_up {
            return None;
        }
        let time = event.time;
        // What several processes did at one moment may have happened in any order: it is judged
        // together.
        let whole = self.events.last().is_some_and(|last| last.time < time);
        let offence = if whole && time >= self.next { self.check_now(time) } else { None };
        self.events.push(event);
        if offence.is_some() || self.events.len() >= EVENTS_MAX {
            (self.given_up, self.events) = (true, Vec::new());
        }
        offence
    }

    /// Judges what was recorded so far, and says when that is done again.
    fn check_now(&mut self, time: u64) -> Option<Offence> {
        let start = Instant::now();
        let offence = self.check();
        let pause = PAUSE.max(start.elapsed() * SHARE);
        self.next = time.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        offence
    }

    fn check(&self) -> Option<Offence> {
        let operations = generic::pair(&self.events).ok()?;
        let property = front::etcd::check(&operations, &LIMITS).ok()?;
        let violation = property.violations.into_iter().next();
        let violation = violation.filter(|_| property.outcome == Outcome::Violated)?;
        let event = self.events.last().map_or(0, |event| event.index);
        Some(Offence { event, summary: violation.summary })
    }
}
