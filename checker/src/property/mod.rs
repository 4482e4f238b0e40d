//! What a run must show beside linearizability and Raft's own rules. Each is a pure function of
//! evidence; one file a property.

pub mod completeness;
pub mod coverage;
pub mod crash_free;
pub mod faults;
pub mod final_state;
pub mod liveness;

use crate::verdict::{Outcome, Property, Violation};

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
