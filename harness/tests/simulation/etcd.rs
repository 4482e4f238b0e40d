//! The workload `etcd`: whole runs of it.

use checker::{history::Kind, surface::Tested};
use harness::workload::{Workload, etcd};

use super::*;

fn wide(seed: u64, large: u32) -> Plan {
    let workload = Workload::Etcd(etcd::Options { keys: 8, large, sparing: false });
    let load = Load::steady(5, 50, Duration::from_secs(1));
    Plan::generate(plan::Options { workload, load, ..options(seed) }).unwrap()
}

#[test]
fn it_repeats_bit_by_bit() {
    for seed in 0..6 {
        let plan = wide(seed, 0);
        let once = files(&run(&plan).evidence).unwrap();
        assert!(once == files(&run(&plan).evidence).unwrap(), "seed {seed} gave two histories");
    }
}

#[test]
fn a_correct_cluster_survives_and_the_whole_api_is_tested() {
    let mut tested = Tested::default();
    for seed in 0..24 {
        let simulation = run(&wide(seed, if seed % 6 == 0 { 6 } else { 0 }));
        assert_ok(seed, &simulation);
        tested |= Tested::of(&simulation.evidence.history);
    }
    assert_eq!(tested.missing(), [""; 0]);
}

#[test]
fn each_node_is_read_whole_at_the_end() {
    let plan = wide(1, 0);
    let history = run(&plan).evidence.history;
    let reader = plan.load.concurrency + plan.nodes;
    let lines: Vec<_> = (0..).map_while(|index| history.get(index)).collect();
    let read = lines.iter().map(|line| checker::history::generic::Event::from(line.clone()));
    let nodes: Vec<String> = read
        .filter(|event| event.process == reader && event.kind == Kind::Ok)
        .filter_map(|event| Some(event.node?.into()))
        .collect();
    // Then whichever it is with reads what old revisions were.
    assert_eq!(nodes[..5], ["n1", "n2", "n3", "n4", "n5"]);
    assert!(nodes[5..].iter().all(|node| node == "n5"), "{nodes:?}");
}
