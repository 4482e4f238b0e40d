//! The checker is pure: nothing of gRPC or of an asynchronous runtime is in its tree, so that it
//! builds in seconds and can be used in any program.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

#[test]
fn no_runtime_and_no_grpc() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "checker", "--edges", "normal,build", "--prefix", "none"])
        .args(["--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    // What must be there: a tree that was read wrongly holds nothing that is forbidden.
    for name in ["checker", "proto", "serde_json"] {
        assert!(names.contains(&name), "{name} is not in\n{tree}");
    }
    for name in ["tokio", "tonic", "tonic-prost-build", "hyper", "prost", "protox"] {
        assert!(!names.contains(&name), "{name} is in\n{tree}");
    }
}

/// The rooms that decide. `judge` alone knows them all.
const DECIDERS: [&str; 5] = ["consistency", "linear", "raft", "txn", "watch"];

#[test]
fn models_know_no_decider_and_deciders_know_no_other() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut looked_at = 0;
    for room in DECIDERS.into_iter().chain(["model", "history", "evidence"]) {
        let above = ["judge", "explanation", "property"];
        let forbidden: Vec<&str> =
            DECIDERS.into_iter().filter(|other| *other != room).chain(above).collect();
        for file in files(&source.join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            looked_at += 1;
            for name in names(&text) {
                assert!(!forbidden.contains(&name.as_str()), "{} uses {name}", file.display());
            }
        }
    }
    assert!(looked_at > 80, "{looked_at} files");
}

#[test]
fn a_use_is_seen_however_it_is_written() {
    let text = "//! crate::txn\nuse crate::{\n    budget::{Budget, Spent},\n    linear::decide,\n};\n\
                use crate::{text, watch::{a, b}};\nlet a = crate::raft::check();";
    assert_eq!(names(text), ["budget", "linear", "text", "watch", "raft"]);
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The modules of the crate that a file names, comments and tests apart.
fn names(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.flat_map(|line| [line, "\n"]).collect();
    let first = |path: &str| path.trim().split(|c| !is_name(c)).next().unwrap().to_owned();
    let paths = code.split("crate::").skip(1).flat_map(members);
    paths.map(|path| first(&path)).filter(|name| !name.is_empty()).collect()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The members of a list in braces, each with what follows its name; or all of another path.
fn members(path: &str) -> Vec<String> {
    if !path.starts_with('{') {
        return vec![path.to_owned()];
    }
    let (mut members, mut depth) = (vec![String::new()], 0);
    for c in path.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => members.push(String::new()),
            c => members.last_mut().unwrap().push(c),
        }
    }
    members
}
