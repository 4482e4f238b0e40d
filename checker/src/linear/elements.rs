//! What became of each element of a set that only grows: whether it was lost, came back, is there
//! twice, or is there although nobody added it.
//!
//! [`grow_only_set`](super::grow_only_set) decides a history and proves its decision with one
//! conflict. This names every element that by itself shows that the history is illegal, so that a
//! person sees how much was lost. It says nothing of a legal history.
//!
//! An element is *known* from the first return of its add, or of a read that shows it. Whatever is
//! called after that must show it:
//!
//! ```text
//! add 7   |--------|
//! read           |-----|            may show 7 or not
//! read                 |----|       must show 7: it was called after the add had returned
//! ```

use rustc_hash::FxHashMap;

use crate::model::{Interval, set::Operation};

/// An element with something wrong, and what. Operations are named by their positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The element.
    pub element: usize,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It was known, a read lacks it, and so does every later read.
    Lost {
        /// The add or read by which it was known.
        known: usize,
        /// The first read that should show it and does not.
        read: usize,
    },
    /// It was known, a read lacks it, and a later read shows it again.
    Resurrected {
        /// The add or read by which it was known.
        known: usize,
        /// The first read that should show it and does not.
        read: usize,
        /// The first later read that shows it.
        again: usize,
    },
    /// A read shows it twice.
    Duplicated {
        /// The first such read.
        read: usize,
    },
    /// A read shows it, and no add of it that may have taken effect was called before the read
    /// returned.
    NeverAdded {
        /// The first such read.
        read: usize,
    },
}

/// What is known of one element.
#[derive(Default)]
struct Known {
    /// The call of its first add.
    added: Option<u64>,
    /// The return by which it was known first, and whose return that is.
    since: Option<(u64, usize)>,
    /// The reads that show it, as places in the order of calls; each once.
    shown: Vec<usize>,
    /// The first read that shows it twice.
    twice: Option<usize>,
}

impl Known {
    fn known_by(&mut self, ret: Option<u64>, position: usize) {
        if let Some(ret) = ret
            && self.since.is_none_or(|(since, _)| ret < since)
        {
            self.since = Some((ret, position));
        }
    }
}

/// The elements with something wrong, ascending; an element may have several findings. Nothing if
/// anything was removed: then an element may be gone for a good reason.
pub fn find(intervals: &[Interval<Operation>]) -> Vec<Finding> {
    let mut elements: FxHashMap<usize, Known> = FxHashMap::default();
    let mut reads: Vec<usize> = Vec::new();
    for (position, interval) in intervals.iter().enumerate() {
        match &interval.operation {
            Operation::Remove(_) => return Vec::new(),
            Operation::Add(element) => {
                let known = elements.entry(*element).or_default();
                let call = interval.call;
                known.added = Some(known.added.map_or(call, |added| added.min(call)));
                known.known_by(interval.ret, position);
            }
            Operation::Read(_) if interval.ret.is_some() => reads.push(position),
            // A read without an answer says nothing.
            Operation::Read(_) => {}
        }
    }
    reads.sort_by_key(|&position| intervals[position].call);
    for (place, &position) in reads.iter().enumerate() {
        let Operation::Read(members) = &intervals[position].operation else { continue };
        for (at, element) in members.iter().enumerate() {
            let known = elements.entry(*element).or_default();
            // Members are ascending.
            if at > 0 && members[at - 1] == *element {
                known.twice.get_or_insert(position);
                continue;
            }
            known.shown.push(place);
            known.known_by(intervals[position].ret, position);
        }
    }
    let mut elements: Vec<(usize, Known)> = elements.into_iter().collect();
    elements.sort_unstable_by_key(|(element, _)| *element);
    let mut findings = Vec::new();
    for (element, known) in elements {
        let wrongs = [
            known.twice.map(|read| Wrong::Duplicated { read }),
            never_added(intervals, &reads, &known),
            missing(intervals, &reads, &known),
        ];
        findings.extend(wrongs.into_iter().flatten().map(|wrong| Finding { element, wrong }));
    }
    findings
}

