//! Each format through the command: what it is found to be, what it is found to hold, and what is
//! said of one that is damaged. `UPDATE_GOLDENFILES=1` writes what is said, to be read.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

/// Runs the command where the histories are, and compares with a file beside them.
fn golden(name: &str, arguments: &[&str]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats");
    let output = Command::new(env!("CARGO_BIN_EXE_checker"))
        .args(arguments)
        .current_dir(&directory)
        .output()
        .unwrap();
    let text = format!(
        "$ checker {}\n{}{}exit code {}\n",
        arguments.join(" "),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code().unwrap(),
    );
    let file = directory.join(format!("{name}.golden"));
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap();
    assert!(text == expected, "{}:\n{text}\nis not\n{expected}", file.display());
}

#[test]
fn json_lines() {
    golden("register.jsonl", &["register.jsonl"]);
}

#[test]
fn jepsens_edn() {
    golden("register.edn", &["register.edn"]);
    golden("register.edn.json", &["--json", "register.edn"]);
}

#[test]
fn independent_keys() {
    golden("independent.edn", &["--independent", "independent.edn"]);
}

#[test]
fn jepsens_log() {
    golden("jepsen.log", &["jepsen.log"]);
}

#[test]
fn a_format_that_is_told() {
    golden("told", &["--format", "edn", "register.jsonl"]);
}

#[test]
fn weaker_promises_that_a_lagging_node_keeps() {
    golden("lagging.jsonl", &["lagging.jsonl"]);
    golden("lagging.session", &["--model", "session", "lagging.jsonl"]);
    golden("lagging.sequential", &["--model", "sequential", "lagging.jsonl"]);
}

#[test]
fn weaker_promises_that_are_broken() {
    golden("backwards.session", &["--model", "session", "backwards.jsonl"]);
    golden("backwards.sequential", &["--model", "sequential", "backwards.jsonl"]);
}

#[test]
fn a_history_that_says_nothing_keeps_no_promise() {
    golden("nothing.session", &["--model", "session", "--format", "jsonl", "/dev/null"]);
    golden("nothing.sequential", &["--model", "sequential", "--format", "jsonl", "/dev/null"]);
}

#[test]
fn a_list_is_not_taken_for_a_value() {
    golden("lists.session", &["--model", "session", "independent.edn"]);
    golden("lists.sequential", &["--model", "sequential", "independent.edn"]);
    golden("independent.session", &["--model", "session", "--independent", "independent.edn"]);
    golden("unfit.session", &["--model", "session", "txn.edn"]);
}

#[test]
fn watches() {
    golden("watch.jsonl", &["watch.jsonl"]);
    golden("watch-gap.jsonl", &["watch-gap.jsonl"]);
    golden("nothing.watch", &["--model", "watch", "register.jsonl"]);
    golden("unfit.watch", &["--model", "watch", "txn.edn"]);
}

#[test]
fn registers_of_texts() {
    golden("texts.edn", &["texts.edn"]);
    golden("texts-bad.edn", &["texts-bad.edn"]);
    golden("texts.session", &["--model", "session", "texts-bad.edn"]);
}

#[test]
fn an_empty_text_may_stand_for_absence() {
    golden("empty.edn", &["empty.edn"]);
    golden("empty.kv", &["--model", "kv", "empty.edn"]);
    golden("empty.session", &["--model", "session", "empty.edn"]);
    golden("lists.register", &["independent.edn"]);
}

#[test]
fn transactions() {
    golden("txn.edn", &["txn.edn"]);
    golden("txn.skew.edn", &["txn.skew.edn"]);
    golden("txn.skew.edn.json", &["--json", "--model", "txn", "txn.skew.edn"]);
    golden("txn.unfit", &["--model", "list-append", "register.edn"]);
}

#[test]
fn porcupines_text() {
    golden("kv.txt", &["kv.txt"]);
    golden("getput.txt", &["getput.txt"]);
}
