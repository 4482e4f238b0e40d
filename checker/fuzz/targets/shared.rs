//! What every reader of a history must keep.

use std::path::Path;

use checker::{
    history::{Events, Format, generic, operation, read, register},
    jsonl::Error,
};

/// Reads `text` and does with it what a check would, but for the search.
pub fn history(text: &[u8], format: Option<Format>, independent: bool) {
    let lines = text.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
    let history = match read::read(text, Path::new("input"), format, independent) {
        Ok(history) => history,
        Err(Error::Malformed { line, problem, .. }) => {
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {problem}");
            return;
        }
        Err(other) => panic!("{other}"),
    };
    for index in 0..history.events.len() as u64 {
        history.numbering.of(index);
    }
    match history.events {
        Events::Register(events) => drop(operation::pair(&events)),
        Events::Generic(events) => {
            drop(generic::pair(&events));
            if let Ok(events) = register::from_generic(events) {
                drop(operation::pair(&events));
            }
        }
    }
}
