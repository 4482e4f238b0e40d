//! The doctor, on this machine.

mod common;

use harness::doctor::{Status, doctor};

#[tokio::test]
async fn every_line_is_well_or_says_what_to_do_and_nothing_is_left() {
    let Some(docker) = common::docker("the doctor").await else { return };
    let mut heard = Vec::new();
    let lines = doctor(&mut |line| {
        eprintln!("{line}");
        heard.push(line.clone());
    })
    .await;
    assert_eq!(heard, lines);
    for name in [
        "Docker daemon",
        "machine",
        "space for Docker",
        "leftovers",
        "images",
        "pod image",
        "iptables",
        "packet loss",
        "netem",
        "NFQUEUE",
        "freezer",
        "FUSE",
        "etcdctl",
        "space for results",
    ] {
        assert!(lines.iter().any(|line| line.name == name), "nothing on {name}");
    }
    for line in &lines {
        assert!(!line.text.is_empty(), "{line:?}");
        assert_ne!(line.status, Status::Fail, "{line}");
    }
    let run = format!("doctor-{}", std::process::id());
    assert_eq!(common::belongings(&docker, &run).await, Vec::<String>::new());
}
