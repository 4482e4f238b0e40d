//! Watches: a client has the store tell it each change from some revision on. What is checked is
//! what etcd promises of them (*KV API guarantees*, *Watch APIs*), a property each:
//!
//! - `watch-filter`: only changes of keys that were asked for;
//! - `watch-ordered`: revisions never go down;
//! - `watch-unique`: no change is told twice;
//! - `watch-atomic`: the changes of one revision come in one batch;
//! - `watch-reliable`: between the first and the last that was told, nothing is missing;
//! - `watch-resumable`: a watch from a revision begins with the first change from there on;
//! - `watch-bookmarkable`: after a progress notification of a revision, no change up to it;
//! - `watch-agreement`: no two changes are told of one key at one revision;
//! - `watch-integrity`: each change is some write's that had been asked for when the watch ended;
//! - `write-revisions`: of the acknowledged writes, none has the revision of another, nor one that
//!   was told, or acknowledged, before the write was asked for.
//!
//! # History
//! A watch is one operation, `f` is `watch`. The value of its invocation says what is watched:
//! `{"key": k}`, `{"prefix": "p"}`, or `{}` for all, and with `"from": r` from which revision on;
//! without it, a watch begins somewhere in its time. The value of its completion is the list of
//! responses in order of arrival. Each is a batch of changes, `[[revision, "put", key, value],
//! [revision, "delete", key], …]`, or a progress notification, `{"progress": r}`. A watch that was
//! cut off ends with `info` (or `fail`) and binds by the list that its completion holds.
//!
//! Writes are those of a register: `put`, `delete`, `cas` and their other names; `txn` writes
//! several keys at one revision, `[["put", key, value], ["delete", key], …]`. The `revision` of an
//! `ok` is the store's after the write: of a put, its own. Jepsen's EDN has none, so that much stays
//! open there. Reads are accepted, and say nothing here.
//!
//! # Why it is sound
//! A change *exists* if a watch told it, or a put with its revision was acknowledged. A delete that
//! was acknowledged may have deleted nothing. But where the change before it that exists is a put,
//! at `p`, something has deleted the key after `p` and by the delete's revision: that exists too.
//!
//! A watch's *horizon* is the highest revision that it told, of a change or of progress. What exists,
//! is asked for, lies from where the watch begins to its horizon, and was not told, is missing. A
//! watch without `from` begins at the latest at what it told first (after it, for progress): earlier
//! changes may be from before its time, so none is demanded.
//!
//! For `watch-integrity`, a change at the revision of an acknowledged put must be that put's.
//! Any other must be of a write whose revision nobody was told, and each of those makes one change at
//! most: a greedy matching, of the changes whose watches end first to the writes that were asked for
//! first, leaves over as few as any matching does. Times are compared only across a watch's end,
//! since when each response came is not recorded.
//!
//! # What stays open
//! Where a write was acknowledged without a revision and no watch told it, it may be missing:
//! `watch-reliable` and `watch-resumable` are unknown, unless every watch of its key was over
//! before. A transaction whose revision nobody was told is matched key by key, which is too little
//! for an `ok`. Changes of unknown writes that no watch told are never missed. The store is taken to
//! be empty at first. Compaction, and the previous values that etcd can add, are not looked at.
//!
//! It takes O(n log n), plus a search in each key that a watch asks for and that has changes.

mod existing;
mod history;
mod origin;
mod stream;

use std::{collections::BTreeSet, fmt};

use super::{Tally, violation};
use crate::{
    history::generic,
    linear::Limits,
    model::Unexpected,
    verdict::{Outcome, Property, count},
};
pub use history::FUNCTIONS;
use history::{History, Response};

/// A property of watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Filter,
    Ordered,
    Unique,
    Atomic,
    Reliable,
    Resumable,
    Bookmarkable,
    Agreement,
    Integrity,
    Revisions,
}

