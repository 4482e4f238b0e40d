//! Draws the plan of each seed of a campaign: which faults, how often and how long, the weather,
//! the size of the cluster and of the load.
//!
//! A test that does everything at once does nothing for long: with all faults on, no cluster stays
//! up long enough for what needs a quiet minute before the blow. So each seed leaves most things
//! out, at random, and many seeds together see more than one kind of test could (swarm testing:
//! Groce et al., ISSTA 2012). Some seeds are quiet, some savage, some have one kind of fault only,
//! and some repeat one of the patterns that known bugs of Raft need.
//!
//! Extremes come rarely but surely: every size of cluster, limits so small that the load reaches
//! them, a load that stops or swells, faults in bursts, runs of minutes. What is extreme is in
//! `extremes`.
//!
//! What the user gave stays as it is given, and what is drawn gives way to it: an option that is
//! possible for one seed is possible for all.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    cluster,
    exercise::limits,
    nemesis::{Injection, KINDS, Menu},
    plan::{
        Clocks, ClusterKind, Disk, Limits, Load, NODES_MAX, Network, Options, PROBE_INTERVAL, Past,
        Plan, RARE_MAX, Storage, Timings, USUAL_MAX, World,
    },
    system::System,
    workload::{Drawn, Workload, append, bank, etcd, register, set},
};

mod extremes;

/// What the user of a campaign fixed; the rest is drawn for each seed.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Where nodes live; not containers.
    pub cluster: Option<ClusterKind>,
    /// Number of nodes.
    pub nodes: Option<u64>,
    /// How long clients and faults run.
    pub time: Option<Duration>,
    /// The faults to choose from.
    pub menu: Option<Menu>,
    /// Time between faults.
    pub interval: Option<Duration>,
    /// Number of clients.
    pub concurrency: Option<u64>,
    /// Operations per second.
    pub rate: Option<u64>,
    /// What clients do.
    pub workload: Option<Drawn>,
    /// How registers are read.
    pub reads: Option<register::Reads>,
    /// Number of keys.
    pub keys: Option<u32>,
    /// The size of the domain of written values; within, none: unique ones.
    pub values: Option<Option<u32>>,
    /// When a client gives up.
    pub operation_timeout: Option<Duration>,
    /// Shortest election timeout.
    pub election_timeout: Option<Duration>,
    /// Time between heartbeats.
    pub heartbeat_interval: Option<Duration>,
    /// Where nodes keep their data.
    pub storage: Storage,
}

/// One seed of so many runs the nodes' whole servers. Such a seed takes much longer than others.
const WITH_SERVERS: u32 = 50;
/// It is no longer than this.
const WITH_SERVERS_TIME: Duration = Duration::from_secs(20);
/// Connections take their time: no client gives up sooner.
const WITH_SERVERS_PATIENCE: Duration = Duration::from_secs(1);
/// A disk that holds up a node no longer than this: a server that stops does not wait for long.
const WITH_SERVERS_SLOWEST: Duration = Duration::from_millis(100);
/// Share of packets that are lost at most.
const LOSS_MAX: f64 = 0.003;
/// No fault is shorter.
const FAULT_MIN: Duration = Duration::from_millis(50);
/// A lost packet is sent again after 200 ms.
const ELECTION_MIN: Duration = Duration::from_millis(300);
/// A run has no more faults than about so many.
const FAULTS_MAX: u32 = 300;

/// What known bugs need. A seed that has one of these has nothing else.
const PATTERNS: [&[&str]; 14] = [
    // Leaders change term after term, each with entries that it could not commit: the paper's
    // figure 8.
    &["partition:leader-alone", "kill:leader"],
    &["partition:leader-alone"],
    &["partition:leader-minority", "kill:leader"],
    // A laggard comes back when the leader goes.
    &["partition:one", "partition:one", "kill:leader"],
    &["partition:minority", "pause:leader", "kill:leader"],
    // A leader with clients and without a quorum.
    &["partition:leader-minority", "partition:leader-alone", "pause:leader"],
    // Crashes between votes, and between a write and its sync.
    &["kill:all", "kill:majority"],
    &["kill:leader", "kill:one", "disk:slow"],
    // Two sides of one size, or none that sees all.
    &["partition:halves", "kill:one"],
    &["partition:majorities-ring", "partition:bridge", "partition:halves"],
    // Who hears is not heard.
    &["partition:deaf:leader", "partition:mute:leader", "partition:mute"],
    // Answers of the past.
    &["network:duplicating", "network:reordering", "partition:leader-alone"],
    &["network:slow", "network:duplicating", "kill:leader"],
    // Time passes unevenly.
    &["clock", "pause:leader", "partition:leader-alone"],
];

