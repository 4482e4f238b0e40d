//! What a campaign of many seeds counts, keeps and tells, and when it ends.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use checker::verdict::Outcome;
use harness::{
    campaign::{self, Campaign, Failure, Total, Watch},
    plan::{self, Load, Plan, Storage},
    run::simulation::compare,
};

use super::{judge, options, run, short};

#[test]
fn a_campaign_counts_its_seeds_and_keeps_the_failing_ones() {
    let directory = tempfile::tempdir().unwrap();
    let place = || Ok(directory.path().to_owned());
    let broken = |seed| {
        let storage = if seed == 3 { Storage::Memory } else { Storage::Durable };
        let menu = "kill:all".parse().unwrap();
        Plan::generate(plan::Options { storage, menu, nodes: 3, ..options(seed) })
    };
    let failures = Failures::default();
    let campaign = Campaign { keep_going: true, ..seeds(0, 6) };
    let goes_on = AtomicBool::new(false);
    let total = finished(campaign::run(&campaign, &broken, &place, &[], &failures, &goes_on));
    assert_eq!((total.seeds, total.violated, total.unknown), (6, 1, 0));
    assert_eq!(total.outcome(), Outcome::Violated);
    assert!(total.operations > 500 && total.steps > 1000, "{total:?}");
    assert!(!goes_on.into_inner());
    let failures = failures.0.into_inner().unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].seed, 3);
    let kept = failures[0].kept.as_ref().unwrap().as_ref().unwrap();
    let plan = Plan::load(&kept.join("plan.json")).unwrap();
    assert!(compare(kept, &run(&plan).evidence).unwrap().whole);

    let elsewhere = tempfile::tempdir().unwrap();
    let place = || Ok(elsewhere.path().to_owned());
    let over = AtomicBool::new(false);
    let campaign = Campaign { jobs: 1, ..seeds(3, 1_000_000) };
    let failures = Failures::default();
    let total = finished(campaign::run(&campaign, &broken, &place, &[], &failures, &over));
    assert_eq!((total.seeds, total.violated), (1, 1), "it stops at the first failure");
    assert!(over.into_inner());
}

#[test]
fn failures_are_alike_whatever_their_numbers() {
    let reason = campaign::reason;
    let undecided = "n2 did not answer from 1.503 s to 12 s, although it was asked 14 times.";
    assert_eq!(
        reason(undecided),
        "n# did not answer from # s to # s, although it was asked # times."
    );
    assert_eq!(reason(undecided), reason(&undecided.replace("14", "7").replace("n2", "n11")));
}

#[test]
fn a_campaign_has_one_digest_whatever_the_order_of_its_seeds() {
    let digest = |first, end, jobs| {
        let campaign = Campaign { jobs, digest: true, ..seeds(first, end) };
        let never = AtomicBool::new(false);
        let place = || panic!("a seed failed");
        let plan = |seed| Ok(short(seed));
        let failures = Failures::default();
        finished(campaign::run(&campaign, &plan, &place, &[], &failures, &never)).digest
    };
    let alone = digest(0, 6, 1);
    assert!(alone.is_some());
    assert_eq!(alone, digest(0, 6, 3));
    assert_ne!(alone, digest(1, 7, 3));
}

#[test]
fn a_campaign_ends_in_time_and_when_it_is_stopped() {
    let place = || panic!("a seed failed");
    let plan = |seed| Ok(short(seed));
    let run = |campaign: &Campaign, over: &AtomicBool| {
        finished(campaign::run(campaign, &plan, &place, &[], &Failures::default(), over))
    };
    let deadline = Some(Instant::now() + Duration::from_millis(500));
    let total = run(&Campaign { deadline, end: None, ..seeds(0, 0) }, &AtomicBool::new(false));
    assert!(total.seeds > 0);
    assert_eq!(total.outcome(), Outcome::Ok);

    let over = AtomicBool::new(false);
    let total = thread::scope(|scope| {
        let running = scope.spawn(|| run(&Campaign { end: None, ..seeds(0, 0) }, &over));
        thread::sleep(Duration::from_millis(500));
        over.store(true, Ordering::Relaxed);
        running.join().unwrap()
    });
    assert_eq!(total.violated + total.unknown, 0, "a seed that was cut short was judged");
}

#[test]
fn the_last_seed_of_all_is_not_followed_by_the_first() {
    let plan = |seed| Ok(short(seed));
    let place = || panic!("a seed failed");
    let campaign = Campaign { end: None, ..seeds(u64::MAX - 2, 0) };
    let (failures, never) = (Failures::default(), AtomicBool::new(false));
    let total = finished(campaign::run(&campaign, &plan, &place, &[], &failures, &never));
    assert_eq!(total.seeds, 2);
}

