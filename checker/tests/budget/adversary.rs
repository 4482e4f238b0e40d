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

/// Watches of all keys, each of which has one change.
pub(crate) fn watches(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    let progress = Datum::Map(vec![(Datum::Text("progress".into()), Datum::Int(1))]);
    for at in 0..count {
        let key = Datum::Int(at as i64);
        events.push(0, Kind::Invoke, "write", key.clone(), key.clone());
        events.push(0, Kind::Ok, "write", key.clone(), key);
        if let Some(event) = events.0.last_mut() {
            event.revision = Some(at as i64 + 2);
        }
    }
    for at in 0..count {
        events.call(at, "watch", Argument(Datum::Map(Vec::new())));
        events.ok(at, "watch", Argument(Datum::List(vec![progress.clone()])));
    }
    events.0
}

/// A set of so many members, of which any may have been removed.
pub(crate) fn large_sets(count: usize) -> Vec<Event> {
    let mut events = Events::default();
    (0..count).for_each(|at| events.done(0, "add", at));
    (0..count).for_each(|at| events.lost(at + 1, "remove", at));
    events.saw(0, "read", (0..count / 2).collect::<Vec<_>>());
    events.0
}