/// Whether a read showed the element before anybody can have added it.
fn never_added(intervals: &[Interval<Operation>], reads: &[usize], known: &Known) -> Option<Wrong> {
    let too_early = |read: &usize| match (known.added, intervals[*read].ret) {
        (Some(added), Some(ret)) => ret < added,
        (None, _) => true,
        (Some(_), None) => false,
    };
    let read = known.shown.iter().map(|&place| reads[place]).find(too_early)?;
    Some(Wrong::NeverAdded { read })
}

/// Whether a read lacks the element although it was known.
fn missing(intervals: &[Interval<Operation>], reads: &[usize], known: &Known) -> Option<Wrong> {
    let (since, by) = known.since?;
    // The reads from here on must show it, and so the places at which it is shown are all of these.
    let first = reads.partition_point(|&read| intervals[read].call <= since);
    let shown = &known.shown[known.shown.partition_point(|&place| place < first)..];
    let gap = (first..reads.len()).zip(0..).find(|(place, at)| shown.get(*at) != Some(place));
    let (place, _) = gap?;
    let read = reads[place];
    let ret = intervals[read].ret?;
    let later = shown.iter().map(|&place| reads[place]).find(|&again| intervals[again].call > ret);
    Some(match later {
        Some(again) => Wrong::Resurrected { known: by, read, again },
        None => Wrong::Lost { known: by, read },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(operation: Operation, call: u64, ret: Option<u64>) -> Interval<Operation> {
        Interval { operation, call, ret }
    }

    fn add(element: usize, call: u64, ret: Option<u64>) -> Interval<Operation> {
        interval(Operation::Add(element), call, ret)
    }

    fn read(members: &[usize], call: u64, ret: u64) -> Interval<Operation> {
        interval(Operation::Read(members.into()), call, Some(ret))
    }

    fn wrongs(intervals: &[Interval<Operation>]) -> Vec<(usize, Wrong)> {
        find(intervals).into_iter().map(|it| (it.element, it.wrong)).collect()
    }

    #[test]
    fn an_element_that_no_later_read_shows_is_lost() {
        let history = [add(7, 0, Some(2)), read(&[], 1, 3), read(&[], 3, 4), read(&[], 5, 6)];
        assert_eq!(wrongs(&history), [(7, Wrong::Lost { known: 0, read: 2 })]);
        // Nobody knows whether an add without an answer took effect, until it is read.
        assert_eq!(wrongs(&[add(7, 0, None), read(&[], 3, 4)]), []);
        let history = [add(7, 0, None), read(&[7], 1, 2), read(&[], 3, 4)];
        assert_eq!(wrongs(&history), [(7, Wrong::Lost { known: 1, read: 2 })]);
    }

    #[test]
    fn an_element_that_comes_back_is_resurrected() {
        let history = [add(7, 0, Some(1)), read(&[], 2, 3), read(&[7], 4, 5), read(&[7], 6, 7)];
        let resurrected = Wrong::Resurrected { known: 0, read: 1, again: 2 };
        assert_eq!(wrongs(&history), [(7, resurrected)]);
        // Of two reads at one time, the one that lacks it may be the stale one.
        let history = [add(7, 0, Some(1)), read(&[7], 2, 5), read(&[], 3, 4)];
        assert_eq!(wrongs(&history), [(7, Wrong::Lost { known: 0, read: 2 })]);
    }

    #[test]
    fn an_element_is_there_once_and_only_after_it_was_added() {
        let history = [add(7, 0, Some(1)), read(&[7, 7, 8], 2, 3), add(8, 4, Some(5))];
        let expected = [(7, Wrong::Duplicated { read: 1 }), (8, Wrong::NeverAdded { read: 1 })];
        assert_eq!(wrongs(&history), expected);
        assert_eq!(wrongs(&[read(&[9], 0, 1)]), [(9, Wrong::NeverAdded { read: 0 })]);
    }

    #[test]
    fn nothing_is_said_of_a_set_that_shrinks() {
        let remove = interval(Operation::Remove(7), 2, Some(3));
        assert_eq!(wrongs(&[add(7, 0, Some(1)), remove, read(&[], 4, 5)]), []);
    }
}
