//! Whether a node ended by a defect of its own: an assertion that did not hold. Raft masks the loss
//! of a node, so that clients may notice nothing; the defect is there all the same.

use super::{ok, violated};
use crate::{
    evidence::{Crash, Run},
    verdict::{Property, Violation},
};

/// Name of the property.
pub const NAME: &str = "crash-free";

/// Looks for nodes that ended by a defect.
pub fn check(run: &Run) -> Property {
    if run.crashes.is_empty() {
        return ok(NAME, "no node ended by a defect of its own");
    }
    let violation = |Crash { node, how }: &Crash| Violation {
        rule: NAME.into(),
        summary: format!("n{node} ended by a defect of its own: {how}"),
        nodes: vec![format!("n{node}")],
        operations: Vec::new(),
        trace: Vec::new(),
        refutation: None,
    };
    violated(
        NAME,
        "a node found its own state impossible",
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
        let crashes = vec![Crash { node: 3, how: "exited with code 101".into() }];
        let property = check(&Run { crashes, ..Run::default() });
        assert_eq!(property.outcome, Outcome::Violated);
        assert_eq!(property.violations[0].nodes, ["n3"]);
    }
}
