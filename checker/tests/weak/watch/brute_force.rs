//! The rules once more, as plain statements about all changes, for small histories.

use std::collections::BTreeSet;

/// A revision, a key, and what was put there; nothing for a delete.
pub(super) type Change = (i64, &'static str, Option<i64>);

#[derive(Clone, Debug)]
pub(super) enum Response {
    Batch(Vec<Change>),
    Progress(i64),
}

#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) call: u64,
    pub(super) end: u64,
    /// What keys must begin with.
    pub(super) prefix: &'static str,
    /// Whether they must be no longer than that.
    pub(super) whole: bool,
    pub(super) from: Option<i64>,
    pub(super) responses: Vec<Response>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Acknowledged,
    Unknown,
    Failed,
}

#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) call: u64,
    pub(super) ret: u64,
    pub(super) parts: Vec<(&'static str, Option<i64>)>,
    pub(super) fate: Fate,
    pub(super) revision: Option<i64>,
}

impl Write {
    fn puts(&self) -> bool {
        self.parts.iter().any(|(_, value)| value.is_some())
    }

    fn writes(&self, key: &str) -> bool {
        self.parts.iter().any(|(other, _)| *other == key)
    }
}

impl Watch {
    pub(super) fn takes(&self, key: &str) -> bool {
        if self.whole { key == self.prefix } else { key.starts_with(self.prefix) }
    }

    /// Each change, with the place of its response, in order.
    fn told(&self) -> Vec<(usize, Change)> {
        let mut told = Vec::new();
        for (at, response) in self.responses.iter().enumerate() {
            if let Response::Batch(changes) = response {
                told.extend(changes.iter().map(|&change| (at, change)));
            }
        }
        told
    }

    fn progress(&self) -> Vec<(usize, i64)> {
        let mut progress = Vec::new();
        for (at, response) in self.responses.iter().enumerate() {
            if let Response::Progress(revision) = response {
                progress.push((at, *revision));
            }
        }
        progress
    }

    fn horizon(&self) -> Option<i64> {
        let told = self.told().into_iter().map(|(_, change)| change.0);
        told.chain(self.progress().into_iter().map(|(_, revision)| revision)).max()
    }
}

/// The names of the properties that are violated, and those that are undecided.
pub(super) fn judge(watches: &[Watch], writes: &[Write]) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut violated = BTreeSet::new();
    let mut open = BTreeSet::new();
    let mut must = |rule: &str, holds: bool| {
        if !holds {
            violated.insert(rule.to_owned());
        }
    };
    for watch in watches {
        let told = watch.told();
        for (place, &(at, change)) in told.iter().enumerate() {
            must("watch-filter", watch.takes(change.1));
            must("watch-resumable", watch.from.is_none_or(|from| from <= change.0));
            for (before, revision) in watch.progress() {
                must("watch-bookmarkable", before > at || change.0 > revision);
            }
            must("watch-ordered", place == 0 || told[place - 1].1.0 <= change.0);
            let same = |other: &Change| (other.0, other.1) == (change.0, change.1);
            let again = told[..place].iter().any(|(_, other)| same(other));
            must("watch-unique", !again);
            let split = told[..place].iter().find(|(_, other)| other.0 == change.0);
            must("watch-atomic", again || split.is_none_or(|(first, _)| *first == at));
        }
    }
    let told: Vec<(usize, Change)> = (0..watches.len())
        .flat_map(|at| watches[at].told().into_iter().map(move |(_, change)| (at, change)))
        .collect();
    for (_, one) in &told {
        for (_, other) in &told {
            must("watch-agreement", (one.0, one.1) != (other.0, other.1) || one == other);
        }
    }
    let exists = existing(&told, writes);
    for watch in watches {
        let Some(horizon) = watch.horizon() else { continue };
        let changes = watch.told();
        let first = match watch.from {
            Some(from) => changes.iter().map(|(_, c)| c.0).filter(|&r| r >= from).min(),
            None => match watch
                .responses
                .iter()
                .find(|r| !matches!(r, Response::Batch(b) if b.is_empty()))
            {
                Some(Response::Batch(batch)) => Some(batch[0].0),
                Some(Response::Progress(revision)) => Some(revision + 1),
                None => None,
            },
        };
        let first = first.unwrap_or(horizon + 1);
        for &(since, revision, key) in &exists {
            let was_told = changes.iter().any(|(_, c)| (c.0, c.1) == (revision, key));
            let asked = watch.takes(key) && since >= watch.from.unwrap_or(first);
            let due = asked && revision <= horizon;
            must("watch-resumable", !due || was_told || watch.from.is_none() || revision >= first);
            must("watch-reliable", !due || was_told || revision < first);
        }
    }
    integrity(watches, &told, writes, &mut must, &mut open);
    for (at, write) in writes.iter().enumerate() {
        let Some(revision) = write.revision else { continue };
        let fits = |known: i64| known < revision || (known == revision && !write.puts());
        for (place, other) in writes.iter().enumerate() {
            if let Some(known) = other.revision {
                must("write-revisions", other.ret >= write.call || fits(known));
                let both = place != at && write.puts() && other.puts();
                must("write-revisions", !both || known != revision);
            }
        }
        for watch in watches {
            let known = watch.horizon().filter(|_| watch.end < write.call);
            must("write-revisions", known.is_none_or(fits));
        }
    }
    let unplaced = unplaced(watches, &told, writes);
    for rule in ["watch-reliable", "watch-resumable"] {
        if unplaced {
            open.insert(rule.to_owned());
        }
    }
    open.retain(|rule| !violated.contains(rule));
    (violated, open)
}

