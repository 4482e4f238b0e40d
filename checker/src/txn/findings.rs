//! The anomalies that were found: the first of each kind whole, the others by number.

use std::collections::BTreeMap;

use super::anomaly::{Anomaly, Claim};

/// Violations that are told; more are counted.
pub(super) const VIOLATIONS_MAX: usize = 10;

/// The anomalies that were found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    claims: BTreeMap<Anomaly, Vec<Claim>>,
    pub(super) counts: BTreeMap<Anomaly, u64>,
    /// Reads that disagree with others and were not kept.
    pub(super) forgotten: u64,
    /// Components of transactions in which no more cycles were looked for.
    pub(super) components: u64,
    /// Claims that could not be made, though the anomaly was seen: a bug of the checker.
    pub(super) lost: u64,
    /// Why not everything was looked into, if so.
    pub(super) cut_short: Option<String>,
    /// Transactions of claims that are also cycles, and need not be found again.
    pub(super) entangled: Vec<(u32, u32)>,
}

impl Findings {
    /// Adds an anomaly of this name. Where enough of them are told already, the claim is not made:
    /// each may take as long as a list is.
    pub(super) fn seen(&mut self, anomaly: Anomaly, claim: impl FnOnce() -> Option<Claim>) {
        if self.claims.get(&anomaly).is_some_and(|claims| claims.len() >= VIOLATIONS_MAX) {
            *self.counts.entry(anomaly).or_default() += 1;
        } else {
            self.add(claim());
        }
    }

    /// Adds an anomaly; none is one that was seen but cannot be shown.
    pub(super) fn add(&mut self, claim: Option<Claim>) {
        let Some(claim) = claim else {
            self.lost += 1;
            return;
        };
        let anomaly = claim.anomaly();
        *self.counts.entry(anomaly).or_default() += 1;
        let claims = self.claims.entry(anomaly).or_default();
        if claims.len() < VIOLATIONS_MAX {
            claims.push(claim);
        }
    }

    /// Whether there is nothing wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.forgotten == 0 && self.lost == 0
    }

    /// Whether anything that is wrong can be shown.
    pub(super) fn has_claims(&self) -> bool {
        !self.claims.is_empty()
    }

    /// `3 anomalies: 1 G1a, 2 G-single`, and what was not looked into.
    pub(super) fn summary(&self) -> String {
        let all: u64 = self.counts.values().sum();
        let each: Vec<String> =
            self.counts.iter().map(|(anomaly, count)| format!("{count} {anomaly}")).collect();
        let noun = if all == 1 { "anomaly" } else { "anomalies" };
        let mut summary = format!("{all} {noun}: {}", each.join(", "));
        if self.forgotten > 0 {
            summary += &format!("; {} more reads disagree with others", self.forgotten);
        }
        if self.components > 0 {
            summary +=
                &format!("; {} more components of transactions have cycles", self.components);
        }
        if let Some(reason) = &self.cut_short {
            summary += &format!("; the rest is undecided: {reason}");
        }
        summary
    }

    /// Takes the claims to tell: of each anomaly the first, then the second, and so on, up to a
    /// limit; ordered by anomaly.
    pub(super) fn take(&mut self) -> Vec<Claim> {
        let mut told: Vec<(usize, Anomaly, Claim)> = Vec::new();
        for (anomaly, claims) in std::mem::take(&mut self.claims) {
            told.extend(claims.into_iter().enumerate().map(|(at, claim)| (at, anomaly, claim)));
        }
        told.sort_by_key(|(at, anomaly, _)| (*at, *anomaly));
        told.truncate(VIOLATIONS_MAX);
        told.sort_by_key(|(at, anomaly, _)| (*anomaly, *at));
        told.into_iter().map(|(.., claim)| claim).collect()
    }
}
