//! The options of which a plan is made, shared by `test` and `sim`.

use std::time::Duration;

use clap::ValueEnum;

use crate::{
    nemesis::Menu,
    plan::{self, ClusterKind, Load, Plan, Storage, Timings, World},
    system::System,
    workload::{Workload, register},
};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WorkloadName {
    /// Reads, writes and compare-and-sets of single keys.
    Register,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct PlanOptions {
    /// Number of nodes, 1 to 9.
    #[arg(long, default_value_t = 5)]
    nodes: u64,

    /// How long clients and faults run, such as 30s or 5m. Start, recovery and checking come on
    /// top.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    time: Duration,

    /// What clients do.
    #[arg(long, value_enum, default_value_t = WorkloadName::Register)]
    workload: WorkloadName,

    /// Faults to choose from, separated by commas: `kill`, `pause`, `partition`, or `none`.
    ///
    /// Narrower: kill:TARGET and pause:TARGET with a target of one, minority, majority, all,
    /// leader, followers, random, or a node n1 to n9; partition:SHAPE with a shape of one, halves,
    /// minority, leader-minority, leader-alone, majorities-ring, bridge, deaf, mute; and
    /// partition:SHAPE:TARGET for one, deaf and mute.
    #[arg(long, default_value = "kill,pause,partition")]
    faults: Menu,

    /// Time between two faults, more or less; they last half as long to one and a half times as
    /// long, so that some overlap [default: 5s, or a fifth of --time where that is shorter]
    #[arg(long, value_parser = humantime::parse_duration)]
    interval: Option<Duration>,

    /// Clients, each with one operation open at most.
    #[arg(long, default_value_t = 10)]
    concurrency: u64,

    /// Operations started per second by all clients together; 0: as many as they can [default: 0;
    /// of a campaign 20]
    #[arg(long)]
    rate: Option<u64>,

    /// Number of keys.
    #[arg(long, default_value_t = 20)]
    keys: u32,

    /// Written values: `unique`, or the size of a domain from which they are drawn, such as 5.
    #[arg(long, default_value = "unique", value_parser = values)]
    values: Values,

    /// A client gives up an operation after this time.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    operation_timeout: Duration,

    /// Shortest election timeout of a node; each is drawn between it and its double.
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    election_timeout: Duration,

    /// Time between two heartbeats of a leader.
    #[arg(long, default_value = "100ms", value_parser = humantime::parse_duration)]
    heartbeat_interval: Duration,

    /// Where nodes keep their data.
    #[arg(long, value_enum, default_value_t)]
    storage: Storage,
}

/// None: unique.
type Values = Option<u32>;

fn values(text: &str) -> Result<Values, String> {
    match text {
        "unique" => Ok(None),
        _ => text
            .parse()
            .map(Some)
            .map_err(|_| "choose `unique`, or the size of a domain, such as 5".to_owned()),
    }
}

impl PlanOptions {
    /// The plan of a seed. `rate` is that of a user who asks for none.
    pub(super) fn plan(&self, cluster: ClusterKind, seed: u64, rate: u64) -> anyhow::Result<Plan> {
        let WorkloadName::Register = self.workload;
        Plan::generate(plan::Options {
            system: System::RaftNode,
            cluster,
            nodes: self.nodes,
            seed,
            time: self.time,
            interval: self.interval,
            menu: self.faults.clone(),
            workload: Workload::Register(register::Options {
                keys: self.keys,
                values: self.values,
            }),
            load: Load {
                concurrency: self.concurrency,
                rate: self.rate.unwrap_or(rate),
                operation_timeout: self.operation_timeout,
            },
            timings: Timings {
                election_timeout: self.election_timeout,
                heartbeat_interval: self.heartbeat_interval,
            },
            storage: self.storage,
            world: World::default(),
        })
    }
}
