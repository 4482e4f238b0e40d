//! Clusters of replicas in one process, in virtual time, under random faults drawn from a seed.
//!
//! Every step is judged as it happens (`judge`). After the faults end the cluster must serve
//! again. The world (`world`) is small on purpose: the simulator of the harness does the rest.
//!
//! `CLUSTER_SEEDS=0..100000 cargo test --release -p node --test cluster` runs more seeds.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod judge;
mod world;

use std::ops::Range;

use world::{Faults, World};

/// Seeds to run: those asked for in the environment, or `default`.
fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(asked) = std::env::var("CLUSTER_SEEDS") else { return default };
    let (from, to) = asked.split_once("..").expect("CLUSTER_SEEDS is like 0..1000");
    from.parse().expect("a first seed")..to.parse().expect("an end of seeds")
}

#[test]
fn random_faults_break_nothing() {
    let mut totals = judge::Totals::default();
    for seed in seeds(0..100) {
        totals += World::new(seed, Faults::drawn(seed)).run();
    }
    println!("{totals:?}");
    // A test in which nothing happens proves nothing.
    assert!(totals.writes > 0 && totals.reads > 0 && totals.elections > 0, "{totals:?}");
    assert!(totals.crashes > 0 && totals.truncations > 0 && totals.unknown > 0, "{totals:?}");
}

#[test]
fn a_node_takes_nothing_that_was_meant_for_its_earlier_life() {
    let mut totals = judge::Totals::default();
    for seed in seeds(60..80) {
        totals += World::new(seed, Faults::restarts()).run();
    }
    assert!(totals.reads > 0 && totals.crashes > 400, "{totals:?}");
}

#[test]
fn reads_succeed_though_their_answers_take_longer_than_an_election_timeout() {
    let mut totals = judge::Totals::default();
    for seed in seeds(0..20) {
        totals += World::new(seed, Faults::far()).run();
    }
    // A few meet an election, of which there is one a run.
    assert!(totals.unknown + totals.failed < 20 && totals.reads > 1000, "{totals:?}");
}

#[test]
fn without_faults_nothing_is_refused() {
    for seed in seeds(0..20) {
        let totals = World::new(seed, Faults::none()).run();
        assert_eq!(totals.unknown + totals.failed, 0, "seed {seed}: {totals:?}");
        assert!(totals.writes > 20, "seed {seed}: {totals:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..10 {
        let run = || World::new(seed, Faults::drawn(seed)).run();
        assert_eq!(run(), run(), "seed {seed}");
    }
}
