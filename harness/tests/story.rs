//! What an observer is told of a simulated run.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::AtomicBool,
    time::Duration,
};

use checker::{fault, history};
use harness::{
    cluster::sim::{Happening, Loss, Observer, Stage, simulate, simulate_observed},
    plan::{self, ClusterKind, Load, Plan, Storage, Timings, World},
    run::simulation::files,
    system::System,
    workload::{Workload, register},
};

fn plan(nodes: u64, seed: u64) -> Plan {
    Plan::generate(plan::Options {
        system: System::RaftNode,
        cluster: ClusterKind::Sim,
        nodes,
        seed,
        time: Duration::from_secs(10),
        interval: Some(Duration::from_millis(1500)),
        menu: "kill,pause,partition".parse().unwrap(),
        workload: Workload::Register(register::Options { keys: 5, values: None }),
        load: Load { concurrency: 5, rate: 20, operation_timeout: Duration::from_secs(1) },
        timings: Timings {
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(60),
        },
        storage: Storage::Durable,
        world: World::default(),
    })
    .unwrap()
}

/// Counts what it is told of, and follows every message to its end.
#[derive(Default)]
struct Witness {
    in_flight: BTreeSet<u64>,
    sent: u64,
    copies: u64,
    delivered: u64,
    lost: BTreeMap<Loss, u64>,
    started: u64,
    ended: u64,
    steps: usize,
    client: Vec<history::Event>,
    faults: Vec<fault::Record>,
    stages: Vec<Stage>,
    now: Duration,
}

impl Observer for Witness {
    fn observe(&mut self, now: Duration, what: Happening<'_>) {
        assert!(self.now <= now, "time went back");
        self.now = now;
        match what {
            Happening::Sent { id, copy_of, .. } => {
                assert!(self.in_flight.insert(id), "message {id} was sent twice");
                self.sent += 1;
                self.copies += u64::from(copy_of.is_some());
            }
            Happening::Delivered { id, .. } => {
                assert!(self.in_flight.remove(&id), "message {id} was not in flight");
                self.delivered += 1;
            }
            Happening::Lost { id, why, .. } => {
                assert!(self.in_flight.remove(&id), "message {id} was not in flight");
                *self.lost.entry(why).or_default() += 1;
            }
            Happening::Started { .. } => self.started += 1,
            Happening::Ended { .. } => self.ended += 1,
            Happening::Step(_) => self.steps += 1,
            Happening::Client { event, .. } => self.client.push(event.clone()),
            Happening::Fault(record) => self.faults.push(record.clone()),
            Happening::Stage(stage) => self.stages.push(stage),
            _ => {}
        }
    }
}

#[test]
fn an_observer_changes_nothing_and_sees_everything() {
    let (mut lost, mut copies) = (BTreeMap::<Loss, u64>::new(), 0);
    for seed in 0..12 {
        let plan = plan(5, seed);
        let mut witness = Witness::default();
        let stop = AtomicBool::new(false);
        let seen = simulate_observed(&plan, &stop, &mut witness);
        let unseen = simulate(&plan, &stop);
        assert!(files(&seen.evidence).unwrap() == files(&unseen.evidence).unwrap());
        let evidence = &seen.evidence;
        assert_eq!(witness.steps, evidence.traces.iter().map(Vec::len).sum::<usize>());
        for (event, index) in witness.client.iter_mut().zip(0..) {
            event.index = index;
        }
        assert_eq!(witness.client, evidence.history);
        assert_eq!(witness.faults, evidence.faults);
        let losses: u64 = witness.lost.values().sum();
        let left = witness.in_flight.len() as u64;
        assert_eq!(witness.sent, witness.delivered + losses + left);
        assert_eq!(witness.started, witness.ended, "every process is stopped at the end");
        assert_eq!(witness.stages.first(), Some(&Stage::Load));
        assert_eq!(witness.stages.last(), Some(&Stage::Over));
        assert!(witness.stages.is_sorted(), "{:?}", witness.stages);
        for (why, count) in witness.lost {
            *lost.entry(why).or_default() += count;
        }
        copies += witness.copies;
    }
    // A receiver that dies and is back before the message arrives is rare.
    for why in [Loss::Chance, Loss::Cut, Loss::Down] {
        assert!(lost.contains_key(&why), "messages were lost for some reasons only: {lost:?}");
    }
    assert!(copies > 0, "no message was doubled");
}
