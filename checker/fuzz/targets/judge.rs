#![no_main]

use std::{path::Path, time::Duration};

use checker::{
    budget::Limits,
    history::read,
    judge::{self, models::MODELS},
    verdict::Outcome,
};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let Ok(history) = read::read(text, Path::new("input"), None, false) else { return };
    let limits = Limits { memory: 1 << 20, timeout: Duration::from_millis(20) };
    for model in MODELS {
        let Ok(judged) = judge::history(history.clone(), Some(model), &limits) else { continue };
        let verdict = judged.verdict;
        // A violation that names nothing cannot be believed, and what says nothing is not ok.
        for property in &verdict.properties {
            let violated = property.outcome == Outcome::Violated;
            assert_eq!(violated, !property.violations.is_empty(), "{property:?}");
        }
        assert!(judged.found.operations > 0 || verdict.outcome != Outcome::Ok, "{verdict:?}");
    }
});
