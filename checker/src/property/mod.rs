//! What a run must show beside linearizability and Raft's own rules. Each is a pure function of
//! evidence; one file a property.

pub mod agreement;
mod calm;
pub mod completeness;
pub mod coverage;
pub mod crash_free;
pub mod determinism;
pub mod faults;
pub mod final_state;
pub mod limits;
pub mod liveness;
pub mod measures;
mod proof;
pub mod revisions;

use std::{collections::BTreeMap, ops::Range};

use crate::{
    history::{Events, Kind},
    verdict::{Outcome, Property, Violation},
};

/// From when to when each operation was open: until it was answered or given up. One that never
/// was stays open.
fn open(history: &Events) -> Vec<Range<u64>> {
    let mut calls = BTreeMap::new();
    let mut spans = Vec::new();
    for event in history.places() {
        if event.kind == Kind::Invoke {
            calls.insert(event.process, event.time);
        } else if let Some(call) = calls.remove(&event.process) {
            spans.push(call..event.time);
        }
    }
    spans.extend(calls.into_values().map(|call| call..u64::MAX));
    spans
}

fn ok(name: &str, detail: impl Into<String>) -> Property {
    Property {
        name: name.into(),
        outcome: Outcome::Ok,
        detail: detail.into(),
        violations: Vec::new(),
    }
}

fn unknown(name: &str, detail: impl Into<String>) -> Property {
    Property { outcome: Outcome::Unknown, ..ok(name, detail) }
}

fn violated(name: &str, detail: impl Into<String>, violations: Vec<Violation>) -> Property {
    Property { outcome: Outcome::Violated, violations, ..ok(name, detail) }
}
