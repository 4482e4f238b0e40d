//! Whether nodes do the same when they are simulated twice. The harness looks for it on some seeds
//! of each campaign: a node that is not deterministic can neither be replayed nor trusted in
//! simulation. Only a difference makes this a property of the verdict.

use super::violated;
use crate::{
    evidence::{Differs, Run},
    verdict::{Property, Violation},
};

/// Name of the property.
pub const NAME: &str = "determinism";

/// The difference, if one was found.
pub fn check(run: &Run) -> Option<Property> {
    let Differs { node, how } = run.differs.as_ref()?;
    let violation = Violation {
        rule: NAME.into(),
        summary: how.clone(),
        nodes: node.iter().map(|node| format!("n{node}")).collect(),
        operations: Vec::new(),
        trace: Vec::new(),
        refutation: None,
    };
    Some(violated(NAME, "the same plan was simulated twice, and gave two runs", vec![violation]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Outcome;

    #[test]
    fn a_difference_is_a_violation_that_names_the_node() {
        assert_eq!(check(&Run::default()), None);
        let differs = Some(Differs { node: Some(3), how: "n3 is not deterministic".into() });
        let property = check(&Run { differs, ..Run::default() }).unwrap();
        assert_eq!(property.outcome, Outcome::Violated);
        assert_eq!(property.violations[0].nodes, ["n3"]);
    }
}
