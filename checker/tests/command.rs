//! The command: what it reads, what it prints, how it exits.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

mod runs;

use runs::CASES;

const GOOD: &str = r#"{"index":0,"time":0,"process":0,"type":"invoke","f":"write","key":"k","value":7,"node":"n1"}
{"index":1,"time":1,"process":0,"type":"ok","f":"write","key":"k","value":7,"node":"n1"}
{"index":2,"time":2,"process":1,"type":"invoke","f":"read","key":"k","value":null,"node":"n2"}
{"index":3,"time":3,"process":1,"type":"ok","f":"read","key":"k","value":7,"node":"n2"}
"#;

fn stale() -> String {
    GOOD.replace(r#""read","key":"k","value":7"#, r#""read","key":"k","value":null"#)
}

fn checker(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_checker"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that ends without reading its input breaks the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_history_from_a_pipe() {
    let good = checker(&["-"], GOOD);
    let text = String::from_utf8(good.stdout.clone()).unwrap();
    assert_eq!(code(&good), 0, "{text}");
    assert!(text.ends_with("All 2 properties held.\n"), "{text}");
    let stale = checker(&["-"], &stale());
    let text = String::from_utf8(stale.stdout.clone()).unwrap();
    assert_eq!(code(&stale), 1, "{text}");
    assert!(text.contains("n2 answered nil for key k"), "{text}");
}

#[test]
fn a_violation_outranks_what_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let bad = file(directory.path(), "bad.jsonl", &stale());
    let good = file(directory.path(), "good.jsonl", GOOD);
    let none = directory.path().join("none").to_str().unwrap().to_owned();
    assert_eq!(code(&checker(&[&good, &bad, &none], "")), 1);
    let output = checker(&[&good, &none], "");
    assert_eq!(code(&output), 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("cannot read {none}")));
}

