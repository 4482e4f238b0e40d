//! Interprets a plan on a cluster of containers, or has it simulated, and records the evidence.
//!
//! - `directory`, `record`, `environment`: what is written, while it arises;
//! - `files`: the digest of each file;
//! - `live`: the check of the history while it is recorded;
//! - `lead`: leads [`crate::exercise`] on containers, in real time;
//! - [`simulation`]: the same for a simulated cluster;
//! - [`judge()`]: evidence to a verdict, at the end of a run or at any later time;
//! - [`Stop`]: Ctrl-C and its kin.
//!
//! Whatever happens after the cluster exists (a stop, an error, a panic), faults end, what can be
//! collected is, `run.json` says why the evidence is incomplete, and the containers are removed.
//! Such a run is judged too: it is a violation if it shows one, else undecided.

pub(crate) mod directory;
pub(crate) mod environment;
pub(crate) mod files;
mod judge;
mod lead;
mod live;
mod progress;
mod record;
pub mod simulation;
mod stop;

use std::{
    fs,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, anyhow, bail};
use checker::evidence::Run;
use futures::{FutureExt, future::join_all};

pub(crate) use judge::save as save_verdict;
pub use judge::{Judgement, judge};
pub use record::Counts;
pub use stop::Stop;

use self::{
    files::Files,
    judge::{Ended, judge_ended},
    lead::Lead,
    live::Live,
    progress::Progress,
    record::Recorder,
};
use crate::{
    cluster::{
        self,
        docker::{self, Cluster, Collected, driver::Driver, hands::HANG},
    },
    daemon,
    exercise::{self, Exercise, limits::expect},
    images::{self, Images},
    panics::words,
    plan::{ClusterKind, Plan, World},
    report,
};

/// Longest wait for the removal of a cluster.
const CLEAN_UP: Duration = Duration::from_secs(60);
/// The same, after the second request to stop.
const HURRY: Duration = Duration::from_secs(3);

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
    /// Only for testing the harness itself: it panics so long after the load began.
    #[doc(hidden)]
    pub panics_at: Option<Duration>,
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
    cluster::check(plan)?;
    if plan.cluster != ClusterKind::Docker {
        return simulation::run(settings, stop).await;
    }
    let dir = directory::create(settings.out.as_deref(), plan.workload.name(), plan.seed)?;
    let mut progress = Progress::new();
    if let Some(ignored) = ignored(plan) {
        progress::print(ignored);
    }
    let mut files = Files::new(&dir);
    let created = tokio::select! {
        created = create(settings, &mut files, &mut progress) => created,
        () = stop.first() => Err(stopped(stop)),
    };
    let cluster = match created {
        Ok(created) => created,
        Err(error) => {
            progress.end();
            // Nothing was recorded: an empty directory is of no use. One with something in it
            // stays.
            let _ = fs::remove_dir(&dir);
            return Err(error);
        }
    };
    let cluster = Arc::new(cluster);
    let result = tokio::select! {
        result = on_cluster(settings, files, &cluster, &mut progress, stop) => result,
        () = stop.second() => Err(anyhow!("stopped at once; the evidence was not collected")),
    };
    progress.step("Cleaning up");
    let left = clean_up(&cluster, stop).await;
    progress.end();
    match result {
        Ok((judgement, page)) => Ok(Finished { directory: dir, judgement, page, left }),
        Err(error) => Err(match left {
            Some(left) => error.context(format!("not cleaned up: {left}; run `harness gc`")),
            None => error,
        }),
    }
}

/// Removes the cluster, if the daemon does so in time; says what is left.
async fn clean_up(cluster: &Cluster, stop: &Stop) -> Option<String> {
    let in_a_hurry = async {
        stop.second().await;
        tokio::time::sleep(HURRY).await;
    };
    let why = tokio::select! {
        biased;
        _ = cluster.until_lost() => "the Docker daemon does not answer",
        removed = cluster.destroy() => return removed.err().map(|error| format!("{error:#}")),
        () = in_a_hurry => "it took too long after the second signal",
        () = tokio::time::sleep(CLEAN_UP) => "the Docker daemon takes too long",
    };
    cluster.abandon();
    Some(format!("the containers are left, as {why}"))
}

/// What of a plan containers cannot follow, in a sentence.
fn ignored(plan: &Plan) -> Option<&'static str> {
    let limits = plan.world.limits;
    (plan.world != World { limits, ..World::default() }).then_some(
        "The plan describes a simulated world (network, disks, clocks): containers have these from \
         this machine, so that part of the plan is ignored.",
    )
}

fn stopped(stop: &Stop) -> anyhow::Error {
    anyhow!("stopped by {} before the test began", stop.asked().unwrap_or("a signal"))
}

