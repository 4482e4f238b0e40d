//! Inclusion: decides a set that only grows, in the time that it takes to compare its reads.
//!
//! Where nothing is removed, of any two reads one holds the other, and the smaller came first. So
//! the reads give their own order, and each element that is new in a read was first added since
//! the read before: there is one sequence of adds and reads, which is legal unless it is turned
//! against time. Adds that no read needs follow the last read without their element.
//!
//! An order is believed only once [`certificate::verify`] has checked it.

use rustc_hash::FxHashSet;

use super::{certificate, generic::Object};
use crate::model::{
    Interval,
    set::{Operation, Set},
};

/// What the reads say of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Linearizable, in this order of positions; it has been verified.
    Linearizable(Vec<usize>),
    /// Not linearizable.
    Illegal(Conflict),
    /// Something was removed.
    Undecided,
}

/// Why no order of the operations is legal. Operations are named by their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A read showed an element twice.
    Twice(usize),
    /// A read showed an element that nobody added.
    NeverAdded(usize),
    /// Two reads of which neither holds all of the other.
    Fork(usize, usize),
    /// The second can only have followed the first, but it had returned when that was called.
    Backwards(usize, usize),
    /// A read missed an element whose add had returned.
    Missing {
        /// The add.
        add: usize,
        /// The read.
        read: usize,
        /// What was called after the add had returned: the read, or an add whose element it shows.
        after: usize,
    },
}

/// Decides a history without removes.
pub fn decide(intervals: &[Interval<Operation>]) -> Found {
    let mut adds = Vec::new();
    let mut reads = Vec::new();
    for (position, interval) in intervals.iter().enumerate() {
        match &interval.operation {
            Operation::Add(element) => adds.push((*element, interval.call, position)),
            // A read without an answer says nothing.
            Operation::Read(members) if interval.ret.is_some() => {
                reads.push((&**members, position))
            }
            Operation::Read(_) => {}
            Operation::Remove(_) => return Found::Undecided,
        }
    }
    adds.sort_unstable();
    reads.sort_by_key(|&(members, position)| (members.len(), intervals[position].call));
    match (Sequence { intervals, adds }).order(&reads) {
        Err(conflict) => Found::Illegal(conflict),
        Ok(order) if certificate::verify(&Set, intervals, &order) => Found::Linearizable(order),
        Ok(_) => Found::Undecided,
    }
}

struct Sequence<'a> {
    intervals: &'a [Interval<Operation>],
    /// Element, call and position of each add, ascending.
    adds: Vec<(usize, u64, usize)>,
}

/// The latest call so far, and whose it is.
type Latest = (u64, Option<usize>);

impl Sequence<'_> {
    /// An order of all operations, or why there is none.
    fn order(&self, reads: &[(&[usize], usize)]) -> Result<Vec<usize>, Conflict> {
        let mut latest: Latest = (0, None);
        let mut shown: &[usize] = &[];
        let mut last_read = None;
        let mut order: Vec<(u64, usize)> = Vec::with_capacity(self.intervals.len());
        let mut seen = vec![false; self.adds.len()];
        for &(members, read) in reads {
            if members.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(Conflict::Twice(read));
            }
            let Some(new) = beyond(shown, members) else {
                return Err(Conflict::Fork(last_read.unwrap_or(read), read));
            };
            let before = latest;
            let mut firsts = Vec::with_capacity(new.len());
            for element in new {
                let start = self.adds.partition_point(|add| add.0 < element);
                let end = start + self.adds[start..].partition_point(|add| add.0 == element);
                let Some(&(_, _, first)) = self.adds[start..end].first() else {
                    return Err(Conflict::NeverAdded(read));
                };
                firsts.push(first);
                for (&(_, _, add), seen) in self.adds[start..end].iter().zip(&mut seen[start..end])
                {
                    *seen = true;
                    let moment = self.after(before, add, last_read)?;
                    // The first add is what the read needs, answered or not.
                    if add == first || self.intervals[add].ret.is_some() {
                        order.push((moment, add));
                    }
                }
            }
            for first in firsts.into_iter().chain([read]) {
                latest = latest.max((self.intervals[first].call, Some(first)));
            }
            if let (Some(ret), (call, Some(late))) = (self.intervals[read].ret, latest)
                && ret < call
            {
                return Err(Conflict::Backwards(late, read));
            }
            order.push((latest.0, read));
            (shown, last_read) = (members, Some(read));
        }
        for (&(_, _, add), _) in self.adds.iter().zip(&seen).filter(|(_, seen)| !**seen) {
            if self.intervals[add].ret.is_some() {
                order.push((self.after(latest, add, last_read)?, add));
            }
        }
        // Stable: at one moment, what was put down first goes first.
        order.sort_by_key(|&(moment, _)| moment);
        Ok(order.into_iter().map(|(_, position)| position).collect())
    }

    /// The first moment for an add that `read`, the last without its element, did not show.
    fn after(&self, latest: Latest, add: usize, read: Option<usize>) -> Result<u64, Conflict> {
        let Interval { call, ret, .. } = self.intervals[add];
        match (ret, latest, read) {
            (Some(ret), (late, Some(after)), Some(read)) if ret < late => {
                let is_read = matches!(self.intervals[after].operation, Operation::Read(_));
                let read = if is_read { after } else { read };
                Err(Conflict::Missing { add, read, after })
            }
            _ => Ok(call.max(latest.0)),
        }
    }
}

