#![no_main]

use std::fs;

use checker::{budget::Limits, evidence, judge};

const FILES: [&str; 4] = ["run.json", "history.jsonl", "faults.jsonl", "trace/n1.jsonl"];

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let Some((&which, text)) = text.split_first() else { return };
    let Ok(directory) = tempfile::tempdir() else { return };
    if fs::create_dir(directory.path().join("trace")).is_err() {
        return;
    }
    let file = FILES[usize::from(which) % FILES.len()];
    for name in ["run.json", "history.jsonl", file] {
        let text = match name {
            name if name == file => text,
            "run.json" => br#"{"version":2,"model":"register","started":0,"duration":1,"nodes":1,"traced":true,"healed":null,"final_hashes":[],"expect":{"recovery_ms":1,"operations":1},"incomplete":[]}"#,
            _ => b"",
        };
        if fs::write(directory.path().join(name), text).is_err() {
            return;
        }
    }
    match evidence::load(directory.path()) {
        Ok(evidence) => {
            let limits = Limits { memory: 1 << 20, timeout: std::time::Duration::from_millis(50) };
            judge::run(&evidence, &limits);
        }
        Err(error) => assert!(error.to_string().contains(file), "{error}"),
    }
});
