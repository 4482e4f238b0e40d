//! A Docker daemon that stalls, drops its connections, or comes back: a run ends in time, says what
//! happened, and leaves nothing that `gc` does not remove.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod common;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use bollard::{Docker, query_parameters::ListContainersOptions};
use checker::evidence;
use harness::{
    cluster::docker::{self, OWNER},
    plan::{ClusterKind, Load, Options, Plan, Storage, Timings, World},
    system::System,
    workload::{Workload, register},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::watch,
};

/// One cluster at a time: several on few cores would test the machine rather than the harness.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What the way to the daemon does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Passes everything on.
    Open,
    /// Takes connections and bytes, and passes nothing on.
    Stalled,
    /// Closes every connection.
    Broken,
}

/// Stands between a harness and the daemon.
struct Proxy {
    socket: PathBuf,
    way: watch::Sender<Way>,
}

impl Proxy {
    /// At a socket in a directory. None: this machine's daemon is not at a socket.
    fn start(directory: &Path) -> Option<Self> {
        let host = std::env::var("DOCKER_HOST").unwrap_or_default();
        let host = if host.is_empty() { "unix:///var/run/docker.sock".to_owned() } else { host };
        let daemon = PathBuf::from(host.strip_prefix("unix://")?);
        let socket = directory.join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (way, watched) = watch::channel(Way::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (daemon, way) = (daemon.clone(), watched.clone());
                tokio::spawn(async move {
                    // Whichever end closes first ends both.
                    let _ = connection(client, &daemon, way).await;
                });
            }
        });
        Some(Self { socket, way })
    }

    fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn connection(
    client: UnixStream,
    daemon: &Path,
    way: watch::Receiver<Way>,
) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let mut broken = way.clone();
    let passes = async {
        let daemon = UnixStream::connect(daemon).await?;
        let (mut from_daemon, mut to_daemon) = daemon.into_split();
        let (up, down) = (way.clone(), way.clone());
        tokio::try_join!(
            pass(&mut from_client, &mut to_daemon, up),
            pass(&mut from_daemon, &mut to_client, down)
        )
    };
    tokio::select! {
        passed = passes => passed.map(drop),
        _ = broken.wait_for(|way| *way == Way::Broken) => Ok(()),
    }
}

async fn pass(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut way: watch::Receiver<Way>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut bytes).await?;
        let _ = way.wait_for(|way| *way != Way::Stalled).await;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}

/// A run of the harness that reaches the daemon through a proxy.
struct Running {
    proxy: Proxy,
    child: Child,
    out: PathBuf,
    directory: tempfile::TempDir,
}

impl Running {
    /// Begins a run with these faults, and waits until its load has begun.
    async fn start(faults: &str, time: Duration, first: Duration, lasts: Duration) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let proxy = Proxy::start(directory.path())?;
        let plan = directory.path().join("plan");
        std::fs::create_dir(&plan).unwrap();
        self::plan(faults, time, first, lasts).save(&plan).unwrap();
        let out = directory.path().join("run");
        let child = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["test", "--cluster", "docker", "--plan"])
            .arg(plan.join("plan.json"))
            .arg("--out")
            .arg(&out)
            .env("DOCKER_HOST", format!("unix://{}", proxy.socket.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let running = Self { proxy, child, out, directory };
        // The image may have to be built.
        let deadline = Instant::now() + Duration::from_secs(900);
        while std::fs::metadata(running.out.join("history.jsonl")).map_or(0, |it| it.len()) == 0 {
            assert!(Instant::now() < deadline, "the run never began");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(running)
    }

    fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    }

    /// Waits for the end; what it printed, and how long that took.
    async fn end(self) -> Ended {
        let Self { proxy, child, out, directory } = self;
        let began = Instant::now();
        let process = child.id();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output());
        let output = output.await.unwrap().unwrap();
        Ended { output, took: began.elapsed(), process, out, _proxy: proxy, _directory: directory }
    }
}

struct Ended {
    output: Output,
    took: Duration,
    process: u32,
    out: PathBuf,
    _proxy: Proxy,
    _directory: tempfile::TempDir,
}

impl Ended {
    fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    fn said(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        text(&self.output.stderr) + &text(&self.output.stdout)
    }

