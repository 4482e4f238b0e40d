//! Every node is asked all the time, and the ends that tests have: a quiet tail, a core alone.

use std::time::Duration;

use checker::history::Kind;
use harness::{
    nemesis::{Injection, Menu},
    plan::{PROBE_INTERVAL, Plan},
};

use super::{assert_ok, judge, plan, run};

/// A plan without faults, of three nodes for seed 0 and five for seed 1.
fn calm(seed: u64) -> Plan {
    Plan { probe_interval: PROBE_INTERVAL, faults: Vec::new(), ..plan(seed) }
}

#[test]
fn every_node_is_asked_all_the_time_whatever_the_clients_do() {
    let mut plan = calm(0);
    plan.load.concurrency = 1;
    let simulation = run(&plan);
    assert_ok(0, &simulation);
    let events = simulation.evidence.history.registers();
    for node in ["n1", "n2", "n3"] {
        let answers = events.iter().filter(|event| event.kind == Kind::Ok);
        let answers = answers.filter(|event| event.node.as_deref() == Some(node));
        let times: Vec<u64> = answers.map(|event| event.time).collect();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(times.len() >= 9 && longest < 1_500_000_000, "{node}: {times:?}");
    }
}

#[test]
fn in_a_quiet_tail_nothing_is_begun_and_after_the_last_heal_nothing_is_asked_for_a_while() {
    let plan = Plan { quiet: Duration::from_secs(4), ..calm(0) };
    let simulation = run(&plan);
    assert_ok(0, &simulation);
    let evidence = &simulation.evidence;
    let begun = || {
        let events = evidence.history.registers().iter();
        events.filter(|event| event.kind == Kind::Invoke)
    };
    let stride = plan.load.concurrency + plan.nodes + 1;
    let of_load = begun().filter(|event| event.process % stride < plan.load.concurrency);
    let last = of_load.map(|event| event.time).max().unwrap();
    assert!((5_000_000_000..=6_200_000_000).contains(&last), "{last}");
    let healed = evidence.run.healed.unwrap();
    let rest = healed + evidence.run.expect.service.as_nanos() as u64;
    assert_eq!(begun().filter(|event| (healed..rest).contains(&event.time)).count(), 0);
    assert!(begun().any(|event| event.time >= rest), "nobody was asked at the end");
}

#[test]
fn the_core_serves_while_the_rest_is_broken() {
    for fault in ["kill:minority", "pause:minority", "partition:minority"] {
        let fault = fault.parse::<Menu>().unwrap().items[0][0];
        let (at, lasts) = (Duration::from_secs(2), Duration::from_secs(18));
        let faults = vec![Injection { at, lasts, fault, pick: 7 }];
        let plan = Plan { time: Duration::from_secs(20), faults, ..calm(1) };
        let simulation = run(&plan);
        assert_ok(1, &simulation);
        let verdict = judge(&simulation);
        let liveness = verdict.properties.iter().find(|it| it.name == "liveness").unwrap();
        assert!(liveness.detail.contains("; in calm of more than "), "{}", liveness.detail);
    }
}
