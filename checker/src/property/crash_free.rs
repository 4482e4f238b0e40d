//! Whether a node ended by a defect of its own: an assertion that did not hold, or a log that it
//! refuses although nothing damaged it. Raft masks the loss of a node, so that clients may notice
//! nothing; the defect is there all the same.

use super::{ok, violated};
use crate::{
    evidence::{Crash, Ending, Run},
    verdict::{Property, Violation},
};

/// Name of the property.
pub const NAME: &str = "crash-free";

/// Looks for nodes that ended by a defect.
pub fn check(run: &Run) -> Property {
    if run.crashes.is_empty() {
        return ok(NAME, "no node ended by a defect of its own");
    }
    let summary = |Crash { node, ending, how }: &Crash| match ending {
        Ending::Defect => format!("n{node} ended by a defect of its own: {how}"),
        Ending::Disk => {
            format!("n{node} does not run, and no fault had touched its disk: {how}")
        }
    };
    let violation = |crash: &Crash| Violation {
        rule: NAME.into(),
        summary: summary(crash),
        nodes: vec![format!("n{}", crash.node)],
        operations: Vec::new(),
        trace: Vec::new(),
        refutation: None,
    };
    violated(
        NAME,
        "a node ended for no reason but its own",
        run.crashes.iter().map(violation).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Outcome;

    #[test]
    fn a_defect_is_a_violation_that_names_the_node() {
        assert_eq!(check(&Run::default()).outcome, Outcome::Ok);
        let crash = |ending| {
            let crashes = vec![Crash { node: 3, ending, how: "exited with code 101".into() }];
            check(&Run { crashes, ..Run::default() })
        };
        let property = crash(Ending::Defect);
        assert_eq!(property.outcome, Outcome::Violated);
        assert_eq!(property.violations[0].nodes, ["n3"]);
        let property = crash(Ending::Disk);
        assert_eq!(property.outcome, Outcome::Violated);
        assert!(property.violations[0].summary.starts_with("n3 does not run, and no fault had"));
    }
}