/// The plan of a seed: a pure function.
///
/// # Errors
/// What the user gave is impossible; says which and what is possible.
pub fn plan(given: &Given, seed: u64) -> anyhow::Result<Plan> {
    // Not the numbers that the schedule and the world are drawn from.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(1);
    let rng = &mut rng;

    // Everything is drawn, whatever is given, so that what is given changes nothing else.
    let nodes = nodes(given, rng);
    // The first fault comes within an interval.
    let time = extremes::time(Duration::from_secs(rng.random_range(10..=60)), rng);
    let time = given.time.unwrap_or(time.max(given.interval.unwrap_or_default()));
    let timings = timings(given, rng);
    let election = timings.election_timeout;
    let menu = menu(given, nodes, rng)?;
    // However long a run is, it has no more than so many faults.
    let past = extremes::past(nodes, rng);
    let interval = extremes::interval(interval(election, rng), past);
    let interval = interval.max(time / FAULTS_MAX).min(time / 3);
    let interval = given.interval.unwrap_or(interval);
    let stretch = one_of(rng, &[0.5, 1.0, 1.0, 1.0, 2.0, 3.0]);
    let mut load = load(given, rng);
    let shape = extremes::LoadShape::draw(given, rng);
    let workload = workload(given, registers(given, shape, rng), seed);
    // Where values repeat, a history with many unknown outcomes for one key can be explained in so
    // many ways that none can be ruled out in time.
    let repeats = |it: &register::Options| it.values.is_some();
    if matches!(&workload, Workload::Register(it) if repeats(it)) && given.rate.is_none() {
        load.rate = load.rate.min(10);
    }
    let mut world = World {
        network: network(election, rng),
        disk: disk(election, rng),
        clocks: Clocks { rate_error: one_of(rng, &[0.0, 0.0, 0.001, 0.02, 0.1]) },
        limits: extremes::limits(election, rng),
        past,
    };
    // Transactions over several keys are long entries: a node that was away could not catch up with
    // the load, a few bytes at a time.
    if workload.requests() > 1 {
        let Limits { append_bytes, append_window, .. } = Limits::default();
        world.limits = Limits { append_bytes, append_window, ..world.limits };
    }
    // A load of writes alone makes so many entries that one refused append, after which all in
    // flight are sent again, one by one, looks like a storm of messages.
    if let Workload::Set(_) = &workload
        && world.limits.append_bytes < Limits::default().append_bytes
    {
        world.limits.append_window = world.limits.append_window.min(8);
    }
    let burst = extremes::Burst::draw(election, rng);
    let mut plan = Plan::generate(Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes,
        seed,
        time,
        interval: Some(interval),
        menu,
        workload,
        load,
        timings,
        storage: given.storage,
        world,
    })?;
    plan.probe_interval = PROBE_INTERVAL;
    // After all else, so that it changes nothing else.
    let tail = tail(given, rng);
    for fault in &mut plan.faults {
        let lasts = fault.lasts.mul_f64(stretch).max(FAULT_MIN);
        fault.lasts = milliseconds(lasts).min(plan.time - fault.at);
    }
    if given.interval.is_none() {
        burst.gather(&mut plan.faults);
    }
    // From a stream of its own, so that the other seeds are what they would be without these.
    let mut servers = ChaCha8Rng::seed_from_u64(seed);
    servers.set_stream(2);
    let drawn = servers.random_range(0..WITH_SERVERS) == 0 && bears_servers(given, &plan);
    if given.cluster.map_or(drawn, |cluster| cluster == ClusterKind::InProcess) {
        plan = with_servers(given, plan);
    }
    shape.apply(&mut plan, rng);
    let mut crowd = ChaCha8Rng::seed_from_u64(seed);
    crowd.set_stream(3);
    extremes::crowd(given, &mut plan, &mut crowd);
    match tail {
        Tail::Plain => {}
        Tail::Quiet(share) => plan.quiet = milliseconds(plan.time.mul_f64(share)),
        Tail::Core(fault, pick) => core_alone(&mut plan, fault, pick)?,
    }
    plan.validate()?;
    Ok(plan)
}

