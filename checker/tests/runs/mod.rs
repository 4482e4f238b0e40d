//! Run directories of several models, one that keeps its promise and one that breaks it.

use std::{fs, path::Path};

use checker::evidence::{
    FinalHash, Run,
    sums::{self, Digest, Sums},
};

/// A model, and a history of two operations, the second of which is answered so; or so, which no
/// order explains.
pub(crate) struct Case {
    pub(crate) model: &'static str,
    first: (&'static str, &'static str, &'static str),
    second: (&'static str, &'static str),
    pub(crate) good: &'static str,
    pub(crate) bad: &'static str,
    /// The rule that is broken then.
    pub(crate) rule: &'static str,
}

pub(crate) const CASES: [Case; 4] = [
    Case {
        model: "register",
        first: ("write", "7", "7"),
        second: ("read", "null"),
        good: "7",
        bad: "null",
        rule: "linearizability",
    },
    Case {
        model: "set",
        first: ("add", "1", "1"),
        second: ("read", "null"),
        good: "[1]",
        bad: "[]",
        rule: "linearizability",
    },
    Case {
        model: "list-append",
        first: ("txn", r#"[["append",5,1]]"#, r#"[["append",5,1]]"#),
        second: ("txn", r#"[["r",5,null]]"#),
        good: r#"[["r",5,[1]]]"#,
        bad: r#"[["r",5,[]]]"#,
        rule: "G-single-realtime",
    },
    Case {
        model: "watch",
        first: ("put", "5", "5"),
        second: ("watch", r#"{"prefix":"k","from":2}"#),
        good: r#"[[[2,"put","k",5]],{"progress":2}]"#,
        bad: r#"[[[2,"put","k",6]],{"progress":2}]"#,
        rule: "watch-integrity",
    },
];

impl Case {
    /// Writes the directory of a run in which the second operation is answered so.
    pub(crate) fn write(&self, directory: &Path, answer: &str) {
        let key = if matches!(self.model, "register" | "watch") { r#""k""# } else { "null" };
        let watch = self.second.0 == "watch";
        let second_key = if watch { "null" } else { key };
        let event = |index: u64, kind: &str, f: &str, key: &str, value: &str| {
            let process = index / 2;
            let revision = if index == 1 { ",\"revision\":2" } else { "" };
            format!(
                "{{\"index\":{index},\"time\":{index},\"process\":{process},\"type\":\"{kind}\",\
                 \"f\":\"{f}\",\"key\":{key},\"value\":{value},\"node\":\"n1\"{revision}}}\n"
            )
        };
        let (first, asked, answered) = self.first;
        let history = [
            event(0, "invoke", first, key, asked),
            event(1, "ok", first, key, answered),
            event(2, "invoke", self.second.0, second_key, self.second.1),
            event(3, "ok", self.second.0, second_key, answer),
        ];
        fs::write(directory.join("history.jsonl"), history.concat()).unwrap();
        fs::write(directory.join("faults.jsonl"), "").unwrap();
        let run = Run {
            model: self.model.into(),
            duration: 3,
            nodes: 1,
            healed: Some(0),
            final_hashes: vec![FinalHash { node: "n1".into(), applied: 2, revision: 2, hash: 42 }],
            ..Run::default()
        };
        fs::write(directory.join("run.json"), serde_json::to_string(&run).unwrap()).unwrap();
        seal(directory);
    }
}

/// Writes `SHA256SUMS` for the files as they are now.
pub(crate) fn seal(directory: &Path) {
    let digest = |name: &str| Digest::of(&fs::read(directory.join(name)).unwrap());
    let names = ["history.jsonl", "faults.jsonl", "run.json"];
    let sums = Sums(names.map(|name| (name.into(), digest(name))).into());
    fs::write(directory.join(sums::NAME), sums.to_string()).unwrap();
}
