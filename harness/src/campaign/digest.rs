//! One number for all that many seeds recorded: equal numbers, equal bytes. So two campaigns, or
//! two builds, are compared without keeping what they recorded.

use std::{fmt, ops::Add};

use checker::evidence::Evidence;
use sha2::{Digest as _, Sha256};

use crate::run::simulation;

/// A sum of hashes, one a seed, so that it does not depend on the order in which seeds end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u128);

impl Digest {
    /// The digest of what one seed recorded: history, faults and traces, as files hold them.
    ///
    /// # Errors
    /// Something has no form in JSON.
    pub fn of(seed: u64, evidence: &Evidence) -> anyhow::Result<Self> {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        for (name, bytes) in simulation::files(evidence)? {
            hash.update(name.as_bytes());
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(&bytes);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Ok(Self(u128::from_le_bytes(half)))
    }
}

impl Add for Digest {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_seeds_and_evidence_apart_and_not_the_order_of_seeds() {
        let nothing = Evidence::default();
        let mut something = Evidence::default();
        something.traces.push(Vec::new());
        let of = |seed, evidence| Digest::of(seed, evidence).unwrap();
        assert_eq!(of(1, &nothing), of(1, &nothing));
        assert_ne!(of(1, &nothing), of(2, &nothing));
        assert_ne!(of(1, &nothing), of(1, &something));
        assert_eq!(of(1, &nothing) + of(2, &nothing), of(2, &nothing) + of(1, &nothing));
    }
}
