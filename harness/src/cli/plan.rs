//! The options of which a plan is made, shared by `test` and `sim`. What is not given has a default
//! in a test, and is drawn for each seed of a campaign.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::exit::Usage;
use crate::{
    campaign::swarm::{self, Given},
    nemesis::{KINDS, Menu},
    plan::{
        self, ClusterKind, Load, PROBE_INTERVAL, PlacedMutant, Plan, Storage, Stretch, Timings,
        World,
    },
    system::System,
    workload::{Drawn, Workload, append, bank, etcd, register, set},
};
use anyhow::{anyhow, ensure};

/// Requests about as large as a node takes them, in a test of the workload `etcd`.
const LARGE: u32 = 8;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct PlanOptions {
    /// What is tested: `raft-node`, `etcd`, or a file that describes another system
    #[arg(long, value_name = "NAME|FILE", default_value = "raft-node")]
    system: System,

    /// Also ask for what is known to break the system, which a workload else goes out of its way to
    /// avoid
    #[arg(long)]
    known_defects: bool,

    /// Number of nodes, 1 to 9 [default: 5]
    #[arg(long)]
    nodes: Option<u64>,

    /// How long clients and faults run, such as 30s or 5m. Start, recovery and checking come on
    /// top [default: 60s]
    #[arg(long, value_parser = humantime::parse_duration)]
    time: Option<Duration>,

    /// What clients do [default: register; of a campaign all]
    #[arg(long, value_enum)]
    workload: Option<Drawn>,

    /// How clients of the workload `register` read. Serializable reads are answered by the node
    /// that is asked from what it knows, however old, and are judged as if they were linearizable:
    /// a run with partitions shows what they may return [default: linearizable]
    #[arg(long, value_enum)]
    reads: Option<register::Reads>,

    /// Faults to choose from, separated by commas: `kill`, `restart`, `pause`, `partition`;
    /// simulated clusters also have `network`, `disk`, `clock`; or `none` [default:
    /// kill,pause,partition; of a campaign all]
    ///
    /// Narrower: kill:TARGET, restart:TARGET and pause:TARGET with a target of one, minority,
    /// majority, all, leader, followers, random, or a node n1 to n9; partition:SHAPE with a shape
    /// of one, halves, minority, leader-minority, leader-alone, majorities-ring, bridge, deaf,
    /// mute; and partition:SHAPE:TARGET for one, deaf and mute.
    ///
    /// Simulated only: network:slow, lossy, duplicating, reordering or reset; disk:slow, fail-sync,
    /// full or flip; clock:fast, slow or jump; each also with a target, as disk:flip:leader.
    #[arg(long)]
    faults: Option<Menu>,

    /// Time between two faults, more or less; they last half as long to one and a half times as
    /// long, so that some overlap [default: 2.5s; of a campaign without swarm 5s; or a fifth of
    /// --time if that is shorter]
    #[arg(long, value_parser = humantime::parse_duration)]
    interval: Option<Duration>,

    /// Clients, each with one operation open at most [default: 10]
    #[arg(long)]
    concurrency: Option<u64>,

    /// Operations started per second by all clients together; 0: as many as they can [default: 0;
    /// of a campaign 20]
    #[arg(long)]
    rate: Option<u64>,

    /// Number of keys; of lists, sets or accounts with the workloads `append`, `set` and `bank`
    /// [default: 20; 5 lists, 1 set, 8 accounts; of a campaign drawn]
    #[arg(long)]
    keys: Option<u32>,

    /// Written values: `unique`, or the size of a domain from which they are drawn, such as 5
    /// [default: unique]
    #[arg(long, value_parser = values)]
    values: Option<Values>,

    /// A client gives up an operation after this time [default: 1s]
    #[arg(long, value_parser = humantime::parse_duration)]
    operation_timeout: Option<Duration>,

    /// Shortest election timeout of a node; each is drawn between it and its double
    /// [default: 500ms]
    #[arg(long, value_parser = humantime::parse_duration)]
    election_timeout: Option<Duration>,

    /// Time between two heartbeats of a leader [default: 100ms]
    #[arg(long, value_parser = humantime::parse_duration)]
    heartbeat_interval: Option<Duration>,

    /// Where nodes keep their data.
    #[arg(long, value_enum, default_value_t)]
    storage: Storage,
}

