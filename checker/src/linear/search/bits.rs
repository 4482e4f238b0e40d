//! A set of small numbers: the slots of open operations.

/// A set of slots. Grows as needed. Few histories have more than 64 operations open at once, so
/// what is beyond is kept out of the way: a set is small, and copying it is cheap.
#[derive(Debug, Default)]
pub(super) struct Bits {
    low: u64,
    high: Option<Box<High>>,
}

/// The slots from 64 on, if there are any.
#[derive(Clone, Debug, Default)]
struct High(Vec<u64>);

impl Clone for Bits {
    #[inline]
    fn clone(&self) -> Self {
        #[cold]
        fn copy(high: &High) -> Box<High> {
            Box::new(high.clone())
        }
        Self { low: self.low, high: self.high.as_deref().map(copy) }
    }
}

impl Bits {
    #[inline]
    pub(super) fn contains(&self, slot: usize) -> bool {
        if slot < 64 { self.low >> slot & 1 == 1 } else { self.high_contains(slot) }
    }

    #[cold]
    fn high_contains(&self, slot: usize) -> bool {
        self.high().get(slot / 64 - 1).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.low == 0 && self.high.is_none()
    }

    #[inline]
    pub(super) fn insert(&mut self, slot: usize) {
        if slot < 64 {
            self.low |= 1 << slot;
        } else {
            self.high_insert(slot);
        }
    }

    #[cold]
    fn high_insert(&mut self, slot: usize) {
        let index = slot / 64 - 1;
        let High(words) = &mut **self.high.get_or_insert_default();
        if words.len() <= index {
            words.resize(index + 1, 0);
        }
        words[index] |= 1 << (slot % 64);
    }

    #[inline]
    pub(super) fn remove(&mut self, slot: usize) {
        if slot < 64 {
            self.low &= !(1 << slot);
        } else {
            self.high_remove(slot);
        }
    }

    #[cold]
    fn high_remove(&mut self, slot: usize) {
        if let Some(high) = &mut self.high
            && let Some(word) = high.0.get_mut(slot / 64 - 1)
        {
            *word &= !(1 << (slot % 64));
            self.trim();
        }
    }

    pub(super) fn insert_all(&mut self, other: &Self) {
        self.low |= other.low;
        for slot in other.members().filter(|slot| *slot >= 64) {
            self.high_insert(slot);
        }
    }

    #[inline]
    pub(super) fn remove_all(&mut self, other: &Self) {
        self.low &= !other.low;
        if self.high.is_some() {
            self.high_remove_all(other);
        }
    }

    #[cold]
    fn high_remove_all(&mut self, other: &Self) {
        if let Some(high) = &mut self.high {
            for (word, other) in high.0.iter_mut().zip(other.high()) {
                *word &= !other;
            }
            self.trim();
        }
    }

    #[inline]
    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.low & !other.low == 0 && (self.high.is_none() || self.high_is_subset(other))
    }

    #[cold]
    fn high_is_subset(&self, other: &Self) -> bool {
        let (high, others) = (self.high(), other.high());
        high.len() <= others.len()
            && high.iter().zip(others).all(|(word, other)| word & !other == 0)
    }

    /// Whether there is a member of both.
    #[inline]
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.low & other.low != 0 || (self.high.is_some() && self.common(other).next().is_some())
    }

    /// The members of both, ascending.
    #[inline]
    pub(super) fn common<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let (mut word, mut first) = (self.low & other.low, 0);
        let mut high = self.high().iter().zip(other.high());
        std::iter::from_fn(move || {
            while word == 0 {
                let (one, other) = high.next()?;
                word = one & other;
                first += 64;
            }
            let bit = word.trailing_zeros() as usize;
            word &= word - 1;
            Some(first + bit)
        })
    }

    /// All members, ascending.
    #[inline]
    pub(super) fn members(&self) -> impl Iterator<Item = usize> + '_ {
        self.common(self)
    }

    /// Bytes beside the value itself.
    #[inline]
    pub(super) fn heap(&self) -> usize {
        let bytes = |high: &High| size_of::<High>() + high.0.capacity() * size_of::<u64>();
        self.high.as_deref().map_or(0, bytes)
    }

    #[inline]
    fn high(&self) -> &[u64] {
        self.high.as_deref().map_or(&[], |high| &high.0)
    }

    /// Keeps the last word from being zero.
    fn trim(&mut self) {
        let Some(High(words)) = self.high.as_deref_mut() else { return };
        while words.last() == Some(&0) {
            words.pop();
        }
        if words.is_empty() {
            self.high = None;
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
        let members = |set: &Bits| set.members().collect::<Vec<_>>();
        assert_eq!(members(&set), [3, 64, 200]);
        let mut small = Bits::default();
        small.insert(3);
        assert!(small.is_subset(&set) && !set.is_subset(&small));
        assert_eq!(small.common(&set).collect::<Vec<_>>(), [3]);
        set.remove(200);
        // The room that it keeps makes no difference.
        let mut short = small.clone();
        short.insert(64);
        assert!(set.is_subset(&short) && short.is_subset(&set));
        set.remove(64);
        assert_eq!((members(&set), set.heap()), (members(&small), 0));
        set.insert_all(&short);
        assert_eq!(members(&set), [3, 64]);
        set.remove_all(&short);
        assert!(members(&set).is_empty());
        assert!(!set.contains(3) && !set.contains(1000));
    }
}
