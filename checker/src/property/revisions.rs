//! Whether the revisions that registers' answers name are those of one store: each write made a
//! revision of its own, the next one, and nothing else made any.
//!
//! - *Unique*: no two writes made the same revision.
//! - *Ascending in real time*: a write that began after an answer that named a revision made a
//!   later one; a read of a key never goes back behind what was answered for that key.
//! - *Dense*: below the highest revision that was named, every revision was made by a write. As
//!   many may lack one as there are writes of unknown outcome.
//!
//! A bare history may come from a store that more clients write to, so this is asked of runs only,
//! and only of those whose answers name revisions.

use std::collections::BTreeMap;

use super::{ok, violated};
use crate::{
    history::{Function, Operation, clock::seconds, operation::Outcome},
    text::count,
    verdict::{Property, Violation},
};

/// Name of the property.
pub const NAME: &str = "revisions";

/// Revision of an empty store.
const EMPTY: i64 = 1;

/// An answer that named a revision.
#[derive(Clone, Copy)]
struct Told<'a> {
    operation: &'a Operation<'a>,
    revision: i64,
    end: u64,
    completion: u64,
}

impl<'a> Told<'a> {
    fn of(operation: &'a Operation<'a>) -> Option<Self> {
        match operation.outcome {
            Outcome::Ok { time: end, index: completion, revision: Some(revision), .. } => {
                Some(Self { operation, revision, end, completion })
            }
            _ => None,
        }
    }

    fn is_write(&self) -> bool {
        self.operation.f != Function::Read
    }

    /// `n1's write of key k1 at 3.120 s`.
    fn words(&self) -> String {
        let Operation { f, key, node, .. } = self.operation;
        let what = match f {
            Function::Read => "read",
            Function::Write => "write",
            Function::Cas => "compare-and-set",
            Function::Delete => "deletion",
        };
        let node = node.unwrap_or("an unnamed node");
        format!("the {what} of key {key} that {node} answered at {}", seconds(self.end))
    }
}