/// The elements of `more` that `less` has not; `None` if `more` lacks one of `less`.
fn beyond(less: &[usize], more: &[usize]) -> Option<Vec<usize>> {
    let mut new = Vec::new();
    let mut rest = less.iter().peekable();
    for &element in more {
        if rest.next_if(|&&other| other == element).is_none() {
            new.push(element);
        }
    }
    rest.peek().is_none().then_some(new)
}

impl Conflict {
    /// The operations that it speaks of, by position.
    pub fn operations(&self) -> Vec<usize> {
        match *self {
            Self::Twice(read) | Self::NeverAdded(read) => vec![read],
            Self::Fork(first, second) | Self::Backwards(first, second) => vec![first, second],
            Self::Missing { add, read, after } if read == after => vec![add, read],
            Self::Missing { add, read, after } => vec![add, after, read],
        }
    }

    /// The one or two elements that it is about.
    pub(crate) fn elements(&self, intervals: &[Interval<Operation>]) -> Vec<usize> {
        let members = |at: usize| match &intervals[at].operation {
            Operation::Read(members) => &**members,
            Operation::Add(_) | Operation::Remove(_) => &[],
        };
        let added = |at: usize| match intervals[at].operation {
            Operation::Add(element) => Some(element),
            Operation::Remove(_) | Operation::Read(_) => None,
        };
        let beyond = |more: usize, less: usize| {
            let missing = |element: &&usize| members(less).binary_search(element).is_err();
            members(more).iter().find(missing).copied()
        };
        match *self {
            Self::Twice(read) => {
                let twice = members(read).windows(2).find(|pair| pair[0] == pair[1]);
                twice.map(|pair| pair[0]).into_iter().collect()
            }
            Self::NeverAdded(read) => {
                let all: FxHashSet<usize> = (0..intervals.len()).filter_map(added).collect();
                let never = members(read).iter().find(|element| !all.contains(element));
                never.copied().into_iter().collect()
            }
            Self::Fork(first, second) => {
                beyond(first, second).into_iter().chain(beyond(second, first)).collect()
            }
            Self::Backwards(late, read) => {
                added(late).or_else(|| beyond(read, late)).into_iter().collect()
            }
            Self::Missing { add, after, .. } => {
                added(add).into_iter().chain(added(after)).collect()
            }
        }
    }

    /// What is left of an operation where only the one or two elements are looked at that the
    /// conflict is about. Of an order of the whole this leaves an order of the part: whether an
    /// element is in the set does not depend on others.
    pub fn part(
        &self,
        intervals: &[Interval<Operation>],
    ) -> impl Fn(&Operation) -> Option<Operation> + use<> {
        let elements = self.elements(intervals);
        move |operation| match operation {
            Operation::Add(element) | Operation::Remove(element) => {
                elements.contains(element).then(|| operation.clone())
            }
            Operation::Read(members) => {
                let shown = members.iter().filter(|member| elements.contains(member));
                Some(Operation::Read(shown.copied().collect()))
            }
        }
    }

    /// The conflict in words.
    pub(crate) fn told(&self, object: &Object<'_, Operation>) -> String {
        let say = |position| object.say(position);
        match *self {
            Self::Twice(read) => format!("{}, which shows an element twice", say(read)),
            Self::NeverAdded(read) => {
                format!("{} although nobody ever added all of that", say(read))
            }
            Self::Fork(first, second) => format!(
                "{} although nothing is ever removed and neither read holds all of the other: {}",
                say(second),
                say(first)
            ),
            Self::Backwards(first, second) => format!(
                "{} although that can only have followed what was asked for later: {}",
                say(second),
                say(first)
            ),
            Self::Missing { add, read, after } if read == after => {
                format!("{} although before that {}", say(read), say(add))
            }
            Self::Missing { add, read, after } => format!(
                "{} although {}, before what it shows was asked for: {}",
                say(read),
                say(add),
                say(after)
            ),
        }
    }
}
