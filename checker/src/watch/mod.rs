//! Watches: a client has the store tell it each change from some revision on. What is checked is
//! what etcd promises of them (*KV API guarantees*, *Watch APIs*), a property each:
//!
//! - `watch-filter`: only changes of keys that were asked for;
//! - `watch-ordered`: revisions never go down;
//! - `watch-unique`: no change is told twice;
//! - `watch-atomic`: the changes of one revision come in one batch;
//! - `watch-reliable`: between the first and the last that was told, nothing is missing, and no
//!   revision where all keys are watched;
//! - `watch-resumable`: a watch from a revision begins with the first change from there on;
//! - `watch-bookmarkable`: after a progress notification of a revision, no change up to it;
//! - `watch-agreement`: no two changes are told of one key at one revision;
//! - `watch-integrity`: all changes of a revision are one write's, which had been asked for when
//!   the watch ended; and what was deleted had been there;
//! - `write-revisions`: no two writes have one revision, and none has a revision that was told,
//!   acknowledged or passed before the write was asked for.
//!
//! Of these, what a history holds nothing for is left out: `watch-filter` where all keys are
//! watched, `watch-resumable` where no watch is from a revision, `watch-bookmarkable` without
//! progress.
//!
//! # History
//! A watch is one operation, `f` is `watch`. The value of its invocation says what is watched:
//! `{"key": k}`, `{"prefix": "p"}`, or `{}` for all, and with `"from": r` from which revision on;
//! without it, or from 0, which is etcd's word for now, a watch begins somewhere in its time. The
//! value of its completion is the list of responses in order of arrival. Each is a batch of
//! changes, `[[revision, "put", key, value], [revision, "delete", key], …]`, or a progress
//! notification, `{"progress": r}`. A watch that was cut off ends with `info` (or `fail`) and binds
//! by the list that its completion holds.
//!
//! Writes are those of a register: `put`, `delete`, `cas` and their other names; `txn` writes
//! several keys at one revision, `[["put", key, value], ["delete", key], …]`. The `revision` of an
//! `ok` is the store's after the write: of a put, its own. Jepsen's EDN has none, so that much
//! stays open there. Reads are accepted, and say nothing here.
//!
//! A revision is one write: single-key writes never share one, since only `txn` writes several
//! keys. A delete that finds nothing makes no change and no revision, and is answered with the
//! store's. Revisions have no holes; 1 is that of the empty store. All this is so in etcd, and in
//! the node of this project. What is told otherwise is what the store said, not how it was
//! recorded: a change at 1 or less breaks `watch-integrity`, a write that was acknowledged there
//! `write-revisions`.
//!
//! # Why it is sound
//! A change *exists* if a watch told it, or a put with its revision was acknowledged. A delete that
//! was acknowledged may have deleted nothing. But where the change before it that exists is a put,
//! at `p`, something has deleted the key after `p` and by the delete's revision: that exists too.
//!
//! A watch's *horizon* is the highest revision that it told, of a change or of progress. What
//! exists, is asked for, lies from where the watch begins to its horizon, and was not told, is
//! missing. A watch without `from` begins at the latest at what it told first (after it, for
//! progress): earlier changes may be from before its time, so none is demanded.
//!
//! For `watch-integrity`, a change at the revision of an acknowledged put must be that put's. Any
//! other must be of a write whose revision nobody was told, and which does all that was told of the
//! revision. Each of those makes one revision at most: a greedy matching, of the revisions whose
//! watches end first to the writes that were asked for first, leaves over as few as any matching
//! does. Times are compared only across a watch's end, since when each response came is not
//! recorded.
//!
//! What several processes did at one moment may have happened in any order, but each did one thing
//! after another: what it asked for once its watch was over, that watch had not told. So of the
//! watches that told something and were over first, all count, and no change is of a write that
//! comes after any of them. Where that leaves no write for a change, `watch-integrity` is violated;
//! where it leaves too few for several, `write-revisions` is:
//!
//! A write makes a higher revision than all that were made before it was asked for, as its process
//! had been told by then, or anybody at an earlier moment. So whichever revision it may have made,
//! it may have made every higher one. Where revisions that do the same may be of several writes,
//! they can be of these at all only if the lowest can be of those that came after the least. And of
//! the writes that came after less than the highest: once all but n had ended, all but the last n
//! revisions had been made.
//!
//! A key is gone in the empty store, after a delete that was told, and at the revision at which a
//! delete was acknowledged. A delete that is told next, with no put known between, needs a put that
//! nobody told: there is none where every revision between is of other writes, where the watch that
//! tells the delete was to tell the put too, and where no such write is left.
//!
//! # What stays open
//! Where a write was acknowledged without a revision and no watch told it, it may be missing:
//! `watch-reliable` and `watch-resumable` are unknown, unless every watch of its key was over
//! before, at an earlier moment. A transaction whose revision nobody was told is matched key by
//! key, which is too little for an `ok`. Changes of unknown writes that no watch told are never
//! missed. The store is taken to be empty at first. Where revisions may be of several writes, those
//! that did different things are looked at by themselves, and so is what each process did in turn:
//! whether one order has room for all is not tried, and an `ok` does not say so. Whether revisions
//! are known to be too many for the writes there are is not counted. Compaction, and the previous
//! values that etcd can add, are not looked at.
//!
//! It takes O(n log n), and memory in proportion to the history. Only where many transactions of
//! unknown outcome may have done what many revisions did, each pair of them counts.

