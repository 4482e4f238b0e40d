//! The same events in a simpler form: plainer faults and operations, fewer nodes, clients and keys,
//! calmer weather.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use checker::history::{Function, Value};
use serde_json::Value as Json;

use super::{
    finding::Finding,
    size::{leaves, shape_rank, target_rank},
};
use crate::{
    cluster,
    nemesis::{Fault, NodeId, Shape, Target},
    plan::{ClusterKind, Load, Plan, Storage, World},
    workload::{
        Workload, register,
        script::{Script, Step},
    },
};

/// Calmer weather: all calm, then value by value calm or at least as usual.
pub(super) fn calm(finding: &Finding) -> Vec<Plan> {
    let plan = &finding.plan;
    let Ok(world) = serde_json::to_value(&plan.world) else { return Vec::new() };
    let leaves = leaves(&plan.world);
    let set = |world: &Json, path: &str, value: &Json| {
        let mut world = world.clone();
        if let Some(place) = world.pointer_mut(path) {
            *place = value.clone();
        }
        world
    };
    let all = leaves.iter().fold(world.clone(), |world, leaf| set(&world, &leaf.path, &leaf.calm));
    let mut worlds = vec![all];
    for leaf in &leaves {
        worlds.push(set(&world, &leaf.path, &leaf.calm));
        worlds.push(set(&world, &leaf.path, &leaf.usual));
    }
    let worlds = worlds.into_iter().filter_map(|world| serde_json::from_value::<World>(world).ok());
    let mut variants: Vec<Plan> = worlds.map(|world| Plan { world, ..plan.clone() }).collect();
    variants.push(Plan { storage: Storage::Durable, ..plan.clone() });
    variants.push(Plan { load: Load { loyal: 0, ..plan.load.clone() }, ..plan.clone() });
    variants
        .push(Plan { load: Load { stretches: Vec::new(), ..plan.load.clone() }, ..plan.clone() });
    variants.push(Plan { probe_interval: Duration::ZERO, ..plan.clone() });
    variants.push(Plan { quiet: Duration::ZERO, ..plan.clone() });
    variants
}

fn script(plan: &Plan) -> Option<&Script> {
    plan.workload.script()
}

/// The plan with every step changed.
fn with_steps(plan: &Plan, change: impl Fn(&Step) -> Step) -> Option<Plan> {
    let Script { steps, reads } = script(plan)?;
    let script = Script { steps: steps.iter().map(change).collect(), reads: *reads };
    Some(Plan { workload: Workload::Script(script), ..plan.clone() })
}

/// Smaller clusters, the smallest first. Nodes that faults name keep a name.
pub(super) fn fewer_nodes(finding: &Finding) -> Vec<Plan> {
    let plan = &finding.plan;
    let named: BTreeSet<NodeId> = plan
        .faults
        .iter()
        .filter_map(|injection| match injection.fault.target() {
            Target::Node(id) => Some(id),
            _ => None,
        })
        .collect();
    let mut keep: Vec<Vec<NodeId>> = (1..plan.nodes)
        .map(|count| {
            let unnamed = plan.node_ids().into_iter().filter(|id| !named.contains(id));
            let some = named.iter().copied().chain(unnamed).take(count as usize);
            some.collect::<BTreeSet<_>>().into_iter().collect()
        })
        .collect();
    keep.extend(
        plan.node_ids()
            .into_iter()
            .map(|gone| plan.node_ids().into_iter().filter(|id| *id != gone).collect()),
    );
    keep.iter().filter_map(|nodes| on_nodes(plan, nodes)).flatten().collect()
}

/// The plan on these of its nodes, which are numbered anew: with the same clients, and with clients
/// that ask the nodes that they asked before.
fn on_nodes(plan: &Plan, nodes: &[NodeId]) -> Option<[Plan; 2]> {
    let names: BTreeMap<NodeId, NodeId> = nodes.iter().copied().zip(1..).collect();
    let mut smaller = Plan { nodes: nodes.len() as u64, ..plan.clone() };
    for injection in &mut smaller.faults {
        if let Target::Node(id) = injection.fault.target() {
            injection.fault = injection.fault.aimed_at(Target::Node(*names.get(&id)?));
        }
    }
    let follow = |step: &Step| {
        let asked = step.client % plan.nodes + 1;
        let client = names.get(&asked).map_or(step.client, |name| name - 1);
        Step { client, ..step.clone() }
    };
    let following = with_steps(&smaller, follow).unwrap_or_else(|| smaller.clone());
    Some([smaller, following])
}

/// Operations move to other clients, and clients are numbered from 0.
pub(super) fn fewer_clients(finding: &Finding) -> Vec<Plan> {
    let plan = &finding.plan;
    let Some(script) = script(plan) else { return Vec::new() };
    let clients: BTreeSet<u64> = script.steps.iter().map(|step| step.client).collect();
    let moved = |to: &dyn Fn(u64) -> u64| {
        let mut plan = with_steps(plan, |step| Step { client: to(step.client), ..step.clone() })?;
        let highest = script.steps.iter().map(|step| to(step.client)).max().unwrap_or(0);
        plan.load.concurrency = highest + 1;
        Some(plan)
    };
    let mut variants: Vec<Option<Plan>> = Vec::new();
    // All to one: the cluster's nodes are asked by clients 0, 1 and so on.
    variants.extend((0..plan.nodes).map(|one| moved(&|_| one)));
    for from in &clients {
        let others = clients.iter().copied().chain(0..plan.nodes);
        variants
            .extend(others.map(|to| moved(&|client| if client == *from { to } else { client })));
    }
    let anew: BTreeMap<u64, u64> = clients.iter().copied().zip(0..).collect();
    variants.push(moved(&|client| anew.get(&client).copied().unwrap_or(client)));
    // The same nodes are asked, by clients with the numbers of those.
    variants.push(moved(&|client| client % plan.nodes));
    variants.push(moved(&|client| client));
    variants.into_iter().flatten().collect()
}

