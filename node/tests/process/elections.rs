//! Clusters elect, serve, and keep what they acknowledged.

use std::time::{Duration, Instant};

use proto::{inspect::Role, trace::Event};
use tonic::Code;

use crate::cluster::{Cluster, PATIENCE, eventually, put, range};

#[tokio::test]
async fn one_node_serves_alone() {
    let cluster = Cluster::started(1).await;
    cluster.put(1, "k", "v").await;
    assert_eq!(cluster.get(1, "k").await.as_deref(), Some("v"));
}

#[tokio::test]
async fn three_nodes_elect_one_leader_and_every_node_serves() {
    let cluster = Cluster::started(3).await;
    let leader = cluster.leader().await;
    for id in cluster.ids() {
        let state = cluster.inspect(id).await.unwrap();
        assert_eq!(state.node, id);
        assert_eq!(state.boot, 1);
        assert_eq!(state.role() == Role::Leader, id == leader);
    }
    for id in cluster.ids() {
        cluster.put(id, &format!("k{id}"), &format!("v{id}")).await;
    }
    for id in cluster.ids() {
        for writer in cluster.ids() {
            let value = cluster.get(id, &format!("k{writer}")).await;
            assert_eq!(value, Some(format!("v{writer}")));
        }
    }
}

#[tokio::test]
async fn five_nodes_survive_two_killed_leaders_and_keep_the_data() {
    let mut cluster = Cluster::started(5).await;
    let mut killed = Vec::new();
    for round in 0..2 {
        let leader = cluster.leader().await;
        cluster.put(leader, &format!("k{round}"), "v").await;
        cluster.kill(leader);
        killed.push(leader);
        assert!(!killed.contains(&cluster.leader().await));
    }
    let leader = cluster.leader().await;
    for round in 0..2 {
        assert_eq!(cluster.get(leader, &format!("k{round}")).await.as_deref(), Some("v"));
    }
    cluster.put(leader, "k2", "v").await;
    for id in killed {
        cluster.start(id);
        // A linearizable read waits until the node has caught up.
        assert_eq!(cluster.get(id, "k2").await.as_deref(), Some("v"));
        assert_eq!(cluster.inspect(id).await.unwrap().boot, 2);
    }
}

#[tokio::test]
async fn a_cluster_killed_as_a_whole_keeps_what_it_acknowledged() {
    let mut cluster = Cluster::started(3).await;
    let leader = cluster.leader().await;
    let mut kv = cluster.kv(leader).await;
    for n in 0..50 {
        kv.put(put(&format!("k{n}"), &n.to_string())).await.unwrap();
    }
    for id in cluster.ids() {
        cluster.kill(id);
    }
    cluster.start_all();
    let leader = cluster.leader().await;
    for n in 0..50 {
        assert_eq!(cluster.get(leader, &format!("k{n}")).await, Some(n.to_string()));
    }
    let terms: Vec<_> = cluster
        .trace(leader)
        .into_iter()
        .filter_map(|line| match line.event {
            Event::Started { term, .. } => Some(term),
            _ => None,
        })
        .collect();
    assert_eq!(terms.len(), 2);
    assert!(terms[0] == 0 && terms[1] >= 1, "terms recovered at the starts: {terms:?}");
}

#[tokio::test]
async fn without_a_quorum_there_is_no_leader_and_requests_say_so() {
    let mut cluster = Cluster::new(3);
    cluster.start(1);
    let mut kv = cluster.kv(1).await;
    let refused = kv.put(put("k", "v")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "etcdserver: no leader"));
    assert_eq!(refused.metadata().get("raft-outcome").unwrap(), "none");
    let refused = kv.range(range("k")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let mut local = range("k");
    local.serializable = true;
    assert!(kv.range(local).await.unwrap().into_inner().kvs.is_empty());
    let mut maintenance = cluster.maintenance(1).await;
    let status = maintenance.status(proto::etcd::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.leader, &status.errors[..]), (0, &["etcdserver: no leader".to_owned()][..]));
}

#[tokio::test]
async fn an_outcome_that_is_not_known_is_called_unknown() {
    let mut cluster = Cluster::new(3).with_flags(&["--request-timeout", "500ms"]);
    cluster.start_all();
    let leader = cluster.leader().await;
    for id in cluster.ids().filter(|id| *id != leader) {
        cluster.signal(id, "STOP");
    }
    let failed = cluster.kv(leader).await.put(put("k", "v")).await.unwrap_err();
    assert_eq!(
        (failed.code(), failed.message()),
        (Code::Unavailable, "etcdserver: request timed out")
    );
    assert_eq!(failed.metadata().get("raft-outcome").unwrap(), "unknown");
}

#[tokio::test]
async fn a_paused_leader_is_replaced_and_comes_back_as_a_follower() {
    let cluster = Cluster::started(3).await;
    let old = cluster.leader().await;
    let other = cluster.follower().await;
    cluster.signal(old, "STOP");
    eventually("new leader", async || {
        let state = cluster.inspect(other).await?;
        if state.leader != 0 && state.leader != old { Ok(()) } else { Err(format!("{state:?}")) }
    })
    .await;
    cluster.put(other, "k", "v").await;
    cluster.signal(old, "CONT");
    assert_eq!(cluster.get(old, "k").await.as_deref(), Some("v"));
    assert_ne!(cluster.leader().await, old);
}

#[tokio::test]
async fn sigterm_ends_quickly_with_code_0_and_a_last_trace_line() {
    let mut cluster = Cluster::started(3).await;
    let leader = cluster.leader().await;
    cluster.put(leader, "k", "v").await;
    for id in cluster.ids() {
        let (status, took) = cluster.terminate(id);
        assert_eq!(status.code(), Some(0), "{}", cluster.log(id));
        assert!(took < Duration::from_secs(1), "node {id} took {took:?} to stop");
        let trace = cluster.trace(id);
        assert!(matches!(trace[0].event, Event::Started { .. }), "{:?}", trace[0]);
        assert_eq!(trace.last().unwrap().event, Event::Stopped {});
        for (seq, line) in trace.iter().enumerate() {
            assert_eq!((line.node, line.boot, line.seq), (id, 1, seq as u64));
        }
    }
}

#[tokio::test]
async fn requests_under_way_at_a_stop_are_answered() {
    let mut cluster = Cluster::started(3).await;
    let leader = cluster.leader().await;
    for id in cluster.ids().filter(|id| *id != leader) {
        cluster.signal(id, "STOP");
    }
    let mut kv = cluster.kv(leader).await;
    let waiting = tokio::spawn(async move { kv.put(put("k", "v")).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    let (status, _) = cluster.terminate(leader);
    assert_eq!(status.code(), Some(0));
    let failed = waiting.await.unwrap().unwrap_err();
    assert!(asked.elapsed() < PATIENCE);
    assert_eq!(
        (failed.code(), failed.message()),
        (Code::Unavailable, "etcdserver: server stopped")
    );
    assert_eq!(failed.metadata().get("raft-outcome").unwrap(), "unknown");
}
