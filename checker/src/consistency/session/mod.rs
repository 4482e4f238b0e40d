//! Session guarantees (Terry and others, *Session Guarantees for Weakly Consistent Replicated
//! Data*, 1994), for reads that may be stale: a session is a process of the history.
//!
//! Writes, compare-and-sets and deletes are taken to be linearizable, as etcd's are: each key has
//! one order of its versions, and it agrees with the time of the writes. A read may return any of
//! them that had been asked for when it ended (its own session's next write had not been, even at
//! that very moment), but not all freely:
//!
//! - `read-integrity`: only what somebody wrote;
//! - `monotonic-reads`: nothing older than what the session read before;
//! - `read-your-writes`: nothing older than what the session wrote before;
//! - `monotonic-writes`: nobody sees two writes of one session in the other order;
//! - `writes-follow-reads`: nobody sees a write before what its session had read before it;
//! - `session-order`: one order of the versions will do for all of these at once. (For one key that
//!   is causal consistency; across keys it is more than sessions promise.)
//!
//! The order of the versions is not known, so each guarantee asks: is there one? Where what was
//! seen was written once, each guarantee is a set of demands "this version before that one", and
//! `order` finds an order or a cycle in O(n log n). What compare-and-sets tie together is one
//! block (`versions`). Where a value was written more than once, a read demands what all its
//! possible versions agree in, which may be too little: then the order that was found must explain
//! the read by itself, or the key is unknown.
//!
//! A process that reads backwards over two writes of one session breaks `monotonic-reads` and
//! `monotonic-writes`: each alone would explain it. The latter does not rely on time, so it is also
//! what is left where writes are not linearizable. The revisions that a server told are not used.

mod certificate;
mod edges;
mod explain;
mod order;
mod versions;

use std::collections::BTreeSet;

use super::operation::{History, Operation};
use crate::{
    budget::{Budget, Limits, Spent},
    history::generic,
    model::Unexpected,
    text::count,
    verdict::{Outcome, Property, Tally},
};
use edges::{
    Demands, Edge,
    Guarantee::{self, MonotonicReads, MonotonicWrites, ReadYourWrites, WritesFollowReads},
};
use explain::Case;
use order::Blocks;
use versions::Versions;

const INTEGRITY: &str = "read-integrity";
const ORDER: &str = "session-order";

impl Guarantee {
    const ALL: [Self; 4] = [MonotonicReads, ReadYourWrites, MonotonicWrites, WritesFollowReads];

    fn name(self) -> &'static str {
        match self {
            MonotonicReads => "monotonic-reads",
            ReadYourWrites => "read-your-writes",
            MonotonicWrites => "monotonic-writes",
            WritesFollowReads => "writes-follow-reads",
        }
    }
}

/// Bytes that the check holds at most of each operation; and beside these while it judges its key.
const HELD: usize = 200;
const JUDGED: usize = 600;

