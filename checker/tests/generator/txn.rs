//! Seeded histories of list-append transactions that are strictly serializable: each transaction
//! takes place at a moment between its call and its return.

use checker::{
    history::{
        Kind,
        generic::{Datum, Event},
    },
    txn::{Builder, Fate, History, Micro, Transaction},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a history is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) transactions: usize,
    pub(crate) clients: usize,
    /// Steps of a transaction, at most.
    pub(crate) steps: usize,
    /// Keys in use at any time, and how often one is appended to before another takes its place.
    pub(crate) keys: usize,
    pub(crate) appends: usize,
    /// Of a thousand transactions, how many end with an unknown outcome, and how many fail.
    pub(crate) crashed: u32,
    pub(crate) failed: u32,
    /// The shortest pause, and the longest pause and half of a transaction, in nanoseconds.
    pub(crate) pause: u64,
    pub(crate) pace: u64,
}

enum Step {
    Append {
        key: usize,
        element: i64,
    },
    /// How much of the key's list is seen.
    Read {
        key: usize,
        length: usize,
    },
}

struct Planned {
    process: u64,
    call: u64,
    point: u64,
    ret: u64,
    fate: Fate,
    steps: Vec<Step>,
}

/// A strictly serializable history.
pub(crate) struct Plan {
    /// In order of invocation.
    transactions: Vec<Planned>,
    /// The list of each key at the end.
    lists: Vec<Vec<Datum>>,
}

impl Plan {
    pub(crate) fn new(shape: Shape, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut transactions = transactions(shape, &mut random);
        let mut order: Vec<usize> = (0..transactions.len()).collect();
        order.sort_by_key(|&at| transactions[at].point);
        let mut lists: Vec<Vec<Datum>> = Vec::new();
        for at in order {
            let Planned { fate, steps, .. } = &mut transactions[at];
            // One of unknown outcome has taken place as often as not.
            if *fate == Fate::Aborted || *fate == Fate::Unknown && random.random_bool(0.5) {
                continue;
            }
            for step in steps {
                let (Step::Append { key, .. } | Step::Read { key, .. }) = *step;
                if lists.len() <= key {
                    lists.resize(key + 1, Vec::new());
                }
                match step {
                    Step::Append { element, .. } => lists[key].push(Datum::Int(*element)),
                    Step::Read { length, .. } => *length = lists[key].len(),
                }
            }
        }
        transactions.sort_by_key(|planned| planned.call);
        Self { transactions, lists }
    }

    fn answer(&self, key: usize, length: usize) -> &[Datum] {
        self.lists.get(key).map_or(&[], |list| &list[..length])
    }

    /// In the checker's compact form, at once: the answers of a large history fill gigabytes.
    pub(crate) fn history(&self) -> History {
        let mut builder = Builder::default();
        let keys: Vec<Datum> = (0..).map(Datum::Int).take(self.lists.len().max(1 << 16)).collect();
        for (index, planned) in (0..).step_by(2).zip(&self.transactions) {
            let &Planned { process, call, ret, fate, .. } = planned;
            let completion = Some(index + 1);
            let transaction = Transaction { process, index, completion, call, ret, fate };
            let elements: Vec<Datum> = planned
                .steps
                .iter()
                .map(|step| match step {
                    Step::Append { element, .. } => Datum::Int(*element),
                    Step::Read { .. } => Datum::Nil,
                })
                .collect();
            let steps = planned.steps.iter().zip(&elements).map(|(step, element)| match *step {
                Step::Append { key, .. } => Micro::Append(&keys[key], element),
                Step::Read { key, length } => {
                    Micro::Read(&keys[key], Some(self.answer(key, length)))
                }
            });
            builder.push(transaction, steps).expect("the generator makes whole histories");
        }
        builder.finish()
    }

    /// As events.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = Vec::with_capacity(2 * self.transactions.len());
        for planned in &self.transactions {
            let text = |text: &str| Datum::Text(text.into());
            let steps = |answered: bool| {
                let steps = planned.steps.iter().map(|step| match *step {
                    Step::Append { key, element } => {
                        vec![text("append"), Datum::Int(key as i64), Datum::Int(element)]
                    }
                    Step::Read { key, length } => {
                        let answer = match self.answer(key, length) {
                            [] => Datum::Nil,
                            list => Datum::List(list.to_vec()),
                        };
                        let answer = if answered { answer } else { Datum::Nil };
                        vec![text("r"), Datum::Int(key as i64), answer]
                    }
                });
                Datum::List(steps.map(Datum::List).collect())
            };
            let event = |time, kind, value| Event {
                index: 0,
                time,
                process: planned.process,
                kind,
                f: "txn".into(),
                key: Datum::Nil,
                value,
                error: None,
                node: Some(format!("n{}", planned.process % 5 + 1).into()),
                revision: None,
            };
            let kind = match planned.fate {
                Fate::Committed => Kind::Ok,
                Fate::Aborted => Kind::Fail,
                Fate::Unknown => Kind::Info,
            };
            events.push(event(planned.call, Kind::Invoke, steps(false)));
            events.push(event(planned.ret, kind, steps(kind == Kind::Ok)));
        }
        // Stable, and a client's next call stands after its last return.
        events.sort_by_key(|event| event.time);
        for (index, event) in (0..).zip(&mut events) {
            event.index = index;
        }
        events
    }
}

fn transactions(shape: Shape, random: &mut ChaCha8Rng) -> Vec<Planned> {
    let mut free_at = vec![0; shape.clients];
    let mut processes: Vec<u64> = (0..shape.clients as u64).collect();
    let mut next_process = shape.clients as u64;
    let mut active: Vec<(usize, usize)> = (0..shape.keys).map(|key| (key, 0)).collect();
    let mut next_key = shape.keys;
    let mut unique = 0;
    (0..shape.transactions)
        .map(|number| {
            let client = number % shape.clients;
            let call = free_at[client] + random.random_range(shape.pause..=shape.pace);
            let point = call + random.random_range(0..=shape.pace);
            let ret = point + random.random_range(0..=shape.pace);
            free_at[client] = ret;
            let steps = (0..random.random_range(1..=shape.steps))
                .map(|_| {
                    let (key, appends) = &mut active[random.random_range(0..shape.keys)];
                    let step = *key;
                    if random.random_bool(0.5) {
                        return Step::Read { key: step, length: 0 };
                    }
                    *appends += 1;
                    if *appends == shape.appends {
                        (*key, *appends) = (next_key, 0);
                        next_key += 1;
                    }
                    unique += 1;
                    Step::Append { key: step, element: unique }
                })
                .collect();
            let process = processes[client];
            let fate = match random.random_range(0..1000) {
                dice if dice < shape.crashed => Fate::Unknown,
                dice if dice < shape.crashed + shape.failed => Fate::Aborted,
                _ => Fate::Committed,
            };
            if fate == Fate::Unknown {
                processes[client] = next_process;
                next_process += 1;
            }
            Planned { process, call, point, ret, fate, steps }
        })
        .collect()
}
