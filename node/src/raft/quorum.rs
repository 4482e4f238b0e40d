//! Majorities of one set of voters, always counted from scratch.

use super::Index;
use crate::mutants::{Mutant, Mutants};

/// Most voters that a cluster may have.
pub const VOTERS_MAX: usize = 9;

/// Voters that make a majority of `voters`.
fn majority(voters: usize, mutants: Mutants) -> usize {
    if mutants.has(Mutant::QuorumOfHalf) && voters > 1 { voters / 2 } else { voters / 2 + 1 }
}

/// The largest value that a majority of voters has reached, given each voter's own.
pub(super) fn reached(values: impl ExactSizeIterator<Item = u64>, mutants: Mutants) -> Index {
    let voters = values.len();
    assert!((1..=VOTERS_MAX).contains(&voters), "a cluster has 1 to 9 voters, not {voters}");
    let mut sorted = [0; VOTERS_MAX];
    for (slot, value) in sorted.iter_mut().zip(values) {
        *slot = value;
    }
    let sorted = &mut sorted[..voters];
    sorted.sort_unstable();
    // The last `majority` values are all at least this one.
    sorted[voters - majority(voters, mutants)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half() {
        let majorities: Vec<_> =
            (1..=9).map(|voters| majority(voters, Mutants::default())).collect();
        assert_eq!(majorities, [1, 2, 2, 3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn reached_agrees_with_counting() {
        for values in [&[7][..], &[1, 9], &[3, 1, 2], &[5, 5, 0, 0], &[9, 1, 8, 2, 7]] {
            let counted = (0..=9)
                .rev()
                .find(|&v| {
                    values.iter().filter(|&&have| have >= v).count()
                        >= majority(values.len(), Mutants::default())
                })
                .unwrap();
            assert_eq!(reached(values.iter().copied(), Mutants::default()), counted, "{values:?}");
        }
    }
}
