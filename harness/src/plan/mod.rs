//! What a test is, as plain data: the system, the load, and the concrete schedule of faults.
//!
//! A plan is a pure function of the options of a test and its seed. It is saved with every run, and
//! running it again runs the same schedule and the same choices.

mod load;
mod mutants;
mod world;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    nemesis::{Injection, Menu, NodeId, schedule},
    system::System,
    workload::Workload,
};

pub use load::{Load, Stretch};
pub use mutants::PlacedMutant;
pub use world::{Clocks, Disk, Honesty, Limits, Network, Past, World};
pub(crate) use world::{RARE_MAX, USUAL_MAX};

/// The version of the format that this harness writes and reads.
pub const VERSION: u32 = 2;

/// No time in a plan is longer, so that sums of times are times.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often each node is asked by a client of its own, in tests and campaigns.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The largest cluster.
pub const NODES_MAX: u64 = node::raft::VOTERS_MAX as u64;

/// A test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// What a node is.
    pub system: System,
    /// Where the nodes live.
    pub cluster: ClusterKind,
    /// Number of nodes, 1 to [`NODES_MAX`].
    pub nodes: u64,
    /// Seed of every random choice.
    pub seed: u64,
    /// How long clients and faults run; recovery and final reads come after it.
    #[serde(with = "humantime_serde")]
    pub time: Duration,
    /// About the time between two faults of a generated schedule.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// What clients do.
    pub workload: Workload,
    /// How hard they do it.
    pub load: Load,
    /// How often each node is asked by a client of its own, which stays with it, so that a node
    /// that stands still is noticed. Zero: only after the last heal.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Duration::is_zero")]
    pub probe_interval: Duration,
    /// The last part of `time`, in which clients begin no operation; nor do they for a while after
    /// the last heal. What traffic alone would repair is seen then.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Duration::is_zero")]
    pub quiet: Duration,
    /// The system's timings.
    pub timings: Timings,
    /// Where nodes keep their data.
    #[serde(default)]
    pub storage: Storage,
    /// What nodes live on. Containers have all but the limits from the machine, and ignore that.
    #[serde(default)]
    pub world: World,
    /// The known bugs that nodes have, in builds that have some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mutants: Vec<PlacedMutant>,
    /// The schedule, in order of time.
    pub faults: Vec<Injection>,
}

/// Where nodes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterKind {
    /// Containers of this machine's Docker daemon.
    Docker,
    /// One process, with simulated time, network and disks.
    Sim,
    /// The same with the whole server, gRPC and links included, on the simulated network.
    InProcess,
}

impl ClusterKind {
    /// Where a plan runs in virtual time. Containers have none: their plans are simulated.
    pub fn in_virtual_time(self) -> Self {
        match self {
            Self::Docker | Self::Sim => Self::Sim,
            Self::InProcess => Self::InProcess,
        }
    }
}

/// Where nodes keep their data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// On a disk that outlives a kill, as Raft demands.
    #[default]
    Durable,
    /// In memory, lost with each kill. Raft's promises then break, and the verdict must say so: a
    /// test of the test.
    Memory,
}

/// Timings of the system under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// Shortest election timeout.
    #[serde(with = "humantime_serde")]
    pub election_timeout: Duration,
    /// Time between a leader's heartbeats.
    #[serde(with = "humantime_serde")]
    pub heartbeat_interval: Duration,
}

/// From what a plan is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a node is.
    pub system: System,
    /// Where the nodes live.
    pub cluster: ClusterKind,
    /// Number of nodes.
    pub nodes: u64,
    /// Seed.
    pub seed: u64,
    /// How long clients and faults run.
    pub time: Duration,
    /// Time between faults. None: 5 seconds, or a fifth of `time` where that is shorter.
    pub interval: Option<Duration>,
    /// The faults to choose from.
    pub menu: Menu,
    /// What clients do.
    pub workload: Workload,
    /// How hard.
    pub load: Load,
    /// The system's timings.
    pub timings: Timings,
    /// Where nodes keep their data.
    pub storage: Storage,
    /// What simulated nodes live on.
    pub world: World,
}