/// Checks the guarantees of every session on every key. What was found when a budget is used up
/// stands; all else is unknown.
///
/// # Errors
/// An operation that is none of a key-value store's.
pub fn check(
    operations: &[generic::Operation<'_>],
    limits: &Limits,
) -> Result<Vec<Property>, Unexpected> {
    let budget = Budget::of(limits);
    let mut tallies = Tallies::default();
    if let Err(Spent(reason)) = budget.both(operations.len() * HELD) {
        return Ok(tallies.properties("", Some(reason)));
    }
    let history = History::of(operations)?;
    let spent = examine(&history, &budget, &mut tallies).err();
    let reads = history.contradictions.len()
        + history.operations.iter().filter(|operation| operation.action.reads()).count();
    let processes: BTreeSet<u64> =
        history.operations.iter().map(|operation| operation.source.process).collect();
    let examined = format!(
        "{} on {} by {}",
        count(reads, "read"),
        count(history.keys.len(), "key"),
        count(processes.len(), "process").replace("processs", "processes")
    );
    let undecided = match spent {
        Some(Spent(reason)) => Some(reason),
        None => (reads == 0).then(|| "the history has no read".into()),
    };
    Ok(tallies.properties(&examined, undecided))
}

fn examine(history: &History<'_>, budget: &Budget, tallies: &mut Tallies) -> Result<(), Spent> {
    let mut keys: Vec<Vec<Operation<'_>>> = vec![Vec::new(); history.keys.len()];
    for &operation in &history.operations {
        keys[operation.key as usize].push(operation);
    }
    for source in &history.contradictions {
        tallies.integrity.violated(|| history.contradiction(INTEGRITY, source));
    }
    for (operations, key) in keys.iter().zip(&history.keys) {
        budget.both(history.operations.len() * HELD + operations.len() * JUDGED)?;
        judge(history, key, operations, budget, tallies)?;
    }
    Ok(())
}

/// The tally of each property.
#[derive(Default)]
struct Tallies {
    integrity: Tally,
    guarantees: [Tally; 4],
    order: Tally,
}

impl Tallies {
    fn of(&mut self, guarantee: Guarantee) -> &mut Tally {
        &mut self.guarantees[guarantee as usize]
    }

    fn undecided(&mut self, reason: &str) {
        for tally in self.guarantees.iter_mut().chain([&mut self.order]) {
            tally.undecided(|| reason.to_owned());
        }
    }

    /// What is not violated is `undecided` for this reason, if there is one.
    fn properties(self, examined: &str, undecided: Option<String>) -> Vec<Property> {
        let guarantees = Guarantee::ALL.into_iter().zip(self.guarantees);
        let mut properties = vec![self.integrity.property(INTEGRITY, examined, "read")];
        properties.extend(guarantees.map(|(g, tally)| tally.property(g.name(), examined, "key")));
        properties.push(self.order.property(ORDER, examined, "key"));
        if let Some(reason) = undecided {
            for property in properties.iter_mut().filter(|p| p.outcome != Outcome::Violated) {
                (property.outcome, property.detail) = (Outcome::Unknown, reason.clone());
            }
        }
        properties
    }
}

/// Judges one key.
fn judge<'a>(
    history: &'a History<'a>,
    key: &'a generic::Datum,
    operations: &'a [Operation<'a>],
    budget: &Budget,
    tallies: &mut Tallies,
) -> Result<(), Spent> {
    let disorder = |why: String| {
        format!("key {key}: its writes have no order true to time ({why}): see linearizability")
    };
    let versions = match Versions::of(operations) {
        Ok(versions) => versions,
        Err(why) => {
            tallies.integrity.undecided(|| disorder(why.clone()));
            tallies.undecided(&disorder(why));
            return Ok(());
        }
    };
    budget.time()?;
    let demands = edges::demands(&versions);
    let case = Case { history, key, versions: &versions };
    for &read in &demands.unwritten {
        tallies.integrity.violated(|| case.unwritten(INTEGRITY, read));
    }
    let blocks = Blocks::of(&versions, true);
    let judge = Judge { case, demands: &demands, blocks: &blocks, budget };
    if demands.gone.is_empty() && matches!(judge.together()?, Found::Ok) {
        return Ok(());
    }
    // Without the first of a session's writes before its second, time alone may have no order.
    if blocks.sort(&judge.edges(&[MonotonicWrites])).is_err() {
        tallies.undecided(&disorder("one was over when another was asked for, in a cycle".into()));
        return Ok(());
    }
    judge.each(tallies)
}

/// What was found for one guarantee on one key.
enum Found {
    Ok,
    Violated(Box<crate::verdict::Violation>),
    Undecided(String),
}

struct Judge<'a> {
    case: Case<'a>,
    demands: &'a Demands,
    blocks: &'a Blocks<'a>,
    budget: &'a Budget,
}

