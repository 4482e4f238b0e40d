//! How soon a long cut is over. TCP alone would wait for its back-off, most of a minute after a cut
//! of a minute; the node's links must not.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod common;

use std::time::{Duration, Instant};

use harness::{
    cluster::docker::Cluster,
    images,
    nemesis::{Link, NodeId},
    system::{Node, Observation, System},
};

const RPC: Duration = Duration::from_millis(500);

async fn observe(nodes: &[(NodeId, Node)]) -> Vec<Observation> {
    let mut seen = Vec::new();
    for (_, node) in nodes {
        seen.extend(node.inspect(RPC).await);
    }
    seen
}

/// Every node is linked to every other, and all follow one leader of one term.
fn whole(seen: &[Observation], nodes: usize) -> bool {
    seen.len() == nodes
        && seen.iter().all(|one| {
            one.connected.iter().flatten().count() == nodes - 1
                && one.leader.is_some()
                && (one.leader, one.term) == (seen[0].leader, seen[0].term)
        })
}

/// Time until the cluster is whole.
async fn becomes_whole(nodes: &[(NodeId, Node)], limit: Duration) -> Duration {
    let start = Instant::now();
    loop {
        let seen = observe(nodes).await;
        let took = start.elapsed();
        if whole(&seen, nodes.len()) {
            return took;
        }
        assert!(took < limit, "not whole after {took:?}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_cut_of_a_minute_is_over_within_two_seconds() {
    let Some(docker) = common::docker("the time a long cut takes to heal").await else { return };
    let (source, system) = (images::Source::Auto, System::raft_node());
    let images = images::ensure(&docker, source, &system, false, &|_| {}).await.unwrap();
    let options = common::options("heal", 5);
    let cluster = Cluster::create(&docker, &images, &options).await.unwrap();
    for node in cluster.nodes() {
        cluster.start(node).await.unwrap();
    }
    let nodes: Vec<_> =
        cluster.nodes().map(|id| (id, Node::new(cluster.client_address(id)))).collect();
    becomes_whole(&nodes, Duration::from_secs(20)).await;

    let minority = [1, 2];
    let links: Vec<_> = [3, 4, 5]
        .into_iter()
        .flat_map(|far| minority.map(|near| [(near, far), (far, near)]))
        .flatten()
        .map(|(from, to)| Link { from, to })
        .collect();
    cluster.install(1, &links).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let seen = observe(&nodes).await;
    assert_eq!(seen.len(), 5, "clients reach every node during the cut");
    for one in &seen[..2] {
        assert_eq!(one.connected.iter().flatten().count(), 1, "the cut does not hold: {one:?}");
    }
    cluster.remove(1).await.unwrap();
    let took = becomes_whole(&nodes, Duration::from_secs(20)).await;
    cluster.destroy().await.unwrap();
    println!("a cut of 60 s was over {took:?} after its heal");
    assert!(took <= Duration::from_secs(2), "links and leader took {took:?}");
}