mod bucket;
mod existing;
mod fact;
mod history;
mod origin;
mod past;
mod presence;
mod stream;
mod unplaced;
mod witnesses;

use std::{collections::BTreeSet, fmt};

use crate::{
    budget::{Budget, Limits, Spent},
    history::generic,
    model::Unexpected,
    text::count,
    verdict::{Outcome, Property, Tally, Violation},
};
pub use history::FUNCTIONS;
use history::{Filter, History, Response};

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
            .violated(|| Violation::by(rule.name(), summary.to_string(), operations));
    }

    fn undecided(&mut self, rule: Rule, reason: impl FnOnce() -> String) {
        self.tallies[rule as usize].undecided(reason);
    }
}

/// Checks every watch of a history. What was found when a budget is used up stands; all else is
/// unknown.
///
/// # Errors
/// An operation that is neither a watch nor a key-value store's.
pub fn check(
    operations: &[generic::Operation<'_>],
    limits: &Limits,
) -> Result<Vec<Property>, Unexpected> {
    let budget = Budget::of(limits);
    let mut findings = Findings::default();
    let (examined, spent) = match History::of(operations, &budget)? {
        Ok(history) => (Examined::of(&history), examine(&history, &budget, &mut findings).err()),
        Err(spent) => (Examined::default(), Some(spent)),
    };
    let undecided = match spent {
        Some(Spent(reason)) => Some(reason),
        None => examined.nothing().map(str::to_owned),
    };
    let said = examined.to_string();
    let mut properties = Vec::new();
    for (rule, tally) in Rule::ALL.into_iter().zip(findings.tallies) {
        let mut property = tally.property(rule.name(), &said, rule.noun());
        if property.outcome != Outcome::Violated {
            if let Some(reason) = &undecided {
                (property.outcome, property.detail) = (Outcome::Unknown, reason.clone());
            } else if !examined.concerns(rule) {
                continue;
            }
        }
        properties.push(property);
    }
    Ok(properties)
}

fn examine(history: &History<'_>, budget: &Budget, findings: &mut Findings) -> Result<(), Spent> {
    for watch in &history.watches {
        budget.time()?;
        stream::check(watch, findings);
    }
    existing::check(history, budget, findings)?;
    unplaced::check(history, budget, findings)?;
    origin::check(history, budget, findings)
}

/// What a history holds.
#[derive(Default)]
struct Examined {
    watches: usize,
    narrow: usize,
    resumed: usize,
    changes: usize,
    notifications: usize,
    writes: usize,
    revisions: usize,
    keys: usize,
}

impl Examined {
    fn of(history: &History<'_>) -> Self {
        let mut examined = Self {
            watches: history.watches.len(),
            resumed: history.watches.iter().filter(|watch| watch.from.is_some()).count(),
            narrow: history.watches.iter().filter(|w| !matches!(w.filter, Filter::All)).count(),
            writes: history.writes.len(),
            revisions: history.writes.iter().filter(|write| write.revision.is_some()).count(),
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

    /// Whether there is anything that could break the rule.
    fn concerns(&self, rule: Rule) -> bool {
        match rule {
            Rule::Filter => self.narrow > 0,
            Rule::Resumable => self.resumed > 0,
            Rule::Bookmarkable => self.notifications > 0,
            Rule::Revisions => self.revisions + self.changes > 1,
            Rule::Ordered
            | Rule::Unique
            | Rule::Atomic
            | Rule::Reliable
            | Rule::Agreement
            | Rule::Integrity => true,
        }
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
            "{} {watches} ({} from a revision), {} on {}, {}, {} ({} with a revision)",
            self.watches,
            self.resumed,
            count(self.changes, "change"),
            count(self.keys, "key"),
            count(self.notifications, "progress notification"),
            count(self.writes, "write"),
            self.revisions
        )
    }
}
