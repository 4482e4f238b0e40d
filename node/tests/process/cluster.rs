//! Clusters of node processes, and what tests ask of them.

use std::{
    collections::BTreeMap,
    fs::File,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

use proto::{
    etcd::{self, kv_client::KvClient, maintenance_client::MaintenanceClient},
    inspect::{InspectRequest, InspectResponse, inspect_client::InspectClient},
    trace,
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// How long anything that must happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster of which any node may be down.
pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    pub(crate) size: u64,
    address: String,
    running: BTreeMap<u64, Child>,
    flags: Vec<String>,
}

impl Cluster {
    /// A cluster of `size` nodes, none running.
    pub(crate) fn new(size: u64) -> Self {
        static CLUSTERS: AtomicU8 = AtomicU8::new(1);
        let pid = std::process::id();
        let address = format!(
            "127.{}.{}.{}",
            64 + (pid >> 8) % 128,
            pid % 256,
            CLUSTERS.fetch_add(1, Ordering::Relaxed)
        );
        let flags = ["--election-timeout", "300ms", "--heartbeat-interval", "30ms"];
        Self {
            dir: tempfile::tempdir().unwrap(),
            size,
            address,
            running: BTreeMap::new(),
            flags: flags.map(String::from).to_vec(),
        }
    }

    /// The same, with all nodes running and agreed on a leader.
    pub(crate) async fn started(size: u64) -> Self {
        let mut cluster = Self::new(size);
        cluster.start_all();
        cluster.leader().await;
        cluster
    }

    /// Adds flags for all nodes that start from now on; a repeated flag is not allowed.
    pub(crate) fn with_flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> + use<> {
        1..=self.size
    }

    pub(crate) fn client(&self, id: u64) -> String {
        format!("{}:{}", self.address, 2000 + id)
    }

    pub(crate) fn peer(&self, id: u64) -> String {
        format!("{}:{}", self.address, 3000 + id)
    }

    pub(crate) fn data_dir(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("n{id}"))
    }

    pub(crate) fn trace_path(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("n{id}.jsonl"))
    }

    pub(crate) fn log(&self, id: u64) -> String {
        std::fs::read_to_string(self.log_path(id)).unwrap_or_default()
    }

    fn log_path(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("n{id}.log"))
    }

    /// The command that starts a node.
    pub(crate) fn command(&self, id: u64) -> Command {
        let members: Vec<_> =
            self.ids().map(|peer| format!("{peer}={}", self.peer(peer))).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-node"));
        command
            .args(["--id", &id.to_string(), "--initial-cluster", &members.join(",")])
            .args(["--listen-client", &self.client(id)])
            .arg("--data-dir")
            .arg(self.data_dir(id))
            .arg("--trace")
            .arg(self.trace_path(id))
            .args(&self.flags)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn start(&mut self, id: u64) {
        let log = File::options().create(true).append(true).open(self.log_path(id)).unwrap();
        let child = self.command(id).stderr(log).spawn().unwrap();
        self.adopt(id, child);
    }

    /// Takes over a process that a test started by itself.
    pub(crate) fn adopt(&mut self, id: u64, child: Child) {
        assert!(self.running.insert(id, child).is_none(), "node {id} runs already");
    }

    pub(crate) fn start_all(&mut self) {
        for id in self.ids() {
            self.start(id);
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, id: u64) {
        let mut child = self.running.remove(&id).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, id: u64, name: &str) {
        let pid = self.running[&id].id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// SIGTERM; how the node ended, and how long that took.
    pub(crate) fn terminate(&mut self, id: u64) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        self.signal(id, "TERM");
        let mut child = self.running.remove(&id).unwrap();
        (child.wait().unwrap(), asked.elapsed())
    }

    /// Whether the process is there.
    pub(crate) fn is_running(&mut self, id: u64) -> bool {
        self.running.get_mut(&id).is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub(crate) async fn channel(&self, id: u64) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.client(id))).unwrap();
        eventually("a connection", async || endpoint.connect().await.map_err(|why| why.to_string()))
            .await
    }

    pub(crate) async fn kv(&self, id: u64) -> KvClient<Channel> {
        KvClient::new(self.channel(id).await)
    }

    pub(crate) async fn maintenance(&self, id: u64) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel(id).await)
    }

    pub(crate) async fn inspect(&self, id: u64) -> Result<InspectResponse, String> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.client(id))).unwrap();
        let channel = endpoint.connect_lazy();
        let ask = async { InspectClient::new(channel).inspect(InspectRequest {}).await };
        match tokio::time::timeout(Duration::from_secs(1), ask).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(status.to_string()),
            Err(_) => Err("no answer".into()),
        }
    }

    /// Waits until all running nodes name the same leader, which leads; returns its id.
    pub(crate) async fn leader(&self) -> u64 {
        eventually("one leader that all running nodes know", async || {
            let mut states = Vec::new();
            for &id in self.running.keys() {
                states.push(self.inspect(id).await?);
            }
            let named: Vec<_> = states.iter().map(|state| (state.term, state.leader)).collect();
            let (_, leader) = named[0];
            let agreed = named.iter().all(|other| *other == named[0]);
            if agreed && self.running.contains_key(&leader) {
                Ok(leader)
            } else {
                Err(format!("(term, leader) by node: {named:?}"))
            }
        })
        .await
    }

    /// Some running node that does not lead.
    pub(crate) async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        *self.running.keys().find(|id| **id != leader).unwrap()
    }

    /// Writes through a node, again and again until it succeeds.
    pub(crate) async fn put(&self, id: u64, key: &str, value: &str) {
        let mut kv = self.kv(id).await;
        eventually("a write", async || {
            kv.put(put(key, value)).await.map_err(|status| status.to_string())
        })
        .await;
    }

    /// Reads through a node, again and again until it succeeds.
    pub(crate) async fn get(&self, id: u64, key: &str) -> Option<String> {
        let mut kv = self.kv(id).await;
        let response = eventually("a read", async || {
            kv.range(range(key)).await.map_err(|status| status.to_string())
        })
        .await;
        let kvs = response.into_inner().kvs;
        kvs.first().map(|kv| String::from_utf8(kv.value.to_vec()).unwrap())
    }

    /// All lines of a node's trace.
    pub(crate) fn trace(&self, id: u64) -> Vec<trace::Record> {
        let text = std::fs::read_to_string(self.trace_path(id)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
            .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (id, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                let log = std::fs::read_to_string(self.dir.path().join(format!("n{id}.log")));
                eprintln!("--- log of node {id}\n{}", log.unwrap_or_default());
            }
        }
    }
}

pub(crate) fn put(key: &str, value: &str) -> etcd::PutRequest {
    etcd::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..Default::default()
    }
}

pub(crate) fn range(key: &str) -> etcd::RangeRequest {
    etcd::RangeRequest { key: key.to_owned().into(), ..Default::default() }
}

/// Tries until it succeeds, for as long as [`PATIENCE`].
pub(crate) async fn eventually<T>(
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(why) if Instant::now() > deadline => panic!("no {what} for {PATIENCE:?}: {why}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
