//! The pure parts of shrinking: what is simpler, and which plans are proposed.

use std::{collections::BTreeSet, time::Duration};

use checker::history::{Function, Value};

use super::{finding::Finding, page, pieces, size::Size, times, variants, *};
use crate::{
    cluster::sim::simulate,
    nemesis::{DiskTrouble, Fault, Injection, Shape, Target},
    plan::{self, Load, Storage, Timings, World},
    system::System,
    workload::{
        Workload, register,
        script::{Script, Step},
    },
};

const MILLISECOND: Duration = Duration::from_millis(1);

fn step(at: u32, client: u64, f: Function, value: Value) -> Step {
    Step { at: at * MILLISECOND, client, f, key: "k7".to_owned(), value }
}

fn injection(at: u32, lasts: u32, fault: Fault) -> Injection {
    Injection { at: at * MILLISECOND, lasts: lasts * MILLISECOND, fault, pick: 5 }
}

/// Five nodes, ten seconds, a cut and a kill, three operations.
fn plan() -> Plan {
    let options = plan::Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes: 5,
        seed: 3,
        time: Duration::from_secs(10),
        interval: None,
        menu: "none".parse().unwrap(),
        workload: Workload::Script(Script::new(vec![
            step(1234, 7, Function::Write, Value::Int(40)),
            step(2000, 1, Function::Cas, Value::Pair(Some(40), 50)),
            step(7777, 7, Function::Read, Value::Nil),
        ])),
        load: Load::steady(9, 0, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(500),
            heartbeat_interval: Duration::from_millis(100),
        },
        storage: Storage::Durable,
        world: World::default(),
    };
    let cut = Fault::Partition { shape: Shape::MajoritiesRing, target: Target::One };
    let kill = Fault::Kill { target: Target::Node(4) };
    let faults = vec![injection(3001, 2600, cut), injection(4000, 1000, kill)];
    let plan = Plan { faults, ..Plan::generate(options).unwrap() };
    plan.validate().unwrap();
    plan
}

fn finding(plan: Plan, at: Duration) -> Finding {
    let hit = vec![BTreeSet::from([1, 2, 3, 4, 5]), BTreeSet::from([4])];
    let property = "election-safety".to_owned();
    Finding { plan, property, undecided: None, at, ended: true, begun: 3, hit }
}

fn script(plan: &Plan) -> &[Step] {
    plan.workload.script().map_or(&[], |script| &script.steps)
}

/// The possible ones that are simpler.
fn simpler(variants: Vec<Plan>) -> Vec<Plan> {
    let than = Size::of(&plan());
    let simpler: Vec<Plan> = variants
        .into_iter()
        .filter(|variant| variant.validate().is_ok() && Size::of(variant) < than)
        .collect();
    assert!(!simpler.is_empty());
    simpler
}

#[test]
fn fewer_events_weigh_more_than_anything_else() {
    let mut fewer = plan();
    fewer.faults.pop();
    fewer.world.network.loss = 0.5;
    fewer.time *= 2;
    assert!(Size::of(&fewer) < Size::of(&plan()));
    let generated = Plan {
        workload: Workload::Register(register::Options::new(1)),
        faults: Vec::new(),
        ..plan()
    };
    assert!(Size::of(&generated) > Size::of(&plan()), "nobody sees what it does");
    assert_eq!(Size::of(&Plan { seed: 9, ..plan() }), Size::of(&plan()));
}

#[test]
fn the_weather_gets_calm_all_at_once_or_value_by_value() {
    let mut rough = plan();
    rough.world.network.loss = 0.2;
    rough.world.limits.append_bytes = 1;
    let variants = variants::calm(&finding(rough.clone(), Duration::ZERO));
    let calm = &variants[0].world;
    assert_eq!((calm.network.loss, calm.network.late, calm.disk.slow), (0.0, 0.0, 0.0));
    assert_eq!(calm.limits, plan::Limits::default());
    assert!(Size::of(&variants[0]) < Size::of(&rough));
    let usual = World {
        network: plan::Network { loss: 0.001, ..rough.world.network },
        ..rough.world.clone()
    };
    assert!(variants.iter().any(|variant| variant.world == usual));
}

#[test]
fn a_cut_leaves_nothing_behind_the_violation() {
    let cut = &times::cut(&finding(plan(), 3950 * MILLISECOND))[0];
    cut.validate().unwrap();
    assert_eq!(cut.time, 4000 * MILLISECOND);
    assert_eq!((cut.faults.len(), script(cut).len()), (1, 2));
    assert_eq!(cut.faults[0].lasts, 999 * MILLISECOND);
}

