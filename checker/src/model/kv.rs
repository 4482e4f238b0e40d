//! One key of a store of texts: get, put, append, compare-and-set, delete.
//!
//! [`Kv`] is the specification. [`Seen`] is the same for one history: whatever text no answer of
//! that history can show any more is one state, so that the k! orders in which k concurrent
//! appends could have happened are as many states as there are answers that tell them apart.

use std::{marker::PhantomData, rc::Rc};

use super::{Effect, Interval, Model};

/// One key of the store. Its state is the text; `None` where there is no such key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kv<'a> {
    texts: PhantomData<&'a str>,
}

/// An operation with what was observed. Texts are those of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation<'a> {
    /// The text was this, all of it.
    Get(Option<&'a str>),
    /// The text becomes this.
    Put(&'a str),
    /// This is added at the end; where there was no such key, to the empty text.
    Append(&'a str),
    /// There is no such key any more.
    Delete,
    /// The text was the first and becomes the second.
    Cas(Option<&'a str>, Option<&'a str>),
    /// The text was not this: a compare-and-set that was refused.
    Mismatch(Option<&'a str>),
    /// A compare-and-set that was refused although it found just what it expected: no state allows
    /// it.
    Contradiction,
}

impl<'a> Operation<'a> {
    /// The text that it looks for, found or not.
    fn looked_for(&self) -> Option<&'a str> {
        match *self {
            Self::Get(text) | Self::Cas(text, _) | Self::Mismatch(text) => text,
            Self::Put(_) | Self::Append(_) | Self::Delete | Self::Contradiction => None,
        }
    }

    /// The text that it answered, if it did.
    pub(crate) fn seen(&self) -> Option<&'a str> {
        if let Self::Get(text) = *self { text } else { None }
    }

    fn effect(&self) -> Effect {
        match *self {
            Self::Get(_) | Self::Mismatch(_) | Self::Contradiction => Effect::Observe,
            Self::Put(_) | Self::Delete => Effect::Overwrite,
            Self::Cas(expected, new) if expected == new => Effect::Observe,
            Self::Cas(..) | Self::Append(_) => Effect::Update,
        }
    }
}

impl<'a> Model for Kv<'a> {
    type State = Option<Rc<String>>;
    type Operation = Operation<'a>;

    fn initial(&self) -> Self::State {
        None
    }

    fn apply(&self, state: &Self::State, operation: &Operation<'a>) -> Option<Self::State> {
        // Shared until it is changed.
        let mut after = state.clone();
        self.advance(&mut after, operation).then_some(after)
    }

    fn advance(&self, state: &mut Self::State, operation: &Operation<'a>) -> bool {
        let text = |new: &str| Some(Rc::new(new.to_owned()));
        let is = |state: &Self::State, seen: Option<&str>| state.as_deref().map(|s| &**s) == seen;
        match *operation {
            Operation::Get(seen) => return is(state, seen),
            Operation::Put(new) => *state = text(new),
            Operation::Append(piece) => Rc::make_mut(state.get_or_insert_default()).push_str(piece),
            Operation::Delete => *state = None,
            Operation::Cas(expected, _) if !is(state, expected) => return false,
            Operation::Cas(_, new) => *state = new.and_then(text),
            Operation::Mismatch(expected) => return !is(state, expected),
            Operation::Contradiction => return false,
        }
        true
    }

    fn heap(&self, state: &Self::State) -> usize {
        state.as_ref().map_or(0, |text| text.capacity())
    }

    fn effect(&self, operation: &Operation<'a>) -> Effect {
        operation.effect()
    }
}

/// One key of the store, as far as the operations of one history can tell.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// What any of them looks for, in the order of text, each once.
    looked_for: Vec<&'a str>,
}

/// What a text is to those who look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// There is no such key.
    Absent,
    /// The first bytes of a text that somebody looks for: how many, and of which; of all that
    /// begin so, the first.
    Start {
        /// Place in the order of texts.
        of: usize,
        /// Bytes.
        length: usize,
    },
    /// Something else. More at its end makes it nothing that anybody looks for.
    Other,
}

impl<'a> Seen<'a> {
    /// The model for a history of these operations and no other.
    pub fn by(intervals: &[Interval<Operation<'a>>]) -> Self {
        let mut looked_for: Vec<&str> =
            intervals.iter().filter_map(|interval| interval.operation.looked_for()).collect();
        looked_for.sort_unstable();
        looked_for.dedup();
        Self { looked_for }
    }

    /// The text of a state; `None` where it is one of many.
    pub fn text(&self, state: Text) -> Option<Option<&'a str>> {
        match state {
            Text::Absent => Some(None),
            Text::Start { of, length } => Some(Some(&self.looked_for[of][..length])),
            Text::Other => None,
        }
    }

    /// What `start` with `piece` at its end is.
    fn find(&self, start: &str, piece: &str) -> Text {
        let length = start.len() + piece.len();
        let of = self.looked_for.partition_point(|text| {
            let head = &text.as_bytes()[..start.len().min(text.len())];
            let tail = &text.as_bytes()[head.len()..];
            (head, tail) < (start.as_bytes(), piece.as_bytes())
        });
        match self.looked_for.get(of) {
            Some(text) if text.starts_with(start) && text[start.len()..].starts_with(piece) => {
                Text::Start { of, length }
            }
            _ => Text::Other,
        }
    }

    /// What `text` is.
    fn state(&self, text: Option<&str>) -> Text {
        text.map_or(Text::Absent, |text| self.find("", text))
    }

    fn is(&self, state: Text, text: Option<&str>) -> bool {
        self.text(state) == Some(text)
    }
}

impl<'a> Model for Seen<'a> {
    type State = Text;
    type Operation = Operation<'a>;

    fn initial(&self) -> Text {
        Text::Absent
    }

    fn apply(&self, state: &Text, operation: &Operation<'a>) -> Option<Text> {
        match *operation {
            Operation::Get(seen) => self.is(*state, seen).then_some(*state),
            Operation::Put(new) => Some(self.state(Some(new))),
            Operation::Append(piece) => Some(match *state {
                // Of all that begin so it is still the first.
                Text::Start { of, length } if self.looked_for[of][length..].starts_with(piece) => {
                    Text::Start { of, length: length + piece.len() }
                }
                Text::Start { of, length } => self.find(&self.looked_for[of][..length], piece),
                Text::Absent => self.find("", piece),
                Text::Other => Text::Other,
            }),
            Operation::Delete => Some(Text::Absent),
            Operation::Cas(expected, new) => self.is(*state, expected).then(|| self.state(new)),
            Operation::Mismatch(expected) => (!self.is(*state, expected)).then_some(*state),
            Operation::Contradiction => None,
        }
    }

    fn effect(&self, operation: &Operation<'a>) -> Effect {
        operation.effect()
    }

    fn leaves(&self, operation: &Operation<'a>) -> Option<Text> {
        match *operation {
            Operation::Put(new) => Some(self.state(Some(new))),
            Operation::Cas(_, new) => Some(self.state(new)),
            Operation::Delete => Some(Text::Absent),
            Operation::Get(_)
            | Operation::Append(_)
            | Operation::Mismatch(_)
            | Operation::Contradiction => None,
        }
    }

    fn needs(&self, operation: &Operation<'a>) -> Option<Text> {
        match *operation {
            Operation::Get(text) | Operation::Cas(text, _) => Some(self.state(text)),
            Operation::Put(_)
            | Operation::Append(_)
            | Operation::Delete
            | Operation::Mismatch(_)
            | Operation::Contradiction => None,
        }
    }
}
