//! Interprets a plan on a cluster of containers, or has it simulated, and records the evidence.
//!
//! - `directory`, `record`, `environment`: what is written, while it arises;
//! - `live`: the check of the history while it is recorded;
//! - `bringup`: until every node serves and a leader is known;
//! - `clients`, [`faults`](self), `watch`: load, faults and observation side by side;
//! - `finish`: recovery, equal stores, final reads;
//! - [`simulation`]: the same for a simulated cluster;
//! - [`judge()`]: evidence to a verdict, at the end of a run or at any later time;
//! - [`Stop`]: Ctrl-C and its kin.
//!
//! Whatever happens after the cluster exists (a stop, an error, a panic), faults end, what can be
//! collected is, `run.json` says why the evidence is incomplete, and the containers are removed.
//! Such a run is judged too: it is a violation if it shows one, else undecided.

mod bringup;
mod clients;
pub(crate) mod directory;
pub(crate) mod environment;
mod faults;
mod finish;
mod judge;
pub(crate) mod limits;
mod live;
mod progress;
mod record;
pub mod simulation;
mod stop;
mod watch;

use std::{
    collections::BTreeMap,
    fs,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, anyhow};
use checker::evidence::{self, Run};
use futures::{FutureExt, future::join_all};
use tokio::{sync::watch as channel, task::JoinSet};

pub(crate) use judge::save as save_verdict;
pub use judge::{Judgement, judge};
pub use record::Counts;
pub use stop::Stop;

use self::{
    bringup::Exited,
    clients::{Client, Load, Pace},
    faults::Nemesis,
    limits::{GRACE, expect, patience},
    live::{Live, Violation},
    progress::{Progress, Status},
    record::History,
    watch::Watch,
};
use crate::{
    cluster::docker::{self, Cluster},
    images::{self, Images},
    plan::{ClusterKind, Plan, World},
    report,
    system::Node,
};

/// How often the progress line changes.
const TICK: Duration = Duration::from_millis(200);

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The test.
    pub plan: Plan,
    /// The run directory; none: one below `results/`.
    pub out: Option<PathBuf>,
    /// First of the ports of 127.0.0.1 at which clients reach the nodes; none: free ones.
    pub base_port: Option<u16>,
    /// Images to use as they are; none: those of this project, built where they are missing.
    pub images: Option<Images>,
    /// The command line, for `environment.json`.
    pub command: Vec<String>,
    /// Whether to go on after a violation that was found while the run went on.
    pub keep_going: bool,
    /// Only for testing the harness itself: faults are recorded as usual and not carried out, so
    /// that none can prove itself.
    #[doc(hidden)]
    pub inert: bool,
}

/// What became of a run that was judged.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The run directory.
    pub directory: PathBuf,
    /// The verdict and what it rests on.
    pub judgement: Judgement,
    /// The page, or why there is none.
    pub page: Result<PathBuf, String>,
    /// What could not be cleaned up.
    pub left: Option<String>,
}

/// Runs a plan.
///
/// # Errors
/// The environment failed, or a stop was asked for before the load began, or asked for twice:
/// there is no verdict. Containers are gone nevertheless, unless the error says otherwise.
pub async fn run(settings: &Settings, stop: &Stop) -> anyhow::Result<Finished> {
    let plan = &settings.plan;
    if plan.cluster == ClusterKind::Sim {
        return simulation::run(settings, stop).await;
    }
    let dir = directory::create(settings.out.as_deref(), plan.workload.name(), plan.seed)?;
    let mut progress = Progress::new();
    if let Some(ignored) = ignored(plan) {
        progress::print(ignored);
    }
    let created = tokio::select! {
        created = create(settings, &dir, &mut progress) => created,
        () = stop.first() => Err(stopped(stop)),
    };
    let cluster = match created {
        Ok(created) => created,
        Err(error) => {
            progress.end();
            // Nothing was recorded: an empty directory is of no use. One with something in it stays.
            let _ = fs::remove_dir(&dir);
            return Err(error);
        }
    };
    let cluster = Arc::new(cluster);
    let result = tokio::select! {
        result = on_cluster(settings, &dir, &cluster, &mut progress, stop) => result,
        () = stop.second() => Err(anyhow!("stopped at once; the evidence was not collected")),
    };
    progress.step("Cleaning up");
    let left = cluster.destroy().await.err().map(|error| format!("{error:#}"));
    progress.end();
    match result {
        Ok((judgement, page)) => Ok(Finished { directory: dir, judgement, page, left }),
        Err(error) => Err(match left {
            Some(left) => error.context(format!("and cleaning up failed: {left}")),
            None => error,
        }),
    }
}

