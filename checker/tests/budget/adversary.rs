//! Histories that take a check as much time or memory as anybody found out how to.

use checker::history::{
    Kind,
    generic::{Datum, Event},
};

/// Events in order of time.
#[derive(Default)]
struct Events(Vec<Event>);

impl Events {
    fn push(&mut self, process: usize, kind: Kind, f: &str, key: Datum, value: Datum) {
        let index = self.0.len() as u64;
        let event = Event {
            index,
            time: index,
            process: process as u64,
            kind,
            f: f.into(),
            key,
            value,
            error: None,
            node: None,
            revision: None,
        };
        self.0.push(event);
    }

    fn call(&mut self, process: usize, f: &str, value: impl Into<Argument>) {
        self.push(process, Kind::Invoke, f, Datum::Nil, value.into().0);
    }

    fn ok(&mut self, process: usize, f: &str, value: impl Into<Argument>) {
        self.push(process, Kind::Ok, f, Datum::Nil, value.into().0);
    }

    fn lost(&mut self, process: usize, f: &str, value: impl Into<Argument>) {
        let Argument(value) = value.into();
        self.push(process, Kind::Invoke, f, Datum::Nil, value.clone());
        self.push(process, Kind::Info, f, Datum::Nil, value);
    }

    /// An operation by itself that is answered with what it was asked for.
    fn done(&mut self, process: usize, f: &str, value: impl Into<Argument>) {
        let Argument(value) = value.into();
        self.push(process, Kind::Invoke, f, Datum::Nil, value.clone());
        self.push(process, Kind::Ok, f, Datum::Nil, value);
    }

    /// The last answer carries this revision.
    fn acknowledged(&mut self, revision: usize) {
        if let Some(event) = self.0.last_mut() {
            event.revision = Some(revision as i64);
        }
    }

    fn put(&mut self, process: usize, key: Datum, value: usize, revision: Option<usize>) {
        let value = Datum::Int(value as i64);
        self.push(process, Kind::Invoke, "put", key.clone(), value.clone());
        self.push(process, Kind::Ok, "put", key, value);
        if let Some(revision) = revision {
            self.acknowledged(revision);
        }
    }

    fn watch(&mut self, process: usize, asked: Datum, responses: Vec<Datum>) {
        self.call(process, "watch", Argument(asked));
        self.ok(process, "watch", Argument(Datum::List(responses)));
    }

    /// A read by itself, or a dequeue.
    fn saw(&mut self, process: usize, f: &str, value: impl Into<Argument>) {
        self.call(process, f, ());
        self.ok(process, f, value);
    }
}

/// What an event holds.
struct Argument(Datum);

impl From<()> for Argument {
    fn from((): ()) -> Self {
        Self(Datum::Nil)
    }
}

impl From<usize> for Argument {
    fn from(value: usize) -> Self {
        Self(Datum::Int(value as i64))
    }
}

impl From<&str> for Argument {
    fn from(value: &str) -> Self {
        Self(Datum::Text(value.into()))
    }
}

impl From<[usize; 2]> for Argument {
    fn from(value: [usize; 2]) -> Self {
        Self::from(value.to_vec())
    }
}

impl From<Vec<usize>> for Argument {
    fn from(values: Vec<usize>) -> Self {
        Self(Datum::List(values.into_iter().map(|value| Datum::Int(value as i64)).collect()))
    }
}

/// Concurrent writes, and then reads of all of them in reverse order.
pub(crate) fn reads_reversed(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.call(at, "write", at));
    (0..count).for_each(|at| events.ok(at, "write", at));
    (0..count).rev().for_each(|at| events.saw(count, "read", at));
    events.0
}

/// Unanswered writes of few values, each by a process of its own, and reads that see all of them
/// again and again.
pub(crate) fn five_values(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.call(at, "write", at % 5));
    (0..count).for_each(|at| events.ok(at, "write", at % 5));
    (0..count).for_each(|at| events.saw(count + at, "read", at * 3 % 5));
    events.0
}

/// Unanswered writes of few values that reads saw again and again, and one read of what nobody
/// wrote: in the end there is no time left to find out that this alone is enough.
pub(crate) fn large_core(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.lost(at, "write", at % 5));
    (0..count).for_each(|at| events.saw(count, "read", at % 2));
    events.saw(count, "read", count);
    events.0
}

/// Unanswered compare-and-sets, each of what the one called after it sets.
pub(crate) fn unanswered_chain(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    events.done(count, "write", 0);
    (0..count).rev().for_each(|at| events.lost(at, "cas", [at, at + 1]));
    events.done(count, "write", 0);
    events.saw(count, "read", 0);
    events.0
}