/// Since when, up to when, and of which key there is a change.
fn existing(told: &[(usize, Change)], writes: &[Write]) -> Vec<(i64, i64, &'static str)> {
    let mut certain: Vec<Change> = told.iter().map(|(_, change)| *change).collect();
    let mut deletes = Vec::new();
    for write in writes {
        for &(key, value) in &write.parts {
            match (write.revision, value) {
                (Some(revision), Some(_)) => certain.push((revision, key, value)),
                (Some(revision), None) => deletes.push((revision, key)),
                _ => {}
            }
        }
    }
    let mut exists: Vec<_> = certain.iter().map(|c| (c.0, c.0, c.1)).collect();
    for &(revision, key) in &deletes {
        let of_key = |change: &&Change| change.1 == key;
        let last = certain.iter().filter(of_key).filter(|c| c.0 <= revision).map(|c| c.0).max();
        let Some(last) = last else { continue };
        let put = certain.iter().filter(of_key).filter(|c| c.0 == last).all(|c| c.2.is_some());
        let between = deletes.iter().any(|&(r, k)| k == key && last < r && r < revision);
        if put && last < revision && !between {
            exists.push((last + 1, revision, key));
        }
    }
    exists
}

fn integrity(
    watches: &[Watch],
    told: &[(usize, Change)],
    writes: &[Write],
    must: &mut impl FnMut(&str, bool),
    open: &mut BTreeSet<String>,
) {
    // Each change once, with the end of the watch that was over first.
    let mut changes: Vec<(Change, u64)> = Vec::new();
    for &(at, change) in told {
        match changes.iter_mut().find(|(other, _)| *other == change) {
            Some((_, end)) => *end = watches[at].end.min(*end),
            None => changes.push((change, watches[at].end)),
        }
    }
    let mut free: Vec<(Change, u64)> = Vec::new();
    for &(change, end) in &changes {
        let (revision, key, value) = change;
        let at = || writes.iter().filter(move |write| write.revision == Some(revision));
        let owner = at().find(|write| write.puts());
        let deletes: Vec<_> = at()
            // Of two that claim one revision, the first is believed.
            .filter(|w| !w.puts() || std::ptr::eq(*w, owner.unwrap()))
            .filter(|w| w.parts.contains(&(key, None)))
            .collect();
        if let Some(owner) = owner {
            let is = owner.parts.contains(&(key, value)) && owner.call <= end;
            must("watch-integrity", is && (value.is_none() || deletes.is_empty()));
        } else if value.is_some() {
            must("watch-integrity", deletes.is_empty());
            if deletes.is_empty() {
                free.push((change, end));
            }
        } else if !deletes.iter().any(|delete| delete.call <= end) {
            free.push((change, end));
        }
    }
    let candidates: Vec<&Write> =
        writes.iter().filter(|w| w.fate != Fate::Failed && w.revision.is_none()).collect();
    let effects: BTreeSet<_> = free.iter().map(|((_, key, value), _)| (*key, *value)).collect();
    for (key, value) in effects {
        let ends: Vec<u64> =
            free.iter().filter(|(c, _)| (c.1, c.2) == (key, value)).map(|(_, end)| *end).collect();
        let calls: Vec<u64> =
            candidates.iter().filter(|w| w.parts.contains(&(key, value))).map(|w| w.call).collect();
        must("watch-integrity", assign(&ends, &mut calls.clone()));
        let wide = |w: &&&Write| w.parts.len() > 1 && w.parts.contains(&(key, value));
        if candidates.iter().any(|w| wide(&w)) {
            open.insert("watch-integrity".to_owned());
        }
    }
}

/// Whether each change can be of a write of its own.
fn assign(ends: &[u64], calls: &mut Vec<u64>) -> bool {
    let Some((&end, rest)) = ends.split_first() else { return true };
    (0..calls.len()).any(|at| {
        let call = calls.remove(at);
        let fits = call <= end && assign(rest, calls);
        calls.insert(at, call);
        fits
    })
}

/// Whether an acknowledged write may be missing from a watch, and nobody can tell.
fn unplaced(watches: &[Watch], told: &[(usize, Change)], writes: &[Write]) -> bool {
    let claimed = |c: &Change| writes.iter().any(|w| w.revision == Some(c.0) && w.writes(c.1));
    let unclaimed: BTreeSet<Change> =
        told.iter().map(|(_, change)| *change).filter(|change| !claimed(change)).collect();
    let lost = |w: &Write| w.fate == Fate::Acknowledged && w.revision.is_none();
    let mut asked: Vec<(&'static str, Option<i64>, u64)> = Vec::new();
    for write in writes.iter().filter(|write| lost(write)) {
        asked.extend(write.parts.iter().map(|&(key, value)| (key, value, write.call)));
    }
    asked.iter().enumerate().any(|(place, &(key, value, call))| {
        let earlier = asked[..place].iter().filter(|(k, v, _)| (*k, *v) == (key, value)).count();
        let found = unclaimed.iter().filter(|c| (c.1, c.2) == (key, value)).count();
        let seen =
            |watch: &Watch| watch.takes(key) && watch.horizon().is_some() && call <= watch.end;
        earlier >= found && watches.iter().any(seen)
    })
}
