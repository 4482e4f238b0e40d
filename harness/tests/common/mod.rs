//! What the tests with real containers share: the gate, and clusters of a stand-in node.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part; helpers of tests may unwrap, as tests do"
)]

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker, body_full,
    query_parameters::{
        BuildImageOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions,
    },
};
use futures::StreamExt;
use harness::{
    cluster::docker::{self, Cluster, Options},
    daemon,
    images::{self, Images, Kind, Source},
    plan::Storage,
};

/// The daemon; or nothing, where `RAFT_TEST_NO_DOCKER=1` says to go without, which is printed.
/// Without a daemon and without that the test fails: a test that was not run must not be green.
pub(crate) async fn docker(left_out: &str) -> Option<Docker> {
    if std::env::var("RAFT_TEST_NO_DOCKER").is_ok_and(|value| value == "1") {
        eprintln!("NOT TESTED, as RAFT_TEST_NO_DOCKER=1: {left_out}");
        return None;
    }
    match daemon::connect().await {
        Ok(docker) => Some(docker),
        Err(error) => panic!("{error:#}; or set RAFT_TEST_NO_DOCKER=1 to leave these tests out"),
    }
}

/// A stand-in for the node: says what it was told and what it may do, writes a line of trace a
/// start, answers on the client port, ends on SIGTERM with code 0.
pub(crate) const STAND_IN: &str = r#"
echo "started with $*"
grep -E 'CapEff|NoNewPrivs|Uid' /proc/self/status
touch /here 2>&1
echo "{\"boot\":true}" >> /data/trace.jsonl
trap 'echo asked to end; exit 0' TERM
while :; do echo hello | nc -l -p 2379 & wait $!; done
"#;

/// A stand-in that crashes at once. All on one stream: the daemon keeps no order between two.
pub(crate) const CRASHES: &str = "echo one >&2; echo 'the data directory is on fire' >&2; exit 7";

/// The real pod image, and a node image that runs this shell script.
pub(crate) async fn images(docker: &Docker, name: &str, script: &str) -> Images {
    let (pod, how) =
        images::ensure_one(docker, Kind::Pod, Source::Auto, &|text| eprintln!("{text}"))
            .await
            .unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    let dockerfile = format!(
        "FROM {pod}\nLABEL {}=test\nRUN mkdir -p /data && chown 10001:10001 /data\n\
         COPY node.sh /usr/local/bin/raft-node\nUSER 10001:10001\n",
        images::KIND
    );
    let script = format!("#!/bin/sh\n{script}");
    for (path, content) in [("Dockerfile", &*dockerfile), ("node.sh", &*script)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let node = format!("raft-lab-test/node:{name}");
    let options = BuildImageOptions {
        dockerfile: "Dockerfile".into(),
        t: Some(node.clone()),
        rm: true,
        ..Default::default()
    };
    let context = body_full(archive.into_inner().unwrap().into());
    let mut events = docker.build_image(options, None, Some(context));
    while let Some(event) = events.next().await {
        event.unwrap();
    }
    Images { pod, node, mutant: None, how }
}

/// Options of a small cluster whose run id is this test's own.
pub(crate) fn options(name: &str, nodes: usize) -> Options {
    Options {
        system: harness::system::System::raft_node(),
        run_id: format!("test-{name}-{}", std::process::id()),
        directory: None,
        nodes,
        base_port: None,
        election_timeout: Duration::from_millis(1000),
        heartbeat_interval: Duration::from_millis(100),
        limits: harness::plan::Limits::default(),
        seed: 1,
        storage: Storage::Durable,
        mutants: Default::default(),
    }
}

/// A running cluster of stand-ins.
pub(crate) async fn cluster(docker: &Docker, name: &str, nodes: usize) -> Cluster {
    let images = images(docker, "stand-in", STAND_IN).await;
    let cluster = Cluster::create(docker, &images, &options(name, nodes)).await.unwrap();
    for node in cluster.nodes() {
        cluster.start(node).await.unwrap();
    }
    cluster
}

/// Names of everything that carries a run's label.
pub(crate) async fn belongings(docker: &Docker, run: &str) -> Vec<String> {
    let filters =
        || Some(HashMap::from([("label".to_owned(), vec![format!("{}={run}", docker::RUN)])]));
    let containers = ListContainersOptions { all: true, filters: filters(), ..Default::default() };
    let containers = docker.list_containers(Some(containers)).await.unwrap();
    let networks =
        docker.list_networks(Some(ListNetworksOptions { filters: filters() })).await.unwrap();
    let volumes =
        docker.list_volumes(Some(ListVolumesOptions { filters: filters() })).await.unwrap();
    let mut names: Vec<String> = containers
        .into_iter()
        .flat_map(|container| container.names.unwrap_or_default())
        .chain(networks.into_iter().filter_map(|network| network.name))
        .chain(volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.name))
        .collect();
    // The daemon lists volumes in the order of a hash map.
    names.sort_unstable();
    names
}