/// Whether what the user gave is possible for nodes with their whole servers.
fn bears_servers(given: &Given, plan: &Plan) -> bool {
    let suffers = |fault| cluster::supports(ClusterKind::InProcess, fault).is_ok();
    let asked = given.menu.iter().flat_map(|menu| menu.items.iter().flatten());
    let given_timings = given.election_timeout.is_some() || given.heartbeat_interval.is_some();
    asked.into_iter().all(suffers)
        && (!given_timings || plan.timings.election_timeout >= ELECTION_MIN)
}

/// The plan for nodes with their whole servers: without the faults that they cannot suffer, and in
/// weather that can be borne over connections, where a lost packet holds up all that follow it.
fn with_servers(given: &Given, mut plan: Plan) -> Plan {
    plan.cluster = ClusterKind::InProcess;
    if given.election_timeout.is_none() && given.heartbeat_interval.is_none() {
        let election_timeout = plan.timings.election_timeout.max(ELECTION_MIN);
        let heartbeat_interval = milliseconds(election_timeout / 5);
        plan.timings = Timings { election_timeout, heartbeat_interval };
    }
    let network = &mut plan.world.network;
    network.loss = network.loss.min(LOSS_MAX);
    let late_max = network.late_max.min(plan.timings.election_timeout / 2);
    network.late_max = late_max.max(network.delay_max);
    plan.world.past = Past::None;
    let disk = &mut plan.world.disk;
    disk.slow_max = disk.slow_max.min(WITH_SERVERS_SLOWEST.max(disk.sync_max));
    // In small segments over such links a large message takes longer than an election timeout, and
    // heartbeats wait behind it.
    if let Workload::Etcd(options) = &mut plan.workload {
        options.large = 0;
    }
    if given.operation_timeout.is_none() {
        let timeout = &mut plan.load.operation_timeout;
        *timeout = (*timeout).max(WITH_SERVERS_PATIENCE);
    }
    if given.time.is_none() {
        plan.time = plan.time.min(WITH_SERVERS_TIME.max(plan.interval));
    }
    let time = plan.time;
    plan.faults.retain_mut(|fault| {
        fault.lasts = fault.lasts.min(time.saturating_sub(fault.at));
        let suffers = cluster::supports(ClusterKind::InProcess, &fault.fault).is_ok();
        fault.lasts >= FAULT_MIN && (suffers || given.menu.is_some())
    });
    plan.load.stretches.retain_mut(|stretch| {
        stretch.lasts = stretch.lasts.min(time.saturating_sub(stretch.at));
        !stretch.lasts.is_zero()
    });
    plan
}

