//! Debian packages are really downloaded, whatever the lists are.

#![allow(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

use std::{fs, path::Path, thread};

use packages::{Debian, Downloaded, Machine};

fn names(downloaded: &Downloaded) -> Vec<String> {
    let packages = downloaded.packages().unwrap();
    packages
        .iter()
        .map(|path| {
            assert!(fs::metadata(path).unwrap().len() > 1000, "{}", path.display());
            let name = path.file_name().unwrap().to_str().unwrap();
            name.split('_').next().unwrap().to_owned()
        })
        .collect()
}

fn jq(directory: &Path) -> Vec<String> {
    names(&Debian::new(Machine::this(), directory).download(&["jq"], &["libc6"]).unwrap())
}

/// Replaces the content of each list. Signatures stay, so that apt takes the content for genuine.
fn doctor(directory: &Path, content: &str) -> usize {
    let mut doctored = 0;
    for entry in fs::read_dir(directory.join("lists")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if let Some((start, _)) = name.split_once("_Packages") {
            fs::remove_file(&path).unwrap();
            fs::write(path.with_file_name(format!("{start}_Packages")), content).unwrap();
            doctored += 1;
        }
    }
    doctored
}

#[test]
fn without_lists_a_package_comes_with_its_libraries() {
    let directory = tempfile::tempdir().unwrap();
    let found = jq(directory.path());
    assert!(found.contains(&"jq".into()) && found.contains(&"libjq1".into()), "{found:?}");
    assert!(!found.contains(&"libc6".into()), "{found:?}");

    // The lists are kept, and what was downloaded is not.
    let lists = || {
        let entries = fs::read_dir(directory.path().join("lists")).unwrap();
        let mut lists: Vec<_> = entries
            .map(|entry| (entry.as_ref().unwrap().file_name(), entry.unwrap().metadata().unwrap()))
            .filter(|(name, _)| name.to_string_lossy().contains("_Packages"))
            .map(|(name, metadata)| (name, std::os::unix::fs::MetadataExt::ino(&metadata)))
            .collect();
        lists.sort();
        lists
    };
    let before = lists();
    assert!(!before.is_empty());
    assert_eq!(jq(directory.path()), found);
    assert_eq!(lists(), before, "lists that work are not updated");
    let left: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("download-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_list_that_lacks_the_package_or_names_a_version_that_is_gone_is_updated() {
    let directory = tempfile::tempdir().unwrap();
    let found = jq(directory.path());
    let architecture = std::process::Command::new("dpkg").arg("--print-architecture").output();
    let architecture = String::from_utf8(architecture.unwrap().stdout).unwrap();
    let entry = |package: &str| {
        format!(
            "Package: {package}\nVersion: 0.0.1\nArchitecture: {0}\nSize: 5000\n\
             Filename: pool/main/j/jq/{package}_0.0.1_{0}.deb\nSHA256: {1}\n\n",
            architecture.trim(),
            "0".repeat(64)
        )
    };
    for content in [entry("another"), entry("jq") + &entry("libc6")] {
        assert!(doctor(directory.path(), &content) > 0);
        assert_eq!(jq(directory.path()), found);
        let healed = fs::read_dir(directory.path().join("lists")).unwrap();
        let healed = healed.flatten().filter(|entry| entry.metadata().unwrap().len() > 1_000_000);
        assert!(healed.count() > 0, "no list of a real archive's size");
    }
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let found: Vec<_> = thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| jq(directory.path())));
        threads.map(|thread| thread.join().unwrap()).into()
    });
    assert_eq!(found[0], found[1]);
    assert!(found[0].contains(&"jq".into()));
}

#[test]
fn a_package_that_does_not_exist_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let debian = Debian::new(Machine::this(), directory.path());
    let error = format!("{:#}", debian.download(&["jq", "raft-lab-none"], &[]).unwrap_err());
    assert!(error.contains("raft-lab-none"), "{error}");
}

#[test]
fn a_machine_without_apt_is_no_debian() {
    let (directory, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let debian = Debian::new(Machine::with_path(empty.path()), directory.path());
    let error = format!("{:#}", debian.download(&["jq"], &[]).unwrap_err());
    assert_eq!(error, "apt-get is not on this machine, which is no Debian or Ubuntu");
}
