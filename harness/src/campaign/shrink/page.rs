//! `minimal.md`: what a failing plan came down to, for a person.

use std::{fmt::Write, time::Duration};

use super::{Extent, Minimal, size::leaves};
use crate::{
    cluster,
    nemesis::Injection,
    plan::{ClusterKind, Plan, Storage},
    workload::{Workload, script::Step},
};

/// The page. `violation` is the sentence of the verdict on the minimal run, which lies in `dir`;
/// `program` is the harness.
pub fn page(minimal: &Minimal, violation: &str, program: &str, dir: &str) -> String {
    let Minimal { plan, property, undecided, before, after, runs, failing, tried, cut_short } =
        minimal;
    let fail_in = if *undecided { "leave undecided" } else { "violate" };
    let mut page = format!("# {property}\n\n{violation}\n\n## What it takes\n\n");
    let mut events: Vec<(Duration, String)> = plan.faults.iter().map(fault).collect();
    if let Workload::Script(script) = &plan.workload {
        events.extend(script.steps.iter().map(|step| (step.at, operation(step, plan.nodes))));
    }
    // What happens at one moment keeps its order: faults, then operations.
    events.sort_by_key(|(at, _)| *at);
    for (at, what) in &events {
        let _ = writeln!(page, "- {}: {what}", time(*at));
    }
    let generated = plan.workload.is_generated();
    if generated {
        page += "- all the time: the operations of its clients, which the seed generates\n";
    } else if events.is_empty() {
        page += "Nothing: a cluster that is left alone does it.\n";
    }
    let conditions = conditions(plan);
    if !conditions.is_empty() {
        let _ =
            writeln!(page, "\nIn a world that is calm but for this: {}.", conditions.join("; "));
    }
    page += "\n## What was taken away\n\n| | before | after |\n|---|---:|---:|\n";
    for (what, before, after) in rows(before, after) {
        let _ = writeln!(page, "| {what} | {before} | {after} |");
    }
    page += "\n";
    if *cut_short {
        let _ = writeln!(
            page,
            "The search ended early, after {runs} runs: more could perhaps be taken away, with a \
             longer `--seconds`."
        );
    } else {
        let nothing = match generated {
            true => {
                "The same operations, written down one by one, did not show it: none of them was \
                 taken away. Nothing else single can be taken away"
            }
            false => "Nothing single can be taken away",
        };
        let _ = writeln!(
            page,
            "{nothing}: {runs} runs were tried. Of {tried} seeds {failing} \
             {fail_in} {property} with this plan; its own is {}.",
            plan.seed
        );
    }
    let _ = write!(
        page,
        "\n`story.txt` tells the run, `spacetime.svg` draws its end, `report.html` has the evidence.\n\n\
         ## Again\n\n\
         In simulation, byte for byte:\n\n    {program} replay {dir}\n\n"
    );
    let survives = match plan.storage {
        Storage::Durable => ", and what was written survives a kill",
        Storage::Memory => "",
    };
    page += &match on_containers(plan) {
        None => format!(
            "In containers:\n\n    {program} test --plan {dir}/plan.json --cluster docker\n\n\
             They have their own timing and network{survives}: the \
             same events may need more than one attempt there, or do no harm.\n"
        ),
        Some(why) => format!("Not in containers: {why}.\n"),
    };
    page
}

/// What is not as it should be all the time.
fn conditions(plan: &Plan) -> Vec<String> {
    let mutants = plan.mutants.iter().map(|placed| match &placed.nodes {
        None => format!("the nodes are the mutant `{placed}`"),
        Some(_) => format!("some nodes are mutants: `{placed}`"),
    });
    let forget = (plan.storage == Storage::Memory)
        .then(|| "nodes keep their data in memory, and lose it with each kill".to_owned());
    let weather = leaves(&plan.world).into_iter().filter(|leaf| !leaf.is_calm()).map(|leaf| {
        format!("{} is {}", leaf.path.trim_start_matches('/').replace('/', "."), leaf.value)
    });
    mutants.chain(forget).chain(weather).collect()
}

/// Why a plan cannot be run there, if it cannot.
fn on_containers(plan: &Plan) -> Option<String> {
    let plan = Plan { cluster: ClusterKind::Docker, ..plan.clone() };
    plan.validate().and_then(|()| cluster::check(&plan)).err().map(|error| format!("{error:#}"))
}

/// How much there was of everything, and how much is left.
pub fn rows(before: &Extent, after: &Extent) -> Vec<(&'static str, String, String)> {
    let number = |count: Option<usize>| count.map_or("generated".to_owned(), |n| n.to_string());
    vec![
        ("faults", before.faults.to_string(), after.faults.to_string()),
        ("operations", number(before.operations), number(after.operations)),
        ("clients", before.clients.to_string(), after.clients.to_string()),
        ("nodes", before.nodes.to_string(), after.nodes.to_string()),
        ("keys", before.keys.to_string(), after.keys.to_string()),
        ("virtual time", time(before.time), time(after.time)),
    ]
}

fn fault(injection: &Injection) -> (Duration, String) {
    let Injection { at, lasts, fault, .. } = injection;
    (*at, format!("{} {}, for {}", fault.kind(), fault.what(), time(*lasts)))
}

fn operation(step: &Step, nodes: u64) -> String {
    let name = format!("{:?}", step.f).to_lowercase();
    let value = match step.value {
        checker::history::Value::Nil => String::new(),
        value => format!(" {value}"),
    };
    let Step { client, key, .. } = step;
    format!("client {client}, of n{} at first: {name} {key}{value}", client % nodes + 1)
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}
