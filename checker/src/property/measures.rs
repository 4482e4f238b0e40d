//! What a run cost and how well it served, in numbers: for comparison, not judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proto::trace::{Event, Role};
use serde::{Deserialize, Serialize};

use crate::{
    evidence::Evidence,
    history::{Kind, Place},
};

/// The numbers of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Operations that clients began.
    pub operations: u64,
    /// Those that were refused: they certainly had no effect.
    pub refused: u64,
    /// Those of unknown outcome.
    pub unanswered: u64,
    /// Time to the answer of those that succeeded, in milliseconds: half of them took no longer,
    pub latency_ms_median: f64,
    /// and 99 of 100.
    pub latency_ms_p99: f64,
    /// Times that a node became a candidate; none without traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidacies: Option<u64>,
    /// Terms that had a leader; none without traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaders: Option<u64>,
    /// Entries that were committed, for each operation; none without traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries_per_operation: Option<f64>,
    /// Messages between nodes, for each operation, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_operation: Option<f64>,
}

/// Measures a run.
pub fn of(evidence: &Evidence) -> Measures {
    let mut measures = Measures::default();
    let mut calls: BTreeMap<u64, u64> = BTreeMap::new();
    let mut latencies = Vec::new();
    for Place { time, process, kind, .. } in evidence.history.places() {
        let call = match kind {
            Kind::Invoke => {
                measures.operations += 1;
                calls.insert(process, time);
                continue;
            }
            _ => calls.remove(&process),
        };
        match (kind, call) {
            (Kind::Ok, Some(call)) => latencies.push(time.saturating_sub(call)),
            (Kind::Fail, _) => measures.refused += 1,
            (Kind::Info, _) => measures.unanswered += 1,
            _ => {}
        }
    }
    measures.unanswered += calls.len() as u64;
    latencies.sort_unstable();
    measures.latency_ms_median = quantile(&latencies, 50);
    measures.latency_ms_p99 = quantile(&latencies, 99);
    let per_operation = |count: u64| count as f64 / measures.operations.max(1) as f64;
    measures.messages_per_operation = evidence.run.messages.map(per_operation);
    if evidence.traces.iter().any(|trace| !trace.is_empty()) {
        let (mut candidacies, mut leaders, mut committed) = (0, BTreeSet::new(), 0);
        for record in evidence.traces.iter().flatten() {
            match record.event {
                Event::Role { role: Role::Candidate, .. } => candidacies += 1,
                Event::Role { role: Role::Leader, term, .. } => {
                    leaders.insert(term);
                }
                Event::Committed { last, .. } => committed = committed.max(last.index),
                _ => {}
            }
        }
        measures.candidacies = Some(candidacies);
        measures.leaders = Some(leaders.len() as u64);
        measures.entries_per_operation = Some(per_operation(committed));
    }
    measures
}

/// The latency that so many of a hundred do not exceed, in milliseconds.
fn quantile(latencies: &[u64], of_hundred: usize) -> f64 {
    let at = (latencies.len() * of_hundred).div_ceil(100).saturating_sub(1);
    let nanoseconds = latencies.get(at).copied().unwrap_or(0);
    Duration::from_nanos(nanoseconds).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_those_that_there_are() {
        let latencies: Vec<u64> = (1..=200).map(|it| it * 1_000_000).collect();
        assert_eq!((quantile(&latencies, 50), quantile(&latencies, 99)), (100.0, 198.0));
        assert_eq!((quantile(&[], 50), quantile(&[3_000_000], 99)), (0.0, 3.0));
    }
}
