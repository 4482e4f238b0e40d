//! A node's process: the real server on a runtime of its own, whose clock only the world advances.
//!
//! A process that is killed loses its runtime, and so all its tasks at once. One that is paused is
//! not stepped; when it goes on its clock has jumped, as a frozen container's has.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Once},
    time::Duration,
};

use node::{
    mutants::Mutants,
    server::{self, Config},
    storage::Options,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::{Instant, sleep_until},
};
use tracing::Dispatch;

use super::machine::Machine;
use crate::{
    exercise::{self, Exit, SIGKILLED},
    nemesis::NodeId,
    panics::words,
    plan::Plan,
};

/// Exit codes of the node's binary.
const FAILED: i64 = 3;
const DEFECT: i64 = 101;
/// Names the cluster.
const CLUSTER: u64 = 0x51_50;

/// Where clients reach a node.
pub(super) fn client_address(node: NodeId) -> String {
    format!("n{node}:2379")
}

fn peer_address(node: NodeId) -> String {
    format!("n{node}:2380")
}

/// A node.
pub(super) struct Process {
    pub(super) node: NodeId,
    pub(super) machine: Machine,
    pub(super) paused: bool,
    log: Dispatch,
    running: Option<Running>,
    exit: Option<Exit>,
}

struct Running {
    runtime: Runtime,
    server: Pin<Box<dyn Future<Output = anyhow::Result<()>>>>,
    stop: Option<oneshot::Sender<()>>,
    /// What the runtime's clock showed when the world's showed `began`.
    origin: Instant,
    began: Duration,
    /// The world's time at the end of its last step.
    stepped: Duration,
}

thread_local! {
    /// Panics of the node that this thread steps.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From now on panics of nodes are kept, and not printed.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let kept = PANICS.with_borrow_mut(|panics| {
                panics.as_mut().map(|panics| panics.push(panic.to_string())).is_some()
            });
            if !kept {
                before(panic);
            }
        }));
    });
}

/// What ended a step.
enum Stepped {
    /// Its time is over.
    On,
    /// The server ended.
    Ended(anyhow::Result<()>),
    /// A part of it panicked.
    Panicked(String),
}

impl Process {
    /// A node that was never started.
    pub(super) fn new(node: NodeId, machine: Machine) -> Self {
        keep_panics();
        let log = machine.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_target(false)
            .with_ansi(false)
            .without_time()
            .with_writer(move || log.log())
            .finish();
        let log = Dispatch::new(subscriber);
        Self { node, machine, paused: false, log, running: None, exit: None }
    }

    /// Starts it with what its disk holds; nothing if it runs. It runs from the next step on.
    ///
    /// # Errors
    /// There is no runtime to be had.
    pub(super) fn start(&mut self, plan: &Plan, seed: u64, now: Duration) -> std::io::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let (stop, stopped) = oneshot::channel();
        let config = config(plan, self.node, seed);
        let segment_bytes = plan.world.disk.segment_bytes;
        let segments = Options { first_segment_bytes: segment_bytes / 4, segment_bytes };
        let machine = Arc::new(self.machine.clone());
        let server = Box::pin(server::serve(machine, config, segments, async {
            // A process whose world ends is not asked to stop.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        let origin = runtime.block_on(async { Instant::now() });
        self.paused = false;
        self.exit = None;
        self.running =
            Some(Running { runtime, server, stop: Some(stop), origin, began: now, stepped: now });
        Ok(())
    }

    /// Asks it to stop in order.
    pub(super) fn ask_to_stop(&mut self) {
        if let Some(stop) = self.running.as_mut().and_then(|running| running.stop.take()) {
            let _ = stop.send(());
        }
    }

    /// Whether there is a process, even a paused one.
    pub(super) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// It ends at once. False: there was no process.
    pub(super) fn kill(&mut self) -> bool {
        let killed = self.end(Exit { code: Some(SIGKILLED), ..Exit::default() });
        self.paused = false;
        killed
    }

    fn end(&mut self, exit: Exit) -> bool {
        let Some(running) = self.running.take() else { return false };
        // Within the runtime, as some of what is dropped looks for its timers.
        let Running { runtime, server, .. } = running;
        let guard = runtime.enter();
        drop(server);
        drop(guard);
        runtime.shutdown_background();
        self.exit = Some(Exit { said: self.machine.hardware().said(), ..exit });
        true
    }

    /// What a look from outside shows.
    pub(super) fn seen(&self, boot: u64) -> exercise::Process {
        let exit = self.exit.clone().filter(|_| !self.is_up());
        exercise::Process { running: self.is_up(), paused: self.paused, boot, exit }
    }

    /// Runs it until its clock, and the world's, show `until`.
    pub(super) fn step(&mut self, until: Duration) {
        if self.paused {
            return;
        }
        let Some(running) = &mut self.running else { return };
        let stepped = tracing::dispatcher::with_default(&self.log, || running.step(until));
        match stepped {
            Stepped::On => {}
            Stepped::Ended(Ok(())) => {
                self.end(Exit { code: Some(0), ..Exit::default() });
            }
            Stepped::Ended(Err(why)) => {
                self.print(&format!("ERROR {why:#}"));
                self.end(Exit { code: Some(FAILED), ..Exit::default() });
            }
            Stepped::Panicked(words) => {
                self.print(&format!("ERROR the node stops, as it has a defect: {words}"));
                self.end(Exit { code: Some(DEFECT), defect: true, ..Exit::default() });
            }
        }
    }

    fn print(&self, line: &str) {
        let log = &mut self.machine.hardware().log;
        log.extend(line.replace('\n', " ").bytes().chain([b'\n']));
    }
}

impl Running {
    fn step(&mut self, until: Duration) -> Stepped {
        let Self { runtime, server, origin, began, stepped, .. } = self;
        // More than a step is the time for which it was paused.
        let jump = until.saturating_sub(*stepped).saturating_sub(super::TICK);
        *stepped = until;
        let until = *origin + (until - *began);
        PANICS.set(Some(Vec::new()));
        let ended = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                if !jump.is_zero() {
                    tokio::time::advance(jump).await;
                }
                tokio::select! {
                    biased;
                    result = server => Some(result),
                    () = sleep_until(until) => None,
                }
            })
        }));
        let panics = PANICS.take().unwrap_or_default();
        match (ended, panics.into_iter().next()) {
            (_, Some(panic)) => Stepped::Panicked(panic),
            (Err(panic), None) => Stepped::Panicked(words(&*panic).to_owned()),
            (Ok(Some(result)), None) => Stepped::Ended(result),
            (Ok(None), None) => Stepped::On,
        }
    }
}

fn config(plan: &Plan, id: NodeId, seed: u64) -> Config {
    let cluster: BTreeMap<_, _> =
        plan.node_ids().into_iter().map(|id| (id, peer_address(id))).collect();
    let mutants: Mutants = plan.mutants_of(id);
    Config {
        id,
        name: format!("n{id}"),
        cluster,
        cluster_id: CLUSTER,
        data_dir: "data".into(),
        listen_peer: peer_address(id),
        listen_client: client_address(id),
        client_url: format!("http://{}", client_address(id)),
        election_timeout: plan.timings.election_timeout,
        heartbeat_interval: plan.timings.heartbeat_interval,
        trace: Some("trace".into()),
        seed,
        limits: plan.world.limits.into(),
        mutants,
        log: tracing::Level::INFO,
    }
}
