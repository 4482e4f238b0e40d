//! The workloads `append`, `set` and `bank`, and serializable reads: a correct cluster survives
//! them, and each of them finds what is broken.

use checker::history::{
    Events,
    generic::{self, Datum},
};
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

/// The first violation of a property that seeds show, and what it says.
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

/// What the checker says of the clients of a run whose answers were changed afterwards: the rule
/// and summary of each violation.
fn doctored(
    workload: Workload,
    seed: u64,
    change: impl Fn(&mut Vec<generic::Event>),
) -> Vec<(String, String)> {
    let mut simulation = run(&of(workload, seed));
    let mut history = events(&simulation);
    change(&mut history);
    simulation.evidence.history = Events::Generic(history);
    let verdict = judge::run(&simulation.evidence, &Limits::default());
    let of_clients = ["linearizability", "strict-serializability", "balances"];
    let properties = verdict.properties.into_iter();
    let properties = properties.filter(|property| of_clients.contains(&property.name.as_str()));
    let violations = properties.flat_map(|property| property.violations);
    violations.map(|violation| (violation.rule, violation.summary)).collect()
}

fn ok<'a>(
    history: &'a mut [generic::Event],
    f: &'a str,
) -> impl DoubleEndedIterator<Item = &'a mut generic::Event> {
    history.iter_mut().filter(move |event| event.kind == Kind::Ok && *event.f == *f)
}

#[test]
fn an_append_that_no_read_shows_is_found() {
    let workload = Workload::Append(append::Options { keys: 2 });
    for seed in 0..6 {
        let said = doctored(workload.clone(), seed, |history| {
            let append = ok(history, "txn").find_map(|event| {
                let steps = event.value.list()?.iter();
                steps.filter_map(|step| step.list()).find_map(|step| match step {
                    [f, list, element] if f.text() == Some("append") => {
                        Some((list.clone(), element.clone()))
                    }
                    _ => None,
                })
            });
            let (list, element) = append.unwrap();
            for event in ok(history, "txn") {
                let Datum::List(steps) = &mut event.value else { panic!() };
                for step in steps {
                    let Datum::List(step) = step else { panic!() };
                    if let [_, of, Datum::List(read)] = &mut step[..]
                        && *of == list
                    {
                        read.retain(|member| *member != element);
                    }
                }
            }
        });
        let (rule, summary) = said.first().unwrap();
        let found = rule.starts_with('G') || rule == "internal";
        assert!(found, "seed {seed}: {rule}: {summary}");
    }
}

#[test]
fn an_element_that_is_gone_is_named_with_its_times() {
    let workload = Workload::Set(set::Options { keys: 1 });
    for seed in 0..6 {
        let said = doctored(workload.clone(), seed, |history| {
            let added = ok(history, "add").next().unwrap().value.clone();
            for event in ok(history, "read") {
                let Datum::List(read) = &mut event.value else { panic!() };
                read.retain(|member| *member != added);
            }
        });
        let lost = said.iter().find(|(rule, _)| rule == "lost-element");
        let (_, summary) = lost.unwrap_or_else(|| panic!("seed {seed}: {said:#?}"));
        assert!(summary.starts_with("element "), "{summary}");
        assert!(summary.contains(" was lost: n") && summary.contains(" acknowledged it at 0."));
        assert!(summary.contains("; the read that n"), "{summary}");
    }
}

#[test]
fn half_a_transfer_and_a_stale_read_of_accounts_are_found() {
    let workload = Workload::Bank(bank::Options { keys: 3 });
    for seed in 0..6 {
        let half = doctored(workload.clone(), seed, |history| {
            let last = ok(history, "read").next_back().unwrap();
            let Datum::Map(states) = &mut last.value else { panic!() };
            states.pop().unwrap();
        });
        let rules: Vec<&str> = half.iter().map(|(rule, _)| rule.as_str()).collect();
        assert!(rules.contains(&"total"), "seed {seed}: {half:#?}");
        assert!(rules.iter().any(|rule| rule.starts_with('G')), "seed {seed}: {half:#?}");
        let stale = doctored(workload.clone(), seed, |history| {
            ok(history, "read").next_back().unwrap().value = Datum::Map(Vec::new());
        });
        let rules: Vec<&str> = stale.iter().map(|(rule, _)| rule.as_str()).collect();
        assert!(!rules.contains(&"total"), "seed {seed}: {stale:#?}");
        assert!(rules.iter().any(|rule| rule.starts_with('G')), "seed {seed}: {stale:#?}");
    }
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
    assert!(says.contains(" answered ") && says.contains(" although "), "{says}");
    for seed in 0..6 {
        let mut plan = of(registers(Reads::Linearizable), seed);
        partitions(&mut plan);
        assert_ok(seed, &run(&plan));
        // Nothing else is wrong with serializable reads.
        let mut plan = of(registers(Reads::Serializable), seed);
        partitions(&mut plan);
        let verdict = judge::run(&run(&plan).evidence, &Limits::default());
        let violated = violated(&verdict);
        let stale = ["linearizability", "revisions"];
        assert!(violated.iter().all(|name| stale.contains(name)), "{}", verdict.summary);
    }
}

/// Known bugs of the node. Their traces convict them before clients can.
#[cfg(feature = "mutants")]
#[test]
fn mutants_are_found_under_each() {
    use harness::plan::PlacedMutant;
    use node::mutants::Mutant;

    for workload in workloads() {
        for mutant in [
            Mutant::ReadsWithoutQuorum,
            Mutant::AcknowledgesBeforeSync,
            Mutant::CommitGoesBack,
            Mutant::VotesForLaggards,
        ] {
            let name = workload.name();
            let found = (0..40).find_map(|seed| {
                let mutants = vec![PlacedMutant::everywhere(mutant)];
                let plan = Plan { mutants, ..of(workload.clone(), seed) };
                let verdict = judge::run(&run(&plan).evidence, &Limits::default());
                (verdict.outcome == Outcome::Violated).then_some(verdict)
            });
            let found = found.unwrap_or_else(|| panic!("{mutant} was not found with {name}"));
            let right = mutant.about().breaks;
            let violated = violated(&found);
            let named = violated.iter().any(|name| right.contains(name));
            assert!(named, "{mutant} with {name}: {violated:?}");
        }
    }
}
