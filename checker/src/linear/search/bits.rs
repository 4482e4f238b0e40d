//! A set of small numbers: the slots of open operations.

/// A set of slots. Grows as needed; the first 64 take no heap, so that copying a set is cheap
/// where it is done most. Equal sets are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Bits {
    low: u64,
    /// The slots from 64 on; the last word is never zero.
    high: Vec<u64>,
}

impl Bits {
    pub(super) fn contains(&self, slot: usize) -> bool {
        let word = if slot < 64 { self.low } else { self.word(slot / 64 - 1) };
        word >> (slot % 64) & 1 == 1
    }

    pub(super) fn insert(&mut self, slot: usize) {
        let bit = 1 << (slot % 64);
        if slot < 64 {
            self.low |= bit;
            return;
        }
        let index = slot / 64 - 1;
        if self.high.len() <= index {
            self.high.resize(index + 1, 0);
        }
        self.high[index] |= bit;
    }

    pub(super) fn remove(&mut self, slot: usize) {
        let bit = 1 << (slot % 64);
        if slot < 64 {
            self.low &= !bit;
        } else if let Some(word) = self.high.get_mut(slot / 64 - 1) {
            *word &= !bit;
            self.trim();
        }
    }

    pub(super) fn remove_all(&mut self, other: &Self) {
        self.low &= !other.low;
        for (word, other) in self.high.iter_mut().zip(&other.high) {
            *word &= !other;
        }
        self.trim();
    }

    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.low & !other.low == 0
            && self.high.len() <= other.high.len()
            && self.high.iter().zip(&other.high).all(|(word, other)| word & !other == 0)
    }

    pub(super) fn intersects(&self, other: &Self) -> bool {
        self.low & other.low != 0
            || self.high.iter().zip(&other.high).any(|(word, other)| word & other != 0)
    }

    /// The members, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let (mut word, mut first) = (self.low, 0);
        let mut high = self.high.iter();
        std::iter::from_fn(move || {
            while word == 0 {
                word = *high.next()?;
                first += 64;
            }
            let bit = word.trailing_zeros() as usize;
            word &= word - 1;
            Some(first + bit)
        })
    }

    /// Bytes beside the value itself.
    pub(super) fn heap(&self) -> usize {
        self.high.capacity() * size_of::<u64>()
    }

    fn word(&self, index: usize) -> u64 {
        self.high.get(index).copied().unwrap_or(0)
    }

    /// Keeps equal sets equal, whatever was in them before.
    fn trim(&mut self) {
        while self.high.last() == Some(&0) {
            self.high.pop();
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
