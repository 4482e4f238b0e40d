//! How a node starts, and how it refuses to.

use std::{
    fs,
    process::{Command, Output, Stdio},
    time::Duration,
};

use proto::trace::Event;

use crate::cluster::{Cluster, eventually, put};

fn run(command: &mut Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, texts: &[&str]) {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{complaint}");
    for text in texts {
        assert!(complaint.contains(text), "{text:?} is not in {complaint}");
    }
    assert!(!complaint.contains("panicked"), "{complaint}");
}

#[test]
fn help_explains_every_flag() {
    let output = run(Command::new(env!("CARGO_BIN_EXE_raft-node")).arg("--help"));
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "--id",
        "--name",
        "--listen-peer",
        "--advertise-peer",
        "--listen-client",
        "--advertise-client",
        "--initial-cluster",
        "--cluster-token",
        "--data-dir",
        "--election-timeout",
        "--heartbeat-interval",
        "--trace",
        "--seed",
        "--log",
        "RAFT_ID",
    ] {
        assert!(help.contains(flag), "{flag} is not in the help");
    }
}

#[test]
fn wrong_flags_end_with_code_64() {
    let node = || Command::new(env!("CARGO_BIN_EXE_raft-node"));
    assert_refused(&run(&mut node()), 64, &["--id", "--initial-cluster", "--data-dir"]);
    let with = |flags: &[&str]| {
        run(node().args(["--data-dir", "/nowhere", "--initial-cluster", "1=a:1"]).args(flags))
    };
    assert_refused(&with(&["--id", "2"]), 64, &["--id 2 is not in --initial-cluster"]);
    assert_refused(&with(&["--id", "x"]), 64, &["invalid value 'x' for '--id"]);
    assert_refused(&with(&["--id", "1", "--election-timeout", "soon"]), 64, &["soon"]);
    assert_refused(&with(&["--id", "1", "--heartbeat-interval", "9s"]), 64, &["at most half"]);
    assert_refused(&with(&["--id", "1", "--frobnicate"]), 64, &["--frobnicate"]);
}

#[tokio::test]
async fn flags_may_come_from_the_environment() {
    let mut cluster = Cluster::new(1);
    let mut command = cluster.command(1);
    command.env("RAFT_NAME", "from-the-environment");
    let child = command.stderr(Stdio::null()).spawn().unwrap();
    cluster.adopt(1, child);
    cluster.leader().await;
    let mut client = proto::etcd::cluster_client::ClusterClient::new(cluster.channel(1).await);
    let members = client.member_list(proto::etcd::MemberListRequest::default()).await.unwrap();
    assert_eq!(members.into_inner().members[0].name, "from-the-environment");
}

#[tokio::test]
async fn a_data_directory_serves_one_process_of_one_node() {
    let mut cluster = Cluster::started(1).await;
    let second = run(cluster.command(1).env("RAFT_LISTEN_PEER", "127.0.0.1:1"));
    assert_refused(&second, 3, &["is in use by another process"]);
    cluster.kill(1);
    let dir = cluster.data_dir(1);
    let other = run(Command::new(env!("CARGO_BIN_EXE_raft-node"))
        .args(["--id", "2", "--initial-cluster", "1=127.0.0.1:1,2=127.0.0.1:2", "--data-dir"])
        .arg(&dir));
    assert_refused(&other, 65, &["is the write-ahead log of node 1", "this is node 2"]);
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let cluster = Cluster::started(1).await;
    let mut other = Cluster::new(1);
    let taken = run(other.command(1).args(["--listen-peer", &cluster.peer(1)]));
    assert_refused(&taken, 3, &["cannot listen for peers", &cluster.peer(1), "in use"]);

    let file = other.dir.path().join("file");
    fs::write(&file, "").unwrap();
    let node = || Command::new(env!("CARGO_BIN_EXE_raft-node"));
    let cluster_flag = format!("1={}", other.peer(1));
    let flags = ["--id", "1", "--initial-cluster", &cluster_flag, "--data-dir"];
    let under_a_file = run(node().args(flags).arg(file.join("data")));
    assert_refused(&under_a_file, 3, &["cannot create", "data"]);
    let mut untraceable = node();
    untraceable.args(flags).arg(other.data_dir(1)).args(["--listen-client", &other.client(1)]);
    let untraceable = run(untraceable.arg("--trace").arg(file.join("trace")));
    assert_refused(&untraceable, 3, &["the trace file", "cannot be opened"]);
    // None of that keeps the node from starting well afterwards.
    other.start(1);
    other.leader().await;
}

/// The files of a node's write-ahead log, in order, that are not empty.
fn log_files(cluster: &Cluster) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(cluster.data_dir(1))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| fs::metadata(path).unwrap().len() > 0)
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_corrupt_log_is_refused_with_file_and_offset() {
    let mut cluster = Cluster::started(1).await;
    let mut kv = cluster.kv(1).await;
    for n in 0..100 {
        kv.put(put("key", &format!("a value that can be found {n}"))).await.unwrap();
    }
    cluster.kill(1);
    let file = log_files(&cluster).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    let needle = b"a value that can be found 7";
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let refused = run(&mut cluster.command(1));
    let name = file.file_name().unwrap().to_str().unwrap();
    assert_refused(&refused, 65, &[name, "offset"]);
}

#[tokio::test]
async fn a_torn_trace_tail_is_cut_and_said() {
    let mut cluster = Cluster::started(1).await;
    cluster.kill(1);
    let whole = fs::read_to_string(cluster.trace_path(1)).unwrap();
    fs::write(cluster.trace_path(1), format!("{whole}{{\"node\":1,\"bo")).unwrap();
    cluster.start(1);
    cluster.leader().await;
    assert!(cluster.log(1).contains("cut 13 bytes of a torn last line"), "{}", cluster.log(1));
    let lines = cluster.trace(1);
    let boots: Vec<_> = lines
        .iter()
        .filter(|line| matches!(line.event, Event::Started { .. }))
        .map(|line| (line.boot, line.seq))
        .collect();
    assert_eq!(boots, [(1, 0), (2, 0)]);
}

#[tokio::test]
async fn a_node_whose_stderr_nobody_reads_stays_healthy() {
    let mut cluster = Cluster::new(1).with_flags(&["--log", "trace"]);
    let child = cluster.command(1).stderr(Stdio::piped()).spawn().unwrap();
    cluster.adopt(1, child);
    cluster.leader().await;
    let mut kv = cluster.kv(1).await;
    // Each request logs a few hundred bytes at this level, and the pipe holds 64 KiB.
    for n in 0..2000 {
        tokio::time::timeout(Duration::from_secs(5), kv.put(put("k", &n.to_string())))
            .await
            .expect("a request hangs")
            .unwrap();
    }
    let (status, took) = cluster.terminate(1);
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_node_that_cannot_write_its_trace_stops() {
    let mut cluster = Cluster::new(1);
    // The kernel refuses every write to this one.
    let full = std::os::unix::fs::symlink("/dev/full", cluster.trace_path(1));
    full.unwrap();
    cluster.start(1);
    eventually("end of the process", async || {
        if cluster.is_running(1) { Err("it runs".into()) } else { Ok(()) }
    })
    .await;
    assert!(cluster.log(1).contains("cannot be written"), "{}", cluster.log(1));
}
