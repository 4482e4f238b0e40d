//! The rules once more, as plain statements about all changes, for small histories.

use std::collections::BTreeSet;

/// A revision, a key, and what was put there; nothing for a delete.
pub(super) type Change = (i64, &'static str, Option<i64>);

#[derive(Clone, Debug)]
pub(super) enum Response {
    Batch(Vec<Change>),
    Progress(i64),
}

/// Whose turn it was to do something, and its place among all that was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    pub(super) process: u64,
    pub(super) place: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) turn: Turn,
    pub(super) call: u64,
    pub(super) end: u64,
    pub(super) fate: Fate,
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
    pub(super) turn: Turn,
    pub(super) call: u64,
    pub(super) ret: u64,
    pub(super) parts: Vec<(&'static str, Option<i64>)>,
    pub(super) fate: Fate,
    pub(super) revision: Option<i64>,
}

impl Write {
    pub(super) fn puts(&self) -> bool {
        self.parts.iter().any(|(_, value)| value.is_some())
    }

    /// Whether it was asked for only after something was over that ended then, in that turn.
    fn follows(&self, end: u64, turn: Turn) -> bool {
        let own = turn.process == self.turn.process && turn.place < self.turn.place;
        end < self.call || (end == self.call && own)
    }

    fn follows_any(&self, watches: &[&Watch]) -> bool {
        watches.iter().any(|watch| self.follows(watch.end, watch.turn))
    }

    fn has_ended_before(&self, other: &Self) -> bool {
        self.fate == Fate::Acknowledged && other.follows(self.ret, self.turn)
    }

    fn writes(&self, key: &str) -> bool {
        self.parts.iter().any(|(other, _)| *other == key)
    }
}

impl Watch {
    /// Whether it asks for every key.
    fn all(&self) -> bool {
        self.prefix.is_empty() && !self.whole
    }

    /// Where it begins, at the latest.
    fn begins(&self) -> Option<i64> {
        let tells = |r: &&Response| !matches!(r, Response::Batch(changes) if changes.is_empty());
        let first = self.responses.iter().find(tells).map(|response| match response {
            Response::Batch(changes) => changes[0].0,
            Response::Progress(revision) => revision + 1,
        });
        self.from.or(first)
    }

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

    pub(super) fn horizon(&self) -> Option<i64> {
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
            None => watch.begins(),
        };
        let first = first.unwrap_or(horizon + 1);
        for &(since, revision, key) in &exists {
            let was_told = changes.iter().any(|(_, c)| (c.0, c.1) == (revision, key));
            let asked = watch.takes(key) && since >= watch.from.unwrap_or(first);
            let due = asked && revision <= horizon;
            must("watch-resumable", !due || was_told || watch.from.is_none() || revision >= first);
            must("watch-reliable", !due || was_told || revision < first);
        }
        for revision in watch.from.unwrap_or(first).max(2)..=horizon {
            let told = !watch.all() || changes.iter().any(|(_, c)| c.0 == revision);
            must("watch-resumable", told || watch.from.is_none() || revision >= first);
            must("watch-reliable", told || revision < first);
        }
    }
    let groups = groups(watches, &told, writes, &mut must);
    let explained = integrity(&groups, writes, &mut must, &mut open);
    // How far the store had come before a write was asked for: at first, as far as anybody was
    // told.
    let first = |write: &Write| -> Option<i64> {
        let told = watches.iter().filter(|watch| write.follows(watch.end, watch.turn));
        let acknowledged = writes.iter().filter(|other| other.has_ended_before(write));
        let told = told.filter_map(Watch::horizon);
        told.chain(acknowledged.filter_map(|other| other.revision)).max()
    };
    let come = |write: &Write| {
        first(write)
            .max(explained.iter().filter_map(|alike| alike.made_before(write, &first)).max())
    };
    for (at, write) in writes.iter().enumerate() {
        let Some(revision) = write.revision else { continue };
        must("write-revisions", revision >= if write.puts() { 2 } else { 1 });
        must("write-revisions", come(write) < Some(revision + i64::from(!write.puts())));
        for other in &writes[..at] {
            let both = write.puts() && other.puts();
            must("write-revisions", !both || other.revision != Some(revision));
        }
    }
    for Alike { groups, writes } in &explained {
        let higher = |group: &Group<'_>, write: &Write| come(write) < Some(group.revision);
        must("write-revisions", assign(groups, &mut writes.clone(), &higher));
    }
    presence(watches, writes, &groups, &mut must);
    let unplaced = unplaced(watches, &told, writes);
    if unplaced {
        open.insert("watch-reliable".to_owned());
        if watches.iter().any(|watch| watch.from.is_some()) {
            open.insert("watch-resumable".to_owned());
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

/// What was told of a revision that no acknowledged write explains: what one write must have done,
/// and the watches that told any of it.
struct Group<'a> {
    effects: Vec<(&'static str, Option<i64>)>,
    revision: i64,
    watches: Vec<&'a Watch>,
}

/// Revisions that did the same, and the writes that do.
struct Alike<'a> {
    groups: Vec<&'a Group<'a>>,
    writes: Vec<&'a Write>,
}

impl Alike<'_> {
    /// The highest of the revisions that was made before this was asked for, whichever write made
    /// it, of those that came before the last revision.
    fn made_before(&self, other: &Write, first: &dyn Fn(&Write) -> Option<i64>) -> Option<i64> {
        let mut revisions: Vec<i64> = self.groups.iter().map(|group| group.revision).collect();
        revisions.sort_unstable();
        let writes: Vec<&Write> =
            self.writes.iter().copied().filter(|w| first(w).as_ref() < revisions.last()).collect();
        (0..revisions.len())
            .filter(|at| {
                choices(&writes, revisions.len() - at)
                    .iter()
                    .all(|writes| writes.iter().any(|write| write.has_ended_before(other)))
            })
            .map(|at| revisions[at])
            .max()
    }
}