impl Plan {
    /// The plan of these options: a pure function.
    ///
    /// # Errors
    /// The options are impossible; says which and what is possible.
    pub fn generate(options: Options) -> anyhow::Result<Self> {
        let usual = Duration::from_secs(5).min(options.time / 5);
        let interval = options.interval.unwrap_or(usual);
        let mut plan = Self {
            version: VERSION,
            system: options.system,
            cluster: options.cluster,
            nodes: options.nodes,
            seed: options.seed,
            time: options.time,
            interval,
            workload: options.workload,
            load: options.load,
            probe_interval: Duration::ZERO,
            quiet: Duration::ZERO,
            timings: options.timings,
            storage: options.storage,
            world: options.world,
            mutants: Vec::new(),
            faults: Vec::new(),
        };
        plan.validate()?;
        let menu = options.menu.for_nodes(plan.nodes).map_err(anyhow::Error::msg)?;
        // The same schedule in simulation as on containers, unless it is too fast for them.
        let shortest = schedule::SHORTEST.min(plan.interval / 2).max(plan.fault_min());
        plan.faults = schedule::generate(&menu, plan.time, plan.interval, shortest, plan.seed);
        ensure!(
            menu.items.is_empty() || !plan.faults.is_empty(),
            "no fault fits into {}: the first of --interval {} would come too late; make --time \
             longer, --interval shorter, or ask for --faults none",
            humantime::format_duration(plan.time),
            humantime::format_duration(plan.interval),
        );
        plan.validate()?;
        Ok(plan)
    }

