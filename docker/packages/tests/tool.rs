//! Each way to a tool by itself, and none.

#![allow(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod common;

use std::{cell::RefCell, path::Path, process::Command, thread};

use common::{FITS, OLD, links};
use packages::{ETCDCTL, Machine, Program, Search, Tool};

/// No daemon has it, and no registry.
const NO_IMAGE: &str = "raft-lab-test/none:none";

fn find(machine: Machine, directory: &Path, tool: &Tool) -> (Result<Program, String>, Vec<String>) {
    let said = RefCell::new(Vec::new());
    let say = |text: &str| said.borrow_mut().push(text.to_owned());
    let found = Search::new(machine, directory).find(tool, &say);
    (found.map_err(|error| format!("{error:#}")), said.into_inner())
}

#[test]
fn the_path_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    let (found, said) = find(Machine::with_path(FITS), directory.path(), &ETCDCTL);
    let found = found.unwrap();
    assert_eq!(found.path(), Path::new(FITS).join("etcdctl"));
    assert_eq!(found.version(), "etcdctl version: 3.4.99");
    assert_eq!(said, [format!("etcdctl version: 3.4.99 (on the PATH, {FITS}/etcdctl)")]);
}

#[test]
fn another_version_on_the_path_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = std::env::join_paths([OLD, FITS]).unwrap();
    let (found, said) = find(Machine::with_path(path), directory.path(), &ETCDCTL);
    assert_eq!(found.unwrap().path(), Path::new(FITS).join("etcdctl"));
    let passed_over = format!(
        "passed over: {OLD}/etcdctl says \"etcdctl version: 3.3.25\", and the tests are written \
         for 3.4.x or 3.5.x"
    );
    assert_eq!(said[0], passed_over);
}

#[test]
fn a_package_is_downloaded_once_even_by_two() {
    let (directory, path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let machine = links(path.path(), |name| name != "etcdctl" && name != "docker");
    let mut said = thread::scope(|scope| {
        let threads = [(); 2].map(|()| {
            scope.spawn(|| {
                let (found, said) = find(machine.clone(), directory.path(), &ETCDCTL);
                assert_eq!(
                    found.unwrap().path(),
                    directory.path().join("etcdctl/debian/usr/bin/etcdctl")
                );
                said
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    said.sort_by_key(Vec::len);
    let getting = "etcdctl: getting it from the Debian package etcd-client";
    assert_eq!(said[0].len(), 1, "{said:?}");
    assert!(said[0][0].starts_with("etcdctl version: 3."), "{said:?}");
    assert!(said[0][0].contains("(Debian package etcd-client, "), "{said:?}");
    assert_eq!(said[1], [getting, &said[0][0]]);
}

#[test]
fn a_package_brings_its_libraries() {
    let tool = Tool {
        name: "jq",
        package: "jq",
        image: NO_IMAGE,
        path_in_image: "/usr/bin/jq",
        version_arguments: &["--version"],
        versions: &["jq-1."],
    };
    let (directory, path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let machine = links(path.path(), |name| name != "jq");
    let (found, _) = find(machine, directory.path(), &tool);
    let found = found.unwrap();
    let linked = Command::new("ldd")
        .arg(found.path())
        .envs(found.command().get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    let ours = directory.path().join("jq/debian").display().to_string();
    let library = linked.lines().find(|line| line.contains("libjq.so")).unwrap();
    assert!(library.contains(&ours), "{linked}");
}

#[test]
fn an_image_is_the_last_way() {
    if std::env::var("RAFT_TEST_NO_DOCKER").is_ok_and(|value| value == "1") {
        eprintln!("NOT TESTED, as RAFT_TEST_NO_DOCKER=1: a tool from an image");
        return;
    }
    const IMAGE: &str = "raft-lab-test/etcdctl:stand-in";
    let imported = Command::new("sh")
        .args([
            "-c",
            "tar -c etcdctl | docker import --change 'LABEL raft-lab.image=test' - \"$0\"",
        ])
        .arg(IMAGE)
        .current_dir(FITS)
        .status()
        .unwrap();
    assert!(imported.success());
    let (directory, path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let machine = links(path.path(), |name| name == "docker");
    let tool = Tool { image: IMAGE, path_in_image: "/etcdctl", ..ETCDCTL };
    let (found, said) = find(machine.clone(), directory.path(), &tool);
    assert_eq!(found.unwrap().version(), "etcdctl version: 3.4.99");
    assert_eq!(said[0], "etcdctl: getting it from the Debian package etcd-client");
    assert_eq!(said[1], format!("etcdctl: getting it from the image {IMAGE}"));

    let (found, said) = find(machine.clone(), directory.path(), &tool);
    assert!(found.is_ok() && said.len() == 1, "it is there already: {said:?}");

    // The image is there, and what is wanted is not in it.
    let tool = Tool { path_in_image: "/bin/etcdctl", ..tool };
    let another = tempfile::tempdir().unwrap();
    let error = find(machine, another.path(), &tool).0.unwrap_err();
    assert!(error.contains(&format!("image {IMAGE}: ")), "{error}");

    let left = Command::new("docker")
        .args(["ps", "--all", "--quiet", "--filter", &format!("ancestor={IMAGE}")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn where_no_way_leads_to_it_the_sentence_has_each_reason_and_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let tool = Tool { image: NO_IMAGE, ..ETCDCTL };
    let (found, _) = find(Machine::with_path(OLD), directory.path(), &tool);
    assert_eq!(
        found.unwrap_err(),
        format!(
            "etcdctl is needed and cannot be had: {OLD}/etcdctl says \"etcdctl version: 3.3.25\", \
             and the tests are written for 3.4.x or 3.5.x; Debian package etcd-client: apt-get is \
             not on this machine, which is no Debian or Ubuntu; image {NO_IMAGE}: the docker \
             command is not on the PATH. Put etcdctl 3.4.x or 3.5.x on the PATH; or let apt-get \
             reach the packages of a Debian or Ubuntu; or let the Docker daemon reach a registry \
             (or name an image that it has, with /usr/local/bin/etcdctl in it, in \
             RAFT_LAB_ETCDCTL_IMAGE)"
        )
    );
    // With a daemon, but neither the image nor a registry.
    if std::env::var("RAFT_TEST_NO_DOCKER").is_ok_and(|value| value == "1") {
        eprintln!("NOT TESTED, as RAFT_TEST_NO_DOCKER=1: an image that is nowhere");
        return;
    }
    let path = tempfile::tempdir().unwrap();
    let (found, _) = find(links(path.path(), |name| name == "docker"), directory.path(), &tool);
    let error = found.unwrap_err();
    assert!(error.contains("it is not on the PATH; Debian"), "{error}");
    assert!(error.contains(&format!("image {NO_IMAGE}: docker failed")), "{error}");
}
