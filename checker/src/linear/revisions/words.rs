//! Violations in words.

use super::{
    fill::Contradiction,
    timeline::{Breach, Timeline},
};
use crate::{
    linear::generic::{Decision, Object},
    model::etcd::{Answer, Mismatch, Operation, Step},
    text::{count, shorten},
};

type Store<'a> = Object<'a, Operation>;

fn illegal(summary: String, witnesses: Vec<usize>) -> Decision {
    Decision::Illegal { summary, witnesses, refutation: None }
}

/// `put k1 = "7" at 5.070 s (n3)`
fn what(store: &Store<'_>, at: usize) -> String {
    let request = shorten(&store.intervals[at].operation.request.to_string());
    format!("{request} {} ({})", store.when(at), store.who(at))
}

/// `n3 answered put k1 = "7" at 5.070 s with revision 17`
fn say(store: &Store<'_>, at: usize) -> String {
    let operation = &store.intervals[at].operation;
    let (who, when) = (store.who(at), store.when(at));
    let request = shorten(&operation.request.to_string());
    match &operation.answer {
        Answer::Told(response) if response.revision() == 0 => {
            format!("{who} answered {request} {when}")
        }
        Answer::Told(response) => {
            format!("{who} answered {request} {when} with revision {}", response.revision())
        }
        Answer::Refused(refusal) => {
            format!("{who} refused {request} {when}: \"{}\"", refusal.text())
        }
        Answer::Unknown => format!("{who} was asked to {request} {when}"),
    }
}

pub(super) fn breach(store: &Store<'_>, breach: &Breach) -> Decision {
    match *breach {
        Breach::First(at) => {
            illegal(format!("{}, which is that of the empty store", say(store, at)), vec![at])
        }
        Breach::Twice { revision, one, other } => illegal(
            format!(
                "two writes were answered revision {revision}: {} and {}",
                what(store, one),
                what(store, other)
            ),
            vec![one, other],
        ),
        Breach::Backwards { before, seen, after } => {
            let how = match store.intervals[after].operation.step() {
                Step::Wrote(_) => "a write that is asked for later makes a later one",
                _ => "what is asked for later sees no earlier one",
            };
            illegal(
                format!(
                    "{}, although {} had been answered revision {seen} before: {how}",
                    say(store, after),
                    what(store, before)
                ),
                vec![before, after],
            )
        }
        Breach::TooMany { at, revision: _, missing, open } => illegal(
            format!(
                "{}, but too few writes had been asked for: {} before it were made by no write \
                 that was answered, and {} of unknown outcome",
                say(store, at),
                count(missing, "revision"),
                match open {
                    1 => "there was 1 write".into(),
                    open => format!("there were {open} writes"),
                },
            ),
            vec![at],
        ),
    }
}

/// No write can have made a revision.
pub(super) fn nobody(store: &Store<'_>, timeline: &Timeline, gap: i64) -> Decision {
    let next = |revision: &i64| timeline.writers.get(revision).copied();
    let reader = timeline.readers.partition_point(|(at, _)| *at < gap);
    let reader = timeline.readers.get(reader).map(|(_, at)| *at);
    let after = (gap + 1..=timeline.last).find_map(|revision| next(&revision));
    let shows = after.into_iter().chain(reader).min_by_key(|at| store.intervals[*at].ret);
    let shown = shows.map(|at| format!(", which {} came after", what(store, at)));
    illegal(
        format!(
            "no write made revision {gap}{}: {} of unknown outcome, and none fits",
            shown.unwrap_or_default(),
            match timeline.open.len() {
                0 => "there is no write".into(),
                1 => "there is 1 write".into(),
                open => format!("there are {open} writes"),
            }
        ),
        shows.into_iter().collect(),
    )
}

/// An answer that the store would not have given.
pub(super) fn contradiction(
    store: &Store<'_>,
    timeline: &Timeline,
    contradiction: &Contradiction,
    tries: u64,
) -> Decision {
    let Contradiction { at, mismatch, .. } = contradiction;
    let mut summary = format!("{}, but {mismatch}", say(store, *at));
    let mut witnesses = vec![*at];
    let revision = match mismatch {
        Mismatch::Key { expected: Some(expected), .. } => Some(expected.mod_revision),
        Mismatch::Key { found: Some(found), .. } => Some(found.mod_revision),
        _ => None,
    };
    if let Some(revision) = revision {
        match timeline.writers.get(&revision) {
            Some(writer) if writer != at => {
                summary += &format!("; revision {revision} was {}", what(store, *writer));
                witnesses.push(*writer);
            }
            Some(_) => {}
            None if revision > timeline.last => {
                summary += &format!("; there was no revision {revision} yet");
            }
            None => {}
        }
    }
    if tries > 0 {
        summary += &format!(
            " ({} to let {} of unknown outcome make {} were tried, and this is how far the best \
             goes)",
            count(usize::try_from(tries).unwrap_or(usize::MAX), "way"),
            count(timeline.open.len(), "write"),
            count(timeline.gaps.len(), "revision"),
        );
    }
    illegal(summary, witnesses)
}
