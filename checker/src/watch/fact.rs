//! What is known of when a revision was made, and by whom.

use rustc_hash::FxHashMap;

use super::history::{Change, Watch, Write};
use crate::history::generic::Operation;

/// A revision that was made by a certain time.
#[derive(Clone, Copy)]
pub(super) struct Fact<'a> {
    pub(super) time: u64,
    pub(super) revision: i64,
    pub(super) by: By<'a>,
    /// The operation that was over then, if that is enough to know it: what its process does next
    /// is later, at that very moment too.
    pub(super) turn: Option<&'a Operation<'a>>,
}

/// Who says so.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    Watch(&'a Watch<'a>),
    Write(&'a Write<'a>),
    /// A change that was told and the write that sets the bound.
    Told(Change<'a>, &'a Watch<'a>, &'a Write<'a>),
}

/// Of each write, by index: the highest revision that was made before it was asked for.
pub(super) type Seen<'a> = FxHashMap<u64, Fact<'a>>;
