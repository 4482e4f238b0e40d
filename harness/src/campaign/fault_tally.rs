//! How many faults of each kind took effect in the seeds of a campaign. One in which none of a kind
//! did has not tested that kind.

use std::ops::AddAssign;

use checker::property::faults::Fates;

use crate::nemesis::KINDS;

/// Faults by kind, in the order of [`KINDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultTally {
    proved: [u64; KINDS.len()],
    skipped: [u64; KINDS.len()],
    idle: u64,
}

impl AddAssign<&Fates<'_>> for FaultTally {
    fn add_assign(&mut self, run: &Fates<'_>) {
        let idle = run.proved.is_empty() && run.inert.is_empty() && !run.skipped.is_empty();
        self.idle += u64::from(idle);
        for (sums, kinds) in [(&mut self.proved, &run.proved), (&mut self.skipped, &run.skipped)] {
            for (sum, kind) in sums.iter_mut().zip(KINDS) {
                *sum += kinds.iter().filter(|other| **other == kind).count() as u64;
            }
        }
    }
}

impl FaultTally {
    /// Of each kind that was tried: its name, how many took effect and healed with proof, and how
    /// many had nobody to act on.
    pub fn tried(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let counts = self.proved.into_iter().zip(self.skipped);
        let all =
            KINDS.into_iter().zip(counts).map(|(kind, (proved, skipped))| (kind, proved, skipped));
        all.filter(|(_, proved, skipped)| proved + skipped > 0)
    }

    /// Seeds that had faults, all of which were skipped.
    pub fn idle(&self) -> u64 {
        self.idle
    }

    /// Whether there were faults, and none of them took effect.
    pub fn all_in_vain(&self) -> bool {
        self.tried().next().is_some() && self.proved.iter().all(|count| *count == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_by_kind_and_knows_what_was_in_vain() {
        let mut tally = FaultTally::default();
        assert!(!tally.all_in_vain(), "no fault was asked for");
        tally += &Fates { skipped: vec!["disk", "disk"], ..Fates::default() };
        assert!(tally.all_in_vain());
        assert_eq!(tally.idle(), 1);
        tally += &Fates { proved: vec!["kill", "disk", "kill"], ..Fates::default() };
        assert!(!tally.all_in_vain());
        assert_eq!(tally.idle(), 1, "the second seed had others");
        assert_eq!(tally.tried().collect::<Vec<_>>(), [("kill", 2, 0), ("disk", 1, 2)]);
    }
}