/// What of a plan containers cannot follow, in a sentence.
fn ignored(plan: &Plan) -> Option<&'static str> {
    (plan.world != World::default()).then_some(
        "The plan describes a simulated world (network, disks, clocks, limits): containers have \
         these from this machine, so that part of the plan is ignored.",
    )
}

fn stopped(stop: &Stop) -> anyhow::Error {
    anyhow!("stopped by {} before the test began", stop.asked().unwrap_or("a signal"))
}

/// Pods and node containers, not started yet.
async fn create(
    settings: &Settings,
    dir: &Path,
    progress: &mut Progress,
) -> anyhow::Result<Cluster> {
    let plan = &settings.plan;
    progress.step("Looking for the Docker daemon and the images");
    let docker = docker::connect().await?;
    let say = |text: &str| progress::print(text);
    let images = match &settings.images {
        Some(images) => images.clone(),
        None => images::ensure(&docker, images::Source::Auto, &say).await?,
    };
    progress.step(&format!("Creating {} nodes", plan.nodes));
    let options = docker::Options {
        run_id: run_id(plan.seed),
        storage: plan.storage,
        nodes: usize::try_from(plan.nodes)?,
        base_port: settings.base_port,
        election_timeout: plan.timings.election_timeout,
        heartbeat_interval: plan.timings.heartbeat_interval,
        seed: plan.seed,
    };
    let cluster = Cluster::create(&docker, &images, &options).await?;
    plan.save(dir)?;
    environment::write(dir, &docker, &images, &settings.command, ignored(plan)).await?;
    Ok(cluster)
}

/// Names a run's containers: unique on this machine at one time.
fn run_id(seed: u64) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}-{:x}", since.as_secs(), std::process::id(), seed & 0xffff)
}

/// Everything between a created cluster and its end.
async fn on_cluster(
    settings: &Settings,
    dir: &Path,
    cluster: &Arc<Cluster>,
    progress: &mut Progress,
    stop: &Stop,
) -> anyhow::Result<(Judgement, Result<PathBuf, String>)> {
    let plan = &settings.plan;
    let nodes: BTreeMap<_, _> =
        cluster.nodes().map(|node| (node, Node::new(cluster.client_address(node)))).collect();
    let watch = Arc::new(Watch::new(nodes));
    progress.step("Starting the nodes and waiting for a leader");
    let up = tokio::select! {
        up = bringup::bring_up(cluster, &watch) => up,
        () = stop.first() => Err(stopped(stop)),
    };
    if let Err(error) = up {
        let _ = cluster.collect(dir).await;
        return Err(error);
    }

    let start = Instant::now();
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut run = Run {
        model: plan.workload.model().into(),
        started: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX),
        nodes: usize::try_from(plan.nodes)?,
        traced: plan.system.traced(),
        expect: expect(plan),
        ..Run::default()
    };
    let (live, violation) = Live::new(plan.workload.model());
    let history = Arc::new(History::create(dir, start, live)?);
    let faults = record::Faults::create(dir, start)?;
    let nemesis = Nemesis::new(
        Arc::clone(cluster),
        Arc::clone(&watch),
        faults,
        start,
        settings.inert,
        plan.system,
    );
    let exercise = Exercise {
        plan,
        start,
        stop,
        keep_going: settings.keep_going,
        violation: violation.clone(),
        watch,
        history: Arc::clone(&history),
        nemesis: Arc::new(nemesis),
        cluster: Arc::clone(cluster),
    };
    let outcome = AssertUnwindSafe(exercise.perform(&mut run, progress)).catch_unwind().await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => run.incomplete.push(format!("{error:#}")),
        Err(panic) => run.incomplete.push(format!("the harness panicked: {}", words(&*panic))),
    }

    progress.step("Collecting the evidence");
    run.duration = history.last();
    for closed in [history.close(), exercise.nemesis.record.close()] {
        if let Err(error) = closed {
            run.incomplete.push(format!("{error:#}"));
        }
    }
    if let Some(found) = &*violation.borrow() {
        run.incomplete.push(format!("found while the run went on: {found}"));
    }
    run.crashes = exercise.nemesis.take_crashes();
    for error in exercise.end_nodes().await {
        match Exited::crash(&error, plan.system) {
            Some(crash) => run.crashes.push(crash),
            None => run.incomplete.push(format!("{error:#}")),
        }
    }
    match cluster.collect(dir).await {
        Ok(missing) => run.incomplete.extend(missing),
        Err(error) => run.incomplete.push(format!("{error:#}")),
    }
    match evidence::sizes(dir) {
        Ok(files) => run.files = files,
        Err(error) => run.incomplete.push(format!("{}: {error}", dir.display())),
    }
    // Without it the verdict is at best undecided; but a violation outranks a full disk.
    if let Err(error) = save(dir, &run) {
        progress::print(&format!("{error:#}"));
    }

    progress.step("Checking the evidence");
    let owned = dir.to_owned();
    let judged = tokio::task::spawn_blocking(move || {
        let judgement = judge(&owned)?;
        let page = report::write(&owned).map_err(|error| format!("{error:#}"));
        anyhow::Ok((judgement, page))
    });
    judged.await.context("the checker panicked")?
}