/// How a test ends.
#[derive(Clone, Copy, Debug)]
enum Tail {
    /// All faults are healed, and the load goes on until every node has served again.
    Plain,
    /// The load ends before the last heal, by this share of the time.
    Quiet(f64),
    /// At last a majority is healed for good while the rest stays broken by this fault, with this
    /// choice of nodes: the core must serve; then all are healed, and must catch up.
    Core(&'static str, u64),
}

/// What breaks the rest of a cluster and leaves the core alone.
const REST: [&str; 3] = ["kill:minority", "pause:minority", "partition:minority"];

fn tail(given: &Given, rng: &mut impl Rng) -> Tail {
    let (kind, share) = (rng.random_range(0..100), rng.random_range(0.05..0.4));
    let (fault, pick) = (one_of(rng, &REST), rng.random());
    match kind {
        0..15 => Tail::Quiet(share),
        // It takes time and brings a fault of its own.
        15..25 if given.time.is_none() && given.menu.is_none() => Tail::Core(fault, pick),
        _ => Tail::Plain,
    }
}

/// Appends a time in which only the rest of the cluster is broken: longer than the core has to
/// serve again.
fn core_alone(plan: &mut Plan, fault: &str, pick: u64) -> anyhow::Result<()> {
    let menu: Menu = fault.parse().map_err(anyhow::Error::msg)?;
    let Ok(menu) = menu.for_nodes(plan.nodes) else { return Ok(()) };
    let lasts = milliseconds(limits::service(plan).mul_f64(1.5));
    let faults =
        menu.items.iter().flatten().map(|&fault| Injection { at: plan.time, lasts, fault, pick });
    plan.faults.extend(faults);
    plan.time += lasts;
    Ok(())
}

/// How many nodes. The faults that the user asked for may need more than are drawn.
fn nodes(given: &Given, rng: &mut impl Rng) -> u64 {
    let drawn = one_of(rng, &[3, 3, 3, 3, 3, 3, 5, 5, 5, 5, 5, 5, 4, 4, 7, 1, 2, 6, 8, 9]);
    let suffer = |nodes: &u64| given.menu.as_ref().is_none_or(|it| it.for_nodes(*nodes).is_ok());
    given.nodes.unwrap_or((drawn..=NODES_MAX).find(suffer).unwrap_or(drawn))
}

/// Which faults are on.
fn menu(given: &Given, nodes: u64, rng: &mut impl Rng) -> anyhow::Result<Menu> {
    let items: Vec<&str> = match rng.random_range(0..100) {
        0..4 => Vec::new(),
        4..30 => vec![one_of(rng, &KINDS)],
        30..60 => one_of(rng, &PATTERNS).to_vec(),
        60..85 => KINDS.into_iter().filter(|_| rng.random_bool(0.5)).collect(),
        _ => KINDS.to_vec(),
    };
    if let Some(menu) = &given.menu {
        return Ok(menu.clone());
    }
    let parse = |text: &str| text.parse::<Menu>().map_err(anyhow::Error::msg);
    let mut possible = Vec::new();
    for item in items {
        if parse(item)?.for_nodes(nodes).is_ok() {
            possible.push(item);
        }
    }
    if possible.is_empty() { parse("none") } else { parse(&possible.join(",")) }
}

/// From one fault in an election timeout to a rare one.
fn interval(election: Duration, rng: &mut impl Rng) -> Duration {
    let doublings = rng.random_range(0.0..5.5);
    milliseconds(election.mul_f64(f64::exp2(doublings)).max(Duration::from_millis(100)))
}

fn timings(given: &Given, rng: &mut impl Rng) -> Timings {
    let election = one_of(rng, &[100, 150, 200, 300, 500]);
    let beats = one_of(rng, &[3, 5, 10]);
    // A plan's election timeout is at least two heartbeats.
    let election = Duration::from_millis(election)
        .max(given.heartbeat_interval.unwrap_or_default().saturating_mul(2));
    let election_timeout = given.election_timeout.unwrap_or(election);
    let heartbeat_interval = given
        .heartbeat_interval
        .unwrap_or(milliseconds(election_timeout / beats).max(Duration::from_millis(1)));
    Timings { election_timeout, heartbeat_interval }
}

/// The workloads, each as often as it is drawn: 5 of 16 seeds have `register`, as many `etcd`, and
/// 1 of 8 each of the others.
const WORKLOADS: [Drawn; 16] = {
    use Drawn::{Append, Bank, Etcd, Register, Set};
    [
        Register, Register, Register, Register, Register, Etcd, Etcd, Etcd, Etcd, Etcd, Append,
        Append, Set, Set, Bank, Bank,
    ]
};

/// Which workload. Drawn from a stream of its own, so that a seed has the same cluster and weather
/// with any.
fn workload(given: &Given, registers: register::Options, seed: u64) -> Workload {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(3);
    let rng = &mut rng;
    let drawn = one_of(rng, &WORKLOADS);
    let keys = one_of(rng, &[1, 2, 3, 5, 8, 12]);
    let large = one_of(rng, &[0, 0, 0, 0, 0, 0, 0, 2]);
    let keys = given.keys.unwrap_or(keys);
    let drawn = match drawn {
        // Only registers have a domain of values, and reads of two kinds.
        _ if given.values.is_some() || given.reads.is_some() => Drawn::Register,
        // One account is no bank.
        Drawn::Bank if given.keys == Some(1) => Drawn::Append,
        drawn => drawn,
    };
    match given.workload.unwrap_or(drawn) {
        Drawn::Register => Workload::Register(registers),
        Drawn::Etcd => Workload::Etcd(etcd::Options { keys, large, sparing: false }),
        Drawn::Append => Workload::Append(append::Options { keys }),
        Drawn::Set => Workload::Set(set::Options { keys }),
        Drawn::Bank => {
            let keys = given.keys.unwrap_or(keys.max(2));
            Workload::Bank(bank::Options { keys })
        }
    }
}

fn registers(given: &Given, shape: extremes::LoadShape, rng: &mut impl Rng) -> register::Options {
    let keys = one_of(rng, &[1, 1, 2, 3, 5, 5, 10, 20]);
    let values = one_of(rng, &[None, None, None, Some(2), Some(5)]);
    // A load that swells around faults meets on few keys, and names each write.
    let (keys, values) = if shape.swells() { (keys.min(3), None) } else { (keys, values) };
    let values = given.values.unwrap_or(values);
    let keys = if values.is_some() { 5.max(keys) } else { keys };
    let reads = given.reads.unwrap_or_default();
    register::Options { keys: given.keys.unwrap_or(keys), values, reads }
}

fn load(given: &Given, rng: &mut impl Rng) -> Load {
    let concurrency = one_of(rng, &[1, 2, 3, 5, 5, 5, 8, 10]);
    let rate = one_of(rng, &[5, 10, 20, 20, 30, 50]);
    // On both sides of the time after which a node answers at the latest.
    let timeout = one_of(rng, &[150, 300, 300, 1000, 1000, 1000, 2000, 7000]);
    Load::steady(
        given.concurrency.unwrap_or(concurrency),
        given.rate.unwrap_or(rate),
        given.operation_timeout.unwrap_or(Duration::from_millis(timeout)),
    )
}

/// The weather of the network: bearable, so that a cluster can be asked to serve in it.
fn network(election: Duration, rng: &mut impl Rng) -> Network {
    let calm = Network::default();
    let jitter = (election / 10).min(Duration::from_millis(20));
    match rng.random_range(0..10) {
        0..4 => calm,
        4..6 => Network {
            delay_max: jitter,
            late: 0.05,
            late_max: (election / 2).min(RARE_MAX),
            loss: one_of(rng, &[0.0, 0.001, 0.01]),
            ..calm
        },
        6..8 => Network {
            loss: one_of(rng, &[0.01, 0.03, 0.08]),
            duplication: one_of(rng, &[0.0, 0.02, 0.1]),
            ..calm
        },
        _ => Network {
            delay_max: jitter / 2,
            late: one_of(rng, &[0.01, 0.03, 0.08]),
            late_max: (election * one_of(rng, &[1, 2, 4])).min(RARE_MAX),
            duplication: one_of(rng, &[0.0, 0.02, 0.1]),
            ..calm
        },
    }
}

/// The weather of the disks. Small segments are filled soon.
fn disk(election: Duration, rng: &mut impl Rng) -> Disk {
    let usual = Disk::default();
    let segment_bytes = one_of(rng, &[1, 1, 2, 4, 16, 64]) << 10;
    let usual = Disk { segment_bytes, ..usual };
    match rng.random_range(0..10) {
        0..5 => usual,
        5..8 => Disk { sync_max: (election / 20).max(usual.sync_max).min(USUAL_MAX), ..usual },
        _ => Disk {
            sync_max: (election / 10).max(usual.sync_max).min(USUAL_MAX),
            slow: one_of(rng, &[0.01, 0.03]),
            slow_max: election.min(RARE_MAX),
            ..usual
        },
    }
}

/// One of some choices, all alike.
fn one_of<T: Copy>(rng: &mut impl Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

/// A plan is read by people.
fn milliseconds(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn it_is_a_function_of_the_seed_and_most_things_differ() {
        let given = Given::default();
        let plans: Vec<Plan> = (0..500).map(|seed| plan(&given, seed).unwrap()).collect();
        assert_eq!(plans[7], plan(&given, 7).unwrap());
        let nodes: BTreeSet<u64> = plans.iter().map(|plan| plan.nodes).collect();
        assert_eq!(nodes, (1..=9).collect());
        let mut kinds: BTreeMap<Vec<&str>, u64> = BTreeMap::new();
        for plan in &plans {
            let set: BTreeSet<&str> = plan.faults.iter().map(|it| it.fault.kind()).collect();
            *kinds.entry(set.into_iter().collect()).or_default() += 1;
        }
        assert!(kinds.contains_key(&Vec::new()), "no quiet seed");
        for kind in KINDS {
            assert!(kinds.contains_key(&vec![kind]), "none with {kind} alone: {kinds:?}");
        }
        let mut all = KINDS.to_vec();
        all.sort_unstable();
        assert!(kinds[&all] >= 10, "{kinds:?}");
        let worlds = plans.iter().filter(|plan| plan.world != World::default()).count();
        assert!(worlds > 400);
        let drawn = |name: &str| plans.iter().filter(|plan| plan.workload.name() == name).count();
        for (names, expected) in
            [(&["register", "etcd"][..], 120..190), (&["append", "set", "bank"], 40..85)]
        {
            for name in names {
                assert!(expected.contains(&drawn(name)), "{name}: {}", drawn(name));
            }
        }
        let operations: u64 =
            plans.iter().map(|plan| plan.load.rate * plan.time.as_secs()).sum::<u64>() / 500;
        assert!((300..1200).contains(&operations), "{operations} operations in the mean");
        let least = plans.iter().map(|plan| plan.interval).min().unwrap();
        assert!(least < Duration::from_millis(200), "{least:?}");
    }

    #[test]
    fn what_is_given_stays_and_changes_nothing_else() {
        let free = Given::default();
        for seed in 0..50 {
            let given = Given {
                time: Some(Duration::from_secs(20)),
                keys: Some(3),
                rate: Some(7),
                storage: Storage::Memory,
                ..Given::default()
            };
            let (fixed, drawn) = (plan(&given, seed).unwrap(), plan(&free, seed).unwrap());
            assert_eq!(fixed.time, Duration::from_secs(20));
            assert_eq!((fixed.load.rate, fixed.storage), (7, Storage::Memory));
            assert_eq!(fixed.workload.keys(), 3);
            assert_eq!(fixed.workload.name(), drawn.workload.name());
            assert_eq!((fixed.world, fixed.nodes), (drawn.world, drawn.nodes));
            assert_eq!(fixed.load.concurrency, drawn.load.concurrency);
        }
        let given = Given {
            menu: Some("kill:n2".parse().unwrap()),
            nodes: Some(2),
            interval: Some(Duration::from_secs(1)),
            ..Given::default()
        };
        for seed in 0..50 {
            let plan = plan(&given, seed).unwrap();
            assert_eq!((plan.nodes, plan.interval), (2, Duration::from_secs(1)));
            assert!(plan.faults.iter().all(|it| it.fault.to_string() == "kill:n2"));
        }
    }

    #[test]
    fn every_size_of_cluster_has_plans_and_the_impossible_is_refused() {
        for nodes in 1..=9 {
            for seed in 0..100 {
                let given = Given { nodes: Some(nodes), ..Given::default() };
                plan(&given, seed).unwrap();
            }
        }
        let given = Given { nodes: Some(10), ..Given::default() };
        assert!(plan(&given, 1).unwrap_err().to_string().contains("not 10"));
    }

    #[test]
    fn what_is_possible_for_one_seed_is_possible_for_all() {
        let menu = |text: &str| Given { menu: Some(text.parse().unwrap()), ..Given::default() };
        let time = |time| Some(Duration::from_millis(time));
        for given in [
            menu("kill:n9"),
            menu("kill,partition:majorities-ring"),
            Given { interval: time(50_000), ..menu("kill") },
            Given { time: time(1_000), ..menu("kill") },
            Given { heartbeat_interval: time(1), ..Given::default() },
            Given { heartbeat_interval: time(400), ..Given::default() },
            Given { election_timeout: time(2), ..Given::default() },
            Given { election_timeout: time(30_000), ..Given::default() },
            Given { election_timeout: time(3_600_000), ..Given::default() },
            Given { election_timeout: time(2), time: time(1_000), ..Given::default() },
            Given { concurrency: Some(1000), operation_timeout: time(10), ..Given::default() },
        ] {
            for seed in 0..300 {
                let drawn = plan(&given, seed);
                assert!(drawn.is_ok(), "{given:?}, seed {seed}: {:#}", drawn.unwrap_err());
            }
        }
    }
}