/// Which nodes have which known bug.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct MutantOptions {
    /// A known bug that all nodes have, or those that are named, as in NAME:n2,n3. May be given
    /// several times. Only builds with the cargo feature `mutants` have them; `harness mutants`
    /// lists them.
    #[arg(long = "mutant", value_name = "NAME[:NODES]")]
    mutants: Vec<PlacedMutant>,
}

impl MutantOptions {
    /// Whether any was asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.mutants.is_empty()
    }

    /// The plan with these mutants in place of its own, if any were asked for.
    ///
    /// # Errors
    /// One is on a node that the plan has not.
    pub(super) fn applied_to(&self, mut plan: Plan) -> anyhow::Result<Plan> {
        if !self.is_empty() {
            plan.mutants.clone_from(&self.mutants);
            plan.validate()?;
        }
        Ok(plan)
    }
}

/// Written values: unique ones, or drawn from a domain.
#[derive(Clone, Copy, Debug, Default)]
struct Values(Option<u32>);

fn values(text: &str) -> Result<Values, String> {
    match text {
        "unique" => Ok(Values(None)),
        _ => text
            .parse()
            .map(|size| Values(Some(size)))
            .map_err(|_| "choose `unique`, or the size of a domain, such as 5".to_owned()),
    }
}

/// The plan of a run directory, or of a file.
pub(super) fn load(path: &Path) -> Result<Plan, Usage> {
    if !path.is_dir() {
        return Ok(Plan::load(path)?);
    }
    let file = path.join("plan.json");
    let runs = if file.exists() { Vec::new() } else { runs_below(path) };
    if let Some(run) = runs.first() {
        let some = if runs.len() == 1 { "a run" } else { "runs" };
        return Err(Usage(anyhow!(
            "{} is no run directory, but has {some} below it: name one, such as {}",
            path.display(),
            run.display()
        )));
    }
    if !file.exists() {
        return Err(Usage(anyhow!(
            "{} is no run directory: it has no plan.json; name one that a test printed as its \
             report's, or a plan",
            path.display()
        )));
    }
    Ok(Plan::load(&file)?)
}

/// The run directories in a directory, as a campaign makes them.
fn runs_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut runs: Vec<PathBuf> = entries.filter(|path| path.join("plan.json").exists()).collect();
    runs.sort();
    runs
}

/// What differs between a test and a campaign where the user asks for nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    /// Faults, as `--faults` takes them.
    pub(super) faults: &'static str,
    /// Operations per second.
    pub(super) rate: u64,
    /// Time between two faults, if the test is long enough.
    pub(super) interval: Duration,
    /// Whether the test goes to extremes: see [`extreme`].
    pub(super) extreme: bool,
}

/// Half of the clients stay with their node, the load stands still for a while, and nodes have
/// limits that a calm cluster does not reach, and a cut-off leader whose clients keep asking does.
fn extreme(plan: &mut Plan) {
    let clients = plan.load.concurrency;
    plan.load.loyal = clients / 2;
    let idle = Stretch { at: plan.time * 2 / 5, lasts: plan.time / 15, per_second: 0 };
    plan.load.stretches = vec![idle];
    if !plan.system.is_raft_node() {
        return;
    }
    let limits = &mut plan.world.limits;
    let clients = usize::try_from(clients).unwrap_or(usize::MAX);
    limits.requests = limits.requests.min(clients.max(8));
    limits.uncommitted_bytes =
        limits.uncommitted_bytes.min(clients.saturating_mul(UNCOMMITTED_BYTES));
}

/// Room for uncommitted entries, for each client: more than one entry of the workload.
const UNCOMMITTED_BYTES: usize = 200;

