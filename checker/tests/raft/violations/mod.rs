//! Wrong traces, each of which breaks exactly one rule, by what the rules are about.

mod commits;
mod disks;
mod elections;
mod logs;
mod reads;
mod transitions;

use crate::script::{holds, violates};

/// Two entries on all three nodes, committed by n1 in term 1.
const SETTLED: &str = "
    voters 3
    elect n1 1 n2
    n1 append 1 1
    n1 durable
    send n1 n2
    send n1 n3
    n1 commit 2 n1=2 n2=2 n3=2
";

#[track_caller]
fn breaks(rule: &str, summary: &str, script: &str) {
    holds(SETTLED);
    violates(rule, summary, &format!("{SETTLED}\n{script}"));
}