/// Reads that found nothing, concurrent with all writes.
pub(crate) fn absent(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.call(at + 1, "read", ()));
    (0..count).for_each(|at| events.done(0, "write", at));
    (0..count).for_each(|at| events.ok(at + 1, "read", ()));
    events.0
}

/// Compare-and-sets that found nothing, concurrent with writes and one delete.
pub(crate) fn from_absent(count: usize) -> Vec<Event> {
    let cas = |at: usize| Argument(Datum::List(vec![Datum::Nil, Datum::Int(at as i64)]));
    let mut events = Events::default();
    (0..count).for_each(|at| events.call(at + 1, "cas", cas(at)));
    (0..count).for_each(|at| events.done(0, "write", count + at));
    events.done(0, "delete", ());
    (0..count).for_each(|at| events.ok(at + 1, "cas", cas(at)));
    events.0
}

/// One text appended again and again, all at once, and shown by every read twice.
pub(crate) fn copies(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.call(at, "append", "a"));
    (0..count).for_each(|at| events.ok(at, "append", "a"));
    (0..count).for_each(|_| events.saw(count, "get", "aa"));
    events.0
}

/// A set that grows, read at the end.
pub(crate) fn adds(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.done(0, "add", at));
    events.saw(0, "read", (0..count).collect::<Vec<_>>());
    events.0
}

/// Values that come and go one after the other, while dequeues find the queue empty.
pub(crate) fn empty(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.done(0, "enqueue", at));
    (0..count).for_each(|at| events.call(at + 1, "dequeue", ()));
    (0..count).for_each(|at| events.saw(0, "dequeue", at));
    (0..count).for_each(|at| events.ok(at + 1, "dequeue", ()));
    events.0
}

/// Values that only dequeues without an answer can have taken.
pub(crate) fn taken_unheard(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.done(0, "enqueue", at));
    (0..count).for_each(|at| events.lost(at + 1, "dequeue", ()));
    (0..count).for_each(|_| events.saw(0, "dequeue", ()));
    events.0
}

/// Transactions that failed, and one that saw what all of them wanted to append.
pub(crate) fn aborted(count: usize) -> Vec<Event> {
    let step = |f: &str, value| {
        let step = vec![Datum::Text(f.into()), Datum::Text("x".into()), value];
        Argument(Datum::List(vec![Datum::List(step)]))
    };
    let mut events = Events::default();
    for at in 0..count {
        let Argument(steps) = step("append", Datum::Int(at as i64));
        events.push(0, Kind::Invoke, "txn", Datum::Nil, steps.clone());
        events.push(0, Kind::Fail, "txn", Datum::Nil, steps);
    }
    events.call(0, "txn", step("r", Datum::Nil));
    events.ok(0, "txn", step("r", Argument::from((0..count).collect::<Vec<_>>()).0));
    events.0
}

/// Watches of all keys, each of which has one change; or of all that begin with `k`, which is the
/// same.
pub(crate) fn watches(count: usize, asked: fn() -> Datum) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.put(0, key(at), at, Some(at + 2)));
    (0..count).for_each(|at| events.watch(at, asked(), vec![progress(1)]));
    events.0
}

/// Puts of keys of their own that nobody was told of, and watches of other keys.
pub(crate) fn unplaced(count: usize, asked: fn(usize) -> Datum) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.put(0, key(at), at, None));
    (0..count).for_each(|at| events.watch(at, asked(at), vec![progress(1)]));
    events.watch(0, everything(), vec![batch(2, [(key(0), Some(0))])]);
    events.0
}

/// The same put again and again, unanswered, and a watch that told all of them.
pub(crate) fn the_same_put(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    for at in 0..count {
        events.push(at + 1, Kind::Invoke, "put", key(0), Datum::Int(0));
    }
    let told = (0..count).map(|at| batch(at + 2, [(key(0), Some(0))]));
    events.watch(0, everything(), told.collect());
    events.0
}

/// The same put by each process after its own watch told it, all at one moment.
pub(crate) fn after_their_watches(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    for at in 0..count {
        events.watch(at, everything(), vec![batch(at + 2, [(key(0), Some(0))])]);
        events.put(at, key(0), 0, None);
    }
    events.0.iter_mut().for_each(|event| event.time = 0);
    events.0
}

/// Puts of keys of their own that were acknowledged without revisions, and a watch that told them.
pub(crate) fn placed(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.put(0, key(at), at, None));
    let told = (0..count).map(|at| batch(at + 2, [(key(at), Some(at))]));
    events.watch(0, everything(), told.collect());
    events.0
}

