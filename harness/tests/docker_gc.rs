//! What a killed harness left is removed, what a living one has is not, and nothing else is
//! touched.

#![allow(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod common;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use bollard::{
    Docker,
    models::{NetworkCreateRequest, VolumeCreateRequest},
    query_parameters::RemoveVolumeOptions,
};
use harness::{
    cluster::docker::{self, Cluster},
    daemon,
};

/// Says to a copy of this test program whose cluster it is to create.
const CHILD: &str = "RAFT_TEST_GC_CHILD";

/// In the copy: creates a cluster, says so, and waits for its end. In the test itself: nothing.
#[tokio::test]
async fn a_child_creates_a_cluster_and_waits() {
    let Ok(name) = std::env::var(CHILD) else { return };
    let docker = daemon::connect().await.unwrap();
    let images = common::images(&docker, "stand-in", common::STAND_IN).await;
    let mut options = common::options(&name, 2);
    options.run_id = name;
    let cluster = Cluster::create(&docker, &images, &options).await.unwrap();
    cluster.start(1).await.unwrap();
    println!("created");
    let signal = docker::interrupted().await.unwrap();
    println!("asked to end by {signal}");
}

/// Another harness, with a cluster. Dropped, it is asked to end, so that a failing test does not
/// leave it behind.
struct Harness(Child);

impl Harness {
    fn start(run: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_child_creates_a_cluster_and_waits", "--nocapture"])
            .env(CHILD, run)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let harness = Self(child);
        let created = lines.by_ref().map_while(Result::ok).any(|line| line.ends_with("created"));
        assert!(created, "the child created no cluster");
        // Its last words need an open pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        harness
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to end by a signal; whether it ended well.
    fn end(&mut self, signal: &str) -> bool {
        if self.0.try_wait().unwrap().is_none() {
            let process = self.0.id().to_string();
            Command::new("kill").args([&format!("-{signal}"), &process]).status().unwrap();
        }
        self.0.wait().unwrap().success()
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.end("TERM");
    }
}

/// Things that are not ours: without our label, though named like ours.
async fn strangers(docker: &Docker, name: &str) {
    let labels = Some(HashMap::from([("someone".to_owned(), docker::RUN.to_owned())]));
    let volume = VolumeCreateRequest {
        name: Some(name.to_owned()),
        labels: labels.clone(),
        ..Default::default()
    };
    docker.create_volume(volume).await.unwrap();
    let network = NetworkCreateRequest { name: name.to_owned(), labels, ..Default::default() };
    docker.create_network(network).await.unwrap();
}

#[tokio::test]
async fn the_dead_are_cleaned_up_after_and_the_living_and_strangers_left_alone() {
    let Some(docker) = common::docker("clean-up after a killed harness").await else { return };
    let name = |what: &str| format!("test-gc-{what}-{}", std::process::id());
    let (dead, living, stranger) = (name("dead"), name("living"), format!("raft-{}", name("x")));
    strangers(&docker, &stranger).await;
    let killed = Harness::start(&dead);
    let mut alive = Harness::start(&living);

    // Both live: nothing to collect.
    let before = common::belongings(&docker, &living).await;
    assert_eq!(before.len(), 7, "2 pods, 2 nodes, 2 volumes, 1 network: {before:?}");
    docker::gc(&docker).await.unwrap();
    assert_eq!(common::belongings(&docker, &dead).await.len(), 7);

    // From here on any harness that starts on this machine may clean up first.
    killed.kill();
    docker::gc(&docker).await.unwrap();
    assert_eq!(common::belongings(&docker, &dead).await, Vec::<String>::new());
    assert_eq!(common::belongings(&docker, &living).await, before);

    // Asked to end, a harness cleans up itself.
    assert!(alive.end("TERM"));
    assert_eq!(common::belongings(&docker, &living).await, Vec::<String>::new());

    docker.inspect_network(&stranger, None).await.expect("a stranger's network was removed");
    docker.inspect_volume(&stranger).await.expect("a stranger's volume was removed");
    docker.remove_network(&stranger).await.unwrap();
    docker.remove_volume(&stranger, None::<RemoveVolumeOptions>).await.unwrap();
}

#[tokio::test]
async fn the_next_start_removes_what_a_killed_harness_left() {
    let Some(docker) = common::docker("clean-up at the next start").await else { return };
    let dead = format!("test-gc-next-{}", std::process::id());
    Harness::start(&dead).kill();
    let cluster = common::cluster(&docker, "after-gc", 1).await;
    assert_eq!(common::belongings(&docker, &dead).await, Vec::<String>::new());
    cluster.destroy().await.unwrap();
}
