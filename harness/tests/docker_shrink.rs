//! What simulation came down to, on real containers: a minimal plan fails there too, and a script
//! is performed step by step.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod common;

use std::{path::Path, sync::atomic::AtomicBool, time::Duration};

use checker::{
    evidence,
    history::{Event, Kind, Value},
    verdict::Outcome,
};
use harness::{
    campaign::shrink::{self, shrink},
    plan::{ClusterKind, Load, Options, Plan, Storage, Timings, World},
    run::{Finished, Settings, Stop, run},
    system::System,
    workload::{Workload, register, script::Script},
};

/// One cluster at a time: several on few cores would test the machine rather than the harness.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn plan(storage: Storage, faults: &str, workload: Workload) -> Plan {
    let plan = Plan::generate(Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes: 3,
        seed: 1,
        time: Duration::from_secs(5),
        interval: None,
        menu: faults.parse().unwrap(),
        workload,
        load: Load::steady(3, 20, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(500),
            heartbeat_interval: Duration::from_millis(100),
        },
        storage,
        world: World::default(),
    });
    plan.unwrap()
}

async fn on_containers(plan: Plan, dir: &Path) -> Finished {
    let settings = Settings {
        plan: Plan { cluster: ClusterKind::Docker, ..plan },
        out: Some(dir.join("run")),
        base_port: None,
        images: None,
        command: vec!["harness".to_owned()],
        keep_going: false,
        inert: false,
        panics_at: None,
    };
    run(&settings, &Stop::listen().unwrap()).await.unwrap()
}

#[tokio::test]
async fn the_minimal_plan_of_nodes_that_forget_fails_on_containers_too() {
    if common::docker("a minimal plan on containers").await.is_none() {
        return;
    }
    let _turn = TURN.lock().await;
    let workload = Workload::Register(register::Options::new(2));
    let from = plan(Storage::Memory, "kill,pause,partition", workload);
    let settings = shrink::Settings { jobs: 2, seeds: 10, budget: Duration::from_secs(300) };
    let minimal = shrink(&from, &[], &settings, &|_| {}, &AtomicBool::new(false)).unwrap();
    assert_eq!((minimal.after.faults, minimal.after.operations), (1, Some(0)));
    let dir = tempfile::tempdir().unwrap();
    let finished = on_containers(minimal.plan, dir.path()).await;
    assert_eq!(finished.left, None);
    let verdict = &finished.judgement.verdict;
    assert_eq!(verdict.outcome, Outcome::Violated, "{verdict:#?}");
    let violated = verdict.properties.iter().find(|found| found.name == minimal.property).unwrap();
    assert_eq!(violated.outcome, Outcome::Violated, "{verdict:#?}");
}

#[tokio::test]
async fn a_script_is_performed_step_by_step() {
    if common::docker("a script on containers").await.is_none() {
        return;
    }
    let _turn = TURN.lock().await;
    let script: Script = serde_json::from_str(
        r#"{"steps":[
            {"at":"0s","client":0,"f":"write","key":"x","value":1},
            {"at":"0s","client":0,"f":"cas","key":"x","value":[1,2]},
            {"at":"2s","client":1,"f":"cas","key":"x","value":[null,3]},
            {"at":"3s","client":1,"f":"read","key":"x"}]}"#,
    )
    .unwrap();
    let plan = plan(Storage::Durable, "none", Workload::Script(script));
    let dir = tempfile::tempdir().unwrap();
    let finished = on_containers(plan.clone(), dir.path()).await;
    let verdict = &finished.judgement.verdict;
    assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:#?}");
    assert_eq!(Plan::load(&finished.directory.join("plan.json")).unwrap().workload, plan.workload);
    let history = evidence::load(&finished.directory).unwrap().history;
    // Behind the script one client for each node asks whether it serves, and one reads at the end.
    let of = |client: u64| history.registers().iter().filter(move |event| event.process == client);
    let seen: Vec<_> = of(0).chain(of(1)).map(|event| (event.kind, event.value)).collect();
    let (first, second, third) = (Value::Int(1), Value::Pair(Some(1), 2), Value::Pair(None, 3));
    let expected = [
        (Kind::Invoke, first),
        (Kind::Ok, first),
        (Kind::Invoke, second),
        (Kind::Ok, second),
        (Kind::Invoke, third),
        (Kind::Fail, Value::Found(Some(2))),
        (Kind::Invoke, Value::Nil),
        (Kind::Ok, Value::Int(2)),
    ];
    assert_eq!(seen, expected);
    let begun: Vec<&Event> = of(1).filter(|event| event.kind == Kind::Invoke).collect();
    for (event, seconds) in begun.iter().zip([2, 3]) {
        let late = event.time.checked_sub(seconds * 1_000_000_000);
        assert!(late.is_some_and(|late| late < 900_000_000), "{event:?}");
    }
}
