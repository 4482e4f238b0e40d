//! Why texts are not linearizable, and the part of them that shows it.

use rustc_hash::FxHashSet;

use super::{Part, Pieces};
use crate::{
    linear::generic::Object,
    model::{Interval, kv::Operation},
};

/// Why no order of the operations is legal. Operations are named by their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A get answered what no put and appends come to.
    NeverWritten(usize),
    /// A get showed an append twice.
    Twice {
        /// The get.
        get: usize,
        /// The append.
        append: usize,
    },
    /// Two gets showed the same put or append, but neither text continues the other.
    Fork(usize, usize),
    /// The second can only have followed the first, but it had returned when that was called.
    Backwards {
        /// What was called too late.
        first: usize,
        /// What had returned by then.
        second: usize,
        /// The get that shows the second after the first, if the second does not show it itself.
        shown: Option<usize>,
    },
    /// The key held texts of one chain from the return of `from` to the call of `to`.
    Interrupted {
        /// The first operation to return of a chain; `None` where it is the absent key's.
        from: Option<usize>,
        /// The last operation to be called of the same chain.
        to: usize,
        /// What must have happened in between: the first to return and the last to be called of
        /// another chain.
        by: (usize, usize),
        /// Gets that show what belongs to either chain, if those above do not.
        shown: Vec<usize>,
    },
}

impl Conflict {
    /// The operations that it speaks of, by position.
    pub fn operations(&self) -> Vec<usize> {
        let mut operations: Vec<usize> = match self {
            Self::NeverWritten(get) => vec![*get],
            Self::Twice { get, append } => vec![*append, *get],
            Self::Fork(first, second) => vec![*first, *second],
            Self::Backwards { first, second, shown } => {
                shown.iter().chain([first, second]).copied().collect()
            }
            Self::Interrupted { from, to, by, shown } => {
                from.iter().chain([to, &by.0, &by.1]).chain(shown).copied().collect()
            }
        };
        operations.sort_unstable();
        operations.dedup();
        operations
    }

    /// What is left where only the puts and appends are looked at that the conflict is about: those
    /// that it names, what the gets that it names begin with, puts in the middle of these, and
    /// where two of these first differ, or first agree if they begin differently.
    pub fn part<'a>(&self, intervals: &[Interval<Operation<'a>>]) -> Part<'a> {
        let Some(pieces) = Pieces::of(intervals) else { return Part::default() };
        let mut kept = FxHashSet::default();
        let mut gets: Vec<Vec<&str>> = Vec::new();
        for at in self.operations() {
            match intervals[at].operation {
                Operation::Put(piece) | Operation::Append(piece) => drop(kept.insert(piece)),
                Operation::Get(Some(text)) => gets.push(pieces.split(text).0),
                _ => {}
            }
        }
        for (number, one) in gets.iter().enumerate() {
            kept.extend(one.first());
            // A put in the middle of an answer, which can follow nothing.
            kept.extend(one.iter().skip(1).find(|piece| pieces.is_put(piece)));
            for other in &gets[..number] {
                let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
                kept.extend(one.get(same).into_iter().chain(other.get(same)));
                if same == 0 {
                    let shown: FxHashSet<&str> = one.iter().copied().collect();
                    kept.extend(other.iter().find(|piece| shown.contains(*piece)));
                }
            }
        }
        let gets = self.operations().into_iter().filter_map(|at| intervals[at].operation.seen());
        Part::new(&pieces, kept, gets)
    }

    /// The conflict in words.
    pub(crate) fn told(&self, object: &Object<'_, Operation<'_>>) -> String {
        let say = |position| object.say(position);
        match *self {
            Self::NeverWritten(get) => {
                format!("{} although no put and appends come to that", say(get))
            }
            Self::Twice { get, append } => {
                format!("{}, which shows twice what was appended once: {}", say(get), say(append))
            }
            Self::Fork(first, second) => {
                format!("{} although neither text continues the other: {}", say(second), say(first))
            }
            Self::Backwards { first, second, shown } => {
                match (shown, matches!(object.intervals[first].operation, Operation::Get(_))) {
                    (_, true) => format!("{} although before that {}", say(first), say(second)),
                    (Some(shown), false) => format!(
                        "{}, but the second of these was there before the other was asked for: {} and {}",
                        say(shown),
                        say(first),
                        say(second)
                    ),
                    (None, false) => format!(
                        "{} although what it shows was asked for only later: {}",
                        say(second),
                        say(first)
                    ),
                }
            }
            Self::Interrupted { from, to, by, .. } => {
                let mut between = say(by.0);
                if by.1 != by.0 {
                    between += &format!(", and {}", say(by.1));
                }
                match from {
                    Some(from) => format!(
                        "{} although in between {between}, which no order allows: {}",
                        say(to),
                        say(from)
                    ),
                    None => format!(
                        "{} although before that {between}, and the key had not been put yet",
                        say(to)
                    ),
                }
            }
        }
    }
}