#[test]
fn a_violation_outranks_a_place_that_cannot_be_written() {
    let full = || anyhow::bail!("the disk is full");
    let panics = || panic!("this test wants it");
    let places: [(Place<'_>, &str); 2] =
        [(&full, "the disk is full"), (&panics, "the harness panicked: this test wants it")];
    let broken = |seed| {
        let menu = "kill:all".parse().unwrap();
        Plan::generate(plan::Options { storage: Storage::Memory, menu, ..options(seed) })
    };
    let campaign = Campaign { keep_going: true, ..seeds(0, 2) };
    for (place, why) in places {
        let (failures, never) = (Failures::default(), AtomicBool::new(false));
        let total = finished(campaign::run(&campaign, &broken, place, &[], &failures, &never));
        assert_eq!((total.violated, total.unkept, total.panicked), (2, 2, 0));
        assert_eq!(total.outcome(), Outcome::Violated);
        let failures = failures.0.into_inner().unwrap();
        assert_eq!(failures[0].kept.as_ref().unwrap_err(), why);
    }
}

#[test]
fn a_panic_of_the_harness_costs_one_seed_and_is_told() {
    let place = || panic!("a seed failed");
    let plan = |seed| {
        assert_ne!(seed, 2, "no plan for this seed");
        Ok(short(seed))
    };
    let (failures, never) = (Failures::default(), AtomicBool::new(false));
    let campaign = Campaign { keep_going: true, ..seeds(0, 6) };
    let total = finished(campaign::run(&campaign, &plan, &place, &[], &failures, &never));
    assert_eq!((total.seeds, total.panicked, total.unknown), (6, 1, 0));
    assert_eq!(total.outcome(), Outcome::Unknown);
    let panicked = failures.1.into_inner().unwrap();
    assert_eq!(panicked[0].0, 2);
    assert!(panicked[0].1.contains("no plan for this seed"), "{panicked:?}");

    let (failures, over) = (Failures::default(), AtomicBool::new(false));
    let campaign = Campaign { jobs: 1, ..seeds(2, 1_000_000) };
    let total = finished(campaign::run(&campaign, &plan, &place, &[], &failures, &over));
    assert_eq!((total.seeds, total.panicked), (1, 1), "it stops at the first");
}

/// The disk is full for some time, and the log of none of these few operations needs another
/// segment.
fn in_vain(seed: u64) -> Plan {
    let load = Load { rate: 5, ..options(0).load };
    let menu = "disk:full".parse().unwrap();
    let time = Duration::from_secs(4);
    Plan::generate(plan::Options { time, menu, load, ..options(seed) }).unwrap()
}

#[test]
fn a_seed_whose_faults_find_nobody_is_quiet_and_a_campaign_of_them_is_undecided() {
    assert_eq!(judge(&run(&in_vain(1))).outcome, Outcome::Unknown, "as a test of its own");
    let place = || panic!("a seed failed");
    let (failures, never) = (Failures::default(), AtomicBool::new(false));
    let total = |plan: &(dyn Fn(u64) -> anyhow::Result<Plan> + Sync)| {
        finished(campaign::run(&seeds(0, 4), plan, &place, &[], &failures, &never))
    };
    let alone = total(&|seed| Ok(in_vain(seed)));
    assert_eq!((alone.seeds, alone.unknown), (4, 0));
    assert!(alone.faults.all_in_vain());
    assert_eq!(alone.outcome(), Outcome::Unknown);
    let among = total(&|seed| Ok(if seed == 2 { in_vain(seed) } else { short(seed) }));
    assert_eq!(among.outcome(), Outcome::Ok);
    let tried = among.faults.kinds().filter(|(_, of)| of.tried > 0).map(|(kind, _)| kind);
    assert_eq!(tried.collect::<Vec<_>>(), ["kill", "pause", "disk"]);
}

/// Where a campaign keeps what failed.
type Place<'a> = &'a (dyn Fn() -> anyhow::Result<PathBuf> + Sync);

/// A campaign that nothing kept from its end.
fn finished((total, ended): (Total, anyhow::Result<()>)) -> Total {
    ended.unwrap();
    total
}

fn seeds(first: u64, end: u64) -> Campaign {
    Campaign { first, end: Some(end), jobs: 2, keep_going: false, deadline: None, digest: false }
}

#[derive(Default)]
struct Failures(Mutex<Vec<Failure>>, Mutex<Vec<(u64, String)>>);

impl Watch for Failures {
    fn failed(&self, failure: &Failure) {
        self.0.lock().unwrap().push(failure.clone());
    }

    fn panicked(&self, seed: u64, words: &str) {
        self.1.lock().unwrap().push((seed, words.to_owned()));
    }

    fn done(&self, _: &Total) {}
}