/// Writes `run.json`, whole or not at all.
fn save(dir: &Path, run: &Run) -> anyhow::Result<()> {
    let path = dir.join("run.json");
    let mut text = serde_json::to_string_pretty(run).context("run.json")?;
    text.push('\n');
    fs::write(&path, text).with_context(|| {
        let _ = fs::remove_file(&path);
        format!("cannot write {}", path.display())
    })
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it said nothing")
}

/// A cluster under load and faults.
struct Exercise<'a> {
    plan: &'a Plan,
    start: Instant,
    stop: &'a Stop,
    keep_going: bool,
    violation: Violation,
    watch: Arc<Watch>,
    history: Arc<History>,
    nemesis: Arc<Nemesis>,
    cluster: Arc<Cluster>,
}

impl Exercise<'_> {
    async fn perform(&self, run: &mut Run, progress: &mut Progress) -> anyhow::Result<()> {
        let plan = self.plan;
        let nodes = plan.nodes;
        // One client for each node asks whether it serves, and one reads at the end.
        let (prober, reader) = (plan.load.concurrency, plan.load.concurrency + nodes);
        let load = Arc::new(Load {
            nodes: self.cluster.nodes().map(|id| (id, self.cluster.client_address(id))).collect(),
            timeout: plan.load.operation_timeout,
            tells_outcome: plan.system.tells_outcome(),
            stride: reader + 1,
            history: Arc::clone(&self.history),
        });
        let keys = plan.workload.keys();
        let workload = Arc::new(Mutex::new(plan.workload.generator(plan.seed)));
        let pace = Arc::new(Pace::new(plan.load.rate));
        let (end_load, load_ends) = channel::channel(false);
        let (end_faults, faults_end) = channel::channel(false);

        // Dropped on any way out, and with it all that runs in it.
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self.watch).run());
        let mut clients = JoinSet::new();
        for number in 0..plan.load.concurrency {
            clients.spawn(clients::drive(
                Client::new(&load, number),
                Arc::clone(&workload),
                Arc::clone(&pace),
                self.start,
                load_ends.clone(),
            ));
        }
        let mut faults = JoinSet::new();
        faults.spawn(Arc::clone(&self.nemesis).run(plan.faults.clone(), faults_end));

        let time_up = tokio::time::sleep_until((self.start + plan.time).into());
        self.showing(progress, async {
            tokio::select! {
                () = time_up => {}
                () = self.stop.first() => {}
                () = self.violated() => {}
            }
        })
        .await;
        if self.ended_early().is_some() {
            end_load.send_replace(true);
        }
        end_faults.send_replace(true);
        let healing = async {
            while let Some(ended) = faults.join_next().await {
                ended.context("the faults' task panicked")??;
            }
            anyhow::Ok(())
        };
        self.showing(progress, healing).await?;

        if let Some(why) = self.ended_early() {
            let after = humantime::format_duration(Duration::from_millis(
                u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            ));
            run.incomplete.push(format!("the run was ended after {after} by {why}"));
        } else {
            run.healed = Some(self.nemesis.record.now());
            let first = keys.first().map_or("", String::as_str);
            let wait = patience(plan) + GRACE;
            let recovery = finish::recovery(&load, prober, first, wait);
            let silent = self.showing(progress, recovery).await;
            if !silent.is_empty() {
                let silent: Vec<_> = silent.iter().map(|node| format!("n{node}")).collect();
                run.incomplete.push(format!(
                    "{} did not serve within {wait:?} after the last heal",
                    silent.join(", ")
                ));
            }
        }
        end_load.send_replace(true);
        while let Some(ended) = clients.join_next().await {
            ended.context("a client's task panicked")?;
        }
        if self.ended_early().is_none() {
            progress.step("Reading every key and comparing the nodes' stores");
            let unread = finish::final_reads(&load, reader, &keys, patience(plan)).await;
            if !unread.is_empty() {
                run.incomplete.push(format!("no final read of {} succeeded", unread.join(", ")));
            }
            match finish::hashes(&self.watch, patience(plan)).await {
                Ok(hashes) => run.final_hashes = hashes,
                Err(why) => run.incomplete.push(format!("the stores were not compared: {why}")),
            }
        }
        Ok(())
    }

    /// Why the run does not go on to its planned end, if it does not.
    fn ended_early(&self) -> Option<String> {
        if let Some(signal) = self.stop.asked() {
            return Some(signal.to_owned());
        }
        let violated = !self.keep_going && self.violation.borrow().is_some();
        violated.then(|| "a violation of linearizability".to_owned())
    }

    /// Waits for a violation that ends the run.
    async fn violated(&self) {
        let mut violation = self.violation.clone();
        if self.keep_going || violation.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for something, with the progress line alive.
    async fn showing<T>(&self, progress: &mut Progress, something: impl Future<Output = T>) -> T {
        let mut ticks = tokio::time::interval(TICK);
        tokio::pin!(something);
        loop {
            tokio::select! {
                done = &mut something => return done,
                _ = ticks.tick() => progress.status(&Status {
                    elapsed: self.start.elapsed(),
                    total: self.plan.time,
                    counts: self.history.counts(),
                    faults: self.nemesis.active(),
                    leader: self.watch.leader(),
                }),
            }
        }
    }

    /// Ends every node in order. Returns an error for each that had ended by itself, or could not
    /// be ended: a trace that still grows must not be taken for a whole one.
    async fn end_nodes(&self) -> Vec<anyhow::Error> {
        let disturbed = self.nemesis.disturbed();
        let ends = self.cluster.nodes().map(|node| {
            let (cluster, disturbed) = (&self.cluster, &disturbed);
            async move {
                if disturbed.contains(&node) {
                    // Its fault could not be healed, which is on record.
                    let _ = cluster.unpause(node).await;
                    let _ = cluster.kill(node).await;
                    return None;
                }
                let alone = bringup::running(cluster, node, 1).await.err();
                let stopped = cluster.stop(node).await.err();
                alone.or(stopped)
            }
        });
        join_all(ends).await.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{Load, Options, Storage, Timings},
        system::System,
        workload::{Workload, register},
    };

    #[test]
    fn little_is_expected_of_a_low_rate() {
        let plan = |rate| {
            Plan::generate(Options {
                system: System::RaftNode,
                cluster: ClusterKind::Docker,
                storage: Storage::Durable,
                world: World::default(),
                nodes: 3,
                seed: 1,
                time: Duration::from_secs(60),
                interval: None,
                menu: "kill".parse().unwrap(),
                workload: Workload::Register(register::Options { keys: 1, values: None }),
                load: Load { concurrency: 1, rate, operation_timeout: Duration::from_secs(1) },
                timings: Timings {
                    election_timeout: Duration::from_millis(500),
                    heartbeat_interval: Duration::from_millis(100),
                },
            })
            .unwrap()
        };
        for (rate, operations) in [(0, 300), (1, 15), (5, 75), (20, 300), (5000, 300)] {
            assert_eq!(expect(&plan(rate)).operations, operations, "{rate}");
        }
        let plan = plan(0);
        assert_eq!(expect(&plan).faults, plan.faults.len());
    }
}
