//! Readers are given what no writer would write: real histories with bytes changed, lost, doubled
//! and moved. Each must end, without a panic, and must say on which line it stopped. The fuzz
//! targets in `checker/fuzz` do the same for longer.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use checker::{
    budget::Limits,
    evidence,
    history::{Events, Format, edn, generic, operation, read, register},
    jsonl::{Error, Reader},
    txn,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ROUNDS: u64 = 4_000;

fn sample(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats");
    fs::read(directory.join(name)).unwrap()
}

/// Spoils a text in one to four places.
fn spoil(text: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    const BYTES: &[u8] = b"{}[]()\"\\:;#_,-+.0123456789eNM/ \n\t\0\xff\xc3nultrfaskx";
    let mut text = text.to_vec();
    for _ in 0..random.random_range(1..=4) {
        if text.is_empty() {
            break;
        }
        let at = random.random_range(0..text.len());
        let to = (at + random.random_range(1..30)).min(text.len());
        match random.random_range(0..6) {
            0 => text[at] = BYTES[random.random_range(0..BYTES.len())],
            1 => text.insert(at, BYTES[random.random_range(0..BYTES.len())]),
            2 => drop(text.drain(at..to)),
            3 => {
                let part = text[at..to].to_vec();
                let place = random.random_range(0..=text.len());
                text.splice(place..place, part);
            }
            4 => text.truncate(at),
            _ => text[at] ^= 1 << random.random_range(0..8),
        }
    }
    text
}

/// Reads it as `format`, and goes on with what was read. True if it was refused.
fn read(text: &[u8], format: Option<Format>, independent: bool) -> bool {
    let lines = text.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
    let history = match read::read(text, Path::new("h"), format, independent) {
        Ok(history) => history,
        Err(Error::Malformed { line, problem, .. }) => {
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {problem}");
            assert!(!problem.is_empty());
            return true;
        }
        Err(other) => panic!("{other}"),
    };
    match history.events {
        Events::Register(events) => drop(operation::pair(&events)),
        Events::Generic(events) => {
            if let Ok(operations) = generic::pair(&events)
                && let Ok(property) = txn::check(&operations, &Limits::default())
            {
                assert!(!property.detail.contains("a bug of the checker"), "{property:#?}");
            }
            if let Ok(events) = register::from_generic(events) {
                drop(operation::pair(&events));
            }
        }
    }
    false
}

fn spoilt(name: &str, format: Format, independent: bool) {
    let whole = sample(name);
    assert!(!read(&whole, Some(format), independent), "{name} is a good one");
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let text = spoil(&whole, &mut random);
        refused += u64::from(read(&text, Some(format), independent));
        read(&text, None, false);
    }
    // Else the test spoils nothing, or nothing is noticed.
    assert!((ROUNDS / 4..ROUNDS).contains(&refused), "{refused} of {ROUNDS} were refused");
}

#[test]
fn json_lines() {
    spoilt("register.jsonl", Format::JsonLines, false);
}

#[test]
fn jepsens_edn() {
    spoilt("register.edn", Format::JepsenEdn, false);
    spoilt("txn.edn", Format::JepsenEdn, false);
}

#[test]
fn independent_keys() {
    spoilt("independent.edn", Format::JepsenEdn, true);
}

#[test]
fn jepsens_log() {
    spoilt("jepsen.log", Format::JepsenLog, false);
}

#[test]
fn porcupines_text() {
    spoilt("kv.txt", Format::Porcupine, false);
}

#[test]
fn a_history_that_is_cut_off_anywhere_is_torn_and_no_error() {
    let escapes =
        "{:process 0, :type :invoke, :f :write, :key \"\\ud83d\\ude00\\t\", :value \\newline}\n";
    let samples = [
        ("register.edn", Format::JepsenEdn, false),
        ("txn.edn", Format::JepsenEdn, false),
        ("independent.edn", Format::JepsenEdn, true),
        ("kv.txt", Format::Porcupine, false),
        ("jepsen.log", Format::JepsenLog, false),
    ]
    .map(|(name, format, independent)| (sample(name), format, independent));
    let escapes = [(escapes.as_bytes().to_vec(), Format::JepsenEdn, false)];
    for (whole, format, independent) in samples.into_iter().chain(escapes) {
        for end in 0..whole.len() {
            let text = &whole[..end];
            if let Err(error) = read::read(text, Path::new("h"), Some(format), independent) {
                let last = text.escape_ascii().to_string();
                panic!("{error}: …{}", &last[last.len().saturating_sub(80)..]);
            }
        }
    }
}

#[test]
fn noise_is_never_a_form_without_end() {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    for _ in 0..ROUNDS {
        let text: Vec<u8> = (0..random.random_range(0..60))
            .map(|_| b"{}[]()\"\\:;#_ \n1-a"[random.random_range(0..17)])
            .collect();
        let mut reader = edn::Reader::new(text.as_slice());
        // Each form is a byte at least.
        for forms in 0.. {
            assert!(forms <= text.len(), "{}", text.escape_ascii());
            match reader.read() {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
    }
}

const TRACE: &str = r#"{"node":1,"boot":1,"seq":0,"clock":1,"time":5,"event":"started","term":0,"vote":null,"last":{"index":0,"term":0,"hash":"0000000000000000"},"voters":[1,2,3]}
{"node":1,"boot":1,"seq":1,"clock":2,"time":6,"event":"term","term":1}
{"node":1,"boot":1,"seq":2,"clock":3,"time":7,"event":"appended","prev":{"index":0,"term":0,"hash":"0000000000000000"},"entries":[[1,"00000000000000ab"],[1,"ffffffffffffffff"]]}
{"node":1,"boot":1,"seq":3,"clock":4,"time":8,"event":"stopped"}
"#;

#[test]
fn lines_of_a_trace() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let (mut good, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        // The first is whole: all four lines are read.
        assert!(round != 1 || (good, refused) == (4, 0), "{good} read, {refused} refused");
        let text = if round == 0 { TRACE.into() } else { spoil(TRACE.as_bytes(), &mut random) };
        let mut reader = Reader::new(text.as_slice(), "n1.jsonl", "a trace record");
        loop {
            match reader.read::<proto::trace::Record>() {
                Ok(Some(_)) => good += 1,
                Ok(None) => break,
                Err(Error::Malformed { .. } | Error::Torn { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(good > ROUNDS && refused > ROUNDS / 4, "{good} read, {refused} refused");
}

#[test]
fn run_directories() {
    let directory = tempfile::tempdir().unwrap();
    let run = serde_json::to_vec(&evidence::Run { nodes: 1, traced: true, ..Default::default() });
    let files = [
        ("run.json", run.unwrap()),
        ("history.jsonl", sample("register.jsonl")),
        ("faults.jsonl", Vec::new()),
        ("trace/n1.jsonl", TRACE.into()),
    ];
    fs::create_dir(directory.path().join("trace")).unwrap();
    let write = |name: &str, text: &[u8]| fs::write(directory.path().join(name), text).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(10);
    let mut refused = 0;
    for (name, whole) in &files {
        for (name, whole) in &files {
            write(name, whole);
        }
        assert!(evidence::load(directory.path()).is_ok());
        for _ in 0..ROUNDS / 20 {
            write(name, &spoil(whole, &mut random));
            match evidence::load(directory.path()) {
                Ok(evidence) => drop(operation::pair(evidence.history.registers())),
                Err(error) => {
                    let file = directory.path().join(name).display().to_string();
                    assert!(error.to_string().starts_with(&file), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > ROUNDS / 20, "{refused} were refused");
}
