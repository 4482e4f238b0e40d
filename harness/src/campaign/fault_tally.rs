//! How many faults of each kind took effect in the seeds of a campaign. One in which none of a kind
//! did has not tested that kind.

use checker::{
    fault::{Phase, Record},
    property::faults::Fates,
};

use crate::nemesis::KINDS;

/// Faults by kind, in the order of [`KINDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultTally {
    kinds: [OfKind; KINDS.len()],
    idle: u64,
}

/// Faults of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfKind {
    /// How many were asked for.
    pub tried: u64,
    /// How many took effect and healed, with proof.
    pub proved: u64,
    /// How many had nobody to act on.
    pub skipped: u64,
}

impl FaultTally {
    /// Adds the faults of a run, and what became of them.
    pub(super) fn add(&mut self, records: &[Record], fates: &Fates<'_>) {
        let idle = fates.proved.is_empty() && fates.inert.is_empty() && !fates.skipped.is_empty();
        self.idle += u64::from(idle);
        let asked = records.iter().filter(|record| record.phase == Phase::Requested);
        let asked: Vec<&str> = asked.map(|record| record.kind.name()).collect();
        for (kind, sum) in KINDS.into_iter().zip(&mut self.kinds) {
            let count =
                |kinds: &[&str]| kinds.iter().filter(|other| **other == kind).count() as u64;
            sum.tried += count(&asked);
            sum.proved += count(&fates.proved);
            sum.skipped += count(&fates.skipped);
        }
    }

    /// Each of [`KINDS`], and its faults.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, OfKind)> {
        KINDS.into_iter().zip(self.kinds)
    }

    /// Seeds that had faults, all of which were skipped.
    pub fn idle(&self) -> u64 {
        self.idle
    }

    /// Whether there were faults, and none of them took effect.
    pub fn all_in_vain(&self) -> bool {
        let sum = |of: fn(&OfKind) -> u64| self.kinds.iter().map(of).sum::<u64>();
        sum(|it| it.tried) > 0 && sum(|it| it.proved) == 0
    }
}

#[cfg(test)]
mod tests {
    use checker::{
        fault::{Kind, Observed},
        version::Version,
    };

    use super::*;

    fn asked(kind: Kind) -> Record {
        Record {
            fault: 0,
            time: 0,
            phase: Phase::Requested,
            version: Version,
            kind,
            what: String::new(),
            nodes: Vec::new(),
            links: Vec::new(),
            leader: None,
            severs_leader: false,
            observed: Observed::default(),
            detail: None,
        }
    }

    #[test]
    fn it_counts_by_kind_and_knows_what_was_in_vain() {
        let mut tally = FaultTally::default();
        assert!(!tally.all_in_vain(), "no fault was asked for");
        let skipped = Fates { skipped: vec!["disk", "disk"], ..Fates::default() };
        tally.add(&[asked(Kind::Disk), asked(Kind::Disk)], &skipped);
        assert!(tally.all_in_vain());
        assert_eq!(tally.idle(), 1);
        let inert = vec!["fault 4 was never seen healed".to_owned()];
        let proved = Fates { proved: vec!["kill", "disk", "kill"], inert, ..Fates::default() };
        let later = Record { phase: Phase::Confirmed, ..asked(Kind::Kill) };
        tally.add(
            &[asked(Kind::Kill), asked(Kind::Disk), later, asked(Kind::Kill), asked(Kind::Clock)],
            &proved,
        );
        assert!(!tally.all_in_vain());
        assert_eq!(tally.idle(), 1, "the second seed had others");
        let of = |kind| tally.kinds().find(|(other, _)| *other == kind).unwrap().1;
        assert_eq!(of("kill"), OfKind { tried: 2, proved: 2, skipped: 0 });
        assert_eq!(of("disk"), OfKind { tried: 3, proved: 1, skipped: 2 });
        assert_eq!(of("clock"), OfKind { tried: 1, proved: 0, skipped: 0 });
        assert_eq!(of("pause"), OfKind::default());
    }
}
