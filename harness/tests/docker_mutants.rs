//! A container that has a known bug among correct ones. Compiled with the feature `mutants` alone.

#![cfg(feature = "mutants")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod common;

use std::{fs, time::Duration};

use checker::verdict::Outcome;
use harness::{
    images::{self, Kind, Source},
    plan::{ClusterKind, Load, Options, Plan, Storage, Timings, World},
    run::{Settings, Stop, run},
    system::System,
    workload::{Workload, register},
};

#[tokio::test]
async fn one_wrong_container_is_convicted_and_the_others_run_the_release_image() {
    let Some(docker) = common::docker("a container that has a known bug").await else { return };
    let options = Options {
        system: System::raft_node(),
        cluster: ClusterKind::Docker,
        nodes: 3,
        seed: 11,
        time: Duration::from_secs(3),
        interval: None,
        menu: "none".parse().unwrap(),
        workload: Workload::Register(register::Options::new(5)),
        load: Load::steady(5, 200, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(500),
            heartbeat_interval: Duration::from_millis(100),
        },
        storage: Storage::Durable,
        world: World::default(),
    };
    let mutants = vec!["acknowledges-before-sync:n2".parse().unwrap()];
    let plan = Plan { mutants, ..Plan::generate(options).unwrap() };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("run");
    let settings = Settings {
        plan: plan.clone(),
        out: Some(out.clone()),
        base_port: None,
        images: None,
        command: vec!["harness".to_owned()],
        keep_going: true,
        inert: false,
        panics_at: None,
    };
    let finished = run(&settings, &Stop::listen().unwrap()).await.unwrap();
    let verdict = &finished.judgement.verdict;
    assert_eq!(verdict.outcome, Outcome::Violated, "{}", verdict.summary);
    let bad: Vec<_> =
        verdict.properties.iter().filter(|p| p.outcome == Outcome::Violated).collect();
    assert!(bad.iter().any(|p| p.name == "durable-before-acknowledged"), "{bad:?}");
    assert!(verdict.summary.contains("n2"), "{}", verdict.summary);
    assert_eq!(Plan::load(&out.join("plan.json")).unwrap(), plan);

    let environment = fs::read_to_string(out.join("environment.json")).unwrap();
    let environment: serde_json::Value = serde_json::from_str(&environment).unwrap();
    let mut ids = Vec::new();
    for kind in [Kind::Node, Kind::Mutant] {
        let (name, _) = images::ensure_one(&docker, kind, Source::Auto, &|_| ()).await.unwrap();
        let image = &environment["images"][kind.name()];
        assert_eq!(image["name"], name);
        ids.push(image["id"].clone());
    }
    assert_ne!(ids[0], ids[1], "the release image holds no mutants");
}
