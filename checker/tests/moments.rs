//! Histories by a coarse clock, where one moment holds many events: what one process did then was
//! done in the order of its lines, what several did in any.

#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// The exit code for `PROCESS TIME TYPE F VALUE`, an event a line, all on one key.
fn exit(model: &str, lines: &str) -> i32 {
    let mut history = String::new();
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    for (index, line) in lines.enumerate() {
        let fields: Vec<&str> = line.splitn(5, ' ').collect();
        let [process, time, kind, f, value] = fields[..] else { panic!("{line}") };
        let key = if f == "txn" || f == "watch" { "null" } else { "\"k\"" };
        // What is acknowledged at a revision says so.
        let (value, revision) = value.split_once(" @").unwrap_or((value, "null"));
        history += &format!(
            r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}","f":"{f}","key":{key},"value":{value},"revision":{revision}}}"#
        );
        history.push('\n');
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_checker"))
        .args(["--model", model, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(history.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    output.status.code().unwrap()
}

/// The first does one thing after the other, all at one moment, which no order explains.
const ONE_PROCESS: [(&str, &str); 11] = [
    (
        "register",
        "0 5 invoke write 1
         0 5 ok write 1
         0 5 invoke read null
         0 5 ok read null",
    ),
    (
        "kv",
        r#"0 5 invoke put "a"
           0 5 ok put "a"
           0 5 invoke append "b"
           0 5 ok append "b"
           0 5 invoke get null
           0 5 ok get "a""#,
    ),
    (
        "set",
        "0 5 invoke add 1
         0 5 ok add 1
         0 5 invoke read null
         0 5 ok read []",
    ),
    (
        "queue",
        "0 5 invoke enqueue 1
         0 5 ok enqueue 1
         0 5 invoke enqueue 2
         0 5 ok enqueue 2
         0 5 invoke dequeue null
         0 5 ok dequeue 2
         0 5 invoke dequeue null
         0 5 ok dequeue 1",
    ),
    (
        "txn",
        r#"0 5 invoke txn [["append","x",1]]
           0 5 ok txn [["append","x",1]]
           0 5 invoke txn [["r","x",null]]
           0 5 ok txn [["r","x",[]]]"#,
    ),
    (
        "mutex",
        "0 5 invoke acquire null
         0 5 ok acquire null
         0 5 invoke acquire null
         0 5 ok acquire null
         0 5 invoke release null
         0 5 ok release null
         0 5 invoke release null
         0 5 ok release null",
    ),
    (
        "sequential",
        "0 5 invoke read null
         0 5 ok read 1
         0 5 invoke write 1
         0 5 ok write 1",
    ),
    (
        "session",
        "0 5 invoke read null
         0 5 ok read 1
         0 5 invoke write 1
         0 5 ok write 1",
    ),
    (
        "watch",
        r#"0 5 invoke put 1
           0 5 ok put 1 @3
           0 5 invoke put 2
           0 5 ok put 2 @2
           1 6 invoke watch {"key":"k","from":2}
           1 7 ok watch [[[2,"put","k",2]],[[3,"put","k",1]]]"#,
    ),
    (
        "watch",
        r#"0 5 invoke watch {"key":"k","from":2}
           0 5 ok watch [[[2,"put","k",1]]]
           0 5 invoke put 1
           0 5 ok put 1 @2"#,
    ),
    (
        "watch",
        r#"0 5 invoke watch {"key":"k","from":2}
           0 5 ok watch [[[2,"put","k",1]]]
           0 5 invoke put 1
           0 5 info put 1"#,
    ),
];

#[test]
fn what_one_process_does_at_one_moment_has_an_order() {
    for (model, history) in ONE_PROCESS {
        assert_eq!(exit(model, history), 1, "{model}");
    }
}

#[test]
fn what_several_processes_do_at_one_moment_has_none() {
    for (model, history) in ONE_PROCESS {
        // Each operation, two lines, by a process of its own.
        let lines: Vec<String> = history
            .lines()
            .enumerate()
            .map(|(at, line)| format!("{} {}", at / 2, line.trim().split_once(' ').unwrap().1))
            .collect();
        assert_eq!(exit(model, &lines.join("\n")), 0, "{model}");
    }
}

#[test]
fn other_processes_may_come_in_between() {
    // Whoever put the lines of two processes together did not know which came first.
    let merged = "0 4 invoke write 1
                  0 5 ok write 1
                  0 5 invoke read null
                  0 5 ok read 2
                  1 5 invoke write 2
                  1 5 ok write 2
                  1 5 invoke read null
                  1 6 ok read 1";
    assert_eq!(exit("register", merged), 1, "one of both wrote last");
    assert_eq!(exit("register", &merged.replace("1 6 ok read 1", "1 6 ok read 2")), 0);
    let swapped = "0 5 invoke read null
                   0 5 ok read 2
                   0 5 invoke write 1
                   0 5 ok write 1
                   1 5 invoke read null
                   1 5 ok read 1
                   1 5 invoke write 2
                   1 5 ok write 2";
    assert_eq!(exit("register", swapped), 1, "each read what was written only after the other");
}

#[test]
fn what_a_process_did_elsewhere_in_between_changes_nothing() {
    let lines = r#"{"index":0,"time":5,"process":0,"type":"invoke","f":"write","key":"x","value":1}
{"index":1,"time":5,"process":0,"type":"ok","f":"write","key":"x","value":1}
{"index":2,"time":5,"process":0,"type":"invoke","f":"write","key":"y","value":1}
{"index":3,"time":5,"process":0,"type":"ok","f":"write","key":"y","value":1}
{"index":4,"time":5,"process":0,"type":"invoke","f":"read","key":"x","value":null}
{"index":5,"time":5,"process":0,"type":"ok","f":"read","key":"x","value":null}
"#;
    let mut child = Command::new(env!("CARGO_BIN_EXE_checker"))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