#[test]
fn the_exit_code_speaks_of_every_input_though_nobody_listens() {
    let directory = tempfile::tempdir().unwrap();
    let good = file(directory.path(), "good.jsonl", GOOD);
    let bad = file(directory.path(), "bad.jsonl", &stale());
    // Closed before the command starts, so that its first word fails already.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_checker"))
        .args([&good, &bad])
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

/// A history of one process.
fn one_process(operations: &[(&str, &str, &str, &str)]) -> String {
    let mut lines = String::new();
    for (at, (f, argument, kind, answer)) in operations.iter().enumerate() {
        let error = if *kind == "fail" { r#","error":"mismatch""# } else { "" };
        for (index, kind, value, error) in
            [(2 * at, "invoke", argument, ""), (2 * at + 1, *kind, answer, error)]
        {
            lines += &format!(
                r#"{{"index":{index},"time":{index},"process":1,"type":"{kind}","f":"{f}","key":"k","value":{value}{error}}}"#
            );
            lines.push('\n');
        }
    }
    lines
}

#[test]
fn what_a_refused_compare_and_set_found_counts_whatever_it_is() {
    for (found, exit) in [("[1]", 0), ("[3,4]", 0), ("[2]", 1), (r#"["x"]"#, 1), ("[true]", 1)] {
        let history = one_process(&[("write", "1", "ok", "1"), ("cas", "[3,4]", "fail", found)]);
        let output = checker(&["--format", "jsonl", "-"], &history);
        assert_eq!(code(&output), exit, "{found}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_refused_compare_and_set_that_found_what_it_looked_for_is_a_violation_of_any_promise() {
    let history = |value: [&str; 2], found: &str| {
        one_process(&[
            ("write", value[0], "ok", value[0]),
            ("cas", &format!("[{},{}]", value[0], value[1]), "fail", found),
            ("read", "null", "ok", value[0]),
        ])
    };
    let (numbers, texts) = (history(["3", "4"], "[3]"), history([r#""x""#, r#""y""#], r#"["x"]"#));
    for (model, history, sentence) in [
        ("register", &numbers, "process 1 said at event 3 that the value of key k was not 3 but 3"),
        (
            "register",
            &texts,
            "process 1 refused cas [x y] at event 3 since it found \"x\", just what it looked for",
        ),
        (
            "kv",
            &texts,
            "process 1 refused cas [x y] at event 3 since it found \"x\", just what it looked for",
        ),
        (
            "sequential",
            &numbers,
            "process 1 said at event 3 that the value of key k was not 3 but 3",
        ),
        ("session", &texts, "process 1 said at event 3 that the value of key k was not x but x"),
    ] {
        let output = checker(&["--model", model, "-"], history);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(code(&output), 1, "{model}: {output:?}");
        assert!(text.contains(sentence), "{model}: {text}");
    }
}

#[test]
fn an_answer_that_repeats_another_value_is_malformed() {
    for (f, asked, answered) in
        [("write", "1", "2"), ("cas", "[1,2]", "[1,3]"), ("cas", "[1,2]", "2")]
    {
        let output = checker(&["-"], &one_process(&[(f, asked, "ok", answered)]));
        let text = String::from_utf8_lossy(&output.stdout).replace(['\n', '│'], " ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(code(&output), 2, "{text}");
        assert!(text.contains("contradicts itself, event 1: expected"), "{text}");
    }
    for (text, model) in [(r#""x""#, "kv"), (r#""x""#, "session"), (r#""x""#, "register")] {
        for (answered, exit) in [(text, 0), ("null", 0), (r#""y""#, 2), ("7", 2)] {
            let operations = [("put", text, "ok", answered), ("get", "null", "ok", text)];
            let output = checker(&["--model", model, "-"], &one_process(&operations));
            assert_eq!(code(&output), exit, "{model} {answered}: {output:?}");
        }
    }
    let nil = one_process(&[("cas", "[null,2]", "ok", "null"), ("read", "null", "ok", "2")]);
    assert_eq!(code(&checker(&["-"], &nil)), 0);
}

#[test]
fn a_history_of_which_nothing_is_known_is_undecided() {
    let failed = |history: String| history.replace("mismatch", "unavailable");
    let pending =
        r#"{"index":0,"time":0,"process":0,"type":"invoke","f":"read","key":"k","value":null}"#;
    for (model, history) in [
        ("register", failed(one_process(&[("write", "1", "fail", "1")]))),
        ("register", pending.to_owned() + "\n"),
        ("kv", failed(one_process(&[("put", "\"x\"", "fail", "\"x\"")]))),
        ("set", failed(one_process(&[("add", "7", "fail", "7")]))),
        ("queue", failed(one_process(&[("dequeue", "null", "fail", "null")]))),
        ("mutex", failed(one_process(&[("acquire", "null", "fail", "null")]))),
        (
            "list-append",
            failed(one_process(&[("txn", "[[\"append\",1,1]]", "fail", "null")]))
                .replace(r#""key":"k","#, ""),
        ),
        ("session", failed(one_process(&[("write", "1", "fail", "1")]))),
        ("sequential", failed(one_process(&[("write", "1", "fail", "1")]))),
    ] {
        let output = checker(&["--model", model, "--json", "-"], &history);
        assert_eq!(code(&output), 2, "{model}: {output:?}");
    }
    // A refusal that tells what was found is an observation.
    assert_eq!(code(&checker(&["-"], &one_process(&[("cas", "[1,2]", "fail", "[null]")]))), 0);
}

#[test]
fn independent_keys_are_for_jepsens_formats() {
    let output = checker(&["--independent", "-"], GOOD);
    assert_eq!(code(&output), 64);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        error,
        "checker: standard input: --independent is for Jepsen's formats, and this is JSON Lines\n"
    );
    let texts = "{:process 0, :type :invoke, :f :get, :key \"k\", :value nil}\n";
    assert_eq!(code(&checker(&["--independent", "-"], texts)), 64);
    let directory = tempfile::tempdir().unwrap();
    let output = checker(&["--independent", directory.path().to_str().unwrap()], "");
    assert_eq!(code(&output), 64);
}

#[test]
fn a_log_without_a_line_of_a_log_is_said_to_have_none() {
    let output = checker(&["--format", "jepsen-log", "-"], GOOD);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 2, "{text}");
    assert!(text.contains("no line of standard input is of jepsen.util"), "{text}");
}

#[test]
fn damage_names_file_and_line() {
    let output = checker(&["-"], &GOOD.replace(r#""index":2,"#, ""));
    assert_eq!(code(&output), 3);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("checker: standard input:3: expected an operation event"), "{error}");
}

#[test]
fn a_torn_last_line_is_undecided() {
    let output = checker(&["-"], &GOOD[..GOOD.len() - 9]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stdout).contains("the last line is torn"));
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    assert_eq!(code(&checker(&[], "")), 64);
    assert_eq!(code(&checker(&["--frobnicate", "-"], "")), 64);
    assert_eq!(code(&checker(&["--memory", "0", "-"], "")), 64);
    assert_eq!(code(&checker(&["--timeout", "soon", "-"], "")), 64);
    assert_eq!(code(&checker(&["--help"], "")), 0);
}

#[test]
fn json_is_one_line_an_input() {
    let output = checker(&["--json", "-", "-"], GOOD);
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["input"], "-");
    assert_eq!(lines[0]["outcome"], "ok");
    assert_eq!(lines[1]["outcome"], "unknown", "the pipe is empty the second time");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_directory_without_evidence_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    let output = checker(&[&path], "");
    assert_eq!(code(&output), 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not a run directory"));
    file(directory.path(), "history.jsonl", GOOD);
    let output = checker(&[&path], "");
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stdout).contains("run.json is missing"));
}

#[test]
fn a_jepsen_log_is_recognized() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/jepsen/etcd_000.log");
    assert_eq!(code(&checker(&[path], "")), 1);
}

#[test]
fn a_page_shows_why_a_register_is_not_linearizable() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html").to_str().unwrap().to_owned();
    let output = checker(&["--html", &page, "-"], &stale());
    assert_eq!(code(&output), 1);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("<h1>standard input: violated</h1>"), "{html}");
    assert!(html.contains("✗ read nil · n2") && html.contains(">write 7 · n1</text>"), "{html}");
    assert!(html.contains("these 2 operations have no order by themselves, verified"), "{html}");
}

#[test]
fn a_page_names_the_lines_of_a_log_and_is_drawn_of_a_run_directory_too() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html").to_str().unwrap().to_owned();
    // A line more at the top moves every place.
    let log = include_str!("data/jepsen/etcd_000.log");
    let places = |log: &str| {
        assert_eq!(code(&checker(&["--html", &page, "-"], log)), 1);
        let html = fs::read_to_string(&page).unwrap();
        let row = html.split("<tr class=\"stuck\">").nth(1).unwrap();
        let row = row.split("</tr>").next().unwrap();
        let last = row.rsplit("<td>").next().unwrap().trim_end_matches("</td>");
        last.split(", ").map(|line| line.parse::<usize>().unwrap()).collect::<Vec<_>>()
    };
    let lines = places(log);
    let text: Vec<&str> = log.lines().collect();
    assert!(text[lines[0] - 1].contains(":invoke"), "{}", text[lines[0] - 1]);
    assert!(text[lines[1] - 1].contains(":ok"), "{}", text[lines[1] - 1]);
    assert_eq!(places(&format!("\n{log}")), [lines[0] + 1, lines[1] + 1]);

    let run = tempfile::tempdir().unwrap();
    file(run.path(), "history.jsonl", &stale());
    fs::remove_file(&page).unwrap();
    assert_eq!(code(&checker(&["--html", &page, run.path().to_str().unwrap()], "")), 1);
    assert!(fs::read_to_string(&page).unwrap().contains("✗ read nil · n2"));
}

#[test]
fn a_page_shows_a_violation_of_any_model() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html").to_str().unwrap().to_owned();
    let event = |index: u64, process: u64, kind: &str, f: &str, value: &str| {
        let time = 10 * index;
        format!(
            r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#
        ) + "\n"
    };
    let of_two = |f: [&str; 2], asked: [&str; 2], answered: [&str; 2]| {
        event(0, 0, "invoke", f[0], asked[0])
            + &event(1, 0, "ok", f[0], answered[0])
            + &event(2, 1, "invoke", f[1], asked[1])
            + &event(3, 1, "ok", f[1], answered[1])
    };
    let texts = of_two(["write", "read"], ["\"red\"", "null"], ["\"red\"", "\"blue\""]);
    let lost = of_two(
        ["txn", "txn"],
        [r#"[["append","x",1]]"#, r#"[["r","x",null]]"#],
        [r#"[["append","x",1]]"#, r#"[["r","x",[]]]"#],
    );
    let (tried, alone) = ("no place for", "have no order by themselves");
    let cases: [(&str, &str, String, &[&str]); 7] = [
        ("register", "linearizability", texts, &["✗ read → blue", "alone has no place", tried]),
        (
            "kv",
            "linearizability",
            of_two(["append", "read"], ["\"a\"", "null"], ["\"a\"", "\"\""]),
            &["append a", "read → "],
        ),
        (
            "mutex",
            "linearizability",
            of_two(["acquire", "acquire"], ["null", "null"], ["null", "null"]),
            &["<code>held</code>", "✗ acquire", alone, tried, "class=\"number\""],
        ),
        (
            "queue",
            "linearizability",
            of_two(["enqueue", "dequeue"], ["7", "null"], ["7", "null"]),
            &["enqueue 7", "dequeue → nil"],
        ),
        (
            "set",
            "linearizability",
            of_two(["add", "read"], ["7", "null"], ["7", "[]"]),
            &["add 7", "read → []"],
        ),
        (
            "list-append",
            "G-single-realtime",
            lost,
            &["txn [[append x 1]]", "txn [[r x nil]] → [[r x []]]"],
        ),
        (
            "session",
            "read-your-writes",
            event(0, 0, "invoke", "write", "7")
                + &event(1, 0, "ok", "write", "7")
                + &event(2, 0, "invoke", "read", "null")
                + &event(3, 0, "ok", "read", "null"),
            &["write 7", "read → nil"],
        ),
    ];
    for (model, rule, history, shown) in cases {
        let output = checker(&["--html", &page, "--model", model, "-"], &history);
        assert_eq!(code(&output), 1, "{model}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{model}");
        let html = fs::read_to_string(&page).unwrap();
        assert!(html.contains(&format!("<h2>{rule}")), "{model}: {html}");
        for text in shown {
            assert!(html.contains(text), "{model} lacks {text}: {html}");
        }
        fs::remove_file(&page).unwrap();
    }
}

#[test]
fn a_page_without_anything_to_show_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html").to_str().unwrap().to_owned();
    let cases = [(GOOD, 0, "no violation was found"), ("", 2, "nothing was decided")];
    for (history, exit, why) in cases {
        let output = checker(&["--html", &page, "--format", "jsonl", "-"], history);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), exit, "{error}");
        assert_eq!(error, format!("checker: nothing to explain, {page} is not written: {why}\n"));
        assert!(!Path::new(&page).exists());
    }
}

#[test]
fn a_page_that_cannot_be_written_is_told_and_hides_no_violation() {
    let output = checker(&["--html", "no/such/directory/page.html", "-"], &stale());
    assert_eq!(code(&output), 1);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("checker: cannot write no/such/directory/page.html: "), "{error}");
    assert_eq!(code(&checker(&["--html", "page.html", "-", "-"], GOOD)), 64);
}

#[test]
fn a_history_that_contradicts_itself_is_not_said_to_be_empty() {
    let stray = GOOD.replace(r#""process":1,"type":"invoke""#, r#""process":2,"type":"invoke""#);
    let output = checker(&["-"], &stray);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 2, "{text}");
    assert!(text.contains("not checked: the history contradicts itself"), "{text}");
    assert!(!text.contains("has no operation"), "{text}");
}

#[test]
fn a_run_directory_is_checked_against_the_model_that_it_names() {
    for case in &CASES {
        for (answer, expected) in [(case.good, 0), (case.bad, 1)] {
            let directory = tempfile::tempdir().unwrap();
            case.write(directory.path(), answer);
            let name = directory.path().to_str().unwrap();
            let page = directory.path().join("page.html");
            let output = checker(&["--html", page.to_str().unwrap(), name], "");
            let text = String::from_utf8(output.stdout.clone()).unwrap();
            assert_eq!(code(&output), expected, "{} {answer}: {text}", case.model);
            assert!(expected == 0 || text.contains(&format!("\n{}: ", case.rule)), "{text}");
            assert_eq!(page.exists(), expected == 1, "{} {answer}", case.model);
        }
    }
}

#[test]
fn a_run_directory_of_an_unknown_model_or_version_is_never_green() {
    let directory = tempfile::tempdir().unwrap();
    let case = &CASES[0];
    let name = directory.path().to_str().unwrap();
    case.write(directory.path(), case.good);
    let run = directory.path().join("run.json");
    let text = fs::read_to_string(&run).unwrap();
    fs::write(&run, text.replace(r#""model":"register""#, r#""model":"stack""#)).unwrap();
    let output = checker(&[name], "");
    let says = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    assert_eq!(code(&output), 2, "{says}");
    assert!(says.contains("run.json names the model stack; there are register ("), "{says}");
    fs::write(&run, text.replace(r#""model":"register""#, r#""model":"queue""#)).unwrap();
    let output = checker(&[name], "");
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(code(&output), 2, "{says}");
    assert!(says.contains("not checked as queue: event 0: expected enqueue or dequeue"), "{says}");
    fs::write(&run, text.replace(r#""version":2"#, r#""version":9"#)).unwrap();
    let output = checker(&[name], "");
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(code(&output), 3, "{says}");
    assert!(says.contains("has format version 9, and this build reads version 2"), "{says}");
}
