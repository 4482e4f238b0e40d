//! Which of two plans is simpler.

use std::collections::BTreeSet;
use std::time::Duration;

use checker::history::{Function, Value};
use serde_json::Value as Json;

use crate::{
    cluster,
    nemesis::{Fault, Injection, Shape, Target},
    plan::{ClusterKind, Plan, Storage, World},
    workload::script::Step,
};

/// How simple a plan is, from what weighs most to what weighs least. A smaller one is simpler. It
/// is finite, so whoever only ever goes to a smaller one comes to an end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size {
    /// Whether operations are generated: then nobody sees from the plan what happens.
    generated: bool,
    /// Faults and operations.
    events: usize,
    /// What is not as calm as it could be.
    weather: u64,
    /// Clients that do something, then nodes, then keys.
    clients: usize,
    nodes: u64,
    keys: usize,
    /// How hard faults and operations are to explain.
    faults: u64,
    operations: u64,
    /// Clients and keys are not numbered from 0, values are larger than they must be.
    names: u64,
    /// How long it takes.
    time: Duration,
    /// Digits in the times of events.
    digits: u64,
    /// Sum of the times of events.
    times: Duration,
}

impl Size {
    /// Of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let generated = plan.workload.is_generated();
        let steps = plan.workload.script().map_or(&[][..], |script| &script.steps);
        let clients: BTreeSet<u64> = steps.iter().map(|step| step.client).collect();
        let keys: BTreeSet<&str> = steps.iter().map(|step| step.key.as_str()).collect();
        let times = || {
            let steps = steps.iter().map(|step| step.at);
            steps.chain(plan.faults.iter().flat_map(|fault| [fault.at, fault.lasts]))
        };
        Self {
            generated,
            events: plan.faults.len() + steps.len(),
            weather: weather(&plan.world)
                + u64::from(plan.storage != Storage::Durable)
                + u64::from(plan.load.loyal > 0)
                + plan.load.stretches.len() as u64
                + u64::from(!plan.probe_interval.is_zero())
                + u64::from(!plan.quiet.is_zero()),
            clients: clients.len(),
            nodes: plan.nodes,
            keys: keys.len(),
            faults: plan.faults.iter().map(fault).sum(),
            operations: steps.iter().map(|step| function(step.f)).sum(),
            names: steps.iter().map(names).fold(plan.load.concurrency, u64::saturating_add),
            time: plan.time,
            digits: times().map(digits).sum(),
            times: times().fold(Duration::ZERO, Duration::saturating_add),
        }
    }
}

/// The world's values that are not calm: one for each that is as usual, two for others.
fn weather(world: &World) -> u64 {
    leaves(world)
        .iter()
        .filter(|leaf| !leaf.is_calm())
        .map(|leaf| 1 + u64::from(leaf.value != leaf.usual))
        .sum()
}

/// A value of a plan's world.
pub(super) struct Leaf {
    /// Where it is, as a JSON pointer.
    pub(super) path: String,
    /// What it is.
    pub(super) value: Json,
    /// What it usually is.
    pub(super) usual: Json,
    /// What it is where nothing bad happens: no share of anything bad, all else as usual.
    pub(super) calm: Json,
}

impl Leaf {
    /// Whether nothing bad comes of it.
    pub(super) fn is_calm(&self) -> bool {
        self.value == self.calm
    }
}

/// All values of a world, whatever there will be: from its JSON.
pub(super) fn leaves(world: &World) -> Vec<Leaf> {
    fn walk(path: &str, value: &Json, usual: &Json, leaves: &mut Vec<Leaf>) {
        if let Json::Object(fields) = value {
            for (name, value) in fields {
                let usual = usual.get(name).unwrap_or(&Json::Null);
                walk(&format!("{path}/{name}"), value, usual, leaves);
            }
            return;
        }
        let calm = if usual.is_f64() { Json::from(0.0) } else { usual.clone() };
        let (value, usual) = (value.clone(), usual.clone());
        leaves.push(Leaf { path: path.to_owned(), value, usual, calm });
    }
    let json = |world: &World| serde_json::to_value(world).unwrap_or_default();
    let mut leaves = Vec::new();
    walk("", &json(world), &json(&World::default()), &mut leaves);
    leaves
}

fn fault(injection: &Injection) -> u64 {
    let shape = match injection.fault {
        Fault::Partition { shape, .. } => shape_rank(shape),
        // Containers cannot show these.
        fault if cluster::supports(ClusterKind::Docker, &fault).is_err() => 20,
        _ => 0,
    };
    shape + target_rank(injection.fault.target()) + u64::from(injection.pick != 0)
}

/// How hard a partition's shape is to explain.
pub(super) fn shape_rank(shape: Shape) -> u64 {
    match shape {
        Shape::LeaderAlone | Shape::One => 0,
        Shape::Deaf | Shape::Mute => 2,
        Shape::LeaderMinority => 4,
        Shape::Minority => 6,
        Shape::Halves => 8,
        Shape::Bridge => 10,
        Shape::MajoritiesRing => 12,
    }
}

/// How hard a target is to explain. A node by name needs no explanation, and neither does chance
/// have a part in it; `leader` is as good, and means the same on containers.
pub(super) fn target_rank(target: Target) -> u64 {
    match target {
        Target::Leader => 0,
        Target::Node(_) => 1,
        Target::All => 2,
        Target::One => 3,
        Target::Followers => 4,
        Target::Minority | Target::Majority => 5,
        Target::Random => 6,
    }
}

/// How hard an operation is to explain.
pub(super) fn function(f: Function) -> u64 {
    match f {
        Function::Read => 0,
        Function::Write | Function::Delete => 1,
        Function::Cas => 2,
    }
}

fn names(step: &Step) -> u64 {
    let value = match step.value {
        Value::Nil | Value::Found(_) => 0,
        Value::Int(value) => value.unsigned_abs(),
        Value::Pair(expected, value) => {
            value.unsigned_abs().saturating_add(expected.map_or(0, i64::unsigned_abs))
        }
    };
    let key = step.key.bytes().map(u64::from).fold(0, u64::saturating_add);
    value.saturating_add(key).saturating_add(step.client)
}

/// How many units a time does without: `2s` is rounder than `1s 500ms`, that than `1s 730ms`.
fn digits(time: Duration) -> u64 {
    let nanoseconds = time.as_nanos();
    let units: [u128; 7] =
        [1_000_000_000, 500_000_000, 100_000_000, 10_000_000, 1_000_000, 1000, 1];
    units.iter().position(|unit| nanoseconds.is_multiple_of(*unit)).unwrap_or(units.len()) as u64
}
