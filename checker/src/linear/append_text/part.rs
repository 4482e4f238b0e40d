//! What is left of a key where only some of the texts are looked at that were put and appended.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Pieces;
use crate::{model::kv::Operation, text::shorten};

/// Some of what was put and appended, and what some gets show of it; answers are read as the
/// decider reads them.
///
/// Of an order of the whole this leaves an order of the part. Texts can be read in one way only,
/// and each piece is one operation's. So a get that begins with a put that is looked at comes after
/// it, with no other put in between: what it shows of the appends that are looked at is what
/// followed that put, whatever else was appended, and whether or not there ever were other puts.
/// The same holds of the absent key and what was appended to it, before any put. A get that begins
/// with another put is left out.
#[derive(Debug, Default)]
pub struct Part<'a> {
    /// The pieces that are looked at.
    pieces: FxHashSet<&'a str>,
    /// What is left of an answer; nothing where that is of the absent key.
    seen: FxHashMap<&'a str, Option<String>>,
}

impl<'a> Part<'a> {
    /// `gets` are the answers that are looked at.
    pub(super) fn new(
        pieces: &Pieces<'a>,
        kept: FxHashSet<&'a str>,
        gets: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut seen = FxHashMap::default();
        for text in gets {
            let (all, rest) = pieces.split(text);
            if all.first().is_some_and(|first| pieces.is_put(first) && !kept.contains(first)) {
                continue;
            }
            // What is left of a text that nothing comes to is one that nothing comes to.
            let left: String =
                all.into_iter().filter(|piece| kept.contains(piece)).chain([rest]).collect();
            // The empty text is none that anybody put, and stays that.
            let absent = left.is_empty() && !text.is_empty();
            seen.insert(text, Some(left).filter(|_| !absent));
        }
        Self { pieces: kept, seen }
    }

    /// What is left of an operation.
    pub fn of<'b>(&'b self, operation: &Operation<'b>) -> Option<Operation<'b>> {
        match *operation {
            Operation::Put(piece) | Operation::Append(piece) => {
                self.pieces.contains(piece).then_some(*operation)
            }
            Operation::Get(Some(text)) => Some(Operation::Get(self.seen.get(text)?.as_deref())),
            Operation::Get(None) => Some(*operation),
            // Where there is any of these, nothing is looked at.
            Operation::Delete
            | Operation::Cas(..)
            | Operation::Mismatch(_)
            | Operation::Contradiction => None,
        }
    }

    /// The pieces that are looked at, in words, if there are any.
    pub(crate) fn told(&self) -> Option<String> {
        let mut pieces: Vec<&str> = self.pieces.iter().copied().collect();
        pieces.sort_unstable();
        let quoted: Vec<String> =
            pieces.into_iter().map(|piece| format!("\"{}\"", shorten(piece))).collect();
        (!quoted.is_empty()).then(|| quoted.join(", "))
    }
}
