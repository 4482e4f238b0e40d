//! Judges a whole run: every property, from everything that was recorded.

use crate::{
    budget::Limits,
    evidence::Evidence,
    history::operation,
    linear,
    property::{completeness, coverage, crash_free, faults, final_state, liveness},
    raft,
    verdict::Verdict,
};

/// Checks every property of a run.
pub fn run(evidence: &Evidence, limits: &Limits) -> Verdict {
    run_after(evidence, None, limits)
}

/// The same, where Raft's safety may have been checked while the run went on: see
/// [`raft::check_after`].
pub fn run_after(evidence: &Evidence, passed: Option<&raft::Passed>, limits: &Limits) -> Verdict {
    let (operations, malformed) = match operation::pair(&evidence.history) {
        Ok(operations) => (operations, None),
        Err(malformed) => (Vec::new(), Some(malformed)),
    };
    let mut properties = vec![linear::check(&operations, limits)];
    properties.extend(raft::check_after(&evidence.traces, &evidence.run, passed));
    properties.extend([
        final_state::check(&evidence.run),
        crash_free::check(&evidence.run),
        liveness::check(evidence, &operations),
        coverage::check(evidence, &operations),
        faults::check(&evidence.faults, &evidence.run),
        completeness::check(evidence, malformed.as_ref()),
    ]);
    Verdict::of(properties)
}
