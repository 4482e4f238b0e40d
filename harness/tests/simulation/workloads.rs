//! The workloads `append`, `set` and `bank`, and serializable reads: a correct cluster survives
//! them, and each of them finds what is broken.

use checker::history::generic;
use harness::workload::{append, bank, register::Reads, set};

use super::*;

/// Each of the three, on few keys.
fn workloads() -> [Workload; 3] {
    [
        Workload::Append(append::Options { keys: 3 }),
        Workload::Set(set::Options { keys: 1 }),
        Workload::Bank(bank::Options { keys: 4 }),
    ]
}

fn of(workload: Workload, seed: u64) -> Plan {
    Plan::generate(plan::Options { workload, ..options(seed) }).unwrap()
}

/// Names of the properties that are violated.
fn violated(verdict: &Verdict) -> Vec<&str> {
    let violated = verdict.properties.iter().filter(|it| it.outcome == Outcome::Violated);
    violated.map(|property| property.name.as_str()).collect()
}

/// The events of a history that is none of registers.
fn events(simulation: &Simulation) -> Vec<generic::Event> {
    let history = &simulation.evidence.history;
    (0..).map_while(|index| history.get(index)).map(Into::into).collect()
}

#[test]
fn each_repeats_bit_by_bit() {
    for workload in workloads() {
        for seed in 0..3 {
            let plan = of(workload.clone(), seed);
            let once = files(&run(&plan).evidence).unwrap();
            let again = files(&run(&plan).evidence).unwrap();
            assert!(once == again, "{} gave two histories of seed {seed}", workload.name());
        }
    }
}

#[test]
fn a_correct_cluster_survives_each() {
    let seeds = if cfg!(debug_assertions) { 12 } else { 200 };
    for workload in workloads() {
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for seed in 0..seeds {
            let simulation = run(&of(workload.clone(), seed));
            assert_ok(seed, &simulation);
            for event in events(&simulation) {
                let error = event.error.as_deref().and_then(|error| error.split(':').next());
                let kind = format!("{} {:?} {}", event.f, event.kind, error.unwrap_or_default());
                *kinds.entry(kind).or_default() += 1;
            }
        }
        println!("{}: {kinds:#?}", workload.name());
        let count = |part: &str| -> u64 {
            kinds.iter().filter(|(kind, _)| kind.contains(part)).map(|(_, count)| count).sum()
        };
        assert!(count(" Info ") > seeds, "outcomes are unknown: {kinds:#?}");
        assert!(count(" Ok ") > 50 * seeds, "most operations succeed: {kinds:#?}");
    }
}

/// The first seed that a property of clients finds, and what it says.
fn found(workload: &Workload, property: &str, seeds: u64, change: impl Fn(&mut Plan)) -> String {
    let found = (0..seeds).find_map(|seed| {
        let mut plan = of(workload.clone(), seed);
        change(&mut plan);
        let verdict = judge::run(&run(&plan).evidence, &Limits::default());
        let of_clients = verdict.properties.iter().find(|it| it.name == property)?;
        let violation = of_clients.violations.first()?;
        Some(format!("{}: {}", violation.rule, violation.summary))
    });
    found.unwrap_or_else(|| panic!("{} did not find it in {seeds} seeds", workload.name()))
}

/// What a lie of the disk or of the storage costs, seen by clients alone.
#[test]
fn acknowledged_writes_that_are_lost_are_found_by_each() {
    let properties = ["strict-serializability", "linearizability", "strict-serializability"];
    for (workload, property) in workloads().iter().zip(properties) {
        let says = found(workload, property, 40, |plan| {
            plan.storage = Storage::Memory;
            plan.nodes = 3;
            plan.faults = vec![Injection {
                at: Duration::from_secs(5),
                lasts: Duration::from_secs(1),
                fault: "kill:all".parse::<Menu>().unwrap().items[0][0],
                pick: 0,
            }];
        });
        println!("{}: {says}", workload.name());
    }
}

#[test]
fn lost_elements_are_named_with_their_times() {
    let mut plan = of(Workload::Set(set::Options { keys: 1 }), 1);
    plan.storage = Storage::Memory;
    plan.faults = vec![Injection {
        at: Duration::from_secs(5),
        lasts: Duration::from_secs(1),
        fault: "kill:all".parse::<Menu>().unwrap().items[0][0],
        pick: 0,
    }];
    let verdict = judge::run(&run(&plan).evidence, &Limits::default());
    let property = verdict.properties.iter().find(|it| it.name == "linearizability").unwrap();
    let lost: Vec<&str> = property
        .violations
        .iter()
        .filter(|violation| violation.rule == "lost-element")
        .map(|violation| violation.summary.as_str())
        .collect();
    assert!(lost.len() > 5, "{property:#?}");
    assert!(lost[0].starts_with("element 1 was lost: n"), "{}", lost[0]);
    assert!(lost[0].contains(" acknowledged it at 0.") || lost[0].contains(" showed it at 0."));
    assert!(property.detail.contains("; lost: "), "{}", property.detail);
}

/// A node that is cut off answers a serializable read from what it knew.
#[test]
fn serializable_reads_are_stale_under_partitions() {
    let registers =
        |reads| Workload::Register(register::Options { reads, ..register::Options::new(3) });
    let partitions = |plan: &mut Plan| {
        let menu = "partition".parse().unwrap();
        *plan = Plan::generate(plan::Options {
            menu,
            nodes: 5,
            workload: plan.workload.clone(),
            ..options(plan.seed)
        })
        .unwrap();
    };
    let says = found(&registers(Reads::Serializable), "linearizability", 6, partitions);
    println!("{says}");
    assert!(says.contains("read"), "{says}");
    for seed in 0..6 {
        let mut plan = of(registers(Reads::Linearizable), seed);
        partitions(&mut plan);
        assert_ok(seed, &run(&plan));
        // Nothing else is wrong with serializable reads.
        let mut plan = of(registers(Reads::Serializable), seed);
        partitions(&mut plan);
        let verdict = judge::run(&run(&plan).evidence, &Limits::default());
        let violated = violated(&verdict);
        assert!(matches!(violated[..], [] | ["linearizability"]), "{}", verdict.summary);
    }
}

/// Reads of a leader that was deposed.
#[cfg(feature = "mutants")]
#[test]
fn a_mutant_is_found_by_the_clients_of_each() {
    use harness::plan::PlacedMutant;
    use node::mutants::Mutant;

    let properties = ["strict-serializability", "linearizability", "strict-serializability"];
    for (workload, property) in workloads().iter().zip(properties) {
        let says = found(workload, property, 200, |plan| {
            plan.mutants = vec![PlacedMutant::everywhere(Mutant::ReadsWithoutQuorum)];
        });
        println!("{}: {says}", workload.name());
    }
}
