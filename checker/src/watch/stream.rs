//! What one watch shows by itself.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Findings, Rule,
    history::{Response, Watch},
};

/// The rules that need no other operation.
pub(super) fn check(watch: &Watch<'_>, findings: &mut Findings) {
    let mut told = FxHashSet::default();
    // The response in which each revision was told first.
    let mut begun = FxHashMap::default();
    let mut last = i64::MIN;
    let mut progress = i64::MIN;
    for (at, response) in watch.responses.iter().enumerate() {
        let changes = match response {
            Response::Batch(changes) => changes,
            Response::Progress(revision) => {
                progress = progress.max(*revision);
                continue;
            }
        };
        for change in changes {
            let revision = change.revision;
            let mut violated = |rule, what: std::fmt::Arguments<'_>| {
                let summary = format_args!("{watch} told, in response {at}, {change} {what}");
                findings.violated(rule, &[watch.source], summary);
            };
            if !watch.filter.takes(change.key) {
                violated(Rule::Filter, format_args!("although that key was not asked for"));
            }
            if let Some(from) = watch.from
                && revision < from
            {
                violated(Rule::Resumable, format_args!("although it was to begin at {from}"));
            }
            if revision < last {
                violated(Rule::Ordered, format_args!("after it had told one at revision {last}"));
            }
            if revision <= progress {
                violated(
                    Rule::Bookmarkable,
                    format_args!(
                        "after a progress notification had said that all up to revision {progress} were told"
                    ),
                );
            }
            let first = *begun.entry(revision).or_insert(at);
            if !told.insert((revision, change.key)) {
                violated(
                    Rule::Unique,
                    format_args!(
                        "although it had told a change of that key at that revision before"
                    ),
                );
            } else if first != at {
                violated(
                    Rule::Atomic,
                    format_args!(
                        "although it had told another change of that revision in response {first}"
                    ),
                );
            }
            last = revision;
        }
    }
}
