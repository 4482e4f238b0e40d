//! Links between nodes: whom a node accepts, what `Inspect` says of them, how soon they are back.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, eventually};

async fn wait_for_links(cluster: &Cluster, of: u64, expected: &[(u64, bool)]) {
    eventually("expected links", async || {
        let state = cluster.inspect(of).await?;
        let links: Vec<_> = state.peers.iter().map(|peer| (peer.id, peer.connected)).collect();
        if links == expected { Ok(()) } else { Err(format!("{links:?}")) }
    })
    .await;
}

#[tokio::test]
async fn links_are_seen_to_come_and_go() {
    let mut cluster = Cluster::new(3);
    cluster.start(1);
    wait_for_links(&cluster, 1, &[(2, false), (3, false)]).await;
    cluster.start(2);
    wait_for_links(&cluster, 1, &[(2, true), (3, false)]).await;
    cluster.start(3);
    wait_for_links(&cluster, 1, &[(2, true), (3, true)]).await;
    cluster.kill(2);
    wait_for_links(&cluster, 1, &[(2, false), (3, true)]).await;
    cluster.start(2);
    wait_for_links(&cluster, 1, &[(2, true), (3, true)]).await;
}

#[tokio::test]
async fn a_silent_peer_is_noticed_and_soon_linked_again() {
    let mut cluster = Cluster::new(2);
    cluster.start_all();
    wait_for_links(&cluster, 1, &[(2, true)]).await;
    let paused = Instant::now();
    cluster.signal(2, "STOP");
    wait_for_links(&cluster, 1, &[(2, false)]).await;
    assert!(paused.elapsed() < Duration::from_secs(4), "noticed after {:?}", paused.elapsed());
    // Long enough for every back-off to reach its largest value.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let resumed = Instant::now();
    cluster.signal(2, "CONT");
    wait_for_links(&cluster, 1, &[(2, true)]).await;
    assert!(resumed.elapsed() < Duration::from_secs(3), "back after {:?}", resumed.elapsed());
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_by_both_sides() {
    let mut cluster = Cluster::new(2);
    cluster.start(1);
    cluster = cluster.with_flags(&["--cluster-token", "other"]);
    cluster.start(2);
    for id in cluster.ids() {
        eventually("a refusal in the log", async || {
            let log = cluster.log(id);
            if log.contains("--cluster-token or the ids in --initial-cluster differ") {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await;
    }
    // Refused four times a second and more, by both ends of two links, but logged about once each:
    // on a busy machine another trouble may come in between.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for (id, peer) in [(1, 2), (2, 1)] {
        let logged = cluster.log(id).matches("initial-cluster differ").count();
        assert!((2..=6).contains(&logged), "{logged} times\n{}", cluster.log(id));
        let state = cluster.inspect(id).await.unwrap();
        assert_eq!((state.peers[0].id, state.peers[0].connected), (peer, false));
        assert_eq!(state.leader, 0);
    }
}
