//! Whether nodes kept their limits: on what they take in, on what they send, and on how long they
//! let a client wait. Only a world that sees what nodes take in can tell; of others the evidence
//! says nothing, and the property is not judged.

use super::{ok, violated};
use crate::{
    evidence::{Breach, Run},
    text::counted,
    verdict::{Property, Violation},
};

/// Name of the property.
pub const NAME: &str = "limits";

/// Looks for nodes that broke a limit. None: nobody watched.
pub fn check(run: &Run) -> Option<Property> {
    let watched = run.limits.as_ref()?;
    if watched.breaches.is_empty() {
        let requests = counted(watched.requests, "request");
        return Some(ok(NAME, format!("kept at {requests}, each answered in time")));
    }
    let violation = |Breach { node, how }: &Breach| Violation {
        rule: NAME.into(),
        summary: format!("n{node} {how}"),
        nodes: vec![format!("n{node}")],
        operations: Vec::new(),
        trace: Vec::new(),
        refutation: None,
    };
    let violations = watched.breaches.iter().map(violation).collect();
    Some(violated(NAME, "a node broke a limit of its own", violations))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evidence::Watched, verdict::Outcome};

    #[test]
    fn a_breach_is_a_violation_that_names_the_node_and_no_watch_is_no_judgement() {
        assert!(check(&Run::default()).is_none());
        let judge = |breaches| {
            let limits = Some(Watched { requests: 7, breaches });
            check(&Run { limits, ..Run::default() }).unwrap()
        };
        let kept = judge(Vec::new());
        assert_eq!((kept.outcome, kept.detail.contains("7 requests")), (Outcome::Ok, true));
        let how = "had 9 requests in flight; its limit is 8".to_owned();
        let broken = judge(vec![Breach { node: 3, how }]);
        assert_eq!(broken.outcome, Outcome::Violated);
        let summary = &broken.violations[0].summary;
        assert_eq!(summary, "n3 had 9 requests in flight; its limit is 8");
    }
}
