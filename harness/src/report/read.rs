//! Reads the files of a run directory line by line and never gives up: what is missing, torn or
//! unreadable becomes a note that the page shows.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde::de::{DeserializeOwned, IgnoredAny};

/// What was wrong with the evidence, in sentences, in the order it was met.
#[derive(Debug, Default)]
pub(super) struct Notes(pub(super) Vec<String>);

impl Notes {
    pub(super) fn add(&mut self, note: impl Into<String>) {
        self.0.push(note.into());
    }
}

/// Parses a file of one JSON value. `None`, with a note, where that fails.
pub(super) fn json<T: DeserializeOwned>(dir: &Path, name: &str, notes: &mut Notes) -> Option<T> {
    let text = match std::fs::read_to_string(dir.join(name)) {
        Ok(text) => text,
        Err(error) => {
            notes.add(format!("{name} could not be read: {error}."));
            return None;
        }
    };
    match serde_json::from_str(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            notes.add(format!("{name} is not what was expected: {error}."));
            None
        }
    }
}

/// Hands each line of a file to `take`, which says whether it understood it. A last line without
/// a line end is torn: it is taken if it is whole and noted if not.
pub(super) fn lines(
    dir: &Path,
    name: &str,
    notes: &mut Notes,
    mut take: impl FnMut(&[u8]) -> Result<(), serde_json::Error>,
) {
    let mut reader = match File::open(dir.join(name)) {
        Ok(file) => BufReader::with_capacity(1 << 18, file),
        Err(error) => {
            notes.add(format!("{name} could not be read: {error}."));
            return;
        }
    };
    let (mut line, mut number, mut bad, mut first_bad) = (Vec::new(), 0_u64, 0_u64, None);
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                notes.add(format!("{name} could not be read past line {number}: {error}."));
                break;
            }
        }
        number += 1;
        let whole = line.last() == Some(&b'\n');
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        // `take` may skip lines unparsed, so a torn one is looked for here.
        if !whole && serde_json::from_slice::<IgnoredAny>(text).is_err() {
            notes.add(format!("{name}: the last line, {number}, is torn and was left out."));
        } else if let Err(error) = take(text) {
            bad += 1;
            first_bad.get_or_insert((number, error));
        }
    }
    if let Some((number, error)) = first_bad {
        notes.add(format!(
            "{name}: {bad} line(s) were not understood and left out; the first is line {number}: {error}."
        ));
    }
}