impl Rule {
    const ALL: [Self; 10] = [
        Self::Filter,
        Self::Ordered,
        Self::Unique,
        Self::Atomic,
        Self::Reliable,
        Self::Resumable,
        Self::Bookmarkable,
        Self::Agreement,
        Self::Integrity,
        Self::Revisions,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Filter => "watch-filter",
            Self::Ordered => "watch-ordered",
            Self::Unique => "watch-unique",
            Self::Atomic => "watch-atomic",
            Self::Reliable => "watch-reliable",
            Self::Resumable => "watch-resumable",
            Self::Bookmarkable => "watch-bookmarkable",
            Self::Agreement => "watch-agreement",
            Self::Integrity => "watch-integrity",
            Self::Revisions => "write-revisions",
        }
    }

    /// What is counted where it is violated or undecided.
    fn noun(self) -> &'static str {
        if self == Self::Revisions { "write" } else { "change" }
    }
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    tallies: [Tally; 10],
}

impl Findings {
    fn violated(
        &mut self,
        rule: Rule,
        operations: &[&generic::Operation<'_>],
        summary: impl fmt::Display,
    ) {
        self.tallies[rule as usize]
            .violated(|| violation(rule.name(), summary.to_string(), operations));
    }

    fn undecided(&mut self, rule: Rule, reason: impl FnOnce() -> String) {
        self.tallies[rule as usize].undecided(reason);
    }
}

/// Checks every watch of a history. It needs no limits.
///
/// # Errors
/// An operation that is neither a watch nor a key-value store's.
pub fn check(
    operations: &[generic::Operation<'_>],
    _limits: &Limits,
) -> Result<Vec<Property>, Unexpected> {
    let history = History::of(operations)?;
    let mut findings = Findings::default();
    for watch in &history.watches {
        stream::check(watch, &mut findings);
    }
    existing::check(&history, &mut findings);
    origin::check(&history, &mut findings);
    let examined = Examined::of(&history);
    let nothing = examined.nothing();
    let examined = examined.to_string();
    let properties = Rule::ALL.into_iter().zip(findings.tallies).map(|(rule, tally)| {
        let mut property = tally.property(rule.name(), &examined, rule.noun());
        if let Some(reason) = nothing
            && property.outcome != Outcome::Violated
        {
            property.outcome = Outcome::Unknown;
            property.detail = reason.into();
        }
        property
    });
    Ok(properties.collect())
}

/// What a history holds.
#[derive(Default)]
struct Examined {
    watches: usize,
    resumed: usize,
    changes: usize,
    notifications: usize,
    writes: usize,
    keys: usize,
}

impl Examined {
    fn of(history: &History<'_>) -> Self {
        let mut examined = Self {
            watches: history.watches.len(),
            resumed: history.watches.iter().filter(|watch| watch.from.is_some()).count(),
            writes: history.writes.len(),
            ..Self::default()
        };
        let mut keys = BTreeSet::new();
        for response in history.watches.iter().flat_map(|watch| &watch.responses) {
            match response {
                Response::Batch(changes) => {
                    examined.changes += changes.len();
                    keys.extend(changes.iter().map(|change| change.key));
                }
                Response::Progress(_) => examined.notifications += 1,
            }
        }
        examined.keys = keys.len();
        examined
    }

    /// Why nothing can be said of the history.
    fn nothing(&self) -> Option<&'static str> {
        if self.watches == 0 {
            Some("the history has no watch that ended")
        } else if self.changes == 0 {
            Some("no watch told any change")
        } else {
            None
        }
    }
}

impl fmt::Display for Examined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watches = if self.watches == 1 { "watch" } else { "watches" };
        write!(
            f,
            "{} {watches} ({} from a revision), {} on {}, {}, {}",
            self.watches,
            self.resumed,
            count(self.changes, "change"),
            count(self.keys, "key"),
            count(self.notifications, "progress notification"),
            count(self.writes, "write")
        )
    }
}
