//! The checker is pure: nothing of gRPC or of an asynchronous runtime is in its tree, so that it
//! builds in seconds and can be used in any program.

#![allow(clippy::unwrap_used)]

use std::process::Command;

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