    /// Reads and validates a plan.
    ///
    /// # Errors
    /// The file cannot be read, is no plan of this version, or asks for the impossible.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let of = || format!("plan {}", path.display());
        let text = fs::read_to_string(path).with_context(of)?;
        let value: serde_json::Value = serde_json::from_str(&text).with_context(of)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => bail!(
                "plan {} has version {version}; this harness reads version {VERSION}",
                path.display()
            ),
            None => bail!("{} is not a plan: it has no version", path.display()),
        }
        // From the text, so that errors name line and column.
        let plan: Self = serde_json::from_str(&text).with_context(of)?;
        plan.validate().with_context(of)?;
        Ok(plan)
    }

    /// Writes the plan as `plan.json` into a directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join("plan.json");
        let mut text = serde_json::to_string_pretty(self).context("plan.json")?;
        text.push('\n');
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// The nodes' ids.
    pub fn node_ids(&self) -> Vec<NodeId> {
        (1..=self.nodes).collect()
    }

    /// No fault is shorter.
    fn fault_min(&self) -> Duration {
        match self.cluster {
            ClusterKind::Docker => schedule::SHORTEST,
            ClusterKind::Sim | ClusterKind::InProcess => Duration::from_millis(10),
        }
    }

    /// Whether the system can live where it is to live.
    fn validate_system(&self) -> anyhow::Result<()> {
        let Self { system, .. } = self;
        if system.is_raft_node() {
            return Ok(());
        }
        ensure!(
            self.cluster == ClusterKind::Docker,
            "{system} runs in containers only: simulated are this project's own nodes; use \
             --cluster docker"
        );
        system.check(self.nodes)?;
        ensure!(
            self.mutants.is_empty(),
            "known bugs can be put into this project's own nodes only, not into {system}"
        );
        Ok(())
    }

    /// Checks that the plan is possible.
    ///
    /// # Errors
    /// The first thing that is not, and what would be.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            (1..=NODES_MAX).contains(&self.nodes),
            "a cluster has 1 to {NODES_MAX} nodes, not {}",
            self.nodes
        );
        ensure!(
            self.time >= Duration::from_secs(1),
            "a test takes at least 1s, not {}",
            humantime::format_duration(self.time)
        );
        for (what, time) in [
            ("a test", self.time),
            ("the time between faults", self.interval),
            ("a client's patience", self.load.operation_timeout),
            ("the time between probes of a node", self.probe_interval),
            ("an election timeout", self.timings.election_timeout),
            ("the heartbeat interval", self.timings.heartbeat_interval),
        ] {
            ensure!(
                time <= LONGEST,
                "{what} is at most {}, not {}",
                humantime::format_duration(LONGEST),
                humantime::format_duration(time)
            );
        }
        ensure!(
            self.interval >= Duration::from_millis(100),
            "there are at least 100ms between faults, not {}",
            humantime::format_duration(self.interval)
        );
        self.load.validate(self.time)?;
        ensure!(
            self.quiet <= self.time,
            "the quiet at the end of a test ({}) is no longer than the test",
            humantime::format_duration(self.quiet)
        );
        self.validate_mutants()?;
        self.validate_system()?;
        let keys = self.workload.keys();
        ensure!((1..=100_000).contains(&keys), "the workload has 1 to 100000 keys, not {keys}");
        self.workload.validate(self.load.concurrency, self.time)?;
        let Timings { election_timeout, heartbeat_interval } = self.timings;
        ensure!(
            heartbeat_interval >= Duration::from_millis(1),
            "the heartbeat interval is at least 1ms"
        );
        ensure!(
            election_timeout >= 2 * heartbeat_interval,
            "the election timeout ({}) must be at least twice the heartbeat interval ({}), or \
             followers give up on a leader that is well",
            humantime::format_duration(election_timeout),
            humantime::format_duration(heartbeat_interval)
        );
        self.world.validate()?;
        let mut before = Duration::ZERO;
        for (number, injection) in self.faults.iter().enumerate() {
            let fault = injection.fault;
            if let Some(why) = fault.impossible(self.nodes) {
                bail!("fault {number}: {why}");
            }
            ensure!(
                injection.lasts >= self.fault_min(),
                "fault {number} ({fault}) must last at least {}",
                humantime::format_duration(self.fault_min())
            );
            let end = injection.at.saturating_add(injection.lasts);
            ensure!(
                end <= self.time,
                "fault {number} ({fault}) would end {} after the start of a test of {}",
                humantime::format_duration(end),
                humantime::format_duration(self.time)
            );
            ensure!(
                before <= injection.at,
                "fault {number} ({fault}) is earlier than the fault before it: order them by time"
            );
            before = injection.at;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{register, script::Script};

    fn options() -> Options {
        Options {
            system: System::raft_node(),
            cluster: ClusterKind::Docker,
            nodes: 5,
            seed: 7,
            time: Duration::from_secs(60),
            interval: None,
            menu: "kill,pause,partition".parse().unwrap(),
            workload: Workload::Register(register::Options::new(20)),
            load: Load::steady(10, 0, Duration::from_secs(1)),
            timings: Timings {
                election_timeout: Duration::from_millis(500),
                heartbeat_interval: Duration::from_millis(100),
            },
            storage: Storage::Durable,
            world: World::default(),
        }
    }

    fn refused(options: Options) -> String {
        Plan::generate(options).unwrap_err().to_string()
    }

    #[test]
    fn a_plan_is_a_function_of_its_options_and_survives_its_file() {
        let plan = Plan::generate(options()).unwrap();
        assert_eq!(plan, Plan::generate(options()).unwrap());
        let dir = tempfile::tempdir().unwrap();
        plan.save(dir.path()).unwrap();
        assert_eq!(Plan::load(&dir.path().join("plan.json")).unwrap(), plan);
    }

    #[test]
    fn a_plan_without_a_world_has_the_usual_one() {
        let plan = Plan::generate(options()).unwrap();
        let mut value = serde_json::to_value(&plan).unwrap();
        assert!(value.as_object_mut().unwrap().remove("world").is_some());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        fs::write(&path, value.to_string()).unwrap();
        assert_eq!(Plan::load(&path).unwrap(), plan);
    }

    #[test]
    fn a_script_survives_its_file_and_needs_its_clients() {
        let steps = r#"{"steps":[{"at":"1s","client":9,"f":"cas","key":"k","value":[null,1]}]}"#;
        let script: Script = serde_json::from_str(steps).unwrap();
        let workload = Workload::Script(script);
        let plan = Plan::generate(Options { workload: workload.clone(), ..options() }).unwrap();
        let dir = tempfile::tempdir().unwrap();
        plan.save(dir.path()).unwrap();
        assert_eq!(Plan::load(&dir.path().join("plan.json")).unwrap(), plan);
        let load = Load { concurrency: 9, ..options().load };
        let error = refused(Options { workload, load, ..options() });
        assert!(error.contains("client 9, and clients are numbered 0 to 8"), "{error}");
    }

    #[test]
    fn short_tests_have_several_faults_too() {
        for seconds in [5, 10, 20] {
            for seed in 0..20 {
                let time = Duration::from_secs(seconds);
                let plan = Plan::generate(Options { time, seed, ..options() }).unwrap();
                assert!(plan.faults.len() >= 4, "{seconds}s: {}", plan.faults.len());
            }
        }
    }

    #[test]
    fn the_impossible_is_refused_with_a_sentence() {
        let partition = || "partition".parse().unwrap();
        assert!(refused(Options { nodes: 0, ..options() }).contains("1 to 9 nodes, not 0"));
        assert!(refused(Options { nodes: 10, ..options() }).contains("not 10"));
        let alone = Options { nodes: 1, menu: partition(), ..options() };
        assert!(refused(alone).contains("at least 2 nodes"));
        let short = Options { time: Duration::from_millis(10), ..options() };
        assert!(refused(short).contains("at least 1s"));
        let late = Options { interval: Some(Duration::from_secs(600)), ..options() };
        assert!(refused(late).contains("no fault fits into 1m"));
        let timings = Timings {
            election_timeout: Duration::from_millis(100),
            heartbeat_interval: Duration::from_millis(100),
        };
        assert!(refused(Options { timings, ..options() }).contains("election timeout"));
        let load = Load { concurrency: 0, ..options().load };
        assert!(refused(Options { load, ..options() }).contains("1 to 1000 clients"));
        let workload = Workload::Register(register::Options::new(0));
        assert!(refused(Options { workload, ..options() }).contains("keys, not 0"));
    }

    #[test]
    fn a_bad_file_is_refused_with_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        let good = serde_json::to_value(Plan::generate(options()).unwrap()).unwrap();
        let refused = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = good.clone();
            change(&mut value);
            fs::write(&path, serde_json::to_string_pretty(&value).unwrap()).unwrap();
            format!("{:#}", Plan::load(&path).unwrap_err())
        };
        let fault = |fault: &str, target: &str| {
            serde_json::json!([{
                "at": "1s", "for": "2s", "fault": fault, "target": target, "pick": 0,
            }])
        };
        let error = refused(&|plan| plan["faults"] = fault("explode", "one"));
        assert!(error.contains("unknown variant `explode`"), "{error}");
        let error = refused(&|plan| plan["faults"] = fault("kill", "nobody"));
        assert!(error.contains("unknown target `nobody`"), "{error}");
        let error = refused(&|plan| plan["faults"] = fault("kill", "n6"));
        assert!(error.contains("names node n6"), "{error}");
        let error = refused(&|plan| plan["faults"][0]["for"] = "2m".into());
        assert!(error.contains("would end"), "{error}");
        let error = refused(&|plan| plan["faults"][0]["at"] = "18446744073709551615s".into());
        assert!(error.contains("would end"), "{error}");
        let error = refused(&|plan| plan["faults"].as_array_mut().unwrap().reverse());
        assert!(error.contains("is earlier than the fault before it"), "{error}");
        let error = refused(&|plan| plan["time"] = "18446744073709551615s".into());
        assert!(error.contains("a test is at most 30days"), "{error}");
        let error = refused(&|plan| plan["timings"]["heartbeat_interval"] = "1y".into());
        assert!(error.contains("the heartbeat interval is at most 30days"), "{error}");
        let error = refused(&|plan| plan["version"] = 99.into());
        assert!(error.contains("version 99"), "{error}");
        let error = refused(&|plan| plan["nodes"] = 12.into());
        assert!(error.contains("not 12"), "{error}");
        let error = refused(&|plan| plan["world"]["network"]["loss"] = 2.into());
        assert!(error.contains("lost messages is 0 to 1, not 2"), "{error}");
        let error = refused(&|plan| {
            plan["workload"] = serde_json::json!({ "name": "script", "steps": [
                { "at": "2m", "client": 0, "f": "read", "key": "k0" },
            ]});
        });
        assert!(error.contains("would begin 2m after the start of a test of 1m"), "{error}");
        let error = refused(&|plan| plan["colour"] = "red".into());
        assert!(error.contains("unknown field `colour`"), "{error}");
        #[cfg(not(feature = "mutants"))]
        {
            let error = refused(&|plan| plan["mutants"] = serde_json::json!(["forgets-vote:n2"]));
            assert!(error.contains("this build has no mutants: cargo run"), "{error}");
        }
        fs::write(&path, "{").unwrap();
        assert!(format!("{:#}", Plan::load(&path).unwrap_err()).contains("plan.json"));
        assert!(Plan::load(&dir.path().join("none.json")).is_err());
    }
}
