//! A set of small numbers: the slots of open operations.

use smallvec::SmallVec;

/// A set of slots. Grows as needed; 128 slots take no heap. Equal sets are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Bits(SmallVec<[u64; 2]>);

impl Bits {
    pub(super) fn contains(&self, slot: usize) -> bool {
        self.0.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, slot: usize) {
        if self.0.len() <= slot / 64 {
            self.0.resize(slot / 64 + 1, 0);
        }
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    pub(super) fn remove(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word &= !(1 << (slot % 64));
            self.trim();
        }
    }

    pub(super) fn remove_all(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= !other;
        }
        self.trim();
    }

    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.0.len() <= other.0.len()
            && self.0.iter().zip(&other.0).all(|(word, other)| word & !other == 0)
    }

    pub(super) fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(word, other)| word & other != 0)
    }

    /// The members, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(index * 64 + bit)
            })
        })
    }

    /// Bytes beside the value itself.
    pub(super) fn heap(&self) -> usize {
        if self.0.spilled() { self.0.capacity() * size_of::<u64>() } else { 0 }
    }

    /// Keeps equal sets equal, whatever was in them before.
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_more_than_a_word() {
        let mut set = Bits::default();
        for slot in [3, 64, 200] {
            set.insert(slot);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 64, 200]);
        let mut small = Bits::default();
        small.insert(3);
        assert!(small.is_subset(&set) && !set.is_subset(&small) && small.intersects(&set));
        set.remove(200);
        set.remove(64);
        assert_eq!(set, small);
        set.remove_all(&small);
        assert_eq!(set, Bits::default());
        assert!(!set.contains(3) && !set.contains(1000));
    }
}