impl Group<'_> {
    fn explained_by(&self, write: &Write) -> bool {
        let does = self.effects.iter().all(|part| write.parts.contains(part));
        does && !write.follows_any(&self.watches)
    }
}

fn groups<'a>(
    watches: &'a [Watch],
    told: &[(usize, Change)],
    writes: &[Write],
    must: &mut impl FnMut(&str, bool),
) -> Vec<Group<'a>> {
    let mut groups = Vec::new();
    let revisions: BTreeSet<i64> = told.iter().map(|(_, change)| change.0).collect();
    for revision in revisions {
        if revision < 2 {
            must("watch-integrity", false);
            continue;
        }
        let here: BTreeSet<Change> =
            told.iter().map(|(_, change)| *change).filter(|c| c.0 == revision).collect();
        let tell = |change: Change| -> Vec<&Watch> {
            told.iter().filter(|(_, c)| *c == change).map(|(at, _)| &watches[*at]).collect()
        };
        let at: Vec<&Write> = writes.iter().filter(|w| w.revision == Some(revision)).collect();
        // Of two that claim one revision, the first is believed.
        let owner = at.iter().find(|write| write.puts());
        let deletes: Vec<&Write> = at.iter().copied().filter(|write| !write.puts()).collect();
        let mut free: Vec<Change> = Vec::new();
        for change in here {
            let (_, key, value) = change;
            let gone = deletes.iter().chain(owner).any(|w| w.parts.contains(&(key, None)));
            if value.is_some() && gone {
                must("watch-integrity", false);
            } else if let Some(owner) = owner {
                let is = owner.parts.contains(&(key, value)) && !owner.follows_any(&tell(change));
                must("watch-integrity", is);
            } else {
                free.push(change);
            }
        }
        if free.is_empty() {
            continue;
        }
        let of = |free: &[Change]| Group {
            effects: free.iter().map(|(_, key, value)| (*key, *value)).collect(),
            revision,
            watches: free.iter().flat_map(|change| tell(*change)).collect(),
        };
        let group = of(&free);
        if deletes.iter().any(|write| group.explained_by(write)) {
            continue;
        }
        let keys: BTreeSet<&str> = group.effects.iter().map(|(key, _)| *key).collect();
        if keys.len() == group.effects.len() {
            groups.push(group);
        } else {
            groups.extend(free.into_iter().map(|change| of(&[change])));
        }
    }
    groups
}