/// Fewer keys, with plain names; and plain values.
pub(super) fn fewer_keys(finding: &Finding) -> Vec<Plan> {
    let plan = &finding.plan;
    let Some(script) = script(plan) else { return Vec::new() };
    let keys: BTreeSet<&String> = script.steps.iter().map(|step| &step.key).collect();
    let renamed = |to: &dyn Fn(&String) -> String| {
        with_steps(plan, |step| Step { key: to(&step.key), ..step.clone() })
    };
    let mut variants = vec![renamed(&|_| register::key(0))];
    for from in &keys {
        for to in keys.iter().filter(|to| to < &from) {
            variants.push(renamed(&|key| if key == *from { (*to).clone() } else { key.clone() }));
        }
    }
    let anew: BTreeMap<&String, String> =
        keys.iter().copied().zip((0..).map(register::key)).collect();
    variants.push(renamed(&|key| anew.get(key).unwrap_or(key).clone()));
    variants.push(plain_values(plan));
    variants.into_iter().flatten().collect()
}

/// Written values are 1, 2, 3 in the order in which they are written.
fn plain_values(plan: &Plan) -> Option<Plan> {
    let mut plain: BTreeMap<i64, i64> = BTreeMap::new();
    for step in &script(plan)?.steps {
        if let Value::Int(value) | Value::Pair(_, value) = step.value {
            let next = plain.len() as i64 + 1;
            plain.entry(value).or_insert(next);
        }
    }
    // What nobody writes, nobody can find.
    let of = |value: i64| plain.get(&value).copied().unwrap_or(0);
    with_steps(plan, |step| {
        let value = match step.value {
            value @ (Value::Nil | Value::Found(_)) => value,
            Value::Int(value) => Value::Int(of(value)),
            Value::Pair(expected, value) => Value::Pair(expected.map(of), of(value)),
        };
        Step { value, ..step.clone() }
    })
}

/// Compare-and-sets that only write, and what only reads.
pub(super) fn plainer_operations(finding: &Finding) -> Vec<Plan> {
    let plan = &finding.plan;
    let Some(script) = script(plan) else { return Vec::new() };
    let read = |step: &Step| Step { f: Function::Read, value: Value::Nil, ..step.clone() };
    let write = |step: &Step| match step.value {
        Value::Pair(_, value) => {
            Step { f: Function::Write, value: Value::Int(value), ..step.clone() }
        }
        _ => step.clone(),
    };
    let change = |number: usize, plainer: &dyn Fn(&Step) -> Step| {
        let mut plan = plan.clone();
        if let Workload::Script(script) = &mut plan.workload {
            script.steps[number] = plainer(&script.steps[number]);
        }
        plan
    };
    (0..script.steps.len())
        .flat_map(|number| [change(number, &read), change(number, &write)])
        .collect()
}

/// Faults with a plainer target or shape, and without chance.
pub(super) fn plainer_faults(finding: &Finding) -> Vec<Plan> {
    let Finding { plan, hit, .. } = finding;
    let mut variants = Vec::new();
    for (number, injection) in plan.faults.iter().enumerate() {
        let hit = hit.get(number).into_iter().flatten().copied();
        let names = hit.chain(plan.node_ids()).map(Target::Node);
        let targets: Vec<Target> = [Target::Leader].into_iter().chain(names).collect();
        let mut faults = Vec::new();
        if let Fault::Partition { shape, target } = injection.fault {
            let whole = |shape| Fault::Partition { shape, target: Target::One };
            faults.push(whole(Shape::LeaderAlone));
            faults.extend(targets.iter().map(|target| whole(Shape::One).aimed_at(*target)));
            let simpler = Shape::all().filter(|other| shape_rank(*other) < shape_rank(shape));
            faults.extend(simpler.map(|shape| {
                let target = if shape.takes_target() { target } else { Target::One };
                Fault::Partition { shape, target }
            }));
        }
        let target = injection.fault.target();
        if cluster::supports(ClusterKind::Docker, &injection.fault).is_err() {
            for target in [target].into_iter().chain(targets.iter().copied()) {
                let cut = Fault::Partition { shape: Shape::One, target };
                faults.extend([Fault::Kill { target }, Fault::Pause { target }, cut]);
            }
        }
        let plainer = targets.iter().filter(|other| target_rank(**other) < target_rank(target));
        faults.extend(plainer.map(|target| injection.fault.aimed_at(*target)));
        let mut change = |fault: Fault, pick: u64| {
            let mut variant = plan.clone();
            variant.faults[number].fault = fault;
            variant.faults[number].pick = pick;
            variants.push(variant);
        };
        for fault in faults {
            change(fault, 0);
        }
        change(injection.fault, 0);
    }
    variants
}