#[test]
fn the_last_faults_come_early() {
    let last = times::last_faults(&plan(), 1);
    assert_eq!((last.faults.len(), last.faults[0].at), (1, 500 * MILLISECOND));
    let none = times::last_faults(&plan(), 0);
    assert!(none.faults.is_empty());
}

#[test]
fn events_come_closer_and_keep_their_order() {
    for variant in simpler(times::shorter(&finding(plan(), Duration::ZERO))) {
        assert!(variant.time <= plan().time);
        let functions: Vec<_> = script(&variant).iter().map(|step| step.f).collect();
        assert_eq!(functions, [Function::Write, Function::Cas, Function::Read]);
        assert_eq!(variant.faults.len(), 2);
        assert_eq!(variant.faults[0].fault.kind(), "partition");
    }
}

#[test]
fn times_get_rounder() {
    let variants = simpler(times::rounder(&finding(plan(), Duration::ZERO)));
    let seconds = |variant: &Plan| {
        script(variant).iter().all(|step| step.at.subsec_nanos() == 0)
            && variant.faults.iter().all(|fault| fault.at.subsec_nanos() == 0)
    };
    assert!(variants.iter().any(seconds));
}

#[test]
fn nodes_that_faults_name_keep_a_name() {
    for variant in simpler(variants::fewer_nodes(&finding(plan(), Duration::ZERO))) {
        let Target::Node(id) = variant.faults[1].fault.target() else { panic!("{variant:?}") };
        assert!(id <= variant.nodes && variant.nodes < 5);
    }
}

#[test]
fn clients_keys_and_values_get_plain_names() {
    let clients = simpler(variants::fewer_clients(&finding(plan(), Duration::ZERO)));
    assert!(clients.iter().any(|plan| plan.load.concurrency == 1));
    let keys = simpler(variants::fewer_keys(&finding(plan(), Duration::ZERO)));
    assert!(keys.iter().any(|plan| script(plan).iter().all(|step| step.key == "k0")));
    let values = |plan: &Plan| script(plan).iter().map(|step| step.value).collect::<Vec<_>>();
    let plain = [Value::Int(1), Value::Pair(Some(1), 2), Value::Nil];
    assert!(keys.iter().any(|plan| values(plan) == plain));
}

#[test]
fn a_shape_becomes_plainer_and_its_chance_goes() {
    let variants = simpler(variants::plainer_faults(&finding(plan(), Duration::ZERO)));
    let first: BTreeSet<String> =
        variants.iter().map(|variant| variant.faults[0].fault.to_string()).collect();
    for plainer in ["partition:leader-alone", "partition:one:n3", "partition:bridge"] {
        assert!(first.contains(plainer), "{first:?}");
    }
    assert!(variants.iter().any(|variant| variant.faults[1].pick == 0));
}

#[test]
fn a_fault_that_only_simulation_has_becomes_one_that_containers_have() {
    let mut plan = plan();
    plan.faults[1].fault = Fault::Disk { how: DiskTrouble::FailSync, target: Target::Leader };
    let size = Size::of(&plan);
    let variants = variants::plainer_faults(&finding(plan, Duration::ZERO));
    let kill = Fault::Kill { target: Target::Leader };
    assert!(variants.iter().any(|plan| plan.faults[1].fault == kill && Size::of(plan) < size));
}

