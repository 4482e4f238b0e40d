//! The images, by both ways.
//!
//! The Dockerfiles are built for real, with base images made here by recipe, as there may be no
//! registry. Of the node's, the compiler is a stand-in: a `cargo` that copies a ready file. So
//! what is not tested is that the real Rust image compiles the node.

#![allow(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod common;

use std::{
    process::Stdio,
    sync::Mutex,
    time::{Duration, Instant},
};

use bollard::{
    Docker, body_full,
    query_parameters::{
        BuildImageOptions, InspectContainerOptions, ListContainersOptions, LogsOptionsBuilder,
        RemoveContainerOptions, StartContainerOptions,
    },
};
use futures::StreamExt;
use harness::images::{
    self, Kind, Source,
    dockerfile::{self, Bases},
    source::Workspace,
};

/// Runs a command in an image; gives its exit code and what it printed.
async fn run(docker: &Docker, image: &str, command: &[&str]) -> (i64, String) {
    let body = bollard::models::ContainerCreateBody {
        image: Some(image.into()),
        entrypoint: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        cmd: Some(Vec::new()),
        labels: Some([(harness::cluster::docker::RUN.to_owned(), "test-images".to_owned())].into()),
        ..Default::default()
    };
    let options = None::<bollard::query_parameters::CreateContainerOptions>;
    let id = docker.create_container(options, body).await.unwrap().id;
    docker.start_container(&id, None::<StartContainerOptions>).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let state = loop {
        let inspected =
            docker.inspect_container(&id, None::<InspectContainerOptions>).await.unwrap();
        let state = inspected.state.unwrap();
        if state.running != Some(true) || Instant::now() > deadline {
            break state;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
    let text = docker.logs(&id, Some(options)).map(|chunk| chunk.unwrap().to_string());
    let text: Vec<String> = text.collect().await;
    let options = RemoveContainerOptions { force: true, ..Default::default() };
    docker.remove_container(&id, Some(options)).await.unwrap();
    (state.exit_code.unwrap(), text.concat())
}

#[tokio::test]
async fn the_pod_by_recipe_has_the_tools_and_is_built_once() {
    let Some(docker) = common::docker("the pod image by recipe").await else { return };
    let said = Mutex::new(Vec::new());
    let say = |text: &str| said.lock().unwrap().push(text.to_owned());
    let (image, how) = images::ensure_one(&docker, Kind::Pod, Source::Auto, &say).await.unwrap();
    assert!(how == images::recipe::HOW || how == dockerfile::HOW, "{how}");
    for tool in [
        &["iptables-nft", "-V"] as &[&str],
        &["iptables-legacy", "-V"],
        &["iptables-nft-restore", "-V"],
        &["/sbin/tc", "-V"],
        &["/bin/ip", "-V"],
        &["busybox", "ping", "-c", "1", "127.0.0.1"],
        &["sh", "-c", "exit 0"],
    ] {
        let (code, text) = run(&docker, &image, tool).await;
        assert_eq!(code, 0, "{tool:?}: {text}");
    }
    // Once it exists, nothing is done and nothing said.
    said.lock().unwrap().clear();
    let begin = Instant::now();
    let again = images::ensure_one(&docker, Kind::Pod, Source::Auto, &say).await.unwrap();
    assert_eq!(again, (image, how));
    assert_eq!(*said.lock().unwrap(), Vec::<String>::new());
    assert!(begin.elapsed() < Duration::from_secs(1), "took {:?}", begin.elapsed());
}

#[tokio::test]
async fn the_node_by_recipe_runs_as_its_user() {
    let Some(docker) = common::docker("the node image by recipe").await else { return };
    let (image, how) =
        images::ensure_one(&docker, Kind::Node, Source::Recipe, &|text| eprintln!("{text}"))
            .await
            .unwrap();
    assert_eq!(how, images::recipe::HOW);
    let (code, text) = run(&docker, &image, &["/usr/local/bin/raft-node", "--help"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("--initial-cluster"), "{text}");
    let (code, text) = run(&docker, &image, &["sh", "-c", "id -u; touch /data/x && echo ok"]).await;
    assert_eq!((code, text.as_str()), (0, "10001\nok\n"));
}

#[tokio::test]
async fn both_dockerfiles_build_on_local_base_images() {
    let Some(docker) = common::docker("the Dockerfiles").await else { return };
    let (base, _) = images::ensure_one(&docker, Kind::Pod, Source::Auto, &|_| ()).await.unwrap();
    let rust = toolchain(&docker, &base).await;
    let bases = Bases { base, rust };
    let workspace = Workspace::find().unwrap();

    let pod = "raft-lab-test/pod:dockerfile";
    dockerfile::build(&docker, &workspace, Kind::Pod, pod, &bases).await.unwrap();
    assert_eq!(run(&docker, pod, &["iptables-nft", "-V"]).await.0, 0);

    let node = "raft-lab-test/node:dockerfile";
    dockerfile::build(&docker, &workspace, Kind::Node, node, &bases).await.unwrap();
    let (code, text) = run(&docker, node, &["/usr/local/bin/raft-node"]).await;
    assert_eq!((code, text.trim()), (0, "a node, by user 10001 in group 10001"));
    let (code, text) = run(&docker, node, &["busybox", "stat", "-c", "%u:%g", "/data"]).await;
    assert_eq!((code, text.trim()), (0, "10001:10001"));
    let config = docker.inspect_image(node).await.unwrap().config.unwrap();
    assert_eq!(config.entrypoint.unwrap(), ["/usr/local/bin/raft-node"]);
    assert_eq!(config.labels.unwrap()[images::KIND], "node");

    let mutant = "raft-lab-test/mutant:dockerfile";
    dockerfile::build(&docker, &workspace, Kind::Mutant, mutant, &bases).await.unwrap();
    let (code, text) = run(&docker, mutant, &["/usr/local/bin/raft-node"]).await;
    assert_eq!((code, text.trim()), (0, "a mutant, by user 10001 in group 10001"));
    let config = docker.inspect_image(mutant).await.unwrap().config.unwrap();
    assert_eq!(config.labels.unwrap()[images::KIND], "mutant");
}

#[tokio::test]
async fn a_failing_build_shows_its_output() {
    let Some(docker) = common::docker("a failing Dockerfile").await else { return };
    let (base, _) = images::ensure_one(&docker, Kind::Pod, Source::Auto, &|_| ()).await.unwrap();
    // No cargo in this "compiler".
    let bases = Bases { base: base.clone(), rust: base };
    let workspace = Workspace::find().unwrap();
    let node = "raft-lab-test/node:broken";
    let error = dockerfile::build(&docker, &workspace, Kind::Node, node, &bases).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("cargo: not found"), "{text}");
    assert!(docker.inspect_image(node).await.is_err());
}

#[tokio::test]
async fn where_no_way_works_the_harness_ends_with_code_3_and_says_what_to_do() {
    let Some(docker) = common::docker("images on a machine that is no Debian").await else {
        return;
    };
    // Sources of which no image exists yet.
    let root = tempfile::tempdir().unwrap();
    let workspace = Workspace::find().unwrap();
    for file in
        workspace.files(Kind::Node).unwrap().into_iter().chain(workspace.files(Kind::Pod).unwrap())
    {
        let copy = root.path().join(&file);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(workspace.root().join(&file), copy).unwrap();
    }
    let recipe = root.path().join("docker/recipe");
    let changed = std::fs::read_to_string(&recipe).unwrap() + "# Another machine.\n";
    std::fs::write(recipe, changed).unwrap();

    let empty = tempfile::tempdir().unwrap();
    let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["test", "--cluster", "docker", "--time", "5s", "--seed", "17"])
        .env("CARGO_MANIFEST_DIR", root.path().join("harness"))
        .env("RAFT_LAB_BASE_IMAGE", "raft-lab-test/none:none")
        .env("PATH", empty.path())
        .current_dir(root.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let process = child.id().unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in [
        "the pod image cannot be built, neither by its Dockerfile",
        "apt-get is not on this machine, which is no Debian or Ubuntu",
        "Let the Docker daemon reach a registry",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let results = std::fs::read_dir(root.path().join("results")).into_iter().flatten();
    assert_eq!(results.count(), 0, "a run directory is left");
    // A run's id names the process.
    let options = ListContainersOptions {
        all: true,
        filters: Some(
            [("label".to_owned(), vec![harness::cluster::docker::RUN.to_owned()])].into(),
        ),
        ..Default::default()
    };
    let containers = docker.list_containers(Some(options)).await.unwrap();
    let ours = format!("-{process:x}-");
    let left = containers.into_iter().flat_map(|container| container.names.unwrap_or_default());
    assert_eq!(Vec::from_iter(left.filter(|name| name.contains(&ours))), Vec::<String>::new());
}

/// A stand-in for the Rust image: its `cargo` checks that it got the sources and makes a script.
async fn toolchain(docker: &Docker, base: &str) -> String {
    let cargo = r#"#!/bin/sh
set -e
case "$*" in
    "build --release --package node --bin raft-node") kind=node ;;
    "build --release --package node --bin raft-node --features mutants") kind=mutant ;;
    *) exit 1 ;;
esac
for file in Cargo.lock node/src/main.rs proto/build.rs checker/src/lib.rs harness/Cargo.toml \
    docker/packages/src/lib.rs; do
    [ -f $file ]
done
mkdir -p target/release
printf '#!/bin/sh\necho a %s, by user $(id -u) in group $(id -g)\n' $kind > target/release/raft-node
chmod 755 target/release/raft-node
"#;
    let mut archive = tar::Builder::new(Vec::new());
    let dockerfile =
        format!("FROM {base}\nLABEL {}=test\nCOPY cargo /usr/bin/cargo\n", images::KIND);
    for (path, content, mode) in [("Dockerfile", &*dockerfile, 0o644), ("cargo", cargo, 0o755)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let image = "raft-lab-test/rust:stand-in".to_owned();
    let options = BuildImageOptions {
        dockerfile: "Dockerfile".into(),
        t: Some(image.clone()),
        rm: true,
        ..Default::default()
    };
    let context = body_full(archive.into_inner().unwrap().into());
    let mut events = docker.build_image(options, None, Some(context));
    while let Some(event) = events.next().await {
        event.unwrap();
    }
    image
}