impl PlanOptions {
    /// What clients do, of the kind that was asked for.
    fn workload(&self) -> Workload {
        let keys = |default| self.keys.unwrap_or(default);
        match self.workload.unwrap_or(Drawn::Register) {
            Drawn::Register => Workload::Register(register::Options {
                keys: keys(20),
                values: self.values.unwrap_or_default().0,
                reads: self.reads.unwrap_or_default(),
            }),
            Drawn::Etcd => {
                let sparing = self.system.description().client.spare && !self.known_defects;
                Workload::Etcd(etcd::Options { keys: keys(20), large: LARGE, sparing })
            }
            Drawn::Append => Workload::Append(append::Options { keys: keys(5) }),
            Drawn::Set => Workload::Set(set::Options { keys: keys(1) }),
            Drawn::Bank => Workload::Bank(bank::Options { keys: keys(8) }),
        }
    }

    /// Checks that what was asked of reads is asked of registers.
    ///
    /// # Errors
    /// The workload has no such reads.
    fn check_reads(&self) -> anyhow::Result<()> {
        let of_registers = self.workload.is_none_or(|workload| workload == Drawn::Register);
        ensure!(
            self.reads.is_none() || of_registers,
            "--reads chooses how registers are read: leave it out, or use --workload register"
        );
        Ok(())
    }

    /// The plan of a seed. What the user did not ask for has its default.
    pub(super) fn plan(
        &self,
        cluster: ClusterKind,
        seed: u64,
        defaults: Defaults,
    ) -> anyhow::Result<Plan> {
        self.check_reads()?;
        let menu = match &self.faults {
            Some(menu) => menu.clone(),
            None => defaults.faults.parse().map_err(anyhow::Error::msg)?,
        };
        let time = self.time.unwrap_or(Duration::from_secs(60));
        let mut plan = Plan::generate(plan::Options {
            system: self.system.clone(),
            cluster,
            nodes: self.nodes.unwrap_or(5),
            seed,
            time,
            interval: Some(self.interval.unwrap_or(defaults.interval.min(time / 5))),
            menu,
            workload: self.workload(),
            load: Load::steady(
                self.concurrency.unwrap_or(10),
                self.rate.unwrap_or(defaults.rate),
                self.operation_timeout.unwrap_or(Duration::from_secs(1)),
            ),
            timings: Timings {
                election_timeout: self.election_timeout.unwrap_or(Duration::from_millis(500)),
                heartbeat_interval: self.heartbeat_interval.unwrap_or(Duration::from_millis(100)),
            },
            storage: self.storage,
            world: World::default(),
        })?;
        plan.probe_interval = PROBE_INTERVAL;
        if defaults.extreme {
            extreme(&mut plan);
            plan.validate()?;
        }
        Ok(plan)
    }

    /// The kinds of faults that a campaign chooses from, in their order.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let listed = |kind: &&str| match &self.faults {
            None => true,
            Some(menu) => menu.items.iter().flatten().any(|fault| fault.kind() == *kind),
        };
        KINDS.into_iter().filter(listed).collect()
    }

    /// The plan of a seed of a campaign. What the user did not ask for is drawn from the seed.
    pub(super) fn drawn(&self, cluster: Option<ClusterKind>, seed: u64) -> anyhow::Result<Plan> {
        self.check_reads()?;
        ensure!(
            self.system.is_raft_node(),
            "campaigns are simulated, and simulated are this project's own nodes: test {} in \
             containers with `harness test`",
            self.system
        );
        let given = Given {
            cluster,
            nodes: self.nodes,
            time: self.time,
            menu: self.faults.clone(),
            interval: self.interval,
            concurrency: self.concurrency,
            rate: self.rate,
            workload: self.workload,
            reads: self.reads,
            keys: self.keys,
            values: self.values.map(|values| values.0),
            operation_timeout: self.operation_timeout,
            election_timeout: self.election_timeout,
            heartbeat_interval: self.heartbeat_interval,
            storage: self.storage,
        };
        swarm::plan(&given, seed)
    }
}
