//! Folds the phases in `faults.jsonl` into one account per fault.

use std::collections::BTreeMap;

use checker::fault::{Detail, Phase, Record};

/// One fault from request to heal. Times in nanoseconds since the start of the run.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) number: usize,
    pub(super) kind: &'static str,
    pub(super) what: String,
    pub(super) nodes: Vec<String>,
    pub(super) leader: Option<String>,
    /// When each phase was reached first.
    pub(super) times: BTreeMap<Phase, u64>,
    /// Proof and reasons, in the order of the file.
    pub(super) details: Vec<(Phase, u64, Detail)>,
}

/// What a fault came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Seen to bite and seen healed.
    Proven,
    /// It has no proof that it took effect, or that it ended.
    Inert,
    /// Seen to bite; its heal was never asked for.
    Lasting,
    /// Its target was empty.
    Skipped,
}

impl Fault {
    /// Time of a phase, where it was reached.
    pub(super) fn at(&self, phase: Phase) -> Option<u64> {
        self.times.get(&phase).copied()
    }

    pub(super) fn end(&self) -> End {
        let reached = |phase| self.times.contains_key(&phase);
        if reached(Phase::Skipped) {
            End::Skipped
        } else if !reached(Phase::Confirmed) || reached(Phase::Failed) {
            End::Inert
        } else if reached(Phase::Healed) {
            End::Proven
        } else if reached(Phase::HealRequested) {
            End::Inert
        } else {
            End::Lasting
        }
    }

    /// The time in which it may have had an effect: from its installation to the moment it was
    /// seen healed or given up for want of an effect, or `end`. `None` if it never was installed.
    pub(super) fn active(&self, end: u64) -> Option<(u64, u64)> {
        let start = self.at(Phase::Applied).or_else(|| self.at(Phase::Confirmed))?;
        let over = self.at(Phase::Healed).or_else(|| self.at(Phase::Skipped));
        Some((start, over.unwrap_or(end).max(start)))
    }

    /// The first and the last moment the record speaks of.
    pub(super) fn span(&self) -> (u64, u64) {
        let first = self.times.values().copied().min().unwrap_or(0);
        (first, self.times.values().copied().max().unwrap_or(first))
    }

    /// Kind, shape and nodes: `partition leader alone · n3`.
    pub(super) fn label(&self) -> String {
        let mut label = self.kind.to_owned();
        if !self.what.is_empty() && self.what != self.kind {
            let what = self.what.strip_prefix(self.kind).unwrap_or(&self.what).trim();
            label = format!("{label} {what}");
        }
        if !self.nodes.is_empty() {
            label = format!("{label} · {}", self.nodes.join(" "));
        }
        label
    }
}

/// Takes the next line.
pub(super) fn take(faults: &mut BTreeMap<usize, Fault>, record: Record) {
    let fault = faults.entry(record.fault).or_insert_with(|| Fault {
        number: record.fault,
        kind: record.kind.name(),
        what: record.what.clone(),
        nodes: Vec::new(),
        leader: None,
        times: BTreeMap::new(),
        details: Vec::new(),
    });
    // Targets may be resolved only after the request.
    if !record.nodes.is_empty() {
        fault.nodes = record.nodes;
    }
    if record.leader.is_some() && fault.leader.is_none() {
        fault.leader = record.leader;
    }
    fault.times.entry(record.phase).or_insert(record.time);
    if let Some(detail) = record.detail {
        fault.details.push((record.phase, record.time, detail));
    }
}