#[test]
fn the_page_tells_what_happens_in_order() {
    let minimal = Minimal {
        after: Extent::of(&plan()),
        plan: plan(),
        property: "election-safety".to_owned(),
        undecided: false,
        before: Extent { operations: Some(900), ..Extent::of(&plan()) },
        runs: 77,
        failing: 12,
        tried: 100,
        cut_short: false,
    };
    let page = page::page(&minimal, "two leaders in term 3", "harness", "some/minimal");
    let expected = "# election-safety\n\ntwo leaders in term 3\n\n## What it takes\n\n\
        - 1s 234ms: client 7, of n3 at first: write k7 40\n\
        - 2s: client 1, of n2 at first: cas k7 [40, 50]\n\
        - 3s 1ms: partition majorities-ring, for 2s 600ms\n\
        - 4s: kill n4, for 1s\n\
        - 7s 777ms: client 7, of n3 at first: read k7\n";
    assert!(page.starts_with(expected), "{page}");
    assert!(page.contains("| operations | 900 | 3 |"), "{page}");
    assert!(page.contains("Of 100 seeds 12 violate election-safety"), "{page}");
    assert!(page.contains("calm but for this: disk.slow is 0.01; network.duplication"), "{page}");
    assert!(page.contains("--plan some/minimal/plan.json --cluster docker"), "{page}");
    assert!(page.contains("\n\nNothing single can be taken away: 77 runs"), "{page}");
    assert!(page.contains("network, and what was written survives a kill"), "{page}");
    let of = |minimal: &Minimal| page::page(minimal, "", "harness", "d");
    let cut_short = of(&Minimal { cut_short: true, ..minimal.clone() });
    assert!(cut_short.contains("ended early, after 77 runs"), "{cut_short}");
    let forgets = Plan { storage: Storage::Memory, ..plan() };
    let forgets = of(&Minimal { plan: forgets, ..minimal.clone() });
    assert!(forgets.contains("lose it with each kill"), "{forgets}");
    assert!(!forgets.contains("survives"), "{forgets}");
    let workload = Workload::Register(register::Options::new(2));
    let generated = Plan { workload, faults: Vec::new(), ..plan() };
    let generated = of(&Minimal { plan: generated, ..minimal });
    assert!(generated.contains("did not show it: none of them was taken away"), "{generated}");
    assert!(generated.contains("- all the time: the operations of its clients"), "{generated}");
    assert!(!generated.contains("left alone"), "{generated}");
}

#[test]
fn what_is_wanted_is_looked_for_before_what_was_violated_first() {
    let simulation = simulate(&plan(), &AtomicBool::new(false));
    let mut verdict = verdict_of(&simulation);
    let (first, last) = (0, verdict.properties.len() - 1);
    for at in [first, last] {
        verdict.properties[at].outcome = Outcome::Violated;
    }
    let name = |at: usize| verdict.properties[at].name.clone();
    let of = |wanted: &[String]| first_violated(&simulation, &verdict, wanted);
    assert_eq!(of(&[]), Some(name(first)));
    assert_eq!(of(&[name(last)]), Some(name(last)));
    assert_eq!(of(&[name(1), name(last)]), Some(name(last)));
    assert_eq!(of(&[name(1)]), None);
}

#[test]
fn only_what_ended_a_run_is_looked_for_in_runs_that_end_early() {
    let kill = Fault::Kill { target: Target::All };
    let faults = vec![injection(1000, 1000, kill)];
    let forgets = Plan { storage: Storage::Memory, faults, ..plan() };
    let simulation = simulate(&forgets, &AtomicBool::new(false));
    let mut verdict = verdict_of(&simulation);
    let ended = first_violated(&simulation, &verdict, &[]).unwrap();
    let other = verdict.properties.iter_mut().find(|it| it.name != ended).unwrap();
    other.outcome = Outcome::Violated;
    let other = other.name.clone();
    for (property, ends) in [(ended, true), (other, false)] {
        let found = search::finding(&forgets, &simulation, &verdict, &property).unwrap();
        assert_eq!(found.ended, ends, "{property}");
        assert_eq!(found.begun, 2, "the run ends before the third");
    }
}

#[test]
fn sizes_of_absurd_plans_are_compared() {
    let mut absurd = plan();
    absurd.load.concurrency = u64::MAX;
    for fault in &mut absurd.faults {
        (fault.at, fault.lasts) = (Duration::MAX, Duration::MAX);
    }
    assert!(Size::of(&plan()) < Size::of(&absurd));
}

#[test]
fn a_generated_load_is_written_down_as_it_was_performed() {
    let workload = Workload::Register(register::Options::new(2));
    let load = Load { concurrency: 3, rate: 10, ..plan().load };
    let generated = Plan { workload, load, faults: Vec::new(), ..plan() };
    let calm = AtomicBool::new(false);
    let steps = pieces::performed(&generated, &calm);
    assert!((90..=110).contains(&steps.len()), "{}", steps.len());
    assert!(steps.is_sorted_by_key(|step| step.at) && steps.iter().all(|step| step.client < 3));
    let workload = Workload::Script(Script::new(steps.clone()));
    let written = Plan { workload, ..generated };
    assert_eq!(pieces::performed(&written, &calm), steps);
}