impl<'a> Judge<'a> {
    fn edges(&self, guarantees: &[Guarantee]) -> Vec<&'a Edge> {
        let edges = self.demands.edges.iter();
        edges.filter(|edge| guarantees.contains(&edge.guarantee)).collect()
    }

    /// All guarantees at once.
    fn together(&self) -> Result<Found, Spent> {
        self.decide(ORDER, &Guarantee::ALL, self.edges(&Guarantee::ALL), self.blocks, true, |_| {
            true
        })
    }

    /// Each guarantee by itself.
    fn each(&self, tallies: &mut Tallies) -> Result<(), Spent> {
        let mut violated = [false; 4];
        for guarantee in Guarantee::ALL {
            let found = match guarantee {
                MonotonicReads | ReadYourWrites => self.alone(guarantee)?,
                MonotonicWrites => self.timeless()?,
                WritesFollowReads if violated[MonotonicReads as usize] => Found::Undecided(
                    "it is seen by reads, and those of one session go backwards".into(),
                ),
                WritesFollowReads => self.by(guarantee, &[MonotonicReads, MonotonicWrites])?,
            };
            violated[guarantee as usize] = matches!(found, Found::Violated(_));
            self.tell(tallies.of(guarantee), found);
        }
        let found = if violated.contains(&true) {
            Found::Undecided("one of the guarantees is violated by itself".into())
        } else {
            self.together()?
        };
        self.tell(&mut tallies.order, found);
        Ok(())
    }

    fn tell(&self, tally: &mut Tally, found: Found) {
        match found {
            Found::Ok => {}
            Found::Violated(violation) => tally.violated(|| *violation),
            Found::Undecided(reason) => {
                tally.undecided(|| format!("key {}: {reason}", self.case.key))
            }
        }
    }

    fn alone(&self, guarantee: Guarantee) -> Result<Found, Spent> {
        let gone = self.demands.gone.iter().find(|(broken, ..)| *broken == guarantee);
        if let Some(&(_, read, earlier)) = gone {
            let violation = self.case.gone(guarantee.name(), read, earlier);
            return Ok(Found::Violated(Box::new(violation)));
        }
        self.by(guarantee, &[MonotonicWrites])
    }

    fn by(&self, guarantee: Guarantee, with: &[Guarantee]) -> Result<Found, Spent> {
        let mut all = with.to_vec();
        all.push(guarantee);
        let through = |edge: &Edge| edge.guarantee == guarantee;
        self.decide(guarantee.name(), &all, self.edges(&all), self.blocks, true, through)
    }

    /// Whether sessions see each other's writes in order, whenever those were asked for.
    fn timeless(&self) -> Result<Found, Spent> {
        let blocks = Blocks::of(self.case.versions, false);
        let guarantees = [MonotonicReads, MonotonicWrites];
        let mut edges = self.edges(&guarantees);
        edges.retain(|edge| edge.timeless);
        let through = |edge: &Edge| edge.guarantee == MonotonicWrites;
        self.decide(MonotonicWrites.name(), &guarantees, edges, &blocks, false, through)
    }

    fn decide(
        &self,
        rule: &str,
        guarantees: &[Guarantee],
        edges: Vec<&Edge>,
        blocks: &Blocks<'_>,
        by_time: bool,
        through: impl Fn(&Edge) -> bool,
    ) -> Result<Found, Spent> {
        self.budget.time()?;
        let operations = self.case.versions.operations;
        let except = &self.demands.unwritten;
        Ok(match blocks.sort(&edges) {
            Err(waiting) => match blocks.cycle(&edges, &waiting, through, self.budget)? {
                Some(cycle) => Found::Violated(Box::new(self.case.cycle(rule, &cycle))),
                None => Found::Undecided("its reads contradict each other without it".into()),
            },
            Ok(order) => {
                match certificate::verify(operations, &order, guarantees, by_time, except) {
                    Ok(()) => Found::Ok,
                    Err(at) => Found::Undecided(format!(
                        "values were written more than once, and no order that was tried explains \
                         the {} of event {}",
                        operations[at].source.f, operations[at].source.index
                    )),
                }
            }
        })
    }
}
