//! What a page shows, of run directories made by hand.

use std::{fs, path::Path};

use super::{
    sample::{self, Found},
    write,
};

fn page(dir: &Path) -> String {
    fs::read_to_string(write(dir).unwrap()).unwrap()
}

/// Nothing on the page asks for anything outside it.
fn assert_self_contained(page: &str) {
    for forbidden in ["http:", "https:", "<script", "<link", "<iframe", "<img", "@import", "url("] {
        assert!(!page.contains(forbidden), "the page contains {forbidden}");
    }
}

#[test]
fn a_passing_run() {
    let dir = tempfile::tempdir().unwrap();
    sample::write(dir.path(), 60, 300, Found::Nothing);
    let page = page(dir.path());
    assert_self_contained(&page);
    assert!(page.contains(r#"<div class="verdict ok">"#));
    assert!(page.contains("All 6 properties held."));
    assert!(page.contains("operations · 5 nodes · 11 faults · 5 leaders elected · seed 42"));
    assert!(!page.contains("What was violated"));
    assert!(!page.contains("Notes on the evidence"));
    // Every fault: its row, its bar, its proof.
    let rows = page.matches(r#"<span class="dot "#).count();
    assert_eq!(rows, 11);
    for number in 0..11 {
        assert!(page.contains(&format!("<title>fault {number}: ")), "no bar for fault {number}");
    }
    assert!(page.contains("-A RAFT-IN -s 198.18.0.4 -j DROP"));
    // Every node has a lane, and a kill of the run ended with a restart.
    for node in 1..=5 {
        assert!(page.contains(&format!(">n{node}</text>")));
    }
    assert!(page.contains(r#"class="restart""#));
    assert!(page.contains("leader in term 1"));
    assert!(page.contains("test --plan"));
    assert!(page.contains("<td>seed</td><td>42</td>"));
    let picture = fs::read_to_string(dir.path().join("timeline.svg")).unwrap();
    assert!(picture.starts_with("<svg xmlns="));
}

#[test]
fn a_failing_run_shows_the_operations_that_violate() {
    let dir = tempfile::tempdir().unwrap();
    sample::write(dir.path(), 30, 300, Found::StaleRead);
    let page = page(dir.path());
    assert_self_contained(&page);
    assert!(page.contains(r#"<div class="verdict violated">"#));
    assert!(page.contains("although process 5 had already read 21"));
    for event in [41, 44, 52, 53, 60] {
        let places =
            [format!("<td>{event}, "), format!(", {event}</td>"), format!("<td>{event}</td>")];
        let is_shown = places.iter().any(|place| page.contains(place));
        assert!(is_shown, "event {event} is not shown");
    }
    assert!(page.contains(r#"<div class="explanation">"#));
    assert!(page.contains(">process 12</text>"));
    assert!(page.contains("<title>read 27"));
    assert!(page.contains("read_confirmed"));
    assert!(page.contains(r#"<line class="mark""#));
}

#[test]
fn an_empty_directory_gives_a_page_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let page = page(dir.path());
    assert!(page.contains(r#"<div class="verdict unknown">"#));
    assert!(page.contains("No verdict"));
    for file in ["history.jsonl", "faults.jsonl", "plan.json", "environment.json", "run.json"] {
        assert!(page.contains(&format!("{file} could not be read")), "{file}");
    }
}

#[test]
fn torn_and_broken_lines_are_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    sample::write(dir.path(), 20, 100, Found::Nothing);
    let history = dir.path().join("history.jsonl");
    let mut text = fs::read_to_string(&history).unwrap();
    text.insert_str(0, "nonsense\n");
    text.push_str(r#"{"index":99999,"ti"#);
    fs::write(&history, text).unwrap();
    let trace = dir.path().join("trace/n2.jsonl");
    let text = fs::read(&trace).unwrap();
    fs::write(&trace, &text[..text.len() - 9]).unwrap();
    fs::remove_file(dir.path().join("trace/n4.jsonl")).unwrap();
    let page = page(dir.path());
    assert!(page.contains("history.jsonl: 1 line(s) were not understood"));
    assert!(page.contains("history.jsonl: the last line, "));
    assert!(page.contains("trace&#x2f;n2.jsonl: the last line, "));
    assert!(page.contains("trace&#x2f;n4.jsonl could not be read"));
    assert!(page.contains("no trace"));
}

#[test]
fn hostile_texts_are_only_text() {
    const EVIL: &str = "<script>alert('\\\"&\u{1}</script>";
    let dir = tempfile::tempdir().unwrap();
    sample::write(dir.path(), 20, 100, Found::StaleRead);
    for name in ["faults.jsonl", "history.jsonl", "verdict.json", "plan.json", "environment.json"] {
        let path = dir.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        let evil = serde_json::to_string(EVIL).unwrap();
        let evil = evil.trim_matches('"');
        let text = [
            "leader alone",
            "majorities-ring",
            "k4",
            "k1",
            "mismatch",
            "election-safety",
            "raft-node",
            "6.1.0",
            "deadline exceeded",
        ]
        .iter()
        .fold(text, |text, word| text.replace(&format!("\"{word}"), &format!("\"{evil}{word}")))
        .replace("Process 3 read", &format!("{evil} read"))
        .replace("no answer within", evil);
        fs::write(&path, text).unwrap();
    }
    let page = page(dir.path());
    assert!(!page.contains("<script"), "a hostile text became an element");
    assert!(page.matches("&lt;script&gt;").count() >= 6);
}

#[test]
fn times_without_service_name_the_faults_active_in_them() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("history.jsonl"),
        concat!(
            r#"{"index":0,"time":1000000000,"process":1,"type":"invoke","f":"read","key":"a","value":null}"#,
            "\n",
            r#"{"index":1,"time":3500000000,"process":1,"type":"ok","f":"read","key":"a","value":null}"#,
            "\n"
        ),
    )
    .unwrap();
    fs::write(
        dir.path().join("faults.jsonl"),
        concat!(
            r#"{"version":2,"fault":0,"time":500000000,"phase":"applied","kind":"kill","what":"leader","nodes":["n2"]}"#,
            "\n",
            r#"{"version":2,"fault":0,"time":2000000000,"phase":"healed","kind":"kill","what":"leader","nodes":["n2"]}"#,
            "\n",
            r#"{"version":2,"fault":1,"time":3600000000,"phase":"applied","kind":"pause","what":"one","nodes":["n4"]}"#,
            "\n"
        ),
    )
    .unwrap();
    let page = page(dir.path());
    assert!(
        page.contains("<tr><td>1.000 s</td><td>2.50 s</td><td></td><td>kill leader · n2</td></tr>")
    );
}

#[test]
fn what_a_fault_came_to_is_told() {
    let phases = |dir: &Path, lives: &[&[&str]]| {
        let mut lines = String::new();
        for (fault, phase) in
            lives.iter().enumerate().flat_map(|(i, l)| l.iter().map(move |p| (i, p)))
        {
            lines += &format!(
                r#"{{"version":2,"fault":{fault},"time":{fault}000000,"phase":"{phase}","kind":"kill","what":"one","nodes":["n1"]}}"#
            );
            lines.push('\n');
        }
        fs::write(dir.join("faults.jsonl"), lines).unwrap();
        page(dir)
    };
    let dir = tempfile::tempdir().unwrap();
    let whole: &[&str] = &["requested", "applied", "confirmed", "heal_requested", "healed"];
    let page = phases(dir.path(), &[whole, &["requested", "skipped"]]);
    assert!(page.contains("faults, all confirmed and healed, with proof; 1 more skipped"));
    let page = phases(dir.path(), &[whole, &whole[..3]]);
    assert!(page.contains("faults, all confirmed; 1 were not to heal"));
    let inert: &[&str] = &["requested", "applied", "heal_requested", "healed"];
    for (life, word) in [
        (inert, "no proof"),
        (&whole[..4], "not seen healed"),
        (&["requested", "failed"], "failed"),
    ] {
        let page = phases(dir.path(), &[whole, life]);
        assert!(page.contains("faults, 1 of them without proof"), "{word}");
        assert!(page.contains(&format!(r#"<td class="word violated">{word}</td>"#)), "{word}");
        assert!(page.contains("✕ no proof: one · n1"), "{word}");
    }
}

#[test]
fn an_hour_makes_a_small_page() {
    let dir = tempfile::tempdir().unwrap();
    sample::write(dir.path(), 3600, 20, Found::Nothing);
    let page = page(dir.path());
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    for number in 0..719 {
        assert!(page.contains(&format!("<title>fault {number}: ")), "no bar for fault {number}");
    }
}

#[test]
fn a_scenario_shows_its_steps_and_no_empty_charts() {
    let dir = tempfile::tempdir().unwrap();
    sample::write(dir.path(), 20, 100, Found::Nothing);
    fs::write(dir.path().join("history.jsonl"), "").unwrap();
    fs::write(
        dir.path().join("scenario.json"),
        r#"{"scenario": {"name": "s"}, "seed": 9, "account": {"steps": [
            {"name": "the first starts", "done": "start n1", "began": 0, "failure": null},
            {"name": "it crashes", "done": "crash n1", "began": 9000000000, "failure": "it lives"}]}}"#,
    )
    .unwrap();
    let page = page(dir.path());
    assert!(page.contains(">1. start n1</text>") && page.contains(">2. crash n1</text>"));
    assert!(page.contains("<title>it crashes</title>"));
    assert!(!page.contains("Operations per second") && !page.contains("Times without service"));
    assert!(page.contains("seed 9"));
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let error = write(Path::new("no/such/run")).unwrap_err().to_string();
    assert!(error.contains("there is no run directory no/such/run"), "{error}");
}