/// Unanswered transactions, each of which puts one key that all of them put, and one of its own.
pub(crate) fn a_part_in_common(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    let parts = |at: usize| [(key(0), Some(0)), (key(at + 1), Some(at))];
    (0..count).for_each(|at| events.call(at + 1, "txn", Argument(writes(parts(at)))));
    let told = (0..count).map(|at| batch(at + 2, parts(at)));
    events.watch(0, everything(), told.collect());
    events.0
}

/// Unanswered transactions of the same 14 puts, and watches of each key by which each revision did
/// some of these, another set of them each.
pub(crate) fn parts_of_the_same(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    let parts = || (0..14).map(|at| (key(at), Some(at)));
    (0..count).for_each(|at| events.call(at + 1, "txn", Argument(writes(parts()))));
    for bit in 0..14 {
        let revisions = (1..count.min(1 << 14)).filter(|set| set >> bit & 1 == 1);
        let told = revisions.map(|set| batch(set + 1, [(key(bit), Some(bit))]));
        let asked = Datum::Map(vec![(text("key"), key(bit))]);
        events.watch(0, asked, told.collect());
    }
    events.0
}

/// One transaction that puts all keys, told by a watch; and deletes that found nothing at its
/// revision, or none.
pub(crate) fn one_revision(count: usize, deletes: bool) -> Vec<Event> {
    let mut events = Events::default();
    let parts = || (0..count).rev().map(|at| (key(at), Some(at)));
    events.call(0, "txn", Argument(writes(parts())));
    events.ok(0, "txn", ());
    events.acknowledged(2);
    for at in 0..if deletes { count } else { 0 } {
        events.push(0, Kind::Invoke, "delete", key(count + at), Datum::Nil);
        events.push(0, Kind::Ok, "delete", key(count + at), Datum::Nil);
        events.acknowledged(2);
    }
    events.watch(0, everything(), vec![batch(2, parts())]);
    events.0
}

/// Writes one after the other, all told by as many watches of everything.
pub(crate) fn told(count: usize, watches: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.put(0, key(at % 100), at, Some(at + 2)));
    for _ in 0..watches {
        let told = (0..count).map(|at| batch(at + 2, [(key(at % 100), Some(at))]));
        events.watch(0, everything(), told.collect());
    }
    events.0
}

/// A value that one session wrote again and again, all at one moment, and at which another read it.
pub(crate) fn one_moment(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|_| events.done(0, "write", 0));
    (0..count).for_each(|_| events.saw(1, "read", 0));
    events.0.iter_mut().for_each(|event| event.time = 0);
    events.0
}

/// A session that reads back and forth between writes of others, all of them at once.
pub(crate) fn back_and_forth(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.call(at + 1, "write", at));
    (0..count).for_each(|at| events.ok(at + 1, "write", at));
    (0..count).for_each(|at| events.saw(0, "read", at));
    events.saw(0, "read", 0);
    events.0
}

/// What all keys are asked for by.
pub(crate) fn everything() -> Datum {
    Datum::Map(Vec::new())
}

/// And by another name.
pub(crate) fn every_prefix() -> Datum {
    Datum::Map(vec![(text("prefix"), text("k"))])
}

/// A key that nobody writes.
pub(crate) fn nothing(at: usize) -> Datum {
    Datum::Map(vec![(text("key"), Datum::Int(at as i64))])
}

/// A prefix of no key.
pub(crate) fn no_prefix(at: usize) -> Datum {
    Datum::Map(vec![(text("prefix"), text(&format!("no{at}")))])
}

fn text(text: &str) -> Datum {
    Datum::Text(text.into())
}

fn key(number: usize) -> Datum {
    text(&format!("k{number}"))
}

fn progress(revision: i64) -> Datum {
    Datum::Map(vec![(text("progress"), Datum::Int(revision))])
}

/// What is put, or deleted.
type Part = (Datum, Option<usize>);

fn part((key, value): Part) -> Vec<Datum> {
    match value {
        Some(value) => vec![text("put"), key, Datum::Int(value as i64)],
        None => vec![text("delete"), key],
    }
}

fn writes(parts: impl IntoIterator<Item = Part>) -> Datum {
    Datum::List(parts.into_iter().map(|one| Datum::List(part(one))).collect())
}

/// Changes of one revision.
fn batch(revision: usize, parts: impl IntoIterator<Item = Part>) -> Datum {
    let change = |one| {
        let mut change = vec![Datum::Int(revision as i64)];
        change.extend(part(one));
        Datum::List(change)
    };
    Datum::List(parts.into_iter().map(change).collect())
}

/// A set of so many members, of which any may have been removed.
pub(crate) fn large_sets(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.done(0, "add", at));
    (0..count).for_each(|at| events.lost(at + 1, "remove", at));
    events.saw(0, "read", (0..count / 2).collect::<Vec<_>>());
    events.0
}