/// Checks the revisions of a run's history; none if its answers name none.
pub fn check(operations: &[Operation<'_>]) -> Option<Property> {
    let mut told: Vec<Told<'_>> = operations.iter().filter_map(Told::of).collect();
    let highest = told.iter().map(|told| told.revision).max()?;
    told.sort_by_key(|told| (told.revision, told.operation.index));
    let writes: Vec<Told<'_>> = told.iter().copied().filter(Told::is_write).collect();
    let mut violations: Vec<Violation> = twice(&writes).into_iter().collect();
    // A write against every answer; a read against those for its key.
    violations.extend(backwards(&told, |told| told.is_write()));
    let mut keys: BTreeMap<&str, Vec<Told<'_>>> = BTreeMap::new();
    for told in &told {
        keys.entry(told.operation.key).or_default().push(*told);
    }
    for of_key in keys.values() {
        violations.extend(backwards(of_key, |told| !told.is_write()));
    }
    violations.extend(gaps(operations, &writes, &told, highest));
    let detail = format!("{} named a revision, up to {highest}", count(told.len(), "answer"));
    Some(match violations.is_empty() {
        true => ok(NAME, detail),
        false => violated(NAME, detail, violations),
    })
}

fn violation(of: &[&Told<'_>], summary: String) -> Violation {
    let mut operations: Vec<u64> =
        of.iter().flat_map(|told| [told.operation.index, told.completion]).collect();
    operations.sort_unstable();
    let mut nodes: Vec<String> =
        of.iter().filter_map(|told| told.operation.node.map(str::to_owned)).collect();
    nodes.sort_unstable();
    nodes.dedup();
    Violation { rule: NAME.into(), summary, nodes, operations, trace: Vec::new(), refutation: None }
}

/// Two writes that made the same revision; in order of revisions.
fn twice(writes: &[Told<'_>]) -> Option<Violation> {
    let pair = writes.windows(2).find(|pair| pair[0].revision == pair[1].revision)?;
    let summary = format!(
        "{} and {} both made revision {}",
        pair[0].words(),
        pair[1].words(),
        pair[0].revision
    );
    Some(violation(&[&pair[0], &pair[1]], summary))
}

/// An operation that began after another had been answered with a later revision. Both are of
/// `told`, which is in order of revisions.
fn backwards(told: &[Told<'_>], judged: impl Fn(&Told<'_>) -> bool) -> Option<Violation> {
    // From the highest revision down: the earliest answer of any higher one.
    let mut earliest: Option<Told<'_>> = None;
    let mut same: Option<Told<'_>> = None;
    for late in told.iter().rev() {
        if let Some(known) = same
            && known.revision > late.revision
        {
            earliest = earliest.into_iter().chain([known]).min_by_key(|told| told.end);
            same = None;
        }
        if judged(late)
            && let Some(early) = earliest
            && early.end < late.operation.call
        {
            let summary = format!(
                "{} has revision {}, although {} had named revision {} before it began at {}",
                late.words(),
                late.revision,
                early.words(),
                early.revision,
                seconds(late.operation.call),
            );
            return Some(violation(&[&early, late], summary));
        }
        same = same.into_iter().chain([*late]).min_by_key(|told| told.end);
    }
    None
}

/// A revision that no write can have made.
fn gaps(
    operations: &[Operation<'_>],
    writes: &[Told<'_>],
    told: &[Told<'_>],
    highest: i64,
) -> Option<Violation> {
    let mut known: Vec<i64> = writes.iter().map(|told| told.revision).collect();
    known.dedup();
    let may = |operation: &&Operation<'_>| {
        // A write whose answer named no revision has made one all the same.
        operation.f != Function::Read
            && matches!(
                operation.outcome,
                Outcome::Unknown { .. } | Outcome::Ok { revision: None, .. }
            )
    };
    let unknown = operations.iter().filter(may).count();
    let first = known.iter().copied().find(|revision| *revision <= EMPTY);
    let last = told.last()?;
    if let Some(revision) = first {
        let summary =
            format!("{} made revision {revision}, which an empty store has", writes[0].words());
        return Some(violation(&[&writes[0]], summary));
    }
    let missing = (highest - EMPTY) - i64::try_from(known.len()).unwrap_or(i64::MAX);
    if missing <= i64::try_from(unknown).unwrap_or(i64::MAX) {
        return None;
    }
    let mut next = EMPTY + 1;
    for revision in known {
        if revision != next {
            break;
        }
        next += 1;
    }
    let summary = format!(
        "{} named revision {highest}, of which {} were made by no write that is known to have \
         succeeded, the first of them {next}, and only {} may have",
        last.words(),
        missing,
        count(unknown, "write of unknown outcome"),
    );
    Some(violation(&[last], summary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::{Event, Kind, Value, operation},
        verdict::Outcome as Found,
    };

    /// `f key from..to revision`, each a process of its own; without an end: unknown.
    fn history(lines: &[(Function, &str, u64, Option<u64>, i64)]) -> Vec<Event> {
        let mut events = Vec::new();
        for (process, (f, key, from, to, revision)) in (0..).zip(lines) {
            let value = if *f == Function::Read { Value::Nil } else { Value::Int(1) };
            let event = |time, kind, revision| Event {
                index: 0,
                time,
                process,
                kind,
                f: *f,
                key: (*key).to_owned(),
                value,
                error: None,
                node: Some("n1".to_owned()),
                revision,
            };
            events.push(event(*from, Kind::Invoke, None));
            events.extend(to.map(|to| event(to, Kind::Ok, Some(*revision))));
        }
        events.sort_by_key(|event| event.time);
        for (index, event) in (0..).zip(&mut events) {
            event.index = index;
        }
        events
    }

    fn judged(lines: &[(Function, &str, u64, Option<u64>, i64)]) -> Option<(Found, String)> {
        let events = history(lines);
        let property = check(&operation::pair(&events).unwrap())?;
        let summary = property.violations.first().map_or_else(String::new, |it| it.summary.clone());
        Some((property.outcome, summary))
    }

    const R: Function = Function::Read;
    const W: Function = Function::Write;

    #[test]
    fn one_store_s_revisions_hold() {
        let held = |lines| assert_eq!(judged(lines).unwrap().0, Found::Ok, "{lines:?}");
        held(&[(W, "a", 0, Some(1), 2), (W, "b", 2, Some(3), 3), (R, "a", 4, Some(5), 2)]);
        // Concurrent writes may have either order, and so may what touches.
        held(&[(W, "a", 0, Some(9), 3), (W, "b", 1, Some(5), 2)]);
        held(&[(W, "a", 0, Some(2), 3), (W, "b", 2, Some(5), 2)]);
        // A write of unknown outcome may have made the revision between.
        held(&[(W, "a", 0, Some(1), 2), (W, "a", 2, None, 0), (W, "b", 3, Some(4), 4)]);
        held(&[(W, "a", 0, None, 0), (R, "a", 3, Some(4), 2)]);
        // A read names the revision of its key's last write, however old.
        held(&[(W, "a", 0, Some(1), 2), (W, "b", 2, Some(3), 3), (R, "a", 4, Some(5), 2)]);
        assert_eq!(judged(&[(W, "a", 0, None, 0)]), None);
    }

    #[test]
    fn what_no_store_names_is_found() {
        let violated = |lines: &[_], words: &str| {
            let (outcome, summary) = judged(lines).unwrap();
            assert_eq!(outcome, Found::Violated, "{lines:?}");
            assert!(summary.contains(words), "{summary}");
        };
        violated(&[(W, "a", 0, Some(5), 2), (W, "b", 1, Some(3), 2)], "both made revision 2");
        violated(&[(W, "a", 0, Some(1), 3), (W, "b", 2, Some(3), 2)], "has revision 2, although");
        violated(&[(W, "a", 0, Some(1), 2), (W, "b", 2, Some(3), 4)], "the first of them 3");
        violated(&[(W, "a", 0, Some(1), 1)], "which an empty store has");
        // A read made a revision.
        violated(&[(W, "a", 0, Some(1), 2), (R, "a", 2, Some(3), 3)], "the first of them 3");
        // A read that goes back behind another of its key.
        violated(
            &[
                (W, "a", 0, Some(1), 2),
                (W, "a", 2, Some(9), 3),
                (R, "a", 3, Some(4), 3),
                (R, "a", 5, Some(6), 2),
            ],
            "has revision 2, although",
        );
        // A write below what a read of another key had named.
        violated(
            &[
                (W, "a", 0, None, 0),
                (W, "a", 0, Some(9), 3),
                (R, "a", 2, Some(3), 3),
                (W, "b", 4, Some(5), 2),
            ],
            "has revision 2, although",
        );
    }
}
