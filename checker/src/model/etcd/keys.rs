//! The keys that a request means.

use std::{collections::BTreeMap, ops::Bound};

use super::bytes::Bytes;

/// The keys that a request means.
#[derive(Clone, Copy, Debug)]
pub struct KeyRange<'a> {
    start: &'a [u8],
    end: Bound<&'a [u8]>,
}

impl<'a> KeyRange<'a> {
    /// An empty `range_end` means `key` alone, `"\0"` all keys from `key` on.
    pub fn new(key: &'a Bytes, range_end: &'a Bytes) -> Self {
        let end = match &*range_end.0 {
            [] => Bound::Included(&*key.0),
            [0] => Bound::Unbounded,
            end => Bound::Excluded(end),
        };
        Self { start: &key.0, end }
    }

    /// One key.
    pub fn one(key: &'a Bytes) -> Self {
        Self { start: &key.0, end: Bound::Included(&key.0) }
    }

    /// The key, if it is the only one.
    pub fn single(&self) -> Option<Bytes> {
        matches!(self.end, Bound::Included(_)).then(|| self.start.into())
    }

    /// Whether there may be a key that both hold.
    pub fn meets(&self, other: &KeyRange<'_>) -> bool {
        let reaches = |one: &KeyRange<'_>, start: &[u8]| match one.end {
            Bound::Included(end) => start <= end,
            Bound::Excluded(end) => start < end,
            Bound::Unbounded => true,
        };
        reaches(self, other.start) && reaches(other, self.start)
    }

    /// Whether it holds a key.
    pub fn contains(&self, key: &Bytes) -> bool {
        let key = &*key.0;
        self.start <= key
            && match self.end {
                Bound::Included(end) => key <= end,
                Bound::Excluded(end) => key < end,
                Bound::Unbounded => true,
            }
    }

    /// The part of an ordered map, which refuses inverted bounds with a panic.
    pub(crate) fn of<'m, V>(
        &self,
        map: &'m BTreeMap<Bytes, V>,
    ) -> impl Iterator<Item = (&'m Bytes, &'m V)> + use<'m, V> {
        let empty = matches!(self.end, Bound::Excluded(end) if end <= self.start);
        let end = if empty { Bound::Excluded(self.start) } else { self.end };
        map.range::<[u8], _>((Bound::Included(self.start), end))
    }
}

impl std::borrow::Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}
