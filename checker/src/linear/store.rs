//! Histories of the store: registers of integers, decided one key at a time.

use rustc_hash::FxHashMap;

use super::{key::Subject, process_order::Ends, summary};
use crate::{
    budget::Limits,
    history::{Clock, Operation},
    verdict::Property,
};

/// Operations of the first key for which there is room at once.
const ROOM: usize = 1 << 10;

/// Decides each key and sums up.
pub fn check(operations: &[Operation<'_>], limits: &Limits) -> Property {
    let (keys, touch) = by_key(operations);
    let name = |(key, _): &(&str, Subject<'_>)| format!("key {key}");
    summary::of(&keys, operations.len(), limits, name, |(key, subject), budget| {
        subject.decide(key, touch, budget)
    })
}

/// The operations of each key, keys ascending; and whether any of one process touch.
fn by_key<'a>(operations: &'a [Operation<'a>]) -> (Vec<(&'a str, Subject<'a>)>, bool) {
    let clock = Clock::of(operations.iter().map(Operation::events));
    let (mut ends, mut touch) = (Ends::default(), false);
    let mut keys: Vec<(&str, Subject)> = Vec::new();
    let mut places: FxHashMap<&str, usize> = FxHashMap::default();
    let mut place = 0;
    for operation in operations {
        // Most often the one before was of the same key, and they share its text.
        let same = |key: &str| std::ptr::eq(key, operation.key) || key == operation.key;
        if !keys.get(place).is_some_and(|(key, _)| same(key)) {
            place = *places.entry(operation.key).or_insert(keys.len());
        }
        if place == keys.len() {
            // Many a history has only one key.
            let room = if keys.is_empty() { operations.len().min(ROOM) } else { 0 };
            keys.push((operation.key, Subject::new(clock, room)));
        }
        keys[place].1.push(operation);
        // Places are all different.
        touch |= clock != Clock::Events && ends.touch(operation.process, operation.events());
    }
    keys.sort_unstable_by_key(|(key, _)| *key);
    (keys, touch)
}