    /// What is left in the daemon, and then removed.
    async fn left(&self, docker: &Docker) -> usize {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let containers = docker.list_containers(Some(options)).await.unwrap();
        let owner = format!("{}.", self.process);
        let left = containers.into_iter().filter(|container| {
            let labels = container.labels.as_ref();
            labels.and_then(|it| it.get(OWNER)).is_some_and(|it| it.starts_with(&owner))
        });
        let left = left.count();
        docker::gc(docker).await.unwrap();
        left
    }
}

fn plan(faults: &str, time: Duration, first: Duration, lasts: Duration) -> Plan {
    let mut plan = Plan::generate(Options {
        system: System::raft_node(),
        cluster: ClusterKind::Docker,
        nodes: 3,
        seed: 11,
        time,
        interval: None,
        menu: faults.parse().unwrap(),
        workload: Workload::Register(register::Options::new(5)),
        load: Load::steady(5, 100, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(500),
            heartbeat_interval: Duration::from_millis(100),
        },
        storage: Storage::Durable,
        world: World::default(),
    })
    .unwrap();
    plan.faults.truncate(1);
    (plan.faults[0].at, plan.faults[0].lasts) = (first, lasts);
    plan
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_gone_for_good_ends_the_run_in_time() {
    let Some(docker) = common::docker("a daemon that stalls or breaks for ever").await else {
        return;
    };
    let _turn = TURN.lock().await;
    for way in [Way::Stalled, Way::Broken] {
        let running = Running::start("pause:one", 5 * SECOND, SECOND, 3 * SECOND).await;
        let Some(running) = running else { return eprintln!("NOT TESTED: no socket") };
        tokio::time::sleep(2 * SECOND).await;
        running.proxy.set(way);
        let ended = running.end().await;
        let said = ended.said();
        assert!(ended.took < 20 * SECOND, "{way:?} took {:?}: {said}", ended.took);
        assert!(said.contains("lost the Docker daemon at "), "{way:?}: {said}");
        assert!(!said.contains("hyper"), "{way:?}: {said}");
        assert!(said.contains("not cleaned up: the containers are left"), "{way:?}: {said}");
        assert_eq!(ended.code(), Some(3), "{way:?}: {said}");
        let history = evidence::load(&ended.out).unwrap().history;
        assert!(history.len() > 100, "{way:?}: the history is judged");
        assert_eq!(ended.left(&docker).await, 6, "{way:?}: three pods and three nodes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_breaks_for_a_while_costs_nothing() {
    let Some(docker) = common::docker("a daemon that breaks for four seconds").await else {
        return;
    };
    let _turn = TURN.lock().await;
    // The heal is due while the way is broken, and needs shells that broke with it.
    let running = Running::start("partition:halves", 9 * SECOND, SECOND, 2 * SECOND).await;
    let Some(running) = running else { return eprintln!("NOT TESTED: no socket") };
    tokio::time::sleep(2 * SECOND + SECOND / 2).await;
    running.proxy.set(Way::Broken);
    tokio::time::sleep(4 * SECOND).await;
    running.proxy.set(Way::Open);
    let ended = running.end().await;
    let said = ended.said();
    assert_eq!(ended.code(), Some(0), "{said}");
    assert!(said.contains("1 fault took effect"), "{said}");
    assert_eq!(ended.left(&docker).await, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_a_run_whose_daemon_stalls() {
    let Some(docker) = common::docker("signals while the daemon stalls").await else { return };
    let _turn = TURN.lock().await;
    let running = Running::start("pause:one", 600 * SECOND, SECOND, 2 * SECOND).await;
    let Some(running) = running else { return eprintln!("NOT TESTED: no socket") };
    tokio::time::sleep(2 * SECOND).await;
    running.proxy.set(Way::Stalled);
    tokio::time::sleep(2 * SECOND).await;
    running.signal("-TERM");
    tokio::time::sleep(2 * SECOND).await;
    // The load has ended, though nothing else can.
    let size = || std::fs::metadata(running.out.join("history.jsonl")).unwrap().len();
    let before = size();
    tokio::time::sleep(SECOND).await;
    assert_eq!(size(), before, "the load went on after the first signal");
    running.signal("-TERM");
    let ended = running.end().await;
    let said = ended.said();
    assert!(ended.took < 6 * SECOND, "{:?}: {said}", ended.took);
    assert!(said.contains("SIGTERM: stopping"), "{said}");
    assert!(said.contains("leaving at once"), "{said}");
    assert_eq!(ended.code(), Some(3), "{said}");
    assert_eq!(ended.left(&docker).await, 6, "{said}");
}