/// Pods and node containers, not started yet.
async fn create(
    settings: &Settings,
    files: &mut Files,
    progress: &mut Progress,
) -> anyhow::Result<Cluster> {
    let plan = &settings.plan;
    progress.step("Looking for the Docker daemon and the images");
    let docker = daemon::connect().await?;
    let say = |text: &str| progress::print(text);
    let images = match &settings.images {
        Some(images) => images.clone(),
        None => {
            let mutants = !plan.mutants.is_empty();
            images::ensure(&docker, images::Source::Auto, &plan.system, mutants, &say).await?
        }
    };
    progress.step(&format!("Creating {} nodes", plan.nodes));
    let options = docker::Options {
        run_id: run_id(plan.seed),
        system: plan.system.clone(),
        storage: plan.storage,
        directory: Some(
            fs::canonicalize(files.dir()).with_context(|| files.dir().display().to_string())?,
        ),
        nodes: usize::try_from(plan.nodes)?,
        base_port: settings.base_port,
        election_timeout: plan.timings.election_timeout,
        heartbeat_interval: plan.timings.heartbeat_interval,
        limits: plan.world.limits,
        seed: plan.seed,
        mutants: plan.node_ids().into_iter().map(|id| (id, plan.mutant_names_of(id))).collect(),
    };
    let cluster = Cluster::create(&docker, &images, &options).await?;
    files.json("plan.json", plan)?;
    let made = environment::Made {
        run: Some(&options.run_id),
        command: &settings.command,
        ignored: ignored(plan),
    };
    environment::write(files, &docker, &images, &made).await?;
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
    mut files: Files,
    cluster: &Arc<Cluster>,
    progress: &mut Progress,
    stop: &Stop,
) -> anyhow::Result<(Judgement, Result<PathBuf, String>)> {
    let plan = &settings.plan;
    let dir = files.dir().to_owned();
    let (live, violation) = Live::new(plan.workload.model());
    let run = Run {
        model: plan.workload.model().into(),
        nodes: usize::try_from(plan.nodes)?,
        traced: plan.system.traced(),
        expect: expect(plan),
        ..Run::default()
    };
    let mut recorder = Recorder::create(&dir, run, live)?;
    let cut = recorder.cut();
    let how = exercise::Settings { hang: HANG, inert: settings.inert };
    let mut lead = Lead {
        plan,
        exercise: Exercise::new(plan, how),
        driver: Driver::new(cluster, plan.load.operation_timeout),
        recorder: &mut recorder,
        progress,
        stop,
        violation: (!settings.keep_going).then(|| violation.clone()),
        cut,
        panics_at: settings.panics_at,
        start: Duration::ZERO,
        now: Duration::ZERO,
    };
    let led = AssertUnwindSafe(lead.run()).catch_unwind().await;
    drop(lead);

    progress.step("Collecting the evidence");
    let began = recorder.began;
    let cut = recorder.cut();
    let (mut run, sums) = recorder.finish();
    run.unfinished = false;
    files.add(sums);
    if let Err(panic) = led {
        run.incomplete.push(format!("the harness panicked: {}", words(&*panic)));
        // Traces that were copied while their nodes go on contradict each other.
        run.incomplete.extend(tokio::select! {
            trouble = halt(cluster) => trouble,
            lost = cluster.until_lost() => vec![lost.to_string()],
        });
    }
    let found = violation.borrow().clone();
    if let Some(found) = &found {
        run.incomplete.push(format!("found while the run went on: {}", found.summary));
    }
    let Collected { missing, sums } = tokio::select! {
        collected = cluster.collect(&dir) => collected,
        lost = cluster.until_lost() => {
            let missing = vec![format!("traces and logs were not collected: {lost}")];
            Collected { missing, ..Collected::default() }
        }
    };
    run.incomplete.extend(missing);
    files.add(sums);
    if !began {
        bail!(match stop.asked() {
            Some(signal) => format!("stopped by {signal} before the test began"),
            None => run.incomplete.join("; "),
        });
    }
    // On a full disk, what is known convicts all the same.
    let saved = files.seal(&run);
    let is_cut = cut.borrow().is_some();
    let ended = Ended { found: found.filter(|_| is_cut), run: saved.is_err().then_some(run) };
    if let Err(error) = saved {
        progress::print(&format!("{error:#}"));
    }

    progress.step("Checking the evidence");
    let judged = tokio::task::spawn_blocking(move || {
        let judgement = judge_ended(&dir, ended)?;
        let page = report::write(&dir).map_err(|error| format!("{error:#}"));
        anyhow::Ok((judgement, page))
    });
    judged.await.context("the checker panicked")?
}

/// Thaws and stops all nodes. Returns a sentence for each that could not be stopped.
async fn halt(cluster: &Cluster) -> Vec<String> {
    let stopped = join_all(cluster.nodes().map(|node| async move {
        let _ = cluster.unpause(node).await;
        cluster.stop(node).await.err().map(|error| format!("{error:#}"))
    }));
    stopped.await.into_iter().flatten().collect()
}