/// Whether each revision can be of a write: by time of one of its own. Returns where they can.
fn integrity<'a>(
    groups: &'a [Group<'a>],
    writes: &'a [Write],
    must: &mut impl FnMut(&str, bool),
    open: &mut BTreeSet<String>,
) -> Vec<Alike<'a>> {
    let mut explained = Vec::new();
    let kinds: BTreeSet<_> = groups.iter().map(|group| &group.effects).collect();
    for effects in kinds {
        let groups: Vec<&Group<'_>> = groups.iter().filter(|g| g.effects == *effects).collect();
        let writes: Vec<&Write> = writes
            .iter()
            .filter(|w| w.fate != Fate::Failed && w.revision.is_none())
            .filter(|w| effects.iter().all(|part| w.parts.contains(part)))
            .collect();
        let in_time = |group: &Group<'_>, write: &Write| {
            group.watches.iter().all(|watch| write.call <= watch.end)
        };
        let fits = assign(&groups, &mut writes.clone(), &in_time)
            && groups.iter().all(|group| writes.iter().any(|write| group.explained_by(write)));
        must("watch-integrity", fits);
        if writes.iter().any(|write| write.parts.len() > effects.len()) {
            open.insert("watch-integrity".to_owned());
        }
        if fits {
            explained.push(Alike { groups, writes });
        }
    }
    explained
}

/// All that are so many of these.
fn choices<'a>(writes: &[&'a Write], count: usize) -> Vec<Vec<&'a Write>> {
    let Some(rest) = count.checked_sub(1) else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for (at, &write) in writes.iter().enumerate() {
        for mut choice in choices(&writes[at + 1..], rest) {
            choice.push(write);
            all.push(choice);
        }
    }
    all
}

/// Whether keys can have been there, or gone, when that was told.
fn presence(
    watches: &[Watch],
    writes: &[Write],
    groups: &[Group<'_>],
    must: &mut impl FnMut(&str, bool),
) {
    let told: Vec<(&Watch, Change)> = watches
        .iter()
        .flat_map(|watch| watch.told().into_iter().map(move |(_, change)| (watch, change)))
        .collect();
    for key in ["a", "ab", "b"] {
        let told = |put: bool| told.iter().filter(move |(_, c)| (c.1, c.2.is_some()) == (key, put));
        let acknowledged = |put: bool| {
            let does = move |w: &&Write| w.parts.iter().any(|p| (p.0, p.1.is_some()) == (key, put));
            writes.iter().filter(does).filter_map(|w| Some((w.revision?, w)))
        };
        let at = |put: bool| -> BTreeSet<i64> {
            let told = told(put).map(|(_, change)| change.0);
            told.chain(acknowledged(put).map(|(revision, _)| revision)).collect()
        };
        let (puts, deletes) = (at(true), at(false));
        let owned = |revision| writes.iter().any(|w| w.puts() && w.revision == Some(revision));
        for (revision, _) in acknowledged(true) {
            let both = acknowledged(false).any(|(other, _)| other == revision);
            must("write-revisions", !both);
        }
        for &revision in deletes.difference(&puts) {
            // The last of which anything is known before, and what.
            let since = puts.union(&deletes).copied().filter(|&r| r < revision).max();
            let put = since.is_some_and(|since| puts.contains(&since));
            if put && since.is_some_and(|since| deletes.contains(&since)) {
                continue;
            }
            let since = since.unwrap_or(1);
            let tells: Vec<&Watch> =
                told(false).filter(|(_, c)| c.0 == revision).map(|(watch, _)| *watch).collect();
            if tells.is_empty() {
                let made = acknowledged(false).any(|(at, w)| at == revision && w.puts());
                let room = (since + 1..=revision).any(|r| !owned(r));
                must("write-revisions", !put || made || room);
                continue;
            }
            let nowhere: Vec<&Write> = writes
                .iter()
                .filter(|w| w.fate != Fate::Failed && w.revision.is_none())
                .filter(|w| w.parts.iter().any(|(k, v)| *k == key && v.is_some()))
                .collect();
            let used: BTreeSet<i64> = groups
                .iter()
                .filter(|g| g.effects.iter().any(|(k, v)| *k == key && v.is_some()))
                .map(|group| group.revision)
                .collect();
            let room = (since + 1..revision).any(|r| !owned(r));
            let left = nowhere.len() > used.len() && nowhere.iter().any(|w| !w.follows_any(&tells));
            for watch in &tells {
                let unseen = !watch.takes(key) || watch.begins().is_none_or(|b| b > since + 1);
                must("watch-integrity", put || (room && unseen && left));
            }
        }
    }
}

/// Whether each revision can be of a write of its own that fits.
fn assign(
    groups: &[&Group<'_>],
    writes: &mut Vec<&Write>,
    fits: &dyn Fn(&Group<'_>, &Write) -> bool,
) -> bool {
    let Some((group, rest)) = groups.split_first() else { return true };
    (0..writes.len()).any(|at| {
        let write = writes.remove(at);
        let fits = fits(group, write) && assign(rest, writes, fits);
        writes.insert(at, write);
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
