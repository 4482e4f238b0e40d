//! Small random histories of any model, and the decider that all others are held against.

use std::time::{Duration, Instant};

use checker::{
    budget::Budget,
    linear::{Decision, certificate, decide, refute_part},
    model::{Effect, Interval, Model},
};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Histories to try.
pub(crate) fn histories(otherwise: u64) -> u64 {
    match std::env::var("CHECKER_HISTORIES") {
        Ok(count) => count.parse().expect("CHECKER_HISTORIES is the number of histories to try"),
        Err(_) => otherwise,
    }
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// It took place, but nobody was told.
    Unheard,
    Lost,
}

/// A history of a few operations in a random order. `serve` is asked for them at random moments
/// between their calls and returns, in order of these moments; times are often equal.
pub(crate) fn history<O>(
    random: &mut ChaCha8Rng,
    most: usize,
    mut serve: impl FnMut(&mut ChaCha8Rng, Fate) -> O,
) -> Vec<Interval<O>> {
    let count = random.random_range(1..=most);
    let span = random.random_range(1..=4 * count as u64);
    let length = random.random_range(1..=span.div_ceil(2));
    let crashes = if random.random_bool(0.5) { 0.0 } else { 0.2 };
    let mut planned: Vec<(u64, u64, u64)> = (0..count)
        .map(|_| {
            let call = random.random_range(0..span);
            let ret = call + random.random_range(0..length);
            (random.random_range(call..=ret), call, ret)
        })
        .collect();
    planned.sort_unstable();
    let mut intervals: Vec<Interval<O>> = planned
        .into_iter()
        .map(|(_, call, ret)| {
            let fate = match (random.random_bool(crashes), random.random_bool(0.5)) {
                (false, _) => Fate::Answered,
                (true, true) => Fate::Unheard,
                (true, false) => Fate::Lost,
            };
            let operation = serve(random, fate);
            Interval { operation, call, ret: (fate == Fate::Answered).then_some(ret) }
        })
        .collect();
    intervals.shuffle(random);
    intervals
}

/// Tries every order: takes any operation next that no other, still missing one must precede.
pub(crate) fn brute_force<M: Model>(model: &M, operations: &[Interval<M::Operation>]) -> bool {
    fn rest<M: Model>(
        model: &M,
        operations: &[Interval<M::Operation>],
        taken: &mut [bool],
        state: &M::State,
    ) -> bool {
        let all = 0..operations.len();
        let missing: Vec<u64> =
            all.clone().filter(|&at| !taken[at]).filter_map(|at| operations[at].ret).collect();
        let Some(&first) = missing.iter().min() else { return true };
        all.clone().any(|next| {
            let turn = |at: usize| model.turn(&operations[at].operation);
            let early = |at: usize| {
                let (Some(one), Some(other)) = (turn(at), turn(next)) else { return false };
                one.process == other.process && one.number < other.number
            };
            let missing = |at: &usize| !taken[*at] && operations[*at].ret.is_some();
            if taken[next]
                || first < operations[next].call
                || all.clone().filter(missing).any(early)
            {
                return false;
            }
            let Some(after) = model.apply(state, &operations[next].operation) else { return false };
            taken[next] = true;
            let found = rest(model, operations, taken, &after);
            taken[next] = false;
            found
        })
    }
    rest(model, operations, &mut vec![false; operations.len()], &model.initial())
}

/// What the search says, with its proof.
pub(crate) fn searched<M: Model>(model: &M, operations: &[Interval<M::Operation>]) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    match decide(model, operations, &Budget { memory: 1 << 26, deadline }) {
        Decision::Linearizable { .. } => true,
        Decision::Illegal(_) => false,
        Decision::Undecided { reason } => panic!("{reason}: {operations:#?}"),
    }
}

/// The operations of a core that are there, and all others that `belongs` says it needs.
pub(crate) fn core<O: Clone>(
    intervals: &[Interval<O>],
    positions: &[usize],
    belongs: impl Fn(&O, &O) -> bool,
) -> Vec<Interval<O>> {
    let needed = |at: usize| {
        positions.contains(&at)
            || positions
                .iter()
                .any(|&of| belongs(&intervals[at].operation, &intervals[of].operation))
    };
    (0..intervals.len()).filter(|&at| needed(at)).map(|at| intervals[at].clone()).collect()
}

/// Holds a conflict to its proof: the part that it is about has no order.
pub(crate) fn is_proved<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    part: impl Fn(&M::Operation) -> Option<M::Operation>,
    conflict: &[usize],
) {
    let budget = Budget { memory: 1 << 26, deadline: Instant::now() + Duration::from_secs(60) };
    let core = refute_part(model, intervals, &part, conflict, &budget);
    let core = core.unwrap_or_else(|why| panic!("{why}: {conflict:?} of {intervals:#?}"));
    assert_eq!(core.unverified_reason, None, "{conflict:?} of {intervals:#?}");
    assert!(core.operations.contains(&core.failed_at), "{core:?} of {intervals:#?}");
    let few: Vec<_> = core
        .operations
        .iter()
        .filter_map(|&at| {
            let Interval { ref operation, call, ret } = intervals[at];
            Some(Interval {
                operation: part(operation)?,
                call,
                ret: ret.filter(|r| *r <= core.until),
            })
        })
        .collect();
    assert!(!brute_force(model, &few), "{core:?} of {intervals:#?}");
}

/// Whether the verifier takes a part of a history, up to a random moment and without some of what
/// observes it, for a proof that the history has no order.
pub(crate) fn part_proves<M: Model>(
    model: &M,
    intervals: &[Interval<M::Operation>],
    part: impl Fn(&M::Operation) -> Option<M::Operation>,
    random: &mut ChaCha8Rng,
) -> bool {
    let until = random.random_range(0..=intervals.iter().filter_map(|i| i.ret).max().unwrap_or(0));
    let core: Vec<usize> = (0..intervals.len())
        .filter(|&at| intervals[at].call <= until)
        .filter(|&at| {
            part(&intervals[at].operation).is_some_and(|operation| {
                model.effect(&operation) != Effect::Observe || random.random_bool(0.8)
            })
        })
        .collect();
    certificate::refutes_part(model, intervals, part, &core, until, 1 << 20).is_ok()
}

/// The random source of a history.
pub(crate) fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
