//! Clusters of real containers: life, cuts, clean-up. The node is a stand-in: a shell script.

#![allow(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod common;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use harness::{cluster::docker::Cluster, nemesis::Link};

fn both(a: u64, b: u64) -> [Link; 2] {
    [Link { from: a, to: b }, Link { from: b, to: a }]
}

/// Whether the node answers a client on this machine.
async fn serves(cluster: &Cluster, node: u64) -> bool {
    let address = cluster.client_address(node);
    tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            if let Ok(mut stream) = TcpStream::connect(address) {
                stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                let mut text = String::new();
                let _ = stream.write_all(b"hello\n");
                let _ = stream.shutdown(std::net::Shutdown::Write);
                if stream.read_to_string(&mut text).is_ok() && text.contains("hello") {
                    return true;
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn nodes_start_die_pause_and_leave_their_evidence() {
    let Some(docker) = common::docker("start, kill, pause, stop, collect, destroy").await else {
        return;
    };
    let begin = Instant::now();
    let cluster = common::cluster(&docker, "life", 3).await;
    eprintln!("created and started 3 nodes in {:?}", begin.elapsed());
    let run = common::options("life", 3).run_id;
    let first = cluster.state(1).await.unwrap();
    assert!(first.running && !first.paused && first.exit_code.is_none());
    assert!(first.started_at.unwrap().elapsed().unwrap() < Duration::from_secs(60));
    let port = cluster.client_address(1).port();
    assert!(serves(&cluster, 1).await);

    // Killed: seen down, with SIGKILL's code; killing it again changes nothing.
    cluster.kill(1).await.unwrap();
    let killed = cluster.state(1).await.unwrap();
    assert!(!killed.running);
    assert_eq!(killed.exit_code, Some(137));
    cluster.kill(1).await.unwrap();
    assert!(!serves(&cluster, 1).await, "a dead node answered");
    assert!(cluster.probe(2, 1).await.unwrap(), "the pod must outlive its node");
    cluster.start(1).await.unwrap();
    assert_eq!(cluster.client_address(1).port(), port);
    assert!(serves(&cluster, 1).await);

    // Paused: the process is there and silent, the kernel still answers.
    cluster.pause(2).await.unwrap();
    let paused = cluster.state(2).await.unwrap();
    assert!(paused.running && paused.paused);
    assert!(!serves(&cluster, 2).await, "a paused node answered");
    assert!(cluster.probe(1, 2).await.unwrap());
    cluster.unpause(2).await.unwrap();
    assert!(!cluster.state(2).await.unwrap().paused);
    assert!(serves(&cluster, 2).await);

    // Killed while paused; thawing it later is no error.
    cluster.pause(2).await.unwrap();
    cluster.kill(2).await.unwrap();
    cluster.unpause(2).await.unwrap();
    assert!(!cluster.state(2).await.unwrap().running);

    // Stopped: asked to end, and it does.
    cluster.stop(3).await.unwrap();
    assert_eq!(cluster.state(3).await.unwrap().exit_code, Some(0));

    // Evidence of paused, killed and stopped nodes, over all their starts.
    cluster.pause(1).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let missing = cluster.collect(directory.path()).await.missing;
    assert_eq!(missing, Vec::<String>::new());
    let read = |path: &str| std::fs::read_to_string(directory.path().join(path)).unwrap();
    assert_eq!(read("trace/n1.jsonl").lines().count(), 2, "two starts of n1");
    assert_eq!(read("trace/n2.jsonl").lines().count(), 1);
    let log = read("logs/n1.log");
    for fact in [
        "--id=1",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Uid:\t10001",
        "touch: /here: Read-only file system",
    ] {
        assert!(log.contains(fact), "{fact:?} is not in {log}");
    }
    assert!(read("logs/n3.log").contains("asked to end"));
    assert!(read("logs/n1-pod.log").contains("iptables"));

    cluster.destroy().await.unwrap();
    assert_eq!(common::belongings(&docker, &run).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_cut_bites_counts_outlives_a_kill_and_heals() {
    let Some(docker) = common::docker("two-way cuts").await else { return };
    let cluster = common::cluster(&docker, "cut", 3).await;
    assert!(cluster.probe(1, 2).await.unwrap() && cluster.probe(1, 3).await.unwrap());

    let installed = cluster.install(1, &both(1, 2)).await.unwrap();
    assert_eq!(installed.rules.len(), 2, "{:?}", installed.rules);
    assert!(installed.skew < Duration::from_millis(500), "{:?}", installed.skew);
    assert!(!cluster.probe(1, 2).await.unwrap() && !cluster.probe(2, 1).await.unwrap());
    assert!(cluster.probe(1, 3).await.unwrap(), "n3 is not part of the cut");
    assert!(serves(&cluster, 1).await, "clients reach a node that its peers do not");
    let counters = cluster.counters(1).await.unwrap();
    assert_eq!(counters.len(), 2);
    assert!(counters.iter().all(|c| c.packets > 0 && c.bytes >= 84 * c.packets), "{counters:?}");

    // The rules are the pod's: killing and starting the node changes nothing.
    cluster.kill(2).await.unwrap();
    cluster.start(2).await.unwrap();
    assert!(!cluster.probe(1, 2).await.unwrap(), "the cut must survive a kill and restart");
    let later = cluster.counters(1).await.unwrap();
    assert!(later.iter().zip(&counters).any(|(b, a)| b.packets > a.packets), "{later:?}");

    cluster.remove(1).await.unwrap();
    assert!(cluster.probe(1, 2).await.unwrap() && cluster.probe(2, 1).await.unwrap());
    assert!(cluster.counters(1).await.unwrap().is_empty());
    cluster.remove(1).await.unwrap();
    cluster.destroy().await.unwrap();
}

#[tokio::test]
async fn overlapping_cuts_prove_themselves_and_end_independently() {
    let Some(docker) = common::docker("overlapping cuts").await else { return };
    let cluster = common::cluster(&docker, "overlap", 3).await;
    cluster.install(1, &both(1, 2)).await.unwrap();
    // The second holds the same packets, and more.
    let wide: Vec<Link> = both(1, 2).into_iter().chain(both(1, 3)).collect();
    cluster.install(11, &wide).await.unwrap();
    assert!(cluster.install(11, &wide).await.is_err(), "the id is taken");
    assert!(!cluster.probe(1, 2).await.unwrap() && !cluster.probe(1, 3).await.unwrap());
    assert!(cluster.probe(2, 3).await.unwrap());
    for (cut, links) in [(1, 2), (11, 4)] {
        let counters = cluster.counters(cut).await.unwrap();
        assert_eq!(counters.len(), links);
        let bitten = counters.iter().filter(|counter| counter.packets > 0).count();
        assert!(bitten >= links / 2, "cut {cut}: {counters:?}");
    }
    cluster.remove(1).await.unwrap();
    assert!(!cluster.probe(1, 2).await.unwrap(), "still held by cut 11");
    cluster.remove(11).await.unwrap();
    assert!(cluster.probe(1, 2).await.unwrap() && cluster.probe(1, 3).await.unwrap());
    cluster.destroy().await.unwrap();
}

#[tokio::test]
async fn a_one_way_cut_stops_one_direction() {
    let Some(docker) = common::docker("one-way cuts").await else { return };
    let cluster = common::cluster(&docker, "one-way", 3).await;
    // n1 is mute towards n2. A ping's way there or back is cut either way, but where it is stopped
    // shows the direction: at n2, and at n1 nothing is.
    cluster.install(7, &[Link { from: 1, to: 2 }]).await.unwrap();
    assert!(!cluster.probe(1, 2).await.unwrap());
    let request = cluster.counters(7).await.unwrap();
    assert_eq!(request.len(), 1);
    assert_eq!((request[0].node, request[0].packets), (2, 1), "the request was stopped at n2");
    assert!(!cluster.probe(2, 1).await.unwrap());
    let reply = cluster.counters(7).await.unwrap();
    assert_eq!((reply[0].node, reply[0].packets), (2, 2), "n1's reply was stopped at n2");
    assert!(cluster.probe(1, 3).await.unwrap() && cluster.probe(3, 2).await.unwrap());
    assert!(cluster.install(8, &[Link { from: 1, to: 1 }]).await.is_err());
    assert!(cluster.install(8, &[Link { from: 9, to: 1 }]).await.is_err());
    assert!(cluster.install(8, &[Link { from: 1, to: 9 }]).await.is_err());
    cluster.remove(7).await.unwrap();
    assert!(cluster.probe(1, 2).await.unwrap());
    cluster.destroy().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named_and_nothing_is_left() {
    let Some(docker) = common::docker("a taken port").await else { return };
    let images = common::images(&docker, "stand-in", common::STAND_IN).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut options = common::options("port", 1);
    options.base_port = Some(port);
    let Err(error) = Cluster::create(&docker, &images, &options).await else {
        panic!("port {port} was given away twice")
    };
    let text = format!("{error:#}");
    assert!(text.contains(&format!("port {port}")) && text.contains("Choose another"), "{text}");
    assert_eq!(common::belongings(&docker, &options.run_id).await, Vec::<String>::new());

    options.base_port = Some(65535);
    options.nodes = 3;
    let Err(error) = Cluster::create(&docker, &images, &options).await else { panic!() };
    assert!(format!("{error:#}").contains("65535"), "{error:#}");
    for (nodes, id) in [(0, "fine"), (10, "fine"), (1, "not fine"), (1, "")] {
        let mut options = common::options("bad", nodes);
        options.run_id = id.into();
        assert!(Cluster::create(&docker, &images, &options).await.is_err(), "{nodes} {id:?}");
    }
}

#[tokio::test]
async fn a_given_base_port_is_used() {
    let Some(docker) = common::docker("a given base port").await else { return };
    let images = common::images(&docker, "stand-in", common::STAND_IN).await;
    let mut options = common::options("base-port", 2);
    options.base_port = Some(23790);
    let cluster = Cluster::create(&docker, &images, &options).await.unwrap();
    assert_eq!(cluster.client_address(2).to_string(), "127.0.0.1:23791");
    cluster.destroy().await.unwrap();
}

#[tokio::test]
async fn a_crash_at_start_shows_its_code_and_its_last_words() {
    let Some(docker) = common::docker("a node that crashes at start").await else { return };
    let images = common::images(&docker, "crashes", common::CRASHES).await;
    let options = common::options("crash", 1);
    let cluster = Cluster::create(&docker, &images, &options).await.unwrap();
    let before = cluster.state(1).await.unwrap();
    assert_eq!((before.running, before.exit_code, before.started_at), (false, None, None));
    cluster.start(1).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    let state = loop {
        let state = cluster.state(1).await.unwrap();
        if !state.running || Instant::now() > deadline {
            break state;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(state.exit_code, Some(7));
    assert_eq!(cluster.logs(1, 1).await.unwrap().trim(), "the data directory is on fire");
    let directory = tempfile::tempdir().unwrap();
    let missing = cluster.collect(directory.path()).await.missing;
    assert_eq!(missing, ["n1 wrote no trace"]);
    cluster.destroy().await.unwrap();
}

#[tokio::test]
async fn a_panic_leaves_nothing() {
    let Some(docker) = common::docker("clean-up after a panic").await else { return };
    let run = common::options("panic", 2).run_id;
    let failed = tokio::spawn({
        let docker = docker.clone();
        async move {
            let cluster = common::cluster(&docker, "panic", 2).await;
            assert!(cluster.nodes().count() > 2, "this panic is part of the test");
        }
    })
    .await;
    assert!(failed.unwrap_err().is_panic());
    assert_eq!(common::belongings(&docker, &run).await, Vec::<String>::new());
}

#[tokio::test]
async fn giving_up_half_way_leaves_nothing() {
    let Some(docker) = common::docker("clean-up of a creation that is given up").await else {
        return;
    };
    let images = common::images(&docker, "stand-in", common::STAND_IN).await;
    for patience_ms in [30, 300, 900] {
        let options = common::options(&format!("hasty-{patience_ms}"), 3);
        let patience = Duration::from_millis(patience_ms);
        let creation = Cluster::create(&docker, &images, &options);
        drop(tokio::time::timeout(patience, creation).await);
        assert_eq!(common::belongings(&docker, &options.run_id).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn clusters_side_by_side_do_not_meet() {
    let Some(docker) = common::docker("two clusters at once").await else { return };
    let (a, b) =
        tokio::join!(common::cluster(&docker, "twin-a", 2), common::cluster(&docker, "twin-b", 2));
    assert_ne!(a.peer_address(1), b.peer_address(1));
    assert_ne!(a.client_address(1), b.client_address(1));
    a.install(1, &both(1, 2)).await.unwrap();
    assert!(!a.probe(1, 2).await.unwrap());
    assert!(b.probe(1, 2).await.unwrap());
    a.destroy().await.unwrap();
    assert!(b.probe(1, 2).await.unwrap(), "destroying one must not touch the other");
    b.destroy().await.unwrap();
}
